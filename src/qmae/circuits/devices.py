"""Trained models on PennyLane devices, beside the exact simulation."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any, get_args

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from qmae._progress import Progress, silent
from qmae.circuits.autoencoder import AutoencoderCircuit
from qmae.circuits.choices import Overlap, Reset
from qmae.circuits.shot_statistics import expected_variation
from qmae.circuits.target import EXACT, Target
from qmae.data.batches import check_batch
from qmae.data.masks import Masks
from qmae.errors import InputError
from qmae.models.autoencoder import MaskedAutoencoder
from qmae.models.base import embed_references
from qmae.models.bottlenecks import BOTTLENECKS
from qmae.models.variational import VariationalCircuit
from qmae.simulation.states import embed


@dataclass(frozen=True)
class States:
    """The arguments of a circuit for some images, and the exact results by the fast simulation, in double precision.

    Attributes:
        angles: of the encoder, in radians, for every image: they may depend on the position of its mask.
        filled: amplitudes of the masked images, the token in the hole.
        originals: amplitudes of the unmasked images.
        fidelity: exact fidelities.
        probabilities: exact probabilities of the pixels' basis states in the reconstructions.
        success: share of the shots that are kept; 1 without post-selection.
        decoder_angles: as `angles`, of a free decoder; otherwise None.
    """

    angles: Float[np.ndarray, "images ..."]
    filled: Float[np.ndarray, "images dim"]
    originals: Float[np.ndarray, "images dim"]
    fidelity: Float[np.ndarray, " images"]
    probabilities: Float[np.ndarray, "images dim"]
    success: Float[np.ndarray, " images"]
    decoder_angles: Float[np.ndarray, "images ..."] | None

    @classmethod
    def of(cls, model: MaskedAutoencoder, images: Float[Tensor, "images size size"], masks: Masks) -> States:
        """Compute them, on a copy of the model: the caller's stays as it is.

        Args:
            model: any model, of any precision and on any device.
            images: the originals.
            masks: one per image.

        Raises:
            InputError: images and masks do not fit, or a parameter of the model is not finite; or an original is all
                black or holds NaN, or nothing of one is left to embed; it is named by its index.
        """
        images = check_batch(images, masks, size=model.config.patch.image_size)
        model, images, masks = in_double(model), images.detach().double().cpu(), masks.to("cpu")
        with torch.no_grad(), torch.autocast("cpu", enabled=False):
            filled = embed(model.fill(images, masks).flatten(1))
            empty = (filled == 0).all(1).nonzero().flatten().tolist()
            if empty:
                raise InputError(
                    f"image {empty[0]} has no lit pixel outside its hole: no state to prepare; leave it out"
                )
            outputs = model.complete(images, masks)
            parts = (
                _angles(model.encoder, masks),
                filled,
                embed_references(images),
                outputs.fidelity,
                outputs.probabilities.flatten(1),
                outputs.success_probability,
            )
            decoder_angles = None if model.decoder is None else _angles(model.decoder, masks).numpy()
        return cls(*(part.numpy() for part in parts), decoder_angles=decoder_angles)

    def __len__(self) -> int:
        """Number of images."""
        return len(self.fidelity)

    def of_fidelity(self, image: int) -> tuple[Any, ...]:
        """The arguments of `AutoencoderCircuit.fidelity` for an image."""
        return self.angles[image], self.filled[image], self.originals[image], self._decoder_angles(image)

    def of_probabilities(self, image: int) -> tuple[Any, ...]:
        """The arguments of `AutoencoderCircuit.probabilities` for an image."""
        return self.angles[image], self.filled[image], self._decoder_angles(image)

    def _decoder_angles(self, image: int) -> np.ndarray | None:
        return None if self.decoder_angles is None else self.decoder_angles[image]


def _angles(circuit: VariationalCircuit, masks: Masks) -> Float[Tensor, "images ..."]:
    return torch.stack([circuit.at(position) for position in masks.position])


def in_double(model: MaskedAutoencoder) -> MaskedAutoencoder:
    """A copy of a model in double precision, on the CPU.

    Raises:
        InputError: a parameter is NaN or infinite, so that there is no circuit.
    """
    for name, parameter in model.named_parameters():
        if not parameter.isfinite().all():
            raise InputError(f"the model's {name} hold NaN or infinity, which no circuit can: train or load it anew")
    return copy.deepcopy(model).double().cpu()


@dataclass(frozen=True)
class Agreement:
    """How far one circuit is from the fast simulation.

    Attributes:
        circuit: which of the equal circuits.
        precision: of the device's amplitudes, `complex64` or `complex128`; the fast simulation is in double.
        fidelity: largest difference of a fidelity.
        probability: largest difference of a pixel's probability in a reconstruction.
    """

    circuit: AutoencoderCircuit
    precision: str
    fidelity: float
    probability: float

    @property
    def tolerance(self) -> float:
        """What rounding may do at the most."""
        return 1e-6 if self.precision == "complex64" else 1e-10

    @property
    def agrees(self) -> bool:
        """Whether the differences are within the tolerance; NaN is not."""
        return self.fidelity <= self.tolerance and self.probability <= self.tolerance


def verify(
    model: MaskedAutoencoder,
    images: Float[Tensor, "images size size"],
    masks: Masks,
    *,
    progress: Progress = silent,
) -> Iterator[Agreement]:
    """Compare the fast simulation with the full circuits on `lightning.qubit`, on real images.

    Args:
        model: any model; it is not changed.
        images: the originals.
        masks: one per image.
        progress: told of every image.

    Yields:
        The agreement of the paper's circuit in both precisions, then of its variants; with heralding in double alone.

    Raises:
        InputError: an image gives no quantum state; it is named by its index.
    """
    states = States.of(model, images, masks)
    resets = get_args(Reset) if BOTTLENECKS[model.config.bottleneck].resets else ("swap",)
    kinds = list(product(get_args(Overlap), resets))
    # In single precision the device's own sums over its amplitudes would be ten times worse than the amplitudes. So
    # these are summed here, but a device that post-selects gives none.
    single = [] if model.heralded else [("complex64", kinds[0])]
    for precision, kind in [*single, *(("complex128", kind) for kind in kinds)]:
        circuit = AutoencoderCircuit.of(model.config, *kind)
        target = Target(circuit, EXACT, options={"c_dtype": np.dtype(precision).type})
        fidelity = target.swap_test_of_state if precision == "complex64" else target.fidelity
        differences = np.zeros(2)
        with progress(f"running {circuit.num_wires} qubits in {precision}", len(images)) as advance:
            for image in range(len(states)):
                found = fidelity(*states.of_fidelity(image)), target.probabilities(*states.of_probabilities(image))
                known = states.fidelity[image], states.probabilities[image]
                worst = [np.abs(value - true).max() for value, true in zip(found, known, strict=True)]
                differences = np.maximum(differences, worst)
                advance(1)
        yield Agreement(circuit, precision, *differences.tolist())


@dataclass(frozen=True)
class Estimate:
    """A device's estimates for one image, beside the exact values.

    Attributes:
        fidelity: estimated.
        standard_error: of the fidelity.
        exact_fidelity: of the fast simulation.
        probabilities: estimated probability of every pixel's basis state.
        probability_errors: their standard errors, sqrt(p (1 - p) / N).
        exact_probabilities: of the fast simulation.
        success: exact share of the shots that are kept.
        expected_variation: how far, in total variation, the probabilities are from the exact ones on average.
    """

    fidelity: float
    standard_error: float
    exact_fidelity: float
    probabilities: Float[np.ndarray, " dim"]
    probability_errors: Float[np.ndarray, " dim"]
    exact_probabilities: Float[np.ndarray, " dim"]
    success: float
    expected_variation: float

    @property
    def variation(self) -> float:
        """Total variation of the estimated probabilities from the exact ones: half the sum of their distances."""
        return float(np.abs(self.probabilities - self.exact_probabilities).sum() / 2)


def run_on_device(
    model: MaskedAutoencoder, images: Float[Tensor, "images size size"], masks: Masks, target: Target
) -> Iterator[Estimate]:
    """Estimate fidelity and reconstruction of images on a device.

    Args:
        model: any model; it is not changed.
        images: the originals.
        masks: one per image.
        target: circuit, device and shots.

    Yields:
        One estimate per image.

    Raises:
        InputError: an image gives no quantum state, no shot is kept, or the device cannot run the circuit.
    """
    states = States.of(model, images, masks)
    for image in range(len(states)):
        probabilities, success = states.probabilities[image], float(states.success[image])
        fidelity = target.measure(target.circuit.fidelity, *states.of_fidelity(image))
        found = target.measure(target.circuit.probabilities, *states.of_probabilities(image))
        if not (np.isfinite(fidelity).all() and np.isfinite(found).all()):
            if target.shots is not None and target.circuit.heralded:
                raise target.none_kept()
            raise InputError(f"{target.name} gives values that are not finite: choose another device")
        yield Estimate(
            float(fidelity),
            target.standard_error(float(fidelity), success),
            float(states.fidelity[image]),
            found,
            target.share_error(found, success),
            probabilities,
            success,
            expected_variation(probabilities, target.shots, success),
        )
