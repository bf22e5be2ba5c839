"""Statistics of shots: how many are kept, and how far measured shares are from probabilities."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from jaxtyping import Float, Int

Counts = tuple[Int[np.ndarray, " counts"], Float[np.ndarray, " counts"]]
"""Numbers of shots and the probability of each."""

STEPS = 400
"""A mean over the number of kept shots takes so many values; where more are possible, every second, third, ... one."""


def shots_kept(shots: int, success: float) -> Counts:
    """How many shots are kept, if at least one is: without any there is no estimate.

    Args:
        shots: how many are taken.
        success: the probability that one is kept.

    Returns:
        The possible numbers, up to eight standard deviations from the mean, and their probabilities by the binomial
        distribution.
    """
    from scipy.stats import binom

    if success >= 1:
        return np.array([shots]), np.ones(1)
    success = max(success, 1e-300)
    middle, width = shots * success, 8 * (math.sqrt(shots * success * (1 - success)) + 1)
    low, high = max(1, math.floor(middle - width)), min(shots, math.ceil(middle + width))
    counts = np.arange(low, high + 1, max(1, (high - low) // STEPS))
    weights = binom.pmf(counts, shots, success)
    return counts, weights / weights.sum()


def effective_shots(shots: int, success: float) -> float:
    """The number N for which a share's variance is p (1 - p) / N: 1 / mean(1 / kept), all shots if all are kept."""
    counts, weights = shots_kept(shots, success)
    return float(1 / (weights / counts).sum())


def expected_variation(probabilities: Float[np.ndarray, " dim"], shots: int | None, success: float = 1.0) -> float:
    """How far counted shares are from the probabilities they estimate, on average: mean total variation.

    Half the sum of the mean absolute deviations of binomial distributions, each of which de Moivre gave in closed form:
    E|k - Np| = 2 m (1 - p) P(m) with m = floor(Np) + 1 (Diaconis and Zabell 1991, Closed form summation for classical
    distributions).

    Args:
        probabilities: exact ones of all outcomes.
        shots: N; None for exact values.
        success: share of the shots that are kept; the mean is taken over how many are.

    Returns:
        From 0 to 1.
    """
    from scipy.stats import binom

    if shots is None:
        return 0.0
    counts, weights = shots_kept(shots, success)
    share, kept = np.clip(probabilities, 0, 1), counts[:, None]
    above = np.floor(kept * share) + 1
    deviations = 2 * above * (1 - share) * binom.pmf(above, kept, share) / kept
    return float(weights @ deviations.sum(1) / 2)


def share_error(share: Any, shots: int | None, success: float = 1.0) -> Any:
    """Standard error sqrt(p (1 - p) / N) of the share p of the kept shots that have some outcome.

    The share is taken as (k + 1) / (N + 2), so that a few shots that all agree do not pass for certainty.

    Args:
        share: p, a number or an array.
        shots: how many are taken; None for exact values, which have no error.
        success: share of the shots that are kept: these are N.
    """
    if shots is None:
        return np.zeros_like(share, dtype=float)[()]
    kept = effective_shots(shots, success)
    smoothed = (np.clip(share, 0, 1) + 1 / kept) / (1 + 2 / kept)
    return np.sqrt(smoothed * (1 - smoothed) / kept)
