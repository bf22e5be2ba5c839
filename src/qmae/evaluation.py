"""Measuring: every model and baseline on the same images, under the same masks, judged the same way."""

from __future__ import annotations

import io
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from qmae.baselines import Yardstick
from qmae.bootstrap import bootstrap_interval
from qmae.ceiling import FreeModel
from qmae.classical import ClassicalModel
from qmae.classifier import load_classifier, predict
from qmae.files import write_atomically
from qmae.images import load_images
from qmae.masking import Masks, PatchMask
from qmae.metrics import (
    composite,
    cosine_similarity,
    hole_error,
    hole_fidelity,
    peak_signal_to_noise,
    scale_to_maximum,
    structural_similarity,
)
from qmae.models import MaskedAutoencoder, embed_references, in_batches
from qmae.progress import Progress, silent
from qmae.settings import Placement, Readout, Split
from qmae.simulation import read_out

EXACT_PSNR = 120.0
"""What lies above, in dB, is rounding: there is no error to measure."""

Subject = MaskedAutoencoder | FreeModel | Yardstick
"""What can be measured: a quantum model, a yardstick, or a design with free matrices."""


@dataclass(frozen=True)
class Row:
    """One line of a table: one model, one kind of mask, one readout; means over the images.

    Attributes:
        model: `qmae`, `qae`, `nothing` or `mean`.
        mask_ratio: share of the pixels that was hidden in this evaluation.
        trained_ratio: share that was hidden in training; None for a baseline.
        placement: where the masks lie.
        readout: what was taken for a pixel's value.
        seed: of the training; None for a baseline.
        mask_seed: of the masks of this evaluation.
        parameters: `angles` + `token_parameters`, or those of a baseline.
        angles: rotation angles of the ansatz.
        token_parameters: pixels of the mask token.
        success_probability: share of the runs that are kept; 1 without post-selection.
        least_success_probability: that of the image of which the fewest are.
        fidelity: mean fidelity with the originals; it does not depend on the readout.
        cosine_similarity: with the original pixels.
        ssim: with the originals, both scaled to their maximum.
        accuracy: of the classifier on the reconstructions; None without labels or classifier.
        patches: how many patches make up the hidden share.
        fidelity_interval: of the mean fidelity, 95%, by bootstrap over the images.
        psnr: in dB, both images scaled to their maximum; None where reconstructions are without error.
        hole_fidelity: squared cosine inside the hole alone, over the images that are not black there.
        hole_error: mean squared error inside the hole alone, both images scaled to their maximum.
        composite_fidelity: of the *composite*, the visible pixels kept and the hole alone taken from the model;
            None for the readout `probability`, as also the next.
        composite_accuracy: of the classifier on the composite.
        accuracy_by_class: of the classifier on the reconstructions, by label.
        trash_population: P(|0>) of the trash qubits; None for a baseline.
        images: how many were evaluated.
        train_seconds: time the training took; None for a baseline.
    """

    model: str
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
    ssim: float
    accuracy: float | None
    patches: int
    fidelity_interval: tuple[float, float]
    psnr: float | None
    hole_fidelity: float
    hole_error: float
    composite_fidelity: float | None
    composite_accuracy: float | None
    accuracy_by_class: dict[int, float] | None
    trash_population: float | None
    images: int
    train_seconds: float | None

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Row:
        """Rebuild a row from `metrics.json`."""
        by_class = values["accuracy_by_class"]
        restored = {
            "fidelity_interval": tuple(values["fidelity_interval"]),
            "accuracy_by_class": by_class and {int(label): accuracy for label, accuracy in by_class.items()},
        }
        return cls(**{**values, **restored})


@dataclass(frozen=True)
class Outputs:
    """What a model or a baseline made of masked images.

    Attributes:
        fidelity: of every output with its original.
        probabilities: of the basis states, in the shape of images.
        success: share of the runs that are kept; 1 where none is discarded.
        trash_population: P(|0>) of the trash qubits, for quantum models.
    """

    fidelity: Float[Tensor, " images"]
    probabilities: Float[Tensor, "images size size"]
    success: Float[Tensor, " images"]
    trash_population: Float[Tensor, " images"] | None


