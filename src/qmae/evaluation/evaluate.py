"""Measuring: every model and baseline on the same images, under the same masks, by the same classifier."""

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
from qmae._values import SEEDS, settle, shown, whole
from qmae.data.checks import PRECISIONS, check_labels, check_tensor, usable_device
from qmae.data.choices import Readout, Split
from qmae.data.datasets import dataset
from qmae.data.images import load_images
from qmae.data.masks import Masks, PatchMask
from qmae.errors import InputError
from qmae.evaluation.bootstrap import bootstrap_interval
from qmae.evaluation.cache import Cache, digest, digest_of_module, digest_of_package
from qmae.evaluation.classifier import Classifier, load_classifier, predict
from qmae.evaluation.metrics import (
    BUILT_IN,
    METRICS,
    SSIM_SIDE,
    composite,
    cosine_similarity,
    scale_to_maximum,
    without_rounding,
)
from qmae.evaluation.rows import Row
from qmae.models.base import BATCH_PIXELS, Model, Outputs, TrainableModel, in_batches
from qmae.simulation.states import read_out


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
    """Images that models are measured on, and the classifier of the reconstructions.

    Attributes:
        images: [N, size, size] in [0, 1].
        labels: [N], -1 where unknown.
        classifier: from `load_classifier`, or None.
        mask_seed: the masks are drawn once, from a generator with this seed.
        device: where models and classifier compute.
        progress: told of the classifier's work.
        source: where the images come from, as `load_images` takes it.
        cache: keeps what does not change from one model to the next; None to compute all anew.

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
    cache: Cache | None = None

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
        """Load the test images of a data set, or another split, all of them or the first `limit`.

        Without a classifier, MNIST of 16 x 16 pixels gets the one that ships with the package; other data gets none.

        Raises:
            InputError: the data cannot be used, or not with this classifier; or a limit below 1.
        """
        if limit is not None and limit < 1:
            raise InputError(f"{limit} images measure nothing: choose 1 or more")
        images, labels = (part[:limit] for part in load_images(data, split=split, size=size, skip_black=skip_black))
        if classifier is None and size == dataset(data).classifier_size:
            classifier = load_classifier()
        return cls(images, labels, classifier, **{"source": data, **settings})

    def masks(self, patch: PatchMask) -> Masks:
        """The masks of all images, the same whoever is measured."""
        return patch.sample(len(self.images), generator=torch.Generator().manual_seed(self.mask_seed))

    @cached_property
    def key(self) -> str | None:
        """A checksum of images, masks, classifier and device; None with a user's own classifier, which has none."""
        if self.classifier is not None and type(self.classifier) is not Classifier:
            return None
        weights = None if self.classifier is None else digest_of_module(self.classifier)
        with_what = self.mask_seed, self.source, weights, str(self.device), torch.get_num_threads()
        return digest(self.images, self.labels, with_what)

    @property
    def classifier_accuracy(self) -> float | None:
        """The classifier's accuracy on the originals, the ceiling of all others."""
        return _share(self._originals_right)

    @cached_property
    def _originals_right(self) -> Bool[Tensor, " known"] | None:
        if self.cache is None or self.key is None or self.classifier is None:
            return self._classified(self.images)
        key = digest("originals", digest_of_package(), self.key)
        known = self.cache.read(key)
        if known is not None:
            return torch.from_numpy(known["right"])
        right = self._classified(self.images)
        if right is not None:
            self.cache.write(key, right=right.numpy())
        return right

    def classified_right(self, images: Float[Tensor, "images size size"]) -> Bool[Tensor, " known"] | None:
        """Whether the classifier gives the images their label, where it is known; None without labels or classifier."""
        return self._originals_right if _alike(images, self.images) else self._classified(images)

    def _classified(self, images: Float[Tensor, "images size size"]) -> Bool[Tensor, " known"] | None:
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

    def complete(self, model: Model, patch: PatchMask) -> Outputs:
        """What a model or a baseline makes of the images under one kind of masks."""
        return complete(model, self.images, self.masks(patch), device=self.device)

    def measure(
        self,
        model: Model,
        patch: PatchMask,
        *,
        seed: int | None = None,
        train_seconds: float | None = None,
        variant: str = "",
        readouts: Sequence[Readout] = get_args(Readout),
        outputs: Outputs | None = None,
    ) -> list[Row]:
        """Measure a model or a baseline under one kind of masks, one row per readout.

        Args:
            model: what is measured.
            patch: the masks.
            seed: of its training.
            train_seconds: time its training took.
            variant: what sets it apart from others of its name.
            readouts: of its outputs.
            outputs: of `complete`, where they are known.
        """
        outputs = outputs or self.complete(model, patch)
        facts = {"seed": seed, "train_seconds": train_seconds, "variant": variant}
        return [self._row(model, outputs, patch, readout, **facts) for readout in readouts]

    def _row(self, model: Model, outputs: Outputs, patch: PatchMask, readout: Readout, **facts: Any) -> Row:
        reconstructions, masks = read_out(without_rounding(outputs.probabilities), readout), self.masks(patch)
        populations, right = outputs.trash_population, self.classified_right(reconstructions)
        values, composites = _values(reconstructions, self.images, masks)
        metrics = {name: _as_number(METRICS[name].over_images(of_images)) for name, of_images in values.items()}
        metrics |= {"fidelity": outputs.fidelity.mean().item(), "accuracy": _share(right)}
        # The readout `probability` gives squares of pixels, which do not fit among the visible pixels.
        if readout == "amplitude":
            metrics["composite_fidelity"] = (cosine_similarity(composites, self.images) ** 2).mean().item()
            alike = _alike(composites, reconstructions)
            metrics["composite_accuracy"] = _share(right if alike else self.classified_right(composites))
        return Row(
            model=model.name,
            kind=model.kind,
            mask_ratio=patch.ratio,
            trained_ratio=model.made_for and model.made_for.ratio,
            placement=patch.placement,
            readout=readout,
            mask_seed=self.mask_seed,
            parameters=model.parameter_count,
            angles=model.angle_count,
            token_parameters=model.parameter_count - model.angle_count if model.kind == "quantum" else 0,
            success_probability=outputs.success_probability.mean().item(),
            least_success_probability=outputs.success_probability.min().item(),
            patches=patch.patches,
            fidelity_interval=bootstrap_interval(outputs.fidelity),
            accuracy_by_class=None if right is None else self._by_class(right),
            trash_population=None if populations is None else populations.mean().item(),
            images=len(self.images),
            hole_images=int((~values["hole_fidelity"].isnan()).sum()),
            data=self.source,
            classifier_accuracy=self.classifier_accuracy,
            others={name: value for name, value in metrics.items() if name not in BUILT_IN},
            **{name: metrics.get(name) for name in BUILT_IN},  # pyright: ignore[reportArgumentType]
            **facts,
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
        classifier: of the reconstructions, from `load_classifier`.
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
        parts.append({name: _of_images(name, found, original, hidden) for name in _measurable(original.shape[-1])})
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}, torch.cat(composites)


