"""Classical baselines: simple ways to fill the hole, beside which every quantum model is measured.

They have the interface of `MaskedAutoencoder`: `fidelity` and `probabilities` of images under masks.
"""

# `made_of` may be None in a `PixelModel`, but not in a baseline that is made of images.
# pyright: reportIncompatibleVariableOverride=false

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from numbers import Real
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import embedding_bag

from qmae._values import Registry, shown, whole
from qmae.data.checks import check_lit
from qmae.data.images import load_images
from qmae.data.masks import Masks, PatchMask
from qmae.errors import InputError
from qmae.models.base import Quantity, embed_originals, in_batches
from qmae.models.pixels import Baseline, Original, PixelModel, training_images
from qmae.simulation.precision import without_autocast
from qmae.simulation.states import embed

AT_ONCE = 2**23
"""Numbers of an intermediate result that are held at a time: 32 MiB of single precision."""

DISTANCES = 2**21
"""Distances between images that are held at a time: 8 MiB, most of which a processor's cache holds."""


class Nothing(Baseline):
    """Leave the hole black, *black fill* in tables. On a grid its mean fidelity is exactly 1 - mask ratio."""

    name = "nothing"

    def fill(self, visible: Float[Tensor, "batch size size"], masks: Masks) -> Float[Tensor, "batch size size"]:
        """Return the visible pixels as they are."""
        return self.visible(visible, masks)


class MeanPatch(Baseline):
    """Fill the hole with the mean of the training images at that position.

    Args:
        images: the training images.

    Raises:
        InputError: there are none, or they are no pixels.
    """

    name = "mean"

    def __init__(self, images: Float[Tensor, "images size size"]) -> None:
        self.made_of = training_images(images)
        self.mean = self.made_of.mean(0)
        self.size, self.parameter_count = len(self.mean), self.mean.numel()

    def fill(self, visible: Float[Tensor, "batch size size"], masks: Masks) -> Float[Tensor, "batch size size"]:
        """Put the mean image's pixels into the hole."""
        visible = self.visible(visible, masks)
        return torch.where(masks.hidden, self.mean.to(visible), visible)


