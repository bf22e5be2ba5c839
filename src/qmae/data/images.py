"""Loading images: a split of a data set, or picture files, resized to a power of two pixels a side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import get_args

import numpy as np
import torch
from jaxtyping import Float, Int, UInt64
from torch import Tensor

from qmae._values import check_size
from qmae.data.choices import Split
from qmae.data.datasets import Fingerprint, dataset
from qmae.data.image_files import read_picture
from qmae.data.pixels import is_lit, listed, refuse_black, scale
from qmae.errors import InputError


def load_images(
    source: str | Path = "mnist", *, split: Split = "test", size: int = 16, skip_black: bool = False
) -> tuple[Float[Tensor, "images {size} {size}"], Int[Tensor, " images"]]:
    """Load one split of a data set, resized with antialiasing to `size` x `size`.

    The images of a file are divided by the brightest pixel of all of them after resizing, whatever its data type:
    how much white is, a data type does not say. MNIST is divided by 255.

    Args:
        source: a name of `DATASETS`, such as `"mnist"`, which ships with the package, or the path of an `.npz` file
            that holds `images` [N, H, W] (whole numbers from 0 on, or floats in [0, 1]) and, if known, `labels` [N]
            (whole numbers from 0 on).
        split: `"train"`, `"validation"` or `"test"`. Of MNIST's 60,000 training images the last 5,000 are for
            validation. In an `.npz` file and in arrays a hash of every image decides (`split_by_key`): about a sixth
            is for testing, a twelfth for validation, and images that are added move no other. `"all"` is the whole of
            what has no splits of its own, and trains nothing.
        size: pixels a side after resizing, a power of two.
        skip_black: leave out images that are all black, or are after resizing, instead of refusing them.

    Returns:
        The images, float32 in [0, 1], and their labels, -1 where unknown.

    Raises:
        InputError: the file is missing or damaged, or holds what is no image or an all-black one.
    """
    check_size(size)
    _check_split(split)
    return dataset(source).load(split, size=size, skip_black=skip_black)


def keys_of(
    source: str | Path, split: Split, *, size: int | None = None, skip_black: bool = False
) -> UInt64[np.ndarray, " images"]:
    """The keys of the images that `load_images` gives, in the same order.

    Args:
        source: as of `load_images`.
        split: which part of it.
        size: where black images are left out: as which they are, pixels a side; by default as they are stored.
        skip_black: whether they are left out.

    Raises:
        InputError: as `load_images`.
    """
    _check_split(split)
    return dataset(source).keys(split, size=size, skip_black=skip_black)


def black_images(source: str | Path, *, size: int) -> list[int]:
    """Which images of a data set `skip_black` leaves out, by their index in it.

    Raises:
        InputError: the file is missing or damaged, or holds no images.
    """
    check_size(size)
    return dataset(source).black_images(size)


def _check_split(split: str) -> None:
    if split not in get_args(Split):
        raise InputError(f"no split {split!r}: choose one of {', '.join(get_args(Split))}")


def fingerprint(source: str | Path) -> Fingerprint | None:
    """The fingerprint of a data set; None for `"mnist"`, whose files are checked whenever they are read.

    Raises:
        InputError: the file is missing or damaged, or holds no images.
    """
    return dataset(source).fingerprint()


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
    images = torch.cat([scale(read_picture(path)[None], size) for path in paths])
    lit = is_lit(images)
    if not (skip_black and lit.any()):
        black = [path for path, kept in zip(paths, lit, strict=True) if not kept]
        refuse_black(lit, name=f"{listed(black, '')}: ")
    return [path for path, kept in zip(paths, lit, strict=True) if kept], images[torch.from_numpy(lit)]
