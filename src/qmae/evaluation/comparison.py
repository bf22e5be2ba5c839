"""Models and baselines on the same images under the same masks: one table, differences image by image."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import mean
from typing import Any
from zipfile import BadZipFile
from zlib import error as ZlibError

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from qmae._files import read_bytes, to_json, write_atomically
from qmae.data.choices import Readout
from qmae.data.masks import PatchMask
from qmae.errors import InputError
from qmae.evaluation.bootstrap import bootstrap_interval
from qmae.evaluation.evaluate import TestSet, complete
from qmae.evaluation.grouping import variants
from qmae.evaluation.pictures import Pictures, first_of_each_class
from qmae.evaluation.rows import FORMAT, Row, group_of
from qmae.models.base import Model, TrainableModel
from qmae.models.baselines import PixelModel
from qmae.simulation.states import read_out
from qmae.training.runs import Run, check_distinct, settings_of


@dataclass
class Comparison:
    """What was measured.

    Runs of one *group* differ in nothing but their seed. Its name is the model's, and, where several groups have the
    same, what sets it apart: `qmae, 3 layers`.

    Attributes:
        pictures: the first image of every class, reconstructed by the first run of every group.
        rows: one per baseline and run, in this order, readout `amplitude`.
        fidelities: of every image, by group, one tensor per run.
    """

    pictures: Pictures
    rows: list[Row] = field(default_factory=list)
    fidelities: dict[str, list[Float[Tensor, " images"]]] = field(default_factory=dict)

    @property
    def models(self) -> dict[str, list[Row]]:
        """The rows of every group, the best mean fidelity first."""
        groups = {name: [row for row in self.rows if row.group == name] for name in self.fidelities}
        return dict(sorted(groups.items(), key=lambda item: -mean(row.fidelity for row in item[1])))

    def interval(self, model: str) -> tuple[float, float]:
        """The 95% bootstrap interval over the images of a group's mean fidelity, of several runs that of their mean."""
        return bootstrap_interval(torch.stack(self.fidelities[model]).mean(0))

    def lead(self, model: str, other: str) -> tuple[float, tuple[float, float]]:
        """How far a group is above another: mean difference on the same images, and its 95% bootstrap interval.

        Of several runs of a group, every image counts with its mean over the runs.
        """
        ours, theirs = (torch.stack(self.fidelities[name]).mean(0) for name in (model, other))
        return (ours - theirs).mean().item(), bootstrap_interval(ours - theirs)

    def save(self, path: Path) -> None:
        """Write everything to an `.npz` file.

        Raises:
            InputError: it cannot be written.
        """
        content, pictures = io.BytesIO(), self.pictures
        arrays: dict[str, Any] = {"originals": pictures.originals, "hidden": pictures.hidden}
        arrays |= {f"reconstruction {name}": pixels for name, pixels in pictures.reconstructions.items()}
        arrays |= {f"shown {name}": values for name, values in pictures.fidelity.items()}
        arrays |= {f"fidelity {name}": torch.stack(of_runs) for name, of_runs in self.fidelities.items()}
        rows = to_json([asdict(row) for row in self.rows])
        np.savez_compressed(content, rows=rows, format=FORMAT, **arrays)
        write_atomically(path, content.getvalue())

    @classmethod
    def load(cls, path: Path) -> Comparison:
        """Read what `save` wrote.

        Raises:
            InputError: the file is damaged, holds something else, or was written when the numbers meant something
                else.
        """
        try:
            with np.load(io.BytesIO(read_bytes(path)), allow_pickle=False) as content:
                if int(content["format"]) != FORMAT:
                    raise KeyError("format")
                rows = [Row.from_dict(row) for row in json.loads(str(content["rows"]))]
                arrays = {name: torch.from_numpy(content[name]) for name in content if name not in ("rows", "format")}
            pictures = Pictures(
                arrays["originals"],
                arrays["hidden"],
                _by_group(arrays, "reconstruction "),
                _by_group(arrays, "shown "),
            )
        except UNREADABLE as error:
            raise InputError(f"{path} holds no comparison of this version ({error}): remove it") from error
        return cls(pictures, rows, {name: list(of_runs) for name, of_runs in _by_group(arrays, "fidelity ").items()})


