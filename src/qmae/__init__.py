"""qmae: quantum masked autoencoders, after Andrews and Mishra (arXiv 2511.17372)."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    __version__: str
    from qmae.ansatz.ansatz import Ansatz
    from qmae.circuits.autoencoder import AutoencoderCircuit
    from qmae.data.images import load_images
    from qmae.data.masks import Masks, PatchMask
    from qmae.errors import InputError
    from qmae.evaluation.evaluate import TestSet, evaluate
    from qmae.evaluation.rows import Row
    from qmae.models.autoencoder import MaskedAutoencoder
    from qmae.models.base import Model, Outputs
    from qmae.models.baselines import MeanPatch, NearestNeighbours, Nothing, Ridge, TokenPatch
    from qmae.models.config import ModelConfig
    from qmae.models.pixels import Original
    from qmae.models.registry import create_model, from_pretrained, list_models
    from qmae.simulation.states import embed
    from qmae.training.config import TrainingConfig
    from qmae.training.loop import train

_HOME = {
    "Ansatz": "ansatz.ansatz",
    "AutoencoderCircuit": "circuits.autoencoder",
    "InputError": "errors",
    "MaskedAutoencoder": "models.autoencoder",
    "Masks": "data.masks",
    "MeanPatch": "models.baselines",
    "Model": "models.base",
    "ModelConfig": "models.config",
    "NearestNeighbours": "models.baselines",
    "Nothing": "models.baselines",
    "Original": "models.pixels",
    "Outputs": "models.base",
    "PatchMask": "data.masks",
    "Ridge": "models.baselines",
    "Row": "evaluation.rows",
    "TestSet": "evaluation.evaluate",
    "TokenPatch": "models.baselines",
    "TrainingConfig": "training.config",
    "create_model": "models.registry",
    "embed": "simulation.states",
    "evaluate": "evaluation.evaluate",
    "from_pretrained": "models.registry",
    "list_models": "models.registry",
    "load_images": "data.images",
    "train": "training.loop",
}

__all__ = [
    "Ansatz",
    "AutoencoderCircuit",
    "InputError",
    "MaskedAutoencoder",
    "Masks",
    "MeanPatch",
    "Model",
    "ModelConfig",
    "NearestNeighbours",
    "Nothing",
    "Original",
    "Outputs",
    "PatchMask",
    "Ridge",
    "Row",
    "TestSet",
    "TokenPatch",
    "TrainingConfig",
    "__version__",
    "create_model",
    "embed",
    "evaluate",
    "from_pretrained",
    "list_models",
    "load_images",
    "train",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("qmae")
    # Imported on first use, so that `qmae --help` does not wait for torch.
    if name not in _HOME:
        raise AttributeError(f"module 'qmae' has no attribute {name!r}")
    return getattr(import_module(f"qmae.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return __all__
