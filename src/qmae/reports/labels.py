"""Labels in figures that do not lie over each other: what is in the way moves up or down, with a line to its point."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patheffects import withStroke
from matplotlib.text import Annotation, Text
from matplotlib.transforms import Bbox, BboxBase

FONT_SIZE = 8
"""Of labels, in points."""

STEPS = 80
"""How often the label of a point is moved, by half its height, at the most."""


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


def place_labels(axes: Axes, labels: Sequence[Label]) -> list[Annotation]:
    """Write labels beside points and lines, each where it covers no other and no point.

    Args:
        axes: all else is drawn already.
        labels: what to write.
    """
    figure = axes.get_figure(root=True)
    assert figure is not None
    figure.draw_without_rendering()  # the layout decides where in the figure a point lies
    placed = []
    for side in ("left", "right", "outside"):
        placed += _beside_lines(axes, [label for label in labels if label.x is None and label.side == side])
    figure.draw_without_rendering()  # labels outside have moved the axes' edge
    taken = [Text.get_window_extent(annotation) for annotation in placed]  # without their lines
    points = [label for label in labels if label.x is not None]
    for x, y in axes.transData.transform(np.array([(label.x, label.y) for label in points]).reshape(-1, 2)):
        taken.append(Bbox.from_bounds(x - 3, y - 3, 6, 6))
    for label in sorted(points, key=lambda label: label.y):
        placed.append(_beside_point(axes, label, taken))
    return placed


def _beside_lines(axes: Axes, labels: Sequence[Label]) -> list[Annotation]:
    """In the order of the lines, moved up where they would lie over each other, and down where the axes end."""
    ordered = sorted(labels, key=lambda label: label.y)
    annotations = [_at_line(axes, label, 0.0) for label in ordered]
    boxes = [annotation.get_window_extent() for annotation in annotations]
    lows = [box.y0 for box in boxes]
    for index in range(1, len(lows)):
        lows[index] = max(lows[index], lows[index - 1] + boxes[index - 1].height)
    ends = [*lows[1:], max([axes.bbox.y1, *(box.y1 for box in boxes)])]
    for index in reversed(range(len(lows))):
        lows[index] = min(lows[index], ends[index] - boxes[index].height)
        if index:
            ends[index - 1] = lows[index]
    to_points = 72 / axes.get_figure(root=True).dpi  # pyright: ignore[reportOptionalMemberAccess]
    for annotation in annotations:
        annotation.remove()
    moves = [(low - box.y0) * to_points for low, box in zip(lows, boxes, strict=True)]
    return [_at_line(axes, label, up) for label, up in zip(ordered, moves, strict=True)]


def _beside_point(axes: Axes, label: Label, taken: list[Bbox]) -> Annotation:
    """Where it covers nothing, as near as can be; what it covers is taken from then on."""
    first = _at_point(axes, label, 1, 0.0)
    places = list(_places(first.get_window_extent(), 72 / axes.get_figure(root=True).dpi))  # pyright: ignore[reportOptionalMemberAccess]
    first.remove()
    free = [place for place in places if not any(place[2].overlaps(other) for other in taken)]
    inside = [place for place in free if _inside(place[2], axes.bbox)]
    direction, up, box = (inside or free or places)[0]
    taken.append(box)
    return _at_point(axes, label, direction, up)


def _places(box: Bbox, to_points: float) -> Iterator[tuple[int, float, Bbox]]:
    """Where a label can lie, the nearest place first: to which side, how far up in points, and what it covers."""
    for step in range(STEPS):
        for up in (step, -step) if step else (0,):
            moved = box.translated(0, up * box.height / 2)
            yield 1, up * box.height / 2 * to_points, moved
            yield -1, up * box.height / 2 * to_points, moved.translated(-box.width - 12 / to_points, 0)


def _inside(box: BboxBase, outer: BboxBase) -> bool:
    return bool(box.x0 >= outer.x0 and box.x1 <= outer.x1 and box.y0 >= outer.y0 and box.y1 <= outer.y1)


def _at_point(axes: Axes, label: Label, direction: int, up: float) -> Annotation:
    align = "left" if direction > 0 else "right"
    place = {"xytext": (6 * direction, up), "ha": align, **_style(label, align, up)}
    return axes.annotate(label.text, (label.x, label.y), **place)  # pyright: ignore[reportArgumentType]


def _at_line(axes: Axes, label: Label, up: float) -> Annotation:
    # Inside the axes above its line, not on it; outside beside it.
    x, shift, lift, align = {
        "left": (0, 8, 6, "left"),
        "right": (1, -4, 6, "right"),
        "outside": (1, 10, 0, "left"),
    }[label.side]
    place = {"xycoords": axes.get_yaxis_transform(), "xytext": (shift, up + lift), "ha": align}
    return axes.annotate(label.text, (x, label.y), annotation_clip=False, **place, **_style(label, align, up))


def _style(label: Label, align: str, up: float) -> dict[str, Any]:
    end = (0, 0.5) if align == "left" else (1, 0.5)
    line = {"arrowstyle": "-", "lw": 0.6, "color": label.color, "alpha": 0.5, "shrinkA": 0, "shrinkB": 1, "relpos": end}
    return {
        "textcoords": "offset points",
        "va": "center",
        "fontsize": FONT_SIZE,
        "color": label.color,
        "arrowprops": line if abs(up) > 1 else None,
        "path_effects": [withStroke(linewidth=2, foreground="white")],
    }
