"""Equal tuning: for every model that is trained the same search, with the same number of trials, on validation images.

"Better than classical?" (Bowles, Ahmed and Schuld 2024, arXiv 2403.07059) shows what becomes of comparisons without it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from qmae._progress import Progress, silent
from qmae.data.masks import PatchMask
from qmae.errors import DivergenceError, InputError, install_hint
from qmae.models.registry import preset_config
from qmae.training.config import TrainingConfig
from qmae.training.runs import Run

LEARNING_RATES = (5e-4, 0.2)
"""Where the peak of the schedule is searched."""

BATCH_SIZES = (64, 128, 256)

RANDOM_TRIALS = 5
"""Before the estimator begins to choose."""


@dataclass(frozen=True)
class Trial:
    """One training of a search.

    Attributes:
        preset: what was trained.
        training: the settings that were tried.
        validation_fidelity: after the last epoch; 0 where the training diverged.
        seconds: that it took.
        diverged: whether it stopped at numbers that were not finite.
    """

    preset: str
    training: TrainingConfig
    validation_fidelity: float
    seconds: float
    diverged: bool = False

    def __str__(self) -> str:
        tried = f"learning rate {self.training.learning_rate:.5f}, batches of {self.training.batch_size}"
        outcome = "diverged" if self.diverged else f"validation fidelity {self.validation_fidelity:.4f}"
        return f"{self.preset:12} {tried:40} {outcome}  {self.seconds:.0f} s"


def tune(
    preset: str,
    patch: PatchMask,
    folder: Path,
    *,
    trials: int = 8,
    epochs: int = 2,
    seed: int = 0,
    learning_rates: tuple[float, float] = LEARNING_RATES,
    data: str = "mnist",
    skip_black: bool = False,
    device: torch.device | str = "cpu",
    progress: Progress = silent,
    on_trial: Callable[[Trial], None] = lambda trial: None,
) -> list[Trial]:
    """Search learning rate and batch size by a tree-structured Parzen estimator (Optuna); the first trials are random.

    A training that diverges counts as the worst, and the search goes on.

    The search depends on nothing but its seed and what the trials gave. So one that was interrupted goes on where it
    stopped: trainings that lie finished in `folder` are not repeated.

    Args:
        preset: what is trained, a name of `PRESETS`.
        patch: the masks.
        folder: the run folders go to `folder / "runs"`.
        trials: how many trainings.
        epochs: of each.
        seed: of the search and of every training.
        learning_rates: between these the peak of the schedule is searched, uniformly in its logarithm.
        data: what is trained on.
        skip_black: leave out images that are all black.
        device: where to compute.
        progress: told of every step.
        on_trial: called with every trial as soon as it is known.

    Returns:
        The trials in their order.

    Raises:
        InputError: Optuna is not installed, or `folder` holds another search.
    """
    try:
        import optuna
    except ImportError as error:
        raise InputError(f"the search needs Optuna: {install_hint('tune')}") from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=RANDOM_TRIALS)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    done = []
    for number in range(trials):
        asked = study.ask()
        rate = asked.suggest_float("learning_rate", *learning_rates, log=True)
        training = TrainingConfig(epochs, asked.suggest_categorical("batch_size", BATCH_SIZES), rate, seed)
        place = folder / "runs" / f"{preset}-trial{number}"
        run = Run(place, preset_config(preset, patch), training, data, skip_black=skip_black)
        trial = _trial(run, preset, training, device, progress)
        study.tell(asked, trial.validation_fidelity)
        done.append(trial)
        on_trial(trial)
    return done


def _trial(run: Run, preset: str, training: TrainingConfig, device: torch.device | str, progress: Progress) -> Trial:
    started = time.perf_counter()
    try:
        run.train(device=device, progress=progress)
    except DivergenceError:
        return Trial(preset, training, 0.0, time.perf_counter() - started, diverged=True)
    history = run.history()
    return Trial(preset, training, history.column("validation_fidelity")[-1], history.column("seconds")[-1])


def best(trials: list[Trial]) -> Trial:
    """The trial of the highest validation fidelity."""
    return max(trials, key=lambda trial: trial.validation_fidelity)


def report(searches: Sequence[list[Trial]]) -> str:
    """All trials of several searches as a Markdown table, the best of each marked."""
    lines = [
        "| Preset | Trial | Learning rate | Batch size | Validation fidelity | Seconds |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for trials in searches:
        for number, trial in enumerate(trials):
            fidelity = "diverged" if trial.diverged else f"{trial.validation_fidelity:.4f}"
            marked = f"**{fidelity}**" if trial is best(trials) and not trial.diverged else fidelity
            settings = f"{trial.training.learning_rate:.2g} | {trial.training.batch_size}"
            lines.append(f"| {trial.preset} | {number} | {settings} | {marked} | {trial.seconds:.0f} |")
    return "\n".join(lines) + "\n"
