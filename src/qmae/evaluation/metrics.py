"""How close a reconstruction comes to the original: the paper's classical metrics (Section 4.2.2)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from qmae._values import Registry
from qmae.data.checks import check_alike, check_holes
from qmae.errors import InputError

SSIM_SIDE = 8
"""Pixels a side that SSIM needs at least."""

EXACT_PSNR = 100.0
"""A PSNR above this, in dB, is rounding: there is no error to measure."""

ROUNDING = 1e-5
"""A pixel below this share of its image's brightest one counts as black: it is rounding error."""


def scale_to_maximum(images: Float[Tensor, "*images height width"]) -> Float[Tensor, "*images height width"]:
    """Divide every image by its own maximum, as all are before SSIM and the classifier; black stays black."""
    maximum = images.amax(dim=(-2, -1), keepdim=True)
    return images / torch.where(maximum > 0, maximum, 1)


def cosine_similarity(
    reconstructions: Float[Tensor, "images height width"], originals: Float[Tensor, "images height width"]
) -> Float[Tensor, " images"]:
    """Cosine of the angle between reconstruction and original as vectors of pixels; 0 for a black reconstruction."""
    check_alike(reconstructions, originals)
    from torchmetrics.functional import cosine_similarity

    # The squares of very dark pixels would be 0.
    pair = (scale_to_maximum(images).flatten(1) for images in (reconstructions, originals))
    similarity = cosine_similarity(*pair, reduction="none").clamp(-1, 1)
    return similarity.where(_lit(reconstructions), 0)


def structural_similarity(
    reconstructions: Float[Tensor, "images height width"], originals: Float[Tensor, "images height width"]
) -> Float[Tensor, " images"]:
    """Structural similarity index (SSIM), both images scaled to their maximum; 0 for a black reconstruction.

    Computed by torchmetrics with a Gaussian window (sigma 1.5), images mirrored at their edges, and data range 1.

    Raises:
        InputError: images smaller than 8 x 8 pixels.
    """
    check_alike(reconstructions, originals)
    from torchmetrics.functional.image import structural_similarity_index_measure

    height, width = originals.shape[-2:]
    if min(height, width) < SSIM_SIDE:
        raise InputError(f"SSIM needs images of {SSIM_SIDE} x {SSIM_SIDE} pixels at least, not {height} x {width}")
    similarity = structural_similarity_index_measure(
        scale_to_maximum(reconstructions)[:, None],
        scale_to_maximum(originals)[:, None],
        data_range=1.0,
        reduction="none",
    )
    assert isinstance(similarity, Tensor)  # only with `return_full_image` is it a pair
    return similarity.where(_lit(reconstructions), 0)


def hole_fidelity(
    reconstructions: Float[Tensor, "images height width"],
    originals: Float[Tensor, "images height width"],
    hidden: Bool[Tensor, "images height width"],
) -> Float[Tensor, " images"]:
    """Squared cosine between reconstruction and original inside the hole alone; 0 for a hole left black.

    NaN where the original itself is black there, so that there is nothing to be like: where no pixel has more than
    `ROUNDING` of the brightness of the image's brightest one.
    """
    check_alike(reconstructions, originals)
    check_holes(originals, hidden)
    inside = [torch.where(hidden, images, 0) for images in (reconstructions, originals)]
    lit = inside[1].amax((1, 2)) > ROUNDING * originals.amax((1, 2))
    return torch.where(lit, cosine_similarity(*inside) ** 2, torch.nan)


def hole_error(
    reconstructions: Float[Tensor, "images height width"],
    originals: Float[Tensor, "images height width"],
    hidden: Bool[Tensor, "images height width"],
) -> Float[Tensor, " images"]:
    """Mean squared error inside the hole alone, both images scaled to their maximum."""
    check_alike(reconstructions, originals)
    check_holes(originals, hidden)
    error = (scale_to_maximum(reconstructions) - scale_to_maximum(originals)) ** 2
    return torch.where(hidden, error, 0).sum((1, 2)) / hidden.sum((1, 2))


def squared_error(
    reconstructions: Float[Tensor, "images height width"], originals: Float[Tensor, "images height width"]
) -> Float[Tensor, " images"]:
    """Mean squared error, both images scaled to their maximum."""
    check_alike(reconstructions, originals)
    return (scale_to_maximum(reconstructions) - scale_to_maximum(originals)).square().mean((1, 2))


