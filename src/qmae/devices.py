"""Trained models as circuits on PennyLane devices, beside the exact simulation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import get_args

import numpy as np
import pennylane as qp
from jaxtyping import Float
from torch import Tensor

from qmae.circuits import AutoencoderCircuit, Overlap, Reset
from qmae.masking import Masks
from qmae.models import MaskedAutoencoder, embed_references
from qmae.progress import Progress, silent
from qmae.simulation import embed


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


def verify(
    model: MaskedAutoencoder,
    images: Float[Tensor, "images size size"],
    masks: Masks,
    *,
    progress: Progress = silent,
) -> Iterator[Agreement]:
    """Compare the fast simulation with the full circuits on `lightning.qubit`, on real images.

    Args:
        model: any model; it is changed to double precision.
        images: the originals.
        masks: one per image.
        progress: told of every image.

    Yields:
        The agreement of the paper's circuit in both precisions, then of its variants.

    Raises:
        InputError: an original is all black or holds NaN; it is named by its index.
    """
    model, images = model.double(), images.double()
    angles = model.angles.detach().numpy()
    filled = embed(model.fill(images, masks).flatten(1)).detach().numpy()
    originals = embed_references(images).numpy()
    exact = [values.detach().numpy() for values in (model.fidelity(images, masks), model.probabilities(images, masks))]
    kinds = list(product(get_args(Overlap), get_args(Reset)))
    for precision, (overlap, reset) in [("complex64", kinds[0]), *(("complex128", kind) for kind in kinds)]:
        circuit = AutoencoderCircuit(
            model.config.ansatz, model.config.trash_wires, overlap, reset, joint_preparation=overlap == "swap"
        )
        # Without shots a simulator defers a mid-circuit measurement to a wire of its own.
        spare = len(circuit.trash_wires) if reset == "measure" else 0
        device = qp.device("lightning.qubit", wires=circuit.num_wires + spare, c_dtype=np.dtype(precision).type)
        fidelity, probabilities = (qp.QNode(run, device) for run in (circuit.fidelity, circuit.probabilities))
        differences = np.zeros(2)
        with progress(f"running {circuit.num_wires} qubits in {precision}", len(images)) as advance:
            for state, original, *known in zip(filled, originals, *exact, strict=True):
                found = fidelity(angles, state, original), probabilities(angles, state).reshape(images.shape[1:])
                worst = [np.abs(value - true).max() for value, true in zip(found, known, strict=True)]
                differences = np.maximum(differences, worst)
                advance(1)
        yield Agreement(circuit, precision, *differences.tolist())
