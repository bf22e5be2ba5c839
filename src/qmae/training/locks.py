"""One process at a time in a folder: a lock that the operating system lets go when its holder dies, however it dies."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from qmae._files import LOCK, make_folder, refused, remove_leftovers
from qmae.errors import InputError

try:
    import fcntl
except ImportError:  # Windows
    import msvcrt

    def _take(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)  # pyright: ignore[reportAttributeAccessIssue]
else:

    def _take(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Work in a folder alone. It is made if it is not there, and what killed processes left in it is removed.

    A folder that held nothing, and holds nothing in the end, is removed.

    Raises:
        InputError: another process works there, or the folder cannot be made or written.
    """
    with refused("write to", folder):
        descriptor = _open_and_take(folder)
        remove_leftovers(folder)
        empty = os.listdir(folder) == [LOCK]
    try:
        yield
    finally:
        # While it is held: once it is free, another process may hold it.
        with suppress(OSError):
            os.unlink(folder / LOCK)
        os.close(descriptor)
        if empty:
            with suppress(OSError):  # it holds something now
                os.rmdir(folder)


def _open_and_take(folder: Path) -> int:
    path = folder / LOCK
    while True:
        make_folder(folder)
        try:
            # A link that somebody planted is not followed.
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o666)
        except FileNotFoundError:  # the folder was removed just now
            continue
        try:
            _take(descriptor)
        except BlockingIOError as error:
            os.close(descriptor)
            raise _in_use(folder) from error
        except OSError as error:
            os.close(descriptor)
            if isinstance(error, PermissionError):  # what Windows says
                raise _in_use(folder) from error
            raise
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(descriptor), os.stat(path, follow_symlinks=False)):
                return descriptor
        os.close(descriptor)  # its last holder removed it before it was ours


def _in_use(folder: Path) -> InputError:
    return InputError(f"{folder} is being worked on by another process: wait for its end, or choose another place")
