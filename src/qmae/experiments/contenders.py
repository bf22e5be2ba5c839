"""Runs that are compared: like with like, each once, and what sets them apart."""

from __future__ import annotations

from collections.abc import Sequence

from qmae.data.masks import PatchMask
from qmae.errors import InputError
from qmae.evaluation.comparison import Contender
from qmae.evaluation.grouping import variants
from qmae.training.runs import Run, check_distinct, settings_of


def line_up(runs: Sequence[Run]) -> list[Contender]:
    """Load runs that are to be compared, and say what sets those of the same name apart.

    Raises:
        InputError: there is none, or one cannot be loaded or is given twice; or they differ in their masks or data.
    """
    common_patch(runs)
    check_distinct(runs)
    models = [run.load() for run in runs]
    named = [(model.name, settings_of(run)) for model, run in zip(models, runs, strict=True)]
    return [
        Contender(model, variant, run.training and run.training.seed, run.history_or_none())
        for model, variant, run in zip(models, variants(named), runs, strict=True)
    ]


def common_patch(runs: Sequence[Run]) -> PatchMask:
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


def common_data(runs: Sequence[Run]) -> str:
    """The data of all runs; where a folder does not say what its model was trained on, those of the others.

    Raises:
        InputError: they differ.
    """
    known = [run for run in runs if run.training is not None] or list(runs)
    for run in known[1:]:
        if run.data != known[0].data and not run.holds_out(known[0].data):
            raise _unlike(run, known[0])
    return known[0].data


def _unlike(run: Run, other: Run) -> InputError:
    return InputError(f"{run.folder} was trained on other masks or images than {other.folder}: compare like runs")
