"""Tensors in a file, with a checksum: what is read is what was written, finite, and of the expected size."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from qmae._files import read_bytes, write_atomically
from qmae.errors import InputError

_KEY = "qmae"
"""The only entry of the file's metadata. Several have no fixed order in this format: equal models would differ."""

Shapes = dict[str, tuple[int, ...]]


def save_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, Any] | None = None) -> None:
    """Write tensors to a safetensors file, atomically.

    Args:
        path: of the file.
        tensors: by name, on any device, contiguous or not.
        metadata: what JSON can hold, returned by `load_tensors`.

    Raises:
        InputError: a value is not finite, or the file cannot be written.
    """
    write_atomically(path, to_bytes(tensors, metadata))


def to_bytes(tensors: Mapping[str, Tensor], metadata: Mapping[str, Any] | None = None) -> bytes:
    """The content of the file that `save_tensors` writes.

    Raises:
        InputError: a value is not finite.
    """
    # A parametrization may keep a matrix transposed, and tensors may share memory: the format knows neither.
    own = {name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format) for name, tensor in tensors.items()}
    _check_finite("nothing is saved", own)
    about: dict[str, Any] = {"metadata": dict(metadata or {})}
    about["sha256"] = _digest(own, about["metadata"])
    return save(own, {_KEY: json.dumps(about, sort_keys=True)})


def load_tensors(path: Path, *expected: Shapes) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what `save_tensors` wrote. A file without a checksum, of an older version, is read as well.

    Args:
        path: of the file.
        *expected: names and shapes that it must hold, then alternatives; checked before the tensors are read. Without
            any, the file may hold anything.

    Returns:
        The tensors on the CPU, and the metadata; empty where there is none.

    Raises:
        InputError: no such file, or it is damaged, or holds other tensors or values that are not finite.
    """
    # 16 bytes a number are enough in any precision; 1 MiB is for the header.
    limit = 16 * sum(map(math.prod, expected[0].values())) + 2**20 if expected else None
    content = read_bytes(path, limit=limit)
    header = _header(path, content)
    if expected:
        _check_shapes(path, header, *expected)
    try:
        tensors = load(content)
        about = json.loads(header.get("__metadata__", {}).get(_KEY, "{}"))
        metadata, checksum = about.get("metadata", {}), about.get("sha256")
    except (SafetensorError, ValueError, TypeError, AttributeError, KeyError, RecursionError) as error:
        raise InputError(f"{path} is damaged or holds no tensors ({error})") from error
    if checksum is not None and checksum != _digest(tensors, metadata):
        raise InputError(f"{path} is damaged: its checksum is not that of its content")
    _check_finite(path, tensors)
    return tensors, metadata


def _header(path: Path, content: bytes) -> dict[str, Any]:
    """The JSON header of a safetensors file, checked against the file's size."""
    length = int.from_bytes(content[:8], "little")
    if len(content) < 8 or length > len(content) - 8:
        raise InputError(f"{path} is damaged or cut short: its header says more bytes than there are")
    try:
        header = json.loads(content[8 : 8 + length])
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is damaged: its header is no JSON ({error})") from error
    if not isinstance(header, dict):
        raise InputError(f"{path} is damaged: its header is no JSON object")
    return header


def _check_shapes(path: Path, header: dict[str, Any], expected: Shapes, *others: Shapes) -> None:
    try:
        found = {name: tuple(entry["shape"]) for name, entry in header.items() if name != "__metadata__"}
    except (TypeError, KeyError) as error:
        raise InputError(f"{path} is damaged: its header names no shapes") from error
    if found not in (expected, *others):
        differing = sorted(name for name in {*found, *expected} if found.get(name) != expected.get(name))
        name = differing[0]
        raise InputError(
            f"{path} holds {name} of shape {found.get(name, 'none')}, its settings ask for {expected.get(name, 'none')}"
        )


def _check_finite(what: str | Path, tensors: Mapping[str, Tensor]) -> None:
    for name, tensor in tensors.items():
        if not tensor.isfinite().all():
            raise InputError(f"{what}: {name} holds NaN or infinity, which are no weights: train anew")


def _digest(tensors: Mapping[str, Tensor], metadata: Mapping[str, Any]) -> str:
    digest = hashlib.sha256(json.dumps(metadata, sort_keys=True).encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)} ".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
