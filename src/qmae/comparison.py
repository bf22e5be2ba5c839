"""Models and yardsticks on the same images under the same masks: one table, differences image by image."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from qmae.baselines import Yardstick
from qmae.bootstrap import bootstrap_interval
from qmae.errors import InputError
from qmae.evaluation import Row, Subject, TestSet, complete
from qmae.experiments import Pictures, first_of_each_class
from qmae.files import write_atomically
from qmae.masking import PatchMask
from qmae.runs import Run
from qmae.settings import Readout
from qmae.simulation import read_out


@dataclass
class Comparison:
    """What was measured.

    Attributes:
        pictures: the first image of every class, reconstructed by the first run of every model.
        rows: one per run and yardstick, readout `amplitude`.
        fidelities: of every image, by model, one tensor per run.
    """

    pictures: Pictures
    rows: list[Row] = field(default_factory=list)
    fidelities: dict[str, list[Float[Tensor, " images"]]] = field(default_factory=dict)

    @property
    def models(self) -> dict[str, list[Row]]:
        """The rows of every model, the best mean fidelity first."""
        groups = {name: [row for row in self.rows if row.model == name] for name in self.fidelities}
        return dict(sorted(groups.items(), key=lambda item: -mean(row.fidelity for row in item[1])))

    def interval(self, model: str) -> tuple[float, float]:
        """The 95% bootstrap interval over the images of a model's mean fidelity, of several runs that of their mean."""
        return bootstrap_interval(torch.stack(self.fidelities[model]).mean(0))

    def lead(self, model: str, other: str) -> tuple[float, tuple[float, float]]:
        """How far a model is above another: mean difference on the same images, and its 95% bootstrap interval.

        Of several runs of a model, every image counts with its mean over the runs.
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
        rows = json.dumps([asdict(row) for row in self.rows])
        np.savez_compressed(content, rows=rows, **arrays)
        write_atomically(path, content.getvalue())

    @classmethod
    def load(cls, path: Path) -> Comparison:
        """Read what `save` wrote."""
        with np.load(path) as content:
            rows = [Row.from_dict(row) for row in json.loads(str(content["rows"]))]
            arrays = {name: torch.from_numpy(content[name]) for name in content if name != "rows"}

        def by_model(kind: str) -> dict[str, Any]:
            return {name.removeprefix(kind): array for name, array in arrays.items() if name.startswith(kind)}

        pictures = Pictures(arrays["originals"], arrays["hidden"], by_model("reconstruction "), by_model("shown "))
        return cls(pictures, rows, {name: list(of_runs) for name, of_runs in by_model("fidelity ").items()})


def compare(
    runs: Sequence[Run],
    yardsticks: Iterable[Yardstick],
    test: TestSet,
    *,
    readout: Readout = "amplitude",
    on_row: Callable[[Row], None] = lambda row: None,
) -> Comparison:
    """Measure runs and yardsticks under the masks that the runs were trained for.

    Args:
        runs: trained runs, all with the same masks.
        yardsticks: what they are held against.
        test: what to measure on.
        readout: what is taken for a pixel's value.
        on_row: called with every row as soon as it is known.

    Raises:
        InputError: the runs differ in their masks or in what they were trained on, or one has no history.
    """
    patch = common_patch(runs)
    masks, shown = test.masks(patch), first_of_each_class(test.labels)
    comparison = Comparison(Pictures(test.images[shown], masks.hidden[shown], {}, {}))

    def measure(subject: Subject, seed: int | None = None, train_seconds: float | None = None) -> None:
        outputs = complete(subject, test.images, masks, device=test.device)
        row = test.row(subject, outputs, patch, readout, seed=seed, train_seconds=train_seconds)
        comparison.rows.append(row)
        comparison.fidelities.setdefault(subject.name, []).append(outputs.fidelity)
        if subject.name not in comparison.pictures.reconstructions:
            comparison.pictures.reconstructions[subject.name] = read_out(outputs.probabilities[shown], readout)
            comparison.pictures.fidelity[subject.name] = outputs.fidelity[shown]
        on_row(row)

    seconds = [run.history().column("seconds")[-1] for run in runs]
    for yardstick in yardsticks:
        measure(yardstick)
    for run, trained in zip(runs, seconds, strict=True):
        measure(run.load(), run.training.seed, trained)
    return comparison


def common_patch(runs: Sequence[Run]) -> PatchMask:
    """The masks of all runs.

    Raises:
        InputError: they differ, or the data do.
    """
    for run in runs[1:]:
        if run.model.patch != runs[0].model.patch or run.data != runs[0].data:
            raise InputError(
                f"{run.folder} was trained on other masks or images than {runs[0].folder}: compare like runs"
            )
    return runs[0].model.patch
