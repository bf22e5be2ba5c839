"""A cache of measurements in files, each under the checksum of all that it depends on."""

from __future__ import annotations

import hashlib
import io
import os
from contextlib import suppress
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any
from zipfile import BadZipFile
from zlib import error as ZlibError

import numpy as np
import torch
from torch import Tensor

from qmae._files import make_folder, read_bytes, write_atomically
from qmae.errors import InputError

UNREADABLE = (
    *(OSError, EOFError, KeyError, ValueError, TypeError, AttributeError, RuntimeError, MemoryError),
    *(BadZipFile, ZlibError),
)
"""The errors that reading a damaged `.npz` file may raise."""


class Cache:
    """Arrays in files of a folder. What cannot be read or written there is computed anew, and nothing is said.

    Args:
        folder: may be removed at any time; it is made when something is kept.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)

    @classmethod
    def of_user(cls) -> Cache | None:
        """The cache in `$XDG_CACHE_HOME/qmae`, by default `~/.cache/qmae`; None without a home folder."""
        base = os.environ.get("XDG_CACHE_HOME", "")
        # The standard says that a path that is not absolute is ignored.
        base = base if os.path.isabs(base) else os.path.expanduser("~/.cache")
        return cls(Path(base, "qmae")) if os.path.isabs(base) else None

    def read(self, key: str) -> dict[str, np.ndarray] | None:
        """What was kept; None if nothing was, or it is damaged."""
        try:
            return load_arrays(self.folder / f"{key}.npz")
        except UNREADABLE:
            return None

    def write(self, key: str, **arrays: Any) -> None:
        """Keep arrays."""
        content = io.BytesIO()
        np.savez_compressed(content, **arrays)
        with suppress(InputError, OSError):
            make_folder(self.folder)
            write_atomically(self.folder / f"{key}.npz", content.getvalue())


def load_arrays(path: Path) -> dict[str, np.ndarray]:
    """The arrays of an `.npz` file; a damaged one raises one of `UNREADABLE`."""
    with np.load(io.BytesIO(read_bytes(path)), allow_pickle=False) as content:
        return {name: content[name] for name in content}


def digest(*parts: Any) -> str:
    """A checksum of tensors, by type, shape and values, and of whatever else `repr` tells apart."""
    found = hashlib.sha256()
    for part in parts:
        if isinstance(part, Tensor):
            values = part.detach().cpu().contiguous().numpy()
            found.update(repr((values.dtype.str, values.shape)).encode())
            found.update(values.reshape(-1).view(np.uint8).data)
        else:
            found.update(repr(part).encode(errors="surrogateescape"))
        found.update(b"\0")
    return found.hexdigest()


def digest_of_module(module: torch.nn.Module) -> str:
    """A checksum of all parameters and buffers."""
    return digest(*(part for named in module.state_dict().items() for part in named))


@cache
def digest_of_package() -> str:
    """A checksum of the package's code and of torch's version."""
    files = sorted(Path(str(resources.files("qmae"))).rglob("*.py"))
    return digest(*(path.read_bytes() for path in files), torch.__version__)
