"""The `qmae` command. What it needs is imported late, so that Ctrl-C is in order from the first moment on."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from qmae.cli.exit_codes import INTERRUPTED

if TYPE_CHECKING:
    from qmae.cli.program import app

__all__ = ["app", "main"]


class InterruptedByUserError(KeyboardInterrupt):
    """Ctrl-C. A class of its own, for after `KeyboardInterrupt` in what `exec` runs Python kills itself in the end."""


def __getattr__(name: str) -> Any:
    if name != "app":
        raise AttributeError(f"module 'qmae.cli' has no attribute {name!r}")
    from qmae.cli.program import app

    return app


def main() -> None:
    """Run the command; a mistake of the caller is one line and exit code 2, Ctrl-C is 130."""
    with _noted_interrupts() as interrupts, _no_window():
        try:
            from qmae.cli.program import run

            code = run(sys.argv[1:])
        except BaseException:
            # An import that is interrupted may say something else.
            if not interrupts:
                raise
            code = _say_interrupted()
    # It may also have been swallowed on its way here.
    sys.exit(INTERRUPTED if interrupts else code)


@contextmanager
def _noted_interrupts() -> Iterator[list[int]]:
    """Note every Ctrl-C in a list and raise `KeyboardInterrupt`, unless Ctrl-C means something else already."""
    noted: list[int] = []

    def interrupt(number: int, _frame: Any) -> None:
        noted.append(number)
        raise InterruptedByUserError

    usual = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if not usual or threading.current_thread() is not threading.main_thread():
        yield noted
        return
    signal.signal(signal.SIGINT, interrupt)
    try:
        yield noted
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@contextmanager
def _no_window() -> Iterator[None]:
    """Draw into files alone: a notebook's MPLBACKEND may name what is not installed here, and matplotlib then fails."""
    given = os.environ.get("MPLBACKEND")
    os.environ["MPLBACKEND"] = "agg"
    try:
        yield
    finally:
        del os.environ["MPLBACKEND"]
        if given is not None:
            os.environ["MPLBACKEND"] = given


def _say_interrupted() -> int:
    with suppress(OSError):
        print("interrupted", file=sys.stderr)
    return INTERRUPTED
