"""The report of a reproduction: tables, claims and figures, as Markdown and HTML."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import mean, stdev

from qmae._files import to_json, write_atomically
from qmae.evaluation.metrics import METRICS
from qmae.evaluation.rows import Row
from qmae.experiments.protocols import PAPER, RATIOS, TABLE_RATIO, Results
from qmae.models.baselines import BASELINES
from qmae.reports.figures import mask_ratios, reconstructions, training_loss
from qmae.reports.names import label
from qmae.reports.style import render
from qmae.reports.tables import html, over_seeds, spread, table

COLUMNS = {name: METRICS[name].label for name in ("fidelity", "cosine_similarity", "ssim", "accuracy")}
"""Those of the paper's Table 1."""
PAPER_CLASSIFIER = 0.9933
TOKEN_NOTE = """ The 50% token spans the image, so holes on the left and on the right get different halves of it: in \
effect a token per column of holes, which the other models lack."""


def write_reproduction(results: Results, folder: Path) -> None:
    """Write `metrics.json`, `report.md`, `report.html` and `figures/*.png` into a folder."""
    nothing = mean(row.fidelity for row in results.select(model="nothing", mask_ratio=TABLE_RATIO))
    figures = {
        "figures/reconstructions.png": render(reconstructions(results.pictures[TABLE_RATIO])),
        "figures/mask-ratios.png": render(mask_ratios(results.pictures)),
        "figures/training-loss.png": render(training_loss(results.histories, floor=1 - nothing)),
    }
    (folder / "figures").mkdir(exist_ok=True)
    for name, png in figures.items():
        write_atomically(folder / name, png)
    text = markdown(results)
    write_atomically(folder / "metrics.json", to_json(results.to_json()))
    write_atomically(folder / "report.md", text)
    write_atomically(folder / "report.html", html(text, figures))


def markdown(results: Results) -> str:
    """The whole report, its figures as links."""
    protocol = results.protocol
    images = results.rows[0].images
    return f"""# QMAE against QAE, `{protocol.placement}` masks

{images:,} test images of {protocol.data}, {protocol.size} x {protocol.size} pixels; one patch of each is hidden, the same for \
every row. Every model is trained for {protocol.training.epochs} epoch{"s" if protocol.training.epochs > 1 else ""}, {f"with {protocol.seeds} seeds; ± is the standard deviation over them" if protocol.seeds > 1 else "with one seed"}.

The baselines: *black fill* leaves the hole black, *mean patch* fills it with the mean of the training images at that position, \
*token alone* with the patch for that position that is best for the fidelity, as a model's tokens would without a circuit, \
*ridge regression* predicts it linearly from the visible pixels, *nearest neighbours* from the five most similar training images. \
A model below *black fill* has made the image worse than it found it. *original* is the unmasked image through the same readout, \
the ceiling. The classifier gets {spread([results.classifier_accuracy], "accuracy")} of the images as they are right (the paper's: {PAPER_CLASSIFIER:.2%}).

## Table 1: 25% mask, beside the paper

Readout `probability`: a pixel is its basis state's probability.

{model_table(results, ratio=TABLE_RATIO, readout="probability", beside_paper=True)}
Readout `amplitude`: a pixel is the square root of that probability, which undoes the embedding.

{model_table(results, ratio=TABLE_RATIO, readout="amplitude", beside_paper=True)}
The paper does not say which readout it used. {closer_readout(results)}

## Figure 6: reconstructions at 25%

![One image of every digit: masked, filled by the baselines, through QAE and QMAE, and the original](figures/reconstructions.png)

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


def model_table(results: Results, *, ratio: float, readout: str, beside_paper: bool = False) -> str:
    """Every model and baseline at one mask ratio through one readout, on request beside the paper's Table 1."""
    paper_metrics = COLUMNS if beside_paper else {}
    header = [
        "Model",
        "Parameters",
        *COLUMNS.values(),
        *(f"paper: {label}" for label in paper_metrics.values()),
    ]
    lines = []
    for model, name in _models().items():
        if rows := trained_for(results, model, ratio, readout):
            ours = [over_seeds(rows, metric) for metric in COLUMNS]
            paper = [spread([PAPER.get(model, {}).get(metric)], metric) for metric in paper_metrics]
            lines.append([name, f"{rows[0].parameters:,}", *ours, *paper])
    return table(header, lines)


