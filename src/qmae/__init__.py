"""qmae: quantum masked autoencoders, after Andrews and Mishra (arXiv 2511.17372)."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from qmae.ansatz import Ansatz
    from qmae.baselines import MeanPatch, Nothing
    from qmae.config import ModelConfig
    from qmae.errors import InputError
    from qmae.images import load_images
    from qmae.masking import Masks, PatchMask
    from qmae.models import MaskedAutoencoder
    from qmae.settings import TrainingConfig
    from qmae.training import train

_HOME = {
    "Ansatz": "ansatz",
    "InputError": "errors",
    "Masks": "masking",
    "MaskedAutoencoder": "models",
    "MeanPatch": "baselines",
    "ModelConfig": "config",
    "Nothing": "baselines",
    "PatchMask": "masking",
    "TrainingConfig": "settings",
    "load_images": "images",
    "train": "training",
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
