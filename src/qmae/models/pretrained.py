"""Models in folders: their settings and weights, and those that the package brings."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn

from qmae._files import make_folder, read_json, refused, to_json, write_atomically
from qmae._values import shown
from qmae.errors import InputError
from qmae.models.base import Config, TrainableModel
from qmae.models.weights import load_tensors, to_bytes

Module = TypeVar("Module", bound=nn.Module)
Known = TypeVar("Known", bound=Config)

CONFIG, WEIGHTS = "config.json", "model.safetensors"
"""The files of a saved model."""

SHIPPED = ("qmae-small-25", "qmae-plus-25", "qmae-heralded-25", "qmae-compressed-25", "qmae-plus-50")
"""Trained models that the package brings: preset and hidden share in percent, on a grid of 16 x 16 pixels of MNIST."""

FORMAT = 4
"""Of `config.json` and the weights beside it. Weights of format 3 hold the angles of encoder and decoder in one tensor,
files of format 2 do not say the kind of the model, older ones not even their format."""


def describe_model(model: TrainableModel) -> dict[str, Any]:
    """What `config.json` says of a model."""
    return {"format": FORMAT, "kind": model.kind, "model": asdict(model.config)}


def check_format(content: Mapping[str, Any]) -> None:
    """Refuse settings that this version does not understand.

    Raises:
        ValueError: they are of a format that it does not know.
    """
    if content.get("format", FORMAT) not in (2, 3, FORMAT):
        raise ValueError(f"{CONFIG} is of the format {shown(content['format'])}, this version knows {FORMAT}")


def save_pretrained(model: TrainableModel, folder: Path) -> None:
    """Write `config.json` and `model.safetensors` into a folder, which is made if it is not there.

    Raises:
        InputError: a parameter is not finite, or the folder cannot be written.
    """
    content = to_json(describe_model(model))
    weights = to_bytes(model.state_dict(), {"model": json.loads(content)["model"]})
    with refused("write to", folder):
        make_folder(folder)
    write_atomically(folder / WEIGHTS, weights)
    write_atomically(folder / CONFIG, content)


def locate(folder: str | Path) -> Path:
    """The folder of a model: the given one or, if there is none, that of the packaged model of this name."""
    if str(folder) in SHIPPED and not os.path.isdir(folder):
        return packaged(str(folder))
    return Path(folder)


def packaged(name: str) -> Path:
    """Where the package keeps a model of `SHIPPED`."""
    return Path(str(resources.files("qmae.models"))) / "shipped" / name


def load_pretrained(
    folder: str | Path, parse: Callable[[dict[str, Any]], Known], build: Callable[[Known], Module]
) -> Module:
    """Load a model from its folder, in the precision of its weights.

    Args:
        folder: of `save_pretrained` or of a training run, or a name in `SHIPPED`.
        parse: makes a config of the content of `config.json`.
        build: makes the model of a config, its parameters not yet those of the folder.

    Raises:
        InputError: no such folder, or it holds no such model, or one whose weights are damaged.
    """
    folder = locate(folder)
    if not os.path.isdir(folder):
        raise InputError(f"no run folder {folder}: make one with `qmae train --out {folder}`")
    try:
        content = read_json(folder / CONFIG)
        check_format(content)
        values, config = content["model"], parse(content)
        tensors, about = load_tensors(folder / WEIGHTS, *config.stored_shapes)
        if about.get("model", values) != values:
            raise InputError(f"{CONFIG} is not of the model whose weights lie beside it")
        precisions = {tensor.dtype for tensor in tensors.values() if tensor.is_floating_point()}
        if precisions not in ({torch.float32}, {torch.float64}):
            raise InputError("its weights are neither all float32 nor all float64")
        model = build(config).to(dtype=precisions.pop())
        model.load_state_dict(tensors)
    except (KeyError, TypeError, ValueError, RuntimeError, OverflowError, AttributeError) as error:
        raise InputError(f"{folder} holds no model that can be read ({error}): give the folder of a run") from error
    return model
