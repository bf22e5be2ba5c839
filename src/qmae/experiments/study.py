"""The whole comparison: every model over several seeds, under several kinds of masks, between floor and ceiling."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, get_args

import torch

from qmae._progress import Progress, silent
from qmae.data.masks import PatchMask
from qmae.errors import InputError
from qmae.evaluation.comparison import Comparison, compare
from qmae.evaluation.evaluate import TestSet
from qmae.evaluation.measuring import all_baselines
from qmae.evaluation.pictures import first_of_each_class
from qmae.evaluation.rows import Row, metrics_json
from qmae.experiments.ceiling import best_on_validation, searches
from qmae.models.choices import Design
from qmae.models.free import FreeConfig
from qmae.models.registry import preset_config
from qmae.training.config import preset_training
from qmae.training.parallel import train_all
from qmae.training.runs import Run

MAIN = "25%"
"""The masks of the paper's Table 1, under which the designs are searched, too."""

MASKS = {
    MAIN: PatchMask(16, 0.25),
    "12.5%": PatchMask(16, 0.125),
    "50%": PatchMask(16, 0.5),
    "25% anywhere": PatchMask(16, 0.25, "anywhere"),
    "25% in 4 patches": PatchMask(16, 0.25, patches=4),
    "50% in 8 patches": PatchMask(16, 0.5, patches=8),
    "75% in 12 patches": PatchMask(16, 0.75, patches=12),
}
"""The kinds of masks: the paper's, then beyond it."""

SEEDS: dict[str, int] = {"qmae": 5, "qae": 5, "autoencoder": 3, "mae-small": 3, "mae": 3, "unet": 3}
"""How often each model is trained."""


@dataclass(frozen=True)
class Plan:
    """What a study does.

    Attributes:
        masks: kinds of masks by name, `MAIN` among them.
        seeds: how often each model is trained, from seed 0 on.
        designs: whose best fidelity is searched, under the masks `MAIN` alone.
        restarts: searches per design.
        search_epochs: of each search.
        epochs: of every training; by default those of its preset.
        test_images: how many are measured, the first ones.
        data: what is learned.

    Raises:
        InputError: the masks `MAIN`, or one of the two models of the paper, are not among what is compared; or the
            masks are of images of several sizes.
    """

    masks: Mapping[str, PatchMask] = field(default_factory=lambda: MASKS)
    seeds: Mapping[str, int] = field(default_factory=lambda: SEEDS)
    designs: Sequence[Design] = get_args(Design)
    restarts: int = 3
    search_epochs: int = 20
    epochs: int | None = None
    test_images: int | None = None
    data: str = "mnist"

    def __post_init__(self) -> None:
        if MAIN not in self.masks or not all(self.seeds.get(preset) for preset in ("qmae", "qae")):
            raise InputError(f"a study compares QMAE with QAE, under masks of {MAIN} among others: add what is missing")
        if len({patch.image_size for patch in self.masks.values()}) > 1:
            raise InputError("the masks of a study are of images of several sizes: choose one")

    @property
    def size(self) -> int:
        """Pixels a side."""
        return self.masks[MAIN].image_size

    def runs(self, folder: Path, masks: str) -> list[Run]:
        """The trainings under one kind of masks: all, but for a masked autoencoder where patches are hidden in part."""
        patch, runs = self.masks[masks], []
        for preset, seeds in self.seeds.items():
            if preset == "mae" and patch.placement == "anywhere":
                continue  # it is made for patches that are hidden as a whole
            for seed in range(seeds):
                training = replace(preset_training(preset), seed=seed)
                training = replace(training, epochs=self.epochs or training.epochs)
                name = f"{preset}-{patch.ratio:g}-{patch.patches}-{patch.placement}-seed{seed}"
                runs.append(Run(folder / "runs" / name, preset_config(preset, patch), training, self.data))
        return runs

    def searches(self, folder: Path) -> list[list[Run]]:
        """The searches, one list per design."""
        seeds, common = range(self.restarts), {"epochs": self.search_epochs, "data": self.data}
        return [searches(folder, FreeConfig(self.masks[MAIN], name), seeds, **common) for name in self.designs]


