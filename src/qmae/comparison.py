"""Models and yardsticks on the same images under the same masks: one table, differences image by image."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from statistics import mean

import torch
from jaxtyping import Float
from torch import Tensor

from qmae.baselines import MeanPatch, NearestNeighbours, Nothing, Original, Ridge, Yardstick
from qmae.bootstrap import bootstrap_interval
from qmae.errors import InputError
from qmae.evaluation import Row, Subject, TestSet, complete
from qmae.images import load_images
from qmae.masking import PatchMask
from qmae.runs import Run
from qmae.settings import Readout


@dataclass
class Comparison:
    """What was measured.

    Attributes:
        rows: one per run and yardstick, readout `amplitude`.
        fidelities: of every image, by model, one tensor per run.
    """

    rows: list[Row] = field(default_factory=list)
    fidelities: dict[str, list[Float[Tensor, " images"]]] = field(default_factory=dict)

    @property
    def models(self) -> dict[str, list[Row]]:
        """The rows of every model, the best mean fidelity first."""
        groups = {name: [row for row in self.rows if row.model == name] for name in self.fidelities}
        return dict(sorted(groups.items(), key=lambda item: -mean(row.fidelity for row in item[1])))

    def lead(self, model: str, other: str) -> tuple[float, tuple[float, float]]:
        """How far a model is above another: mean difference on the same images, and its 95% bootstrap interval.

        Of several runs of a model, every image counts with its mean over the runs.
        """
        ours, theirs = (torch.stack(self.fidelities[name]).mean(0) for name in (model, other))
        return (ours - theirs).mean().item(), bootstrap_interval(ours - theirs)


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
        InputError: the runs differ in their masks or in what they were trained on.
    """
    patch = common_patch(runs)
    comparison = Comparison()

    def measure(subject: Subject, seed: int | None = None, train_seconds: float | None = None) -> None:
        outputs = complete(subject, test.images, test.masks(patch), device=test.device)
        row = test.row(subject, outputs, patch, readout, seed=seed, train_seconds=train_seconds)
        comparison.rows.append(row)
        comparison.fidelities.setdefault(subject.name, []).append(outputs.fidelity)
        on_row(row)

    for yardstick in yardsticks:
        measure(yardstick)
    for run in runs:
        measure(run.load(), run.training.seed, run.history().column("seconds")[-1])
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


def all_yardsticks(data: str, size: int) -> list[Yardstick]:
    """Every yardstick that is not trained by gradients, from the ceiling to the floor."""
    images = load_images(data, split="train", size=size)[0]
    return [Original(), NearestNeighbours(images), Ridge(images), MeanPatch(images), Nothing()]
