"""How close a reconstruction comes to the original: the paper's classical metrics (Section 4.2.2)."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from qmae.errors import InputError


def scale_to_maximum(images: Float[Tensor, "*images height width"]) -> Float[Tensor, "*images height width"]:
    """Divide every image by its own maximum, as all are before SSIM and the classifier; black stays black."""
    maximum = images.amax(dim=(-2, -1), keepdim=True)
    return images / torch.where(maximum > 0, maximum, 1)


def cosine_similarity(
    reconstructions: Float[Tensor, "images height width"], originals: Float[Tensor, "images height width"]
) -> Float[Tensor, " images"]:
    """Cosine of the angle between reconstruction and original as vectors of pixels; 0 for a black reconstruction."""
    from torchmetrics.functional import cosine_similarity

    similarity = cosine_similarity(reconstructions.flatten(1), originals.flatten(1), reduction="none")
    return similarity.where(_lit(reconstructions), 0)


def structural_similarity(
    reconstructions: Float[Tensor, "images height width"], originals: Float[Tensor, "images height width"]
) -> Float[Tensor, " images"]:
    """Structural similarity index (SSIM), both images scaled to their maximum; 0 for a black reconstruction.

    Computed by torchmetrics with a Gaussian window (sigma 1.5), images mirrored at their edges, and data range 1.

    Raises:
        InputError: images smaller than 8 x 8 pixels.
    """
    from torchmetrics.functional.image import structural_similarity_index_measure

    height, width = originals.shape[-2:]
    if min(height, width) < 8:
        raise InputError(f"SSIM needs images of 8 x 8 pixels at least, not {height} x {width}")
    similarity = structural_similarity_index_measure(
        scale_to_maximum(reconstructions)[:, None],
        scale_to_maximum(originals)[:, None],
        data_range=1.0,
        reduction="none",
    )
    assert isinstance(similarity, Tensor)  # only with `return_full_image` is it a pair
    return similarity.where(_lit(reconstructions), 0)


def _lit(images: Tensor) -> Tensor:
    return images.flatten(1).any(1)
