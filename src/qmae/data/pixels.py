"""Pixels as they are stored, made images in [0, 1]: checking, resizing, scaling, and which are black."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float, Num
from torch import Tensor
from torch.nn.functional import interpolate

from qmae._values import MAX_SIZE, whole
from qmae.data.checks import check_pixels, check_tensor
from qmae.data.splits import CHUNK
from qmae.errors import InputError

BLACK = 1e-6
"""An image is black if no pixel exceeds this share of the brightest of its data set: its norm would be rounding."""

NAMED = 10
"""Of so many images or files a message says which."""


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


def check_values(images: Num[np.ndarray, "images height width"], *, white: float, name: str) -> None:
    """Refuse values that are no pixels.

    Args:
        images: as they are stored.
        white: the largest value that is one.
        name: of the data set in the message, with a colon behind it.

    Raises:
        InputError: an image holds NaN, infinity or values outside [0, white]; it is named by its index.
    """
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


def scale(
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


def is_lit(images: Float[Tensor, "images height width"]) -> Bool[np.ndarray, " images"]:
    """Which images are not black, of a set of which the brightest pixel is 1."""
    return (images.amax((1, 2)) > BLACK).numpy()


def refuse_black(lit: Bool[np.ndarray, " images"], *, name: str) -> None:
    """Refuse images that have no direction as a quantum state.

    Args:
        lit: which are not black.
        name: of the data set in the message, with a colon behind it.

    Raises:
        InputError: an image is all black.
    """
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
