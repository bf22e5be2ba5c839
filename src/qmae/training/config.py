"""Choices and defaults that the library and the command share; imports no torch, so that help is quick."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from qmae._values import SEEDS, check_keys, choice, number, settle, whole
from qmae.errors import InputError
from qmae.models.presets import PRESETS

Method = Literal["adam", "sweeps"]
"""How angles are trained. `adam`: by gradients (paper). `sweeps`: block by block, each set to the best it can be."""

MAX_EPOCHS = 10**9
"""More are refused: the schedule counts its steps in 64 bits."""


@dataclass(frozen=True)
class TrainingConfig:
    """How a model is trained; the defaults are those of QMAE and QAE. docs/settings.md says how they were chosen.

    Attributes:
        epochs: passes over the training images.
        batch_size: images per step; None: all training images.
        learning_rate: peak of the one-cycle schedule; with `sweeps` the token's constant one.
        seed: for the order of the images and their masks.
        method: `"adam"` or `"sweeps"`.
        success_weight: what a discarded shot costs, L in the loss 1 - F + L (1 - p); 0 but for heralded models.

    Raises:
        InputError: a value of a wrong type, a number that is not positive or out of bounds, or an unknown method.
    """

    epochs: int = 3
    batch_size: int | None = 128
    learning_rate: float = 0.19
    seed: int = 0
    method: Method = "adam"
    success_weight: float = 0.0

    def __post_init__(self) -> None:
        choice(self.method, "method", Method)
        settle(
            self,
            epochs=whole(self.epochs, "number of epochs", 1, MAX_EPOCHS),
            batch_size=None if self.batch_size is None else whole(self.batch_size, "batch size", 1, 2**31),
            learning_rate=number(self.learning_rate, "learning rate"),
            seed=whole(self.seed, "seed", *SEEDS),
            success_weight=number(self.success_weight, "success weight", at_least=0),
        )
        if not self.learning_rate > 0:
            raise InputError(f"learning rate {self.learning_rate:g} must be positive: give a number above 0")

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> TrainingConfig:
        """Rebuild a config from `dataclasses.asdict`, as it stands in `config.json`.

        Raises:
            InputError: a setting is missing, unknown, of a wrong type or out of bounds.
        """
        return cls(**check_keys(values, cls, "the training's config"))


def preset_training(preset: str) -> TrainingConfig:
    """How a preset is trained.

    Args:
        preset: a name of `PRESETS`.

    Raises:
        InputError: no such preset, or its settings are none of a training.
    """
    settings = PRESETS[preset].training
    if unknown := set(settings) - set(TrainingConfig.__dataclass_fields__):
        raise InputError(f"preset {preset}: a training has no setting {', '.join(sorted(unknown))}")
    return TrainingConfig(**settings)


def tuned_presets() -> list[str]:
    """What `qmae tune` searches settings for: the presets that are trained by Adam."""
    return [preset for preset in PRESETS if preset_training(preset).method == "adam"]
