"""Models and baselines on the same images under the same masks: one table, differences image by image."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from qmae._files import to_json, write_atomically
from qmae.data.choices import Readout
from qmae.data.masks import PatchMask
from qmae.errors import InputError
from qmae.evaluation.bootstrap import bootstrap_interval
from qmae.evaluation.cache import UNREADABLE, digest, digest_of_module, load_arrays
from qmae.evaluation.evaluate import TestSet, first_of_each_class
from qmae.evaluation.grouping import variants
from qmae.evaluation.measuring import Measurement, identity_of, is_own_code, measure_baseline
from qmae.evaluation.metrics import METRICS
from qmae.evaluation.pictures import Pictures
from qmae.evaluation.rows import FORMAT, Row, group_of
from qmae.models.base import TrainableModel
from qmae.models.pixels import PixelModel
from qmae.simulation.states import read_out
from qmae.training.history import History


@dataclass
class Comparison:
    """What was measured of several models on the same images.

    Runs of one *group* differ in nothing but their seed. Its name is the model's, and, where several groups have the
    same, what sets it apart: `qmae, 3 layers`.

    Attributes:
        pictures: the first image of every class, reconstructed by the first run of every group.
        rows: one per baseline and run, in this order, readout `amplitude`.
        fidelities: of every image, by group, one tensor per run.
        identity: a checksum of what was measured, and on what; empty in files of older versions.
    """

    pictures: Pictures
    rows: list[Row] = field(default_factory=list)
    fidelities: dict[str, list[Float[Tensor, " images"]]] = field(default_factory=dict)
    identity: str = ""

    @property
    def models(self) -> dict[str, list[Row]]:
        """The rows of every group, the best mean fidelity first."""
        groups = {name: [row for row in self.rows if row.group == name] for name in self.fidelities}
        return dict(sorted(groups.items(), key=lambda item: -mean(row.fidelity for row in item[1])))

    def interval(self, model: str) -> tuple[float, float]:
        """The 95% bootstrap interval over the images of a group's mean fidelity, of several runs that of their mean."""
        return bootstrap_interval(torch.stack(self.fidelities[model]).mean(0))

    def lead(self, model: str, other: str) -> tuple[float, tuple[float, float]]:
        """How far a group is above another: mean difference on the same images, and its 95% bootstrap interval.

        Of several runs of a group, every image counts with its mean over the runs.
        """
        ours, theirs = (torch.stack(self.fidelities[name]).mean(0) for name in (model, other))
        return (ours - theirs).mean().item(), bootstrap_interval(ours - theirs)

    def save(self, path: Path) -> None:
        """Write everything to an `.npz` file.

        Raises:
            InputError: it cannot be written.
        """
        content, pictures = io.BytesIO(), self.pictures
        arrays: dict[str, Any] = {"originals": pictures.originals, "hidden": pictures.hidden}
        arrays |= {f"reconstruction {name}": pixels for name, pixels in pictures.reconstructions.items()}
        arrays |= {f"shown {name}": values for name, values in pictures.fidelity.items()}
        arrays |= {f"fidelity {name}": torch.stack(of_runs) for name, of_runs in self.fidelities.items()}
        rows = to_json([asdict(row) for row in self.rows])
        np.savez_compressed(content, rows=rows, format=FORMAT, identity=self.identity, **arrays)
        write_atomically(path, content.getvalue())

    @classmethod
    def load(cls, path: Path) -> Comparison:
        """Read what `save` wrote.

        Raises:
            InputError: the file is damaged, holds something else, or is of a version in which the numbers meant
                something else.
        """
        try:
            content = load_arrays(path)
            if int(content.pop("format")) != FORMAT:
                raise KeyError("format")
            rows = [Row.from_dict(row) for row in json.loads(str(content.pop("rows")))]
            identity = str(content.pop("identity", ""))
            arrays = {name: torch.from_numpy(values) for name, values in content.items()}
            pictures = Pictures(
                arrays["originals"],
                arrays["hidden"],
                _by_group(arrays, "reconstruction "),
                _by_group(arrays, "shown "),
            )
            fidelities = {name: list(of_runs) for name, of_runs in _by_group(arrays, "fidelity ").items()}
            if sum(map(len, fidelities.values())) != len(rows):
                raise KeyError("rows")
        except UNREADABLE as error:
            raise InputError(f"{path} holds no comparison of this version ({error}): remove it") from error
        return cls(pictures, rows, fidelities, identity)