def _models() -> dict[str, str]:
    """The rows of the tables by their names: the ceiling, the paper's models, the baselines down to the floor."""
    own = {name: f"**{label(name)}**" for name in ("qmae", "qae")}
    return {"original": label("original")} | own | {name: label(name) for name in BASELINES if name != "original"}


def ratio_table(results: Results) -> str:
    """Fidelity and accuracy of QMAE and the baselines at every mask ratio (Figure 7)."""
    header = ["Mask", "Model", *COLUMNS.values(), "Accuracy (`probability`)"]
    lines = []
    for ratio in RATIOS:
        for model, name in _models().items():
            if rows := trained_for(results, model, ratio, "amplitude"):
                squared = trained_for(results, model, ratio, "probability")
                cells = [*(over_seeds(rows, metric) for metric in COLUMNS), over_seeds(squared, "accuracy")]
                lines.append([f"{ratio:.1%}", name, *cells])
    return "Readout `amplitude`, but for the last column.\n\n" + table(header, lines)


def common_table(results: Results) -> str:
    """QMAE trained at every ratio and measured at one, so that only the training differs."""
    lines = []
    for ratio in RATIOS:
        rows = results.select(model="qmae", trained_ratio=ratio, mask_ratio=TABLE_RATIO, readout="amplitude")
        lines.append([f"{_models()['qmae']} trained at {ratio:.1%}", *(over_seeds(rows, metric) for metric in COLUMNS)])
    for model in (name for name in BASELINES if name != "original"):
        rows = at_table_ratio(results, model)
        lines.append([label(model), *(over_seeds(rows, metric) for metric in COLUMNS)])
    return table([f"Measured at {TABLE_RATIO:.0%}", *COLUMNS.values()], lines)


def claim_table(results: Results) -> str:
    """What the paper claims, the figures it gives, and ours."""
    qmae, qae, nothing = (at_table_ratio(results, model) for model in ("qmae", "qae", "nothing"))
    lead = mean(row.fidelity for row in qmae) - nothing[0].fidelity
    by_ratio = [over_seeds(trained_for(results, "qmae", ratio, "amplitude"), "fidelity") for ratio in RATIOS]
    populations = [over_seeds(rows, "trash_population") for rows in (qmae, qae)]
    lines = [
        ["QMAE's accuracy is above QAE's (`probability`)", "+12.86 points", accuracy_gap(results, "probability")],
        ["QMAE's accuracy is above QAE's (`amplitude`)", "+12.86 points", accuracy_gap(results, "amplitude")],
        ["QMAE is better than QAE in every metric", "4 of 4", better_in(results)],
        [
            "QMAE learns what is hidden: its fidelity is above that of leaving the hole black",
            "0.734; not compared",
            f"{over_seeds(qmae, 'fidelity')}, black fill {nothing[0].fidelity:.3f}: {lead:+.3f}",
        ],
        ["QMAE's training loss settles", "at 0.25", last_epoch(results, "qmae")],
        ["QAE's training loss swings", "from 0.2 to 0.8", last_epoch(results, "qae")],
        ["QMAE's fidelity falls from 12.5% to 25% to 50%", "yes (Figure 7)", ", ".join(by_ratio)],
        ["25% is the best mask to train at", "yes", best_training_ratio(results)],
        ["The encoder empties the trash: P(\\|0⟩) of QMAE, QAE", "1 (Eq. 5)", ", ".join(populations)],
        ["Parameters of QMAE, QAE (Eqs. 3, 7)", "484, 420", f"{qmae[0].parameters}, {qae[0].parameters}"],
    ]
    return table(["Claim", "Paper", "Here"], lines)


