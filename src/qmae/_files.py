"""Reading and writing files: whole or not at all, durable, nothing overwritten by accident, refusals in one line."""

from __future__ import annotations

import errno
import json
import math
import os
import re
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from qmae.errors import InputError

LOCK = ".qmae-lock"
"""The file that `qmae.locks` holds in a folder while a process works there."""

_LEFTOVER = re.compile(
    r"\.([0-9a-f]{16}|.+\.(json|csv|pt|safetensors|npz|npy|md|html|png|svg|qasm|qpy))\.partial|\.writable|\.qmae-lock"
)
"""The second kind of partial files, and the probe, are those of versions up to 0.1."""

TEXT_BYTES = 2**26
"""What a settings file may hold at the most: it is read before anything is known of it."""


def is_leftover(path: Path) -> bool:
    """Whether a killed process of this package left that: a partial file, a probe, a lock that nobody holds."""
    return _LEFTOVER.fullmatch(path.name) is not None


def resolve(path: str | Path) -> Path:
    """A path as it is found again from another working directory.

    Raises:
        InputError: it is none.
    """
    with refused("use", path):
        return Path(os.path.realpath(path))


def check_free(path: Path) -> Path:
    """Refuse a place where something lies already, unless it is a folder that holds nothing.

    What a killed process left there does not count, nor do folders that hold nothing themselves.

    Raises:
        InputError: something lies there, or it cannot be looked at.
    """
    with refused("write to", path):
        if not _holds_nothing(path):
            raise InputError(f"{path} is taken: choose another place, or --resume a training that lies there")
    return path


def new_file(path: Path) -> Path:
    """Make sure, before long work, that a file that is not there yet can be written. Nothing is left there.

    Raises:
        InputError: something lies there, or the file cannot be written.
    """
    with refused("write", path):
        try:
            os.stat(path, follow_symlinks=False)
        except FileNotFoundError:
            # Another file, so that none is lost that another process makes under this name just now.
            os.unlink(_write_partial(path.parent, b""))
            return path
    raise InputError(f"{path} is taken: choose another place, or remove it")


def new_folder(path: Path) -> Path:
    """Make a folder that was not there, or held nothing, and make sure that files can be written there.

    Raises:
        InputError: something lies there already, or the folder cannot be made or written.
    """
    check_free(path)
    with refused("write to", path):
        make_folder(path)
        # Root may pass the permission bits of a file system that is read-only all the same: try it.
        os.unlink(_write_partial(path, b""))
    return path


def check_writable(folder: Path) -> None:
    """Make sure, before long work, that a file can be written into a folder. Nothing is left there.

    Raises:
        InputError: it cannot.
    """
    with refused("write to", folder):
        os.unlink(_write_partial(folder, b""))


def make_folder(path: Path) -> None:
    """Make a folder and those above it, durably.

    Raises:
        OSError: it cannot be made.
    """
    if path.is_dir():
        return
    make_folder(path.parent)
    try:
        os.mkdir(path)
    except FileExistsError:
        with suppress(FileNotFoundError):  # another process has made it, and removed it again
            if not stat.S_ISDIR(os.lstat(path).st_mode):
                raise
        make_folder(path)
    _sync_folder(path.parent)


def remove_leftovers(folder: Path) -> None:
    """Remove what killed processes left in a folder; nobody may be writing there: hold its lock."""
    for path in _entries(folder):
        if is_leftover(path) and path.name != LOCK:
            with suppress(OSError):  # a folder of that name, or one that cannot be written
                path.unlink()


def write_atomically(path: Path, content: bytes | str) -> None:
    """Write a file whole or not at all: whoever reads it, even after a power cut, finds the old content or the new.

    Raises:
        InputError: the file cannot be written.
    """
    data = content.encode() if isinstance(content, str) else content
    with refused("write", path):
        # Renaming onto a pipe or a device would replace it.
        if os.path.exists(path) and not os.path.isfile(path):
            raise InputError(f"cannot write {path} (it is no regular file): choose another place")
        partial = _write_partial(path.parent, data)
        try:
            os.replace(partial, path)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
        _sync_folder(path.parent)