def _measurable(size: int) -> list[str]:
    """Names of the metrics that are found from pixels, of images of so many pixels a side."""
    return [name for name in METRICS if METRICS[name].of is not None and size >= METRICS[name].least_size]


def _of_images(
    name: str,
    found: Float[Tensor, "images size size"],
    originals: Float[Tensor, "images size size"],
    hidden: Bool[Tensor, "images size size"],
) -> Float[Tensor, " images"]:
    of = METRICS[name].of
    assert of is not None
    values = of(found, originals, hidden)
    if not isinstance(values, Tensor) or values.shape != (len(found),):
        raise InputError(f"the metric {name!r} gives {shown(values)} of {len(found)} images: give a tensor [images]")
    return values


def _share(right: Bool[Tensor, " known"] | None) -> float | None:
    return None if right is None else right.float().mean().item()


def _alike(some: Float[Tensor, "images size size"], others: Float[Tensor, "images size size"]) -> bool:
    """Whether images differ in nothing but their scale, as composites of what keeps the visible pixels do."""
    return torch.allclose(scale_to_maximum(some), scale_to_maximum(others), atol=1e-5)


def save_reconstructions(
    path: Path, outputs: Outputs, test: TestSet, patch: PatchMask, *, readout: Readout = "amplitude"
) -> None:
    """Write all reconstructions to an `.npz` file, for anyone who wants to score them with other tools.

    It holds `images`, `reconstructions` (float32 [N, size, size]), `hidden` (bool, same shape), `position`,
    `labels` (int [N]) and `fidelity` (float32 [N]).

    Args:
        path: of the file.
        outputs: of `TestSet.complete`.
        test: the images.
        patch: the masks.
        readout: what is taken for a pixel's value.

    Raises:
        InputError: the file cannot be written.
    """
    masks = test.masks(patch)
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


def first_of_each_class(labels: Int[Tensor, " images"], most: int = 16) -> Int[Tensor, " classes"]:
    """Index of the first image of every class: pictures are chosen by index, not by looks.

    Args:
        labels: -1 where unknown; where all are, the first images are chosen.
        most: images at the most, so that they can be shown side by side.
    """
    known = labels[labels >= 0].unique()[:most]
    if not len(known):
        return torch.arange(min(len(labels), 10))
    return torch.stack([(labels == label).nonzero()[0, 0] for label in known])


def _as_number(value: Any) -> float | None:
    """A metric over all images as Python's own number."""
    return None if value is None else float(value)
