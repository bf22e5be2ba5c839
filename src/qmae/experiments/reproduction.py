"""The paper's experiments: Table 1, Figures 6 to 8 and its claims, as plain records."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from qmae._progress import Progress, silent
from qmae.data.choices import Placement
from qmae.data.masks import PatchMask
from qmae.evaluation.evaluate import TestSet, first_of_each_class
from qmae.evaluation.pictures import Pictures, pictures
from qmae.evaluation.rows import Row, metrics_json
from qmae.models.base import Model
from qmae.models.baselines import all_baselines
from qmae.models.config import ModelConfig
from qmae.training.config import TrainingConfig
from qmae.training.history import History
from qmae.training.runs import Run

TABLE_RATIO = 0.25
"""The mask ratio of Table 1, and the common one at which models of all ratios are compared."""

RATIOS = (0.125, 0.25, 0.5)
"""The mask ratios of Figure 7."""

PAPER = {
    "qmae": {"fidelity": 0.734, "cosine_similarity": 0.843, "ssim": 0.446, "accuracy": 0.6506},
    "qae": {"fidelity": 0.600, "cosine_similarity": 0.799, "ssim": 0.445, "accuracy": 0.5220},
}
"""Table 1 of the paper, 25% mask, 10,000 MNIST test images."""


@dataclass(frozen=True)
class Protocol:
    """What `reproduce` does.

    Attributes:
        placement: where the masked patch may lie.
        seeds: how often every model is trained.
        seed: the first of the seeds; the others follow it.
        training: settings of every training, but for the seed.
        test_images: how many of the 10,000 test images are used, the first ones.
        mask_seed: of the masks of the test images.
        data: what is learned.
        size: pixels a side.
    """

    placement: Placement = "grid"
    seeds: int = 3
    seed: int = 0
    training: TrainingConfig = field(default_factory=TrainingConfig)
    test_images: int = 10_000
    mask_seed: int = 0
    data: str = "mnist"
    size: int = 16

    def runs(self, folder: Path) -> list[Run]:
        """The trainings: at the table's ratio every preset, at the others QMAE alone, as in the paper."""
        plan = [
            ("qmae", TABLE_RATIO),
            ("qae", TABLE_RATIO),
            *(("qmae", r) for r in RATIOS if r != TABLE_RATIO),
        ]
        return [
            Run(
                folder / "runs" / f"{name}-{ratio:g}-seed{seed}",
                ModelConfig.preset(name, self.patch(ratio)),
                replace(self.training, seed=seed),
                self.data,
            )
            for seed in range(self.seed, self.seed + self.seeds)
            for name, ratio in plan
        ]

    def patch(self, ratio: float) -> PatchMask:
        """The masks of one ratio."""
        return PatchMask(self.size, ratio, self.placement)


BUDGETS = {"full": Protocol(), "quick": Protocol(seeds=1, training=TrainingConfig(epochs=1), test_images=2_000)}
"""The protocols of `qmae reproduce --budget`."""


@dataclass
class Results:
    """The records of one reproduction; figures and report are made from nothing else.

    Attributes:
        protocol: what was done.
        classifier_accuracy: on the original test images.
        rows: one per model, ratio, readout and seed.
        histories: of the trainings at the table's ratio, first seed, by model name (Figure 8).
        pictures: by mask ratio, the same images in each (Figures 6 and 7); models of the first seed.
    """

    protocol: Protocol
    classifier_accuracy: float | None
    rows: list[Row] = field(default_factory=list)
    histories: dict[str, History] = field(default_factory=dict)
    pictures: dict[float, Pictures] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The content of `metrics.json`."""
        return metrics_json(asdict(self.protocol), self.classifier_accuracy, self.rows)

    def select(self, **wanted: Any) -> list[Row]:
        """The rows whose fields have the wanted values."""
        return [row for row in self.rows if all(getattr(row, name) == value for name, value in wanted.items())]


def reproduce(
    protocol: Protocol,
    folder: Path,
    *,
    classifier: nn.Module | None = None,
    device: torch.device | str = "cpu",
    progress: Progress = silent,
    on_rows: Callable[[list[Row]], None] = lambda rows: None,
) -> Results:
    """Train and measure everything the paper reports.

    Trainings that lie finished in `folder` are not repeated.

    Args:
        protocol: what to do.
        folder: the run folders go to `folder / "runs"`.
        classifier: of the reconstructions; by default the one that ships with the package.
        device: where to compute.
        progress: told of every training step and every image classified.
        on_rows: called with new rows as soon as they are known.

    Returns:
        The records of it all.

    Raises:
        InputError: `folder` holds trainings with other settings.
    """
    for run in protocol.runs(folder):
        run.check_settings()
    test = TestSet.load(
        protocol.data,
        size=protocol.size,
        limit=protocol.test_images,
        classifier=classifier,
        mask_seed=protocol.mask_seed,
        device=device,
        progress=progress,
    )
    known = all_baselines(protocol.data, protocol.size)
    results = Results(protocol, test.classifier_accuracy)
    subjects: dict[float, list[Model]] = {ratio: list(known) for ratio in RATIOS}

    def measure(subject: Model, ratio: float, **facts: Any) -> None:
        rows = test.measure(subject, protocol.patch(ratio), **facts)
        results.rows += rows
        on_rows(rows)

    for ratio in RATIOS:
        for baseline in known:
            measure(baseline, ratio)
    for run in protocol.runs(folder):
        model, history = run.train(device=device, progress=progress), run.history()
        assert run.training is not None  # it was trained just now
        ratio, seed = run.model.patch.ratio, run.training.seed
        for common in dict.fromkeys((ratio, TABLE_RATIO)):
            measure(model, common, seed=seed, train_seconds=run.seconds)
        if seed == protocol.seed:
            subjects[ratio].append(model)
            if ratio == TABLE_RATIO:
                results.histories[model.name] = history
    shown = first_of_each_class(test.labels)
    for ratio in RATIOS:
        masks = test.masks(protocol.patch(ratio))[shown]
        results.pictures[ratio] = pictures(subjects[ratio], test.images[shown], masks, device=device)
    return results
