"""The commands that train models, and the paper's experiments."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

from qmae.ansatz.blocks import BLOCKS
from qmae.cli.common import (
    LARGEST_SIZE,
    MOST,
    Accelerator,
    AcceleratorOption,
    RunInterruptedError,
    SeedOption,
    SkipBlackOption,
    app,
    data_source,
    finite,
    tell_left_out,
    torch_device,
    work_in,
)
from qmae.cli.terminal import console, print_rows, show_progress
from qmae.data.choices import Placement, Readout
from qmae.errors import InputError
from qmae.models.choices import Conditioning, Decoder, MaskToken
from qmae.models.presets import PRESETS
from qmae.training.config import Method, preset_training

if TYPE_CHECKING:
    import torch


def _known_preset(name: str) -> str:
    """Refuse what is no preset.

    Raises:
        typer.BadParameter: it is none.
    """
    if name not in PRESETS:
        raise typer.BadParameter(f"{name!r} is not one of {', '.join(PRESETS)}.")
    return name


@app.command()
def reproduce(
    context: typer.Context,
    out: Annotated[Path, typer.Option(help="Folder for report, figures and trained models.")] = Path("reproduction"),
    budget: Annotated[str, typer.Option(help="full, or quick: all of it in small, in 3 minutes at most.")] = "full",
    placement: Annotated[Placement, typer.Option(help="Where the masked patch may lie.")] = "grid",
    seeds: Annotated[
        int | None, typer.Option(min=1, max=10_000, help="How often each model is trained; 3, or 1 if quick.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**31, help="The first of these seeds.")] = 0,
    resume: Annotated[bool, typer.Option("--resume", help="Go on in a folder; nothing is trained twice.")] = False,
    train_classifier: Annotated[
        bool,
        typer.Option("--train-classifier", help="Train the ResNet18 as well, 20 minutes, and use that one."),
    ] = False,
    accelerator: AcceleratorOption = "auto",
) -> None:
    """The main job: Table 1, Figures 6 to 8 and the claims of the paper, computed on MNIST, beside ours.

    Example: `qmae reproduce --budget quick --out quick`
    """
    from dataclasses import replace

    from qmae._files import new_folder
    from qmae.evaluation.classifier import load_classifier, save_classifier
    from qmae.experiments.protocols import BUDGETS, TABLE_RATIO
    from qmae.experiments.reproduction import reproduce as run_experiments
    from qmae.reports.reproduction import model_table, write_reproduction

    protocol = replace(BUDGETS[budget], placement=placement, seed=seed)
    protocol = replace(protocol, seeds=seeds or protocol.seeds)
    device = torch_device(accelerator)
    if not (resume and (out / "runs").is_dir()):
        new_folder(out)
    work_in(context, out)
    (out / "runs").mkdir(exist_ok=True)
    trained = out / "classifier.safetensors"
    if train_classifier and not trained.exists():
        save_classifier(_fit_classifier(protocol.data, protocol.size, seed, accelerator), trained)
    try:
        results = run_experiments(
            protocol,
            out,
            classifier=load_classifier(trained) if train_classifier else None,
            device=device,
            progress=show_progress,
            on_rows=print_rows,
        )
    except KeyboardInterrupt:
        raise RunInterruptedError("go on with the same command and --resume") from None
    write_reproduction(results, out)
    for readout in get_args(Readout):
        console.print(f"\nTable 1, readout `{readout}`:")
        table = model_table(results, ratio=TABLE_RATIO, readout=readout, beside_paper=True)
        console.print(table)
    console.print(f"Report: {out / 'report.html'} and {out / 'report.md'}; all numbers: {out / 'metrics.json'}")


@app.command()
def train(
    context: typer.Context,
    preset: Annotated[
        str,
        typer.Option(
            callback=_known_preset,
            help=f"A quantum model, or a classical network to compare with: {', '.join(PRESETS)}.",
        ),
    ] = "qmae",
    mask_ratio: Annotated[
        float, typer.Option(min=0, max=1, callback=finite, help="Hidden share of the image: 0.5, 0.25, 0.125, ...")
    ] = 0.25,
    placement: Annotated[Placement, typer.Option(help="Where the masked patch may lie.")] = "grid",
    patches: Annotated[
        int, typer.Option(min=1, max=MOST, help="Patches that make up the hidden share, on a grid.")
    ] = 1,
    layers: Annotated[
        int | None,
        typer.Option(min=1, max=10_000, help="Layers of the ansatz; by default the preset's."),
    ] = None,
    block: Annotated[
        str | None, typer.Option(help=f"Two-qubit block: {', '.join(BLOCKS)}; by default the preset's.")
    ] = None,
    mask_token: Annotated[
        MaskToken | None, typer.Option(help="What is put into the hole; by default the preset's.")
    ] = None,
    bottleneck: Annotated[
        str | None,
        typer.Option(help="What becomes of the trash: none, reset, herald; by default the preset's."),
    ] = None,
    decoder: Annotated[
        Decoder | None, typer.Option(help="The encoder backwards, a circuit of its own, or none.")
    ] = None,
    ancillas: Annotated[
        int | None, typer.Option(min=0, max=MOST, help="Further qubits, all trash; by default the preset's.")
    ] = None,
    conditioning: Annotated[
        Conditioning | None, typer.Option(help="How the angles depend on where the mask is.")
    ] = None,
    method: Annotated[
        Method | None, typer.Option(help="Gradients, or block by block; by default the preset's.")
    ] = None,
    success_weight: Annotated[
        float | None, typer.Option(min=0, callback=finite, help="L in the loss 1 - F + L (1 - p) of a heralded model.")
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(min=1, max=MOST, help="Passes over the training images; by default the preset's.")
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option(min=1, max=MOST, help="Images per step; by default the preset's.")
    ] = None,
    learning_rate: Annotated[
        float | None, typer.Option(callback=finite, help="Peak of Adam's one-cycle schedule; by default the preset's.")
    ] = None,
    seed: SeedOption = 0,
    data: Annotated[str, typer.Option(help="`mnist`, or an .npz file with `images` [N, H, W].")] = "mnist",
    skip_black: SkipBlackOption = False,
    size: Annotated[int, typer.Option(min=1, max=LARGEST_SIZE, help="Pixels a side, a power of two.")] = 16,
    out: Annotated[Path | None, typer.Option(help="Run folder; by default named after model and seed.")] = None,
    resume: Annotated[
        Path | None,
        typer.Option(help="Go on with this run, with its own settings; --data says where its data lie now."),
    ] = None,
    accelerator: AcceleratorOption = "auto",
) -> None:
    """Train one model into a run folder.

    Example: `qmae train --preset qmae --epochs 3 --seed 1 --out runs/mine`
    """
    from dataclasses import replace

    from qmae._files import check_free
    from qmae.data.masks import PatchMask
    from qmae.models.registry import preset_config
    from qmae.training.runs import Run

    if resume:
        _refuse_beside_resume(context)
        run = Run.open(resume)
        if _is_given(context, "data"):
            run = replace(run, data=data_source(data))
    else:
        training = _given(
            epochs=epochs,
            batch_size=batch_size,
            learning_rate=learning_rate,
            seed=seed,
            method=method,
            success_weight=success_weight,
        )
        settings = replace(preset_training(preset), **training)
        circuit = _given(
            layers=layers,
            block=block,
            mask_token=mask_token,
            bottleneck=bottleneck,
            decoder=decoder,
            ancillas=ancillas,
            conditioning=conditioning,
        )
        config = preset_config(preset, PatchMask(size, mask_ratio, placement, patches), **circuit)
        several = f"-{patches}patches" if patches > 1 else ""
        folder = out or Path("runs") / f"{preset}-{mask_ratio:g}{several}-{placement}-seed{seed}"
        run = Run(check_free(folder), config, settings, data_source(data), skip_black=skip_black)
        if skip_black:
            tell_left_out(run.data, size)
    device = torch_device(accelerator)
    if run.starts_anew:
        console.print(f"{run.folder} has no checkpoint to go on from: training starts anew", markup=False)
    try:
        run.train(device=device, progress=show_progress)
    except KeyboardInterrupt:
        kept = f"go on with `qmae train --resume {run.folder}`" if run.folder.exists() else "no epoch was finished"
        raise RunInterruptedError(kept) from None
    history = run.history()
    console.print(
        f"{run.folder}: {history.epochs} epochs in {history.column('seconds')[-1]:.0f} s, "
        f"validation fidelity {history.column('validation_fidelity')[-1]:.4f}; "
        f"measure it with `qmae evaluate {run.folder}`"
    )


@app.command("train-classifier")
def train_classifier(
    out: Annotated[Path, typer.Option(help="File for the weights.")] = Path("classifier.safetensors"),
    epochs: Annotated[int, typer.Option(min=1, max=MOST, help="Passes over the training images at the most.")] = 10,
    data: Annotated[str, typer.Option(help="`mnist`, or an .npz file with `images` and `labels`.")] = "mnist",
    skip_black: SkipBlackOption = False,
    size: Annotated[int, typer.Option(min=1, max=LARGEST_SIZE, help="Pixels a side.")] = 16,
    seed: SeedOption = 0,
    accelerator: AcceleratorOption = "auto",
) -> None:
    """Train the classifier of reconstructions, a ResNet18; the epoch that is best on validation images is kept.

    Example: `qmae train-classifier --out classifier.safetensors`
    """
    from qmae._files import new_file
    from qmae.evaluation.classifier import load_classifier, save_classifier
    from qmae.evaluation.evaluate import TestSet

    new_file(out)
    data = data_source(data)
    if skip_black:
        tell_left_out(data, size)
    _fit_classifier(
        data,
        size,
        seed,
        accelerator,
        skip_black=skip_black,
        epochs=epochs,
        on_better=lambda model: save_classifier(model, out, data=data),
    )
    test = TestSet.load(data, size=size, skip_black=skip_black, classifier=load_classifier(out), progress=show_progress)
    accuracy = test.classifier_accuracy
    said = "no test image has a label" if accuracy is None else f"accuracy on test images {accuracy:.2%}"
    console.print(f"{out}: {said}", highlight=False)


def _given(**options: Any) -> dict[str, Any]:
    """Those of the options that the user gave."""
    return {name: value for name, value in options.items() if value is not None}


def _is_given(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def _refuse_beside_resume(context: typer.Context) -> None:
    for name in context.params:
        if name not in ("resume", "data", "accelerator") and _is_given(context, name):
            option = name.replace("_", "-")
            raise InputError(f"--{option} beside --resume: a run goes on with its own settings; leave --{option} out")


def _fit_classifier(
    data: str, size: int, seed: int, accelerator: Accelerator, *, skip_black: bool = False, **settings: Any
) -> torch.nn.Module:
    import torch

    from qmae.data.images import load_images
    from qmae.evaluation.classifier import train_classifier

    return train_classifier(
        load_images(data, split="train", size=size, skip_black=skip_black),
        load_images(data, split="validation", size=size, skip_black=skip_black),
        generator=torch.Generator().manual_seed(seed),
        device=torch_device(accelerator),
        progress=show_progress,
        on_epoch=lambda epoch, accuracy: console.print(f"epoch {epoch}: {accuracy:.2%} of the validation images"),
        **settings,
    )
