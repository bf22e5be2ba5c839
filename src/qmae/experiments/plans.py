"""What a study does, and its records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, get_args

from qmae._values import Registry
from qmae.data.masks import PatchMask
from qmae.errors import InputError
from qmae.evaluation.comparison import Comparison
from qmae.evaluation.rows import metrics_json
from qmae.models.choices import Design
from qmae.training.history import History

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


PLANS = Registry(
    "budget",
    Plan,
    {
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
    },
)
"""The plans of `qmae study --budget`; a user adds one by `PLANS.register`."""


@dataclass
class StudyResults:
    """The records of a study.

    Attributes:
        plan: what was done.
        classifier_accuracy: on the original test images.
        comparisons: by the name of the masks.
        histories: of the trainings under the masks `MAIN`, by group.
    """

    plan: Plan
    classifier_accuracy: float | None
    comparisons: dict[str, Comparison] = field(default_factory=dict)
    histories: dict[str, list[History]] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The content of `metrics.json`."""
        rows = [row for comparison in self.comparisons.values() for row in comparison.rows]
        return metrics_json(asdict(self.plan), self.classifier_accuracy, rows)
