"""Images: loading, checking, and resizing to a power of two pixels a side."""

from __future__ import annotations

import gzip
import hashlib
import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import get_args

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Num, UInt64
from torch import Tensor
from torch.nn.functional import interpolate

from qmae._values import MAX_QUBITS, shown, whole
from qmae.data.checks import WHITE, check_pixels, check_tensor
from qmae.data.choices import Split
from qmae.data.image_files import read_npz, read_picture
from qmae.data.splits import CHUNK, image_keys, split_by_key
from qmae.errors import InputError

VALIDATION_IMAGES = 5_000
"""The last of MNIST's 60,000 training images, held out."""

MAX_SIZE = 2 ** (MAX_QUBITS // 2)
"""Pixels a side of the largest images that qubits for a simulation can hold."""

BLACK = 1e-6
"""An image is black if no pixel exceeds this share of the brightest of its data set: its norm would be rounding."""

NAMED = 10
"""Of so many images or files a message says which."""

# MD5 of the unpacked files, as published with MNIST: they tell damage, they are no security measure.
_MNIST_MD5 = {
    "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
    "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
    "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
    "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
}


def load_images(
    source: str | Path = "mnist", *, split: Split = "test", size: int = 16, skip_black: bool = False
) -> tuple[Float[Tensor, "images {size} {size}"], Int[Tensor, " images"]]:
    """Load one split of a data set, resized with antialiasing to `size` x `size`.

    The images of a file are divided by the brightest pixel of all of them after resizing, whatever its data type:
    how much white is, a data type does not say. MNIST is divided by 255.

    Args:
        source: `"mnist"`, which ships with the package, or the path of an `.npz` file that holds `images` [N, H, W]
            (whole numbers from 0 on, or floats in [0, 1]) and, if known, `labels` [N] (whole numbers from 0 on).
        split: `"train"`, `"validation"` or `"test"`. Of MNIST's 60,000 training images the last 5,000 are for
            validation. In an `.npz` file a hash of every image decides (`split_by_key`): about a sixth is for
            testing, a twelfth for validation, and images that are added move no other. `"all"` is the whole of a
            file that trains nothing.
        size: pixels a side after resizing, a power of two.
        skip_black: leave out images that are all black, or are after resizing, instead of refusing them.

    Returns:
        The images, float32 in [0, 1], and their labels, -1 where unknown.

    Raises:
        InputError: the file is missing or damaged, or holds what is no image or an all-black one.
    """
    check_size(size)
    _check_split(split)
    if source == "mnist":
        images, labels = _split_mnist(split)
        return resize(images, size), labels
    images, labels, _ = _load_split(Path(source), split, size, skip_black)
    return images, labels


def keys_of(
    source: str | Path, split: Split, *, size: int | None = None, skip_black: bool = False
) -> UInt64[np.ndarray, " images"]:
    """The keys of the images that `load_images` gives, in the same order.

    Args:
        source: `"mnist"`, or the path of an `.npz` file.
        split: which part of it.
        size: where black images are left out: as which they are, pixels a side; by default as they are stored.
        skip_black: whether they are left out.

    Raises:
        InputError: as `load_images`.
    """
    _check_split(split)
    if source == "mnist":
        return image_keys(_split_mnist(split)[0].numpy())
    return _load_split(Path(source), split, size, skip_black)[2]


def black_images(source: str | Path, *, size: int) -> list[int]:
    """Which images of a data set `skip_black` leaves out, by their index in the file.

    Raises:
        InputError: the file is missing or damaged, or holds no images.
    """
    check_size(size)
    if source == "mnist":
        return []
    pixels, _ = _read_pixels(Path(source))
    return np.flatnonzero(~_lit(_scale(pixels, size))).tolist()


def _check_split(split: str) -> None:
    if split not in get_args(Split):
        raise InputError(f"no split {split!r}: choose one of {', '.join(get_args(Split))}")


def _load_split(
    path: Path, split: Split, size: int | None, skip_black: bool
) -> tuple[Float[Tensor, "images height width"], Int[Tensor, " images"], UInt64[np.ndarray, " images"]]:
    """Images, labels and keys of one split of a file."""
    pixels, labels = _read_pixels(path)
    images = _scale(pixels, size)
    lit = _lit(images)
    if not (skip_black and lit.any()):
        _refuse_black(lit, name=f"{path}: ")
    kept = np.flatnonzero(lit)
    keys = image_keys(pixels[kept])
    try:
        chosen = split_by_key(keys, split)
    except InputError as error:
        raise InputError(f"{path} {error}") from error
    kept = kept[chosen]
    return images[torch.from_numpy(kept)], torch.from_numpy(labels[kept]), keys[chosen]


def _read_pixels(path: Path) -> tuple[Num[np.ndarray, "images height width"], Int[np.ndarray, " images"]]:
    pixels, labels = read_npz(path)
    _check_values(pixels, white=math.inf if pixels.dtype.kind in "bui" else WHITE, name=f"{path}: ")
    return pixels, labels


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


def load_npz(path: Path) -> tuple[Float[Tensor, "images height width"], Int[Tensor, " images"]]:
    """Load `images` and, if present, `labels` from a NumPy `.npz` file, divided by the brightest pixel of all.

    Raises:
        InputError: no such file, no `images` [N, H, W] in it, or values that are no pixels.
    """
    images, labels, _ = _load_split(path, "all", size=None, skip_black=False)
    return images, labels


def load_files(paths: Sequence[Path], *, size: int = 16) -> Float[Tensor, "images {size} {size}"]:
    """Load image files (PNG, JPEG, ...) as `read_picture` does, resized with antialiasing to `size` x `size`.

    Every picture is divided by its brightest pixel after resizing.

    Raises:
        InputError: a file is missing, is no image, or is all black.
    """
    return load_lit_files(paths, size=size)[1]


def load_lit_files(
    paths: Sequence[Path], *, size: int = 16, skip_black: bool = False
) -> tuple[list[Path], Float[Tensor, "images {size} {size}"]]:
    """Load image files as `load_files` does, but leave out those that are all black if asked to.

    Returns:
        The paths of the images that are left, and the images.

    Raises:
        InputError: a file is missing or is no image; or it is all black and not left out, or all of them are.
    """
    check_size(size)
    if not paths:
        raise InputError("no image file: give one at least")
    images = torch.cat([_scale(read_picture(path)[None], size) for path in paths])
    lit = _lit(images)
    if not (skip_black and lit.any()):
        black = [path for path, kept in zip(paths, lit, strict=True) if not kept]
        _refuse_black(lit, name=f"{listed(black, '')}: ")
    return [path for path, kept in zip(paths, lit, strict=True) if kept], images[torch.from_numpy(lit)]


def resize(images: Float[Tensor, "images height width"], size: int) -> Float[Tensor, "images {size} {size}"]:
    """Resize bilinearly with antialiasing, as torchvision's `resize` does; pixels stay in [0, 1].

    Raises:
        InputError: no batch of images, values outside [0, 1], or a size that is out of bounds.
    """
    check_tensor(images)
    check_pixels(images)
    size = whole(size, "image size", 1, MAX_SIZE)
    if images.shape[-2:] == (size, size):
        return images
    resized = interpolate(images[:, None], size=(size, size), mode="bilinear", antialias=True)
    return resized[:, 0].clamp(0, 1)


def check_size(size: int) -> None:
    """Refuse an image side that amplitude embedding on qubits cannot hold without padding.

    Raises:
        InputError: `size` is no power of two from 2 to `MAX_SIZE`.
    """
    size = whole(size, "image size", at_most=MAX_SIZE)
    if size < 2 or size & (size - 1):
        raise InputError(
            f"image size {shown(size)} is no power of two: amplitude embedding needs 2, 4, 8, 16, 32, ... pixels a side"
        )


def check_images(images: Float[Tensor, "images height width"]) -> None:
    """Refuse images whose values are no pixel intensities, or that have no direction as a quantum state.

    Raises:
        InputError: an image holds NaN or values outside [0, 1], or is all black; it is named by its index.
    """
    check_tensor(images)
    _check_values(images.numpy(), white=WHITE, name="")
    _refuse_black(_lit(images), name="")


def _check_values(images: Num[np.ndarray, "images height width"], *, white: float, name: str) -> None:
    low, high = images.min((1, 2)), images.max((1, 2))
    # NaN fails every comparison, so the good images are asked for rather than the bad ones.
    bad = np.flatnonzero(~((low >= 0) & (high <= white) & np.isfinite(high)))
    if not len(bad):
        return
    index = int(bad[0])
    what = "NaN" if np.isnan(low[index]) else f"values from {low[index]:g} to {high[index]:g}"
    more = f"; {listed(bad[1:])} cannot be used either" if len(bad) > 1 else ""
    raise InputError(
        f"{name}image {index} holds {what}: pixels must lie in [0, 1], or be whole numbers from 0 on; "
        f"divide bytes by 255, undo a normalization{more}"
    )


def _scale(
    pixels: Num[np.ndarray, "images height width"], size: int | None
) -> Float[Tensor, "images new_height new_width"]:
    """Resize to `size` pixels a side, if it is given, and divide by the brightest pixel of all."""
    # First to [0, 1] in double precision: integers do not divide, and the smallest floats have no float32.
    brightest = float(pixels.max()) or 1.0
    step = max(1, CHUNK // math.prod(pixels.shape[1:]))
    parts = []
    for start in range(0, len(pixels), step):
        part = torch.from_numpy((pixels[start : start + step].astype(np.float64) / brightest).astype(np.float32))
        parts.append(part if size is None else resize(part, size))
    images = torch.cat(parts)
    maximum = images.max()
    return images / maximum.where(maximum > 0, 1)


def _lit(images: Float[Tensor, "images height width"]) -> Bool[np.ndarray, " images"]:
    """Which images are not black, of a set of which the brightest pixel is 1."""
    return (images.amax((1, 2)) > BLACK).numpy()


def _refuse_black(lit: Bool[np.ndarray, " images"], *, name: str) -> None:
    black = np.flatnonzero(~lit)
    if not len(black):
        return
    are, they, them = ("is", "it has", "it") if len(black) == 1 else ("are", "they have", "them")
    if len(black) == len(lit):
        raise InputError(f"{name}{listed(black)} {are} all black, and there is no other: nothing is left to use")
    raise InputError(
        f"{name}{listed(black)} {are} all black: {they} no direction to embed as a quantum state; leave {them} out, "
        "or use --skip-black (skip_black=True)"
    )


def listed(items: Sequence[object] | np.ndarray, kind: str = "image") -> str:
    """Name things in a line, the first ten of many."""
    plural = "s" if kind and len(items) > 1 else ""
    some = ", ".join(map(str, items[:NAMED]))
    more = f" and {len(items) - NAMED:,} more" if len(items) > NAMED else ""
    return f"{kind}{plural} {some}{more}".strip()


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
