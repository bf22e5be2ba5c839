"""Presets: models with all their settings under one name; imports no torch, so that help is quick."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from qmae._values import Registry


@dataclass(frozen=True)
class Preset:
    """One entry: what a model is, how it is trained, and how tables and figures show it.

    Attributes:
        kind: the family of `FAMILIES` that it belongs to: `"quantum"`, `"network"` or `"design"`.
        model: fields of the family's config but for `patch`, as of `ModelConfig` for a quantum model; others have
            their defaults.
        training: fields of `TrainingConfig`; others have their defaults.
        label: its name in tables and figures; by default that in the registry.
        colour: of its curve in figures, as matplotlib takes it; by default one that no other curve has.
    """

    kind: str
    model: Mapping[str, Any]
    training: Mapping[str, Any] = field(default_factory=dict)
    label: str | None = None
    colour: str | None = None


_BEYOND: dict[str, Any] = {
    "mask_token": "per_position",
    "block": "so4",
    "conditioning": "separate",
    "bottleneck": "none",
    "decoder": "none",
    "initial_spread": 0.01,
}


def _by_sweeps(epochs: int) -> dict[str, Any]:
    """The training of a model beyond the paper: a sweep takes all images."""
    return {"epochs": epochs, "batch_size": None, "learning_rate": 0.02, "method": "sweeps"}


def _by_adam(epochs: int, batch_size: int, learning_rate: float) -> dict[str, Any]:
    return {"epochs": epochs, "batch_size": batch_size, "learning_rate": learning_rate}


PRESETS: Registry[Preset] = Registry(
    "preset",
    Preset,
    {
        "qmae": Preset("quantum", {"mask_token": "shared"}, _by_adam(3, 128, 0.19), "QMAE", "#0b6e99"),
        "qmae-heralded": Preset(
            "quantum",
            {**_BEYOND, "layers": 27, "bottleneck": "herald", "ancillas": 1},
            _by_sweeps(400),
            "QMAE-heralded",
        ),
        "qmae-plus": Preset("quantum", {**_BEYOND, "layers": 35}, _by_sweeps(300), "QMAE-plus"),
        "qmae-compressed": Preset(
            "quantum",
            {**_BEYOND, "layers": 17, "bottleneck": "herald", "decoder": "free"},
            _by_sweeps(200),
            "QMAE-compressed",
        ),
        "qmae-small": Preset("quantum", {**_BEYOND, "layers": 4}, _by_sweeps(300), "QMAE-small"),
        "qae": Preset("quantum", {"mask_token": "none"}, _by_adam(3, 128, 0.19), "QAE", "#d1602b"),
        "autoencoder": Preset("network", {"network": "autoencoder"}, _by_adam(10, 64, 0.013), "linear autoencoder"),
        "mae-small": Preset("network", {"network": "mae-small"}, _by_adam(5, 64, 0.029), "small MAE"),
        "mae": Preset("network", {"network": "mae"}, _by_adam(2, 256, 0.0063), "MAE"),
        "unet": Preset("network", {"network": "unet"}, _by_adam(2, 64, 0.013), "U-Net"),
    },
)
"""The presets; a user adds one by `PRESETS.register`.

`qmae` and `qae` are the paper's two models, which differ in the mask token alone. Four go beyond it and have a circuit
for every position of the mask. `qmae-plus` and `qmae-small` keep every shot. `qmae-heralded` has an ancilla and keeps
the shots that find it in |0>. `qmae-compressed` has the paper's 7 latent qubits and keeps the shots that find the trash
in |0>. At 16 x 16 pixels they have as many layers as 2,000 CNOTs allow; `qmae-small` has as many as 2,000 angles for
all four positions allow. Settings of trainings by Adam are found by the same search for each, on validation images:
`qmae tune`.
"""
