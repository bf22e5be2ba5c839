"""Searches of what a design reaches if its matrices are free."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from qmae.models.free import FreeConfig
from qmae.training.config import TrainingConfig
from qmae.training.runs import Run


def searches(
    folder: Path,
    config: FreeConfig,
    seeds: Sequence[int],
    *,
    epochs: int,
    data: str = "mnist",
    skip_black: bool = False,
) -> list[Run]:
    """Searches of the free matrices of a design, one for each seed: the best on validation images is what was found.

    Args:
        folder: the run folders go to `folder / "runs"`.
        config: the design and its masks.
        seeds: of the restarts.
        epochs: passes over the training images per search.
        data: what it is searched on.
        skip_black: leave out images that are all black.
    """
    rate = 0.003 if config.design.startswith("heralded") else 0.01
    return [
        Run(
            folder / "runs" / f"{config.design}-{config.patch.ratio:g}-seed{seed}",
            config,
            TrainingConfig(epochs, batch_size=512, learning_rate=rate, seed=seed),
            data,
            skip_black=skip_black,
        )
        for seed in seeds
    ]


def best_on_validation(runs: Sequence[Run]) -> Run:
    """The run of the best fidelity on validation images."""

    def found(run: Run) -> float:
        fidelity = run.history().column("validation_fidelity")[-1]
        return -math.inf if math.isnan(fidelity) else fidelity

    return max(runs, key=found)
