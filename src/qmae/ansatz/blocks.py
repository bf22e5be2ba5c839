"""The two-qubit blocks as data: a gate sequence is written down here and nowhere else.

The exact simulation and the PennyLane templates both read it from here."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations

from qmae._values import Registry, number, settle
from qmae.errors import InputError

ROTATIONS = ("RX", "RY", "RZ")
"""Gates that turn by an angle, R_P(t) = exp(-i t P / 2)."""

ENTANGLERS = ("CNOT", "CZ")
"""Gates of two qubits, without an angle."""


@dataclass(frozen=True)
class Gate:
    """One gate of a two-qubit block.

    Attributes:
        name: of `ROTATIONS` or `ENTANGLERS`.
        wires: which of the block's two qubits, 0 (a) or 1 (b): one for a rotation; for `CNOT` control, then target.

    Raises:
        InputError: no such gate, or not on these wires.
    """

    name: str
    wires: tuple[int, ...]

    def __post_init__(self) -> None:
        settle(self, wires=tuple(self.wires) if isinstance(self.wires, list) else self.wires)
        possible = {(0,), (1,)} if self.name in ROTATIONS else {(0, 1), (1, 0)} if self.name in ENTANGLERS else set()
        if self.wires not in possible:
            known = f"{', '.join(ROTATIONS)} on (0,) or (1,), {' or '.join(ENTANGLERS)} on (0, 1) or (1, 0)"
            raise InputError(f"no gate {self.name!r} on the wires {self.wires!r} of a block: give {known}")

    @property
    def turns(self) -> bool:
        """Whether it has an angle."""
        return self.name in ROTATIONS


Pairs = tuple[tuple[int, int], ...]


def all_pairs(qubits: int) -> Pairs:
    """All pairs of so many qubits, in lexicographic order (Section 3.2, Eq. 3)."""
    return tuple(combinations(range(qubits), 2))


def ring(qubits: int) -> Pairs:
    """Every qubit and the next one, then the first and the last."""
    neighbours = tuple((qubit, qubit + 1) for qubit in range(qubits - 1))
    return (*neighbours, (0, qubits - 1)) if qubits > 2 else neighbours


@dataclass(frozen=True)
class Block:
    """A two-qubit circuit that an ansatz repeats.

    Attributes:
        gates: in the order in which they act; one rotation at least.
        pairs: where the blocks of a layer act, for a number of qubits: pairs (a, b) with a < b, in order.
        identity: angles at which the block is the identity but for a phase; None if that is not known.
        shares_rotations: whether a rotation at the end of a block and one about the same axis at the start of the next
            block on this qubit are one gate with one angle.

    Raises:
        InputError: something that is no gate, no rotation, rotations that are shared and no entangler between them, or
            angles of the identity that are not finite or not as many as rotations.
    """

    gates: tuple[Gate, ...]
    pairs: Callable[[int], Pairs] = all_pairs
    identity: tuple[float, ...] | None = None
    shares_rotations: bool = False

    def __post_init__(self) -> None:
        gates = tuple(self.gates) if isinstance(self.gates, list | tuple) else (self.gates,)
        if not all(isinstance(gate, Gate) for gate in gates) or not callable(self.pairs):
            raise InputError("a block is a tuple of gates and a function that gives pairs: give Gate objects, and ring")
        settle(self, gates=gates)
        if not self.angles:
            raise InputError("a block without a rotation has nothing to be trained: give it one")
        if self.shares_rotations and not any(gate.name in ENTANGLERS for gate in gates):
            raise InputError("shared rotations without CNOT or CZ between them would all be one: give the block one")
        if self.identity is None:
            return
        angles = tuple(number(angle, "angle of the identity") for angle in self.identity)
        if len(angles) != self.angles:
            raise InputError(f"a block of {self.angles} rotations is the identity at as many angles: give these")
        settle(self, identity=angles)

    @property
    def angles(self) -> int:
        """Number of rotations."""
        return sum(gate.turns for gate in self.gates)

    @property
    def is_real(self) -> bool:
        """Whether its matrix is real whatever its angles."""
        return not any(gate.name in ("RX", "RZ") for gate in self.gates)


def _any_rotation(wire: int) -> tuple[Gate, ...]:
    """The Euler angles of a single-qubit rotation: they reach all of SU(2)."""
    return Gate("RZ", (wire,)), Gate("RY", (wire,)), Gate("RZ", (wire,))


A, B = 0, 1

_TURN = math.pi / 2

SU4 = Block(
    (
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
    ),
    identity=(-_TURN, 0.0, 0.0, _TURN, 0.0, 0.0, -_TURN, -_TURN, _TURN, *(0.0,) * 6),
)
"""The general two-qubit circuit of 15 rotations and 3 CNOTs (Fig. 3 of the paper, after Wang et al. 2024). Its angles
are numbered in the order of the rotations. It reaches all of SU(4); at zero angles it is a SWAP."""

_REAL_ROTATIONS = Gate("RY", (A,)), Gate("RY", (B,))

SO4 = Block(
    (
        *_REAL_ROTATIONS,
        Gate("CNOT", (A, B)),
        *_REAL_ROTATIONS,
        Gate("CNOT", (A, B)),
        *_REAL_ROTATIONS,
    ),
    identity=(0.0,) * 6,
    shares_rotations=True,
)
"""The general real two-qubit circuit of 6 rotations and 2 CNOTs: it reaches all of SO(4), as two Euler decompositions
side by side (`environments.angles_of` inverts it). It begins and ends with rotations, which
neighbouring blocks share."""

BLOCKS = Registry("block", Block, {"su4": SU4, "so4": SO4})
"""The blocks by name. `BLOCKS.register(name, Block(...))` adds one, which every part of the package then knows."""
