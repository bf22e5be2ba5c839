"""What the command shows: progress bars and rows of results."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console

if TYPE_CHECKING:
    from qmae.evaluation import Row
    from qmae.progress import Advance

console = Console(soft_wrap=True)


@contextmanager
def show_progress(description: str, total: int) -> Iterator[Advance]:
    """A progress bar that is gone when the work is done: a `qmae.progress.Progress`."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
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
        console.print(line, markup=False, highlight=False)
