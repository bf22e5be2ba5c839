"""The autoencoder as PennyLane circuits, which run on any PennyLane device; the gates are read from `ansatz`."""

# PennyLane's own annotations promise less than its objects keep.
# pyright: reportAttributeAccessIssue=false, reportIncompatibleMethodOverride=false, reportAssignmentType=false

from __future__ import annotations

import math
from collections.abc import Hashable
from dataclasses import dataclass
from itertools import islice
from typing import Any

import pennylane as qp
from pennylane.measurements import ExpectationMP, ProbabilityMP
from pennylane.wires import Wires, WiresLike

from qmae._values import choice, settle, shown, whole
from qmae.ansatz.ansatz import Ansatz
from qmae.circuits.arrays import shape_of
from qmae.circuits.choices import Overlap, Reset
from qmae.circuits.preparation import RealAmplitudeEmbedding, any_known
from qmae.circuits.templates import AllPairsBlocks
from qmae.errors import InputError
from qmae.models.choices import Bottleneck, Decoder
from qmae.models.config import ModelConfig
from qmae.models.wiring import check_wiring


def swap_test(ancilla: Hashable, first: WiresLike, second: WiresLike) -> None:
    """SWAP test of two registers of equal size (Fig. 5): then <Z> of the ancilla is Tr(rho sigma) (Eq. 8).

    Args:
        ancilla: a wire in |0>.
        first: the wires of rho.
        second: the wires of sigma.

    Raises:
        InputError: registers of unequal size, of none, or that share wires with each other or the ancilla.
    """
    registers = Wires(first), Wires(second)
    if not len(registers[0]) == len(registers[1]) > 0:
        raise InputError(f"a SWAP test compares registers of equal size, not {shown(first)} and {shown(second)}")
    if len(Wires.all_wires([Wires(ancilla), *registers])) < 1 + 2 * len(registers[0]):
        raise InputError(f"a SWAP test of {shown(first)} and {shown(second)} by {shown(ancilla)} needs different wires")
    qp.Hadamard(ancilla)
    for pair in zip(*registers, strict=True):
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
        InputError: an unknown kind of anything, trash wires that do not exist or leave no latent qubit, or kinds that
            do not go together, as in `ModelConfig`.

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
        if not isinstance(self.ansatz, Ansatz):
            raise InputError(f"ansatz {shown(self.ansatz)} is no Ansatz: give one, such as Ansatz(8)")
        choice(self.overlap, "overlap", Overlap)
        choice(self.reset, "reset", Reset)
        extra = whole(self.extra, "number of extra qubits", 0, self.ansatz.qubits - 2)
        wiring = check_wiring(self.ansatz.qubits - extra, extra, self.trash_wires, self.bottleneck, self.decoder)
        settle(self, trash_wires=wiring.trash_wires, extra=extra)

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
    def angle_shape(self) -> tuple[int, int]:
        """Shape of the angles of all blocks: those of the encoder, and a free decoder's behind them."""
        decoder = Ansatz(self.ansatz.qubits - self.extra, self.ansatz.layers, self.ansatz.kind)
        blocks = self.ansatz.blocks + (decoder.blocks if self.decoder == "free" else 0)
        return blocks, self.ansatz.block_angles

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
            angles: [blocks, 15 or 6], `angle_shape`, in radians, a free decoder's behind the encoder's.
            filled: amplitudes [2^n] of the image with the token in the hole, of norm 1.
            original: amplitudes [2^n] of the unmasked image, of norm 1.

        Angles and filled images may have a batch dimension before them, of the same size if both have one, where
        nothing is post-selected and where the device prepares the first state itself.

        Returns:
            The measurement whose expectation value is the fidelity F (Eq. 8).

        Raises:
            InputError: angles or amplitudes of another shape, that are not finite, or amplitudes that are not real or
                not of norm 1; or a batch where post-selection takes none.
        """
        self.prepare_and_run(angles, filled, original)
        return self.measure_fidelity()

    def prepare_and_run(self, angles: Any, filled: Any, original: Any) -> None:
        """The gates of `fidelity`, without its measurement."""
        wires = self.registers
        self._check(angles, filled=filled, original=original)
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
            angles: [blocks, 15 or 6], `angle_shape`, in radians, a free decoder's behind the encoder's.
            filled: amplitudes [2^n] of the image with the token in the hole, of norm 1.

        Either may have a batch dimension before it, of the same size if both have.

        Returns:
            The measurement that gives the probabilities [2^n] of the basis states, diag rho (Eq. 6).

        Raises:
            InputError: as `fidelity`.
        """
        self._check(angles, filled=filled)
        RealAmplitudeEmbedding(filled, wires=self.registers["input"])
        self.autoencode(angles)
        return qp.probs(wires=self.registers["input"])

    def autoencode(self, angles: Any) -> None:
        """Encoder, bottleneck and decoder, on an input that is prepared.

        Raises:
            InputError: angles of another shape, or that are not finite.
        """
        self._check(angles)
        wires = self.registers
        inside, blocks = [*wires["input"], *wires["extra"]], self.ansatz.blocks
        AllPairsBlocks(angles[..., :blocks, :], wires=inside)
        for wire in self.measured_wires:
            qp.measure(wire, postselect=0) if self.bottleneck == "herald" else qp.measure(wire, reset=True)
        if wires["fresh"]:
            for fresh, wire in zip(wires["fresh"], self._pixel_trash, strict=True):
                qp.SWAP(wires=[fresh, inside[wire]])
        if self.decoder != "none":
            qp.adjoint(AllPairsBlocks)(
                angles[..., :blocks, :] if self.decoder == "adjoint" else angles[..., blocks:, :], wires["input"]
            )

    def _check(self, angles: Any, **states: Any) -> None:
        dim = 2 ** (self.ansatz.qubits - self.extra)
        wanted = {"angles": (angles, self.angle_shape)} | {name: (state, (dim,)) for name, state in states.items()}
        batches = set()
        for name, (values, shape) in wanted.items():
            found = shape_of(values, name)
            if found[len(found) - len(shape) :] != shape or len(found) > len(shape) + 1 or not all(found):
                sizes = ", ".join(map(str, shape))
                raise InputError(
                    f"{name} of shape {list(found)}: this circuit takes [{sizes}], or a batch [N, {sizes}]"
                )
            if any_known(values != values) or any_known(qp.math.abs(values) == math.inf):
                raise InputError(f"{name} hold NaN or infinity: give finite numbers")
            if name == "original" and len(found) > 1:
                raise InputError(f"PennyLane prepares originals by gates, one at a time: give one of shape [{dim}]")
            batches |= set(found[: -len(shape)])
        if batches and self.bottleneck == "herald":
            raise InputError("PennyLane does not post-select in batches: give the angles and amplitudes of one circuit")
        if len(batches) > 1:
            raise InputError(f"batches of {' and '.join(map(str, sorted(batches)))} do not go together: give one size")
        for name, state in states.items():
            if "complex" in qp.math.get_dtype_name(state) and any_known(qp.math.imag(state) != 0):
                raise InputError(f"{name} holds complex amplitudes: an image has real ones")
            norm = qp.math.sqrt(qp.math.sum(qp.math.abs(state) ** 2, axis=-1))  # pyright: ignore[reportCallIssue]
            if any_known(qp.math.abs(norm - 1) > 1e-5):
                raise InputError(f"{name} is not of norm 1: divide it by its Euclidean norm")
