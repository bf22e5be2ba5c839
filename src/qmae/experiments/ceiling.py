"""Searches of what a design reaches if its matrices are free."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol, TypeVar, runtime_checkable

from qmae.models.free import FreeConfig
from qmae.training.config import TrainingConfig
from qmae.training.history import History


@runtime_checkable
class Searched(Protocol):
    """A training that keeps its history."""

    def history(self) -> History:
        """Its history."""
        ...


Search = TypeVar("Search", bound=Searched)


def searches(config: FreeConfig, seeds: Sequence[int], *, epochs: int) -> dict[str, TrainingConfig]:
    """Searches of the free matrices of a design, one for each seed: the best on validation images is what was found.

    Args:
        config: the design and its masks.
        seeds: of the restarts.
        epochs: passes over the training images per search.

    Returns:
        The settings of every search, by the name of its run folder.
    """
    rate = 0.003 if config.heralded else 0.01
    return {
        f"{config.design}-{config.patch.ratio:g}-seed{seed}": TrainingConfig(
            epochs, batch_size=512, learning_rate=rate, seed=seed
        )
        for seed in seeds
    }


def best_on_validation(runs: Sequence[Search]) -> Search:
    """The run of the best fidelity on validation images."""

    def found(run: Search) -> float:
        fidelity = run.history().column("validation_fidelity")[-1]
        return -math.inf if math.isnan(fidelity) else fidelity

    return max(runs, key=found)
