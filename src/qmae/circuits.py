"""The autoencoder as PennyLane circuits, which run on any PennyLane device; the gates are read from `ansatz`."""

# PennyLane's own annotations promise less than its objects keep.
# pyright: reportAttributeAccessIssue=false, reportIncompatibleMethodOverride=false, reportAssignmentType=false

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from itertools import count, islice
from typing import Any, get_args

import numpy as np
import pennylane as qp
from pennylane.measurements import ExpectationMP, ProbabilityMP
from pennylane.operation import Operation
from pennylane.wires import Wires, WiresLike

from qmae.ansatz import SU4_BLOCK, Ansatz, check_trash_wires
from qmae.errors import InputError
from qmae.settings import Overlap, Reset

_GATES = {"RY": qp.RY, "RZ": qp.RZ, "CNOT": qp.CNOT}


class RealAmplitudeEmbedding(qp.StatePrep):
    r"""Amplitude embedding of real numbers (Eq. 2): one rotation tree of 2^n - 1 RY and 2^n - 2 CNOT, signs included.

    Simulators set the state in one go, as they do for ``qp.StatePrep``. Where gates are needed, on a device, in an
    adjoint or after other gates, this decomposition is exact to rounding and needs no phases (Möttönen et al.,
    `quant-ph/0407010 <https://arxiv.org/abs/quant-ph/0407010>`_).

    .. code-block:: none

        0: ──RY─╭●────╭●────┤
        1: ─────╰RY∘●─├●────┤
        2: ───────────╰RY∘●─┤

    Args:
        state (tensor_like): real amplitudes of norm 1, of shape ``(2**n,)``
        wires (WiresLike): n wires, the most significant first

    Raises:
        ValueError: if the number or the norm of the amplitudes is wrong, or they are not real; if gates are asked for a
            batch; or if they are asked for a state to be differentiated in which a pair of neighbours is black. There
            the rotation's angle has no derivative, and NaN would come out: differentiate by backpropagation or by
            `token_gradient`.
    """

    def __init__(self, state: Any, wires: WiresLike, id: str | None = None, **options: Any) -> None:
        if qp.math.any(qp.math.imag(state) != 0):
            raise ValueError("RealAmplitudeEmbedding prepares real amplitudes only: use qp.StatePrep for complex ones")
        super().__init__(state, wires, id=id, **{"validate_norm": True, **options})

    @staticmethod
    def compute_decomposition(state: Any, wires: WiresLike, **_: Any) -> list[Operation]:
        """A uniformly controlled RY on every wire, selected by the wires before it.

        Args:
            state (tensor_like): real amplitudes, of shape ``(2**n,)``
            wires (WiresLike): the wires
        """
        wires, levels = Wires(wires), [qp.math.real(state)]
        if qp.math.ndim(state) != 1:
            raise ValueError("RealAmplitudeEmbedding has gates for one state at a time, not for a batch")
        while len(levels[0]) > 1:
            even, odd = levels[0][0::2], levels[0][1::2]
            levels.insert(0, qp.math.sqrt(even**2 + odd**2))
        if qp.math.requires_grad(state) and qp.math.any(levels[-2] == 0):
            raise ValueError(
                "a preparation by rotations has no derivative at black pixels: differentiate by backpropagation on "
                "default.qubit, or use qmae.shots.token_gradient"
            )
        gates = []
        for depth, amplitudes in enumerate(levels[1:]):
            angles = 2 * qp.math.arctan2(amplitudes[1::2], amplitudes[0::2])
            gates += _multiplexed_ry(angles, controls=wires[:depth], target=wires[depth])
        return gates


def _multiplexed_ry(angles: Any, *, controls: Wires, target: Any) -> list[Operation]:
    """RY by `angles[i]` where the controls are in state |i>: 2^k RY with CNOTs between, in the order of a Gray code.

    A CNOT before and one after turn RY(t) into RY(-t), so each rotation gets the sign of its controls' parity; the
    angles are those whose signed sums are the ones wanted.
    """
    count, bits = 2 ** len(controls), len(controls)
    code = [index ^ index >> 1 for index in range(count)]
    signs = np.array([[(-1) ** (index & word).bit_count() for index in range(count)] for word in code])
    turns = qp.math.dot(qp.math.cast_like(qp.math.asarray(signs, like=qp.math.get_interface(angles)), angles), angles)
    gates: list[Operation] = []
    for index in range(count):
        gates.append(qp.RY(turns[index] / count, wires=target))
        if bits:
            changed = code[index] ^ code[(index + 1) % count]
            gates.append(qp.CNOT(wires=[controls[bits - changed.bit_length()], target]))
    return gates


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
    grad_method = None

    def __init__(self, weights: Any, wires: WiresLike, id: str | None = None) -> None:
        if qp.math.shape(weights)[-1:] != self.shape():
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

    def label(self, decimals: int | None = None, base_label: str | None = None, cache: dict | None = None) -> str:
        """How drawings name it: no angles."""
        return base_label or "U"

    @staticmethod
    def shape() -> tuple[int]:
        """Shape of the weights of one block."""
        return (Ansatz(2).block_angles,)


