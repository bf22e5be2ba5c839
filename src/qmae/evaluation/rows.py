"""The records of measurements: rows of results, and `metrics.json`."""

from __future__ import annotations

import json
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from importlib.metadata import version
from pathlib import Path
from typing import Any, get_args

import torch

from qmae.data.choices import Placement, Readout
from qmae.errors import InputError
from qmae.models.choices import Design, Kind
from qmae.models.presets import PRESETS

FORMAT = 2
"""Of `metrics.json`; it changes when a number gets another meaning. 2: PSNR is that of the mean squared error."""


@dataclass(frozen=True)
class Row:
    """One line of a table: one model, one kind of mask, one readout; means over the images.

    Attributes:
        model: the preset, network, design or baseline: `qmae`, `unet`, `tied`, `nothing`, ...
        kind: what it is.
        mask_ratio: share of the pixels that was hidden in this evaluation.
        trained_ratio: share that was hidden in training; None for a baseline.
        placement: where the masks lie.
        readout: what was taken for a pixel's value.
        seed: of the training; None for a baseline.
        mask_seed: of the masks of this evaluation.
        parameters: `angles` + `token_parameters`, or those of a baseline.
        angles: rotation angles of the ansatz.
        token_parameters: pixels of the mask token.
        success_probability: share of the shots that are kept; 1 without post-selection.
        least_success_probability: the smallest one of any image.
        fidelity: mean fidelity with the originals; it does not depend on the readout.
        cosine_similarity: with the original pixels.
        ssim: with the originals, both scaled to their maximum; None for images below 8 x 8 pixels.
        accuracy: of the classifier on the reconstructions; None without labels or classifier.
        patches: how many patches make up the hidden share.
        fidelity_interval: of the mean fidelity, 95%, by bootstrap over the images.
        psnr: in dB, -10 log10 of the mean over the images of the mean squared error, both images scaled to their
            maximum; None above 100 dB, where reconstructions are without error.
        hole_fidelity: squared cosine inside the hole alone, over the images that are not black there; None if all are.
        hole_error: mean squared error inside the hole alone, both images scaled to their maximum.
        composite_fidelity: of the *composite*, the visible pixels kept and the hole alone taken from the model;
            None for the readout `probability`, as also the next.
        composite_accuracy: of the classifier on the composite.
        accuracy_by_class: of the classifier on the reconstructions, by label.
        trash_population: P(|0>) of the trash qubits; None for a baseline.
        images: how many were evaluated.
        train_seconds: time the training took; None for a baseline, and where it is not known.
        variant: what sets it apart from others of the same `model` that are measured beside it, in words, such as
            `3 layers`; empty if there are none.
        hole_images: how many images are not black inside the hole.
        data: the images' source; None if they were not loaded by `TestSet.load`.
        classifier_accuracy: of the classifier on the originals, the ceiling of `accuracy`.
        others: metrics that a user registered, by their names.
    """

    model: str
    kind: Kind
    mask_ratio: float
    trained_ratio: float | None
    placement: Placement
    readout: Readout
    seed: int | None
    mask_seed: int
    parameters: int
    angles: int
    token_parameters: int
    success_probability: float
    least_success_probability: float
    fidelity: float
    cosine_similarity: float
    ssim: float | None
    accuracy: float | None
    patches: int
    fidelity_interval: tuple[float, float]
    psnr: float | None
    hole_fidelity: float | None
    hole_error: float
    composite_fidelity: float | None
    composite_accuracy: float | None
    accuracy_by_class: dict[int, float] | None
    trash_population: float | None
    images: int
    train_seconds: float | None
    variant: str = ""
    hole_images: int | None = None
    data: str | None = None
    classifier_accuracy: float | None = None
    others: dict[str, float | None] = field(default_factory=dict)

    def value(self, metric: str) -> float | None:
        """The value of a metric; None if it was not measured."""
        return self.others[metric] if metric in self.others else getattr(self, metric, None)

    @property
    def group(self) -> str:
        """Model and variant: rows of one group differ in nothing but their seed."""
        return group_of(self.model, self.variant)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Row:
        """Rebuild a row from `metrics.json`; in older files of this format it does not say its kind."""
        by_class = values["accuracy_by_class"]
        # JSON knows no NaN: it is written as null.
        unknown = {one.name: float("nan") for one in fields(cls) if one.type == "float"}
        restored = {
            "kind": values["kind"] if "kind" in values else _kind_of_older(values),
            "fidelity_interval": tuple(values["fidelity_interval"]),
            "accuracy_by_class": by_class and {int(label): accuracy for label, accuracy in by_class.items()},
        }
        known = {name: value for name, value in values.items() if value is not None or name not in unknown}
        return cls(**{**unknown, **known, **restored})


def _kind_of_older(values: dict[str, Any]) -> Kind:
    """The kind for a row of an older file, which does not say it; older versions knew these names alone."""
    name = values["model"]
    if values["trained_ratio"] is None:
        return "original" if name == "original" else "baseline"
    if name in get_args(Design):
        return "design"
    return "network" if name in PRESETS and PRESETS[name].kind == "network" else "quantum"


def group_of(model: str, variant: str) -> str:
    """The name of a group: of rows that differ in nothing but their seed."""
    return f"{model}, {variant}" if variant else model


def metrics_json(protocol: dict[str, Any], classifier_accuracy: float | None, rows: Sequence[Row]) -> dict[str, Any]:
    """The content of `metrics.json`: what was done and with what, and the rows."""
    environment = {
        "qmae": version("qmae"),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "threads": torch.get_num_threads(),
    }
    return {
        "format": FORMAT,
        "protocol": {**protocol, **environment},
        "classifier_accuracy": classifier_accuracy,
        "rows": [asdict(row) for row in rows],
    }


def read_rows(path: Path) -> list[Row]:
    """The rows of a `metrics.json`.

    Raises:
        InputError: it is damaged, or of a version in which the numbers meant something else.
    """
    try:
        content = json.loads(path.read_text())
        if content["format"] != FORMAT:
            raise KeyError("format")
        return [Row.from_dict(row) for row in content["rows"]]
    except (OSError, KeyError, ValueError, TypeError, AttributeError) as error:
        raise InputError(
            f"{path} is damaged or of another version ({error}), and would be lost: move it, or choose another file "
            "by --out"
        ) from error


def merged(new: Sequence[Row], known: Sequence[Row]) -> list[Row]:
    """New rows, then the known rows that none of them replaces, since their settings are others."""

    def settings(row: Row) -> tuple[Any, ...]:
        masks = row.mask_ratio, row.placement, row.patches, row.mask_seed
        return row.group, row.seed, row.trained_ratio, row.readout, *masks, row.data, row.images

    measured = {settings(row) for row in new}
    return [*new, *(row for row in known if settings(row) not in measured)]
