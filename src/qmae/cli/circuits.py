"""The commands that take models to quantum circuits and devices."""

from __future__ import annotations

import math
from ast import literal_eval
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from qmae._values import shown
from qmae.circuits.choices import Drawing, ExportFormat, Overlap, Reset
from qmae.cli.common import MOST, RunInterruptedError, SeedOption, app, work_in
from qmae.cli.terminal import console, show_progress
from qmae.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

    from qmae.circuits.devices import Estimate
    from qmae.data.masks import Masks
    from qmae.models.autoencoder import MaskedAutoencoder

LARGEST_DRAWING = 500
"""Inches: matplotlib draws at most 2^16 pixels a side, at 120 an inch."""

PANEL = "As quantum circuits"

OverlapOption = Annotated[
    Overlap,
    typer.Option(help="`swap`: SWAP test (paper). `inverse`: undo the original's preparation; half the qubits."),
]
ResetOption = Annotated[
    Reset, typer.Option(help="`swap`: exchange the trash with fresh qubits (paper). `measure`: measure and reset it.")
]
RunArgument = Annotated[Path, typer.Argument(help="Run folder of `qmae train`, or `qmae-plus-25`, of the package.")]


@app.command(rich_help_panel=PANEL)
def verify(
    run: Annotated[Path | None, typer.Argument(help="Run folder, or `qmae-plus-25`; by default a random QMAE.")] = None,
    images: Annotated[int, typer.Option(min=1, max=MOST, help="How many test images.")] = 5,
    seed: SeedOption = 0,
) -> None:
    """Compare the fast simulation with the full circuit in PennyLane, of 18 qubits for QMAE, on real images.

    Example: `qmae verify runs/qmae-0.25-grid-seed0 --images 20`
    """
    import math

    from qmae.circuits.devices import verify as agreements
    from qmae.models.autoencoder import MaskedAutoencoder

    if run:
        model, originals, masks = _test_images(run, images, seed)
    else:
        # Angles over the whole circle: nothing about them is special.
        model = MaskedAutoencoder.from_preset("qmae", seed=seed, initial_spread=math.pi)
        originals, masks = _masked_images(model, "mnist", images, seed)
    for found in agreements(model, originals, masks, progress=show_progress):
        circuit = found.circuit
        console.print(
            f"{circuit.num_wires:2} qubits, overlap {circuit.overlap:8} reset {circuit.reset:8} {found.precision:11}"
            f"worst difference in fidelity {found.fidelity:.1e}, in a pixel's probability {found.probability:.1e}",
        )
        if not found.agrees:
            raise InputError(
                f"that is more than {found.tolerance:g}: simulation and circuit differ, which is a bug of qmae"
            )


@app.command("run", rich_help_panel=PANEL)
def run_model(
    context: typer.Context,
    run: RunArgument,
    device: Annotated[str, typer.Option(help="A PennyLane device, of an installed plugin, too.")] = "lightning.qubit",
    shots: Annotated[int, typer.Option(min=1, max=10_000_000, help="Shots of the circuit per value.")] = 10_000,
    images: Annotated[int, typer.Option(min=1, max=MOST, help="How many test images.")] = 5,
    device_option: Annotated[
        list[str] | None, typer.Option(help="Argument of the device, `key=value`; may be repeated.")
    ] = None,
    overlap: OverlapOption = "swap",
    reset: ResetOption = "swap",
    out: Annotated[Path | None, typer.Option(help="Folder for estimates and pictures of the reconstructions.")] = None,
    seed: SeedOption = 0,
) -> None:
    """Estimate fidelity and reconstruction of test images on a device, beside the exact values.

    Example: `qmae run runs/mine --device default.qubit --shots 1000 --overlap inverse --device-option seed=1`
    """
    from qmae._files import new_folder
    from qmae.circuits.autoencoder import AutoencoderCircuit
    from qmae.circuits.devices import Target, run_on_device

    options = _device_options(device_option or [])
    if device.startswith(("default.", "lightning.")):
        options.setdefault("seed", seed)
    model, originals, masks = _test_images(run, images, seed)
    circuit = AutoencoderCircuit.of(model.config, overlap, reset)
    target = Target(circuit, device, shots, options)
    folder = work_in(context, new_folder(out)) if out else None
    console.print(f"{target.num_wires} qubits on {device}, {shots:,} shots per value")
    about = {"run": str(run), "device": device, "shots": shots, "overlap": overlap, "reset": reset}
    about["options"] = {name: _plain(value) for name, value in options.items()}
    estimates = []
    for index, found in enumerate(run_on_device(model, originals, masks, target)):
        estimates.append(found)
        if folder:
            _write_estimates(folder, about, estimates)
        kept = f"; {found.success:.0%} of the shots kept" if found.success < 1 else ""
        console.print(
            f"image {index}: fidelity {found.fidelity:.4f} ± {found.standard_error:.4f}, exact "
            f"{found.exact_fidelity:.4f}; reconstruction off by {found.variation:.4f}, by chance "
            f"{found.expected_variation:.4f} (total variation){kept}",
        )
    if folder:
        _draw_estimates(folder, estimates, originals, masks)
        console.print(f"Estimates and reconstructions: {folder}")


