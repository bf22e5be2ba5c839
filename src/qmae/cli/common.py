"""What all commands share: the application, common options, and what stops a command in order."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from typer.core import TyperCommand

from qmae.cli.terminal import console
from qmae.errors import InputError
from qmae.training.locks import locked

MOST = 2**31 - 1
"""The largest of all counts: libraries hold numbers in 32 or 64 bits."""

LARGEST_SIZE = 4096
"""Pixels a side: 24 qubits."""

if TYPE_CHECKING:
    import torch

    from qmae.evaluation.evaluate import TestSet


class _Command(TyperCommand):
    """A command that is given the class of context that its annotation names: typer's own is given its base class."""

    context_class = typer.Context


class _App(typer.Typer):
    def command(self, *arguments: Any, **settings: Any) -> Any:
        return super().command(*arguments, cls=_Command, **settings)


app = _App(
    name="qmae",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
)

Accelerator = Literal["auto", "cpu", "cuda"]
AcceleratorOption = Annotated[Accelerator, typer.Option(help="Where torch computes.")]
JobsOption = Annotated[int, typer.Option(min=1, max=1024, help="Trainings at a time, each in a process of its own.")]
SkipBlackOption = Annotated[
    bool, typer.Option("--skip-black", help="Leave out images that are all black, instead of refusing them.")
]
SeedOption = Annotated[int, typer.Option(min=0, max=2**31, help="Seed; the same seed gives the same numbers.")]


def finite(value: float | None) -> float | None:
    """Refuse NaN and infinity, which no minimum or maximum does.

    Raises:
        typer.BadParameter: it is one of them.
    """
    if value is not None and not math.isfinite(value):
        raise typer.BadParameter(f"{value} is no number to compute with.")
    return value


class RunInterruptedError(Exception):
    """Ctrl-C, and what is left to go on with."""


def data_source(data: str) -> str:
    """A data set as a run folder names it: so that it is found again from another working directory."""
    from qmae.data.datasets import lasting_source

    return lasting_source(data)


def tell_left_out(data: str, size: int) -> None:
    """Say which images `--skip-black` leaves out of a data set.

    Raises:
        InputError: the data cannot be used.
    """
    from qmae.data.images import black_images
    from qmae.data.pixels import listed

    if black := black_images(data, size=size):
        console.print(f"{data}: all black and left out: {listed(black)}", markup=False, highlight=False)


def work_in(context: typer.Context, folder: Path) -> Path:
    """Keep other processes out of a folder until the command ends. It is made; if it stays empty, it is removed.

    Raises:
        InputError: another process works there, or the folder cannot be made or written.
    """
    context.with_resource(locked(folder))
    return folder


def torch_device(accelerator: Accelerator) -> torch.device:
    """Choose where torch computes.

    Raises:
        InputError: CUDA is asked for and not at hand.
    """
    import torch

    if accelerator == "cuda" and not torch.cuda.is_available():
        raise InputError("no CUDA device is at hand: choose --accelerator cpu")
    cuda = accelerator != "cpu" and torch.cuda.is_available()
    return torch.device("cuda" if cuda else "cpu")


def say_what_is_left_out(test: TestSet) -> None:
    """Print what cannot be measured on these images, if there is anything."""
    if test.left_out:
        console.print(test.left_out, markup=False, highlight=False)
