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
import torch
from pennylane.measurements import ExpectationMP, ProbabilityMP
from pennylane.operation import Operation
from pennylane.wires import Wires, WiresLike

from qmae.ansatz import BLOCKS, Ansatz, check_trash_wires
from qmae.config import ModelConfig
from qmae.errors import InputError
from qmae.settings import Block, Bottleneck, Decoder, Overlap, Reset

_GATES = {"RY": qp.RY, "RZ": qp.RZ, "CNOT": qp.CNOT}
_KINDS: dict[int, Block] = {Ansatz(2, kind=kind).block_angles: kind for kind in BLOCKS}
"""The kind of a block by its number of angles."""


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

    ``jax.jit``, ``jax.vmap`` and ``torch.func`` may go over it. What they do not show is not checked: a state that is
    not of norm 1, or derivatives of gates at black pixels, which are NaN.

    Raises:
        ValueError: if the number or the norm of the amplitudes is wrong, or they are not real; if gates are asked for a
            batch; or if they are asked for a state to be differentiated in which a pair of neighbours is black. There
            the rotation's angle has no derivative, and NaN would come out: differentiate by backpropagation or by
            `token_gradient`.
    """

    def __init__(self, state: Any, wires: WiresLike, id: str | None = None, **options: Any) -> None:
        wrapped = _is_wrapped(state)
        hidden = wrapped or qp.math.is_abstract(state)
        if _any(qp.math.imag(state) != 0) or (hidden and "complex" in qp.math.get_dtype_name(state)):
            raise ValueError("RealAmplitudeEmbedding prepares real amplitudes only: use qp.StatePrep for complex ones")
        # PennyLane's own check reads the values as NumPy's, which torch.func does not give.
        if wrapped and _any(~((qp.math.linalg.norm(state, axis=-1) - 1).abs() <= 1e-5)):
            raise ValueError("The state must be a vector of norm 1.0")
        super().__init__(state, wires, id=id, **{"validate_norm": not wrapped, **options})

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
        if qp.math.requires_grad(state) and _any(levels[-2] == 0):
            raise ValueError(
                "a preparation by rotations has no derivative at black pixels: differentiate by backpropagation on "
                "default.qubit, or use qmae.shots.token_gradient"
            )
        gates = []
        for depth, amplitudes in enumerate(levels[1:]):
            angles = 2 * qp.math.arctan2(amplitudes[1::2], amplitudes[0::2])
            gates += _multiplexed_ry(angles, controls=wires[:depth], target=wires[depth])
        return gates


def _any(condition: Any) -> bool:
    """Whether a condition is true of any value; False where the values are not known, as while JAX traces."""
    if qp.math.is_abstract(condition):
        return False
    try:
        return bool(qp.math.any(condition))
    except RuntimeError:
        if _is_wrapped(condition):  # torch.func.vmap hides what it goes over
            return False
        raise


def _is_wrapped(tensor: Any) -> bool:
    """Whether torch.func stands between us and the values."""
    return isinstance(tensor, torch.Tensor) and torch._C._functorch.is_functorch_wrapped_tensor(tensor)


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
        raise ValueError(f"weights need 15 or 6 angles in the last dimension, not {qp.math.shape(weights)}")
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
        blocks, pairs = (0, *qp.math.shape(weights))[-2], len(Ansatz(len(Wires(wires))).pairs)
        if not blocks or blocks % pairs:
            raise ValueError(
                f"{len(Wires(wires))} wires have {pairs} pairs; weights for {blocks} blocks are no whole layers"
            )
        _kind(weights)
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
        ansatz: the encoder.
        trash_wires: which of the ansatz's qubits end in the bottleneck.
        overlap: `"swap"` (paper) or `"inverse"`, which needs no ancilla and no qubits for the original.
        reset: `"swap"` (paper) or `"measure"`, which needs no fresh qubits.
        bottleneck: `"reset"` (paper), `"herald"`, where shots are discarded that do not measure 0, or `"none"`.
        decoder: `"adjoint"` of the encoder (paper), `"free"`, the adjoint of a circuit with angles of its own, or
            `"none"`.
        extra: how many of the ansatz's last qubits hold no pixel and enter in |0>.

    Raises:
        InputError: an unknown kind of anything, or trash wires that do not exist or leave no latent qubit.

    Example:
        >>> circuit = AutoencoderCircuit(Ansatz(8))
        >>> fidelity = qp.QNode(circuit.fidelity, qp.device("lightning.qubit", wires=circuit.num_wires))
        >>> fidelity(angles, filled, original)
    """

    ansatz: Ansatz
    trash_wires: tuple[int, ...] = (0,)
    overlap: Overlap = "swap"
    reset: Reset = "swap"
    bottleneck: Bottleneck = "reset"
    decoder: Decoder = "adjoint"
    extra: int = 0

    def __post_init__(self) -> None:
        check_trash_wires(self.trash_wires, self.ansatz.qubits)
        kinds_of = {"overlap": Overlap, "reset": Reset, "bottleneck": Bottleneck, "decoder": Decoder}
        for name, kinds in kinds_of.items():
            if getattr(self, name) not in get_args(kinds):
                raise InputError(f"no {name} {getattr(self, name)!r}: choose one of {', '.join(get_args(kinds))}")

    @classmethod
    def of(cls, config: ModelConfig, overlap: Overlap = "swap", reset: Reset = "swap") -> AutoencoderCircuit:
        """The circuit of a model, whose angles for the place of a mask are `MaskedAutoencoder.angles_at`."""
        return cls(
            config.ansatz, config.trash_wires, overlap, reset, config.bottleneck, config.decoder, config.ancillas
        )

    @property
    def registers(self) -> dict[str, tuple[int, ...]]:
        """The wires of `ancilla`, `fresh`, `input`, `reference` and `extra`; the paper's are 0, 1, 2-9, 10-17, none."""
        swapped = self.bottleneck == "reset" and self.reset == "swap"
        sizes = {
            "ancilla": int(self.overlap == "swap"),
            "fresh": len(self._pixel_trash) if swapped else 0,
            "input": self.ansatz.qubits - self.extra,
            "reference": self.ansatz.qubits - self.extra if self.overlap == "swap" else 0,
            "extra": self.extra,
        }
        wires = iter(range(sum(sizes.values())))
        return {name: tuple(islice(wires, size)) for name, size in sizes.items()}

    @property
    def num_wires(self) -> int:
        """Number of qubits: 2n + trash + 1 for the paper's circuit, at least n."""
        return sum(map(len, self.registers.values()))

    @property
    def _pixel_trash(self) -> tuple[int, ...]:
        """Trash that the decoder needs anew."""
        return tuple(wire for wire in self.trash_wires if wire < self.ansatz.qubits - self.extra)

    @property
    def measured_wires(self) -> tuple[int, ...]:
        """Wires that are measured before the end: those that herald, or those that are reset by a measurement."""
        inside = *self.registers["input"], *self.registers["extra"]
        if self.bottleneck == "herald":
            return tuple(inside[wire] for wire in self.trash_wires)
        return tuple(inside[wire] for wire in self._pixel_trash) if self.reset == "measure" else ()

    def fidelity(self, angles: Any, filled: Any, original: Any) -> ExpectationMP:
        """The paper's training circuit (Fig. 4): the autoencoder's output is compared with the original.

        Args:
            angles: [blocks, 15 or 6] in radians, a free decoder's behind the encoder's.
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
        return qp.expval(qp.Projector([0] * len(wires["input"]), wires=wires["input"]))

    def probabilities(self, angles: Any, filled: Any) -> ProbabilityMP:
        """The autoencoder alone, its output measured: the reconstruction.

        Args:
            angles: [blocks, 15 or 6] in radians, a free decoder's behind the encoder's.
            filled: amplitudes [2^n] of the image with the token in the hole, of norm 1.

        Returns:
            The measurement that gives the probabilities [2^n] of the basis states, diag rho (Eq. 6).
        """
        RealAmplitudeEmbedding(filled, wires=self.registers["input"])
        self.autoencode(angles)
        return qp.probs(wires=self.registers["input"])

    def autoencode(self, angles: Any) -> None:
        """Encoder, bottleneck and decoder, on an input that is prepared."""
        wires = self.registers
        inside, blocks = [*wires["input"], *wires["extra"]], len(self.ansatz.pairs)
        AllPairsBlocks(angles[:blocks], wires=inside)
        for wire in self.measured_wires:
            qp.measure(wire, postselect=0) if self.bottleneck == "herald" else qp.measure(wire, reset=True)
        if wires["fresh"]:
            for fresh, wire in zip(wires["fresh"], self._pixel_trash, strict=True):
                qp.SWAP(wires=[fresh, inside[wire]])
        if self.decoder != "none":
            qp.adjoint(AllPairsBlocks)(
                angles[:blocks] if self.decoder == "adjoint" else angles[blocks:], wires["input"]
            )
