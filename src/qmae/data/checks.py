"""Checks of images and masks at every public entry: what is accepted is right, what is not is refused in one line."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch._C import _functorch  # pyright: ignore[reportAttributeAccessIssue]

from qmae.errors import InputError

WHITE = 1 + 1e-6
"""The brightest pixel that is accepted: 1, and what rounding adds to it."""


PRECISIONS = torch.float32, torch.float64
"""What models compute in."""


def brightest_of(size: int) -> float:
    """How bright the brightest pixel of any batch of originals is at the least.

    The token is in units of pixel values, so that dark images give silently worse results than those that a model is
    made for. Resizing with antialiasing dims thin strokes: the dimmest of MNIST's images has its maximum at 0.45 at
    16 x 16 pixels, 0.23 at 8 x 8, 0.086 at 4 x 4 and 0.042 at 2 x 2. These bounds lie just below; those of images that
    were divided by 255 twice, or multiplied by 0.1, do not reach them.
    """
    return min(0.4, size / 50)


def check_tensor(images: Any, *, what: str = "images") -> None:
    """Refuse what is no batch of images: three dimensions of floats, at least one image and one pixel.

    Args:
        images: what should be Float [N, height, width].
        what: their name in the message.

    Raises:
        InputError: no tensor, another data type or shape, or an empty batch.
    """
    if not isinstance(images, Tensor):
        raise InputError(f"{what} are of type {type(images).__name__}: give a torch tensor, as torch.as_tensor makes")
    if images.layout != torch.strided or images.is_nested or images.is_meta:
        raise InputError(f"{what} are sparse, nested or without values: give a dense tensor [N, height, width]")
    kind = str(images.dtype).removeprefix("torch.")
    if not images.is_floating_point():
        mend = "use .float()" if images.dtype == torch.bool else "divide by what white is, 255 for bytes"
        raise InputError(f"{what} are {kind}: pixels must be floats in [0, 1]; {mend}")
    shape = list(images.shape)
    if images.ndim == 4 and shape[1] == 1:
        raise InputError(f"{what} of shape {shape} have a channel axis: give {what}[:, 0], of shape [N, height, width]")
    if images.ndim == 2:
        raise InputError(f"{what} of shape {shape} lack the axis of the batch: give {what}[None] for one image")
    if images.ndim != 3:
        raise InputError(f"{what} have shape {shape}: give grayscale images [N, height, width]")
    if not images.numel():
        raise InputError(f"{what} of shape {shape} hold no pixel: give one image at least")


def check_pixels(images: Float[Tensor, "batch height width"], *, at_least: float = 0.0, what: str = "images") -> None:
    """Refuse values that are no pixel intensities. What depends on values is not asked for under `torch.func.vmap`.

    Args:
        images: in [0, 1].
        at_least: what the brightest pixel of most images must reach, `brightest_of` for originals; black ones pass.
        what: their name in the message.

    Raises:
        InputError: an image, which is named by its index, holds NaN, infinity or values outside [0, 1]; or most of the
            images are far too dark to be scaled as they should be.
    """
    if not has_values(images):
        return
    low, high = (float(value) for value in images.detach().aminmax())
    if not (low >= 0 and high <= WHITE):
        raise InputError(_bad_pixels(images.detach(), what))
    if at_least and high > 0:
        # The median, as a single bright pixel says nothing of all others.
        brightest = images.detach().flatten(1).amax(1)
        usual = float(brightest[brightest > 0].median())
        if usual < at_least:
            raise InputError(
                f"the brightest pixel of {what} is {usual:.3g}, white is 1: they are scaled wrongly; divide by their "
                "maximum"
            )


def _bad_pixels(images: Float[Tensor, "batch height width"], what: str) -> str:
    low, high = images.flatten(1).amin(1), images.flatten(1).amax(1)
    # NaN fails every comparison, so the good images are asked for rather than the bad ones.
    bad = (~((low >= 0) & (high <= WHITE))).nonzero()[:, 0].tolist()
    more = f" (and {len(bad) - 1} more)" if len(bad) > 1 else ""
    if not images[bad[0]].isfinite().all():
        return f"{what}: image {bad[0]}{more} holds NaN or infinity; leave it out"
    found = f"values from {low[bad[0]]:g} to {high[bad[0]]:g}"
    mend = "undo the normalization" if low[bad[0]] < 0 else "divide by the maximum, bytes by 255"
    return f"{what}: image {bad[0]}{more} holds {found}; pixels must lie in [0, 1]: {mend}"


def check_lit(images: Float[Tensor, "batch height width"]) -> None:
    """Refuse an image that has no direction as a quantum state.

    Raises:
        InputError: an image is all black; it is named by its index.
    """
    lit = images.detach().flatten(1).any(1)
    if has_values(lit) and not lit.all():
        black = (~lit).nonzero()[:, 0].tolist()
        more = f" (and {len(black) - 1} more)" if len(black) > 1 else ""
        raise InputError(
            f"image {black[0]}{more} is all black: it has no direction to embed as a quantum state; leave it out"
        )


def check_alike(
    reconstructions: Float[Tensor, "images height width"], originals: Float[Tensor, "images height width"]
) -> None:
    """Refuse images that cannot be compared with each other.

    Args:
        reconstructions: on any scale.
        originals: of the same shape.

    Raises:
        InputError: images that `check_tensor` refuses, of different shapes or devices, or that are not finite.
    """
    for images, what in ((reconstructions, "reconstructions"), (originals, "originals")):
        check_tensor(images, what=what)
        if not images.isfinite().all():
            raise InputError(f"{what} hold NaN or infinity: leave such images out")
    shapes, places = (list(originals.shape), list(reconstructions.shape)), (originals.device, reconstructions.device)
    if shapes[0] != shapes[1] or places[0] != places[1]:
        raise InputError(
            f"reconstructions of shape {shapes[1]} on {places[1]} and originals of shape {shapes[0]} on {places[0]} "
            "cannot be compared: give as many of the same size on the same device"
        )


def check_labels(labels: Any, count: int) -> Int[Tensor, " images"]:
    """Refuse what is no label for each of some images.

    Args:
        labels: what should be whole numbers [N] from -1 on, which is an unknown one.
        count: N.

    Returns:
        The labels as int64.

    Raises:
        InputError: no tensor of whole numbers, another number of them, or one below -1.
    """
    if (
        not isinstance(labels, Tensor)
        or labels.is_floating_point()
        or labels.is_complex()
        or labels.dtype == torch.bool
    ):
        kind = str(labels.dtype) if isinstance(labels, Tensor) else type(labels).__name__
        raise InputError(f"labels are of type {kind}: give a tensor of whole numbers, -1 where unknown")
    if labels.shape != (count,):
        raise InputError(f"{count} images and labels of shape {list(labels.shape)}: give one for each image")
    labels = labels.long()
    if count and labels.min() < -1:
        raise InputError(f"an image has the label {int(labels.min())}: give whole numbers from 0, -1 where unknown")
    return labels


def check_holes(originals: Float[Tensor, "images height width"], hidden: Any) -> None:
    """Refuse hidden pixels that are not those of the images.

    Args:
        originals: the images.
        hidden: what should be Bool of their shape, with something hidden in every image.

    Raises:
        InputError: another type, shape or device, or an image of which nothing is hidden.
    """
    shape = list(originals.shape)
    if not isinstance(hidden, Tensor) or hidden.dtype != torch.bool or hidden.shape != originals.shape:
        found = f"{hidden.dtype} {list(hidden.shape)}" if isinstance(hidden, Tensor) else type(hidden).__name__
        raise InputError(f"hidden pixels are {found}: give a boolean tensor {shape}, as Masks.hidden is")
    if hidden.device != originals.device or not hidden.flatten(1).any(1).all():
        raise InputError("hidden pixels lie on another device, or an image has none: give a hole in every image")


def usable_device(device: Any) -> torch.device:
    """Return a device on which tensors can be made.

    Args:
        device: `torch.device` or its name.

    Raises:
        InputError: there is none of this name, or it holds no values.
    """
    try:
        found = torch.device(device)
        torch.empty(1, device=found)
    except (RuntimeError, AssertionError, NotImplementedError, TypeError) as error:
        raise InputError(f"no device {device} is at hand: choose cpu") from error
    if found.type == "meta":
        raise InputError("the device meta holds no numbers: choose cpu")
    return found


def has_values(tensor: Tensor) -> bool:
    """Whether a tensor's values can be asked for: not under `torch.func.vmap`, nor on the device `meta`."""
    while _functorch.is_functorch_wrapped_tensor(tensor):
        if _functorch.is_batchedtensor(tensor):
            return False
        tensor = _functorch.get_unwrapped(tensor)
    return not tensor.is_meta
