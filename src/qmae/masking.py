"""Masks: which patches of an image are hidden. The same seeded masks serve every model and baseline."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import get_args

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from qmae.errors import InputError
from qmae.images import check_size
from qmae.settings import Placement


@dataclass(frozen=True)
class PatchMask:
    """Rectangular patches that are hidden from the model, one as in the paper or several, at places drawn uniformly.

    Attributes:
        image_size: pixels a side, a power of two.
        ratio: hidden share of the pixels. That of one patch must be 1/2, 1/4, 1/8, ...; it is as square as a power
            of two allows, and wide rather than high: at 16 pixels 50% is 8 x 16, 25% 8 x 8, 12.5% 4 x 8.
        placement: `"grid"` or `"anywhere"`.
        patches: how many patches make up the hidden share, all different, on a grid where there are several; 12 at a
            ratio of 0.75 are 12 of the 16 patches of 4 x 4 pixels.

    Raises:
        InputError: a size, ratio, placement or number of patches that is not supported.
    """

    image_size: int = 16
    ratio: float = 0.25
    placement: Placement = "grid"
    patches: int = 1

    def __post_init__(self) -> None:
        check_size(self.image_size)
        if self.placement not in get_args(Placement):
            raise InputError(f"no placement {self.placement!r}: choose one of {', '.join(get_args(Placement))}")
        if self.patches < 1 or (self.patches > 1 and self.placement != "grid"):
            raise InputError(f"{self.patches} patches cannot be placed {self.placement}: take 1, or several on a grid")
        halvings = -math.log2(self.ratio / self.patches) if 0 < self.ratio < 1 else 0.0
        if halvings < 1 or not halvings.is_integer() or halvings > 2 * math.log2(self.image_size):
            share = "ratio" if self.patches == 1 else f"ratio / {self.patches} patches ="
            raise InputError(
                f"mask {share} {self.ratio / self.patches:g} is no supported patch: choose 0.5, 0.25, 0.125 or a "
                f"smaller power of 1/2 that leaves at least one of {self.image_size} x {self.image_size} pixels"
            )

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of a patch in pixels."""
        halvings = round(-math.log2(self.ratio / self.patches))
        return self.image_size >> (halvings + 1) // 2, self.image_size >> halvings // 2

    @property
    def corners(self) -> Int[Tensor, "positions 2"]:
        """Row and column of the patch's upper left pixel, for every position."""
        return torch.from_numpy(_corners(self)).clone()

    @property
    def holes(self) -> Bool[Tensor, "positions size size"]:
        """True where a patch hides the image, for every position."""
        return torch.from_numpy(_holes(self)).clone()

    def sample(self, count: int, *, generator: torch.Generator) -> Masks:
        """Draw the positions for each of `count` images, uniformly."""
        if self.patches == 1:
            drawn = torch.randint(len(self.corners), (count,), generator=generator, device=generator.device)
            return Masks(self, drawn)
        # In single precision, so that a seed means the same masks whatever the default.
        single = {"dtype": torch.float32, "device": generator.device}
        order = torch.rand(count, len(self.corners), generator=generator, **single).argsort(1)
        return Masks(self, order[:, : self.patches].sort(1).values)

    def at(self, position: int, count: int) -> Masks:
        """The same position for all of `count` images.

        Raises:
            InputError: no such position, or several patches, for which a position is not one number.
        """
        if self.patches > 1:
            raise InputError(f"a position does not say where {self.patches} patches lie: draw them by a seed")
        if not 0 <= position < len(self.corners):
            raise InputError(f"no mask position {position}: this patch has positions 0 to {len(self.corners) - 1}")
        return Masks(self, torch.full((count,), position, device="cpu"))

    def token_index(self, token_shape: tuple[int, int]) -> Int[Tensor, "positions size size"]:
        """Say which pixel of a token lies under every pixel of the image, for every position.

        The token is repeated as tiles are. Under `grid` the tiling is that of the image, under `anywhere`
        it starts at the patch's corner; a token of the patch's own shape just fills the hole either way.

        Args:
            token_shape: height and width of the token in pixels.

        Returns:
            Indices into the flattened token; only those inside the hole mean anything.
        """
        return torch.from_numpy(_token_index(self, token_shape)).clone()


# What every step needs of a patch is kept as arrays: a tensor would bring the context in which it was made, such as
# inference mode, to the next caller.
@lru_cache(maxsize=64)
def _corners(patch: PatchMask) -> Int[np.ndarray, "positions 2"]:
    strides = patch.shape if patch.placement == "grid" else (1, 1)
    rows, columns = (
        np.arange(0, patch.image_size - extent + 1, stride)
        for extent, stride in zip(patch.shape, strides, strict=True)
    )
    return np.stack(np.meshgrid(rows, columns, indexing="ij"), -1).reshape(-1, 2)


@lru_cache(maxsize=16)
def _holes(patch: PatchMask) -> Bool[np.ndarray, "positions size size"]:
    pixel = np.arange(patch.image_size)
    (top, left), (height, width) = _corners(patch).T[..., None], patch.shape
    rows = (pixel >= top) & (pixel < top + height)
    columns = (pixel >= left) & (pixel < left + width)
    return rows[:, :, None] & columns[:, None, :]


@lru_cache(maxsize=16)
def _token_index(patch: PatchMask, token_shape: tuple[int, int]) -> Int[np.ndarray, "positions size size"]:
    pixel, corners = np.arange(patch.image_size), _corners(patch)
    origin = corners if patch.placement == "anywhere" else np.zeros_like(corners)
    rows = (pixel - origin[:, :1]) % token_shape[0]
    columns = (pixel - origin[:, 1:]) % token_shape[1]
    return rows[:, :, None] * token_shape[1] + columns[:, None, :]


@dataclass(frozen=True)
class Masks:
    """The masks of a batch of images.

    Attributes:
        patch: the kind of patch.
        position: which of the patch's positions is hidden in each image, Int [batch]; with several patches
            Int [batch, patches], ascending.
    """

    patch: PatchMask
    position: Int[Tensor, "batch *patches"]

    @property
    def hidden(self) -> Bool[Tensor, "batch size size"]:
        """True where a pixel is hidden."""
        holes = self.patch.holes.to(self.position.device)[self.position]
        return holes if self.position.ndim == 1 else holes.any(1)

    def __len__(self) -> int:
        return len(self.position)

    def __getitem__(self, index: slice | Tensor) -> Masks:
        """Masks of a part of the batch."""
        return Masks(self.patch, self.position[index])

    def to(self, device: torch.device | str) -> Masks:
        """The same masks on another device."""
        return Masks(self.patch, self.position.to(device))


def hide(images: Float[Tensor, "batch size size"], masks: Masks) -> Float[Tensor, "batch size size"]:
    """Set the hidden pixels to 0: all that a model or a baseline may see of an image."""
    return images.masked_fill(masks.hidden, 0)
