"""What all figures share: colors, axes, files."""

from __future__ import annotations

import io
from typing import Literal

from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

FRAME = "#e8a33d"
"""Color of the line around what was hidden."""


def plain_numbers(axis: Axis) -> None:
    """Write 200 and not 2 x 10^2 on a logarithmic axis, at 1, 2, 5, 10, ..., two of them at the least."""
    low, high = axis.get_view_interval()
    steps = sorted(step * 10.0**power for power in range(-12, 13) for step in (1, 2, 5))
    if sum(low <= step <= high for step in steps) < 2:
        below = [step for step in steps if step <= low] or [low]
        above = [step for step in steps if step >= high] or [high]
        axis.set_view_interval(below[-1], above[0], ignore=True)
    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter("{x:g}")
    axis.set_minor_formatter("")


def render(figure: Figure, kind: Literal["png", "svg"] = "png") -> bytes:
    """Render a figure."""
    content = io.BytesIO()
    figure.savefig(content, format=kind, dpi=120, bbox_inches="tight")
    return content.getvalue()
