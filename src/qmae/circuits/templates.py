"""The ansatz as PennyLane templates; the gates are read from `qmae.ansatz`."""

# PennyLane's own annotations promise less than its objects keep.
# pyright: reportAttributeAccessIssue=false, reportIncompatibleMethodOverride=false, reportAssignmentType=false

from __future__ import annotations

import math
from itertools import count
from typing import Any

import pennylane as qp
from pennylane.operation import Operation
from pennylane.wires import Wires, WiresLike

from qmae.ansatz.ansatz import Ansatz
from qmae.ansatz.blocks import BLOCKS, ENTANGLERS, ROTATIONS
from qmae.circuits.arrays import shape_of
from qmae.errors import InputError


class TwoQubitBlock(Operation):
    r"""A two-qubit circuit of `qmae.ansatz.blocks.BLOCKS`: the paper's general one of 15 rotations and 3 CNOTs (Fig. 3
    of `arXiv:2511.17372 <https://arxiv.org/abs/2511.17372>`_), the general real one of 6 rotations and 2 CNOTs, or one
    that was registered.

    .. code-block:: none

        0: ──RZ──RY──RZ─╭X──RZ─╭●─────╭X──RZ──RY──RZ─┤   su4
        1: ──RZ──RY──RZ─╰●──RY─╰X──RY─╰●──RZ──RY──RZ─┤

        0: ──RY─╭●──RY─╭●──RY─┤   so4
        1: ──RY─╰X──RY─╰X──RY─┤

    Args:
        weights (tensor_like): the angles in the order of the rotations, of `shape`, or a batch of them
        wires (WiresLike): the two wires
        block (str): which block

    Raises:
        ValueError: if there is no such block, or it has another number of angles

    **Example**

    >>> print(qp.draw(TwoQubitBlock.compute_decomposition)(np.zeros(15), wires=[0, 1]))
    0: ──RZ(0.00)──RY(0.00)──RZ(0.00)─╭X──RZ(0.00)─╭●───────────╭X──RZ(0.00)──RY(0.00)──RZ(0.00)─┤
    1: ──RZ(0.00)──RY(0.00)──RZ(0.00)─╰●──RY(0.00)─╰X──RY(0.00)─╰●──RZ(0.00)──RY(0.00)──RZ(0.00)─┤
    """

    num_wires = 2
    grad_method = None

    def __init__(self, weights: Any, wires: WiresLike, block: str = "su4", id: str | None = None) -> None:
        _check_shape(weights, self.shape(block))
        self._hyperparameters = {"block": block}
        super().__init__(weights, wires=wires, id=id)

    @staticmethod
    def compute_decomposition(weights: Any, wires: WiresLike, block: str = "su4") -> list[Operation]:
        """The gates of the block, in the order in which they act.

        Args:
            weights (tensor_like): the angles, as above
            wires (WiresLike): the two wires
            block (str): which block
        """
        wires, angle = Wires(wires), count()
        return [
            _gate(gate.name, [wires[wire] for wire in gate.wires], weights[..., next(angle)] if gate.turns else None)
            for gate in BLOCKS[block].gates
        ]

    def label(self, decimals: int | None = None, base_label: str | None = None, cache: dict | None = None) -> str:
        """How drawings name it: no angles."""
        return base_label or "U"

    @staticmethod
    def shape(block: str = "su4") -> tuple[int]:
        """Shape of the weights.

        Args:
            block (str): which block
        """
        return (BLOCKS[block].angles,)


class BlockLayers(Operation):
    r"""A `TwoQubitBlock` on pairs of wires, layer after layer: with `su4` on all pairs in lexicographic order it is the
    paper's encoder V.

    .. code-block:: none

        0: ─╭U─╭U────┤
        1: ─╰U─│──╭U─┤
        2: ────╰U─╰U─┤

    The decoder is ``qp.adjoint(BlockLayers)(weights, wires)``.

    Args:
        weights (tensor_like): of `shape`, or with a batch dimension before it: ``(blocks, 15)`` for `su4`; flat for
            `so4`, where blocks share rotations
        wires (WiresLike): at least two wires
        block (str): which block; its entry in `BLOCKS` says on which pairs

    Raises:
        ValueError: if there is no such block, or the weights are of no number of layers
    """

    grad_method = None

    def __init__(self, weights: Any, wires: WiresLike, block: str = "su4", id: str | None = None) -> None:
        _check_shape(weights, _ansatz(weights, wires, block).angle_shape)
        self._hyperparameters = {"block": block}
        super().__init__(weights, wires=wires, id=id)

    @staticmethod
    def compute_decomposition(weights: Any, wires: WiresLike, block: str = "su4") -> list[Operation]:
        """One `TwoQubitBlock` per pair and layer; of blocks that share rotations the gates, each of them once.

        Args:
            weights (tensor_like): as above
            wires (WiresLike): the wires
            block (str): which block
        """
        wires, ansatz = Wires(wires), _ansatz(weights, wires, block)
        if ansatz.block.shares_rotations:
            return [
                _gate(name, [wires[qubit] for qubit in qubits], None if angle is None else weights[..., angle])
                for name, qubits, angle in ansatz.gates()
            ]
        return [
            TwoQubitBlock(weights[..., index, :], wires=[wires[a], wires[b]], block=block)
            for index, (a, b) in enumerate(ansatz.pairs)
        ]

    def label(self, decimals: int | None = None, base_label: str | None = None, cache: dict | None = None) -> str:
        """How drawings name it: no angles."""
        return base_label or "V"

    @staticmethod
    def shape(n_layers: int, n_wires: int, block: str = "su4") -> tuple[int, ...]:
        """Shape of the weights.

        Args:
            n_layers (int): number of layers
            n_wires (int): number of wires
            block (str): which block
        """
        return Ansatz(n_wires, n_layers, block).angle_shape


def _gate(name: str, wires: list[Any], angle: Any) -> Operation:
    """PennyLane's gate of this name; `angle` is None for one without."""
    if name not in (*ROTATIONS, *ENTANGLERS):
        raise ValueError(f"no gate of PennyLane's for {name}")
    return getattr(qp, name)(*() if angle is None else (angle,), wires=wires)


def _ansatz(weights: Any, wires: WiresLike, block: str) -> Ansatz:
    """The ansatz that has these weights."""
    qubits, shape = len(Wires(wires)), shape_of(weights, "weights")
    single = Ansatz(qubits, 1, block)
    return Ansatz.of_angles(qubits, block, math.prod(shape[-len(single.angle_shape) :]))


def _check_shape(weights: Any, wanted: tuple[int, ...]) -> None:
    found = shape_of(weights, "weights")
    if found[-len(wanted) :] != wanted or len(found) > len(wanted) + 1 or not all(found):
        sizes = ", ".join(map(str, wanted))
        raise InputError(f"weights of shape {list(found)}: give an array [{sizes}], or a batch [N, {sizes}]")
