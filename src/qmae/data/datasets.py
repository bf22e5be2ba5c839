"""Data sets by their names: where their images come from, how they are split, and by what they are known again."""

from __future__ import annotations

import gzip
import hashlib
import math
import os
import zlib
from abc import ABC, abstractmethod
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int, Num, UInt64
from torch import Tensor

from qmae._files import resolve
from qmae._values import Registry
from qmae.data.checks import WHITE
from qmae.data.choices import Split
from qmae.data.image_files import check_arrays, read_npz
from qmae.data.pixels import check_values, is_lit, refuse_black, resize, scale
from qmae.data.splits import image_keys, split_by_key
from qmae.errors import InputError

VALIDATION_IMAGES = 5_000
"""The last of MNIST's 60,000 training images, held out."""

# MD5 of the unpacked files, as published with MNIST: they tell damage, they are no security measure.
_MNIST_MD5 = {
    "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
    "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
    "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
    "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
}


@dataclass(frozen=True)
class Fingerprint:
    """By what data are known again.

    Attributes:
        images: how many there are.
        sha256: of all images and labels as they are stored, in their order.
    """

    images: int
    sha256: str


class Dataset(ABC):
    """Grayscale images and their labels, in splits.

    Attributes:
        own_splits: whether it comes in train, validation and test; then there is no split `"all"`.
        published: whether its content never changes and is checked whenever it is read; then it has no fingerprint.
        classifier_size: pixels a side of the images for which the package brings a classifier; None where it has none.
    """

    own_splits: bool = False
    published: bool = False
    classifier_size: int | None = None

    @abstractmethod
    def load(
        self, split: Split, *, size: int | None = None, skip_black: bool = False
    ) -> tuple[Float[Tensor, "images height width"], Int[Tensor, " images"]]:
        """The images of one split and their labels.

        Args:
            split: which part.
            size: pixels a side after resizing; None: as they are stored.
            skip_black: leave out images that are all black, or are after resizing, instead of refusing them.

        Returns:
            The images, float32 in [0, 1], and their labels, -1 where unknown.

        Raises:
            InputError: they cannot be read, or are no images.
        """

    @abstractmethod
    def keys(self, split: Split, *, size: int | None = None, skip_black: bool = False) -> UInt64[np.ndarray, " images"]:
        """What `image_keys` says of the images that `load` gives, in the same order."""

    @abstractmethod
    def black_images(self, size: int) -> list[int]:
        """Which of all images `skip_black` leaves out, by their index."""

    @abstractmethod
    def fingerprint(self) -> Fingerprint | None:
        """By what the content is known again; None of what is `published`."""


class Mnist(Dataset):
    """MNIST, the files of which lie in the package."""

    own_splits = published = True
    classifier_size = 16

    def load(
        self, split: Split, *, size: int | None = None, skip_black: bool = False
    ) -> tuple[Float[Tensor, "images height width"], Int[Tensor, " images"]]:
        """See `Dataset.load`; pixels are divided by 255, none of the images is black."""
        images, labels = _split_mnist(split)
        return images if size is None else resize(images, size), labels

    def keys(self, split: Split, *, size: int | None = None, skip_black: bool = False) -> UInt64[np.ndarray, " images"]:
        """See `Dataset.keys`."""
        return image_keys(_split_mnist(split)[0].numpy())

    def black_images(self, size: int) -> list[int]:
        """None."""
        return []

    def fingerprint(self) -> None:
        """None, as it is published."""
        return


class Unsplit(Dataset):
    """Images without splits of their own: a hash of each says in which it is (`split_by_key`).

    They are divided by the brightest pixel of all of them after resizing.

    Attributes:
        name: what they are called in messages.
    """

    name: str | Path

    @abstractmethod
    def read(self) -> tuple[Num[np.ndarray, "images height width"], Int[np.ndarray, " images"]]:
        """All images as they are stored, whole numbers from 0 on or floats in [0, 1], and labels, -1 where unknown."""

    def load(
        self, split: Split, *, size: int | None = None, skip_black: bool = False
    ) -> tuple[Float[Tensor, "images height width"], Int[Tensor, " images"]]:
        """See `Dataset.load`."""
        images, labels, _ = self._split(split, size, skip_black)
        return images, labels

    def keys(self, split: Split, *, size: int | None = None, skip_black: bool = False) -> UInt64[np.ndarray, " images"]:
        """See `Dataset.keys`."""
        return self._split(split, size, skip_black)[2]

    def black_images(self, size: int) -> list[int]:
        """See `Dataset.black_images`."""
        return np.flatnonzero(~is_lit(scale(self._pixels()[0], size))).tolist()

    def fingerprint(self) -> Fingerprint:
        """See `Dataset.fingerprint`."""
        images, labels = self.read()
        digest = hashlib.sha256()
        for array in (images, labels):
            digest.update(f"{array.dtype.str} {array.shape}".encode())
            digest.update(np.ascontiguousarray(array).data)
        return Fingerprint(len(images), digest.hexdigest())

    def _pixels(self) -> tuple[Num[np.ndarray, "images height width"], Int[np.ndarray, " images"]]:
        pixels, labels = self.read()
        check_values(pixels, white=math.inf if pixels.dtype.kind in "bui" else WHITE, name=f"{self.name}: ")
        return pixels, labels

    def _split(
        self, split: Split, size: int | None, skip_black: bool
    ) -> tuple[Float[Tensor, "images height width"], Int[Tensor, " images"], UInt64[np.ndarray, " images"]]:
        """Images, labels and keys of one split."""
        pixels, labels = self._pixels()
        images = scale(pixels, size)
        lit = is_lit(images)
        if not (skip_black and lit.any()):
            refuse_black(lit, name=f"{self.name}: ")
        kept = np.flatnonzero(lit)
        keys = image_keys(pixels[kept])
        try:
            chosen = split_by_key(keys, split)
        except InputError as error:
            raise InputError(f"{self.name} {error}") from error
        kept = kept[chosen]
        return images[torch.from_numpy(kept)], torch.from_numpy(labels[kept]), keys[chosen]


