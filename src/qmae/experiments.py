"""The paper's experiments: Table 1, Figures 6 to 8 and its claims, as plain records."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from qmae.baselines import MeanPatch, NearestNeighbours, Nothing, Original, Ridge, TokenPatch, Yardstick
from qmae.ceiling import FreeConfig
from qmae.config import ModelConfig
from qmae.evaluation import Row, Subject, TestSet, complete, metrics_json
from qmae.grouping import groups, settings_of, settings_of_model, variants
from qmae.images import load_images
from qmae.masking import Masks, PatchMask
from qmae.progress import Progress, silent
from qmae.runs import Run
from qmae.settings import Placement, Readout, TrainingConfig
from qmae.simulation import read_out
from qmae.training import History

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


@dataclass(frozen=True)
class Pictures:
    """What several models made of the same images under the same masks.

    Attributes:
        originals: [N, size, size] in [0, 1].
        hidden: True where an image was hidden.
        reconstructions: by model name, and, where several models have the same, what sets them apart.
        fidelity: with the originals, by the same names.
    """

    originals: Float[Tensor, "images size size"]
    hidden: Bool[Tensor, "images size size"]
    reconstructions: dict[str, Float[Tensor, "images size size"]]
    fidelity: dict[str, Float[Tensor, " images"]]

    @property
    def masked(self) -> Float[Tensor, "images size size"]:
        """What the models saw."""
        return self.originals.masked_fill(self.hidden, 0)


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
        classifier: judges the reconstructions; by default the one that ships with the package.
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
    known = yardsticks(protocol.data, protocol.size)
    results = Results(protocol, test.classifier_accuracy)
    subjects: dict[float, list[Subject]] = {ratio: list(known) for ratio in RATIOS}

    def measure(subject: Subject, ratio: float, **facts: Any) -> None:
        rows = test.measure(subject, protocol.patch(ratio), **facts)
        results.rows += rows
        on_rows(rows)

    for ratio in RATIOS:
        for yardstick in known:
            measure(yardstick, ratio)
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


def yardsticks(data: str, size: int) -> list[Yardstick]:
    """The rows that no table may lack, from the ceiling to the floor.

    Black images of the data, which no run is trained on, are left out.
    """
    images = load_images(data, split="train", size=size, skip_black=True)[0]
    return [Original(), NearestNeighbours(images), Ridge(images), TokenPatch(images), MeanPatch(images), Nothing()]


def first_of_each_class(labels: Int[Tensor, " images"], most: int = 16) -> Int[Tensor, " classes"]:
    """Index of the first image of every class: pictures are chosen by index, not by looks.

    Args:
        labels: -1 where unknown; where all are, the first images are chosen.
        most: images at the most, so that they can be shown side by side.
    """
    known = labels[labels >= 0].unique()[:most]
    if not len(known):
        return torch.arange(min(len(labels), 10))
    return torch.stack([(labels == label).nonzero()[0, 0] for label in known])


def pictures(
    subjects: Iterable[Subject],
    images: Float[Tensor, "images size size"],
    masks: Masks,
    *,
    readout: Readout = "amplitude",
    device: torch.device | str = "cpu",
) -> Pictures:
    """Let every model complete the same few images.

    Raises:
        InputError: an original is all black; it is named by its index.
    """
    chosen = list(subjects)
    names = groups([(subject.name, settings_of_model(subject)) for subject in chosen])
    made = (complete(subject, images, masks, device=device) for subject in chosen)
    outputs = dict(zip(names, made, strict=True))
    return Pictures(
        images,
        masks.hidden,
        {name: read_out(output.probabilities, readout) for name, output in outputs.items()},
        {name: output.fidelity for name, output in outputs.items()},
    )


def measure_run(
    run: Run, test: TestSet, patch: PatchMask, *, on_rows: Callable[[list[Row]], None] = lambda rows: None
) -> list[Row]:
    """Measure one trained run and the yardsticks under the same masks.

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
    for yardstick in yardsticks(run.data, patch.image_size):
        more = test.measure(yardstick, patch)
        on_rows(more)
        rows += more
    return rows


def searches(
    folder: Path,
    config: FreeConfig,
    seeds: Sequence[int],
    *,
    epochs: int,
    data: str = "mnist",
    skip_black: bool = False,
) -> list[Run]:
    """Searches of the free matrices of a design, one for each seed: the best on validation images is what was found.

    Args:
        folder: the run folders go to `folder / "runs"`.
        config: the design and its masks.
        seeds: of the restarts.
        epochs: passes over the training images per search.
        data: what it is searched on.
        skip_black: leave out images that are all black.
    """
    rate = 0.003 if config.design.startswith("heralded") else 0.01
    return [
        Run(
            folder / "runs" / f"{config.design}-{config.patch.ratio:g}-seed{seed}",
            config,
            TrainingConfig(epochs, batch_size=512, learning_rate=rate, seed=seed),
            data,
            skip_black=skip_black,
        )
        for seed in seeds
    ]


def best_on_validation(runs: Sequence[Run]) -> Run:
    """The run of the best fidelity on validation images."""

    def found(run: Run) -> float:
        fidelity = run.history().column("validation_fidelity")[-1]
        return -math.inf if math.isnan(fidelity) else fidelity

    return max(runs, key=found)
