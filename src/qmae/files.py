"""Writing files so that nothing half-written is ever left behind, and nothing is overwritten by accident."""

from __future__ import annotations

import json
import math
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from qmae.errors import InputError


def check_free(path: Path) -> Path:
    """Refuse a place where something lies already, unless it is an empty folder.

    Raises:
        InputError: something lies there.
    """
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise InputError(f"{path} is taken: choose another place, or --resume a training that lies there")
    return path


def new_file(path: Path) -> Path:
    """Make sure, before long work, that a file that is not there yet can be written.

    Raises:
        InputError: it exists, or cannot be written.
    """
    check_free(path)
    write_atomically(path, "")
    path.unlink()
    return path


def new_folder(path: Path) -> Path:
    """Make a folder that was not there, or was empty.

    Raises:
        InputError: something lies there already, or the folder cannot be made.
    """
    check_free(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
        # Root may pass the permission bits of a file system that is read-only all the same: try it.
        probe = path / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise InputError(f"cannot write to {path} ({error.strerror}): choose another place") from error
    return path


def check_writable(folder: Path) -> None:
    """Make sure, before long work, that a file can be written into a folder.

    Raises:
        InputError: it cannot.
    """
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise InputError(f"cannot write to {folder} ({error.strerror}): choose another place by --out") from error


@contextmanager
def filled_folder(path: Path) -> Iterator[Path]:
    """Make a folder that was not there, or was empty, for work that fills it; if the work fails, nothing empty is left.

    Raises:
        InputError: something lies there already, or the folder cannot be made.
    """
    made = [folder for folder in (path, *path.parents) if not folder.exists()]
    try:
        yield new_folder(path)
    except BaseException:
        for folder in made:
            with suppress(OSError):  # something was written into it
                folder.rmdir()
        raise


def write_atomically(path: Path, content: bytes | str) -> None:
    """Write a file whole or not at all: whoever reads it finds the old content or the new.

    Raises:
        InputError: the file cannot be written.
    """
    data = content.encode() if isinstance(content, str) else content
    partial = path.with_name(f".{path.name}.partial")
    try:
        try:
            partial.write_bytes(data)
            os.replace(partial, path)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise InputError(f"cannot write {path} ({error.strerror}): choose a folder that can be written") from error


def to_json(content: Any, *, indent: int | None = 2) -> str:
    """JSON as its standard has it: numbers that are not finite are `null`, and the text ends with a line break."""
    return json.dumps(_finite(content), indent=indent, allow_nan=False, default=str) + "\n"


def _finite(content: Any) -> Any:
    match content:
        case float():
            return content if math.isfinite(content) else None
        case dict():
            return {key: _finite(value) for key, value in content.items()}
        case list() | tuple():
            return [_finite(value) for value in content]
        case _:
            return content
