"""The report of a study."""

from __future__ import annotations

from pathlib import Path
from statistics import mean

from qmae._files import to_json, write_atomically
from qmae.evaluation.comparison import Comparison
from qmae.experiments.plans import MAIN, StudyResults
from qmae.models.free import DESIGNS
from qmae.reports.comparison import LEGEND, figures, result_table, standing, write_pages
from qmae.reports.comparison_figures import over_mask_ratio
from qmae.reports.names import label
from qmae.reports.tables import over_seeds, table


def write_study(results: StudyResults, folder: Path) -> None:
    """Write `metrics.json`, `report.md`, `report.html` and the figures into a folder."""
    write_atomically(folder / "metrics.json", to_json(results.to_json()))
    main = results.comparisons[MAIN]
    drawn = figures(main, results.histories)
    drawn["mask-ratio.png"] = over_mask_ratio([*results.comparisons.values()])
    write_pages(folder, markdown(results), drawn)


def markdown(results: StudyResults) -> str:
    """The whole report, its figures as links."""
    main = results.comparisons[MAIN]
    plan, row = results.plan, main.rows[0]
    seeds = ", ".join(f"{label(preset)} {count}" for preset, count in plan.seeds.items())
    return f"""# Every model between floor and ceiling

{row.images:,} test images of {plan.data}, under each kind of masks the same holes for every line; readout \
`amplitude`. Trainings: {seeds}. {LEGEND}

## What beats what

By fidelity, decided by the 95% bootstrap interval of the difference image by image, the mean over trainings.

{standing_table(results)}
## Masks of {MAIN}

{result_table(main)}
The designs are the best that the search found for free matrices instead of the gates, no bounds: \
{"; ".join(f"`{design}`, {DESIGNS[design]}" for design in plan.designs)}.

![Fidelity over the number of parameters](parameters.png)

![One image of every digit through every model](reconstructions.png)

The first test image of every digit, chosen by index.

### Accuracy by digit

{class_table(main)}
### Training

![Loss while training, mean and standard deviation over trainings](training.png)

## Other masks

Fidelity:

{mask_table(results, "fidelity")}
Accuracy:

{mask_table(results, "accuracy")}
![Fidelity over the mask ratio](mask-ratio.png)
"""


def standing_table(results: StudyResults) -> str:
    """What QMAE is above of and below of, under every kind of masks, and its lead over QAE."""
    lines = []
    for masks, comparison in results.comparisons.items():
        above, level, below = (", ".join(group) or "–" for group in standing(comparison, "qmae"))
        lead, (low, high) = comparison.lead("qmae", "qae")
        lines.append([masks, f"{lead:+.4f} [{low:+.4f}, {high:+.4f}]", above, level, below])
    return table(["Masks", "QMAE − QAE", "QMAE is above", "not told apart", "QMAE is below"], lines)


def class_table(comparison: Comparison) -> str:
    """Accuracy by label, means over trainings."""
    models = {name: rows for name, rows in comparison.models.items() if rows[0].accuracy_by_class}
    classes = sorted({digit for rows in models.values() for digit in rows[0].accuracy_by_class or {}})
    lines = [
        [label(name), *(f"{mean((row.accuracy_by_class or {})[digit] for row in rows):.1%}" for digit in classes)]
        for name, rows in models.items()
    ]
    return table(["Model", *(str(digit) for digit in classes)], lines)


def mask_table(results: StudyResults, metric: str) -> str:
    """One metric of every model under every kind of masks."""
    by_mask = [comparison.models for comparison in results.comparisons.values()]
    names = [name for name, rows in results.comparisons[MAIN].models.items() if rows[0].kind != "design"]
    lines = [[label(name), *(over_seeds(models.get(name, []), metric) for models in by_mask)] for name in names]
    return table(["Model", *results.comparisons], lines)
