"""The paper's experiments: everything trained and measured that its Table 1 and Figures 6 to 8 say."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from qmae._progress import Progress, silent
from qmae.evaluation.evaluate import TestSet, first_of_each_class
from qmae.evaluation.pictures import pictures
from qmae.evaluation.rows import Row
from qmae.experiments.protocols import RATIOS, TABLE_RATIO, Protocol, Results
from qmae.models.base import Model
from qmae.models.baselines import all_baselines
from qmae.models.config import ModelConfig
from qmae.training.runs import Run


def trainings(protocol: Protocol, folder: Path) -> list[Run]:
    """The trainings: at the table's ratio both models of the paper, at the others QMAE alone, as in the paper."""
    plan = [("qmae", TABLE_RATIO), ("qae", TABLE_RATIO), *(("qmae", r) for r in RATIOS if r != TABLE_RATIO)]
    return [
        Run(
            folder / "runs" / f"{name}-{ratio:g}-seed{seed}",
            ModelConfig.preset(name, protocol.patch(ratio)),
            replace(protocol.training, seed=seed),
            protocol.data,
        )
        for seed in range(protocol.seed, protocol.seed + protocol.seeds)
        for name, ratio in plan
    ]


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
    for run in trainings(protocol, folder):
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
    for run in trainings(protocol, folder):
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
