"""The report of a reproduction: tables, claims and figures, as Markdown and HTML."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import mean, stdev

from markdown_it import MarkdownIt

from qmae.evaluation import Row
from qmae.experiments import PAPER, RATIOS, TABLE_RATIO, Results
from qmae.figures import mask_ratios, reconstructions, to_png, training_loss
from qmae.files import write_atomically

METRICS = {"fidelity": "Fidelity", "cosine_similarity": "CS", "ssim": "SSIM", "accuracy": "Accuracy"}
MODELS = {"qmae": "**QMAE**", "qae": "**QAE**", "mean": "mean patch", "nothing": "nothing"}
PAPER_CLASSIFIER = 0.9933
TOKEN_NOTE = """ The 50% token spans the image, so holes on the left and on the right get different halves of it: in \
effect a token per column of holes, which the other models lack."""


def write_report(results: Results, folder: Path) -> None:
    """Write `metrics.json`, `report.md`, `report.html` and `figures/*.png` into a folder."""
    nothing = mean(row.fidelity for row in results.select(model="nothing", mask_ratio=TABLE_RATIO))
    figures = {
        "figures/reconstructions.png": to_png(reconstructions(results.pictures[TABLE_RATIO])),
        "figures/mask-ratios.png": to_png(mask_ratios(results.pictures)),
        "figures/training-loss.png": to_png(training_loss(results.histories, floor=1 - nothing)),
    }
    (folder / "figures").mkdir(exist_ok=True)
    for name, png in figures.items():
        write_atomically(folder / name, png)
    text = markdown(results)
    write_atomically(folder / "metrics.json", json.dumps(results.to_json(), indent=2) + "\n")
    write_atomically(folder / "report.md", text)
    write_atomically(folder / "report.html", html(text, figures))


def markdown(results: Results) -> str:
    """The whole report, its figures as links."""
    protocol = results.protocol
    ceiling = spread([results.classifier_accuracy], "accuracy")
    return f"""# QMAE against QAE, `{protocol.placement}` masks

{protocol.test_images:,} test images of {protocol.data}, {protocol.size} x {protocol.size} pixels; one patch of each is hidden, \
the same for every row. {protocol.seeds} seed(s), {protocol.epochs} epochs each{"; ± is the standard deviation over seeds" if protocol.seeds > 1 else ""}.

