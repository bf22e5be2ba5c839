"""The commands that say where a model stands: beside others, and below what its design could reach."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal, get_args

import typer

from qmae.cli.common import AcceleratorOption, RunInterruptedError, SeedOption, app, torch_device
from qmae.errors import InputError
from qmae.settings import Design
from qmae.terminal import console, print_rows, show_progress


@app.command()
def ceiling(
    out: Annotated[Path, typer.Option(help="Folder for the searches and their result.")] = Path("ceiling"),
    design: Annotated[
        list[str] | None, typer.Option(help=f"{', '.join(get_args(Design))}; may be repeated; by default all.")
    ] = None,
    mask_ratio: Annotated[float, typer.Option(help="Hidden share of the image: 0.5, 0.25, 0.125, ...")] = 0.25,
    restarts: Annotated[
        int, typer.Option(min=1, help="Searches per design; the best on validation images counts.")
    ] = 3,
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the training images per search.")] = 20,
    images: Annotated[int | None, typer.Option(min=1, help="Only the first so many test images.")] = None,
    data: Annotated[str, typer.Option(help="`mnist`, or an .npz file with `images` and `labels`.")] = "mnist",
    size: Annotated[int, typer.Option(help="Pixels a side, a power of two.")] = 16,
    seed: SeedOption = 0,
    accelerator: AcceleratorOption = "auto",
) -> None:
    """Search the best fidelity that a design could have if its gates were no limit: its matrices are free.

    What is found is a lower bound, not a proof. Interrupted, the same command goes on where it stopped.

    Example: `qmae ceiling --design tied --restarts 1`
    """
    from qmae.ceiling import FreeConfig
    from qmae.evaluation import TestSet, metrics_json
    from qmae.experiments import best_found
    from qmae.files import write_atomically
    from qmae.masking import PatchMask

    device, patch = torch_device(accelerator), PatchMask(size, mask_ratio)
    named = dict.fromkeys(design or get_args(Design))
    configs = [FreeConfig(patch, name) for name in named]  # pyright: ignore[reportArgumentType]
    if out.exists() and not out.is_dir():
        raise InputError(f"{out} is no folder: choose another --out")
    test = TestSet.load(data, size=size, limit=images, device=device, progress=show_progress)
    rows = []
    try:
        for config in configs:
            seeds = range(seed, seed + restarts)
            best = best_found(out, config, seeds, epochs=epochs, data=data, device=device, progress=show_progress)
            seconds = best.history().column("seconds")[-1]
            (row,) = test.measure(
                best.load(), patch, seed=best.training.seed, train_seconds=seconds, readouts=("amplitude",)
            )
            rows.append(row)
            accuracy = "" if row.accuracy is None else f"  accuracy {row.accuracy:.2%}"
            line = f"{config.design:22} fidelity {row.fidelity:.4f}  SSIM {row.ssim:.3f}{accuracy}"
            console.print(f"{line}  runs kept {row.success_probability:.1%}", highlight=False)
    except KeyboardInterrupt:
        raise RunInterruptedError(f"go on with the same command: finished searches lie in {out}") from None
    protocol = {"data": data, "restarts": restarts, "epochs": epochs, "mask_seed": test.mask_seed}
    content = metrics_json(protocol, test.classifier_accuracy, rows)
    write_atomically(out / "metrics.json", json.dumps(content, indent=2) + "\n")


@app.command()
def compare(
    runs: Annotated[list[Path], typer.Argument(help="Run folders, of quantum models, networks or searches.")],
    out: Annotated[Path, typer.Option(help="Folder for report, figures and metrics.json.")] = Path("comparison"),
    baselines: Annotated[Literal["all", "none"], typer.Option(help="Yardsticks beside the runs.")] = "all",
    images: Annotated[int | None, typer.Option(min=1, help="Only the first so many test images.")] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**31, help="Seed of the test masks.")] = 0,
    accelerator: AcceleratorOption = "auto",
) -> None:
    """Compare runs with each other and with the yardsticks, on the same test images under the same masks.

    Example: `qmae compare runs/qmae runs/qae runs/unet`
    """
    from qmae.comparison import all_yardsticks, common_patch
    from qmae.comparison import compare as measure
    from qmae.comparison_report import write_comparison
    from qmae.evaluation import TestSet
    from qmae.files import new_folder
    from qmae.runs import Run

    opened = [Run.open(run) for run in runs]
    patch, data = common_patch(opened), opened[0].data
    test = TestSet.load(
        data,
        size=patch.image_size,
        limit=images,
        mask_seed=seed,
        device=torch_device(accelerator),
        progress=show_progress,
    )
    folder = new_folder(out)
    yardsticks = all_yardsticks(data, patch.image_size) if baselines == "all" else []
    comparison = measure(opened, yardsticks, test, on_row=lambda row: print_rows([row]))
    write_comparison(comparison, opened, test, folder)
    console.print(f"{folder / 'report.md'}")