@torch.no_grad()
def complete(
    subject: Subject,
    images: Float[Tensor, "images size size"],
    masks: Masks,
    *,
    device: torch.device | str = "cpu",
) -> Outputs:
    """Let a model or a baseline complete masked images, in batches.

    Raises:
        InputError: an original is all black or holds NaN; it is named by its index.
    """
    embed_references(subject.fitted(images, masks))
    if isinstance(subject, nn.Module):
        subject.to(device)
    quantum = subject if isinstance(subject, MaskedAutoencoder) else None
    fidelities, probabilities, successes, populations = [], [], [], []
    for part, hidden in in_batches(images, masks):
        batch = part.to(device), hidden.to(device)
        fidelities.append(subject._fidelity(*batch))
        probabilities.append(subject._probabilities(*batch))
        successes.append(subject._success_probability(*batch))
        if quantum:
            populations.append(quantum._encode(*batch).trash_population)
    return Outputs(
        torch.cat(fidelities).cpu(),
        torch.cat(probabilities).cpu(),
        torch.cat(successes).cpu(),
        torch.cat(populations).cpu() if quantum else None,
    )


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
    """

    __test__ = False  # not a test case, whatever pytest reads into the name

    images: Float[Tensor, "images size size"]
    labels: Int[Tensor, " images"]
    classifier: nn.Module | None = None
    mask_seed: int = 0
    device: torch.device | str = "cpu"
    progress: Progress = silent

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
        """Load the test images of a data set, or another part of it, or only the first `limit` of them.

        Without a classifier, MNIST of 16 x 16 pixels gets the one that ships with the package; other data gets none.
        """
        images, labels = (part[:limit] for part in load_images(data, split=split, size=size, skip_black=skip_black))
        if classifier is None and (data, size) == ("mnist", 16):
            classifier = load_classifier()
        return cls(images, labels, classifier, **settings)

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
        with self.progress("classifying", int(known.sum())) as advance:
            predicted = predict(self.classifier.to(self.device), images[known], advance=advance)
        return predicted == self.labels[known]

    def _by_class(self, right: Bool[Tensor, " known"]) -> dict[int, float]:
        labels = self.labels[self.labels >= 0]
        return {int(label): right[labels == label].float().mean().item() for label in labels.unique()}

    def measure(
        self,
        subject: Subject,
        patch: PatchMask,
        *,
        seed: int | None = None,
        train_seconds: float | None = None,
        readouts: Sequence[Readout] = get_args(Readout),
    ) -> list[Row]:
        """Measure a model or a baseline under one kind of mask, one row per readout."""
        outputs = complete(subject, self.images, self.masks(patch), device=self.device)
        return [
            self.row(subject, outputs, patch, readout, seed=seed, train_seconds=train_seconds) for readout in readouts
        ]

    def row(
        self,
        subject: Subject,
        outputs: Outputs,
        patch: PatchMask,
        readout: Readout,
        *,
        seed: int | None,
        train_seconds: float | None,
    ) -> Row:
        """Judge outputs through one readout."""
        reconstructions, hidden = read_out(outputs.probabilities, readout), self.masks(patch).hidden
        quantum = subject if isinstance(subject, MaskedAutoencoder) else None
        trained = subject if isinstance(subject, MaskedAutoencoder | ClassicalModel | FreeModel) else None
        populations, right = outputs.trash_population, self.judge(reconstructions)
        accuracy = None if right is None else right.float().mean().item()
        psnr = peak_signal_to_noise(reconstructions, self.images).mean().item()
        # Squares of pixels are on another scale than the visible pixels: nothing to be put among them.
        kept = composite(reconstructions, self.images, hidden) if readout == "amplitude" else None
        return Row(
            model=subject.name,
            mask_ratio=patch.ratio,
            trained_ratio=trained.config.patch.ratio if trained else None,
            placement=patch.placement,
            readout=readout,
            seed=seed,
            mask_seed=self.mask_seed,
            parameters=subject.parameter_count,
            angles=quantum.angle_count if quantum else 0,
            token_parameters=subject.parameter_count - quantum.angle_count if quantum else 0,
            success_probability=outputs.success.mean().item(),
            least_success_probability=outputs.success.min().item(),
            fidelity=outputs.fidelity.mean().item(),
            cosine_similarity=cosine_similarity(reconstructions, self.images).mean().item(),
            ssim=structural_similarity(reconstructions, self.images).mean().item(),
            accuracy=accuracy,
            patches=patch.patches,
            fidelity_interval=bootstrap_interval(outputs.fidelity),
            psnr=psnr if psnr < EXACT_PSNR else None,
            hole_fidelity=hole_fidelity(reconstructions, self.images, hidden).nanmean().item(),
            hole_error=hole_error(reconstructions, self.images, hidden).mean().item(),
            composite_fidelity=None if kept is None else (cosine_similarity(kept, self.images) ** 2).mean().item(),
            composite_accuracy=None
            if kept is None
            else accuracy
            if _alike(kept, reconstructions)
            else self.accuracy(kept),
            accuracy_by_class=None if right is None else self._by_class(right),
            trash_population=None if populations is None else populations.mean().item(),
            images=len(self.images),
            train_seconds=train_seconds,
        )


def _alike(some: Float[Tensor, "images size size"], others: Float[Tensor, "images size size"]) -> bool:
    """Whether images differ in nothing but their scale, as composites of what keeps the visible pixels do."""
    return torch.allclose(scale_to_maximum(some), scale_to_maximum(others), atol=1e-5)


def metrics_json(protocol: dict[str, Any], classifier_accuracy: float | None, rows: Sequence[Row]) -> dict[str, Any]:
    """The content of `metrics.json`: what was done and with what, and the rows."""
    environment = {
        "qmae": version("qmae"),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "threads": torch.get_num_threads(),
    }
    return {
        "protocol": {**protocol, **environment},
        "classifier_accuracy": classifier_accuracy,
        "rows": [asdict(row) for row in rows],
    }


def save_reconstructions(
    path: Path, subject: Subject, test: TestSet, patch: PatchMask, *, readout: Readout = "amplitude"
) -> None:
    """Write all reconstructions to an `.npz` file, for anyone who wants to score them with other tools.

    It holds `images`, `reconstructions` (float32 [N, size, size]), `hidden` (bool, same shape), `position`,
    `labels` (int [N]) and `fidelity` (float32 [N]).

    Raises:
        InputError: the file cannot be written.
    """
    masks = test.masks(patch)
    outputs = complete(subject, test.images, masks, device=test.device)
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
