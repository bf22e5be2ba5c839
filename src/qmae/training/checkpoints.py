"""Checkpoints of a training: with a checksum, and with the settings and images that they are of."""

from __future__ import annotations

import hashlib
import io
import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from qmae._files import read_bytes
from qmae.errors import InputError
from qmae.training.config import TrainingConfig

_MAGIC = b"qmae checkpoint 3\n"
"""How the file begins; its SHA-256 and the content follow. Version 1, without a checksum, is not resumed."""

_ROUNDING = 1e-7
"""How far `sketch` may be off for the same images on another machine, which rounds in another way when it resizes."""


def describe(
    config: Any,
    training: TrainingConfig,
    images: Float[Tensor, "images size size"],
    validation: Float[Tensor, "held_out size size"],
) -> dict[str, Any]:
    """The settings and images of a training; they must be those of the checkpoint that it goes on from.

    Args:
        config: of the model, a dataclass.
        training: the settings.
        images: the training images.
        validation: the validation images.
    """
    settings = {"model": asdict(config), "training": asdict(training)}
    return {**json.loads(json.dumps(settings)), "images": sketch(images), "validation": sketch(validation)}


def sketch(images: Float[Tensor, "images size size"]) -> tuple[int, int, float]:
    """What identifies a set of images in its order: number, side, and a random projection of all pixels.

    One pixel of one image that is changed by a gray of 256 moves the projection by more than rounding does.
    """
    count, pixels = len(images), images[0].numel()
    generator = torch.Generator().manual_seed(0)
    rows, columns = (torch.randn(n, generator=generator, dtype=torch.float64) for n in (count, pixels))
    parts = [part.detach().cpu().flatten(1).double() @ columns for part in images.split(4096)]
    projection = float(rows @ torch.cat(parts)) / math.sqrt(count * pixels)
    return count, images.shape[-1], projection


def checkpoint_bytes(state: dict[str, Any], settings: dict[str, Any]) -> bytes:
    """The content of a checkpoint's file.

    Args:
        state: all that a resumed training needs: tensors, numbers, lists and dictionaries.
        settings: of `describe`.
    """
    content = io.BytesIO()
    torch.save({"state": state, "settings": settings}, content)
    payload = content.getvalue()
    return _MAGIC + hashlib.sha256(payload).digest() + payload


def load_checkpoint(path: Path, settings: dict[str, Any]) -> dict[str, Any]:
    """Read the state that `checkpoint_bytes` wrote. Nothing that the file holds is executed.

    Args:
        path: of the file.
        settings: of `describe`, of the training that goes on.

    Raises:
        InputError: it is damaged, of an older version, or of another training; or it holds values that are not finite.
    """
    content = read_bytes(path)
    checksum, payload = content[len(_MAGIC) :][:32], content[len(_MAGIC) + 32 :]
    with intact(path):
        if not content.startswith(_MAGIC):
            raise ValueError("no checkpoint of this version of qmae")
        if hashlib.sha256(payload).digest() != checksum:
            raise ValueError("its checksum is not that of its content")
        found = torch.load(io.BytesIO(payload), weights_only=True, map_location="cpu")
        state, of = dict(found["state"]), dict(found["settings"])
        _check_finite(state)
        differing = _differing(of, settings)
    if differing:
        raise InputError(
            f"{path} is of another training ({', '.join(differing)} differ): choose another folder, or remove the file "
            "to train anew"
        )
    return state


@contextmanager
def intact(path: Path) -> Iterator[None]:
    """Refuse a checkpoint in one line if its content cannot be used.

    Raises:
        InputError: instead of any error.
    """
    try:
        yield
    except Exception as error:  # what another program wrote can fail in any way
        raise InputError(
            f"{path} is damaged and cannot be resumed ({str(error)[:200]}): remove it, and train anew by "
            f"`qmae train --resume {path.parent}`"
        ) from error


def _check_finite(value: Any) -> None:
    values = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    if isinstance(value, Tensor) and not value.isfinite().all():
        raise ValueError("it holds NaN or infinity")
    for part in values:
        _check_finite(part)


def _differing(found: dict[str, Any], wanted: dict[str, Any]) -> list[str]:
    """The names of the settings that differ."""
    names = []
    for kind in ("model", "training"):
        ours, theirs = wanted[kind], dict(found[kind])
        names += sorted(name for name in {*ours, *theirs} if ours.get(name) != theirs.get(name))
    for kind in ("images", "validation"):
        (*sizes, projection), (*other_sizes, other) = wanted[kind], found[kind]
        if sizes != other_sizes or not abs(projection - other) <= _ROUNDING:
            names.append("validation images" if kind == "validation" else kind)
    return names
