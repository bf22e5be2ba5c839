"""Figures of comparisons: fidelity over the number of parameters and over the mask ratio, and training curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import mean, stdev

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from qmae.ceiling import DESIGNS
from qmae.comparison import Comparison
from qmae.figures import COLORS, NAMES
from qmae.training import History

GREYS = ("#111111", "#555555", "#888888", "#999999", "#aaaaaa")
"""Of what is not trained by gradients."""

PALETTE = ("#3a7d44", "#8e5ea2", "#b8860b", "#c23b75")
"""Of classical networks."""

LABEL_HEIGHT = 0.01
"""Of a line of text, in units of fidelity."""

POINTS_PER_EPOCH = 10
"""Of training curves: the mean over a tenth of an epoch is one point."""


def over_parameters(comparison: Comparison) -> Figure:
    """Fidelity of every model over its number of parameters; what has none, and what designs could reach, are lines."""
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.add_subplot()
    designs: dict[str, float] = {}
    for name, rows in comparison.models.items():
        label, height = NAMES.get(name, name), mean(row.fidelity for row in rows)
        if name in DESIGNS:
            axes.axhline(height, color="#d1602b", ls="--", lw=1)
            designs[label] = height
        elif rows[0].parameters == 0:
            axes.axhline(height, color="black", ls="--", lw=1)
            place = {"xycoords": ("axes fraction", "data"), "ha": "right", "va": "bottom"}
            axes.annotate(label, (1, height), **place, fontsize=9)
        else:
            heights = [row.fidelity for row in rows]
            color = "#0b6e99" if rows[0].angles else "#7a7a7a"
            axes.plot([row.parameters for row in rows], heights, "o", color=color, ms=5)
            axes.annotate(label, (rows[0].parameters, height), xytext=(6, 4), textcoords="offset points", fontsize=9)
    for height, labels in _together(designs).items():
        place = {"xycoords": ("axes fraction", "data"), "ha": "left", "va": "bottom"}
        axes.annotate(", ".join(labels), (0, height), **place, color="#d1602b", fontsize=9)
    axes.set_xscale("log")
    axes.set(xlabel="parameters", ylabel="fidelity")
    axes.margins(x=0.15)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def over_cost(comparison: Comparison) -> Figure:
    """Fidelity and accuracy of the quantum models over what they cost: angles, and runs that are discarded.

    What is no quantum model is a line.
    """
    figure = Figure(figsize=(10, 7.5), layout="constrained")
    panels = figure.subplots(2, 2, sharey="row", sharex="col")
    models = {name: rows for name, rows in comparison.models.items() if name not in DESIGNS}
    quantum = [name for name, rows in models.items() if rows[0].angles]
    colors = _palette(quantum)
    for quality, line in zip(("fidelity", "accuracy"), panels, strict=True):
        known = {name: [getattr(row, quality) for row in rows] for name, rows in models.items()}
        known = {name: values for name, values in known.items() if values[0] is not None}
        levels = {NAMES.get(name, name): mean(values) for name, values in known.items() if name not in quantum}
        for cost, axes in zip(("angles", "success_probability"), line, strict=True):
            for name in (name for name in quantum if name in known):
                costs = [getattr(row, cost) for row in models[name]]
                axes.plot(costs, known[name], "o", color=colors[name], ms=5, label=NAMES.get(name, name))
            _draw_levels(axes, levels)
            axes.grid(alpha=0.3)
            axes.margins(x=0.2, y=0.1)
            axes.spines[["top", "right"]].set_visible(False)
        line[0].set_ylabel(quality)
    panels[1, 0].set(xlabel="angles of all places", xscale="log")
    panels[1, 1].set_xlabel("share of the runs that is kept")
    figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=6, fontsize="small")
    return figure


def _draw_levels(axes: Axes, levels: Mapping[str, float]) -> None:
    """Lines with labels at the right."""
    for level in levels.values():
        axes.axhline(level, color="#999999", ls="--", lw=0.8)
    for level, names in _together(levels).items():
        place = {"xycoords": ("axes fraction", "data"), "ha": "left", "va": "center"}
        axes.annotate(",\n".join(names), (1, level), **place, color="#555555", fontsize=7)


def _together(levels: Mapping[str, float]) -> dict[float, list[str]]:
    """One label for lines so close that labels would cover each other: names by the height of the first."""
    labels: dict[float, list[str]] = {}
    for name, level in levels.items():
        near = next((other for other in labels if abs(other - level) < LABEL_HEIGHT), level)
        labels.setdefault(near, []).append(name)
    return labels


def over_mask_ratio(comparisons: Sequence[Comparison]) -> Figure:
    """Fidelity of every model over the mask ratio, on a grid: one patch hidden, and several.

    The bars are the standard deviation over runs.
    """
    figure = Figure(figsize=(10, 4.2), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    colors = _colors(comparisons[0])
    on_grid = [comparison for comparison in comparisons if comparison.rows[0].placement == "grid"]
    titles = "one patch hidden", "several patches hidden"
    for axes, title, several in zip(panels, titles, (False, True), strict=True):
        chosen = [comparison for comparison in on_grid if (comparison.rows[0].patches > 1) == several]
        chosen.sort(key=lambda comparison: comparison.rows[0].mask_ratio)
        for name, color in colors.items():
            groups = [comparison.models[name] for comparison in chosen]
            axes.errorbar(
                [100 * rows[0].mask_ratio for rows in groups],
                [mean(row.fidelity for row in rows) for rows in groups],
                [stdev([row.fidelity for row in rows]) if len(rows) > 1 else 0 for rows in groups],
                fmt="o--" if name == "nothing" else "o-",
                color=color,
                ms=4,
                lw=1,
                label=NAMES.get(name, name),
            )
        axes.set(xlabel="hidden, %", title=title)
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel("fidelity")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside right upper", fontsize="small")
    return figure


def training_curves(histories: Mapping[str, Sequence[History]], levels: Mapping[str, float]) -> Figure:
    """The loss of several models while training: mean and standard deviation over runs.

    Args:
        histories: by model name, one per run.
        levels: losses of what is not trained, drawn as lines, by name.
    """
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.add_subplot()
    colors = _palette([*histories])
    for name, runs in histories.items():
        epochs, curves = zip(*(_smooth(history) for history in runs), strict=True)
        middle, spread = np.mean(curves, 0), np.std(curves, 0, ddof=1) if len(curves) > 1 else 0
        axes.plot(epochs[0], middle, color=colors[name], lw=1.2, label=NAMES.get(name, name))
        axes.fill_between(epochs[0], middle - spread, middle + spread, color=colors[name], alpha=0.25, lw=0)
    for name, level in levels.items():
        axes.axhline(level, color="black", ls="--", lw=0.8)
        place = {"xycoords": ("axes fraction", "data"), "ha": "right", "va": "bottom"}
        axes.annotate(NAMES.get(name, name), (1, level), **place, fontsize=8)
    axes.set(xlabel="epoch", ylabel="fidelity loss 1 - F", yscale="log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter("")
    axes.legend(fontsize="small", ncols=2)
    axes.grid(alpha=0.3, which="both")
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def _smooth(history: History) -> tuple[np.ndarray, np.ndarray]:
    """Where in the training, in epochs, and the mean loss around there."""
    losses, epochs = np.array(history.column("loss_mean")), int(history.column("epoch")[-1])
    parts = np.array_split(losses, min(epochs * POINTS_PER_EPOCH, len(losses)))
    ends = np.cumsum([len(part) for part in parts])
    return ends * epochs / len(losses), np.array([np.nanmean(part) for part in parts])


def _colors(comparison: Comparison) -> dict[str, str]:
    """A color for every model that is measured under all masks, from the best to the worst."""
    names = [name for name in comparison.models if name not in DESIGNS and name != "original"]
    trained = [name for name in names if comparison.models[name][0].train_seconds is not None]
    greys = dict(zip([name for name in names if name not in trained], GREYS, strict=False))
    colors = _palette(trained) | greys
    return {name: colors[name] for name in names}


def _palette(names: Sequence[str]) -> dict[str, str]:
    classical = [name for name in names if name not in COLORS]
    return dict(zip(classical, PALETTE * len(classical), strict=False)) | COLORS
