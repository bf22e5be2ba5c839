"""qmae: quantum masked autoencoders, after Andrews and Mishra (arXiv 2511.17372)."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from qmae.ansatz.ansatz import Ansatz
    from qmae.data.images import load_images
    from qmae.data.masks import Masks, PatchMask
    from qmae.errors import InputError
    from qmae.models.autoencoder import MaskedAutoencoder
    from qmae.models.baselines import MeanPatch, Nothing
    from qmae.models.config import ModelConfig
    from qmae.training.config import TrainingConfig
    from qmae.training.loop import train

_HOME = {
    "Ansatz": "ansatz.ansatz",
    "InputError": "errors",
    "Masks": "data.masks",
    "MaskedAutoencoder": "models.autoencoder",
    "MeanPatch": "models.baselines",
    "ModelConfig": "models.config",
    "Nothing": "models.baselines",
    "PatchMask": "data.masks",
    "TrainingConfig": "training.config",
    "load_images": "data.images",
    "train": "training.loop",
}

__all__ = [
    "Ansatz",
    "InputError",
    "MaskedAutoencoder",
    "Masks",
    "MeanPatch",
    "ModelConfig",
    "Nothing",
    "PatchMask",
    "TrainingConfig",
    "load_images",
    "train",
]


def __getattr__(name: str) -> Any:
    # Imported on first use, so that `qmae --help` does not wait for torch.
    if name not in _HOME:
        raise AttributeError(f"module 'qmae' has no attribute {name!r}")
    return getattr(import_module(f"qmae.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return __all__
