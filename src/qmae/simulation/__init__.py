"""Exact, batched simulation of the autoencoder on n qubits in place of the training circuit's 2n + 2.

The reset of the trash qubits and the SWAP test need no further qubits: with y = V |input> and z = V |reference>,
their indices split into (trash k, latent l),

    F = sum_k | sum_l conj(z[0, l]) y[k, l] |^2

is the expectation value of the SWAP test (Eq. 8) after the trash is replaced by |0> and V^dagger applied:
only the part of V |reference> with trash |0> can overlap with the decoder's input.

`blocks` turns angles into two-qubit matrices, `fusion` those into few unitaries on four qubits, and an encoder
applies these to images: as one dense matrix V, the same for the whole batch, where the qubits are few and the images
many; otherwise one after the other to state vectors.

Bit order: qubit 0 is the most significant bit of an index.
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from qmae.ansatz.ansatz import Ansatz
from qmae.simulation.blocks import block_unitaries, deal_out
from qmae.simulation.channel import Autoencoder
from qmae.simulation.dense import DenseEncoder
from qmae.simulation.encoders import Encoder
from qmae.simulation.states import embed, probabilities_of, read_out
from qmae.simulation.statevector import StateVectorEncoder

__all__ = [
    "Autoencoder",
    "DenseEncoder",
    "Encoder",
    "StateVectorEncoder",
    "block_unitaries",
    "build_encoder",
    "deal_out",
    "embed",
    "probabilities_of",
    "read_out",
]

BREAK_EVEN = 2**12
"""A matrix pays for `layers` 4^n / `BREAK_EVEN` states and more, found by timing: 16 images of 16 x 16 a layer."""


def build_encoder(
    angles: Float[Tensor, "blocks angles"],
    ansatz: Ansatz,
    trash_wires: tuple[int, ...],
    *,
    states: int,
    ancillas: int = 0,
) -> Encoder:
    """Turn angles into the encoder that is fastest for so many states.

    Args:
        angles: rotation angles in radians, of `ansatz.block_shape`.
        ansatz: the circuit.
        trash_wires: the qubits that are thrown away.
        states: how many it is going to be applied to.
        ancillas: how many of the least significant qubits enter in |0>.

    Returns:
        The encoder, of the precision of `angles`, differentiable.
    """
    dense = states * BREAK_EVEN >= ansatz.layers * 4**ansatz.qubits
    return (DenseEncoder if dense else StateVectorEncoder).build(angles, ansatz, trash_wires, ancillas)
