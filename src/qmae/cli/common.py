"""What all commands share: the application, common options, and what stops a command in order."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from qmae.errors import InputError
from qmae.terminal import console

if TYPE_CHECKING:
    import torch

    from qmae.evaluation import TestSet

app = typer.Typer(
    name="qmae",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
)

Accelerator = Literal["auto", "cpu", "cuda"]
AcceleratorOption = Annotated[Accelerator, typer.Option(help="Where torch computes.")]
JobsOption = Annotated[int, typer.Option(min=1, help="Trainings at a time, each in a process of its own.")]
SeedOption = Annotated[int, typer.Option(min=0, max=2**31, help="Seed; the same seed gives the same numbers.")]


class RunInterruptedError(Exception):
    """Ctrl-C, and what is left to go on with."""


def data_source(data: str) -> str:
    """A data set as a run folder names it: so that it is found again from another working directory."""
    return data if data == "mnist" else str(Path(data).resolve())


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
