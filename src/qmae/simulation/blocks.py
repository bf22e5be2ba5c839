"""The two-qubit blocks as 4 x 4 matrices, all of them at once; real ones where no gate is complex."""

from __future__ import annotations

from functools import lru_cache, reduce
from itertools import pairwise, product

import numpy as np
import torch
from jaxtyping import Complex, Float, Inexact, Int
from torch import Tensor

from qmae.ansatz.ansatz import Ansatz
from qmae.ansatz.blocks import Block, Gate
from qmae.simulation.precision import constant, exact

SEGMENT = 5
"""The most rotations of a segment of a block: their 2^5 phases are computed at once."""


def block_unitaries(angles: Float[Tensor, "blocks rotations"], block: Block) -> Inexact[Tensor, "blocks 4 4"]:
    """Multiply the gates of every block into one 4 x 4 matrix, all blocks at once.

    A rotation is exp(-i t/2) P+ + exp(i t/2) P-, with the projectors P+- = (1 +- P) / 2 of its Pauli matrix. So a
    segment of k rotations, with the gates between them, is a sum over 2^k signs of a phase
    exp(-i (+- t1 +- t2 ...) / 2) times a constant matrix: one matrix product for all segments of all blocks.

    Args:
        angles: rotation angles in radians.
        block: the block that all of them are.

    Returns:
        One matrix per row of `angles`, real for a real block; its index is 2 (bit of a) + (bit of b).
    """
    angles = exact(angles)
    half_signs, waves = (constant(part, device=angles.device, dtype=angles.dtype) for part in _segments(block))
    sums = angles.unflatten(1, (len(waves), -1)).transpose(0, 1) @ half_signs
    entries = torch.cat([sums.cos(), sums.sin()], dim=-1) @ waves
    if block.is_real:
        segments = entries.unflatten(-1, (4, 4))
    else:
        segments = torch.view_as_complex(entries.unflatten(-1, (4, 4, 2)))
    return reduce(lambda product, segment: torch.bmm(segment, product), segments.unbind())


def unitaries_of(angles: Float[Tensor, "..."], ansatz: Ansatz) -> Inexact[Tensor, "blocks 4 4"]:
    """The matrix of every block of a circuit.

    Args:
        angles: of `ansatz.angle_shape`, in radians.
        ansatz: the circuit.
    """
    return block_unitaries(deal_out(angles, ansatz), ansatz.block)


def deal_out(
    angles: Float[Tensor, "*circuits_and_angles"], ansatz: Ansatz
) -> Float[Tensor, "*circuits blocks rotations"]:
    """Give every block the angles of its rotations; an angle that blocks share goes to the first of them.

    Args:
        angles: of circuits, [..., *ansatz.angle_shape], in radians.
        ansatz: the circuits.
    """
    if ansatz.angle_shape == ansatz.block_shape:
        return angles
    _, own = _shared(ansatz)
    padded = torch.cat([angles, torch.zeros_like(angles[..., :1])], -1)
    return padded[..., constant(own, device=angles.device)].unflatten(-1, ansatz.block_shape)


def collect(
    blocks: Float[Tensor, "*circuits blocks rotations"], ansatz: Ansatz
) -> Float[Tensor, "*circuits_and_angles"]:
    """The inverse of `deal_out`: rotations that blocks share turn by the sum of what these say."""
    if ansatz.angle_shape == ansatz.block_shape:
        return blocks
    merged = constant(_shared(ansatz)[0], device=blocks.device)
    return blocks.new_zeros(*blocks.shape[:-2], ansatz.angles).index_add(-1, merged, blocks.flatten(-2))


@lru_cache(maxsize=16)
def _shared(ansatz: Ansatz) -> tuple[Int[np.ndarray, " rotations"], Int[np.ndarray, " rotations"]]:
    """Two indices for every rotation: the angle that it is a part of, and the angle that it gets.

    Of the rotations that share an angle the first one gets it. The others get none, which is the index behind the last.
    """
    merged, none = np.array(ansatz.merged), ansatz.angles
    own = np.full_like(merged, none)
    angles, first = np.unique(merged, return_index=True)
    own[first] = angles
    return merged, own


@lru_cache(maxsize=8)
def _segments(
    block: Block,
) -> tuple[Float[np.ndarray, "rotations terms"], Float[np.ndarray, "segments waves parts"]]:
    """Cut a block into segments of equally many rotations.

    Returns:
        Half of the signs with which the angles are added up in every term; and for every segment the matrices that
        the cosines of these sums multiply, then those that the sines multiply, as real and imaginary parts in turn, or
        as real parts alone.
    """
    starts = [index for index, gate in enumerate(block.gates) if gate.turns]
    rotations = max(size for size in range(1, SEGMENT + 1) if len(starts) % size == 0)
    cuts = [0, *starts[rotations::rotations], len(block.gates)]
    signs = np.array([*product([1.0, -1.0], repeat=rotations)])
    constants = np.stack([_terms(block.gates[first:last], signs) for first, last in pairwise(cuts)])
    # exp(-i s) M = cos(s) M + sin(s) (-i M)
    waves = np.concatenate([constants, -1j * constants], 1)
    parts = [waves.real] if block.is_real else [waves.real, waves.imag]
    return signs.T / 2, np.stack(parts, -1).reshape(*waves.shape[:2], -1)


def _terms(gates: tuple[Gate, ...], signs: Float[np.ndarray, "terms rotations"]) -> Complex[np.ndarray, "terms 4 4"]:
    """The product of projectors and gates without an angle for every choice of signs."""
    one = np.eye(2)
    paulis = {"RX": np.array([[0, 1], [1, 0]]), "RY": np.array([[0, -1j], [1j, 0]]), "RZ": np.diag([1, -1])}
    index = np.arange(4)
    a, b = index >> 1, index & 1
    flipped = {(0, 1): 2 * a + (a ^ b), (1, 0): 2 * (a ^ b) + b}
    matrices, sign = np.tile(np.eye(4, dtype=np.complex128), (len(signs), 1, 1)), iter(signs.T)
    for gate in gates:
        if gate.name == "CNOT":
            matrices = matrices[:, flipped[gate.wires[0], gate.wires[1]]]
        elif gate.name == "CZ":
            matrices = np.where(a & b, -1, 1)[:, None] * matrices
        else:
            pauli = paulis[gate.name]
            on_pair = np.kron(pauli, one) if gate.wires == (0,) else np.kron(one, pauli)
            matrices = (np.eye(4) + next(sign)[:, None, None] * on_pair) / 2 @ matrices
    return matrices
