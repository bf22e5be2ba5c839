"""How far a mean over test images can be trusted: bootstrap over the images."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from torch import Tensor

from qmae.errors import InputError

RESAMPLES = 2_000

DRAWN_AT_ONCE = 2**20
"""Values that are drawn at a time, so that memory stays bounded for many images, too."""


def bootstrap_interval(values: Float[Tensor, " images"], *, level: float = 0.95, seed: int = 0) -> tuple[float, float]:
    """Percentile interval of the mean (Efron 1979), the images drawn anew with replacement.

    Of two models on the same images, give the differences image by image: that is the paired interval, which leaves out
    how hard the images are.

    Args:
        values: one per image; NaN is left out.
        level: probability to hold the true mean.
        seed: of the drawing.

    Returns:
        Lower and upper end; both are the value itself if there is only one.

    Raises:
        InputError: no value is known.
    """
    from scipy.stats import bootstrap

    known = values[~values.isnan()].double().numpy()
    if not len(known):
        raise InputError("no value is known: an interval of a mean needs one at least")
    if len(known) < 2:
        return float(known.mean()), float(known.mean())
    drawn = bootstrap(
        (known,),
        np.mean,
        n_resamples=RESAMPLES,
        batch=max(1, min(100, DRAWN_AT_ONCE // len(known))),
        confidence_level=level,
        method="percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return float(drawn.low), float(drawn.high)
