"""Images and masks that belong together."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from qmae.data.checks import PRECISIONS, check_pixels, check_tensor, has_values
from qmae.data.masks import Masks
from qmae.errors import InputError


def check_batch(
    images: Any, masks: Any, *, size: int | None = None, like: Tensor | None = None
) -> Float[Tensor, "batch size size"]:
    """Refuse images and masks that do not fit each other or the model, whatever the pixels' values.

    Args:
        images: what should be Float [N, size, size].
        masks: what should be `Masks` of N images of this size.
        size: pixels a side that the model is made for; None where any will do.
        like: a parameter of the model, where there is one.

    Returns:
        The images in the precision of `like`; without it as they are, or float32 for what is shorter.

    Raises:
        InputError: images that `check_tensor` refuses; masks that are no `Masks`, or of another number or size; images,
            masks and model that lie on different devices; or a model of half precision.
    """
    check_tensor(images)
    if not isinstance(masks, Masks):
        raise InputError(f"masks are of type {type(masks).__name__}: draw them by PatchMask.sample or PatchMask.at")
    shape, own = list(images.shape), masks.patch.image_size
    if shape[1:] != [own, own] or size not in (None, own):
        sizes = f"images have {shape[1]} x {shape[2]} pixels, masks {own} x {own}"
        made_for = "" if size is None else f", and the model is made for {size} x {size}"
        raise InputError(f"{sizes}{made_for}: make them of one size")
    if len(masks) != len(images):
        raise InputError(f"{len(images)} images and {len(masks)} masks: give one mask for each image")
    places = {"images": images.device, "masks": masks.position.device} | (
        {} if like is None else {"model": like.device}
    )
    if len(set(places.values())) > 1:
        found = ", ".join(f"{name} on {device}" for name, device in places.items())
        raise InputError(f"{found}: move them to one device by .to(device)")
    if images.is_inference() and not torch.is_inference_mode_enabled():
        images = images.clone()  # autograd keeps no tensor of inference mode
    if like is None:
        return images if images.dtype in PRECISIONS else images.float()
    if like.dtype not in PRECISIONS:
        raise InputError(f"the model's parameters are {like.dtype}, too short to compute with: call model.float()")
    return images.to(like.dtype)


def check_visible(images: Float[Tensor, "batch size size"], masks: Masks, *, at_least: float = 0.0) -> None:
    """Refuse pixel values that no mask hides and that are none; images may be whole or masked already.

    What is hidden is not used and may be anything.

    Args:
        images: of which the visible pixels are in [0, 1].
        masks: one per image.
        at_least: as of `check_pixels`, for whole images. Of masked ones, in which nothing hidden is lit, two thirds of
            it are asked for; of those more than half of which is hidden nothing, as there may be nothing lit left.

    Raises:
        InputError: as `check_pixels`.
    """
    if not (has_values(images) and has_values(masks.position)):
        return
    hidden = masks.hidden
    check_pixels(images.masked_fill(hidden, 0))
    given = images.detach().nan_to_num(0, 0, 0).clamp(0, 1)
    if bool((given * hidden).any()):
        check_pixels(given, at_least=at_least)
    elif masks.patch.ratio <= 0.5:
        # What is left of some is dim: the brightest image speaks for all.
        check_pixels(given[given.flatten(1).amax(1).argmax()][None], at_least=at_least * 2 / 3)


def hide(images: Float[Tensor, "batch size size"], masks: Masks) -> Float[Tensor, "batch size size"]:
    """Set the hidden pixels to 0: all that a model or a baseline may see of an image.

    Raises:
        InputError: images and masks that do not fit each other.
    """
    return check_batch(images, masks).masked_fill(masks.hidden, 0)
