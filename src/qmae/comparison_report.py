"""The report of a comparison: one table, the models over their number of parameters, pictures."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import mean

from matplotlib.figure import Figure

from qmae.ceiling import DESIGNS
from qmae.comparison import Comparison
from qmae.evaluation import TestSet, metrics_json
from qmae.experiments import first_of_each_class, pictures
from qmae.figures import NAMES, reconstructions, render
from qmae.files import write_atomically
from qmae.report import over_seeds, table
from qmae.runs import Run

COLUMNS = {
    "fidelity": "Fidelity",
    "hole_fidelity": "in the hole",
    "composite_fidelity": "Composite",
    "ssim": "SSIM",
    "psnr": "PSNR / dB",
    "accuracy": "Accuracy",
}


def write_comparison(comparison: Comparison, runs: Sequence[Run], test: TestSet, folder: Path) -> None:
    """Write `metrics.json`, `report.md` and two figures into a folder."""
    patch = runs[0].model.patch
    protocol = {"data": runs[0].data, "mask_seed": test.mask_seed, **asdict(patch)}
    content = metrics_json(protocol, test.classifier_accuracy, comparison.rows)
    shown = first_of_each_class(test.labels)
    first = {model.name: model for model in [run.load() for run in reversed(runs)]}
    record = pictures(first.values(), test.images[shown], test.masks(patch)[shown], device=test.device)
    write_atomically(folder / "metrics.json", json.dumps(content, indent=2) + "\n")
    write_atomically(folder / "parameters.png", render(over_parameters(comparison)))
    write_atomically(folder / "reconstructions.png", render(reconstructions(record)))
    write_atomically(folder / "report.md", markdown(comparison))


def markdown(comparison: Comparison) -> str:
    """The whole report, its figures as links."""
    row = comparison.rows[0]
    several = "patch" if row.patches == 1 else f"patches, {row.patches} of them"
    return f"""# Comparison at {row.mask_ratio:.1%}, `{row.placement}` masks

{row.images:,} test images, the same hidden {several} for every line, readout `amplitude`. ± is the standard deviation \
over runs, brackets the 95% bootstrap interval over the images, the last column the difference of fidelities image by \
image. *in the hole* is the squared cosine inside the hole alone; *composite* keeps the visible pixels and takes the \
hole alone from the model.

{result_table(comparison)}
![Fidelity over the number of parameters](parameters.png)

![One image of every digit through every run](reconstructions.png)
"""


def result_table(comparison: Comparison) -> str:
    """One line per model, the best first."""
    floor = "nothing" if "nothing" in comparison.fidelities else next(reversed(comparison.models))
    lines = []
    for name, rows in comparison.models.items():
        low, high = comparison.lead(name, floor)[1]
        cells = [over_seeds(rows, column) for column in COLUMNS]
        interval = rows[0].fidelity_interval
        cells[0] += f" [{interval[0]:.3f}, {interval[1]:.3f}]" if len(rows) == 1 else ""
        kept = mean(row.success_probability for row in rows)
        lines.append(
            [NAMES.get(name, name), f"{rows[0].parameters:,}", *cells, f"{kept:.0%}", f"{low:+.3f} to {high:+.3f}"]
        )
    return table(["Model", "Parameters", *COLUMNS.values(), "Runs kept", f"Above {NAMES.get(floor, floor)}"], lines)


def over_parameters(comparison: Comparison) -> Figure:
    """Fidelity of every model over its number of parameters; what has none, and what designs could reach, are lines."""
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.add_subplot()
    for name, rows in comparison.models.items():
        label, height = NAMES.get(name, name), mean(row.fidelity for row in rows)
        if rows[0].parameters == 0 or name in DESIGNS:
            side, edge, color = ("left", 0, "#d1602b") if name in DESIGNS else ("right", 1, "black")
            axes.axhline(height, color=color, ls="--", lw=1)
            place = {"xycoords": ("axes fraction", "data"), "ha": side, "va": "bottom"}
            axes.annotate(label, (edge, height), **place, color=color, fontsize=9)
        else:
            heights = [row.fidelity for row in rows]
            color = "#0b6e99" if rows[0].angles else "#7a7a7a"
            axes.plot([row.parameters for row in rows], heights, "o", color=color, ms=5)
            axes.annotate(label, (rows[0].parameters, height), xytext=(6, 4), textcoords="offset points", fontsize=9)
    axes.set_xscale("log")
    axes.set(xlabel="parameters", ylabel="fidelity")
    axes.margins(x=0.15)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    return figure
