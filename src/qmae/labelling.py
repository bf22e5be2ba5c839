"""Labels in figures that do not lie over each other: what is in the way moves up or down, with a line to its point."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from matplotlib.axes import Axes
from matplotlib.text import Annotation
from matplotlib.transforms import Bbox

STEPS = 80
"""How often a label is moved by its height at the most."""


@dataclass(frozen=True)
class Label:
    """A text and what it belongs to.

    Attributes:
        text: the text.
        y: height of what it belongs to, in data units.
        x: of a point, in data units; None of a horizontal line.
        side: where the label of a line lies: at the left or right end inside the axes, or outside on the right.
        color: of the text.
    """

    text: str
    y: float
    x: float | None = None
    side: Literal["left", "right", "outside"] = "right"
    color: str = "black"


def place_labels(axes: Axes, labels: Sequence[Label], *, fontsize: float = 8) -> list[Annotation]:
    """Write labels beside points and lines, each where it covers no other and no point.

    Args:
        axes: all else is drawn already.
        labels: what to write.
        fontsize: in points.
    """
    figure = axes.get_figure(root=True)
    assert figure is not None
    figure.draw_without_rendering()  # the layout decides where in the figure a point lies
    points = axes.transData.transform([(label.x, label.y) for label in labels if label.x is not None] or [(0, 0)])
    taken = [Bbox.from_bounds(x - 3, y - 3, 6, 6) for x, y in points]
    placed = []
    for label in sorted(labels, key=lambda label: label.y):
        annotation = _annotate(axes, label, 1, 0, fontsize)
        boxes = list(_boxes(axes, label, annotation, fontsize))
        free = [found for found in boxes if not any(found[2].overlaps(other) for other in taken)]
        inside = [found for found in free if axes.bbox.y0 <= found[2].y0 and found[2].y1 <= axes.bbox.y1]
        direction, moved, box = (inside or free or boxes)[0]
        annotation.remove()
        placed.append(_annotate(axes, label, direction, moved, fontsize))
        taken.append(box)
    return placed


def _boxes(axes: Axes, label: Label, annotation: Annotation, fontsize: float) -> Iterator[tuple[int, float, Bbox]]:
    """Where the label can lie, the nearest place first: to which side, how far up in points, and what it covers."""
    box, to_points = annotation.get_window_extent(), 72 / annotation.get_figure(root=True).dpi
    height, width = box.height, box.width
    for step in range(STEPS):
        for sign in (1, -1) if step else (1,):
            up = sign * step * height / 2
            yield 1, up * to_points, box.translated(0, up)
            if label.x is not None:
                yield -1, up * to_points, box.translated(-width - 12 / to_points, up)


def _annotate(axes: Axes, label: Label, direction: int, up: float, fontsize: float) -> Annotation:
    line = {"arrowstyle": "-", "lw": 0.5, "color": "#999999", "shrinkA": 0, "shrinkB": 2} if up else None
    style = {"textcoords": "offset points", "va": "center", "fontsize": fontsize, "color": label.color}
    if label.x is not None:
        side = {"xytext": (6 * direction, up), "ha": "left" if direction > 0 else "right"}
        return axes.annotate(label.text, (label.x, label.y), arrowprops=line, **side, **style)
    # Above its line, not on it; outside beside it.
    x, shift, lift, align = {"left": (0, 4, 6, "left"), "right": (1, -4, 6, "right"), "outside": (1, 6, 0, "left")}[
        label.side
    ]
    side = {"xycoords": axes.get_yaxis_transform(), "xytext": (shift, up + lift), "ha": align}
    return axes.annotate(label.text, (x, label.y), arrowprops=line, annotation_clip=False, **side, **style)
