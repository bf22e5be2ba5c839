"""The yardsticks without which no figure of a quantum model means anything.

They have the interface of `MaskedAutoencoder`: `fidelity` and `probabilities` of images under masks.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from jaxtyping import Float
from torch import Tensor

from qmae.masking import Masks, hide
from qmae.models import MaskedAutoencoder, embed_references
from qmae.simulation import embed


class Yardstick(ABC):
    """Images of unit norm, compared and read out as if they were the output states of a model."""

    name: str
    parameter_count: int = 0

    @abstractmethod
    def states(self, images: Float[Tensor, "batch size size"], masks: Masks) -> Float[Tensor, "batch dim"]:
        """Return one amplitude-embedded image per image."""

    def fidelity(self, images: Float[Tensor, "batch size size"], masks: Masks) -> Float[Tensor, " batch"]:
        """Squared overlap with the unit-norm original."""
        return (self.states(images, masks) * embed_references(images)).sum(1) ** 2

    def probabilities(self, images: Float[Tensor, "batch size size"], masks: Masks) -> Float[Tensor, "batch size size"]:
        """Squares of the amplitudes."""
        return (self.states(images, masks) ** 2).view_as(images)


class Original(Yardstick):
    """The unmasked image itself: the ceiling of every metric, which is below 1 where a readout distorts."""

    name = "original"

    def states(self, images: Float[Tensor, "batch size size"], masks: Masks) -> Float[Tensor, "batch dim"]:
        """Return the originals."""
        return embed_references(images)


class Baseline(Yardstick):
    """A classical way to fill the hole. What a mask hides never reaches it."""

    @abstractmethod
    def fill(self, visible: Float[Tensor, "batch size size"], masks: Masks) -> Float[Tensor, "batch size size"]:
        """Return whole images, given images in which the hidden pixels are 0."""

    def states(self, images: Float[Tensor, "batch size size"], masks: Masks) -> Float[Tensor, "batch dim"]:
        """Return the filled images, embedded."""
        return embed(self.fill(hide(images, masks), masks).flatten(1))


class Nothing(Baseline):
    """Leave the hole black. On a grid its mean fidelity is exactly 1 - mask ratio."""

    name = "nothing"

    def fill(self, visible: Float[Tensor, "batch size size"], masks: Masks) -> Float[Tensor, "batch size size"]:
        """Return the visible pixels as they are."""
        return visible


class MeanPatch(Baseline):
    """Fill the hole with the mean of the training images at that place.

    Args:
        images: the training images.
    """

    name = "mean"

    def __init__(self, images: Float[Tensor, "images size size"]) -> None:
        self.mean = images.mean(0)
        self.parameter_count = self.mean.numel()

    def fill(self, visible: Float[Tensor, "batch size size"], masks: Masks) -> Float[Tensor, "batch size size"]:
        """Put the mean image's pixels into the hole."""
        return torch.where(masks.hidden, self.mean.to(visible), visible)


Subject = MaskedAutoencoder | Yardstick
"""What can be measured: a quantum model or a yardstick."""
