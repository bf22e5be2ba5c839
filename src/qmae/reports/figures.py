"""Figures 6 to 8 of the paper, drawn from the records of the experiments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from torch import Tensor

from qmae.evaluation.pictures import Pictures
from qmae.reports.names import colour_of, from_floor_to_ceiling, label
from qmae.reports.style import FRAME
from qmae.training.history import History

CELL, PAGE = 0.8, (12.0, 9.5)
"""Inches a side of an image in a grid, and the width and height into which all of a grid must fit."""


def reconstructions(pictures: Pictures) -> Figure:
    """Figure 6: what the models make of the same masked images, between these and the originals."""
    order = from_floor_to_ceiling()

    def place(group: str) -> int:
        name = group.split(", ")[0]
        return order.index(name) if name in order else len(order)

    shown = sorted((group for group in pictures.reconstructions if group not in ("nothing", "original")), key=place)
    rows = [("masked input", pictures.masked), *((label(name), pictures.reconstructions[name]) for name in shown)]
    hidden = [pictures.hidden] * len(rows)
    return image_grid([*rows, ("original", pictures.originals)], [*hidden, None])


def mask_ratios(pictures: dict[float, Pictures]) -> Figure:
    """Figure 7: QMAE under each mask ratio, every reconstruction below its input."""
    rows, hidden = [], []
    for ratio, chosen in sorted(pictures.items()):
        rows.append((f"{ratio:.1%} masked", chosen.masked))
        rows.append((f"QMAE at {ratio:.1%}", chosen.reconstructions["qmae"]))
        hidden += [chosen.hidden] * 2
    return image_grid([*rows, ("original", pictures[max(pictures)].originals)], [*hidden, None])


def training_loss(histories: Mapping[str, History], floor: float) -> Figure:
    """Figure 8: the loss 1 - F while training, its mean over the images of a step and the band of 90% of them.

    Every model has a panel of its own, since bands that lie over each other cannot be told apart.

    Args:
        histories: by model name.
        floor: the mean loss of leaving the hole black.
    """
    figure = Figure(figsize=(4.5 * len(histories), 4), layout="constrained")
    panels = figure.subplots(1, len(histories), sharey=True, squeeze=False)[0]
    for axes, (name, history) in zip(panels, histories.items(), strict=True):
        steps, color = history.column("step"), colour_of(name)
        low, high = history.column("loss_p05"), history.column("loss_p95")
        axes.fill_between(steps, low, high, color=color, alpha=0.25, lw=0, label="5% to 95% of the images")
        axes.plot(steps, history.column("loss_mean"), color=color, lw=0.8, label="mean")
        axes.axhline(floor, color="black", ls="--", lw=1, label="black fill: mean")
        axes.set(title=label(name), xlabel="training step", ylim=(0, 1))
        axes.margins(x=0)
        axes.legend(fontsize="small")
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel("fidelity loss 1 - F")
    return figure


def image_grid(rows: Sequence[tuple[str, Tensor]], hidden: Sequence[Tensor | None] = ()) -> Figure:
    """One row of images per label, each image scaled to its own maximum; all of it fits a page.

    Args:
        rows: labels and images [N, height, width].
        hidden: for every row where its images were hidden, Bool [N, height, width], which gets a frame, or None.
    """
    columns, longest = len(rows[0][1]), max(len(text) for text, _ in rows)
    cell = min(CELL, PAGE[0] / columns, PAGE[1] / len(rows))
    font = min(9, 60 * cell)
    width = cell * columns + longest * font / 110 + 0.2
    figure = Figure(
        figsize=(width, 1.03 * cell * len(rows)), layout=ConstrainedLayoutEngine(w_pad=0.02 * cell, h_pad=0.02 * cell)
    )
    axes = figure.subplots(len(rows), columns, squeeze=False)
    holes = [*hidden, *[None] * (len(rows) - len(hidden))]
    for (text, images), hole, line in zip(rows, holes, axes, strict=True):
        line[0].set_ylabel(text, rotation=0, ha="right", va="center", fontsize=font)
        for index, (image, cell_axes) in enumerate(zip(images, line, strict=True)):
            cell_axes.imshow(image.numpy(), cmap="gray", vmin=0, vmax=float(image.max()) or 1)
            cell_axes.set(xticks=[], yticks=[])
            if hole is not None:
                _frame(cell_axes, hole[index].numpy())
    return figure


def _frame(axes: Axes, hidden: np.ndarray) -> None:
    """A line between what was hidden and what was not, and where the hole ends with the image."""
    padded = np.pad(hidden, 1)
    across = np.argwhere(padded[1:, 1:-1] != padded[:-1, 1:-1])
    along = np.argwhere(padded[1:-1, 1:] != padded[1:-1, :-1])
    lines = [[(column - 0.5, row - 0.5), (column + 0.5, row - 0.5)] for row, column in across]
    lines += [[(column - 0.5, row - 0.5), (column - 0.5, row + 0.5)] for row, column in along]
    axes.add_collection(LineCollection(lines, colors=FRAME, linewidths=1, clip_on=False, zorder=3), autolim=False)