PLANS = {
    "full": Plan(),
    "quick": Plan(
        masks={name: MASKS[name] for name in (MAIN, "50%")},
        seeds=dict.fromkeys(SEEDS, 1),
        designs=("tied",),
        restarts=1,
        search_epochs=2,
        epochs=1,
        test_images=1_000,
    ),
}
"""The plans of `qmae study --budget`."""


@dataclass
class StudyResults:
    """The records of a study.

    Attributes:
        plan: what was done.
        classifier_accuracy: on the original test images.
        comparisons: by the name of the masks.
        runs: the trainings under the masks `MAIN`.
    """

    plan: Plan
    classifier_accuracy: float | None
    comparisons: dict[str, Comparison] = field(default_factory=dict)
    runs: list[Run] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """The content of `metrics.json`."""
        rows = [row for comparison in self.comparisons.values() for row in comparison.rows]
        return metrics_json(asdict(self.plan), self.classifier_accuracy, rows)


def study(
    plan: Plan,
    folder: Path,
    *,
    jobs: int = 1,
    device: torch.device | str = "cpu",
    progress: Progress = silent,
    on_row: Callable[[Row], None] = lambda row: None,
) -> StudyResults:
    """Train every model, search every design, and measure all beside the baselines.

    Trainings, searches and measurements that lie finished in `folder` are not repeated.

    Args:
        plan: what to do.
        folder: the run folders go to `folder / "runs"`, the measurements to `folder / "measured"`.
        jobs: trainings at a time.
        device: where to compute.
        progress: told of all that takes long.
        on_row: called with every new row as soon as it is known.

    Returns:
        The records of it all.

    Raises:
        InputError: `folder` holds trainings with other settings.
    """
    runs = {masks: plan.runs(folder, masks) for masks in plan.masks}
    searched = plan.searches(folder)
    everything = [run for group in [*runs.values(), *searched] for run in group]
    for run in everything:
        run.check_settings()
    train_all(everything, jobs=jobs, device=device, progress=progress)
    (folder / "measured").mkdir(parents=True, exist_ok=True)
    test = TestSet.load(plan.data, size=plan.size, limit=plan.test_images, device=device, progress=progress)
    results = StudyResults(plan, test.classifier_accuracy, runs=runs[MAIN])
    for masks, trained in runs.items():
        best = [best_on_validation(group) for group in searched] if masks == MAIN else []
        results.comparisons[masks] = _measured(folder / "measured" / f"{masks}.npz", [*trained, *best], test, on_row)
    return results


def _measured(path: Path, runs: Sequence[Run], test: TestSet, on_row: Callable[[Row], None]) -> Comparison:
    """Measure runs, or read what was measured, if it was the same runs on the same images.

    What cannot be read, or was measured when the numbers meant something else, is measured again.
    """
    others = all_baselines(runs[0].data, test.images.shape[-1])
    if path.exists():
        with suppress(InputError):
            known = Comparison.load(path)
            if _same(known, runs, [baseline.name for baseline in others], test):
                return known
    comparison = compare(runs, others, test, on_row=on_row)
    comparison.save(path)
    return comparison


def _same(known: Comparison, runs: Sequence[Run], baselines: Sequence[str], test: TestSet) -> bool:
    """Whether this is what would be measured. Its seconds tell a training from any other."""
    if not known.rows:
        return False
    patch, row = runs[0].model.patch, known.rows[0]
    if (row.mask_ratio, row.placement, row.patches) != (patch.ratio, patch.placement, patch.patches):
        return False
    measured = [(row.model, row.seed, row.train_seconds) for row in known.rows if row.trained_ratio is not None]
    wanted = [(run.load().name, run.training and run.training.seed, run.seconds) for run in runs]
    names = [row.model for row in known.rows if row.trained_ratio is None]
    images = test.images[first_of_each_class(test.labels)]
    return (
        (measured, names, row.images, row.mask_seed) == (wanted, [*baselines], len(test.images), test.mask_seed)
        and row.classifier_accuracy == test.classifier_accuracy
        and torch.equal(known.pictures.originals, images)
    )
