"""All kinds of models that are trained: reading their settings, building them from presets, loading them."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch

from qmae._values import SEEDS, Registry, whole
from qmae.data.masks import PatchMask
from qmae.errors import InputError
from qmae.models.autoencoder import MaskedAutoencoder
from qmae.models.base import TrainableModel
from qmae.models.choices import Kind
from qmae.models.config import ModelConfig
from qmae.models.free import FreeConfig, FreeModel
from qmae.models.networks import ClassicalConfig, ClassicalModel
from qmae.models.presets import PRESETS
from qmae.models.pretrained import SHIPPED, load_pretrained

AnyConfig = ModelConfig | ClassicalConfig | FreeConfig
"""What a run trains: a quantum model, a classical network, or a design with free matrices."""


@dataclass(frozen=True)
class Family:
    """One kind of models.

    Attributes:
        config: the class of its configs, frozen dataclasses with the field `patch`; `from_dict` makes one of the
            `"model"` part of `config.json`.
        build: makes a model of its config, drawing its initial parameters from a `generator`.
    """

    config: type[AnyConfig]
    build: Callable[..., TrainableModel]


FAMILIES: Registry[Family] = Registry(
    "kind of model",
    Family,
    {
        "quantum": Family(ModelConfig, MaskedAutoencoder),
        "network": Family(ClassicalConfig, ClassicalModel),
        "design": Family(FreeConfig, FreeModel),
    },
)
"""The families by their kind."""


def parse_config(content: Mapping[str, Any]) -> AnyConfig:
    """The config of the model that `config.json` describes.

    Raises:
        InputError: a setting is missing, unknown, of a wrong type or out of bounds, or the kind of model is unknown.
    """
    values = content["model"]
    return FAMILIES[content.get("kind", _kind_of_older(values))].config.from_dict(values)


def _kind_of_older(values: Mapping[str, Any]) -> Kind:
    """The kind of a model whose `config.json` does not say it, as that of format 2 and older."""
    return "network" if "network" in values else "design" if "design" in values else "quantum"


def build_model(config: AnyConfig, *, seed: int) -> TrainableModel:
    """Build an untrained model.

    Args:
        config: what it is.
        seed: of its initial parameters.
    """
    return FAMILIES[config.kind].build(config, generator=torch.Generator().manual_seed(seed))


def list_models(pattern: str = "*", *, pretrained: bool = False) -> list[str]:
    """The names that `create_model` takes, or those that `from_pretrained` does.

    Args:
        pattern: which of them, as of file names: `"qmae*"`.
        pretrained: list the trained models that the package brings instead of presets.
    """
    return fnmatch.filter(SHIPPED if pretrained else list(PRESETS), pattern)


def create_model(preset: str, *, patch: PatchMask | None = None, seed: int = 0, **settings: Any) -> TrainableModel:
    """Build an untrained model.

    Args:
        preset: a name of `list_models`.
        patch: the masks it is made for; 25% of 16 x 16 pixels on a grid by default.
        seed: of its initial parameters.
        **settings: fields of `ModelConfig`, which win over the preset's; for a quantum model only.

    Raises:
        InputError: no such preset, settings that do not go together, or settings for what is no quantum model.
    """
    config = preset_config(preset, PatchMask() if patch is None else patch, **settings)
    return build_model(config, seed=whole(seed, "seed", *SEEDS))


def from_pretrained(folder: str | Path) -> TrainableModel:
    """Load a model of any kind.

    Args:
        folder: of a training run or of `save_pretrained`, or a name of `list_models(pretrained=True)`.

    Raises:
        InputError: no such folder, or it holds no model.
    """
    return load_pretrained(folder, parse_config, lambda config: build_model(config, seed=0))


def preset_config(preset: str, patch: PatchMask, **settings: Any) -> AnyConfig:
    """The config of a preset.

    Args:
        preset: a name of `PRESETS`.
        patch: the masks it is made for.
        **settings: fields of `ModelConfig`, which win over the preset's; for a quantum model only.

    Raises:
        InputError: no such preset, settings that do not go together, or settings for what is no quantum model.
    """
    entry = PRESETS[preset]
    if entry.kind == ModelConfig.kind:
        return ModelConfig.preset(preset, patch, **settings)
    if settings:
        names = ", ".join("--" + name.replace("_", "-") for name in settings)
        raise InputError(f"{names}: of a circuit, which {preset} has none of; leave it out")
    config = FAMILIES[entry.kind].config
    if unknown := set(entry.model) - {field.name for field in fields(config)}:
        raise InputError(f"preset {preset}: a {entry.kind} has no setting {', '.join(sorted(unknown))}")
    return config(patch=patch, **entry.model)
