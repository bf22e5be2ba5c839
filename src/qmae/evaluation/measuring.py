"""One run beside the baselines, under the same masks."""

from __future__ import annotations

from collections.abc import Callable

from qmae.data.images import load_images
from qmae.data.masks import PatchMask
from qmae.evaluation.evaluate import TestSet
from qmae.evaluation.grouping import variants
from qmae.evaluation.rows import Row
from qmae.models.baselines import PixelModel, build_baselines
from qmae.training.runs import Run, settings_of


def all_baselines(data: str, size: int) -> list[PixelModel]:
    """The rows that no table may lack, those of `BASELINES`.

    Black images of the data, which no run is trained on, are left out.

    Args:
        data: the source of the training images, as `load_images` takes it.
        size: pixels a side.
    """
    return build_baselines(load_images(data, split="train", size=size, skip_black=True)[0])


def measure_run(
    run: Run, test: TestSet, patch: PatchMask, *, on_rows: Callable[[list[Row]], None] = lambda rows: None
) -> list[Row]:
    """Measure one trained run and the baselines under the same masks.

    Args:
        run: a run with at least one finished epoch, or another model's folder.
        test: what to measure on.
        patch: the kind of mask, not necessarily that of the training.
        on_rows: called with new rows as soon as they are known.
    """
    settings, seed = settings_of(run), run.training and run.training.seed
    model = run.load()
    (variant,) = variants([(model.name, settings)])
    rows = test.measure(model, patch, seed=seed, train_seconds=run.seconds, variant=variant)
    on_rows(rows)
    for baseline in all_baselines(run.data, patch.image_size):
        more = test.measure(baseline, patch)
        on_rows(more)
        rows += more
    return rows
