"""The yardsticks without which no figure of a quantum model means anything.

They have the interface of `MaskedAutoencoder`: `fidelity` and `probabilities` of images under masks.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from qmae.masking import Masks, PatchMask, hide
from qmae.models import embed_references
from qmae.simulation import embed
from qmae.simulation.precision import exact


class Yardstick(ABC):
    """Images of unit norm, compared and read out as if they were the output states of a model."""

    name: str
    parameter_count: int = 0

    @abstractmethod
    def states(self, images: Float[Tensor, "batch size size"], masks: Masks) -> Float[Tensor, "batch dim"]:
        """Return one amplitude-embedded image per image."""

    def fidelity(self, images: Float[Tensor, "batch size size"], masks: Masks) -> Float[Tensor, " batch"]:
        """Squared overlap with the unit-norm original."""
        states = self.states(images, masks)
        return (states * embed_references(images.to(states.dtype))).sum(1) ** 2

    def success_probability(self, images: Float[Tensor, "batch size size"], masks: Masks) -> Float[Tensor, " batch"]:
        """Share of the runs that are kept: there are none to discard."""
        return images.new_ones(len(images))

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


class TokenPatch(Baseline):
    """Fill the hole with one patch for every place that is best for the mean fidelity.

    It is what a quantum model reaches by its tokens alone: the circuit left out, so that nobody takes the tokens' work
    for the circuit's. Found by L-BFGS for every kind of mask that it meets.

    Args:
        images: the training images.
        iterations: of L-BFGS at the most.
    """

    name = "token"

    def __init__(self, images: Float[Tensor, "images size size"], iterations: int = 30) -> None:
        self.images, self.iterations = images, iterations
        self.parameter_count = images[0].numel()
        self.tokens: dict[PatchMask, Float[Tensor, "size size"]] = {}

    def fill(self, visible: Float[Tensor, "batch size size"], masks: Masks) -> Float[Tensor, "batch size size"]:
        """Put the pixels of the patch into the hole."""
        if masks.patch not in self.tokens:
            self.tokens[masks.patch] = self._fit(masks.patch)
        return torch.where(masks.hidden, self.tokens[masks.patch].to(visible), visible)

    @torch.enable_grad()
    def _fit(self, patch: PatchMask) -> Float[Tensor, "size size"]:
        masks = patch.sample(len(self.images), generator=torch.Generator().manual_seed(0))
        visible, originals = hide(self.images, masks), embed_references(self.images)
        token = self.images.mean(0).requires_grad_()
        optimizer = torch.optim.LBFGS([token], max_iter=self.iterations, line_search_fn="strong_wolfe")

        def loss() -> Float[Tensor, ""]:
            optimizer.zero_grad()
            filled = torch.where(masks.hidden, token, visible).flatten(1)
            value = 1 - ((embed(filled) * originals).sum(1) ** 2).mean()
            value.backward()
            return value

        optimizer.step(loss)  # pyright: ignore[reportArgumentType] it returns a tensor, as torch documents
        return token.detach()


class Ridge(Baseline):
    """Fill the hole by ridge regression from the visible pixels, whatever the mask.

    With mean m and covariance C of the training images, the hidden pixels h of an image with visible pixels v are
    m_h + C_hv (C_vv + penalty)^-1 (v - m_v): ridge regression with a free intercept, and the conditional mean of a
    normal distribution. So one covariance serves all masks. (Hoerl and Kennard 1970.)

    Args:
        images: the training images.
        penalty: added to the variance of every visible pixel, in units of squared pixel values: the weight of
            scikit-learn's `Ridge` over the number of images.
    """

    name = "ridge"

    def __init__(self, images: Float[Tensor, "images size size"], penalty: float = 1e-4) -> None:
        pixels = images.flatten(1).double()
        self.mean, self.covariance = pixels.mean(0), torch.cov(pixels.T, correction=0)
        self.penalty = penalty
        self.parameter_count = self.mean.numel() + pixels.shape[1] * (pixels.shape[1] + 1) // 2

    def fill(self, visible: Float[Tensor, "batch size size"], masks: Masks) -> Float[Tensor, "batch size size"]:
        """Solve once for every mask that occurs."""
        pixels, hidden = visible.flatten(1).cpu(), masks.hidden.flatten(1).cpu()
        filled = pixels.clone()
        kinds, kind = hidden.unique(dim=0, return_inverse=True)
        for index, hole in enumerate(kinds):
            rows = (kind == index).nonzero()[:, 0]
            known = pixels[rows][:, ~hole].double() - self.mean[~hole]
            weights = self._weights(hole)
            filled[rows[:, None], hole.nonzero()[:, 0]] = (self.mean[hole] + known @ weights).to(pixels)
        return filled.view_as(visible).to(visible)

    def _weights(self, hole: Bool[Tensor, " pixels"]) -> Float[Tensor, "visible hidden"]:
        of_visible = self.covariance[~hole][:, ~hole]
        of_visible.diagonal().add_(self.penalty)
        return torch.cholesky_solve(self.covariance[~hole][:, hole], torch.linalg.cholesky(of_visible))


class NearestNeighbours(Baseline):
    """Fill the hole with the mean of the training images that are closest in the visible pixels.

    Args:
        images: the training images.
        neighbours: how many.
    """

    name = "knn"

    def __init__(self, images: Float[Tensor, "images size size"], neighbours: int = 5) -> None:
        self.images, self.neighbours = images.flatten(1), neighbours
        self.parameter_count = images.numel()

    def fill(self, visible: Float[Tensor, "batch size size"], masks: Masks) -> Float[Tensor, "batch size size"]:
        """Look at every training image, through the same hole."""
        pixels, hidden = visible.flatten(1), masks.hidden.flatten(1)
        # The visible pixels' own norm is the same for all candidates.
        candidates = self.images.to(visible)
        known, every = exact(pixels), exact(candidates)
        distance = (~hidden).to(known) @ every.T**2 - 2 * known @ every.T
        nearest = distance.topk(self.neighbours, dim=1, largest=False).indices
        return torch.where(hidden, candidates[nearest].mean(1), pixels).view_as(visible)
