"""The report of a comparison: one table, what it says of the quantum models, figures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import mean
from typing import Any

from matplotlib.figure import Figure

from qmae._files import to_json, write_atomically
from qmae.evaluation.comparison import Comparison
from qmae.evaluation.metrics import BUILT_IN, METRICS
from qmae.evaluation.rows import Row, metrics_json
from qmae.reports.comparison_figures import over_cost, over_parameters, training_curves
from qmae.reports.figures import reconstructions
from qmae.reports.names import label
from qmae.reports.style import render
from qmae.reports.tables import html, over_seeds, table
from qmae.training.history import History

COLUMNS = (
    *("fidelity", "hole_fidelity", "hole_error", "composite_fidelity"),
    *("ssim", "psnr", "accuracy", "composite_accuracy"),
)
"""Metrics in the table, and behind them those that a user registered."""

LEGEND = """± is the standard deviation over trainings, brackets the 95% bootstrap interval over the images, the last \
column the difference of fidelities image by image, of the mean over trainings. *black fill* leaves the hole black. \
*in the hole* is the squared cosine inside the hole alone, over the images that are not black there; the *composite* \
keeps the visible pixels and takes the hole alone from the model; all else is of raw reconstructions. *PSNR* is -10 \
log10 of the mean over the images of the mean squared error, both images scaled to their maximum. *Shots kept* is the \
mean over the images, and the least of any image."""

ROUNDING = 1e-6
"""Differences of fidelities below are rounding error: they tell nothing apart."""


def write_comparison(
    comparison: Comparison, histories: dict[str, list[History]], protocol: dict[str, Any], folder: Path
) -> None:
    """Write `metrics.json`, `report.md`, `report.html` and the figures into a folder.

    Args:
        comparison: what was measured.
        histories: of trainings, by group.
        protocol: what was done, for `metrics.json`.
        folder: which is there.
    """
    content = metrics_json(protocol, comparison.rows[0].classifier_accuracy, comparison.rows)
    write_atomically(folder / "metrics.json", to_json(content))
    drawn = figures(comparison, histories)
    if _has_quantum(comparison):
        drawn["cost.png"] = over_cost(comparison)
    write_pages(folder, markdown(comparison), drawn)


def write_pages(folder: Path, text: str, drawn: dict[str, Figure]) -> None:
    """Write a report as Markdown and as HTML, and its figures beside them."""
    pictures = {name: render(figure) for name, figure in drawn.items()}
    for name, png in pictures.items():
        write_atomically(folder / name, png)
    write_atomically(folder / "report.md", text)
    write_atomically(folder / "report.html", html(text, pictures))


def figures(comparison: Comparison, trained: dict[str, list[History]]) -> dict[str, Figure]:
    """The figures of one comparison by their file names."""
    models = comparison.models.items()
    levels = {name: 1 - rows[0].fidelity for name, rows in models if rows[0].kind == "baseline"}
    drawn = {"parameters.png": over_parameters(comparison), "reconstructions.png": reconstructions(comparison.pictures)}
    return drawn | ({"training.png": training_curves(trained, levels)} if trained else {})


def markdown(comparison: Comparison) -> str:
    """The whole report, its figures as links."""
    row = comparison.rows[0]
    several = "patch" if row.patches == 1 else f"patches, {row.patches} of them"
    trained = any(row.kind != "design" and row.train_seconds for row in comparison.rows)
    small = "" if row.ssim is not None else "\n\nSSIM is left out: it needs images of 8 x 8 pixels at least."
    lit = f"{row.hole_images:,} of the images are not black inside the hole." if row.hole_images is not None else ""
    return f"""# Comparison at {row.mask_ratio:.1%}, `{row.placement}` masks

{row.images:,} test images, the same hidden {several} for every line, readout `amplitude`. {LEGEND} {lit}{small}

{result_table(comparison)}
{"".join(f"{sentence}{chr(10) * 2}" for sentence in standings(comparison))}\
![Fidelity over the number of parameters](parameters.png)
{f"{chr(10)}![Fidelity and accuracy over angles and shots kept](cost.png){chr(10)}" if _has_quantum(comparison) else ""}
![One image of every digit through every model](reconstructions.png)
{f"{chr(10)}![Loss while training](training.png){chr(10)}" if trained else ""}"""


def result_table(comparison: Comparison) -> str:
    """One line per model, the best first."""
    floor = "nothing" if "nothing" in comparison.fidelities else next(reversed(comparison.models))
    columns = [*COLUMNS, *(name for name in METRICS if name not in BUILT_IN)]
    lines = []
    for name, rows in comparison.models.items():
        low, high = comparison.lead(name, floor)[1]
        cells = [over_seeds(rows, column) for column in columns]
        cells[0] += " [{:.3f}, {:.3f}]".format(*comparison.interval(name))
        lines.append([label(name), f"{rows[0].parameters:,}", *cells, kept(rows), f"{low:+.3f} to {high:+.3f}"])
    return table(
        [
            "Model",
            "Parameters",
            *(METRICS[column].label for column in columns),
            "Shots kept (least)",
            f"Above {label(floor)}",
        ],
        lines,
    )


def kept(rows: Sequence[Row]) -> str:
    """Mean share of the shots that are kept, and the smallest share of any image."""
    share = mean(row.success_probability for row in rows)
    return "100%" if share > 1 - ROUNDING else f"{share:.0%} ({min(row.least_success_probability for row in rows):.1%})"


def standings(comparison: Comparison) -> list[str]:
    """Say of every quantum model what it beats and what beats it, in fidelity."""
    sentences = []
    for name, rows in comparison.models.items():
        if rows[0].kind == "quantum":
            above, level, below = (", ".join(group) or "none of these" for group in standing(comparison, name))
            sentences.append(f"**{label(name)}** is above: {above}. Not told apart: {level}. Below: {below}.")
    return sentences


def standing(comparison: Comparison, model: str) -> tuple[list[str], list[str], list[str]]:
    """What a model is above of, what it cannot be told apart from, and what it is below of.

    Decided by the 95% bootstrap interval of the paired difference; searches and the originals are left out.
    """
    above, level, below = [], [], []
    for other, rows in comparison.models.items():
        if other == model or rows[0].kind in ("original", "design"):
            continue
        lead, (low, high) = comparison.lead(model, other)
        (above if low > ROUNDING else below if high < -ROUNDING else level).append(f"{label(other)} ({lead:+.3f})")
    return above, level, below


def _has_quantum(comparison: Comparison) -> bool:
    return any(row.kind == "quantum" for row in comparison.rows)
