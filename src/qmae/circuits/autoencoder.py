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
from qmae.circuits.templates import BlockLayers
from qmae.errors import InputError
from qmae.models.bottlenecks import BOTTLENECKS
from qmae.models.choices import Decoder
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
        bottleneck: a name in `BOTTLENECKS`: `"reset"` (paper), `"herald"`, where shots are discarded that do not
            measure 0, or `"none"`.
        decoder: `"adjoint"` of the encoder (paper), `"free"`, the adjoint of a circuit with angles of its own, or
            `"none"`.
        ancillas: how many of the ansatz's last qubits hold no pixel and enter in |0>.

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
    bottleneck: str = "reset"
    decoder: Decoder = "adjoint"
    ancillas: int = 0

    def __post_init__(self) -> None:
        if not isinstance(self.ansatz, Ansatz):
            raise InputError(f"ansatz {shown(self.ansatz)} is no Ansatz: give one, such as Ansatz(8)")
        choice(self.overlap, "overlap", Overlap)
        choice(self.reset, "reset", Reset)
        ancillas = whole(self.ancillas, "number of ancillas", 0, self.ansatz.qubits - 2)
        wiring = check_wiring(self.ansatz.qubits - ancillas, ancillas, self.trash_wires, self.bottleneck, self.decoder)
        settle(self, trash_wires=wiring.trash_wires, ancillas=ancillas)

    @classmethod
    def of(cls, config: ModelConfig, overlap: Overlap = "swap", reset: Reset = "swap") -> AutoencoderCircuit:
        """The circuit of a model, whose angles for a position of the mask are `model.encoder.at(position)`."""
        return cls(
            config.ansatz, config.trash_wires, overlap, reset, config.bottleneck, config.decoder, config.ancillas
        )

    @property
    def registers(self) -> dict[str, tuple[int, ...]]:
        """The wires by their use; the paper's are 0, 1, 2-9, 10-17 and none.

        `ancilla` is that of the SWAP test, `fresh` replaces the trash, `input` and `reference` hold the masked and the
        original image, and `encoder_ancillas` are the encoder's.
        """
        swapped = BOTTLENECKS[self.bottleneck].resets and self.reset == "swap"
        sizes = {
            "ancilla": int(self.overlap == "swap"),
            "fresh": len(self.image_trash) if swapped else 0,
            "input": self.image_qubits,
            "reference": self.image_qubits if self.overlap == "swap" else 0,
            "encoder_ancillas": self.ancillas,
        }
        wires = iter(range(sum(sizes.values())))
        return {name: tuple(islice(wires, size)) for name, size in sizes.items()}

    @property
    def image_qubits(self) -> int:
        """Number of qubits that hold an image."""
        return self.ansatz.qubits - self.ancillas

    @property
    def decoder_ansatz(self) -> Ansatz | None:
        """The circuit of a free decoder; None if the decoder has no angles of its own."""
        if self.decoder != "free":
            return None
        return Ansatz(self.image_qubits, self.ansatz.layers, self.ansatz.kind)

    @property
    def heralded(self) -> bool:
        """Whether shots are discarded."""
        return BOTTLENECKS[self.bottleneck].heralded

    @property
    def num_wires(self) -> int:
        """Number of qubits: 2n + trash + 1 for the paper's circuit, at least n."""
        return sum(map(len, self.registers.values()))

    @property
    def _inside(self) -> tuple[int, ...]:
        """The wires of the encoder."""
        return *self.registers["input"], *self.registers["encoder_ancillas"]

    @property
    def image_trash(self) -> tuple[int, ...]:
        """Trash that the decoder needs anew."""
        return tuple(wire for wire in self.trash_wires if wire < self.image_qubits)

    @property
    def measured_wires(self) -> tuple[int, ...]:
        """Wires that are measured before the end: those that herald, or those that are reset by a measurement."""
        trash, image_trash = ([self._inside[wire] for wire in wires] for wires in (self.trash_wires, self.image_trash))
        return tuple(BOTTLENECKS[self.bottleneck].measured(trash, image_trash, swaps=self.reset == "swap"))

    def fidelity(self, angles: Any, filled: Any, original: Any, decoder_angles: Any = None) -> ExpectationMP:
        """The paper's training circuit (Fig. 4): the autoencoder's output is compared with the original.

        Args:
            angles: of `ansatz.angle_shape`, in radians.
            filled: amplitudes [2^n] of the image with the token in the hole, of norm 1.
            original: amplitudes [2^n] of the unmasked image, of norm 1.
            decoder_angles: of `decoder_ansatz.angle_shape`, of a free decoder.

        Angles and filled images may have a batch dimension before them, of the same size if both have one, where
        nothing is post-selected and where the device prepares the first state itself.

        Returns:
            The measurement whose expectation value is the fidelity F (Eq. 8).

        Raises:
            InputError: angles or amplitudes of another shape, that are not finite, or amplitudes that are not real or
                not of norm 1; or a batch where post-selection takes none.
        """
        self.prepare_and_run(angles, filled, original, decoder_angles)
        return self.measure_fidelity()

    def prepare_and_run(self, angles: Any, filled: Any, original: Any, decoder_angles: Any = None) -> None:
        """The gates of `fidelity`, without its measurement."""
        wires = self.registers
        self._check(angles, decoder_angles, filled=filled, original=original)
        RealAmplitudeEmbedding(filled, wires=wires["input"])
        if self.overlap == "swap":
            RealAmplitudeEmbedding(original, wires=wires["reference"])
        self.autoencode(angles, decoder_angles)
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

    def probabilities(self, angles: Any, filled: Any, decoder_angles: Any = None) -> ProbabilityMP:
        """The autoencoder alone, its output measured: the reconstruction.

        Args:
            angles: of `ansatz.angle_shape`, in radians.
            filled: amplitudes [2^n] of the image with the token in the hole, of norm 1.
            decoder_angles: of `decoder_ansatz.angle_shape`, of a free decoder.

        Either may have a batch dimension before it, of the same size if both have.

        Returns:
            The measurement that gives the probabilities [2^n] of the basis states, diag rho (Eq. 6).

        Raises:
            InputError: as `fidelity`.
        """
        self._check(angles, decoder_angles, filled=filled)
        RealAmplitudeEmbedding(filled, wires=self.registers["input"])
        self.autoencode(angles, decoder_angles)
        return qp.probs(wires=self.registers["input"])

    def autoencode(self, angles: Any, decoder_angles: Any = None) -> None:
        """Encoder, bottleneck and decoder, on an input that is prepared.

        Raises:
            InputError: angles of another shape, or that are not finite.
        """
        self._check(angles, decoder_angles)
        wires, inside, block = self.registers, self._inside, self.ansatz.kind
        BlockLayers(angles, wires=inside, block=block)
        image_trash = [inside[wire] for wire in self.image_trash]
        BOTTLENECKS[self.bottleneck].run(self.measured_wires, image_trash, wires["fresh"])
        if self.decoder != "none":
            decoding = angles if self.decoder == "adjoint" else decoder_angles
            qp.adjoint(BlockLayers)(decoding, wires["input"], block=block)

    def _check(self, angles: Any, decoder_angles: Any, **states: Any) -> None:
        dim, wanted = 2**self.image_qubits, {"angles": (angles, self.ansatz.angle_shape)}
        if (decoder_angles is None) != (self.decoder_ansatz is None):
            own = "has angles of its own: give decoder_angles" if self.decoder_ansatz else "has no angles of its own"
            raise InputError(f"the decoder of this circuit {own}")
        if self.decoder_ansatz:
            wanted["decoder_angles"] = decoder_angles, self.decoder_ansatz.angle_shape
        wanted |= {name: (state, (dim,)) for name, state in states.items()}
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
        if batches and self.heralded:
            raise InputError("PennyLane does not post-select in batches: give the angles and amplitudes of one circuit")
        if len(batches) > 1:
            raise InputError(f"batches of {' and '.join(map(str, sorted(batches)))} do not go together: give one size")
        for name, state in states.items():
            if "complex" in qp.math.get_dtype_name(state) and any_known(qp.math.imag(state) != 0):
                raise InputError(f"{name} holds complex amplitudes: an image has real ones")
            norm = qp.math.sqrt(qp.math.sum(qp.math.abs(state) ** 2, axis=-1))  # pyright: ignore[reportCallIssue]
            if any_known(qp.math.abs(norm - 1) > 1e-5):
                raise InputError(f"{name} is not of norm 1: divide it by its Euclidean norm")
