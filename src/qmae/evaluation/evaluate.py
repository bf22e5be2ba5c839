"""Measuring: every model and baseline on the same images, under the same masks, judged the same way."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from qmae._files import write_atomically
from qmae._progress import Progress, silent
from qmae._values import SEEDS, settle, whole
from qmae.data.checks import PRECISIONS, check_labels, check_tensor, usable_device
from qmae.data.choices import Readout, Split
from qmae.data.images import load_images
from qmae.data.masks import Masks, PatchMask
from qmae.errors import InputError
from qmae.evaluation.bootstrap import bootstrap_interval
from qmae.evaluation.classifier import load_classifier, predict
from qmae.evaluation.metrics import (
    SSIM_SIDE,
    composite,
    cosine_similarity,
    decibels,
    hole_error,
    hole_fidelity,
    scale_to_maximum,
    squared_error,
    structural_similarity,
    without_rounding,
)
from qmae.evaluation.rows import Row
from qmae.models.base import BATCH_PIXELS, Model, Outputs, TrainableModel, in_batches
from qmae.simulation.states import read_out

EXACT_PSNR = 100.0
"""What lies above, in dB, is rounding: there is no error to measure."""


@torch.no_grad()
def complete(
    model: Model,
    images: Float[Tensor, "images size size"],
    masks: Masks,
    *,
    device: torch.device | str = "cpu",
) -> Outputs:
    """Let a model or a baseline complete masked images, in batches.

    Raises:
        InputError: an original is all black or holds NaN, or what was made of it is not finite; it is named by its
            index.
    """
    device = usable_device(device)
    images = model.fitted(images, masks)
    if isinstance(model, TrainableModel):
        model.to(device)
    outputs = model.complete(images.to(device), masks.to(device)).to("cpu")
    good = outputs.fidelity.isfinite() & outputs.probabilities.flatten(1).isfinite().all(1)
    if not good.all():
        raise InputError(
            f"what {model.name} makes of image {int((~good).nonzero()[0])} is not finite: "
            "its parameters are damaged, or it was trained at too high a learning rate; train it anew"
        )
    return outputs


@dataclass(frozen=True)
class TestSet:
    """Images that models are measured on, and who judges the reconstructions.

    Attributes:
        images: [N, size, size] in [0, 1].
        labels: [N], -1 where unknown.
        classifier: from `load_classifier`, or None.
        mask_seed: the masks are drawn once, from a generator with this seed.
        device: where models and classifier compute.
        progress: told of the classifier's work.
        source: where the images come from, as `load_images` takes it.

    Raises:
        InputError: there are no images, not one label for each, or they are of another size or other classes than the
            classifier was trained for.
    """

    __test__ = False  # not a test case, whatever pytest reads into the name

    images: Float[Tensor, "images size size"]
    labels: Int[Tensor, " images"]
    classifier: nn.Module | None = None
    mask_seed: int = 0
    device: torch.device | str = "cpu"
    progress: Progress = silent
    source: str | None = None

    def __post_init__(self) -> None:
        check_tensor(self.images)
        count, size = len(self.images), self.images.shape[-1]
        images = self.images if self.images.dtype in PRECISIONS else self.images.float()
        seed = whole(self.mask_seed, "mask seed", *SEEDS)
        settle(self, images=images, labels=check_labels(self.labels, count), mask_seed=seed)
        if self.classifier is None:
            return
        trained = getattr(self.classifier, "image_size", None)
        if trained not in (None, size):
            raise InputError(
                f"the classifier was trained on images of {trained} x {trained} pixels, these have {size} x {size}: "
                f"train one with `qmae train-classifier --size {size}`"
            )
        classes = getattr(getattr(self.classifier, "fc", None), "out_features", None)
        if classes is not None and self.labels.max() >= classes:
            raise InputError(
                f"an image has the label {int(self.labels.max())}, the classifier knows 0 to {classes - 1}: "
                "train one on these data with `qmae train-classifier --data`"
            )

    @property
    def left_out(self) -> str | None:
        """What cannot be measured on these images, and why, in a sentence; None if all can."""
        if (size := self.images.shape[-1]) >= SSIM_SIDE:
            return None
        return f"SSIM is left out: it needs images of {SSIM_SIDE} x {SSIM_SIDE} pixels at least, not {size} x {size}"

    @classmethod
    def load(
        cls,
        data: str = "mnist",
        *,
        size: int = 16,
        limit: int | None = None,
        split: Split = "test",
        classifier: nn.Module | None = None,
        skip_black: bool = False,
        **settings: Any,
    ) -> TestSet:
        """Load the test images of a data set, or another part of it, or only the first `limit` of them, if so many.

        Without a classifier, MNIST of 16 x 16 pixels gets the one that ships with the package; other data gets none.

        Raises:
            InputError: the data cannot be used, or not with this classifier; or a limit below 1.
        """
        if limit is not None and limit < 1:
            raise InputError(f"{limit} images measure nothing: choose 1 or more")
        images, labels = (part[:limit] for part in load_images(data, split=split, size=size, skip_black=skip_black))
        if classifier is None and (data, size) == ("mnist", 16):
            classifier = load_classifier()
        return cls(images, labels, classifier, **{"source": data, **settings})

    def masks(self, patch: PatchMask) -> Masks:
        """The masks of all images, the same whoever is measured."""
        return patch.sample(len(self.images), generator=torch.Generator().manual_seed(self.mask_seed))

    @cached_property
    def classifier_accuracy(self) -> float | None:
        """The classifier's accuracy on the originals, the ceiling of all others."""
        return self.accuracy(self.images)

    def accuracy(self, images: Float[Tensor, "images size size"]) -> float | None:
        """Share of the images that the classifier gives their label; None if there is nobody to judge."""
        right = self.judge(images)
        return None if right is None else right.float().mean().item()

    def judge(self, images: Float[Tensor, "images size size"]) -> Bool[Tensor, " known"] | None:
        """Whether the classifier gives the images their label, where it is known; None if there is nobody to judge."""
        known = self.labels >= 0
        if self.classifier is None or not known.any():
            return None
        chosen = images[known]
        at_once = max(1, min(500, BATCH_PIXELS // images[0].numel()))
        with self.progress("classifying", len(chosen)) as advance:
            predicted = predict(self.classifier.to(self.device), chosen, batch_size=at_once, advance=advance)
        return predicted == self.labels[known]

    def _by_class(self, right: Bool[Tensor, " known"]) -> dict[int, float]:
        labels = self.labels[self.labels >= 0]
        return {int(label): right[labels == label].float().mean().item() for label in labels.unique()}

    def measure(
        self,
        model: Model,
        patch: PatchMask,
        *,
        seed: int | None = None,
        train_seconds: float | None = None,
        variant: str = "",
        readouts: Sequence[Readout] = get_args(Readout),
    ) -> list[Row]:
        """Measure a model or a baseline under one kind of mask, one row per readout."""
        outputs = complete(model, self.images, self.masks(patch), device=self.device)
        facts = {"seed": seed, "train_seconds": train_seconds, "variant": variant}
        return [self.row(model, outputs, patch, readout, **facts) for readout in readouts]

    def row(
        self,
        model: Model,
        outputs: Outputs,
        patch: PatchMask,
        readout: Readout,
        *,
        seed: int | None,
        train_seconds: float | None,
        variant: str = "",
    ) -> Row:
        """Judge outputs through one readout."""
        reconstructions, masks = read_out(without_rounding(outputs.probabilities), readout), self.masks(patch)
        populations, right = outputs.trash_population, self.judge(reconstructions)
        accuracy = None if right is None else right.float().mean().item()
        values, kept = _values(reconstructions, self.images, masks)
        in_hole, psnr = values["hole_fidelity"], decibels(values["squared_error"].mean()).item()
        lit = int((~in_hole.isnan()).sum())
        # Squares of pixels are on another scale than the visible pixels: nothing to be put among them.
        amplitude = readout == "amplitude"
        return Row(
            model=model.name,
            kind=model.kind,
            mask_ratio=patch.ratio,
            trained_ratio=model.made_for and model.made_for.ratio,
            placement=patch.placement,
            readout=readout,
            seed=seed,
            mask_seed=self.mask_seed,
            parameters=model.parameter_count,
            angles=model.angle_count,
            token_parameters=model.parameter_count - model.angle_count if model.kind == "quantum" else 0,
            success_probability=outputs.success_probability.mean().item(),
            least_success_probability=outputs.success_probability.min().item(),
            fidelity=outputs.fidelity.mean().item(),
            cosine_similarity=values["cosine_similarity"].mean().item(),
            ssim=values["ssim"].mean().item() if "ssim" in values else None,
            accuracy=accuracy,
            patches=patch.patches,
            fidelity_interval=bootstrap_interval(outputs.fidelity),
            psnr=psnr if psnr < EXACT_PSNR else None,
            hole_fidelity=in_hole.nanmean().item() if lit else None,
            hole_error=values["hole_error"].mean().item(),
            composite_fidelity=values["composite_fidelity"].mean().item() if amplitude else None,
            composite_accuracy=None
            if not amplitude
            else accuracy
            if _alike(kept, reconstructions)
            else self.accuracy(kept),
            accuracy_by_class=None if right is None else self._by_class(right),
            trash_population=None if populations is None else populations.mean().item(),
            images=len(self.images),
            train_seconds=train_seconds,
            variant=variant,
            hole_images=lit,
            data=self.source,
            classifier_accuracy=self.classifier_accuracy,
        )


def evaluate(
    model: Model,
    images: Float[Tensor, "images size size"],
    labels: Int[Tensor, " images"] | None = None,
    *,
    patch: PatchMask | None = None,
    classifier: nn.Module | None = None,
    mask_seed: int = 0,
    device: torch.device | str = "cpu",
) -> list[Row]:
    """Measure a model or a baseline on images.

    Args:
        model: what is measured.
        images: the originals, in [0, 1].
        labels: -1 where unknown; without any, accuracies are None.
        patch: the masks; by default those that the model was made for.
        classifier: judges the reconstructions, from `load_classifier`.
        mask_seed: of the masks.
        device: where to compute.

    Returns:
        One row for each readout.

    Raises:
        InputError: images, labels or a classifier that do not fit, or a baseline without masks.
    """
    patch = patch or model.made_for
    if patch is None:
        raise InputError(f"{model.name} is made for any masks: say which, such as patch=PatchMask()")
    check_tensor(images)
    unknown = torch.full((len(images),), -1)
    test = TestSet(images, unknown if labels is None else labels, classifier, mask_seed=mask_seed, device=device)
    return test.measure(model, patch)


def _values(
    reconstructions: Float[Tensor, "images size size"], originals: Float[Tensor, "images size size"], masks: Masks
) -> tuple[dict[str, Float[Tensor, " images"]], Float[Tensor, "images size size"]]:
    """Metrics image by image, and the composites; in parts, so that memory is bounded for large images, too."""
    parts, composites = [], []
    batches = zip(in_batches(reconstructions, masks), in_batches(originals, masks), strict=True)
    for (found, _), (original, part_masks) in batches:
        hidden = part_masks.hidden
        composites.append(composite(found, original, hidden))
        measured = {
            "cosine_similarity": cosine_similarity(found, original),
            "squared_error": squared_error(found, original),
            "hole_fidelity": hole_fidelity(found, original, hidden),
            "hole_error": hole_error(found, original, hidden),
            "composite_fidelity": cosine_similarity(composites[-1], original) ** 2,
        }
        if original.shape[-1] >= SSIM_SIDE:
            measured["ssim"] = structural_similarity(found, original)
        parts.append(measured)
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}, torch.cat(composites)


def _alike(some: Float[Tensor, "images size size"], others: Float[Tensor, "images size size"]) -> bool:
    """Whether images differ in nothing but their scale, as composites of what keeps the visible pixels do."""
    return torch.allclose(scale_to_maximum(some), scale_to_maximum(others), atol=1e-5)


def save_reconstructions(
    path: Path, model: Model, test: TestSet, patch: PatchMask, *, readout: Readout = "amplitude"
) -> None:
    """Write all reconstructions to an `.npz` file, for anyone who wants to score them with other tools.

    It holds `images`, `reconstructions` (float32 [N, size, size]), `hidden` (bool, same shape), `position`,
    `labels` (int [N]) and `fidelity` (float32 [N]).

    Raises:
        InputError: the file cannot be written.
    """
    masks = test.masks(patch)
    outputs = complete(model, test.images, masks, device=test.device)
    content = io.BytesIO()
    np.savez_compressed(
        content,
        images=test.images.numpy(),
        hidden=masks.hidden.numpy(),
        position=masks.position.numpy(),
        reconstructions=read_out(outputs.probabilities, readout).numpy(),
        fidelity=outputs.fidelity.numpy(),
        labels=test.labels.numpy(),
    )
    write_atomically(path, content.getvalue())
