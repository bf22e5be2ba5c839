"""The figure of the benchmark of image sizes."""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.figure import Figure

from qmae.experiments.benchmark import Cost
from qmae.reports.style import plain_numbers


def scaling(costs: Sequence[Cost]) -> Figure:
    """Time per image and peak memory of a training step over the number of pixels, a line per number of layers."""
    figure = Figure(figsize=(8, 3.6), layout="constrained")
    times, memory = figure.subplots(1, 2)
    for layers in sorted({cost.layers for cost in costs}):
        row = [cost for cost in costs if cost.layers == layers]
        pixels, name = [2**cost.qubits for cost in row], f"{layers} layer{'s' if layers > 1 else ''}"
        times.loglog(pixels, [cost.per_image * 1e3 for cost in row], "o-", lw=1, ms=4, label=name)
        memory.loglog(pixels, [(cost.peak_bytes or math.nan) / 2**20 for cost in row], "o-", lw=1, ms=4, label=name)
    smallest, largest = (choose(costs, key=lambda cost: cost.qubits) for choose in (min, max))
    span = 2 ** (largest.qubits - smallest.qubits)
    heights = [largest.per_image * 1e3 / span, largest.per_image * 1e3]
    times.loglog([2**smallest.qubits, 2**largest.qubits], heights, "k:", lw=1, label="slope 1")
    times.set(ylabel="ms an image")
    memory.set(ylabel="peak memory above the imports, MiB")
    for axes in (times, memory):
        axes.set_xscale("log", base=2)
        axes.set(xlabel="pixels of an image, 2^qubits")
        plain_numbers(axes.yaxis)
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    times.legend(fontsize="small")
    return figure
