"""Figures of comparisons: fidelity over the number of parameters and over the mask ratio, and training curves."""

from __future__ import annotations

import colorsys
from collections.abc import Mapping, Sequence
from statistics import mean, stdev

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from qmae.evaluation.comparison import Comparison
from qmae.reports.labels import Label, place_labels
from qmae.reports.names import colour_of, label
from qmae.reports.style import plain_numbers
from qmae.training.history import History

PALETTE = ("#3a7d44", "#8e5ea2", "#b8860b", "#c23b75")
"""Of classical networks, and of all else that has no color of its own; there are always more."""

DESIGN = "#d1602b"
"""Of what free matrices reach."""

LEAST_LOSS = 1e-6
"""Losses below are rounding error, which a logarithmic axis would magnify."""

POINTS_PER_EPOCH = 10
"""Of training curves: the mean over a tenth of an epoch is one point."""


def over_parameters(comparison: Comparison) -> Figure:
    """Fidelity of every model over its number of parameters; what has none, and what designs could reach, are lines."""
    figure = Figure(figsize=(8, max(4.5, 0.22 * len(comparison.models))), layout="constrained")
    axes = figure.add_subplot()
    labels = []
    for name, rows in comparison.models.items():
        height = mean(row.fidelity for row in rows)
        if rows[0].kind == "design":
            axes.axhline(height, color=DESIGN, ls="--", lw=1)
            labels.append(Label(label(name), height, side="left", color=DESIGN))
        elif rows[0].parameters == 0:
            axes.axhline(height, color="black", ls="--", lw=1)
            labels.append(Label(label(name), height))
        else:
            color = "#0b6e99" if rows[0].kind == "quantum" else "#7a7a7a"
            axes.plot([row.parameters for row in rows], [row.fidelity for row in rows], "o", color=color, ms=5)
            labels.append(Label(label(name), height, float(rows[0].parameters)))
    axes.set_xscale("log")
    axes.set(xlabel="parameters", ylabel="fidelity")
    axes.margins(x=0.15, y=0.08)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    place_labels(axes, labels)
    return figure