def closer_readout(results: Results) -> str:
    """Say by which readout more of the paper's figures that depend on it are met more closely."""
    closer = {"probability": [], "amplitude": []}
    for model, figures in PAPER.items():
        for metric in set(COLUMNS) - {"fidelity"}:
            gaps = {
                readout: abs(_mean(at_table_ratio(results, model, readout), metric) - figures[metric])
                for readout in closer
            }
            closer[min(closer, key=gaps.__getitem__)].append(f"{model.upper()} {COLUMNS[metric]}")
    said = [f"`{readout}` comes closer in {', '.join(sorted(names))}" for readout, names in closer.items() if names]
    return "Of its figures that depend on it, " + "; ".join(said) + "."


def accuracy_gap(results: Results, readout: str) -> str:
    """QMAE's accuracy minus QAE's, in percentage points, seed by seed."""
    pairs = zip(*(at_table_ratio(results, model, readout) for model in ("qmae", "qae")), strict=True)
    gaps = [100 * (a.accuracy - b.accuracy) for a, b in pairs if a.accuracy is not None and b.accuracy is not None]
    if not gaps:
        return "–"
    return f"{mean(gaps):+.2f}" + (f" ± {stdev(gaps):.2f}" if len(gaps) > 1 else "") + " points"


def better_in(results: Results) -> str:
    """In how many of the known metrics QMAE's mean over seeds is better than QAE's, by readout."""
    counts = []
    for readout in ("probability", "amplitude"):
        ours, theirs = (at_table_ratio(results, model, readout) for model in ("qmae", "qae"))
        signs = {metric: 1 if METRICS[metric].higher_is_better else -1 for metric in COLUMNS}
        leads = [sign * (_mean(ours, metric) - _mean(theirs, metric)) for metric, sign in signs.items()]
        known = [lead for lead in leads if lead == lead]
        counts.append(f"{sum(lead > 0 for lead in known)} of {len(known)} (`{readout}`)")
    return ", ".join(counts)


def best_training_ratio(results: Results) -> str:
    """At which ratio the QMAE was trained that has the best fidelity at the common ratio."""
    at_common = {
        ratio: _mean(results.select(model="qmae", trained_ratio=ratio, mask_ratio=TABLE_RATIO), "fidelity")
        for ratio in RATIOS
    }
    own = {ratio: _mean(trained_for(results, "qmae", ratio, "amplitude"), "fidelity") for ratio in RATIOS}
    best, easiest = max(at_common, key=at_common.__getitem__), max(own, key=own.__getitem__)
    return f"by fidelity, measured at {TABLE_RATIO:.0%}: {best:.1%}; each at its own ratio: {easiest:.1%}"


def last_epoch(results: Results, model: str) -> str:
    """The loss of the first seed in its last epoch: mean, and the band that holds 90% of the images of a step."""
    history = results.histories[model]
    steps = len(history.rows) // results.protocol.training.epochs
    level, low, high = (mean(history.column(name)[-steps:]) for name in ("loss_mean", "loss_p05", "loss_p95"))
    return f"mean {level:.3f}; 90% of the images between {low:.2f} and {high:.2f}"


def at_table_ratio(results: Results, model: str, readout: str = "amplitude") -> list[Row]:
    """Rows of Table 1."""
    return trained_for(results, model, TABLE_RATIO, readout)


def trained_for(results: Results, model: str, ratio: float, readout: str) -> list[Row]:
    """Rows of a model measured at the ratio it was trained at, or of a baseline at that ratio; one per seed."""
    rows = results.select(model=model, mask_ratio=ratio, readout=readout)
    return [row for row in rows if row.trained_ratio in (None, ratio)]


def _mean(rows: Sequence[Row], metric: str) -> float:
    known = [value for row in rows if (value := row.value(metric)) is not None]
    return mean(known) if known else float("nan")
