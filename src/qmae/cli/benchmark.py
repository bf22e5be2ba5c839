"""The command that measures how fast the simulation is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from qmae.cli.common import MOST, AcceleratorOption, SeedOption, app, torch_device
from qmae.cli.terminal import console, show_progress
from qmae.errors import InputError

if TYPE_CHECKING:
    import torch
    from jaxtyping import Float
    from torch import Tensor


@app.command()
def benchmark(
    qubits: Annotated[
        list[int] | None,
        typer.Option(min=2, max=24, help="Time and memory of other image sizes; even, may be repeated."),
    ] = None,
    layers: Annotated[
        list[int] | None, typer.Option(min=1, max=10_000, help="Of the ansatz; may be repeated with --qubits.")
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, max=MOST, help="Images per step.")] = 128,
    threads: Annotated[int, typer.Option(min=1, max=1024, help="Of torch.")] = 2,
    as_json: Annotated[Path | None, typer.Option("--json", help="Keep the measurements in this file.")] = None,
    figure: Annotated[Path | None, typer.Option(help="Draw what --qubits measures into this PNG file.")] = None,
    seed: SeedOption = 0,
    accelerator: AcceleratorOption = "cpu",
) -> None:
    """Time training steps of QMAE on MNIST: beside the matrix products they need, or with more qubits.

    Example: `qmae benchmark --batch-size 1024`

    Example: `qmae benchmark --qubits 12 --qubits 14 --batch-size 16 --layers 1 --layers 4`
    """
    import torch

    from qmae._files import new_file, to_json, write_atomically
    from qmae.data.images import load_images
    from qmae.experiments.benchmark import machine

    layers, device = layers or [1], torch_device(accelerator)
    _check(qubits, layers, figure, device)
    for path in (as_json, figure):
        if path:
            new_file(path)
    torch.set_num_threads(threads)
    images = load_images("mnist", split="train", size=16)[0][:batch_size]
    console.print(f"{machine(device)}; batch {len(images)}")
    if qubits:
        rows = _print_costs(qubits, layers, images, seed, figure)
    else:
        rows = _print_timings(layers[0], images, seed, device)
    if as_json:
        content = {"machine": machine(device), "measurements": rows}
        write_atomically(as_json, to_json(content))


def _check(qubits: list[int] | None, layers: list[int], figure: Path | None, device: torch.device) -> None:
    """Refuse what cannot be combined."""
    if qubits and any(n % 2 or n < 2 for n in qubits):
        raise InputError("--qubits must be even numbers: an image of 2^n pixels is square")
    if device.type == "cuda" and qubits:
        raise InputError("--qubits are measured on the CPU: choose --accelerator cpu")
    if (len(layers) > 1 or figure) and not qubits:
        raise InputError("several --layers, and --figure, need --qubits")


def _print_timings(
    layers: int, images: Float[Tensor, "batch size size"], seed: int, device: torch.device
) -> list[dict[str, object]]:
    import torch

    from qmae.data.masks import PatchMask
    from qmae.experiments.benchmark import compare, timing_line
    from qmae.models.autoencoder import MaskedAutoencoder

    patch = PatchMask()
    model = MaskedAutoencoder.from_preset("qmae", patch=patch, seed=seed, layers=layers).to(device)
    masks = patch.sample(len(images), generator=torch.Generator().manual_seed(seed)).to(device)
    timings = list(compare(model, images.to(device), masks, progress=show_progress))
    for timing in timings:
        console.print(timing_line(timing, timings[0]))
    return [vars(timing) for timing in timings]


def _print_costs(
    qubits: list[int], layers: list[int], images: Float[Tensor, "batch size size"], seed: int, figure: Path | None
) -> list[dict[str, object]]:
    from qmae._files import write_atomically
    from qmae.experiments.benchmark import costs, slope
    from qmae.reports.benchmark import scaling
    from qmae.reports.style import render

    console.print("qubits  pixels     layers  ms an image  slope  peak memory")
    rows = []
    for cost in costs(sorted(qubits), sorted(layers), images, seed=seed, progress=show_progress):
        smaller = [row for row in rows if row.layers == cost.layers]
        side = 2 ** (cost.qubits // 2)
        console.print(
            f"{cost.qubits:<7} {f'{side} x {side}':10} {cost.layers:<7} {cost.per_image * 1e3:11.3f}"
            f"  {f'{slope(smaller[-1], cost):.2f}' if smaller else '':5}"
            f"  {f'{cost.peak_bytes / 2**20:,.0f} MiB' if cost.peak_bytes else 'unknown'}",
        )
        rows.append(cost)
    if figure:
        write_atomically(figure, render(scaling(rows)))
    return [vars(cost) for cost in rows]