def remove(path: Path) -> None:
    """Remove a file, durably; one that is not there is no mistake.

    Raises:
        InputError: it cannot be removed.
    """
    with refused("remove", path):
        path.unlink(missing_ok=True)
        _sync_folder(path.parent)


def read_bytes(path: Path, *, limit: int | None = None) -> bytes:
    """Read a regular file; a pipe or a device, which may have no end, is not read.

    Args:
        path: which.
        limit: bytes that it may hold at the most.

    Raises:
        InputError: no such file, or it cannot be read, or is too large.
    """
    with refused("read", path):
        # A pipe that nobody writes to would not even open.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise InputError(f"cannot read {path}: it is no regular file")
            if limit is not None and status.st_size > limit:
                raise InputError(f"cannot read {path}: it holds {status.st_size:,} bytes, more than {limit:,}")
            return file.read()


def read_text(path: Path, *, limit: int | None = None) -> str:
    """Read a regular file of UTF-8 text.

    Args:
        path: which.
        limit: bytes that it may hold at the most.

    Raises:
        InputError: no such file, or it cannot be read, is too large, or is no text.
    """
    try:
        return read_bytes(path, limit=limit).decode()
    except UnicodeDecodeError as error:
        raise InputError(f"cannot read {path}: it is no text in UTF-8") from error


def read_json(path: Path, *, limit: int = TEXT_BYTES) -> dict[str, Any]:
    """Read a JSON object.

    Args:
        path: of the file.
        limit: bytes that it may hold at the most.

    Raises:
        InputError: the file cannot be read, or holds something else, or the same name twice.
    """
    text = read_text(path, limit=limit)
    try:
        content = json.loads(text, object_pairs_hook=_without_duplicates)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is no JSON ({error})") from error
    if not isinstance(content, dict):
        raise InputError(f"{path} is no JSON object, as settings are")
    return content


@contextmanager
def refused(action: str, path: str | Path) -> Iterator[None]:
    """Turn what the operating system refuses into one line.

    Args:
        action: what is tried, as in "cannot ... PATH".
        path: of the file or folder.

    Raises:
        InputError: instead of an `OSError`, or of the error of a path that is none.
    """
    try:
        yield
    except InputError:
        raise
    except OSError as error:
        mend = {"read": "check its name and permissions", "remove": "check its permissions"}
        raise InputError(
            f"cannot {action} {path} ({error.strerror or error}): {mend.get(action, 'choose another place')}"
        ) from error
    except ValueError as error:  # a null character, or one that the file system cannot encode
        raise InputError(f"cannot {action} {str(path)!a} ({error}): give another path") from error


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        raise ValueError("a name stands there twice")
    return content


def _entries(folder: Path) -> list[Path]:
    with os.scandir(folder) as entries:
        return [Path(entry.path) for entry in entries]


def _holds_nothing(path: Path) -> bool:
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return not os.path.islink(path)  # a link to nothing is something
    return stat.S_ISDIR(status.st_mode) and all(
        is_leftover(entry) or (entry.is_dir() and not entry.is_symlink() and _holds_nothing(entry))
        for entry in _entries(path)
    )


def _write_partial(folder: Path, data: bytes) -> Path:
    """Write a new file of a random name, durably; a link that somebody planted there is not followed."""
    partial = folder / f".{secrets.token_hex(8)}.partial"
    # The mode is that of any new file: the process's umask applies.
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(descriptor)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    return partial


def _sync_folder(folder: Path) -> None:
    """Make what was renamed, made or removed in a folder durable, where the system can."""
    if os.name == "nt":
        return  # folders cannot be opened there
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EROFS):
            raise
    finally:
        os.close(descriptor)


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
