"""The same few images, completed by several models."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from qmae.data.choices import Readout
from qmae.data.masks import Masks
from qmae.evaluation.evaluate import complete
from qmae.evaluation.grouping import groups
from qmae.models.base import Model
from qmae.simulation.states import read_out


@dataclass(frozen=True)
class Pictures:
    """The same images under the same masks, completed by several models.

    Attributes:
        originals: [N, size, size] in [0, 1].
        hidden: True where an image was hidden.
        reconstructions: by model name, and, where several models have the same, what sets them apart.
        fidelity: with the originals, by the same names.
    """

    originals: Float[Tensor, "images size size"]
    hidden: Bool[Tensor, "images size size"]
    reconstructions: dict[str, Float[Tensor, "images size size"]]
    fidelity: dict[str, Float[Tensor, " images"]]

    @property
    def masked(self) -> Float[Tensor, "images size size"]:
        """What the models saw."""
        return self.originals.masked_fill(self.hidden, 0)


def pictures(
    subjects: Iterable[Model],
    images: Float[Tensor, "images size size"],
    masks: Masks,
    *,
    readout: Readout = "amplitude",
    device: torch.device | str = "cpu",
) -> Pictures:
    """Let every model complete the same few images.

    Raises:
        InputError: an original is all black; it is named by its index.
    """
    chosen = list(subjects)
    names = groups([(subject.name, subject.settings) for subject in chosen])
    made = (complete(subject, images, masks, device=device) for subject in chosen)
    outputs = dict(zip(names, made, strict=True))
    return Pictures(
        images,
        masks.hidden,
        {name: read_out(output.probabilities, readout) for name, output in outputs.items()},
        {name: output.fidelity for name, output in outputs.items()},
    )