def _by_group(arrays: dict[str, Tensor], kind: str) -> dict[str, Any]:
    return {name.removeprefix(kind): array for name, array in arrays.items() if name.startswith(kind)}


@dataclass(frozen=True)
class Contender:
    """A trained model that is compared with others.

    Attributes:
        model: the model.
        variant: what sets it apart from others of its name, in words.
        seed: of its training; None where it is not known.
        history: of its training; None where it is not known.
    """

    model: TrainableModel
    variant: str = ""
    seed: int | None = None
    history: History | None = None

    @property
    def group(self) -> str:
        """That of its row."""
        return group_of(self.model.name, self.variant)

    @property
    def train_seconds(self) -> float | None:
        """How long the training took."""
        return self.history and self.history.column("seconds")[-1]

    @property
    def identity(self) -> str:
        """A checksum of all that its row says of the model and its training."""
        weights = digest_of_module(self.model)
        return digest(identity_of(self.model), weights, self.variant, self.seed, self.train_seconds)


def histories_of(contenders: Sequence[Contender]) -> dict[str, list[History]]:
    """The histories that are known, by group; those of searches are left out."""
    found: dict[str, list[History]] = {}
    for contender in contenders:
        if contender.history is not None and contender.model.kind != "design":
            found.setdefault(contender.group, []).append(contender.history)
    return found


def compare_models(
    contenders: Sequence[Contender],
    baselines: Iterable[PixelModel],
    test: TestSet,
    *,
    readout: Readout = "amplitude",
    on_row: Callable[[Row], None] = lambda row: None,
) -> Comparison:
    """Measure trained models and baselines under the masks that the models were made for.

    Args:
        contenders: trained models, all for the same masks.
        baselines: what they are compared with.
        test: what to measure on.
        readout: what is taken for a pixel's value.
        on_row: called with every row as soon as it is known.

    Raises:
        InputError: there is no model, or they are for different masks; or two baselines are alike, or have the name of
            a model.
    """
    known = list(baselines)
    patch = _common_patch(contenders)
    names = variants([(baseline.name, baseline.settings) for baseline in known])
    _check_names(known, names, contenders)
    masks, shown = test.masks(patch), first_of_each_class(test.labels)
    comparison = Comparison(Pictures(test.images[shown], masks[shown].hidden, {}, {}))
    comparison.identity = identity_of_comparison(contenders, known, test, readout=readout)

    def add(measured: Measurement) -> None:
        group = measured.row.group
        comparison.rows.append(measured.row)
        comparison.fidelities.setdefault(group, []).append(measured.fidelity)
        if group not in comparison.pictures.reconstructions:
            comparison.pictures.reconstructions[group] = read_out(measured.probabilities, readout)
            comparison.pictures.fidelity[group] = measured.fidelity[shown]
        on_row(measured.row)

    for baseline, variant in zip(known, names, strict=True):
        add(*measure_baseline(baseline, test, patch, readouts=[readout], variant=variant))
    for contender in contenders:
        facts = {"seed": contender.seed, "train_seconds": contender.train_seconds, "variant": contender.variant}
        outputs = test.complete(contender.model, patch)
        (row,) = test.measure(contender.model, patch, readouts=[readout], outputs=outputs, **facts)
        add(Measurement.of(row, outputs, test))
    return comparison


def identity_of_comparison(
    contenders: Sequence[Contender],
    baselines: Sequence[PixelModel],
    test: TestSet,
    *,
    readout: Readout = "amplitude",
) -> str:
    """A checksum of what `compare_models` would measure; empty with a user's own classifier, which has none."""
    if test.key is None or not is_own_code([*baselines, *(contender.model for contender in contenders)]):
        return ""
    subjects = [*map(identity_of, baselines), *(contender.identity for contender in contenders)]
    return digest(FORMAT, test.key, readout, tuple(METRICS), subjects)


def _common_patch(contenders: Sequence[Contender]) -> PatchMask:
    patches = [contender.model.made_for for contender in contenders]
    if not patches:
        raise InputError("there is nothing to compare: give one model at least")
    if len(set(patches)) > 1:
        raise InputError("the models are made for different masks: compare like models")
    return patches[0]


def _check_names(baselines: Sequence[PixelModel], names: Sequence[str], contenders: Sequence[Contender]) -> None:
    taken = {contender.group for contender in contenders}
    for baseline, variant in zip(baselines, names, strict=True):
        group = group_of(baseline.name, variant)
        if group in taken:
            raise InputError(f"two of what is compared are called {group}, and nothing tells them apart: leave one out")
        taken.add(group)
