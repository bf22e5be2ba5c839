"""Tables in Markdown, numbers over seeds, and pages in HTML."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from statistics import mean, stdev

from markdown_it import MarkdownIt

from qmae.evaluation.metrics import METRICS
from qmae.evaluation.rows import Row


def html(text: str, figures: dict[str, bytes]) -> str:
    """Render the report as one HTML file that holds its figures."""
    for name, png in figures.items():
        text = text.replace(f"({name})", f"(data:image/png;base64,{base64.b64encode(png).decode()})")
    body = MarkdownIt("commonmark").enable("table").render(text)
    return f"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>qmae report</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; color: #1b1f23; }}
table {{ border-collapse: collapse; margin: 1rem 0; display: block; overflow-x: auto; }}
th, td {{ padding: .3rem .7rem; border-bottom: 1px solid #d0d7de; text-align: left; font-variant-numeric: tabular-nums; }}
img {{ max-width: 100%; }}
code {{ background: #f3f4f6; padding: .1em .3em; border-radius: 3px; }}
</style>
{body}</html>
"""


def over_seeds(rows: Sequence[Row], metric: str) -> str:
    """Mean of a metric over seeds, and the standard deviation where there are several."""
    return spread([row.value(metric) for row in rows], metric)


def spread(values: Iterable[float | None], metric: str = "fidelity") -> str:
    """Mean and, of several values, standard deviation, in the format of a metric."""
    known = [value for value in values if value is not None]
    if not known:
        return "–"
    form = METRICS[metric].format if metric in METRICS else "{:.3f}"
    return form.format(mean(known)) + (f" ± {form.format(stdev(known))}" if len(known) > 1 else "")


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    return "\n".join("| " + " | ".join(line) + " |" for line in [header, ["---"] * len(header), *rows]) + "\n"
