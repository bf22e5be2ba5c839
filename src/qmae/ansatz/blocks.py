"""The two-qubit blocks as data: the only place where a gate sequence is written down.

The exact simulation and the PennyLane templates both read it from here."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

Block = Literal["su4", "so4"]
"""The two-qubit block: the paper's general one of 15 rotations, or the general real one of 6."""


@dataclass(frozen=True)
class Gate:
    """One gate of a two-qubit block.

    Attributes:
        name: `RY` and `RZ` turn by an angle, R_P(t) = exp(-i t P / 2); `CNOT` has none.
        wires: which of the block's two qubits, 0 (a) or 1 (b); for `CNOT` control, then target.
    """

    name: Literal["RY", "RZ", "CNOT"]
    wires: tuple[int, ...]


def _any_rotation(wire: int) -> tuple[Gate, ...]:
    """The Euler angles of a single-qubit rotation: they reach all of SU(2)."""
    return Gate("RZ", (wire,)), Gate("RY", (wire,)), Gate("RZ", (wire,))


A, B = 0, 1


SU4_BLOCK: tuple[Gate, ...] = (
    *_any_rotation(A),
    *_any_rotation(B),
    Gate("CNOT", (B, A)),
    Gate("RZ", (A,)),
    Gate("RY", (B,)),
    Gate("CNOT", (A, B)),
    Gate("RY", (B,)),
    Gate("CNOT", (B, A)),
    *_any_rotation(A),
    *_any_rotation(B),
)
"""The general two-qubit circuit of 15 rotations and 3 CNOTs, in the order in which the gates act
(Fig. 3 of the paper, after Wang et al. 2024). Its angles are numbered in the order of the rotations. It reaches
all of SU(4); at zero angles it is a SWAP."""


_REAL_ROTATIONS = Gate("RY", (A,)), Gate("RY", (B,))


SO4_BLOCK: tuple[Gate, ...] = (
    *_REAL_ROTATIONS,
    Gate("CNOT", (A, B)),
    *_REAL_ROTATIONS,
    Gate("CNOT", (A, B)),
    *_REAL_ROTATIONS,
)
"""The general real two-qubit circuit of 6 rotations and 2 CNOTs: it reaches all of SO(4), as two Euler decompositions
side by side (`sweeps.angles_of` inverts it), and is the identity at zero angles. In an ansatz neighbouring blocks share
rotations."""


BLOCKS: dict[Block, tuple[Gate, ...]] = {"su4": SU4_BLOCK, "so4": SO4_BLOCK}


_TURN = math.pi / 2


SU4_IDENTITY = (-_TURN, 0, 0, _TURN, 0, 0, -_TURN, -_TURN, _TURN, *(0,) * 6)
"""Angles at which the paper's block is the identity, but for a phase."""
