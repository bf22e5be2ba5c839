"""Masks: which patches of an image are hidden. The same seeded masks serve every model and baseline."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor

from qmae._values import check_keys, check_size, choice, number, settle, shown, whole
from qmae.data.checks import has_values
from qmae.data.choices import Placement
from qmae.errors import InputError


@dataclass(frozen=True)
class PatchMask:
    """Rectangular patches that are hidden from the model, one as in the paper or several, at positions drawn uniformly.

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
        choice(self.placement, "placement", Placement)
        ratio, pixels = number(self.ratio, "mask ratio"), int(self.image_size) ** 2
        settle(self, image_size=int(self.image_size), ratio=ratio)
        patches = whole(self.patches, "number of patches", at_most=pixels)
        settle(self, patches=patches)
        if patches < 1 or (patches > 1 and self.placement != "grid"):
            raise InputError(f"{patches} patches cannot be placed {self.placement}: take 1, or several on a grid")
        # A power of two has the mantissa 0.5.
        mantissa, exponent = math.frexp(ratio / patches)
        if not 0 < ratio < 1 or mantissa != 0.5 or exponent > 0 or pixels * ratio < patches:
            share = "ratio" if patches == 1 else f"ratio / {patches} patches ="
            raise InputError(
                f"mask {share} {ratio / patches:g} is no supported patch: choose 0.5, 0.25, 0.125 or a "
                f"smaller power of 1/2 that leaves at least one of {self.image_size} x {self.image_size} pixels"
            )

    @classmethod
    def from_dict(cls, values: Any) -> PatchMask:
        """Rebuild a patch from `dataclasses.asdict`, as it stands in `config.json`.

        Raises:
            InputError: a setting is missing, unknown, of a wrong type or out of bounds.
        """
        return cls(**check_keys(values, cls, "the patch's config"))

    @property
    def positions(self) -> int:
        """How many positions a patch has."""
        strides = self.shape if self.placement == "grid" else (1, 1)
        return math.prod(
            (self.image_size - extent) // stride + 1 for extent, stride in zip(self.shape, strides, strict=True)
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
        """Draw the positions for each of `count` images, uniformly.

        Raises:
            InputError: `count` is no whole number from 0 on, or `generator` none of torch's on the CPU.
        """
        count = whole(count, "number of images", 0)
        if not isinstance(generator, torch.Generator) or generator.device.type != "cpu":
            raise InputError("masks are drawn by a generator on the CPU: give torch.Generator().manual_seed(0)")
        if self.patches == 1:
            return Masks(self, torch.randint(self.positions, (count,), generator=generator, device="cpu"))
        # In single precision, so that a seed means the same masks whatever the default.
        numbers = torch.rand(count, self.positions, generator=generator, dtype=torch.float32, device="cpu")
        order = numbers.argsort(1)
        return Masks(self, order[:, : self.patches].sort(1).values)

    def at(self, position: int, count: int) -> Masks:
        """The same position for all of `count` images.

        Raises:
            InputError: no such position, or several patches, for which a position is not one number.
        """
        position, count = whole(position, "mask position"), whole(count, "number of images", 0)
        if self.patches > 1:
            raise InputError(f"a position does not say where {self.patches} patches lie: draw them by a seed")
        if not 0 <= position < self.positions:
            raise InputError(f"no mask position {shown(position)}: this patch has positions 0 to {self.positions - 1}")
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
        np.arange(0, patch.image_size - extent + 1, stride) for extent, stride in zip(patch.shape, strides, strict=True)
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


@dataclass(frozen=True, eq=False)
class Masks:
    """The masks of a batch of images. They iterate as masks of one image each.

    Attributes:
        patch: the kind of patch.
        position: which of the patch's positions is hidden in each image, Int [batch]; with several patches
            Int [batch, patches], ascending.

    Raises:
        InputError: positions that are no tensor of integers, that do not exist, of a shape that does not fit the
            patch, or, of several patches of an image, that are the same.
    """

    patch: PatchMask
    position: Int[Tensor, "batch *patches"]

    def __post_init__(self) -> None:
        if not isinstance(self.patch, PatchMask):
            raise InputError(f"patch {shown(self.patch)} is no PatchMask: give one")
        patches, position = self.patch.patches, self.position
        if not isinstance(position, Tensor) or position.dtype not in _INTEGERS:
            kind = position.dtype if isinstance(position, Tensor) else type(position).__name__
            raise InputError(f"mask positions are of type {kind}: give a torch tensor of integers")
        ndim = 1 if patches == 1 else 2
        if position.ndim != ndim or position.shape[1:] != (patches,)[: ndim - 1]:
            wanted = "[images]" if patches == 1 else f"[images, {patches}]"
            raise InputError(f"mask positions have shape {list(position.shape)}: {patches} of an image need {wanted}")
        position = position.long() if patches == 1 else position.long().sort(1).values
        if position.numel() and has_values(position):
            low, high = (int(value) for value in position.aminmax())
            if low < 0 or high >= self.patch.positions:
                wrong = low if low < 0 else high
                raise InputError(f"no mask position {wrong}: this patch has positions 0 to {self.patch.positions - 1}")
            if patches > 1 and not position.diff(dim=1).all():
                raise InputError("two patches of an image have the same position: give each a position of its own")
        settle(self, position=position)

    @property
    def hidden(self) -> Bool[Tensor, "batch size size"]:
        """True where a pixel is hidden."""
        holes = self.patch.holes.to(self.position.device)[self.position]
        return holes if self.position.ndim == 1 else holes.any(1)

    def __len__(self) -> int:
        return len(self.position)

    def __eq__(self, other: object) -> bool:
        """Whether the same patches hide the same positions, on the same device."""
        if not isinstance(other, Masks):
            return NotImplemented
        same_device = self.position.device == other.position.device
        return same_device and self.patch == other.patch and torch.equal(self.position, other.position)

    __hash__ = None  # pyright: ignore[reportAssignmentType] tensors change

    def __iter__(self) -> Iterator[Masks]:
        return (self[index] for index in range(len(self)))

    def __getitem__(self, index: Any) -> Masks:
        """Masks of a part of the batch; those of one image are still a batch.

        Args:
            index: a whole number, a slice, or a list, array or tensor of whole numbers or of as many booleans.

        Raises:
            InputError: anything else, or an image that is not there.
        """
        return Masks(self.patch, self.position[_rows(index, len(self), self.position.device)])

    def to(self, device: torch.device | str) -> Masks:
        """The same masks on another device.

        Raises:
            InputError: there is no such device.
        """
        try:
            return Masks(self.patch, self.position.to(torch.device(device)))
        except (RuntimeError, AssertionError, TypeError) as error:  # which of them differs by backend
            raise InputError(f"masks cannot be moved to device {shown(device)}: {error}") from error


_INTEGERS = {torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64}


def _rows(index: Any, count: int, device: torch.device) -> Int[Tensor, " rows"]:
    """Turn an index of a batch into the numbers of its rows.

    Raises:
        InputError: it is none, or out of bounds.
    """
    why = f"masks of {count} images take no index {shown(index)}: give a whole number, a slice, or a list of them"
    try:
        if isinstance(index, slice):
            return torch.arange(count, device=device)[list(range(*index.indices(count)))]
        if not isinstance(index, Tensor) and np.ndim(index) > 1:
            raise InputError(why)
        rows = torch.as_tensor(index, device=device)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(why) from error
    if isinstance(index, bool | tuple) or rows.ndim > 1:
        raise InputError(why)
    if rows.dtype == torch.bool and rows.shape == (count,):
        return rows.nonzero()[:, 0]
    if not rows.numel():
        return rows.new_zeros(0, dtype=torch.long)
    rows = rows.long().view(-1) if rows.dtype in _INTEGERS else None
    if rows is None or (has_values(rows) and not ((rows >= -count) & (rows < count)).all()):
        raise InputError(why)
    return rows
