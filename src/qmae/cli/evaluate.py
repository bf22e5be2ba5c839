"""The commands that use models: measure them, and complete pictures."""

from __future__ import annotations

import os
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from qmae.cli.common import (
    MOST,
    AcceleratorOption,
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
from qmae.data.choices import Placement, Readout, Split
from qmae.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

    from qmae.training.runs import Run


@app.command()
def evaluate(
    context: typer.Context,
    run: Annotated[
        Path, typer.Argument(help="Run folder of `qmae train`, a saved model, or `qmae-plus-25`, of the package.")
    ],
    mask_ratio: Annotated[
        float | None, typer.Option(min=0, max=1, callback=finite, help="Hidden share; by default that of the training.")
    ] = None,
    placement: Annotated[Placement | None, typer.Option(help="By default that of the training.")] = None,
    patches: Annotated[int | None, typer.Option(min=1, max=MOST, help="By default those of the training.")] = None,
    images: Annotated[int | None, typer.Option(min=1, max=MOST, help="Only the first so many test images.")] = None,
    data: Annotated[
        str | None, typer.Option(help="`mnist` or all of another .npz file; by default what the training held out.")
    ] = None,
    skip_black: SkipBlackOption = False,
    classifier: Annotated[Path | None, typer.Option(help="A classifier of `qmae train-classifier`.")] = None,
    save_reconstructions: Annotated[
        Path | None,
        typer.Option(help="Keep images, masks, reconstructions, fidelities, labels in this .npz file."),
    ] = None,
    readout: Annotated[Readout, typer.Option(help="Of the reconstructions that are kept.")] = "amplitude",
    seed: Annotated[int, typer.Option(min=0, max=2**31, help="Seed of the test masks.")] = 0,
    out: Annotated[
        Path | None,
        typer.Option(help="File for the rows, not there yet; by default `metrics.json` in the run folder."),
    ] = None,
    accelerator: AcceleratorOption = "auto",
) -> None:
    """Measure a run on test images, beside the baselines; keeps the rows in `metrics.json` of the run folder.

    What was measured there under other settings is kept, what was measured under the same is replaced. Of a model of
    the package nothing is written without `--out`.

    Example: `qmae evaluate runs/qmae-0.25-grid-seed0 --save-reconstructions mine.npz`
    """
    from dataclasses import asdict, replace

    from qmae._files import new_file, resolve, to_json, write_atomically
    from qmae.data.datasets import dataset
    from qmae.evaluation.cache import Cache
    from qmae.evaluation.classifier import load_classifier
    from qmae.evaluation.evaluate import TestSet
    from qmae.evaluation.evaluate import save_reconstructions as save
    from qmae.evaluation.measuring import measure_baseline
    from qmae.evaluation.rows import merged, metrics_json, read_rows
    from qmae.experiments.contenders import line_up
    from qmae.models.baselines import all_baselines
    from qmae.training.runs import Run

    opened = Run.open(run)
    target = out or (None if opened.is_packaged else opened.folder / "metrics.json")
    if out:
        new_file(out)
    elif target:
        work_in(context, opened.folder)
    known = read_rows(target) if target and target.exists() else []
    if save_reconstructions:
        if target and resolve(save_reconstructions) == resolve(target):
            raise InputError(
                f"{target} cannot hold both rows and reconstructions: choose another --save-reconstructions"
            )
        new_file(save_reconstructions)
    given = {"ratio": mask_ratio, "placement": placement, "patches": patches}
    patch = replace(opened.model.patch, **{name: value for name, value in given.items() if value is not None})
    source = data_source(data) if data else opened.data
    if not data:
        opened.check_data()
    held_out = opened.holds_out(source)
    if held_out:
        opened = replace(opened, data=source)  # which may have been moved
    split: Split = "test" if held_out or dataset(source).own_splits else "all"
    if skip_black:
        tell_left_out(source, patch.image_size)
    test = TestSet.load(
        source,
        size=patch.image_size,
        split=split,
        skip_black=skip_black or held_out,  # of what is held out, they are in the training as well
        classifier=load_classifier(classifier) if classifier else None,
        mask_seed=seed,
        device=torch_device(accelerator),
        progress=show_progress,
        cache=Cache.of_user(),
    )
    chosen = slice(None) if held_out else _unseen(opened, source, split)
    test = replace(test, images=test.images[chosen][:images], labels=test.labels[chosen][:images])
    say_what_is_left_out(test)
    (contender,) = line_up([opened])
    facts = {"seed": contender.seed, "train_seconds": contender.train_seconds, "variant": contender.variant}
    outputs = test.complete(contender.model, patch)
    rows = test.measure(contender.model, patch, outputs=outputs, **facts)
    print_rows(rows)
    for baseline in all_baselines(opened.data, patch.image_size):
        more = [measured.row for measured in measure_baseline(baseline, test, patch)]
        print_rows(more)
        rows += more
    if target:
        protocol = {"data": source, "mask_seed": seed, **asdict(patch)}
        content = metrics_json(protocol, test.classifier_accuracy, merged(rows, known))
        write_atomically(target, to_json(content))
    else:
        console.print("nothing is written into the package: keep the numbers by --out FILE")
    if save_reconstructions:
        save(save_reconstructions, outputs, test, patch, readout=readout)


@app.command()
def reconstruct(
    context: typer.Context,
    run: Annotated[Path, typer.Argument(help="Run folder of `qmae train`, or `qmae-plus-25`, of the package.")],
    images: Annotated[list[Path], typer.Argument(help="Image files, light on dark as MNIST is.")],
    skip_black: SkipBlackOption = False,
    out: Annotated[Path, typer.Option(help="Folder for the pictures.")] = Path("reconstructions"),
    position: Annotated[
        int | None,
        typer.Option(min=0, max=MOST, help="Which patch is hidden, counted from 0 row by row; drawn if not given."),
    ] = None,
    readout: Annotated[Readout, typer.Option(help="What is taken for a pixel's value.")] = "amplitude",
    seed: Annotated[int, typer.Option(min=0, max=2**31, help="Seed of the masks.")] = 0,
    accelerator: AcceleratorOption = "auto",
) -> None:
    """Hide a patch of your own images and let a run complete them; writes one picture per image.

    Example: `qmae reconstruct runs/qmae-0.25-grid-seed0 seven.png --position 3`
    """
    import torch
    from torchvision.transforms.v2.functional import to_pil_image

    from qmae._files import new_folder, write_atomically
    from qmae.data.images import load_lit_files
    from qmae.evaluation.metrics import scale_to_maximum
    from qmae.evaluation.pictures import pictures
    from qmae.models.registry import from_pretrained
    from qmae.reports.figures import reconstructions
    from qmae.reports.style import render

    model = from_pretrained(run)
    patch = model.config.patch
    generator = torch.Generator().manual_seed(seed)
    if position is not None:
        patch.at(position, 1)  # refuses one that is none before the pictures are read
    paths, originals = load_lit_files(images, size=patch.image_size, skip_black=skip_black)
    for path in images:
        if path not in paths:
            console.print(f"{path} is all black and left out", markup=False, highlight=False)
    masks = patch.sample(len(paths), generator=generator) if position is None else patch.at(position, len(paths))
    record = pictures([model], originals, masks, readout=readout, device=torch_device(accelerator))
    folder = work_in(context, new_folder(out))
    completed = zip(paths, record.reconstructions[model.name], record.fidelity[model.name], strict=True)
    for index, (path, pixels, fidelity) in enumerate(completed):
        # A name in a folder may have 255 bytes.
        stem = os.fsdecode(os.fsencode(path.stem)[:240])
        picture = folder / f"{index:03d}-{stem}.png"
        content = BytesIO()
        to_pil_image(scale_to_maximum(pixels)[None]).save(content, "png")
        write_atomically(picture, content.getvalue())
        console.print(f"{path}: fidelity {fidelity:.4f}, {picture}")
    write_atomically(folder / "overview.png", render(reconstructions(record)))
    console.print(f"Masked, reconstructed and original, side by side: {folder / 'overview.png'}")


def _unseen(run: Run, source: str, split: Split) -> Tensor:
    """Which images of other data a run may be measured on: those that it was not trained on."""
    import torch

    unseen = torch.from_numpy(run.unseen(source, split))
    if seen := int((~unseen).sum()):
        if not unseen.any():
            raise InputError(f"all images of {source} were trained on: measure {run.folder} on others")
        console.print(f"{seen} of {len(unseen)} images were trained on and are left out", markup=False)
    return unseen
