"""Choices and defaults that the library and the command share; imports no torch, so that help is quick."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from qmae.errors import InputError

Placement = Literal["grid", "anywhere"]
"""Where the masked patch may lie. `grid`: patches tile the image, one is hidden. `anywhere`: any offset inside it."""

Readout = Literal["amplitude", "probability"]
"""What is taken for a pixel's value: sqrt(p_i), which undoes the embedding, or p_i, the basis state's probability."""

MaskToken = Literal["none", "shared"]
"""`none` leaves the hole black (QAE); `shared` puts one learnable patch into it, wherever it is (QMAE)."""

Split = Literal["train", "validation", "test", "all"]
"""Parts of a data set, disjoint but for `all`; what is chosen is chosen on `validation`, never on `test`."""


@dataclass(frozen=True)
class TrainingConfig:
    """How a model is trained; the same for QMAE and QAE. docs/settings.md says how the defaults were chosen.

    Attributes:
        epochs: passes over the training images.
        batch_size: images per step of Adam.
        learning_rate: peak of the one-cycle schedule.
        seed: for the order of the images and their masks.

    Raises:
        InputError: a number that is not positive.
    """

    epochs: int = 10
    batch_size: int = 256
    learning_rate: float = 0.05
    seed: int = 0

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch_size < 1 or not self.learning_rate > 0:
            raise InputError("epochs, batch size and learning rate must be positive")