def peak_signal_to_noise(
    reconstructions: Float[Tensor, "images height width"], originals: Float[Tensor, "images height width"]
) -> Float[Tensor, " images"]:
    """Peak signal-to-noise ratio (PSNR) in dB of every image, both scaled to their maximum, so that the peak is 1.

    For many images take `decibels` of the mean of `squared_error`, not the mean of these: the PSNR of an image without
    error is infinite, or decided by rounding.
    """
    return decibels(squared_error(reconstructions, originals))


def decibels(error: Float[Tensor, "*any"]) -> Float[Tensor, "*any"]:
    """PSNR of a mean squared error where the peak is 1: -10 log10 of it."""
    return -10 * error.log10()


def without_rounding(probabilities: Float[Tensor, "images height width"]) -> Float[Tensor, "images height width"]:
    """Set to 0 what is rounding error: amplitudes below `ROUNDING` of the largest of their image."""
    floor = ROUNDING**2 * probabilities.amax((1, 2), keepdim=True)
    return torch.where(probabilities > floor, probabilities, 0)


def composite(
    reconstructions: Float[Tensor, "images height width"],
    originals: Float[Tensor, "images height width"],
    hidden: Bool[Tensor, "images height width"],
) -> Float[Tensor, "images height width"]:
    """Keep the visible pixels and take the hole alone from the reconstruction.

    A reconstruction has no scale of its own: the embedding loses it. It gets the scale that fits the visible pixels
    best, in squared error.

    Returns:
        Images in the pixel values of the originals.
    """
    check_alike(reconstructions, originals)
    check_holes(originals, hidden)
    visible, seen = (torch.where(hidden, 0, images) for images in (originals, reconstructions))
    norm = seen.square().sum((1, 2))
    scale = (visible * seen).sum((1, 2)) / torch.where(norm > 0, norm, 1)
    return torch.where(hidden, scale[:, None, None] * reconstructions, originals)


def _lit(images: Tensor) -> Tensor:
    return images.flatten(1).any(1)


def known_mean(values: Float[Tensor, " images"]) -> float | None:
    """Mean over the images of which a value is known, that is not NaN; None if there is none."""
    unknown = values.isnan()
    if unknown.all():
        return None
    return (values.nanmean() if unknown.any() else values.mean()).item()


def known_psnr(errors: Float[Tensor, " images"]) -> float | None:
    """PSNR in dB of the mean over images of squared errors; None above `EXACT_PSNR`."""
    psnr = decibels(errors.mean()).item()
    return psnr if psnr < EXACT_PSNR else None


OfImages = Callable[
    [
        Float[Tensor, "images height width"],
        Float[Tensor, "images height width"],
        Bool[Tensor, "images height width"],
    ],
    Float[Tensor, " images"],
]
"""Values of images, from reconstructions, originals, and where these were hidden."""


@dataclass(frozen=True)
class Metric:
    """A number that says how good reconstructions are: a field of `Row`, or one of its `others`; a column of tables.

    Attributes:
        label: above its column.
        format: of its numbers, for `str.format`.
        higher_is_better: its direction.
        of: gives a value for every image, NaN where there is none. None if pixels alone do not give it.
        over_images: makes one number of these values, None if there is none; by default their mean.
        least_size: pixels a side that it needs at least.
    """

    label: str
    format: str = "{:.3f}"
    higher_is_better: bool = True
    of: OfImages | None = None
    over_images: Callable[[Float[Tensor, " images"]], float | None] = known_mean
    least_size: int = 1


METRICS: Registry[Metric] = Registry(
    "metric",
    Metric,
    {
        "fidelity": Metric("Fidelity"),
        "cosine_similarity": Metric("CS", of=lambda found, originals, _: cosine_similarity(found, originals)),
        "hole_fidelity": Metric("in the hole", of=hole_fidelity),
        "hole_error": Metric("MSE in the hole", higher_is_better=False, of=hole_error),
        "composite_fidelity": Metric("Composite"),
        "ssim": Metric(
            "SSIM",
            of=lambda found, originals, _: structural_similarity(found, originals),
            least_size=SSIM_SIDE,
        ),
        "psnr": Metric(
            "PSNR / dB",
            "{:.1f}",
            of=lambda found, originals, _: squared_error(found, originals),
            over_images=known_psnr,
        ),
        "accuracy": Metric("Accuracy", "{:.2%}"),
        "composite_accuracy": Metric("of the composite", "{:.2%}"),
    },
)
"""All metrics by their names, which are fields of `Row`, or keys of its `others` where a user registered them."""

BUILT_IN = tuple(METRICS)
"""Those that are fields of `Row`."""
