"""The report of a comparison: one table, what it says of the quantum models, figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import mean

from matplotlib.figure import Figure

from qmae._files import to_json, write_atomically
from qmae.evaluation.comparison import Comparison
from qmae.evaluation.evaluate import TestSet
from qmae.evaluation.rows import Row, label, metrics_json
from qmae.models.choices import Kind
from qmae.reports.comparison_figures import over_cost, over_parameters, training_curves
from qmae.reports.figures import reconstructions
from qmae.reports.style import render
from qmae.reports.tables import html, over_seeds, table
from qmae.training.loop import History
from qmae.training.runs import Run

COLUMNS = {
    "fidelity": "Fidelity",
    "hole_fidelity": "in the hole",
    "hole_error": "MSE in the hole",
    "composite_fidelity": "Composite",
    "ssim": "SSIM",
    "psnr": "PSNR / dB",
    "accuracy": "Accuracy",
    "composite_accuracy": "of the composite",
}

LEGEND = """± is the standard deviation over trainings, brackets the 95% bootstrap interval over the images, the last \
column the difference of fidelities image by image, of the mean over trainings. *black fill* leaves the hole black. \
*in the hole* is the squared cosine inside the hole alone, over the images that are not black there; the *composite* \
keeps the visible pixels and takes the hole alone from the model; all else is of raw reconstructions. *PSNR* is -10 \
log10 of the mean over the images of the mean squared error, both images scaled to their maximum. *Shots kept* is the \
mean over the images, and the least of any image."""

TRAINED: tuple[Kind, ...] = ("quantum", "network", "design")
"""What has a run."""

ROUNDING = 1e-6
"""Differences of fidelities below are rounding error: they tell nothing apart."""


def write_comparison(comparison: Comparison, runs: Sequence[Run], test: TestSet, folder: Path) -> None:
    """Write `metrics.json`, `report.md`, `report.html` and the figures into a folder."""
    protocol = {"data": test.source, "mask_seed": test.mask_seed, **asdict(runs[0].model.patch)}
    content = metrics_json(protocol, test.classifier_accuracy, comparison.rows)
    write_atomically(folder / "metrics.json", to_json(content))
    drawn = figures(comparison, histories(comparison, runs))
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


def histories(comparison: Comparison, runs: Sequence[Run]) -> dict[str, list[History]]:
    """Of all runs but searches and those whose history nobody kept, by group.

    Args:
        comparison: of these runs, in this order, and perhaps of more behind them.
        runs: what was compared.
    """
    found: dict[str, list[History]] = {}
    trained = [row for row in comparison.rows if row.kind in TRAINED]
    for run, row in zip(runs, trained, strict=False):
        if row.kind != "design" and run.seconds is not None:
            found.setdefault(row.group, []).append(run.history())
    return found


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
    lines = []
    for name, rows in comparison.models.items():
        low, high = comparison.lead(name, floor)[1]
        cells = [over_seeds(rows, column) for column in COLUMNS]
        cells[0] += " [{:.3f}, {:.3f}]".format(*comparison.interval(name))
        lines.append([label(name), f"{rows[0].parameters:,}", *cells, kept(rows), f"{low:+.3f} to {high:+.3f}"])
    return table(["Model", "Parameters", *COLUMNS.values(), "Shots kept (least)", f"Above {label(floor)}"], lines)


def kept(rows: Sequence[Row]) -> str:
    """Mean share of the shots that are kept, and that of the image of which the fewest are."""
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
