"""Which encoder is fastest: one matrix for all images, or gates on state vectors."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from qmae.ansatz.ansatz import Ansatz
from qmae.simulation.dense import DenseEncoder
from qmae.simulation.encoders import Encoder
from qmae.simulation.statevector import StateVectorEncoder

BREAK_EVEN = 2**12
"""A matrix pays for `layers` 4^n / `BREAK_EVEN` states and more, found by timing: 16 images of 16 x 16 a layer."""


def build_encoder(
    angles: Float[Tensor, "..."],
    ansatz: Ansatz,
    trash_wires: tuple[int, ...],
    *,
    states: int,
    ancillas: int = 0,
) -> Encoder:
    """Turn angles into the encoder that is fastest for so many states.

    Args:
        angles: rotation angles in radians, of `ansatz.angle_shape`.
        ansatz: the circuit.
        trash_wires: the qubits that are thrown away.
        states: how many it is going to be applied to.
        ancillas: how many of the least significant qubits enter in |0>.

    Returns:
        The encoder, of the precision of `angles`, differentiable.
    """
    dense = states * BREAK_EVEN >= ansatz.layers * 4**ansatz.qubits
    return (DenseEncoder if dense else StateVectorEncoder).build(angles, ansatz, trash_wires, ancillas)