UNREADABLE = (
    *(OSError, EOFError, KeyError, ValueError, TypeError, AttributeError, RuntimeError, MemoryError),
    *(BadZipFile, ZlibError),
)
"""What reading a damaged `.npz` file ends in."""


def _by_group(arrays: dict[str, Tensor], kind: str) -> dict[str, Any]:
    return {name.removeprefix(kind): array for name, array in arrays.items() if name.startswith(kind)}


@dataclass(frozen=True)
class Contender:
    """A run that is compared with others.

    Attributes:
        run: the run.
        model: what it trained.
        variant: what sets it apart from others of the model's name.
    """

    run: Run
    model: TrainableModel
    variant: str


def line_up(runs: Sequence[Run]) -> list[Contender]:
    """Load runs that are to be compared, and say what sets those of the same name apart.

    Raises:
        InputError: there is none, or one cannot be loaded or is given twice; or they differ in their masks or data.
    """
    common_patch(runs)
    check_distinct(runs)
    models = [run.load() for run in runs]
    named = [(model.name, settings_of(run)) for model, run in zip(models, runs, strict=True)]
    return [Contender(*parts) for parts in zip(runs, models, variants(named), strict=True)]


def compare(
    runs: Sequence[Run],
    baselines: Iterable[PixelModel],
    test: TestSet,
    *,
    readout: Readout = "amplitude",
    on_row: Callable[[Row], None] = lambda row: None,
) -> Comparison:
    """Measure runs and baselines under the masks that the runs were trained for.

    Args:
        runs: trained runs, all with the same masks.
        baselines: what they are held against.
        test: what to measure on.
        readout: what is taken for a pixel's value.
        on_row: called with every row as soon as it is known.

    Raises:
        InputError: the runs differ in their masks or in what they were trained on, or one is given twice; or two
            baselines are alike, or have the name of a model.
    """
    contenders, known = line_up(runs), list(baselines)
    patch = common_patch(runs)
    names = variants([(baseline.name, baseline.settings) for baseline in known])
    _check_names(known, names, contenders)
    masks, shown = test.masks(patch), first_of_each_class(test.labels)
    comparison = Comparison(Pictures(test.images[shown], masks[shown].hidden, {}, {}))

    def measure(subject: Model, variant: str, seed: int | None = None, train_seconds: float | None = None) -> None:
        outputs = complete(subject, test.images, masks, device=test.device)
        row = test.row(subject, outputs, patch, readout, seed=seed, train_seconds=train_seconds, variant=variant)
        comparison.rows.append(row)
        comparison.fidelities.setdefault(row.group, []).append(outputs.fidelity)
        if row.group not in comparison.pictures.reconstructions:
            comparison.pictures.reconstructions[row.group] = read_out(outputs.probabilities[shown], readout)
            comparison.pictures.fidelity[row.group] = outputs.fidelity[shown]
        on_row(row)

    for baseline, variant in zip(known, names, strict=True):
        measure(baseline, variant)
    for contender in contenders:
        training = contender.run.training
        measure(contender.model, contender.variant, training and training.seed, contender.run.seconds)
    return comparison


def _check_names(baselines: Sequence[PixelModel], names: Sequence[str], contenders: Sequence[Contender]) -> None:
    taken = {group_of(contender.model.name, contender.variant) for contender in contenders}
    for baseline, variant in zip(baselines, names, strict=True):
        group = group_of(baseline.name, variant)
        if group in taken:
            raise InputError(f"two of what is compared are called {group}, and nothing tells them apart: leave one out")
        taken.add(group)


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