class NpzFile(Unsplit):
    """The images of an `.npz` file, read anew whenever they are asked for.

    Args:
        path: of the file, which holds `images` [N, H, W] and, if known, `labels` [N].
    """

    def __init__(self, path: Path) -> None:
        self.name = self.path = path

    def read(self) -> tuple[Num[np.ndarray, "images height width"], Int[np.ndarray, " images"]]:
        """See `Unsplit.read`."""
        return read_npz(self.path)


class Arrays(Unsplit):
    """Images that are in memory; `from_arrays` checks and makes them."""

    name = "the data set"

    def __init__(self, images: Num[np.ndarray, "images height width"], labels: Int[np.ndarray, " images"]) -> None:
        self._images, self._labels = images, labels

    def read(self) -> tuple[Num[np.ndarray, "images height width"], Int[np.ndarray, " images"]]:
        """See `Unsplit.read`."""
        return self._images, self._labels


def from_arrays(images: Any, labels: Any = None) -> Dataset:
    """A data set of arrays, split as an `.npz` file with the same arrays is.

    Args:
        images: array or tensor [N, H, W], also [N, 1, H, W] or [N, H, W, 1]: whole numbers from 0 on, or floats in
            [0, 1]. They are copied.
        labels: array or tensor [N] of whole numbers from 0 on, -1 where unknown; None where none is known.

    Raises:
        InputError: arrays of another form, or values that are no pixels or labels.
    """
    given = (_array(images, "images"), None if labels is None else _array(labels, "labels"))
    dataset = Arrays(*check_arrays(*given, Arrays.name))
    dataset._pixels()
    return dataset


DATASETS: Registry[Dataset] = Registry("data set", Dataset, {"mnist": Mnist()})
"""The data sets that are known by a name; a user adds one by `DATASETS.register`."""


def dataset(source: str | Path) -> Dataset:
    """The data set of a source: a name of `DATASETS`, or else the path of an `.npz` file, which is not read yet."""
    return DATASETS[source] if isinstance(source, str) and source in DATASETS else NpzFile(Path(source))


def lasting_source(source: str | Path) -> str:
    """A source so that it is found again from another working directory: a name as it is, a path made absolute.

    A word that is neither registered nor a file is taken for the name of a data set that is registered elsewhere.

    Raises:
        InputError: the path is none.
    """
    path = str(resolve(source))
    word = isinstance(source, str) and not {".", "/", os.sep} & {*source} and not os.path.lexists(path)
    return str(source) if word or source in DATASETS else path


def load_mnist(
    *, train: bool, folder: Path | None = None
) -> tuple[Float[Tensor, "images 28 28"], Int[Tensor, " images"]]:
    """Load the MNIST files of LeCun, Cortes and Burges and verify their checksums.

    Args:
        train: the 60,000 training images, or the 10,000 test images.
        folder: where the four `.gz` files lie; the package's own by default.

    Raises:
        InputError: a file is missing, damaged, or not the published one.
    """
    folder = folder or Path(str(resources.files("qmae.data"))) / "mnist"
    stem = "train" if train else "t10k"
    pixels = _unpack(folder / f"{stem}-images-idx3-ubyte.gz")[16:].reshape(-1, 28, 28)
    labels = _unpack(folder / f"{stem}-labels-idx1-ubyte.gz")[8:]
    return torch.from_numpy(pixels.copy()).float() / 255, torch.from_numpy(labels.copy()).long()


def _split_mnist(split: Split) -> tuple[Float[Tensor, "images 28 28"], Int[Tensor, " images"]]:
    if split == "all":
        raise InputError("MNIST comes as train, validation and test: choose one of them")
    images, labels = load_mnist(train=split != "test")
    parts = {
        "train": slice(0, len(images) - VALIDATION_IMAGES),
        "validation": slice(len(images) - VALIDATION_IMAGES, None),
        "test": slice(None),
    }
    return images[parts[split]], labels[parts[split]]


def _unpack(path: Path) -> np.ndarray:
    try:
        content = gzip.decompress(path.read_bytes())
    except FileNotFoundError as error:
        raise InputError(f"no data file {path}: install qmae again, it ships MNIST") from error
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path} is damaged ({error}): install qmae again, it ships MNIST") from error
    expected, found = _MNIST_MD5[path.stem], hashlib.md5(content, usedforsecurity=False).hexdigest()
    if found != expected:
        raise InputError(f"{path} is damaged: its unpacked MD5 is {found}, expected {expected}; install qmae again")
    return np.frombuffer(content, dtype=np.uint8)


def _array(values: Any, what: str) -> np.ndarray:
    """A copy of an array or tensor as an array of numbers.

    Raises:
        InputError: it is none.
    """
    try:
        array = np.array(values.detach().cpu().numpy() if isinstance(values, Tensor) else values)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"{what} are no array ({error}): give a NumPy array or a tensor") from error
    if array.dtype.kind not in "buif":
        raise InputError(f"{what} hold no numbers but {array.dtype}: give a NumPy array or a tensor of numbers")
    return array