class TokenPatch(Baseline):
    """Fill the hole with one patch for every position: the one that is best for the mean fidelity.

    A quantum model reaches this by its tokens alone, without a circuit: what it has above this is the circuit's work.
    L-BFGS finds the patches, once for every kind of mask.

    Args:
        images: the training images.
        iterations: of L-BFGS at the most.

    Raises:
        InputError: there are no images, they are no pixels, or one is all black; or no iterations.
    """

    name = "token"
    made_of: Float[Tensor, "images size size"]

    def __init__(self, images: Float[Tensor, "images size size"], iterations: int = 30) -> None:
        self.made_of, self.iterations = training_images(images), whole(iterations, "number of iterations", 1)
        check_lit(self.made_of)
        self.size, self.parameter_count = self.made_of.shape[-1], self.made_of[0].numel()
        self.tokens: dict[PatchMask, Float[Tensor, "size size"]] = {}

    @property
    def settings(self) -> dict[str, Any]:
        """Iterations of its fit."""
        return {"iterations": self.iterations}

    def fill(self, visible: Float[Tensor, "batch size size"], masks: Masks) -> Float[Tensor, "batch size size"]:
        """Put the pixels of the patch into the hole."""
        visible = self.visible(visible, masks)
        if masks.patch not in self.tokens:
            self.tokens[masks.patch] = self._fit(self.made_of, masks.patch)
        return torch.where(masks.hidden, self.tokens[masks.patch].to(visible), visible)

    # Measuring switches gradients off, which the fit needs.
    @torch.inference_mode(False)
    @torch.enable_grad()
    def _fit(self, originals: Float[Tensor, "images size size"], patch: PatchMask) -> Float[Tensor, "size size"]:
        all_masks = patch.sample(len(originals), generator=torch.Generator().manual_seed(0))
        token = originals.mean(0).requires_grad_()
        optimizer = torch.optim.LBFGS([token], max_iter=self.iterations, line_search_fn="strong_wolfe")

        def loss() -> Float[Tensor, ""]:
            optimizer.zero_grad()
            total = token.new_zeros(())
            for images, masks in in_batches(originals, all_masks):
                filled = torch.where(masks.hidden, token, images).flatten(1)
                lost = 1 - (embed(filled) * embed_originals(images)).sum(1) ** 2
                part = lost.sum() / len(originals)
                part.backward()
                total += part.detach()
            return total

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

    Raises:
        InputError: there are no images, they are no pixels, or the penalty is not positive or too small to help.
    """

    name = "ridge"
    made_of: Float[Tensor, "images size size"]

    def __init__(self, images: Float[Tensor, "images size size"], penalty: float = 1e-4) -> None:
        if not isinstance(penalty, Real) or isinstance(penalty, bool) or not 0 < penalty <= sys.float_info.max:
            raise InputError(f"a penalty of {shown(penalty)} leaves the regression undetermined: choose a positive one")
        self.made_of, self.penalty = training_images(images), penalty
        self.size, pixels = self.made_of.shape[-1], self.made_of[0].numel()
        self.parameter_count = pixels * (pixels + 3) // 2
        self._last: tuple[PatchMask, list[int], Float[Tensor, "visible hidden"]] | None = None

    @cached_property
    def mean(self) -> Float[Tensor, " pixels"]:
        """Of the training images, in double precision."""
        return self.made_of.flatten(1).mean(0, dtype=torch.double)

    @cached_property
    def covariance(self) -> Float[Tensor, "pixels pixels"]:
        """Of the training images, in double precision."""
        pixels = self.made_of.flatten(1)
        covariance = torch.zeros(len(self.mean), len(self.mean), dtype=torch.double)
        for part in pixels.split(max(1, AT_ONCE // len(self.mean))):
            centred = part.double() - self.mean
            covariance.addmm_(centred.T, centred, alpha=1 / len(pixels))
        return covariance

    @property
    def settings(self) -> dict[str, Any]:
        """Its penalty."""
        return {"penalty": self.penalty}

    def fill(self, visible: Float[Tensor, "batch size size"], masks: Masks) -> Float[Tensor, "batch size size"]:
        """Solve once for every mask that occurs."""
        visible = self.visible(visible, masks)
        pixels = visible.flatten(1).cpu()
        filled = pixels.clone()
        kinds, kind = masks.position.cpu().unique(dim=0, return_inverse=True)
        for index, position in enumerate(kinds.tolist()):
            rows = (kind == index).nonzero()[:, 0]
            hole = masks[rows[:1]].hidden[0].flatten().cpu()
            known = pixels[rows][:, ~hole].double() - self.mean[~hole]
            weights = self._solved(masks.patch, position, hole)
            filled[rows[:, None], hole.nonzero()[:, 0]] = (self.mean[hole] + known @ weights).to(pixels)
        return filled.view_as(visible).to(visible)

    def _measure(
        self, images: Float[Tensor, "batch size size"], masks: Masks, *wanted: Quantity
    ) -> list[Float[Tensor, "batch ..."]]:
        # Sorted by mask, so that each mask is solved once, although the images come in parts.
        order = masks.position.unique(dim=0, return_inverse=True)[1].argsort(stable=True)
        back = order.argsort()
        return [values[back] for values in super()._measure(images[order], masks[order], *wanted)]

    def _solved(
        self, patch: PatchMask, position: Any, hole: Bool[Tensor, " pixels"]
    ) -> Float[Tensor, "visible hidden"]:
        """The weights of one mask; those of the last one are kept."""
        if self._last is None or self._last[:2] != (patch, position):
            self._last = patch, position, self._weights(hole)
        return self._last[2]

    def _weights(self, hole: Bool[Tensor, " pixels"]) -> Float[Tensor, "visible hidden"]:
        of_visible = self.covariance[~hole][:, ~hole]
        of_visible.diagonal().add_(self.penalty)
        try:
            return torch.cholesky_solve(self.covariance[~hole][:, hole], torch.linalg.cholesky(of_visible))
        except torch.linalg.LinAlgError as error:  # pyright: ignore[reportPrivateImportUsage]
            raise InputError(
                f"a penalty of {self.penalty} leaves the regression undetermined: choose a larger one"
            ) from error


class NearestNeighbours(Baseline):
    """Fill the hole with the mean of the training images that are closest in the visible pixels.

    Args:
        images: the training images.
        neighbours: how many; all images, where there are fewer.

    Raises:
        InputError: there are no images, they are no pixels, or less than one neighbour is asked for.
    """

    name = "knn"
    made_of: Float[Tensor, "images size size"]

    def __init__(self, images: Float[Tensor, "images size size"], neighbours: int = 5) -> None:
        neighbours = whole(neighbours, "number of neighbours", 1)
        self.made_of = training_images(images)
        self.images, self.neighbours = self.made_of.flatten(1), min(neighbours, len(images))
        self.size, self.parameter_count = self.made_of.shape[-1], self.made_of.numel()

    @property
    def settings(self) -> dict[str, Any]:
        """How many neighbours."""
        return {"neighbours": self.neighbours}

    def fill(self, visible: Float[Tensor, "batch size size"], masks: Masks) -> Float[Tensor, "batch size size"]:
        """Compare the visible pixels with those of every training image."""
        visible = self.visible(visible, masks)
        parts = (part.flatten(1).split(max(1, DISTANCES // self.neighbours)) for part in (visible, masks.hidden))
        filled = []
        for pixels, hidden in zip(*parts, strict=True):
            nearest = self._nearest(pixels, ~hidden).to(self.images.device)
            means = embedding_bag(nearest, self.images, mode="mean")
            filled.append(torch.where(hidden, means.to(pixels), pixels))
        return torch.cat(filled).view_as(visible)

    @torch.no_grad()
    @without_autocast()
    def _nearest(
        self, pixels: Float[Tensor, "batch pixels"], seen: Bool[Tensor, "batch pixels"]
    ) -> Int[Tensor, "batch neighbours"]:
        """Indices of the closest training images: those of each part of the training images, and of these the best."""
        candidates = max(1, min(DISTANCES // 512, AT_ONCE // pixels.shape[1]))
        rows = max(1, DISTANCES // max(candidates, self.neighbours))
        nearest = [
            (pixels.new_empty(len(part), 0), seen.new_empty(len(part), 0, dtype=torch.long))
            for part in pixels.split(rows)
        ]
        # One buffer for all distances: the allocator would not reuse the old ones.
        held = pixels.new_empty(min(rows, len(pixels)) * min(candidates, len(self.images)))
        for first in range(0, len(self.images), candidates):
            images = self.images[first : first + candidates].to(pixels)
            squares = images.square().T
            for index, (part, visible) in enumerate(zip(pixels.split(rows), seen.split(rows), strict=True)):
                distance = held[: len(part) * len(images)].view(len(part), len(images))
                # The visible pixels' own norm is the same for all candidates.
                torch.mm(visible.to(pixels), squares, out=distance).addmm_(part, images.T, alpha=-2)
                nearest[index] = self._closer(*nearest[index], distance, first)
        return torch.cat([indices for _, indices in nearest])

    def _closer(
        self,
        distances: Float[Tensor, "part known"],
        indices: Int[Tensor, "part known"],
        others: Float[Tensor, "part candidates"],
        first: int,
    ) -> tuple[Float[Tensor, "part neighbours"], Int[Tensor, "part neighbours"]]:
        """The closest of those known and others, which are counted from `first`: distances and indices."""
        closest = others.topk(min(self.neighbours, others.shape[1]), dim=1, largest=False)
        distances = torch.cat([distances, closest.values], 1)
        indices = torch.cat([indices, closest.indices + first], 1)
        distances, order = distances.topk(min(self.neighbours, distances.shape[1]), dim=1, largest=False)
        return distances, indices.gather(1, order)


@dataclass(frozen=True)
class BaselineEntry:
    """One entry: how a baseline is made, and how tables and figures show it.

    Attributes:
        build: makes it of training images, Float [images, size, size] in [0, 1]; its `name` is that in the registry.
        label: its name in tables and figures; by default that in the registry.
        colour: of its curve in figures, as matplotlib takes it; by default a grey.
    """

    build: Callable[[Tensor], PixelModel]
    label: str | None = None
    colour: str | None = None


BASELINES: Registry[BaselineEntry] = Registry(
    "baseline",
    BaselineEntry,
    {
        "original": BaselineEntry(lambda images: Original()),
        "knn": BaselineEntry(NearestNeighbours, "nearest neighbours"),
        "ridge": BaselineEntry(Ridge, "ridge regression"),
        "token": BaselineEntry(TokenPatch, "token alone"),
        "mean": BaselineEntry(MeanPatch, "mean patch"),
        "nothing": BaselineEntry(lambda images: Nothing(), "black fill"),
    },
)
"""The baselines that every table has, from the ceiling to the floor; a user adds one by `BASELINES.register`."""


def build_baselines(images: Float[Tensor, "images size size"]) -> list[PixelModel]:
    """Make all baselines, in the order of `BASELINES`.

    Args:
        images: the training images, in [0, 1].

    Raises:
        InputError: images of which one cannot be made, or a baseline that has another name than its entry.
    """
    built = {name: BASELINES[name].build(images) for name in BASELINES}
    for name, baseline in built.items():
        if baseline.name != name:
            raise InputError(f"the baseline {name} calls itself {shown(baseline.name)}: give it the name of its entry")
    return list(built.values())


def all_baselines(data: str, size: int) -> list[PixelModel]:
    """Make all baselines of `BASELINES` from the training images of a data set.

    Black images are left out: no run is trained on them.

    Args:
        data: the source of the training images, as `load_images` takes it.
        size: pixels a side.
    """
    return build_baselines(load_images(data, split="train", size=size, skip_black=True)[0])
