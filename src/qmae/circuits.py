"""The autoencoder as PennyLane circuits, which run on any PennyLane device; the gates are read from `ansatz`."""

# PennyLane's own annotations promise less than its objects keep.
# pyright: reportAttributeAccessIssue=false, reportIncompatibleMethodOverride=false, reportAssignmentType=false

from __future__ import annotations

from dataclasses import dataclass
from itertools import count, islice
from typing import Any, Literal, get_args

import pennylane as qp
from pennylane.measurements import ExpectationMP, ProbabilityMP
from pennylane.operation import Operation
from pennylane.wires import Wires, WiresLike

from qmae.ansatz import SU4_BLOCK, Ansatz
from qmae.errors import InputError

Overlap = Literal["swap", "inverse"]
"""How the output is compared with the original. `swap`: the paper's SWAP test, with the original on qubits of its own.
`inverse`: undo the original's preparation and measure how often all qubits are 0."""

Reset = Literal["swap", "measure"]
"""How the trash is reset. `swap`: exchanged with fresh qubits (paper). `measure`: measured and flipped back to 0."""

_GATES = {"RY": qp.RY, "RZ": qp.RZ, "CNOT": qp.CNOT}


class TwoQubitBlock(Operation):
    r"""The general two-qubit circuit of 15 rotations and 3 CNOTs (Fig. 3 of `arXiv:2511.17372
    <https://arxiv.org/abs/2511.17372>`_).

    .. code-block:: none

        0: ──RZ──RY──RZ─╭X──RZ─╭●─────╭X──RZ──RY──RZ─┤
        1: ──RZ──RY──RZ─╰●──RY─╰X──RY─╰●──RZ──RY──RZ─┤

    Args:
        weights (tensor_like): the 15 angles, in the order of the rotations, of shape ``(15,)`` or ``(batch, 15)``
        wires (WiresLike): the two wires

    Raises:
        ValueError: if the last dimension of ``weights`` is not 15

    **Example**

    >>> print(qp.draw(TwoQubitBlock.compute_decomposition)(np.zeros(15), wires=[0, 1]))
    0: ──RZ(0.00)──RY(0.00)──RZ(0.00)─╭X──RZ(0.00)─╭●───────────╭X──RZ(0.00)──RY(0.00)──RZ(0.00)─┤
    1: ──RZ(0.00)──RY(0.00)──RZ(0.00)─╰●──RY(0.00)─╰X──RY(0.00)─╰●──RZ(0.00)──RY(0.00)──RZ(0.00)─┤
    """

    num_wires = 2

    def __init__(self, weights: Any, wires: WiresLike, id: str | None = None) -> None:
        if qp.math.shape(weights)[-1] != self.shape()[-1]:
            raise ValueError(
                f"weights need {self.shape()[-1]} angles in the last dimension, not {qp.math.shape(weights)}"
            )
        super().__init__(weights, wires=wires, id=id)

    @staticmethod
    def compute_decomposition(weights: Any, wires: WiresLike) -> list[Operation]:
        """The gates of the block, in the order in which they act.

        Args:
            weights (tensor_like): the angles, of shape ``(15,)`` or ``(batch, 15)``
            wires (WiresLike): the two wires
        """
        wires, angle = Wires(wires), count()
        gates = []
        for gate in SU4_BLOCK:
            parameters = () if gate.name == "CNOT" else (weights[..., next(angle)],)
            gates.append(_GATES[gate.name](*parameters, wires=[wires[wire] for wire in gate.wires]))
        return gates

    @staticmethod
    def shape() -> tuple[int]:
        """Shape of the weights of one block."""
        return (Ansatz(2).block_angles,)


class AllPairsBlocks(Operation):
    r"""A `TwoQubitBlock` on every pair of wires in lexicographic order, layer after layer: the paper's encoder V.

    .. code-block:: none

        0: ─╭Block─╭Block────────┤
        1: ─╰Block─│──────╭Block─┤
        2: ────────╰Block─╰Block─┤

    The decoder is ``qp.adjoint(AllPairsBlocks)(weights, wires)``.

    Args:
        weights (tensor_like): of shape ``(blocks, 15)`` or ``(batch, blocks, 15)``; see `shape`
        wires (WiresLike): at least two wires

    Raises:
        ValueError: if the number of blocks is not a multiple of the number of pairs
    """

    def __init__(self, weights: Any, wires: WiresLike, id: str | None = None) -> None:
        blocks, pairs = qp.math.shape(weights)[-2], len(Ansatz(len(Wires(wires))).pairs)
        if blocks % pairs:
            raise ValueError(
                f"{len(Wires(wires))} wires have {pairs} pairs; weights for {blocks} blocks are no whole layers"
            )
        super().__init__(weights, wires=wires, id=id)

    @staticmethod
    def compute_decomposition(weights: Any, wires: WiresLike) -> list[Operation]:
        """One `TwoQubitBlock` per pair and layer.

        Args:
            weights (tensor_like): of shape ``(blocks, 15)`` or ``(batch, blocks, 15)``
            wires (WiresLike): the wires
        """
        wires = Wires(wires)
        pairs = Ansatz(len(wires)).pairs
        layers = qp.math.shape(weights)[-2] // len(pairs)
        return [
            TwoQubitBlock(weights[..., block, :], wires=[wires[a], wires[b]])
            for block, (a, b) in enumerate(pairs * layers)
        ]

    @staticmethod
    def shape(n_layers: int, n_wires: int) -> tuple[int, int]:
        """Shape of the weights.

        Args:
            n_layers (int): number of layers
            n_wires (int): number of wires
        """
        return Ansatz(n_wires, n_layers).angle_shape


