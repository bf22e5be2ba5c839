"""The commands that say where a model stands: beside others, and beside what free matrices reach by its design."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, get_args

import typer

from qmae.cli.common import (
    LARGEST_SIZE,
    MOST,
    AcceleratorOption,
    JobsOption,
    RunInterruptedError,
    SeedOption,
    SkipBlackOption,
    app,
    data_source,
    finite,
    say_what_is_left_out,
    tell_left_out,
    torch_device,
    work_in,
)
from qmae.cli.terminal import console, print_rows, show_progress
from qmae.errors import InputError
from qmae.models.choices import Design
from qmae.training.config import tuned_presets


@app.command()
def ceiling(
    context: typer.Context,
    out: Annotated[Path, typer.Option(help="Folder for the searches and their result.")] = Path("ceiling"),
    design: Annotated[
        list[str] | None, typer.Option(help=f"{', '.join(get_args(Design))}; may be repeated; by default all.")
    ] = None,
    mask_ratio: Annotated[
        float, typer.Option(min=0, max=1, callback=finite, help="Hidden share of the image: 0.5, 0.25, 0.125, ...")
    ] = 0.25,
    restarts: Annotated[
        int, typer.Option(min=1, max=10_000, help="Searches per design; the best on validation images counts.")
    ] = 3,
    epochs: Annotated[int, typer.Option(min=1, max=MOST, help="Passes over the training images per search.")] = 20,
    images: Annotated[int | None, typer.Option(min=1, max=MOST, help="Only the first so many test images.")] = None,
    data: Annotated[str, typer.Option(help="`mnist`, or an .npz file with `images` and `labels`.")] = "mnist",
    skip_black: SkipBlackOption = False,
    size: Annotated[int, typer.Option(min=1, max=LARGEST_SIZE, help="Pixels a side, a power of two.")] = 16,
    seed: SeedOption = 0,
    jobs: JobsOption = 1,
    accelerator: AcceleratorOption = "auto",
) -> None:
    """Search the best fidelity of a design whose gates are no limit: its matrices are free.

    It is the best that the search found, no bound and no proof. Interrupted, the same command goes on where it stopped.

    Example: `qmae ceiling --design tied --restarts 1`
    """
    from qmae._files import to_json, write_atomically
    from qmae.data.masks import PatchMask
    from qmae.evaluation.evaluate import TestSet
    from qmae.evaluation.rows import merged, metrics_json, read_rows
    from qmae.experiments.ceiling import best_on_validation, searches
    from qmae.models.free import FreeConfig
    from qmae.models.pretrained import CONFIG
    from qmae.training.parallel import train_all
    from qmae.training.runs import Run

    data = data_source(data)
    device, patch = torch_device(accelerator), PatchMask(size, mask_ratio)
    named = dict.fromkeys(design or get_args(Design))
    configs = [FreeConfig(patch, name) for name in named]  # pyright: ignore[reportArgumentType]
    if out.exists() and (not out.is_dir() or (out / CONFIG).exists()):
        raise InputError(f"{out} is no folder, or one of a training: choose another --out")
    if skip_black:
        tell_left_out(data, size)
    test = TestSet.load(data, size=size, limit=images, skip_black=skip_black, device=device, progress=show_progress)
    say_what_is_left_out(test)
    work_in(context, out)
    target = out / "metrics.json"
    known = read_rows(target) if target.exists() else []
    rows = []
    try:
        for config in configs:
            seeds = range(seed, seed + restarts)
            runs = [
                Run(out / "runs" / name, config, training, data, skip_black=skip_black)
                for name, training in searches(config, seeds, epochs=epochs).items()
            ]
            train_all(runs, jobs=jobs, device=device, progress=show_progress)
            best = best_on_validation(runs)
            seed_found = best.training and best.training.seed
            (row,) = test.measure(
                best.load(), patch, seed=seed_found, train_seconds=best.seconds, readouts=("amplitude",)
            )
            rows.append(row)
            accuracy = "" if row.accuracy is None else f"  accuracy {row.accuracy:.2%}"
            ssim = "–" if row.ssim is None else f"{row.ssim:.3f}"
            line = f"{config.design:22} fidelity {row.fidelity:.4f}  SSIM {ssim}{accuracy}"
            console.print(f"{line}  shots kept {row.success_probability:.1%}")
    except KeyboardInterrupt:
        raise RunInterruptedError(f"go on with the same command: finished searches lie in {out}") from None
    protocol = {"data": data, "restarts": restarts, "epochs": epochs, "mask_seed": test.mask_seed}
    content = metrics_json(protocol, test.classifier_accuracy, merged(rows, known))
    write_atomically(target, to_json(content))


@app.command()
def compare(
    context: typer.Context,
    runs: Annotated[
        list[Path],
        typer.Argument(help="Run folders, of quantum models, networks or searches, or `qmae-plus-25`, of the package."),
    ],
    out: Annotated[Path, typer.Option(help="Folder for report, figures and metrics.json.")] = Path("comparison"),
    baselines: Annotated[Literal["all", "none"], typer.Option(help="Baselines beside the runs.")] = "all",
    images: Annotated[int | None, typer.Option(min=1, max=MOST, help="Only the first so many test images.")] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**31, help="Seed of the test masks.")] = 0,
    accelerator: AcceleratorOption = "auto",
) -> None:
    """Compare runs with each other and with the baselines, on the same test images under the same masks.

    Runs that differ in nothing but their seed are one line; what sets lines of the same name apart is said.

    Example: `qmae compare runs/qmae runs/qae runs/unet`
    """
    from dataclasses import asdict

    from qmae._files import check_free, new_folder
    from qmae.evaluation.cache import Cache
    from qmae.evaluation.comparison import compare_models, histories_of
    from qmae.evaluation.evaluate import TestSet
    from qmae.experiments.contenders import common_data, common_patch, line_up
    from qmae.models.baselines import all_baselines
    from qmae.reports.comparison import write_comparison
    from qmae.training.runs import Run

    check_free(out)
    opened = [Run.open(run) for run in runs]
    contenders = line_up(opened)
    patch, data = common_patch(opened), common_data(opened)
    for run in opened:
        run.check_data()
    test = TestSet.load(
        data,
        size=patch.image_size,
        limit=images,
        skip_black=True,  # as they were in the training
        mask_seed=seed,
        device=torch_device(accelerator),
        progress=show_progress,
        cache=Cache.of_user(),
    )
    folder = work_in(context, new_folder(out))
    others = all_baselines(data, patch.image_size) if baselines == "all" else []
    say_what_is_left_out(test)
    comparison = compare_models(contenders, others, test, on_row=lambda row: print_rows([row]))
    protocol = {"data": test.source, "mask_seed": test.mask_seed, **asdict(patch)}
    write_comparison(comparison, histories_of(contenders), protocol, folder)
    console.print(f"Report: {folder / 'report.html'} and {folder / 'report.md'}")


@app.command()
def study(
    context: typer.Context,
    out: Annotated[Path, typer.Option(help="Folder for report, figures, trained models and metrics.json.")] = Path(
        "study"
    ),
    budget: Annotated[str, typer.Option(help="full, or quick: in small, in ten minutes.")] = "full",
    jobs: JobsOption = 1,
    accelerator: AcceleratorOption = "auto",
) -> None:
    """The whole comparison: quantum models, networks, designs and baselines, over seeds and kinds of masks.

    Interrupted, the same command goes on where it stopped: nothing is trained or measured twice.

    Example: `qmae study --budget quick --out quick-study`
    """
    from qmae._files import new_folder
    from qmae.evaluation.cache import Cache
    from qmae.experiments.plans import PLANS
    from qmae.experiments.study import run_study
    from qmae.reports.study import write_study

    plan, device = PLANS[budget], torch_device(accelerator)
    if not (out / "runs").is_dir():
        new_folder(out)
    work_in(context, out)
    try:
        results = run_study(
            plan,
            out,
            jobs=jobs,
            device=device,
            cache=Cache.of_user(),
            progress=show_progress,
            on_row=lambda row: print_rows([row]),
        )
    except KeyboardInterrupt:
        raise RunInterruptedError(f"go on with the same command: what is finished lies in {out}") from None
    write_study(results, out)
    console.print(f"Report: {out / 'report.html'} and {out / 'report.md'}; all numbers: {out / 'metrics.json'}")


@app.command()
def tune(
    context: typer.Context,
    preset: Annotated[
        list[str] | None, typer.Option(help=f"{', '.join(tuned_presets())}; may be repeated; by default all.")
    ] = None,
    trials: Annotated[int, typer.Option(min=2, max=MOST, help="Trainings per preset.")] = 8,
    epochs: Annotated[int, typer.Option(min=1, max=MOST, help="Passes over the training images in each.")] = 2,
    mask_ratio: Annotated[
        float, typer.Option(min=0, max=1, callback=finite, help="Hidden share of the image: 0.5, 0.25, 0.125, ...")
    ] = 0.25,
    data: Annotated[str, typer.Option(help="`mnist`, or an .npz file with `images` [N, H, W].")] = "mnist",
    skip_black: SkipBlackOption = False,
    size: Annotated[int, typer.Option(min=1, max=LARGEST_SIZE, help="Pixels a side, a power of two.")] = 16,
    seed: SeedOption = 0,
    out: Annotated[Path, typer.Option(help="Folder for the trainings and the table of all trials.")] = Path("tuning"),
    accelerator: AcceleratorOption = "auto",
) -> None:
    """Search learning rate and batch size of every model alike, on validation images: needs the extra `tune`.

    Interrupted, the same command goes on where it stopped.

    Example: `qmae tune --preset qmae --preset unet --trials 10`
    """
    from qmae._files import new_folder, write_atomically
    from qmae.data.masks import PatchMask
    from qmae.training.tuning import report
    from qmae.training.tuning import tune as search

    tuned = tuned_presets()
    for name in preset or []:
        if name not in tuned:
            raise InputError(f"no preset {name!r}: choose of {', '.join(tuned)}")
    presets = list(dict.fromkeys(preset or tuned))
    device, patch = torch_device(accelerator), PatchMask(size, mask_ratio)
    if skip_black:
        tell_left_out(data, size)
    if not (out / "runs").is_dir():
        new_folder(out)
    work_in(context, out)
    try:
        found = [
            search(
                name,
                patch,
                out,
                trials=trials,
                epochs=epochs,
                seed=seed,
                data=data_source(data),
                skip_black=skip_black,
                device=device,
                progress=show_progress,
                on_trial=lambda trial: console.print(str(trial)),
            )
            for name in presets
        ]
    except KeyboardInterrupt:
        raise RunInterruptedError(f"go on with the same command: finished trials lie in {out}") from None
    write_atomically(out / "report.md", report(found))
    console.print(report(found))
