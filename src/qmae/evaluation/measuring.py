"""Measurements of baselines, each made once and kept in the cache."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import get_args

import torch
from jaxtyping import Float
from torch import Tensor, nn

from qmae._files import to_json
from qmae.data.choices import Readout
from qmae.data.masks import PatchMask
from qmae.evaluation.cache import UNREADABLE, digest, digest_of_package
from qmae.evaluation.evaluate import TestSet, first_of_each_class
from qmae.evaluation.metrics import BUILT_IN, METRICS
from qmae.evaluation.rows import FORMAT, Row
from qmae.models.base import Model, Outputs
from qmae.models.pixels import PixelModel


@dataclass(frozen=True)
class Measurement:
    """What was measured of a model, through one readout.

    Attributes:
        row: its numbers.
        fidelity: of every image.
        probabilities: of every pixel's basis state, of the first image of every class.
    """

    row: Row
    fidelity: Float[Tensor, " images"]
    probabilities: Float[Tensor, "classes size size"]

    @classmethod
    def of(cls, row: Row, outputs: Outputs, test: TestSet) -> Measurement:
        """Take from all outputs what is kept."""
        return cls(row, outputs.fidelity, outputs.probabilities[first_of_each_class(test.labels)])


def measure_baseline(
    baseline: PixelModel,
    test: TestSet,
    patch: PatchMask,
    *,
    readouts: Sequence[Readout] = get_args(Readout),
    variant: str = "",
) -> list[Measurement]:
    """Measure a baseline, or read its measurement on the same test set from the cache.

    Returns:
        One for each readout.
    """
    key = _key(baseline, test, patch)
    found = {readout: _read(test, key, readout) for readout in readouts}
    missing: list[Readout] = [readout for readout in readouts if found[readout] is None]
    if missing:
        outputs = test.complete(baseline, patch)
        for row in test.measure(baseline, patch, readouts=missing, outputs=outputs):
            made = Measurement.of(row, outputs, test)
            found[row.readout] = made
            _write(test, key, made)
    return [replace(known, row=replace(known.row, variant=variant)) for known in found.values() if known]


def identity_of(model: Model) -> str:
    """A checksum of what a baseline is: its name, its settings, and what it is made of."""
    made_of = model.made_of if isinstance(model, PixelModel) else None
    return digest(type(model).__qualname__, model.name, sorted(model.settings.items()), made_of)


def _key(baseline: PixelModel, test: TestSet, patch: PatchMask) -> str | None:
    """A checksum of all that decides a measurement; None where a user's own code is a part of it."""
    if test.cache is None or test.key is None or not is_own_code([baseline]):
        return None
    masks = sorted(asdict(patch).items())
    return digest(FORMAT, digest_of_package(), tuple(METRICS), test.key, masks, identity_of(baseline))


def is_own_code(models: Sequence[Model]) -> bool:
    """Whether models and all metrics are the package's own code, so that their names say what they compute."""
    code = [*map(type, models)]
    code += [type(part) for model in models if isinstance(model, nn.Module) for part in model.modules()]
    # torch makes the class of a parametrized model anew, which Python then takes for one of `abc`.
    own = all(part.__module__.split(".")[0] in ("qmae", "torch", "abc") for part in code)
    return own and {*METRICS} <= {*BUILT_IN}


def _read(test: TestSet, key: str | None, readout: Readout) -> Measurement | None:
    known = test.cache.read(digest(key, readout)) if test.cache and key else None
    if known is None:
        return None
    try:
        row = Row.from_dict(json.loads(str(known["row"])))
        return Measurement(row, torch.from_numpy(known["fidelity"]), torch.from_numpy(known["probabilities"]))
    except UNREADABLE:
        return None


def _write(test: TestSet, key: str | None, made: Measurement) -> None:
    if test.cache and key:
        arrays = {"fidelity": made.fidelity.numpy(), "probabilities": made.probabilities.numpy()}
        test.cache.write(digest(key, made.row.readout), row=to_json(asdict(made.row)), **arrays)
