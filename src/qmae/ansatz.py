"""The circuit as data: which gates, on which qubits, with which angles.

This is the only place where a gate sequence is written down. The exact simulation and the PennyLane
templates both read it from here.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations, count
from typing import Any, Literal, NamedTuple

from qmae.errors import InputError
from qmae.settings import Block, Bottleneck, Decoder
from qmae.values import MAX_LAYERS, MAX_QUBITS, choice, settle, shown, whole


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


@dataclass(frozen=True)
class Ansatz:
    """Blocks on all pairs of qubits, in lexicographic order, layer after layer (Section 3.2, Eq. 3).

    Qubit 0 is the most significant bit of the pixel index. In a block on the pair (a, b), a < b.

    Attributes:
        qubits: number of qubits n, 2 to `MAX_QUBITS`.
        layers: how often the sweep over all pairs is repeated, each time with angles of its own; at most `MAX_LAYERS`.
        kind: of the blocks, `"su4"` (15 rotations, paper) or `"so4"` (6 rotations, real; blocks share some of them).

    Raises:
        InputError: qubits or layers that are no whole numbers or out of bounds, or an unknown kind of block.
    """

    qubits: int
    layers: int = 1
    kind: Block = "su4"

    def __post_init__(self) -> None:
        choice(self.kind, "block", Block)
        qubits = whole(self.qubits, "the ansatz's number of qubits", 2, MAX_QUBITS)
        settle(self, qubits=qubits, layers=whole(self.layers, "number of layers", 1, MAX_LAYERS))

    @property
    def block(self) -> tuple[Gate, ...]:
        """The gates of one block."""
        return BLOCKS[self.kind]

    @property
    def block_angles(self) -> int:
        """Rotations of one block: 15 or 6."""
        return sum(gate.name != "CNOT" for gate in self.block)

    @property
    def blocks(self) -> int:
        """Number of blocks: one a pair of qubits and layer."""
        return math.comb(self.qubits, 2) * self.layers

    @cached_property
    def pairs(self) -> tuple[tuple[int, int], ...]:
        """The pair of qubits of every block, in the order in which the blocks act."""
        return tuple(combinations(range(self.qubits), 2)) * self.layers

    def gates(self) -> Iterator[tuple[str, tuple[int, ...], int | None]]:
        """Every gate of the circuit in the order in which they act.

        Yields:
            Its name, its qubits, and which of the circuit's angles it turns by, None for a CNOT.
        """
        merged, angle = iter(self.merged), count()
        following = next(angle)
        for pair in self.pairs:
            for gate in self.block:
                qubits = tuple(pair[wire] for wire in gate.wires)
                if gate.name == "CNOT":
                    yield gate.name, qubits, None
                elif next(merged) == following:
                    yield gate.name, qubits, following
                    following = next(angle)

    @cached_property
    def merged(self) -> tuple[int, ...]:
        """For every rotation of the blocks, one after the other, which of the circuit's angles it is a part of.

        A real block ends with an RY on either qubit, and the next block there begins with one: they are one gate, that
        of the earlier block, and turn by the sum of the two. The paper's blocks keep all their rotations (Eq. 3).
        """
        if self.kind == "su4":
            return tuple(range(len(self.pairs) * self.block_angles))
        angle, merged, open_end = count(), [], {}
        for pair in self.pairs:
            for gate in self.block:
                qubits = [pair[wire] for wire in gate.wires]
                if gate.name == "CNOT":
                    for qubit in qubits:
                        open_end.pop(qubit, None)
                else:
                    merged.append(open_end[qubits[0]] if qubits[0] in open_end else next(angle))
                    open_end[qubits[0]] = merged[-1]
        return tuple(merged)

    @property
    def block_shape(self) -> tuple[int, int]:
        """Shape (blocks, rotations of a block) of the angles of all blocks, each by itself."""
        return self.blocks, self.block_angles

    @property
    def angle_shape(self) -> tuple[int, ...]:
        """Shape of the circuit's angles: that of its blocks for `su4`; for `so4` flat, as blocks share rotations."""
        return self.block_shape if self.kind == "su4" else (self.angles,)

    @property
    def angles(self) -> int:
        """Number of angles: 15 a block for `su4` (Eq. 3), for `so4` 4 a block and one more for every qubit."""
        return self.blocks * self.block_angles if self.kind == "su4" else 4 * self.blocks + self.qubits


class Wiring(NamedTuple):
    """How encoder, bottleneck and decoder go together, for models and for circuits.

    Attributes:
        qubits: that hold the image.
        ancillas: further qubits behind them, which enter in |0>.
        trash_wires: the qubits that end in the bottleneck.
        bottleneck: what becomes of them.
        decoder: what follows.
    """

    qubits: int
    ancillas: int
    trash_wires: tuple[int, ...]
    bottleneck: Bottleneck
    decoder: Decoder


def check_wiring(qubits: int, ancillas: Any, trash_wires: Any, bottleneck: Any, decoder: Any) -> Wiring:
    """Return how the parts of an autoencoder go together, its numbers as Python's own.

    Args:
        qubits: that hold the image.
        ancillas: what should be a whole number.
        trash_wires: what should be a tuple of whole numbers; a list of them becomes one.
        bottleneck: what should be a `Bottleneck`.
        decoder: what should be a `Decoder`.

    Raises:
        InputError: a value of a wrong type, an unknown choice, trash wires that do not exist or leave no latent qubit,
            or choices that do not go together.
    """
    choice(bottleneck, "bottleneck", Bottleneck)
    choice(decoder, "decoder", Decoder)
    ancillas = whole(ancillas, "number of ancillas", 0, MAX_QUBITS - qubits)
    trash = check_trash_wires(trash_wires, qubits + ancillas)
    if not set(range(qubits, qubits + ancillas)) <= set(trash):
        raise InputError(f"ancillas are trash: add wires {qubits} and up, as many as there are, to trash_wires")
    if bottleneck == "none" and trash:
        raise InputError("without a bottleneck there is no trash: set trash_wires to ()")
    if decoder == "adjoint" and (ancillas or bottleneck == "none"):
        raise InputError("an adjoint decoder needs a bottleneck to undo anything, and no ancillas: take another")
    if decoder == "none" and len(trash) > ancillas:
        raise InputError("without a decoder the latent qubits are the output: only ancillas can be trash")
    return Wiring(qubits, ancillas, trash, bottleneck, decoder)


def check_trash_wires(trash_wires: Any, qubits: int) -> tuple[int, ...]:
    """Refuse trash qubits that cannot be reset.

    Returns:
        The wires as a tuple.

    Raises:
        InputError: they are no tuple of different qubits, or leave no latent one.
    """
    if not isinstance(trash_wires, tuple | list):
        raise InputError(f"trash wires {shown(trash_wires)} are no tuple: give one, such as (0,)")
    wires = tuple(whole(wire, "trash wire") for wire in trash_wires)
    if len(set(wires)) < len(wires) or not set(wires) < set(range(qubits)):
        raise InputError(
            f"trash wires {shown(wires)} must be different qubits from 0 to {qubits - 1} and leave a latent qubit"
        )
    return wires
