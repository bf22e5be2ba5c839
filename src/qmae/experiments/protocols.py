"""What the paper's experiments are, and their records: Table 1, Figures 6 to 8."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from qmae._values import Registry
from qmae.data.choices import Placement
from qmae.data.masks import PatchMask
from qmae.evaluation.pictures import Pictures
from qmae.evaluation.rows import Row, metrics_json
from qmae.training.config import TrainingConfig
from qmae.training.history import History

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

    def patch(self, ratio: float) -> PatchMask:
        """The masks of one ratio."""
        return PatchMask(self.size, ratio, self.placement)


BUDGETS = Registry(
    "budget",
    Protocol,
    {"full": Protocol(), "quick": Protocol(seeds=1, training=TrainingConfig(epochs=1), test_images=2_000)},
)
"""The protocols of `qmae reproduce --budget`; a user adds one by `BUDGETS.register`."""


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
