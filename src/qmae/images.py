"""Images: loading, checking, and resizing to a power of two pixels a side."""

from __future__ import annotations

import gzip
import hashlib
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import get_args

import numpy as np
import torch
from jaxtyping import Float, Int, Num, UInt64
from torch import Tensor
from torch.nn.functional import interpolate

from qmae.errors import InputError
from qmae.image_files import read_npz
from qmae.settings import Split

VALIDATION_IMAGES = 5_000
"""The last of MNIST's 60,000 training images, held out."""

KEY_GRAYS = 1_024
"""Steps of gray that `image_keys` tells apart: no ratio of two bytes lies at the edge of one."""

# MD5 of the unpacked files, as published with MNIST: they tell damage, they are no security measure.
_MNIST_MD5 = {
    "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
    "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
    "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
    "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
}


def load_images(
    source: str | Path = "mnist", *, split: Split = "test", size: int = 16
) -> tuple[Float[Tensor, "images {size} {size}"], Int[Tensor, " images"]]:
    """Load one split of a data set, resized with antialiasing to `size` x `size`.

    Args:
        source: `"mnist"`, which ships with the package, or the path of an `.npz` file that holds
            `images` [N, H, W] (uint8 in 0..255, or floats in [0, 1]) and, if known, `labels` [N].
        split: `"train"`, `"validation"` or `"test"`. Of MNIST's 60,000 training images the last 5,000 are for
            validation. An `.npz` file is shuffled, always in the same way; a sixth of it is for testing,
            a twelfth for validation. `"all"` is the whole of a file that trains nothing.
        size: pixels a side after resizing, a power of two.

    Returns:
        The images, float32 in [0, 1], and their labels, -1 where unknown.

    Raises:
        InputError: the file is missing or damaged, or holds what is no image or an all-black one.
    """
    check_size(size)
    if split not in get_args(Split):
        raise InputError(f"no split {split!r}: choose one of {', '.join(get_args(Split))}")
    if source == "mnist":
        images, labels = _split_mnist(split)
    else:
        pixels, all_labels = read_npz(Path(source))
        images = torch.from_numpy(_as_unit_interval(pixels))
        check_images(images)
        chosen = torch.from_numpy(_chosen(image_keys(pixels), split, Path(source)))
        images, labels = images[chosen], torch.from_numpy(all_labels)[chosen]
    return resize(images, size), labels


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


def image_keys(images: Num[np.ndarray, "images height width"]) -> UInt64[np.ndarray, " images"]:
    """A hash of every image: which it is, whatever else a data set holds and however its pixels are stored.

    Brightness is divided out, as the embedding does, and grays are told apart in `KEY_GRAYS` steps. So an image keeps
    its key when bytes become floats.

    Args:
        images: as they are stored in the file, before resizing.

    Returns:
        BLAKE2b of shape and grays, 64 bits.
    """
    keys = np.empty(len(images), np.uint64)
    for start in range(0, len(images), 1_000):
        part = images[start : start + 1_000].astype(np.float64)
        brightest = part.max((1, 2), keepdims=True)
        grays = np.rint(part / np.where(brightest > 0, brightest, 1) * KEY_GRAYS).astype("<u2")
        for index, image in enumerate(grays, start):
            digest = hashlib.blake2b(repr(image.shape).encode() + image.tobytes(), digest_size=8).digest()
            keys[index] = int.from_bytes(digest, "little")
    return keys