@app.command(rich_help_panel=PANEL)
def shots(
    context: typer.Context,
    run: RunArgument,
    out: Annotated[Path, typer.Option(help="Folder for table and figure.")] = Path("shots"),
    images: Annotated[int, typer.Option(min=1, max=MOST, help="How many test images.")] = 5,
    seed: SeedOption = 0,
) -> None:
    """What an error of the fidelity costs in shots of the circuit, and training on gradients measured by shots.

    Example: `qmae shots runs/mine --out shots`
    """
    import torch

    from qmae._files import new_folder
    from qmae.circuits.shots import descents, spreads
    from qmae.data.images import load_images
    from qmae.data.masks import PatchMask
    from qmae.reports.circuits import shots_figure, shots_report

    model, originals, masks = _test_images(run, images, seed)
    folder = work_in(context, new_folder(out))
    scattered = spreads(model, originals, masks, seed=seed, progress=show_progress)
    small = load_images("mnist", split="train", size=2)[0][:64]
    small_masks = PatchMask(2, 0.25).sample(len(small), generator=torch.Generator().manual_seed(seed))
    trained = descents(small, small_masks, seed=seed, progress=show_progress)
    floor = 1 - _nothing(small, small_masks)
    records = {"spreads": [asdict(row) for row in scattered], "descents": [asdict(row) for row in trained]}
    _write_study(folder, records, shots_report(scattered, trained), shots_figure(scattered, trained, floor))


@app.command(rich_help_panel=PANEL)
def noise(
    context: typer.Context,
    qmae: Annotated[Path, typer.Argument(help="Run folder of a QMAE.")],
    qae: Annotated[Path, typer.Argument(help="Run folder of a QAE with the same masks.")],
    out: Annotated[Path, typer.Option(help="Folder for table and figure.")] = Path("noise"),
    images: Annotated[
        int, typer.Option(min=1, max=MOST, help="How many test images; each takes three minutes or so.")
    ] = 10,
    resume: Annotated[bool, typer.Option("--resume", help="Go on in a folder; nothing is computed twice.")] = False,
    seed: SeedOption = 0,
) -> None:
    """Fidelity of QMAE and QAE under depolarizing noise, amplitude damping and readout errors, by density matrices.

    Example: `qmae noise runs/qmae runs/qae --images 2 --out noise`
    """
    from qmae._files import new_folder, read_text, to_json, write_atomically
    from qmae.circuits.noise import rows_from_json, study
    from qmae.reports.circuits import noise_figure, noise_report

    model, originals, masks = _test_images(qmae, images, seed)
    other, data = _load(qae)
    alike = replace(other.config, mask_token="shared") == model.config and data == _load(qmae)[1]
    if (model.name, other.name) != ("qmae", "qae") or not alike:
        raise InputError(
            f"{qmae} and {qae} must be a QMAE and a QAE of the same masks, circuit and data, in this order"
        )
    records = out / "rows.json"
    rows = rows_from_json(read_text(records)) if resume and records.exists() else []
    if not rows:
        new_folder(out)
    work_in(context, out)
    try:
        for row in study([model, other], originals, masks, done=rows, progress=show_progress):
            rows = [*rows, row]
            write_atomically(records, to_json([asdict(row) for row in rows], indent=None))
    except KeyboardInterrupt:
        raise RunInterruptedError("go on with the same command and --resume") from None
    reported = [row for row in rows if row.image < images]
    floor = _nothing(originals, masks)
    _write_study(out, [asdict(row) for row in rows], noise_report(reported, floor), noise_figure(reported, floor))


