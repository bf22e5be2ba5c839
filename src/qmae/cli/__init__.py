"""The `qmae` command: reads arguments, calls the library, prints. torch is imported late, so that help is quick."""

from __future__ import annotations

import sys
from importlib.metadata import version as metadata_version
from typing import Annotated

import typer
from rich.console import Console

from qmae.cli import circuits, speed, training, yardsticks
from qmae.cli.common import RunInterruptedError, app
from qmae.errors import InputError
from qmae.terminal import console

__all__ = ["app", "circuits", "main", "speed", "training", "yardsticks"]

INTERRUPTED = 130
"""The exit code after Ctrl-C, as shells have it."""


def _print_version(wanted: bool) -> None:
    if wanted:
        console.print(f"qmae {metadata_version('qmae')}", highlight=False)
        raise typer.Exit


@app.callback()
def qmae(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Quantum masked autoencoders: learn the missing parts of images with quantum circuits."""


def main() -> None:
    """Run the command; a mistake of the caller is one line and exit code 2, Ctrl-C is 130."""
    errors = Console(stderr=True, soft_wrap=True, highlight=False, markup=False)
    try:
        code = app(standalone_mode=False)
    except InputError as error:
        errors.print(f"error: {error}")
        code = 2
    except typer.TyperException as error:
        if message := error.format_message():
            errors.print(f"error: {message.rstrip('.')}. See `qmae --help`.")
        code = error.exit_code
    except RunInterruptedError as interrupted:
        errors.print(f"interrupted: {interrupted}")
        code = INTERRUPTED
    sys.exit(code)
