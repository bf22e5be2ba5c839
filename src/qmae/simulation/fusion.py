"""A layer of the circuit as few unitaries, each on two registers of neighbouring qubits."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations

import numpy as np
import torch
from jaxtyping import Float, Inexact, Int
from torch import Tensor

from qmae.ansatz.ansatz import Ansatz
from qmae.simulation.blocks import block_unitaries, multiply
from qmae.simulation.precision import constant


# Compared by identity, as its array cannot be.
@dataclass(frozen=True, eq=False)
class Fusion:
    """The blocks of a layer, multiplied into one unitary for every pair of registers.

    Blocks on four different qubits commute. So all blocks between two registers can act together, in the order of the
    pairs of registers, and those inside a register with them: the 28 blocks on 8 qubits become 6 unitaries on 4, and
    a state of n qubits a tensor of fewer, longer indices.

    Attributes:
        qubits: of a register: 2 neighbours, or 1 where the number of all qubits is odd or 2.
        pairs: the two registers of every unitary, in the order in which the unitaries act.
        entries: where the entries of a unitary's factors lie in the flattened block matrices of a layer with a 0 and
            a 1 put behind them; the first factor acts first, missing ones are identities.
    """

    qubits: int
    pairs: tuple[tuple[int, int], ...]
    entries: Int[np.ndarray, "factors pairs fused fused"]

    @property
    def levels(self) -> int:
        """Basis states of a register."""
        return 2**self.qubits

    @property
    def registers(self) -> int:
        """Number of registers."""
        return 1 + self.pairs[-1][1]

    def unitaries(
        self, angles: Float[Tensor, "blocks angles"], ansatz: Ansatz
    ) -> Inexact[Tensor, "layers pairs fused fused"]:
        """Turn angles into the unitaries; the first register is the more significant part of an index."""
        blocks = block_unitaries(angles, ansatz.block).reshape(ansatz.layers, -1)
        zero = torch.zeros_like(blocks[:, :1])
        entries = constant(self.entries, device=angles.device)
        factors = torch.cat([blocks, zero, zero + 1], dim=1)[:, entries].transpose(0, 1)
        return multiply(factors.flatten(1, 2)).unflatten(0, (ansatz.layers, -1))


@lru_cache(maxsize=16)
def fuse(ansatz: Ansatz) -> Fusion:
    """Lay the blocks of a layer out as factors of the unitaries of pairs of registers."""
    size = 2 if ansatz.qubits % 2 == 0 and ansatz.qubits > 2 else 1
    dealt, zero = deal(ansatz, size), 16 * len(layer_pairs(ansatz))
    groups = {
        pair: [embedded_entries(block, wires, zero, 2 * size) for block, wires in group]
        for pair, group in dealt.items()
    }
    identity = _identity_entries(4**size, zero)
    depth = max(map(len, groups.values()))
    padded = [np.stack(group + [identity] * (depth - len(group))) for group in groups.values()]
    return Fusion(size, tuple(groups), np.stack(padded, axis=1))


def layer_pairs(ansatz: Ansatz) -> tuple[tuple[int, int], ...]:
    """The pairs of qubits of one layer."""
    return ansatz.pairs[: len(ansatz.pairs) // ansatz.layers]


def deal(ansatz: Ansatz, size: int) -> dict[tuple[int, int], list[tuple[int, tuple[int, int]]]]:
    """Deal the blocks of a layer out to the pairs of registers of `size` qubits.

    Returns:
        For every pair of registers, in the order in which they act, its blocks in theirs: which one of the layer, and
        on which two of the 2 `size` qubits.
    """
    groups = {pair: [] for pair in combinations(range(ansatz.qubits // size), 2)}
    for block, (a, b) in enumerate(layer_pairs(ansatz)):
        first, second = a // size, b // size
        # Inside a register: behind all that it shares with the register before it, and so before all that come later.
        pair = (first, second) if first < second else (max(first - 1, 0), max(first, 1))
        wires = [size * register + qubit for register in pair for qubit in range(size)]
        groups[pair].append((block, (wires.index(a), wires.index(b))))
    return groups


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