@app.command(rich_help_panel=PANEL)
def export(
    run: RunArgument,
    image: Annotated[int, typer.Option(min=0, max=MOST, help="Which test image the circuit prepares.")] = 0,
    kind: Annotated[ExportFormat, typer.Option("--format", help="OpenQASM 3, OpenQASM 2 or Qiskit's QPY.")] = "qasm3",
    out: Annotated[Path | None, typer.Option(help="File; by default qmae.qasm or qmae.qpy.")] = None,
    overlap: OverlapOption = "swap",
    reset: ResetOption = "swap",
    seed: SeedOption = 0,
) -> None:
    """Write the circuit that estimates one image's fidelity to a file for Qiskit and others.

    Example: `qmae export runs/mine --image 7 --format qasm2 --overlap inverse --out seven.qasm`
    """
    from qmae._files import new_file, write_atomically
    from qmae.circuits.autoencoder import AutoencoderCircuit
    from qmae.circuits.devices import States
    from qmae.circuits.export import SUFFIXES, dump, import_qiskit, to_qiskit

    import_qiskit()
    path = new_file(out or Path(f"qmae{SUFFIXES[kind]}"))
    model, originals, masks = _test_images(run, image + 1, seed)
    try:
        states = States.of(model, originals[image:], masks[image:])
    except InputError as error:
        raise InputError(f"{error} (here counted from --image {image}): choose another --image or --seed") from error
    circuit = AutoencoderCircuit.of(model.config, overlap, reset)
    written = to_qiskit(circuit, *states.of_fidelity(0))
    write_atomically(path, dump(written, kind))
    read = "P(0) - P(1) of the one bit" if overlap == "swap" else f"P(0) of all {model.config.qubits} bits"
    read += " where the bits `herald` are 0" if circuit.heralded else ""
    console.print(
        f"{path}: {written.num_qubits} qubits, {written.size()} gates; the fidelity is {read}, exactly "
        f"{states.fidelity[0]:.8f}",
    )


@app.command(rich_help_panel=PANEL)
def resources(
    size: Annotated[
        list[int] | None, typer.Option(min=2, max=256, help="Pixels a side; may be repeated; 8, 16, 32, 64.")
    ] = None,
    layers: Annotated[
        list[int] | None, typer.Option(min=1, max=1000, help="Of the ansatz; may be repeated; 1, 2.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print records instead of a table.")] = False,
) -> None:
    """Qubits, gates and depth of the circuits, as written and compiled to a heavy-hex lattice and a line.

    Example: `qmae resources --size 16 --layers 1`
    """
    from typing import get_args

    from qmae._files import to_json
    from qmae._values import check_size
    from qmae.circuits.resources import count
    from qmae.reports.circuits import resource_table

    sizes = size or [8, 16, 32, 64]
    for pixels in sizes:
        check_size(pixels)
    rows = list(count(sizes, list(get_args(Overlap)), layers or [1, 2], progress=show_progress))
    text = to_json([asdict(row) for row in rows]).rstrip() if as_json else resource_table(rows)
    console.print(text)


@app.command(rich_help_panel=PANEL)
def draw(
    drawing: Annotated[Drawing, typer.Argument(help="What is drawn; Figures 3 to 5 of the paper and the ansatz.")],
    out: Annotated[Path | None, typer.Option(help="A .png or .svg file; by default text is printed.")] = None,
    qubits: Annotated[int, typer.Option(min=2, max=12, help="Of the ansatz.")] = 8,
    layers: Annotated[int, typer.Option(min=1, max=20, help="Of the ansatz.")] = 1,
    overlap: OverlapOption = "swap",
    reset: ResetOption = "swap",
) -> None:
    """Draw a circuit.

    Example: `qmae draw training --qubits 4 --out training.svg`
    """
    from qmae._files import new_file, write_atomically
    from qmae.ansatz.ansatz import Ansatz
    from qmae.circuits.autoencoder import AutoencoderCircuit
    from qmae.circuits.drawing import figure, text
    from qmae.reports.style import render

    circuit = AutoencoderCircuit(Ansatz(qubits, layers), (0,), overlap, reset)
    if out is None:
        console.print(text(drawing, circuit))
        return
    kind = out.suffix.removeprefix(".")
    if kind not in ("png", "svg"):
        raise InputError(f"cannot draw {out}: choose a name that ends in .png or .svg")
    drawn = figure(drawing, circuit)
    if kind == "png" and max(drawn.get_size_inches()) > LARGEST_DRAWING:
        raise InputError("a .png of so many gates is too large: choose a name that ends in .svg, or fewer --layers")
    write_atomically(new_file(out), render(drawn, kind))
    console.print(f"{out}")


