"""Figures 6 to 8 of the paper, drawn from the records of the experiments."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from typing import Literal

from matplotlib.figure import Figure
from torch import Tensor

from qmae.benchmark import Cost
from qmae.experiments import Pictures
from qmae.training import History

NAMES = {
    "mean": "mean patch",
    "token": "token alone",
    "ridge": "ridge regression",
    "knn": "nearest neighbours",
    "autoencoder": "linear autoencoder",
    "mae-small": "small MAE",
    "mae": "MAE",
    "unet": "U-Net",
    "qae": "QAE",
    "qmae-small": "QMAE-small",
    "qmae-compressed": "QMAE-compressed",
    "qmae-plus": "QMAE-plus",
    "qmae-heralded": "QMAE-heralded",
    "qmae": "QMAE",
}
"""The rows of Figure 6, from top to bottom; *nothing* is the masked input itself."""

COLORS = {"qmae": "#0b6e99", "qae": "#d1602b"}


def reconstructions(pictures: Pictures) -> Figure:
    """Figure 6: what the models make of the same masked images, between these and the originals."""
    rows = [("masked input", pictures.masked)]
    shown = pictures.reconstructions.keys() - {"nothing", "original"}
    order = [*(name for name in NAMES if name in shown), *sorted(shown - NAMES.keys())]
    rows += [(NAMES.get(name, name), pictures.reconstructions[name]) for name in order]
    return image_grid([*rows, ("original", pictures.originals)])


def mask_ratios(pictures: dict[float, Pictures]) -> Figure:
    """Figure 7: QMAE under each mask ratio, every reconstruction below its input."""
    rows = []
    for ratio, chosen in sorted(pictures.items()):
        rows.append((f"{ratio:.1%} masked", chosen.masked))
        rows.append((f"QMAE at {ratio:.1%}", chosen.reconstructions["qmae"]))
    return image_grid([*rows, ("original", pictures[max(pictures)].originals)])


def training_loss(histories: dict[str, History], floor: float) -> Figure:
    """Figure 8: the loss 1 - F while training, its mean over the images of a step and the band of 90% of them.

    Args:
        histories: by model name.
        floor: the mean loss of leaving the hole black.
    """
    figure = Figure(figsize=(8, 4), layout="constrained")
    axes = figure.add_subplot()
    for name, history in histories.items():
        steps = history.column("step")
        low, high = history.column("loss_p05"), history.column("loss_p95")
        color, label = COLORS[name], NAMES[name]
        axes.fill_between(steps, low, high, color=color, alpha=0.2, lw=0, label=f"{label}: 5% to 95% of the images")
        axes.plot(steps, history.column("loss_mean"), color=color, lw=0.8, label=f"{label}: mean")
    axes.axhline(floor, color="black", ls="--", lw=1, label="nothing (hole left black): mean")
    axes.set(xlabel="training step", ylabel="fidelity loss 1 - F", ylim=(0, 1))
    axes.margins(x=0)
    axes.legend(fontsize="small", ncols=2)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def scaling(costs: Sequence[Cost]) -> Figure:
    """Time per image and peak memory of a training step over the number of pixels, a line per number of layers."""
    figure = Figure(figsize=(8, 3.6), layout="constrained")
    times, memory = figure.subplots(1, 2)
    for layers in sorted({cost.layers for cost in costs}):
        row = [cost for cost in costs if cost.layers == layers]
        pixels, label = [2**cost.qubits for cost in row], f"{layers} layer{'s' if layers > 1 else ''}"
        times.loglog(pixels, [cost.per_image * 1e3 for cost in row], "o-", lw=1, ms=4, label=label)
        memory.loglog(pixels, [(cost.peak_bytes or math.nan) / 2**20 for cost in row], "o-", lw=1, ms=4, label=label)
    smallest, largest = (choose(costs, key=lambda cost: cost.qubits) for choose in (min, max))
    span = 2 ** (largest.qubits - smallest.qubits)
    heights = [largest.per_image * 1e3 / span, largest.per_image * 1e3]
    times.loglog([2**smallest.qubits, 2**largest.qubits], heights, "k:", lw=1, label="slope 1")
    times.set(ylabel="ms an image")
    memory.set(ylabel="peak memory above the imports, MiB")
    for axes in (times, memory):
        axes.set_xscale("log", base=2)
        axes.set(xlabel="pixels of an image, 2^qubits")
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    times.legend(fontsize="small")
    return figure


def render(figure: Figure, kind: Literal["png", "svg"] = "png") -> bytes:
    """Render a figure."""
    content = io.BytesIO()
    figure.savefig(content, format=kind, dpi=120, bbox_inches="tight")
    return content.getvalue()


def image_grid(rows: Sequence[tuple[str, Tensor]]) -> Figure:
    """One row of images per label, each image scaled to its own maximum."""
    columns = len(rows[0][1])
    figure = Figure(figsize=(0.8 * columns + 1.2, 0.82 * len(rows)), layout="constrained")
    axes = figure.subplots(len(rows), columns, squeeze=False)
    for (label, images), line in zip(rows, axes, strict=True):
        line[0].set_ylabel(label, rotation=0, ha="right", va="center", fontsize=9)
        for image, cell in zip(images, line, strict=True):
            cell.imshow(image.numpy(), cmap="gray", vmin=0, vmax=float(image.max()) or 1)
            cell.set(xticks=[], yticks=[])
    return figure
