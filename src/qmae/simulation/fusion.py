"""A layer of the circuit as few unitaries, each on two registers of neighbouring qubits."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache, reduce

import numpy as np
import torch
from jaxtyping import Inexact, Int
from torch import Tensor

from qmae.ansatz.ansatz import Ansatz
from qmae.simulation.precision import constant


# Compared by identity, as its array cannot be.
@dataclass(frozen=True, eq=False)
class Fusion:
    """The blocks of a layer, multiplied into few unitaries on pairs of registers.

    Blocks that share no qubit commute. So all blocks on the qubits of two registers can act together, even if others
    stand between them in the layer: the 28 blocks on all pairs of 8 qubits become 6 unitaries on 4 qubits each, and a
    state of n qubits becomes a tensor of fewer, longer indices.

    Attributes:
        registers: how many there are.
        qubits: of a register: 2 neighbours, or 1 where the number of all qubits is odd or 2.
        pairs: the two registers of every unitary, in the order in which the unitaries act.
        entries: where the entries of a unitary's factors lie in the flattened block matrices of a layer with a 0 and
            a 1 put behind them; the first factor acts first, missing ones are identities.
    """

    registers: int
    qubits: int
    pairs: tuple[tuple[int, int], ...]
    entries: Int[np.ndarray, "factors pairs fused fused"]

    @property
    def levels(self) -> int:
        """Basis states of a register."""
        return 2**self.qubits

    def unitaries(
        self, blocks: Inexact[Tensor, "blocks 4 4"], layers: int
    ) -> Inexact[Tensor, "layers pairs fused fused"]:
        """Multiply the matrices of all blocks; the first register is the more significant part of an index."""
        flat = blocks.reshape(layers, -1)
        zero = torch.zeros_like(flat[:, :1])
        entries = constant(self.entries, device=blocks.device)
        factors = torch.cat([flat, zero, zero + 1], dim=1)[:, entries].transpose(0, 1).flatten(1, 2)
        products = reduce(lambda product, factor: torch.bmm(factor, product), factors.unbind())
        return products.unflatten(0, (layers, -1))


@lru_cache(maxsize=16)
def fuse(ansatz: Ansatz) -> Fusion:
    """Lay the blocks of a layer out as factors of the unitaries of pairs of registers."""
    size = 2 if ansatz.qubits % 2 == 0 and ansatz.qubits > 2 else 1
    groups, zero = deal(ansatz, size), 16 * len(ansatz.layer)
    entries = [
        [embedded_entries(block, group.local(ansatz.layer[block]), zero, 2 * size) for block in group.blocks]
        for group in groups
    ]
    identity = _identity_entries(4**size, zero)
    depth = max(map(len, entries))
    padded = [np.stack(factors + [identity] * (depth - len(factors))) for factors in entries]
    return Fusion(ansatz.qubits // size, size, tuple(group.registers for group in groups), np.stack(padded, axis=1))


@dataclass(frozen=True)
class Group:
    """Blocks of a layer that act together.

    Attributes:
        registers: the two registers on which they act.
        wires: the qubits of these.
        blocks: which of the layer, in the order in which they act.
    """

    registers: tuple[int, int]
    wires: tuple[int, ...]
    blocks: list[int] = field(default_factory=list)

    def local(self, pair: tuple[int, int]) -> tuple[int, int]:
        """Which two of the group's qubits a pair of qubits is."""
        return self.wires.index(pair[0]), self.wires.index(pair[1])


def deal(ansatz: Ansatz, size: int) -> list[Group]:
    """Deal the blocks of a layer out to pairs of registers of `size` qubits, in the order in which these act.

    A block joins a group on its registers after which no group acts on its qubits: it commutes with all blocks between.
    """
    groups: list[Group] = []
    last = [-1] * ansatz.qubits  # the last group that acts on a qubit
    for block, pair in enumerate(ansatz.layer):
        registers = {qubit // size for qubit in pair}
        first = max(0, *(last[qubit] for qubit in pair))
        fitting = (index for index in range(first, len(groups)) if registers <= {*groups[index].registers})
        index = next(fitting, len(groups))
        if index == len(groups):
            groups.append(_group(registers, size, ansatz.qubits // size))
        groups[index].blocks.append(block)
        for qubit in pair:
            last[qubit] = index
    return groups


def _group(registers: set[int], size: int, count: int) -> Group:
    """A group without blocks on one or two of `count` registers; one register is joined by its neighbour."""
    first, second = min(registers), max(registers)
    if first == second:
        first, second = (first, first + 1) if first + 1 < count else (first - 1, first)
    return Group(
        (first, second), tuple(size * register + qubit for register in (first, second) for qubit in range(size))
    )


def _identity_entries(dim: int, zero: int) -> Int[np.ndarray, "dim dim"]:
    """Where the entries of an identity lie: 1 comes behind 0."""
    return zero + np.eye(dim, dtype=np.int64)


def embedded_entries(block: int, pair: tuple[int, int], zero: int, width: int) -> Int[np.ndarray, "dim dim"]:
    """Where the entries of a block's matrix lie when it acts on two of `width` qubits; elsewhere `zero`."""
    index = np.arange(2**width)
    bit = [(index >> (width - 1 - wire)) & 1 for wire in range(width)]
    local = 2 * bit[pair[0]] + bit[pair[1]]
    others = np.stack([bit[wire] for wire in range(width) if wire not in pair] or [np.zeros_like(index)])
    same = (others[:, :, None] == others[:, None]).all(0)
    return np.where(same, 16 * block + 4 * local[:, None] + local, zero)