def _load(run: Path) -> tuple[MaskedAutoencoder, str]:
    from qmae.models.autoencoder import MaskedAutoencoder
    from qmae.training.runs import Run

    opened = Run.open(run)
    opened.check_data()
    model = opened.load()
    if not isinstance(model, MaskedAutoencoder):
        raise InputError(f"{run} holds a classical network, which is no circuit: give the run of a quantum model")
    return model, opened.data


def _test_images(run: Path, count: int, seed: int) -> tuple[MaskedAutoencoder, Tensor, Masks]:
    """A run's model, the first test images of its data, and their masks."""
    model, data = _load(run)
    return model, *_masked_images(model, data, count, seed)


def _masked_images(model: MaskedAutoencoder, data: str, count: int, seed: int) -> tuple[Tensor, Masks]:
    import torch

    from qmae.data.images import load_images

    # The run's own data: if some are black, they were left out of the training, too.
    originals = load_images(data, size=model.config.patch.image_size, skip_black=True)[0]
    if count > len(originals):
        raise InputError(f"{data} has only {len(originals)} test images: choose fewer, or a lower --image")
    # As many draws whatever the count, so that an image keeps its mask, that of `qmae evaluate`.
    masks = model.config.patch.sample(len(originals), generator=torch.Generator().manual_seed(seed))
    return originals[:count], masks[:count]


def _nothing(originals: Tensor, masks: Masks) -> float:
    """Mean fidelity of leaving the hole black."""
    from qmae.data.batches import hide

    return float((hide(originals, masks).square().sum((1, 2)) / originals.square().sum((1, 2))).mean())


def _device_options(pairs: list[str]) -> dict[str, Any]:
    options = {}
    for pair in pairs:
        key, separator, value = pair.partition("=")
        if not separator or not key:
            raise InputError(f"--device-option {shown(pair)} is no key=value: write it as in --device-option seed=1")
        if key == "shots":
            raise InputError("--device-option shots: give their number by --shots")
        try:
            options[key] = literal_eval(value)
        except (ValueError, TypeError, SyntaxError):
            options[key] = value
        except (RecursionError, MemoryError) as error:
            raise InputError(f"--device-option {key}: its value is nested too deeply: write a plain one") from error
    return options


def _plain(value: Any) -> Any:
    """A device's option for a record: JSON knows neither sets nor infinity."""
    finite = isinstance(value, (str, bool, int, type(None))) or (isinstance(value, float) and math.isfinite(value))
    return value if finite else repr(value)


def _write_estimates(folder: Path, about: dict[str, Any], estimates: list[Estimate]) -> None:
    from qmae._files import to_json, write_atomically

    rows = [{name: getattr(value, "tolist", lambda v=value: v)() for name, value in vars(e).items()} for e in estimates]
    write_atomically(folder / "estimates.json", to_json({**about, "images": rows}, indent=None))


def _draw_estimates(folder: Path, estimates: list[Estimate], originals: Tensor, masks: Masks) -> None:
    import numpy as np
    import torch

    from qmae._files import write_atomically
    from qmae.data.batches import hide
    from qmae.reports.figures import image_grid
    from qmae.reports.style import render

    device, exact = (
        torch.from_numpy(np.stack([getattr(found, name) for found in estimates])).sqrt().view_as(originals)
        for name in ("probabilities", "exact_probabilities")
    )
    rows = [("masked input", hide(originals, masks)), ("device", device), ("exact", exact), ("original", originals)]
    write_atomically(folder / "reconstructions.png", render(image_grid(rows, [masks.hidden] * 3)))


def _write_study(folder: Path, records: Any, text: str, figure: Any) -> None:
    from qmae._files import to_json, write_atomically
    from qmae.reports.style import render

    write_atomically(folder / "rows.json", to_json(records, indent=None))
    write_atomically(folder / "report.md", text)
    write_atomically(folder / "figure.png", render(figure))
    console.print(text)
    console.print(f"Table, figure and records: {folder}")