Two rows are the yardstick: *nothing* leaves the hole black, *mean patch* fills it with the mean of the training images at \
that place. A model below *nothing* has made the image worse than it found it. The classifier gets {ceiling} of the original \
images right (the paper's {PAPER_CLASSIFIER:.2%}), which is the ceiling of every accuracy.

## Table 1: 25% mask, beside the paper

Readout `probability`: a pixel is its basis state's probability. The paper does not say which readout it used; this one comes \
closer to its figures.

{model_table(results, ratio=TABLE_RATIO, readout="probability", beside_paper=True)}
Readout `amplitude`: a pixel is the square root of that probability, which undoes the embedding. The yardsticks see the same readout.

{model_table(results, ratio=TABLE_RATIO, readout="amplitude", beside_paper=True)}
## Figure 6: reconstructions at 25%

![One image of every digit: masked, filled with the mean patch, through QAE and QMAE, and the original](figures/reconstructions.png)

The first test image of every digit, chosen by index; readout `amplitude`.

## Figure 7: mask ratios

![QMAE under masks of 12.5%, 25% and 50%](figures/mask-ratios.png)

{ratio_table(results)}
## Which mask ratio is best to train at?

Measured each at its own ratio, a smaller hole is always easier. Here every model completes the same 25% holes; a token of \
another shape is repeated or cut to fit.{TOKEN_NOTE if protocol.placement == "grid" else ""}

{common_table(results)}
## Figure 8: the loss while training

![Fidelity loss of QMAE and QAE at every training step](figures/training-loss.png)

## The paper's claims, one by one

{claim_table(results)}"""


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


def model_table(results: Results, *, ratio: float, readout: str, beside_paper: bool = False) -> str:
    """Every model and yardstick at one mask ratio through one readout, on request beside the paper's Table 1."""
    paper_metrics = METRICS if beside_paper else {}
    header = [
        "Model",
        "Parameters",
        *METRICS.values(),
        *(f"paper: {label}" for label in paper_metrics.values()),
    ]
    lines = []
    for model in MODELS:
        if rows := trained_for(results, model, ratio, readout):
            ours = [over_seeds(rows, metric) for metric in METRICS]
            paper = [spread([PAPER.get(model, {}).get(metric)], metric) for metric in paper_metrics]
            lines.append([MODELS[model], str(rows[0].parameters), *ours, *paper])
    return table(header, lines)


def ratio_table(results: Results) -> str:
    """Fidelity and accuracy of QMAE and the yardsticks at every mask ratio (Figure 7)."""
    header = ["Mask", "Model", *METRICS.values(), "Accuracy (`probability`)"]
    lines = []
    for ratio in RATIOS:
        for model in MODELS:
            if rows := trained_for(results, model, ratio, "amplitude"):
                squared = trained_for(results, model, ratio, "probability")
                cells = [*(over_seeds(rows, metric) for metric in METRICS), over_seeds(squared, "accuracy")]
                lines.append([f"{ratio:.1%}", MODELS[model], *cells])
    return "Readout `amplitude`, but for the last column.\n\n" + table(header, lines)


def common_table(results: Results) -> str:
    """QMAE trained at every ratio and measured at one, so that only the training differs."""
    lines = []
    for ratio in RATIOS:
        rows = results.select(model="qmae", trained_ratio=ratio, mask_ratio=TABLE_RATIO, readout="amplitude")
        lines.append([f"{MODELS['qmae']} trained at {ratio:.1%}", *(over_seeds(rows, metric) for metric in METRICS)])
    for model in ("mean", "nothing"):
        rows = trained_for(results, model, TABLE_RATIO, "amplitude")
        lines.append([MODELS[model], *(over_seeds(rows, metric) for metric in METRICS)])
    return table([f"Measured at {TABLE_RATIO:.0%}", *METRICS.values()], lines)


def claim_table(results: Results) -> str:
    """What the paper claims, the figures it gives, and ours."""
    qmae, qae, nothing = (
        trained_for(results, model, TABLE_RATIO, "probability") for model in ("qmae", "qae", "nothing")
    )
    floor = nothing[0].fidelity
    by_ratio = ", ".join(over_seeds(trained_for(results, "qmae", ratio, "amplitude"), "fidelity") for ratio in RATIOS)
    lines = [
        *(
            [f"QMAE's accuracy is above QAE's (`{readout}`)", "+12.86 points", accuracy_gap(results, readout)]
            for readout in ("probability", "amplitude")
        ),
        ["QMAE is better than QAE in every metric", "4 of 4", better_in(results)],
        [
            "QMAE learns the hidden part: its fidelity is above that of a black hole",
            f"{PAPER['qmae']['fidelity'] - floor:+.3f} (0.734 against {floor:.3f})",
            f"{mean(row.fidelity for row in qmae) - floor:+.3f}",
        ],
        ["QMAE's loss settles, 5% to 95% of the images in brackets", "0.25", last_epoch(results, "qmae")],
        ["QAE's loss swings", "0.2 to 0.8", last_epoch(results, "qae")],
        ["QMAE's fidelity falls from 12.5% to 25% to 50%", "yes (Figure 7)", by_ratio],
        ["25% is the best mask to train at", "yes", best_training_ratio(results)],
        [
            "The encoder empties the trash: P(\\|0⟩), QMAE and QAE",
            "1 (Eq. 5)",
            ", ".join(over_seeds(rows, "trash_population") for rows in (qmae, qae)),
        ],
        ["Parameters of QMAE and QAE (Eqs. 3, 7)", "484, 420", f"{qmae[0].parameters}, {qae[0].parameters}"],
        [
            "Accuracy of the classifier on originals",
            f"{PAPER_CLASSIFIER:.2%}",
            spread([results.classifier_accuracy], "accuracy"),
        ],
    ]
    return table(["Claim", "Paper", "Here"], lines)


def accuracy_gap(results: Results, readout: str) -> str:
    """QMAE's accuracy minus QAE's, in percentage points, seed by seed."""
    pairs = zip(*(trained_for(results, model, TABLE_RATIO, readout) for model in ("qmae", "qae")), strict=True)
    gaps = [
        100 * (ours.accuracy - theirs.accuracy)
        for ours, theirs in pairs
        if None not in (ours.accuracy, theirs.accuracy)
    ]
    if not gaps:
        return "–"
    return f"{mean(gaps):+.2f}" + (f" ± {stdev(gaps):.2f}" if len(gaps) > 1 else "") + " points"


def better_in(results: Results) -> str:
    """In how many of the four metrics QMAE's mean over seeds is above QAE's, by readout."""
    counts = []
    for readout in ("probability", "amplitude"):
        ours, theirs = (trained_for(results, model, TABLE_RATIO, readout) for model in ("qmae", "qae"))
        better = sum(_mean(ours, metric) > _mean(theirs, metric) for metric in METRICS)
        counts.append(f"{better} of {len(METRICS)} (`{readout}`)")
    return ", ".join(counts)


def best_training_ratio(results: Results) -> str:
    """At which ratio the QMAE was trained that has the best fidelity at the common ratio."""
    at_common = {
        ratio: _mean(results.select(model="qmae", trained_ratio=ratio, mask_ratio=TABLE_RATIO), "fidelity")
        for ratio in RATIOS
    }
    own = {ratio: _mean(trained_for(results, "qmae", ratio, "amplitude"), "fidelity") for ratio in RATIOS}
    best, easiest = max(at_common, key=at_common.__getitem__), max(own, key=own.__getitem__)
    return f"measured at {TABLE_RATIO:.0%}: {best:.1%}; each at its own ratio: {easiest:.1%}"


def last_epoch(results: Results, model: str) -> str:
    """Mean loss over the last epoch's steps, and the mean limits of the band that holds 90% of a step's images."""
    history = results.histories[model]
    steps = len(history.rows) // results.protocol.epochs
    level, low, high = (mean(history.column(name)[-steps:]) for name in ("loss_mean", "loss_p05", "loss_p95"))
    return f"{level:.3f} [{low:.2f}, {high:.2f}]"


def trained_for(results: Results, model: str, ratio: float, readout: str) -> list[Row]:
    """Rows of a model measured at the ratio it was trained at, or of a baseline at that ratio; one per seed."""
    rows = results.select(model=model, mask_ratio=ratio, readout=readout)
    return [row for row in rows if row.trained_ratio in (None, ratio)]


def over_seeds(rows: Sequence[Row], metric: str) -> str:
    """Mean of a metric over seeds, and the standard deviation where there are several."""
    return spread([getattr(row, metric) for row in rows], metric)


def spread(values: Iterable[float | None], metric: str = "fidelity") -> str:
    """Mean and, of several values, standard deviation; accuracies in percent."""
    known = [value for value in values if value is not None]
    if not known:
        return "–"
    form = "{:.2%}" if metric == "accuracy" else "{:.3f}"
    return form.format(mean(known)) + (f" ± {form.format(stdev(known))}" if len(known) > 1 else "")


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    return "\n".join("| " + " | ".join(line) + " |" for line in [header, ["---"] * len(header), *rows]) + "\n"


def _mean(rows: Sequence[Row], metric: str) -> float:
    known = [value for row in rows if (value := getattr(row, metric)) is not None]
    return mean(known) if known else float("nan")