def over_cost(comparison: Comparison) -> Figure:
    """Fidelity and accuracy of the quantum models over what they cost: angles, and shots that are discarded.

    What is no quantum model is a line.
    """
    figure = Figure(figsize=(10, 7.5), layout="constrained")
    panels = figure.subplots(2, 2, sharey="row", sharex="col")
    models = {name: rows for name, rows in comparison.models.items() if rows[0].kind != "design"}
    quantum = [name for name, rows in models.items() if rows[0].kind == "quantum"]
    colors = palette(quantum)
    for name in quantum:  # for the legend, also where an axis has no value
        panels[0, 0].plot([], [], "o", color=colors[name], ms=5, label=label(name))
    lines = []
    for quality, line in zip(("fidelity", "accuracy"), panels, strict=True):
        known = {name: [getattr(row, quality) for row in rows] for name, rows in models.items()}
        known = {name: values for name, values in known.items() if values[0] is not None}
        levels = {label(name): mean(values) for name, values in known.items() if name not in quantum}
        for cost, axes in zip(("angles", "success_probability"), line, strict=True):
            for name in (name for name in quantum if name in known):
                costs = [getattr(row, cost) for row in models[name]]
                axes.plot(costs, known[name], "o", color=colors[name], ms=5)
            for level in levels.values():
                axes.axhline(level, color="#999999", ls="--", lw=0.8)
            axes.grid(alpha=0.3)
            axes.margins(x=0.2, y=0.1)
            axes.spines[["top", "right"]].set_visible(False)
        line[0].set_ylabel(quality)
        lines.append((line[1], levels))
    panels[1, 0].set(xlabel="angles of all positions", xscale="log")
    panels[1, 1].set_xlabel("share of the shots that is kept")
    figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=6, fontsize="small")
    for axes, levels in lines:
        _label_levels(axes, levels)
    return figure


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
            groups = [comparison.models[name] for comparison in chosen if name in comparison.models]
            axes.errorbar(
                [100 * rows[0].mask_ratio for rows in groups],
                [mean(row.fidelity for row in rows) for rows in groups],
                [stdev([row.fidelity for row in rows]) if len(rows) > 1 else 0 for rows in groups],
                fmt="o--" if name == "nothing" else "o-",
                color=color,
                ms=4,
                lw=1,
                label=label(name),
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
    colors = palette([*histories])
    for name, runs in histories.items():
        (epochs, first), *others = [_smooth(history) for history in runs]
        # Runs of one kind have as many steps, but for data of another size.
        curves = np.array([first, *(np.interp(epochs, *other) for other in others)])
        middle, spread = np.mean(curves, 0), np.std(curves, 0, ddof=1) if len(curves) > 1 else 0
        axes.plot(epochs, middle, "o-" if len(epochs) == 1 else "-", color=colors[name], lw=1.2, label=label(name))
        axes.fill_between(epochs, middle - spread, middle + spread, color=colors[name], alpha=0.25, lw=0)
    shown = {label(name): level for name, level in levels.items() if level > LEAST_LOSS}
    for level in shown.values():
        axes.axhline(level, color="black", ls="--", lw=0.8)
    axes.set(xlabel="epoch", ylabel="fidelity loss 1 - F", yscale="log")
    plain_numbers(axes.yaxis)
    axes.legend(fontsize="small", ncols=2)
    axes.grid(alpha=0.3, which="both")
    axes.spines[["top", "right"]].set_visible(False)
    _label_levels(axes, shown)
    return figure


def _label_levels(axes: Axes, levels: Mapping[str, float]) -> None:
    place_labels(axes, [Label(name, level, side="outside", color="#555555") for name, level in levels.items()])


def _smooth(history: History) -> tuple[np.ndarray, np.ndarray]:
    """Where in the training, in epochs, and the mean loss around there; steps that were skipped left out."""
    losses, epochs = np.array(history.column("loss_mean")), int(history.column("epoch")[-1])
    parts = np.array_split(losses, min(epochs * POINTS_PER_EPOCH, len(losses)))
    ends = np.cumsum([len(part) for part in parts]) * epochs / len(losses)
    known = [(end, part[~np.isnan(part)]) for end, part in zip(ends, parts, strict=True)]
    ends, means = zip(*[(end, part.mean()) for end, part in known if len(part)] or [(epochs, np.nan)], strict=True)
    return np.array(ends), np.array(means)


def _colors(comparison: Comparison) -> dict[str, str]:
    """A color for every model that is measured under all masks, from the best to the worst."""
    models = comparison.models
    names = [name for name, rows in models.items() if rows[0].kind not in ("design", "original")]
    trained = [name for name in names if models[name][0].kind != "baseline"]
    colors = palette(trained) | greys([name for name in names if name not in trained])
    return {name: colors[name] for name in names}


def greys(names: Sequence[str]) -> dict[str, str]:
    """Greys from dark to light for any number of names, but for the color of an entry: of what is not trained."""
    shades = np.linspace(0.07, 0.7, max(len(names), 2))
    chosen = (f"#{3 * f'{round(255 * shade):02x}'}" for shade in shades)
    return {name: colour_of(name) or grey for name, grey in zip(names, chosen, strict=False)}


def palette(names: Sequence[str]) -> dict[str, str]:
    """A color for each of any number of names: that of its entry, or one that no other has."""
    own = {name: colour for name in names if (colour := colour_of(name))}
    others = [name for name in names if name not in own]
    chosen = [*PALETTE, *map(_hue, range(len(others) - len(PALETTE)))]
    return own | dict(zip(others, chosen, strict=False))


def _hue(index: int) -> str:
    """Hues a golden ratio apart are all different, and neighbours far from each other."""
    red, green, blue = colorsys.hls_to_rgb((0.12 + index * 0.618034) % 1, 0.35 + 0.2 * (index % 2), 0.7)
    return f"#{round(255 * red):02x}{round(255 * green):02x}{round(255 * blue):02x}"
