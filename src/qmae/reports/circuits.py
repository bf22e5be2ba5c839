"""Reports of what the circuits do on devices: noise, shots and resources, as Markdown tables and figures."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import product
from statistics import mean

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure

from qmae.circuits.choices import NoiseKind
from qmae.circuits.noise import NoisyFidelity, Setting, crossing
from qmae.circuits.resources import Resources
from qmae.circuits.shots import Descent, Spread, single_shot_variance
from qmae.reports.names import colour_of, label
from qmae.reports.tables import spread, table

ERRORS = (0.05, 0.02, 0.01, 0.005, 0.001)
"""Errors of a fidelity whose price in shots is told."""

BOOTSTRAP = 1_000

Curve = tuple[Float[np.ndarray, " rates"], Float[np.ndarray, "rates images"]]
"""Rates of noise, ascending from 0, and fidelities of every image."""


def noise_report(rows: Sequence[NoisyFidelity], floor: float) -> str:
    """Fidelities under noise, and the rates at which QMAE's advantage over QAE is gone.

    Args:
        rows: of a QMAE and a QAE, the same images under the same noises.
        floor: mean fidelity of leaving the hole black, on the same images.
    """
    images = 1 + max(row.image for row in rows)
    settings = list(dict.fromkeys(row.setting for row in rows))
    lines = [[*_name(setting), *map(spread, _columns(rows, setting))] for setting in (None, *settings)]
    header = ["Noise", "Preparations", "Rate", "**QMAE** fidelity", "**QAE** fidelity", "Lead"]
    groups: list[tuple[NoiseKind, bool]] = [(setting.kind, setting.noisy_preparation) for setting in settings]
    ends = [[kind, _preparation(kind, noisy), *_ends(rows, kind, noisy)] for kind, noisy in dict.fromkeys(groups)]
    return f"""Mean ± standard deviation over {images} test images, exact expectation values. Black fill, which \
leaves the hole black and needs no circuit, has {floor:.3f} on these images.

{table(header, lines)}
Where QMAE's advantage is gone, with the interval of 90% of the bootstrap over images:

{table(["Noise", "Preparations", "QMAE down to QAE without noise", "Lead halved, both under noise"], ends)}"""


def noise_figure(rows: Sequence[NoisyFidelity], floor: float) -> Figure:
    """Mean fidelity against the strength of noise, one panel per kind; `floor` is that of leaving the hole black."""
    kinds: list[NoiseKind] = [row.setting.kind for row in rows]
    kinds = list(dict.fromkeys(kinds))
    figure = Figure(figsize=(3.6 * len(kinds), 3.8), layout="constrained")
    panels = figure.subplots(1, len(kinds), sharey=True, squeeze=False)[0]
    for kind, axes in zip(kinds, panels, strict=True):
        for model, noisy in product(dict.fromkeys(row.model for row in rows), (False, True)):
            rates, values = fidelity_curve(rows, model, kind, noisy)
            if len(rates) == 1:
                continue
            said = label(model)
            if kind != "readout":
                said += ", every gate noisy" if noisy else ", preparations free of noise"
            values = values.mean(1)
            axes.semilogx(rates[1:], values[1:], "o--" if noisy else "o-", color=colour_of(model), ms=3, label=said)
            axes.axhline(values[0], color=colour_of(model), lw=0.7, ls=":")
        axes.axhline(floor, color="black", lw=1, ls="--", label="black fill")
        axes.set(title=kind, xlabel="error rate", ylim=(0, 1))
        axes.legend(fontsize="x-small", loc="lower left", handlelength=3)
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel("fidelity (dotted: without noise)")
    return figure


def shots_report(spreads: Sequence[Spread], descents: Sequence[Descent]) -> str:
    """What an error of the fidelity costs in shots, measured and by the formulas, and what a training costs."""
    unit = {
        overlap: (mean(row.deviation**2 * row.shots for row in chosen), mean(_variance(row) for row in chosen))
        for overlap in ("swap", "inverse")
        if (chosen := [row for row in spreads if row.overlap == overlap])
    }
    lines = [
        [f"{error:g}", *(f"{variance / error**2:,.0f}" for pair in unit.values() for variance in pair)]
        for error in ERRORS
    ]
    header = ["Error of F", *(f"`{overlap}`, {kind}" for overlap in unit for kind in ("measured", "formula"))]
    trained = [
        [f"{d.shots:,}" if d.shots else "exact", f"{d.losses[0]:.3f}", f"{d.losses[-1]:.3f}", f"{d.shots_in_all:,}"]
        for d in descents
    ]
    return f"""Shots for a given root mean square error of one fidelity:

{table(header, lines)}
Training on measured gradients, QMAE on 2 x 2 pixels, {len(descents[0].losses) - 1} steps:

{table(["Shots a circuit", "Loss before", "Loss after", "Shots in all"], trained)}"""


def shots_figure(spreads: Sequence[Spread], descents: Sequence[Descent], floor: float) -> Figure:
    """Error of a measured fidelity against the number of shots, and trainings on measured gradients.

    Args:
        spreads: of the estimates.
        descents: the trainings.
        floor: in the trainings, the mean loss of leaving the hole black.
    """
    figure = Figure(figsize=(10, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    for overlap, color in (("swap", "#0b6e99"), ("inverse", "#d1602b")):
        chosen = [row for row in spreads if row.overlap == overlap]
        shots = sorted({row.shots for row in chosen})
        for line, value in (("o", "deviation"), ("-", "expected")):
            means = [mean(getattr(row, value) ** 2 for row in chosen if row.shots == n) ** 0.5 for n in shots]
            said = f"{overlap}: " + ("measured" if line == "o" else "from the formula, as 1/sqrt(N)")
            left.loglog(shots, means, line, color=color, lw=1, label=said)
    left.set(xlabel="shots per estimate N", ylabel="error of the fidelity, root mean square")
    left.legend(fontsize="small")
    for descent in descents:
        name = f"{descent.shots:,} shots a circuit" if descent.shots else "exact gradients"
        right.plot(descent.losses, lw=1.5, label=name)
    right.axhline(floor, color="black", ls="--", lw=1, label="black fill")
    right.set(xlabel="step of Adam", ylabel="exact fidelity loss 1 - F", ylim=(0, None))
    right.legend(fontsize="small")
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def resource_table(rows: Iterable[Resources]) -> str:
    """Qubits, gates and depth of every circuit."""
    lines = [
        [
            f"{row.image_size} x {row.image_size}",
            f"`{row.overlap}`",
            str(row.layers),
            row.coupling,
            str(row.qubits),
            f"{row.cnots:,}",
            f"{row.preparation_cnots:,}" if row.coupling == "all" else "",
            f"{row.depth:,}",
            ", ".join(f"{count:,} {gate}" for gate, count in sorted(row.gates.items())),
        ]
        for row in rows
    ]
    header = ["Image", "Overlap", "Layers", "Coupling", "Qubits", "CNOTs", "of preparations", "Depth", "Gates"]
    return table(header, lines)


def fidelities(rows: Iterable[NoisyFidelity], model: str, setting: Setting | None) -> list[float]:
    """Of every image under a noise, or without any."""
    if setting is None:
        exact = {row.image: row.exact for row in rows if row.model == model}
        return [exact[image] for image in sorted(exact)]
    chosen = [row for row in rows if row.model == model and row.setting == setting]
    return [row.fidelity for row in sorted(chosen, key=lambda row: row.image)]


def fidelity_curve(rows: Sequence[NoisyFidelity], model: str, kind: NoiseKind, noisy_preparation: bool) -> Curve:
    """Fidelity against the rate of a noise, from 0 on."""
    settings = {row.setting for row in rows}
    chosen = [s for s in settings if (s.kind, s.noisy_preparation) == (kind, noisy_preparation)]
    chosen.sort(key=lambda setting: setting.rate)
    values = [fidelities(rows, model, setting) for setting in [None, *chosen]]
    return np.array([0.0, *(setting.rate for setting in chosen)]), np.array(values)


def _columns(rows: Sequence[NoisyFidelity], setting: Setting | None) -> list[list[float]]:
    """Fidelities of QMAE and QAE, and QMAE's lead, of every image."""
    qmae, qae = (fidelities(rows, model, setting) for model in ("qmae", "qae"))
    return [qmae, qae, [a - b for a, b in zip(qmae, qae, strict=True)]]


def _ends(rows: Sequence[NoisyFidelity], kind: NoiseKind, noisy: bool) -> list[str]:
    """At which rates QMAE is down to QAE without noise, and its lead is halved."""
    (rates, qmae), (_, qae) = (fidelity_curve(rows, model, kind, noisy) for model in ("qmae", "qae"))

    def gone(chosen: np.ndarray) -> list[float]:
        mine, other = qmae[:, chosen].mean(1), qae[:, chosen].mean(1)
        lead = mine - other
        return [crossing(rates, mine, other[0]), crossing(rates, lead, lead[0] / 2) if lead[0] > 0 else 0.0]

    images, rng = qmae.shape[1], np.random.default_rng(0)
    samples = [gone(rng.integers(images, size=images)) for _ in range(BOOTSTRAP)]
    found = []
    for index, rate in enumerate(gone(np.arange(images))):
        many = sorted(sample[index] for sample in samples)
        low, high = (_rate(many[round(share * (BOOTSTRAP - 1))], rates) for share in (0.05, 0.95))
        found.append(_rate(rate, rates) if low == high else f"{_rate(rate, rates)} ({low} to {high})")
    return found


def _rate(rate: float, rates: np.ndarray) -> str:
    if rate == 0:
        return "no lead without noise"
    return f"{rate:.1e}" if rate < math.inf else f"above {rates[-1]:g}"


def _name(setting: Setting | None) -> list[str]:
    if setting is None:
        return ["none", "", "0"]
    return [setting.kind, _preparation(setting.kind, setting.noisy_preparation), f"{setting.rate:g}"]


def _preparation(kind: NoiseKind, noisy: bool) -> str:
    if kind == "readout":
        return ""
    return "noisy" if noisy else "free of noise"


def _variance(row: Spread) -> float:
    return single_shot_variance(row.overlap, row.exact) / row.success
