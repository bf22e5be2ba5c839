"""Runs that are compared: like with like, each once, and what sets them apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from qmae.data.masks import PatchMask
from qmae.errors import InputError
from qmae.evaluation.comparison import Contender
from qmae.evaluation.grouping import variants
from qmae.models.base import Config, TrainableModel
from qmae.training.config import TrainingConfig
from qmae.training.history import History


@runtime_checkable
class Trained(Protocol):
    """What is asked of a run that is compared, such as `qmae.training.runs.Run`."""

    @property
    def folder(self) -> Path:
        """Where it lies."""
        ...

    @property
    def model(self) -> Config:
        """The config of its model."""
        ...

    @property
    def training(self) -> TrainingConfig | None:
        """The settings of its training; None where nobody kept them."""
        ...

    @property
    def data(self) -> str:
        """The source of what it was trained on."""
        ...

    def all_settings(self) -> Mapping[str, Any]:
        """All that fixes what it is but its seed."""
        ...

    def load(self) -> TrainableModel:
        """Its model."""
        ...

    def history_or_none(self) -> History | None:
        """The history of its training; None where nobody kept it."""
        ...

    def holds_out(self, source: str) -> bool:
        """Whether the test split of a data set is what it holds out."""
        ...


def line_up(runs: Sequence[Trained]) -> list[Contender]:
    """Load runs that are to be compared, and say what sets those of the same name apart.

    Raises:
        InputError: there is none, or one cannot be loaded or is given twice; or they differ in their masks or data.
    """
    common_patch(runs)
    _check_distinct(runs)
    models = [run.load() for run in runs]
    named = [(model.name, run.all_settings()) for model, run in zip(models, runs, strict=True)]
    return [
        Contender(model, variant, run.training and run.training.seed, run.history_or_none())
        for model, variant, run in zip(models, variants(named), runs, strict=True)
    ]


def common_patch(runs: Sequence[Trained]) -> PatchMask:
    """The masks of all runs.

    Raises:
        InputError: there are no runs, or the masks differ, or the data do.
    """
    if not runs:
        raise InputError("there is nothing to compare: give one run at least")
    for run in runs[1:]:
        if run.model.patch != runs[0].model.patch:
            raise _unlike(run, runs[0])
    common_data(runs)
    return runs[0].model.patch


def common_data(runs: Sequence[Trained]) -> str:
    """The data of all runs; where a folder does not say what its model was trained on, those of the others.

    Raises:
        InputError: they differ.
    """
    known = [run for run in runs if run.training is not None] or list(runs)
    for run in known[1:]:
        if run.data != known[0].data and not run.holds_out(known[0].data):
            raise _unlike(run, known[0])
    return known[0].data


def _unlike(run: Trained, other: Trained) -> InputError:
    return InputError(f"{run.folder} was trained on other masks or images than {other.folder}: compare like runs")


def _check_distinct(runs: Sequence[Trained]) -> None:
    """Refuse a training that is given twice, which would count twice.

    Raises:
        InputError: two runs have the same settings and seed.
    """
    seen: dict[str, Trained] = {}
    for run in runs:
        key = repr((run.training and run.training.seed, sorted(run.all_settings().items(), key=str)))
        if key in seen:
            raise InputError(f"{run.folder} is the same training as {seen[key].folder}, seed and all: give it once")
        seen[key] = run
