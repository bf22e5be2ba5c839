"""What the command shows: progress bars and rows of results, on any terminal, the data in them printed as they are."""

from __future__ import annotations

import codecs
import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.console import Console

if TYPE_CHECKING:
    from qmae._progress import Advance
    from qmae.evaluation.rows import Row

STAND_INS = {
    "±": "+-",
    "×": "x",
    "−": "-",
    "–": "-",
    "…": "...",
    "†": "^",
    "⟨": "<",
    "⟩": ">",
    "●": "*",
    **dict.fromkeys("─━═", "-"),
    **dict.fromkeys("│║", "|"),
    **dict.fromkeys("╭╮╰╯├┤╩╚╝╬", "+"),
}
"""What is printed for a character that a terminal does not have; a question mark for all others."""


def _stand_in(error: UnicodeError) -> tuple[str | bytes, int]:
    """Replace one character that cannot be encoded, as `codecs.register_error` wants it."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    character = error.object[error.start]
    if "\udc80" <= character <= "\udcff":  # a byte of a file's name that is no text: the byte itself
        return bytes([ord(character) - 0xDC00]), error.start + 1
    return STAND_INS.get(character, "?"), error.start + 1


codecs.register_error("qmae.stand-in", _stand_in)


def show_everything(stream: object) -> None:
    """Let a stream print something for every character, whatever its encoding: what is computed shall be seen."""
    if isinstance(stream, io.TextIOWrapper) and stream.errors in ("strict", "surrogateescape"):
        stream.reconfigure(errors="qmae.stand-in")


class Terminal(Console):
    """Prints text as it is, without markup, emoji or colors: it may hold names of files and messages of others."""

    def __init__(self, *, stderr: bool = False) -> None:
        super().__init__(stderr=stderr, soft_wrap=True, markup=False, emoji=False, highlight=False)

    @Console.file.getter
    def file(self) -> Any:
        """Where it prints."""
        file = Console.file.__get__(self)
        show_everything(file)
        return file

    def on_broken_pipe(self) -> None:
        """Leave it to the command; rich would turn off this console for good."""
        raise BrokenPipeError


console = Terminal()


@contextmanager
def show_progress(description: str, total: int) -> Iterator[Advance]:
    """A progress bar that is gone when the work is done: a `qmae._progress.Progress`."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    name = TextColumn("{task.description}", markup=False)
    columns = name, BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bars:
        task = bars.add_task(description, total=total)
        yield lambda units: bars.advance(task, units)


def print_rows(rows: list[Row]) -> None:
    """Print one line per row of results."""
    for row in rows:
        line = f"{row.group:8}{row.mask_ratio:6.1%} {row.placement:9}{row.readout:12}"
        ssim = "–" if row.ssim is None else f"{row.ssim:.4f}"
        line += f"fidelity {row.fidelity:.4f}  CS {row.cosine_similarity:.4f}  SSIM {ssim}"
        if row.accuracy is not None:
            line += f"  accuracy {row.accuracy:.2%}"
        if row.seed is not None:
            line += f"  seed {row.seed}"
        if row.trained_ratio not in (None, row.mask_ratio):
            line += f", trained at {row.trained_ratio:.1%}"
        console.print(line)
