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

from qmae._values import MAX_LAYERS, MAX_QUBITS, choice, settle, whole
from qmae.ansatz.blocks import BLOCKS, Block, Gate


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
