"""The circuit as data: which blocks, on which qubits, with which angles.

The exact simulation and the PennyLane templates both read it from here; the gates of a block are in `blocks`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import count

from qmae._values import MAX_LAYERS, MAX_QUBITS, settle, whole
from qmae.ansatz.blocks import BLOCKS, Block, Pairs
from qmae.errors import InputError


@dataclass(frozen=True)
class Ansatz:
    """Two-qubit blocks on pairs of qubits, layer after layer (Section 3.2, Eq. 3).

    Qubit 0 is the most significant bit of the pixel index. In a block on the pair (a, b), a < b.

    Attributes:
        qubits: number of qubits n, 2 to `MAX_QUBITS`.
        layers: how often the blocks are repeated, each time with angles of their own; at most `MAX_LAYERS`.
        kind: of the blocks, a name in `BLOCKS`: `"su4"` (15 rotations, paper) or `"so4"` (6 rotations, real), both on
            all pairs of qubits in lexicographic order.

    Raises:
        InputError: qubits or layers that are no whole numbers or out of bounds, an unknown kind of block, or one that
            acts on no pairs of these qubits.
    """

    qubits: int
    layers: int = 1
    kind: str = "su4"

    def __post_init__(self) -> None:
        qubits = whole(self.qubits, "the ansatz's number of qubits", 2, MAX_QUBITS)
        settle(self, qubits=qubits, layers=whole(self.layers, "number of layers", 1, MAX_LAYERS))
        possible = {(a, b) for b in range(qubits) for a in range(b)}
        if not self.layer or not {*self.layer} <= possible:
            raise InputError(
                f"the block {self.kind} does not act on pairs (a, b), a < b, of {qubits} qubits: take another"
            )

    @classmethod
    def of_angles(cls, qubits: int, kind: str, angles: int) -> Ansatz:
        """The ansatz with this number of angles.

        Raises:
            InputError: no whole number of layers has as many.
        """
        angles = whole(angles, "number of angles", 1)
        first, both = (cls(qubits, layers, kind).angles for layers in (1, 2))
        more, rest = divmod(angles - first, both - first)
        if rest or more < 0:
            raise InputError(
                f"{angles} angles are no whole layers of the block {kind} on {qubits} qubits: give {first}, and "
                f"{both - first} for every further layer"
            )
        return cls(qubits, 1 + more, kind)

    @property
    def block(self) -> Block:
        """The two-qubit block that is repeated."""
        return BLOCKS[self.kind]

    @cached_property
    def layer(self) -> Pairs:
        """The pair of qubits of every block of a layer, in the order in which the blocks act."""
        return tuple((int(a), int(b)) for a, b in self.block.pairs(self.qubits))

    @property
    def pairs(self) -> Pairs:
        """The pair of qubits of every block of all layers, in the order in which the blocks act."""
        return self.layer * self.layers

    @property
    def blocks(self) -> int:
        """Number of blocks of all layers."""
        return len(self.layer) * self.layers

    def gates(self) -> Iterator[tuple[str, tuple[int, ...], int | None]]:
        """Every gate of the circuit in the order in which they act.

        Yields:
            Its name, its qubits, and which of the circuit's angles it turns by, None for one without an angle.
        """
        merged, angle = iter(self.merged), count()
        following = next(angle)
        for pair in self.pairs:
            for gate in self.block.gates:
                qubits = tuple(pair[wire] for wire in gate.wires)
                if not gate.turns:
                    yield gate.name, qubits, None
                elif next(merged) == following:
                    yield gate.name, qubits, following
                    following = next(angle)

    @cached_property
    def merged(self) -> tuple[int, ...]:
        """For every rotation of all blocks, in order, the index of the circuit's angle that it is a part of.

        Where blocks share rotations, one at the end of a block and one at the start of the next block on this qubit are
        one gate, that of the earlier block, and turn by the sum of the two.
        """
        angle, merged, open_end = count(), [], {}
        for pair in self.pairs:
            for gate in self.block.gates:
                qubits = [pair[wire] for wire in gate.wires]
                if not gate.turns:
                    for qubit in qubits:
                        open_end.pop(qubit, None)
                    continue
                known, index = open_end.get(qubits[0], (None, 0))
                if not self.block.shares_rotations or known != gate.name:
                    index = next(angle)
                merged.append(index)
                open_end[qubits[0]] = gate.name, index
        return tuple(merged)

    @property
    def block_shape(self) -> tuple[int, int]:
        """Shape (blocks, rotations of a block) of the rotations of all blocks, each by itself."""
        return self.blocks, self.block.angles

    @property
    def angle_shape(self) -> tuple[int, ...]:
        """Shape of the circuit's angles: `block_shape`; flat where blocks share rotations, one for every gate."""
        return (self.angles,) if self.block.shares_rotations else self.block_shape

    @cached_property
    def angles(self) -> int:
        """Number of angles: 15 a block for `su4` (Eq. 3), for `so4` 4 a block and one more for every qubit."""
        if not self.block.shares_rotations:
            return self.blocks * self.block.angles
        # Every layer but the first adds as many: counted on two, as there may be thousands.
        first, both = (1 + max(Ansatz(self.qubits, layers, self.kind).merged) for layers in (1, 2))
        return first + (self.layers - 1) * (both - first)
