"""The whole comparison: every model over several seeds, under several kinds of masks, between floor and ceiling."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import torch

from qmae._progress import Progress, silent
from qmae.errors import InputError
from qmae.evaluation.cache import Cache
from qmae.evaluation.comparison import Comparison, Contender, compare_models, histories_of, identity_of_comparison
from qmae.evaluation.evaluate import TestSet
from qmae.evaluation.rows import Row
from qmae.experiments.ceiling import best_on_validation, searches
from qmae.experiments.contenders import line_up
from qmae.experiments.plans import MAIN, Plan, StudyResults
from qmae.models.baselines import all_baselines
from qmae.models.free import FreeConfig
from qmae.models.pixels import PixelModel
from qmae.models.registry import preset_config
from qmae.training.config import preset_training
from qmae.training.parallel import train_all
from qmae.training.runs import Run


def trainings(plan: Plan, folder: Path, masks: str) -> list[Run]:
    """The trainings under one kind of masks: all, but for a masked autoencoder where patches are hidden in part."""
    patch, runs = plan.masks[masks], []
    for preset, seeds in plan.seeds.items():
        if preset == "mae" and patch.placement == "anywhere":
            continue  # it is made for patches that are hidden as a whole
        for seed in range(seeds):
            training = replace(preset_training(preset), seed=seed)
            training = replace(training, epochs=plan.epochs or training.epochs)
            name = f"{preset}-{patch.ratio:g}-{patch.patches}-{patch.placement}-seed{seed}"
            runs.append(Run(folder / "runs" / name, preset_config(preset, patch), training, plan.data))
    return runs


def searches_of(plan: Plan, folder: Path) -> list[list[Run]]:
    """The searches, one list per design."""
    configs = [FreeConfig(plan.masks[MAIN], design) for design in plan.designs]
    return [
        [
            Run(folder / "runs" / name, config, training, plan.data)
            for name, training in searches(config, range(plan.restarts), epochs=plan.search_epochs).items()
        ]
        for config in configs
    ]


def run_study(
    plan: Plan,
    folder: Path,
    *,
    jobs: int = 1,
    device: torch.device | str = "cpu",
    cache: Cache | None = None,
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
        cache: of measurements of baselines, if any.
        progress: told of all that takes long.
        on_row: called with every new row as soon as it is known.

    Returns:
        The records of it all.

    Raises:
        InputError: `folder` holds trainings with other settings.
    """
    runs = {masks: trainings(plan, folder, masks) for masks in plan.masks}
    searched = searches_of(plan, folder)
    everything = [run for group in [*runs.values(), *searched] for run in group]
    for run in everything:
        run.check_settings()
    train_all(everything, jobs=jobs, device=device, progress=progress)
    (folder / "measured").mkdir(parents=True, exist_ok=True)
    settings = {"device": device, "progress": progress, "cache": cache}
    test = TestSet.load(plan.data, size=plan.size, limit=plan.test_images, **settings)
    baselines = all_baselines(runs[MAIN][0].data, plan.size)
    results = StudyResults(plan, test.classifier_accuracy)
    for masks, trained in runs.items():
        best = [best_on_validation(group) for group in searched] if masks == MAIN else []
        contenders = line_up([*trained, *best])
        if masks == MAIN:
            results.histories = histories_of(contenders)
        path = folder / "measured" / f"{masks}.npz"
        results.comparisons[masks] = _measured(path, contenders, baselines, test, on_row)
    return results


def _measured(
    path: Path,
    contenders: Sequence[Contender],
    baselines: Sequence[PixelModel],
    test: TestSet,
    on_row: Callable[[Row], None],
) -> Comparison:
    """Measure models, or read what was measured, if it was the same models on the same images.

    What cannot be read, or was measured when the numbers meant something else, is measured again.
    """
    if path.exists():
        with suppress(InputError):
            known = Comparison.load(path)
            if known.identity and known.identity == identity_of_comparison(contenders, baselines, test):
                return known
    comparison = compare_models(contenders, baselines, test, on_row=on_row)
    comparison.save(path)
    return comparison