class AllPairsBlocks(Operation):
    r"""A `TwoQubitBlock` on every pair of wires in lexicographic order, layer after layer: the paper's encoder V.

    .. code-block:: none

        0: ─╭U─╭U────┤
        1: ─╰U─│──╭U─┤
        2: ────╰U─╰U─┤

    The decoder is ``qp.adjoint(AllPairsBlocks)(weights, wires)``.

    Args:
        weights (tensor_like): of shape ``(blocks, 15)`` or ``(batch, blocks, 15)``; see `shape`
        wires (WiresLike): at least two wires

    Raises:
        ValueError: if the number of blocks is not a multiple of the number of pairs
    """

    grad_method = None

    def __init__(self, weights: Any, wires: WiresLike, id: str | None = None) -> None:
        blocks, pairs = (0, *qp.math.shape(weights))[-2], len(Ansatz(len(Wires(wires))).pairs)
        if not blocks or blocks % pairs:
            raise ValueError(
                f"{len(Wires(wires))} wires have {pairs} pairs; weights for {blocks} blocks are no whole layers"
            )
        if qp.math.shape(weights)[-1:] != TwoQubitBlock.shape():
            raise ValueError(f"weights need {TwoQubitBlock.shape()[0]} angles in the last dimension")
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

    def label(self, decimals: int | None = None, base_label: str | None = None, cache: dict | None = None) -> str:
        """How drawings name it: no angles."""
        return base_label or "V"

    @staticmethod
    def shape(n_layers: int, n_wires: int) -> tuple[int, int]:
        """Shape of the weights.

        Args:
            n_layers (int): number of layers
            n_wires (int): number of wires
        """
        return Ansatz(n_wires, n_layers).angle_shape


def swap_test(ancilla: Hashable, first: WiresLike, second: WiresLike) -> None:
    """SWAP test of two registers of equal size (Fig. 5): then <Z> of the ancilla is Tr(rho sigma) (Eq. 8).

    Args:
        ancilla: a wire in |0>.
        first: the wires of rho.
        second: the wires of sigma.
    """
    qp.Hadamard(ancilla)
    for pair in zip(Wires(first), Wires(second), strict=True):
        qp.CSWAP(wires=[ancilla, *pair])
    qp.Hadamard(ancilla)


@dataclass(frozen=True)
class AutoencoderCircuit:
    """The autoencoder as quantum functions for `qp.QNode`, on any device.

    Attributes:
        ansatz: the encoder; the decoder is its adjoint.
        trash_wires: which of the ansatz's qubits are reset.
        overlap: `"swap"` (paper) or `"inverse"`, which needs no ancilla and no qubits for the original.
        reset: `"swap"` (paper) or `"measure"`, which needs no fresh qubits.

    Raises:
        InputError: an unknown kind of overlap or reset, or trash wires that do not exist or leave no latent qubit.

    Example:
        >>> circuit = AutoencoderCircuit(Ansatz(8))
        >>> fidelity = qp.QNode(circuit.fidelity, qp.device("lightning.qubit", wires=circuit.num_wires))
        >>> fidelity(angles, filled, original)
    """

    ansatz: Ansatz
    trash_wires: tuple[int, ...] = (0,)
    overlap: Overlap = "swap"
    reset: Reset = "swap"

    def __post_init__(self) -> None:
        check_trash_wires(self.trash_wires, self.ansatz.qubits)
        for name, kinds in (("overlap", Overlap), ("reset", Reset)):
            if getattr(self, name) not in get_args(kinds):
                raise InputError(f"no {name} {getattr(self, name)!r}: choose one of {', '.join(get_args(kinds))}")

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
        self.prepare_and_run(angles, filled, original)
        return self.measure_fidelity()

    def prepare_and_run(self, angles: Any, filled: Any, original: Any) -> None:
        """The gates of `fidelity`, without its measurement."""
        wires = self.registers
        RealAmplitudeEmbedding(filled, wires=wires["input"])
        if self.overlap == "swap":
            RealAmplitudeEmbedding(original, wires=wires["reference"])
        self.autoencode(angles)
        if self.overlap == "swap":
            swap_test(wires["ancilla"][0], wires["input"], wires["reference"])
        else:
            qp.adjoint(RealAmplitudeEmbedding)(original, wires=wires["input"])

    def measure_fidelity(self) -> ExpectationMP:
        """The measurement of `fidelity`: <Z> of the ancilla, or how often all qubits are 0."""
        wires = self.registers
        if self.overlap == "swap":
            return qp.expval(qp.Z(wires["ancilla"][0]))
        return qp.expval(qp.Projector([0] * self.ansatz.qubits, wires=wires["input"]))

    def probabilities(self, angles: Any, filled: Any) -> ProbabilityMP:
        """The autoencoder alone, its output measured: the reconstruction.

        Args:
            angles: [blocks, 15] in radians.
            filled: amplitudes [2^n] of the image with the token in the hole, of norm 1.

        Returns:
            The measurement that gives the probabilities [2^n] of the basis states, diag rho (Eq. 6).
        """
        RealAmplitudeEmbedding(filled, wires=self.registers["input"])
        self.autoencode(angles)
        return qp.probs(wires=self.registers["input"])

    def autoencode(self, angles: Any) -> None:
        """Encoder, reset of the trash and decoder, on an input that is prepared."""
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
