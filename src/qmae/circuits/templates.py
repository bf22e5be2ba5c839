"""The ansatz as PennyLane templates; the gates are read from `qmae.ansatz`."""

# PennyLane's own annotations promise less than its objects keep.
# pyright: reportAttributeAccessIssue=false, reportIncompatibleMethodOverride=false, reportAssignmentType=false

from __future__ import annotations

from itertools import count
from typing import Any

import pennylane as qp
from pennylane.operation import Operation
from pennylane.wires import Wires, WiresLike

from qmae.ansatz.ansatz import Ansatz
from qmae.ansatz.blocks import BLOCKS, Block
from qmae.circuits.arrays import check_dimensions
from qmae.errors import InputError

_GATES = {"RY": qp.RY, "RZ": qp.RZ, "CNOT": qp.CNOT}


_KINDS: dict[int, Block] = {Ansatz(2, kind=kind).block_angles: kind for kind in BLOCKS}
"""The kind of a block by its number of angles."""


class TwoQubitBlock(Operation):
    r"""The general two-qubit circuit of 15 rotations and 3 CNOTs (Fig. 3 of `arXiv:2511.17372
    <https://arxiv.org/abs/2511.17372>`_), or the general real one of 6 rotations and 2 CNOTs.

    .. code-block:: none

        0: ──RZ──RY──RZ─╭X──RZ─╭●─────╭X──RZ──RY──RZ─┤
        1: ──RZ──RY──RZ─╰●──RY─╰X──RY─╰●──RZ──RY──RZ─┤

        0: ──RY─╭●──RY─╭●──RY─┤
        1: ──RY─╰X──RY─╰X──RY─┤

    Args:
        weights (tensor_like): the 15 or 6 angles, in the order of the rotations, of shape ``(15,)``, ``(6,)`` or
            with a batch dimension before it
        wires (WiresLike): the two wires

    Raises:
        ValueError: if the last dimension of ``weights`` is neither 15 nor 6

    **Example**

    >>> print(qp.draw(TwoQubitBlock.compute_decomposition)(np.zeros(15), wires=[0, 1]))
    0: ──RZ(0.00)──RY(0.00)──RZ(0.00)─╭X──RZ(0.00)─╭●───────────╭X──RZ(0.00)──RY(0.00)──RZ(0.00)─┤
    1: ──RZ(0.00)──RY(0.00)──RZ(0.00)─╰●──RY(0.00)─╰X──RY(0.00)─╰●──RZ(0.00)──RY(0.00)──RZ(0.00)─┤
    """

    num_wires = 2
    grad_method = None

    def __init__(self, weights: Any, wires: WiresLike, id: str | None = None) -> None:
        _kind(weights)
        check_dimensions(weights, "weights", "angles")
        super().__init__(weights, wires=wires, id=id)

    @staticmethod
    def compute_decomposition(weights: Any, wires: WiresLike) -> list[Operation]:
        """The gates of the block, in the order in which they act.

        Args:
            weights (tensor_like): the angles, as above
            wires (WiresLike): the two wires
        """
        wires, angle = Wires(wires), count()
        gates = []
        for gate in BLOCKS[_kind(weights)]:
            parameters = () if gate.name == "CNOT" else (weights[..., next(angle)],)
            gates.append(_GATES[gate.name](*parameters, wires=[wires[wire] for wire in gate.wires]))
        return gates

    def label(self, decimals: int | None = None, base_label: str | None = None, cache: dict | None = None) -> str:
        """How drawings name it: no angles."""
        return base_label or "U"

    @staticmethod
    def shape(kind: Block = "su4") -> tuple[int]:
        """Shape of the weights of one block.

        Args:
            kind (str): ``"su4"`` or ``"so4"``
        """
        return (Ansatz(2, kind=kind).block_angles,)


def _kind(weights: Any) -> Block:
    angles = (0, *qp.math.shape(weights))[-1]
    if angles not in _KINDS:
        raise InputError(f"weights need 15 or 6 angles in the last dimension, not {qp.math.shape(weights)}")
    return _KINDS[angles]


class AllPairsBlocks(Operation):
    r"""A `TwoQubitBlock` on every pair of wires in lexicographic order, layer after layer: the paper's encoder V.

    .. code-block:: none

        0: ─╭U─╭U────┤
        1: ─╰U─│──╭U─┤
        2: ────╰U─╰U─┤

    The decoder is ``qp.adjoint(AllPairsBlocks)(weights, wires)``.

    Args:
        weights (tensor_like): of shape ``(blocks, 15)`` or ``(blocks, 6)``, or with a batch dimension before it; see
            `shape`
        wires (WiresLike): at least two wires

    Raises:
        ValueError: if the number of blocks is not a multiple of the number of pairs
    """

    grad_method = None

    def __init__(self, weights: Any, wires: WiresLike, id: str | None = None) -> None:
        blocks, pairs = (0, *qp.math.shape(weights))[-2], Ansatz(len(Wires(wires))).blocks
        if not blocks or blocks % pairs:
            raise InputError(
                f"{len(Wires(wires))} wires have {pairs} pairs; weights for {blocks} blocks are no whole layers"
            )
        _kind(weights)
        check_dimensions(weights, "weights", "blocks", "angles")
        super().__init__(weights, wires=wires, id=id)

    @staticmethod
    def compute_decomposition(weights: Any, wires: WiresLike) -> list[Operation]:
        """One `TwoQubitBlock` per pair and layer; of real ones the gates, where those that blocks share are one.

        Args:
            weights (tensor_like): as above
            wires (WiresLike): the wires
        """
        wires = Wires(wires)
        pairs = Ansatz(len(wires)).pairs
        layers = qp.math.shape(weights)[-2] // len(pairs)
        if _kind(weights) == "so4":
            return _real_gates(weights, Ansatz(len(wires), layers, "so4"), wires)
        return [
            TwoQubitBlock(weights[..., block, :], wires=[wires[a], wires[b]])
            for block, (a, b) in enumerate(pairs * layers)
        ]

    def label(self, decimals: int | None = None, base_label: str | None = None, cache: dict | None = None) -> str:
        """How drawings name it: no angles."""
        return base_label or "V"

    @staticmethod
    def shape(n_layers: int, n_wires: int, kind: Block = "su4") -> tuple[int, int]:
        """Shape of the weights.

        Args:
            n_layers (int): number of layers
            n_wires (int): number of wires
            kind (str): of the blocks, ``"su4"`` or ``"so4"``
        """
        return Ansatz(n_wires, n_layers, kind).block_shape


def _real_gates(weights: Any, ansatz: Ansatz, wires: Wires) -> list[Operation]:
    rotations = qp.math.reshape(weights, (*qp.math.shape(weights)[:-2], -1))
    angles: dict[int, Any] = {}
    for rotation, angle in enumerate(ansatz.merged):
        angles[angle] = angles.get(angle, 0) + rotations[..., rotation]
    return [
        _GATES[name](*() if angle is None else (angles[angle],), wires=[wires[qubit] for qubit in qubits])
        for name, qubits, angle in ansatz.gates()
    ]
