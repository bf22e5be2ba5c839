"""Drawings of the circuits, in the manner of the paper's Figures 3 to 5."""

from __future__ import annotations

from typing import Any

import numpy as np
import pennylane as qp
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from pennylane.drawer import tape_mpl, tape_text
from pennylane.tape import QuantumScript, make_qscript

from qmae.circuits.autoencoder import AutoencoderCircuit, swap_test
from qmae.circuits.choices import Drawing
from qmae.circuits.templates import BlockLayers, TwoQubitBlock


def text(drawing: Drawing, circuit: AutoencoderCircuit) -> str:
    """Draw a circuit as text.

    Args:
        drawing: `"block"` (Fig. 3), `"ansatz"`, `"training"` (Fig. 4) or `"swap-test"` (Fig. 5).
        circuit: its ansatz, overlap and reset are drawn.
    """
    script, wires = _drawn(drawing, circuit)
    return tape_text(script, wire_order=wires, decimals=None, max_length=240)


def figure(drawing: Drawing, circuit: AutoencoderCircuit) -> Figure:
    """Draw a circuit with matplotlib; the arguments are those of `text`.

    The figure is no window of pyplot's: a notebook's or an application's is left alone.
    """
    script, wires = _drawn(drawing, circuit)
    drawn = Figure()
    FigureCanvasAgg(drawn)  # by which PennyLane measures its labels
    tape_mpl(script, wire_order=wires, style="black_white", fig=drawn)
    return drawn


def _drawn(drawing: Drawing, circuit: AutoencoderCircuit) -> tuple[QuantumScript, list[Any]]:
    """The gates, and the wires from top to bottom."""
    ansatz, n = circuit.ansatz, circuit.ansatz.qubits
    match drawing:
        case "block":
            return QuantumScript(
                TwoQubitBlock.compute_decomposition(np.zeros(ansatz.block.angles), ["a", "b"], ansatz.kind)
            ), ["a", "b"]
        case "ansatz":
            return QuantumScript(
                BlockLayers.compute_decomposition(np.zeros(ansatz.angle_shape), range(n), ansatz.kind)
            ), [*range(n)]
        case "swap-test":
            rho, reference = ([f"{name} {wire}" for wire in range(n)] for name in ("rho", "ref"))
            return make_qscript(swap_test)("ancilla", rho, reference), ["ancilla", *rho, *reference]
        case "training":
            state, names = np.eye(1, 2**circuit.image_qubits)[0], _names(circuit)
            decoder = None if circuit.decoder_ansatz is None else np.zeros(circuit.decoder_ansatz.angle_shape)
            script = make_qscript(circuit.fidelity)(np.zeros(ansatz.angle_shape), state, state, decoder)
            (named,), _ = qp.map_wires(script, names)
            return named, [*names.values()]


SHORT = {
    "encoder_ancillas": "encoder ancilla",
    "ancilla": "ancilla",
    "fresh": "fresh",
    "input": "in",
    "reference": "ref",
}


def _names(circuit: AutoencoderCircuit) -> dict[int, str]:
    names = {
        wire: f"{SHORT[name]} {index}" if len(register) > 1 else SHORT[name]
        for name, register in circuit.registers.items()
        for index, wire in enumerate(register)
    }
    trash = {circuit.registers["input"][wire]: f"trash {wire}" for wire in circuit.image_trash}
    return names | trash