def swap_test(ancilla: int, first: WiresLike, second: WiresLike) -> ExpectationMP:
    """SWAP test of two registers of equal size (Fig. 5): <Z> of the ancilla is Tr(rho sigma) (Eq. 8).

    Args:
        ancilla: a wire in |0>.
        first: the wires of rho.
        second: the wires of sigma.
    """
    qp.Hadamard(ancilla)
    for pair in zip(Wires(first), Wires(second), strict=True):
        qp.CSWAP(wires=[ancilla, *pair])
    qp.Hadamard(ancilla)
    return qp.expval(qp.Z(ancilla))


@dataclass(frozen=True)
class AutoencoderCircuit:
    """The autoencoder as quantum functions for `qp.QNode`, on any device.

    Attributes:
        ansatz: the encoder; the decoder is its adjoint.
        trash_wires: which of the ansatz's qubits are reset.
        overlap: `"swap"` (paper) or `"inverse"`, which needs no ancilla and no qubits for the original.
        reset: `"swap"` (paper) or `"measure"`, which needs no fresh qubits.
        joint_preparation: prepare input and reference as one product state. A simulator sets that in one go, to
            rounding, where it would build a second state by rotations that cost it six digits; a device wants them
            apart. Only with `overlap="swap"`.

    Raises:
        InputError: an unknown kind of overlap or reset, or a joint preparation without a reference.

    Example:
        >>> circuit = AutoencoderCircuit(Ansatz(8))
        >>> fidelity = qp.QNode(circuit.fidelity, qp.device("lightning.qubit", wires=circuit.num_wires))
        >>> fidelity(angles, filled, original)
    """

    ansatz: Ansatz
    trash_wires: tuple[int, ...] = (0,)
    overlap: Overlap = "swap"
    reset: Reset = "swap"
    joint_preparation: bool = False

    def __post_init__(self) -> None:
        for name, kinds in (("overlap", Overlap), ("reset", Reset)):
            if getattr(self, name) not in get_args(kinds):
                raise InputError(f"no {name} {getattr(self, name)!r}: choose one of {', '.join(get_args(kinds))}")
        if self.joint_preparation and self.overlap != "swap":
            raise InputError("a joint preparation needs a reference: choose overlap='swap'")

    @property
    def registers(self) -> dict[str, tuple[int, ...]]:
        """The wires of `ancilla`, `fresh`, `input` and `reference`, in this order; the paper's are 0, 1, 2-9, 10-17."""
        sizes = {
            "ancilla": int(self.overlap == "swap"),
            "fresh": len(self.trash_wires) if self.reset == "swap" else 0,
            "input": self.ansatz.qubits,
            "reference": self.ansatz.qubits if self.overlap == "swap" else 0,
        }
        wires = iter(range(sum(sizes.values())))
        return {name: tuple(islice(wires, size)) for name, size in sizes.items()}

    @property
    def num_wires(self) -> int:
        """Number of qubits: 2n + trash + 1 for the paper's circuit, at least n."""
        return sum(map(len, self.registers.values()))

    def fidelity(self, angles: Any, filled: Any, original: Any) -> ExpectationMP:
        """The paper's training circuit (Fig. 4): the autoencoder's output is compared with the original.

        Args:
            angles: [blocks, 15] in radians.
            filled: amplitudes [2^n] of the image with the token in the hole, of norm 1.
            original: amplitudes [2^n] of the unmasked image, of norm 1.

        Returns:
            The measurement whose expectation value is the fidelity F (Eq. 8).
        """
        wires = self.registers
        if self.joint_preparation:
            qp.StatePrep(qp.math.kron(filled, original), wires=wires["input"] + wires["reference"])
        else:
            qp.StatePrep(filled, wires=wires["input"])
            if self.overlap == "swap":
                qp.StatePrep(original, wires=wires["reference"])
        self._run(angles)
        if self.overlap == "swap":
            return swap_test(wires["ancilla"][0], wires["input"], wires["reference"])
        qp.adjoint(qp.StatePrep)(original, wires=wires["input"])
        return qp.expval(qp.Projector([0] * self.ansatz.qubits, wires=wires["input"]))

    def probabilities(self, angles: Any, filled: Any) -> ProbabilityMP:
        """The autoencoder alone, its output measured: the reconstruction.

        Args:
            angles: [blocks, 15] in radians.
            filled: amplitudes [2^n] of the image with the token in the hole, of norm 1.

        Returns:
            The measurement that gives the probabilities [2^n] of the basis states, diag rho (Eq. 6).
        """
        qp.StatePrep(filled, wires=self.registers["input"])
        self._run(angles)
        return qp.probs(wires=self.registers["input"])

    def _run(self, angles: Any) -> None:
        wires = self.registers
        AllPairsBlocks(angles, wires=wires["input"])
        trash = [wires["input"][wire] for wire in self.trash_wires]
        if self.reset == "swap":
            for pair in zip(wires["fresh"], trash, strict=True):
                qp.SWAP(wires=pair)
        else:
            for wire in trash:
                qp.measure(wire, reset=True)
        qp.adjoint(AllPairsBlocks)(angles, wires=wires["input"])