def split_by_key(keys: UInt64[np.ndarray, " images"], split: Split) -> Int[np.ndarray, " chosen"]:
    """Choose the images of one split by their keys, so that it does not matter what else a file holds.

    The lowest sixth of all possible keys is for testing, the next twelfth for validation. Images that are alike fall
    into the same split, unless there are fewer than three different ones. Each split has one image at least, which
    moves images in tiny sets only.

    Args:
        keys: of all images, from `image_keys`.
        split: which part; `"all"` is every image, in the order of the file.

    Returns:
        Indices of the chosen images, in the order of their keys.

    Raises:
        InputError: fewer than three images.
    """
    if split == "all":
        return np.arange(len(keys))
    if len(keys) < 3:
        raise InputError(f"holds {len(keys)} images: training, validation and testing need 3 at least")
    different = np.unique(keys)
    if len(different) < 3:
        # Copies of one or two images: every split gets some.
        keys = different = np.arange(len(keys), dtype=np.uint64) * np.uint64(2**64 // len(keys))
    below_sixth, below_quarter = (int((different < np.uint64(2**64 // part)).sum()) for part in (6, 4))
    test = min(max(1, below_sixth), len(different) - 2)
    validation = min(max(1, below_quarter - below_sixth), len(different) - test - 1)
    first, end = {
        "test": (0, test),
        "validation": (test, test + validation),
        "train": (test + validation, len(different)),
    }[split]
    order = np.argsort(keys, kind="stable")
    return order[(keys[order] >= different[first]) & (keys[order] <= different[end - 1])]


@dataclass(frozen=True)
class Fingerprint:
    """By what a data file is known again.

    Attributes:
        images: how many it holds.
        sha256: of all images and labels as they are stored, in their order.
    """

    images: int
    sha256: str


def fingerprint(source: str | Path) -> Fingerprint | None:
    """The fingerprint of a data file; None for `"mnist"`, whose files are checked whenever they are read.

    Raises:
        InputError: the file is missing or damaged, or holds no images.
    """
    if source == "mnist":
        return None
    images, labels = read_npz(Path(source))
    digest = hashlib.sha256()
    for array in (images, labels):
        digest.update(f"{array.dtype.str} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return Fingerprint(len(images), digest.hexdigest())


def keys_of(source: str | Path, split: Split) -> UInt64[np.ndarray, " images"]:
    """The keys of the images that `load_images` gives, in the same order.

    Args:
        source: `"mnist"`, or the path of an `.npz` file.
        split: which part of it.

    Raises:
        InputError: the file is missing or damaged, or holds no images.
    """
    if source == "mnist":
        return image_keys(_split_mnist(split)[0].numpy())
    images, _ = read_npz(Path(source))
    keys = image_keys(images)
    return keys[_chosen(keys, split, Path(source))]


def _chosen(keys: UInt64[np.ndarray, " images"], split: Split, path: Path) -> Int[np.ndarray, " chosen"]:
    try:
        return split_by_key(keys, split)
    except InputError as error:
        raise InputError(f"{path} {error}") from error


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
    folder = folder or Path(str(resources.files("qmae"))) / "data" / "mnist"
    stem = "train" if train else "t10k"
    pixels = _unpack(folder / f"{stem}-images-idx3-ubyte.gz")[16:].reshape(-1, 28, 28)
    labels = _unpack(folder / f"{stem}-labels-idx1-ubyte.gz")[8:]
    return torch.from_numpy(pixels.copy()).float() / 255, torch.from_numpy(labels.copy()).long()


def load_npz(path: Path) -> tuple[Float[Tensor, "images height width"], Int[Tensor, " images"]]:
    """Load `images` and, if present, `labels` from a NumPy `.npz` file.

    Raises:
        InputError: no such file, no `images` [N, H, W] in it, or values that are no pixels.
    """
    pixels, labels = read_npz(path)
    images = torch.from_numpy(_as_unit_interval(pixels))
    check_images(images)
    return images, torch.from_numpy(labels)


def load_files(paths: Sequence[Path], *, size: int = 16) -> Float[Tensor, "images {size} {size}"]:
    """Load image files (PNG, JPEG, ...) as grayscale, resized with antialiasing to `size` x `size`.

    Raises:
        InputError: a file is missing or is no image.
    """
    check_size(size)
    return torch.cat([resize(_load_file(path)[None], size) for path in paths])


def resize(images: Float[Tensor, "images height width"], size: int) -> Float[Tensor, "images {size} {size}"]:
    """Resize bilinearly with antialiasing, as torchvision's `resize` does; pixels stay in [0, 1]."""
    if images.shape[-2:] == (size, size):
        return images
    resized = interpolate(images[:, None], size=(size, size), mode="bilinear", antialias=True)
    return resized[:, 0].clamp(0, 1)


def check_size(size: int) -> None:
    """Refuse an image side that amplitude embedding on qubits cannot hold without padding.

    Raises:
        InputError: `size` is no power of two from 2 on.
    """
    if size < 2 or size & (size - 1):
        raise InputError(
            f"image size {size} is no power of two: amplitude embedding needs 2, 4, 8, 16, 32, ... pixels a side"
        )


def check_images(images: Float[Tensor, "images height width"]) -> None:
    """Refuse images whose values are no pixel intensities, or that have no direction as a quantum state.

    Raises:
        InputError: an image holds NaN or values outside [0, 1], or is all black; it is named by its index.
    """
    low, high = images.flatten(1).amin(1), images.flatten(1).amax(1)
    # NaN fails every comparison, so the good images are asked for rather than the bad ones.
    bad = (~((low >= 0) & (high <= 1))).nonzero().flatten().tolist()
    if bad:
        index = bad[0]
        what = "NaN" if torch.isnan(images[index]).any() else f"values from {low[index]:g} to {high[index]:g}"
        more = f" (and {len(bad) - 1} more)" if len(bad) > 1 else ""
        raise InputError(f"image {index}{more} holds {what}: pixels must lie in [0, 1]; divide bytes by 255")
    if not high.all():
        index = int((high == 0).nonzero()[0])
        raise InputError(f"image {index} is all black: it has no direction to embed as a quantum state; leave it out")


def _unpack(path: Path) -> np.ndarray:
    if not path.is_file():
        raise InputError(f"no data file {path}: install qmae again, it ships MNIST")
    try:
        content = gzip.decompress(path.read_bytes())
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path} is damaged ({error}): install qmae again, it ships MNIST") from error
    expected, found = _MNIST_MD5[path.stem], hashlib.md5(content, usedforsecurity=False).hexdigest()
    if found != expected:
        raise InputError(f"{path} is damaged: its unpacked MD5 is {found}, expected {expected}; install qmae again")
    return np.frombuffer(content, dtype=np.uint8)


def _load_file(path: Path) -> Float[Tensor, "height width"]:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as image:
            if image.mode in ("I", "F"):
                raise InputError(f"{path} has pixels of no known range: save it with 8 or 16 bits a pixel")
            if image.mode.startswith("I;16"):
                return torch.from_numpy(np.asarray(image).astype(np.float32) / (2**16 - 1))
            return torch.from_numpy(_as_unit_interval(np.asarray(image.convert("L"))))
    except FileNotFoundError as error:
        raise InputError(f"no image file {path}") from error
    except (UnidentifiedImageError, OSError) as error:
        raise InputError(f"{path} is no image that can be read: {error}") from error


def _as_unit_interval(pixels: np.ndarray) -> np.ndarray:
    scale = 255 if pixels.dtype == np.uint8 else 1
    return pixels.astype(np.float32) / scale
