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
from zipfile import BadZipFile

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import interpolate

from qmae.errors import InputError
from qmae.settings import Split

VALIDATION_IMAGES = 5_000
"""The last of MNIST's 60,000 training images, held out."""

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
        images, labels = load_npz(Path(source))
        chosen = _split_file(len(images), split, Path(source))
        images, labels = images[chosen], labels[chosen]
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


def _split_file(count: int, split: Split, path: Path) -> Int[Tensor, " chosen"]:
    if split == "all":
        return torch.arange(count)
    if count < 3:
        raise InputError(f"{path} holds {count} images: training, validation and testing need 3 at least")
    test, validation = max(1, count // 6), max(1, count // 12)
    order = torch.randperm(count, generator=torch.Generator().manual_seed(0))
    sizes = {"test": test, "validation": validation, "train": count - test - validation}
    return dict(zip(sizes, order.split(list(sizes.values())), strict=True))[split]


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
    if not path.is_file():
        raise InputError(f"no data file {path}: give `mnist` or the path of an .npz file")
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            found = {name: arrays[name] for name in ("images", "labels") if name in arrays}
    except (ValueError, TypeError, OSError, EOFError, zlib.error, BadZipFile) as error:
        raise InputError(f"{path} cannot be read as an .npz file: make one by numpy.savez(path, images=...)") from error
    if "images" not in found or found["images"].ndim != 3 or not found["images"].size:
        raise InputError(f"{path} needs an array `images` of shape [N, H, W] with one pixel at least")
    if not all(array.dtype.kind in "buif" for array in found.values()):
        raise InputError(f"{path} holds no numbers: `images` must be uint8 or float, `labels` int")
    images = torch.from_numpy(_as_unit_interval(found["images"]))
    labels = torch.from_numpy(found.get("labels", np.full(len(images), -1)).astype(np.int64))
    if labels.shape != (len(images),):
        raise InputError(f"{path}: `labels` has shape {tuple(labels.shape)}, `images` holds {len(images)} images")
    check_images(images)
    return images, labels


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


@dataclass(frozen=True)
class Fingerprint:
    """By what a data file is known again."""

    images: int
    sha256: str


def fingerprint(source: str | Path) -> Fingerprint | None:
    """The fingerprint of a data file; None for `"mnist"`."""
    if source == "mnist":
        return None
    images, labels = load_npz(Path(source))
    return Fingerprint(len(images), hashlib.sha256(images.numpy().tobytes() + labels.numpy().tobytes()).hexdigest())


def keys_of(source: str | Path, split: Split = "all") -> np.ndarray:
    """A hash of every image of a split."""
    if source == "mnist":
        images = _split_mnist(split)[0]
    else:
        images = load_npz(Path(source))[0]
        images = images[_split_file(len(images), split, Path(source))]
    hashes = [hashlib.blake2b(image.tobytes(), digest_size=8).digest() for image in images.numpy()]
    return np.array([int.from_bytes(value, "little") for value in hashes], dtype=np.uint64)
