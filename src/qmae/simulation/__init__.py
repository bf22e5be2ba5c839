"""Exact, batched simulation of the autoencoder on n qubits in place of the training circuit's 2n + 2.

The reset of the trash qubits and the SWAP test need no further qubits: with y = V |input> and z = V |reference>,
their indices split into (trash k, latent l),

    F = sum_k | sum_l conj(z[0, l]) y[k, l] |^2

is the expectation value of the SWAP test (Eq. 8) after the trash is replaced by |0> and V^dagger applied:
only the part of V |reference> with trash |0> can overlap with the decoder's input.

`blocks` turns angles into two-qubit matrices, `fusion` those into few unitaries on four qubits, and `encoders`
applies these to images: up to 8 qubits as one dense matrix V, which is the same for the whole batch, beyond that
one after the other to state vectors.

Bit order: qubit 0 is the most significant bit of an index.
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from qmae.ansatz import Ansatz
from qmae.simulation.blocks import block_unitaries
from qmae.simulation.dense import DenseEncoder
from qmae.simulation.encoders import Encoder
from qmae.simulation.states import embed, read_out
from qmae.simulation.statevector import StateVectorEncoder

__all__ = [
    "DenseEncoder",
    "Encoder",
    "StateVectorEncoder",
    "block_unitaries",
    "build_encoder",
    "embed",
    "read_out",
]

DENSE_QUBITS = 8
"""Up to this many qubits V is built as a matrix; `qmae benchmark --qubits` shows what it costs beyond."""


def build_encoder(angles: Float[Tensor, "blocks angles"], ansatz: Ansatz, trash_wires: tuple[int, ...]) -> Encoder:
    """Turn angles into the encoder that is fastest for their number of qubits.

    Args:
        angles: rotation angles in radians, of `ansatz.angle_shape`.
        ansatz: the circuit.
        trash_wires: the qubits that are reset.

    Returns:
        The encoder, of the precision of `angles`, differentiable.
    """
    kind = DenseEncoder if ansatz.qubits <= DENSE_QUBITS else StateVectorEncoder
    return kind.build(angles, ansatz, trash_wires)
