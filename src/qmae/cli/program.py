"""All commands together, and what becomes of what stops one: one line, and an exit code that says what it was."""

from __future__ import annotations

import logging
import os
import sys
from contextlib import suppress
from importlib.metadata import version as metadata_version
from typing import Annotated

import typer

from qmae.cli import benchmark, circuits, evaluate, experiments, train
from qmae.cli.common import RunInterruptedError, app
from qmae.cli.exit_codes import INTERRUPTED, REFUSED, UNHEARD
from qmae.cli.terminal import Terminal, console, show_everything
from qmae.errors import InputError

__all__ = ["app", "benchmark", "circuits", "evaluate", "experiments", "run", "train"]


def _print_version(wanted: bool) -> bool:
    if wanted:
        console.print(f"qmae {metadata_version('qmae')}")
        raise typer.Exit
    return wanted


@app.callback()
def qmae(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Quantum masked autoencoders: learn the missing parts of images with quantum circuits."""


def run(arguments: list[str]) -> int:
    """Run one command.

    Args:
        arguments: of the command line, the program's name left out.

    Returns:
        The exit code: 0, or 2 where the caller can mend it, 130 after Ctrl-C, 141 where nobody reads the output.
    """
    # What Pillow says of a damaged picture beside the error that it raises would be a second line.
    logging.getLogger("PIL").addHandler(logging.NullHandler())
    for stream in (sys.stdout, sys.stderr):
        show_everything(stream)
    try:
        code = _run(arguments)
        if sys.stdout is not None:
            sys.stdout.flush()
        return code
    except (BrokenPipeError, SystemExit):  # the second is what becomes of the first where help is printed
        code = UNHEARD
    except OSError as error:
        _tell(f"error: {_reason(error)}")
        code = REFUSED
    except (MemoryError, RuntimeError) as error:
        if not _is_lack_of_memory(error):
            raise
        _tell("error: not enough memory for this: choose a smaller batch, fewer or smaller images or fewer layers")
        code = REFUSED
    _give_up_if_full()
    return code


def _run(arguments: list[str]) -> int:
    try:
        _refuse_empty(arguments)
        code = app(arguments, prog_name="qmae", standalone_mode=False) or 0
        if code == INTERRUPTED:
            _tell("interrupted")
        return code
    except InputError as error:
        _tell(f"error: {error}")
        return REFUSED
    except typer.TyperException as error:
        if message := " ".join(error.format_message().split()):
            _tell(f"error: {message.rstrip('.')}. See `qmae --help`.")
        return error.exit_code
    except RunInterruptedError as interrupted:
        _tell(f"interrupted: {interrupted}")
        return INTERRUPTED


def _refuse_empty(arguments: list[str]) -> None:
    """An empty word is no path, number or name; as a path it would be the working directory.

    Raises:
        InputError: there is one.
    """
    for before, word in zip([None, *arguments], arguments, strict=False):
        option = before if word == "" else word[:-1] if word.startswith("--") and word.endswith("=") else None
        if option and option.startswith("-"):
            raise InputError(f"{option} is empty: give it a value, or leave it out")
        if word == "":
            raise InputError("an argument is empty: give it a value, or leave it out")


def _tell(line: str) -> None:
    with suppress(OSError):
        Terminal(stderr=True).print(line)


def _reason(error: OSError) -> str:
    """What the system refused, and of what file."""
    why = " ".join((error.strerror or str(error) or type(error).__name__).split())
    if error.filename is None:
        return f"the system refused to read or write ({why}): free some space, or choose another place"
    return f"cannot use {os.fsdecode(error.filename)} ({why}): choose another path, or mend this one"


def _is_lack_of_memory(error: Exception) -> bool:
    """Whether it is Python's, NumPy's, or torch's way to say so."""
    said = str(error)
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or "DefaultCPUAllocator" in said
        or "can't allocate memory" in said
    )


def _give_up_if_full() -> None:
    """Where the output takes nothing any more, let go what it still holds: Python would try again at its end."""
    if sys.stdout is None:
        return
    try:
        sys.stdout.flush()
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
