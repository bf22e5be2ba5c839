"""The circuit for Qiskit and as OpenQASM, gate for gate what PennyLane runs."""

# PennyLane's own annotations promise less than its transforms keep.
# pyright: reportGeneralTypeIssues=false, reportArgumentType=false

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from pennylane.tape import QuantumScript, make_qscript
from pennylane.transforms import decompose

from qmae.circuits.autoencoder import AutoencoderCircuit
from qmae.circuits.choices import ExportFormat
from qmae.errors import InputError, install_hint

if TYPE_CHECKING:
    from qiskit import QuantumCircuit

METHODS = {
    "RX": "rx",
    "RY": "ry",
    "RZ": "rz",
    "Hadamard": "h",
    "CNOT": "cx",
    "CZ": "cz",
    "SWAP": "swap",
    "CSWAP": "cswap",
}
"""PennyLane's gates and the methods of Qiskit's circuits. Other operations are measurements that reset or herald."""

SUFFIXES: dict[ExportFormat, str] = {"qasm3": ".qasm", "qasm2": ".qasm", "qiskit": ".qpy"}


def to_qiskit(
    circuit: AutoencoderCircuit, angles: Any, filled: Any, original: Any, decoder_angles: Any = None
) -> QuantumCircuit:
    """Write the circuit of the fidelity as Qiskit's.

    Args:
        circuit: what is written.
        angles: of the encoder, in radians.
        filled: real amplitudes [2^n] of the image with the token in the hole.
        original: real amplitudes [2^n] of the unmasked image.
        decoder_angles: of a free decoder.

    Returns:
        A circuit whose qubits are numbered as `circuit.registers`. Its classical bits are, for `swap`, the ancilla's:
        F = P(0) - P(1); for `inverse`, all qubits of the input: F = P(0...0). Behind them come those that herald, in
        a register `herald`: only shots count in which all of them are 0.

    Raises:
        InputError: Qiskit is not installed.
    """
    qiskit = import_qiskit()
    gates = gate_script(circuit, angles, filled, original, decoder_angles)
    measured = gates.measurements[0].wires.tolist()
    written = qiskit.QuantumCircuit(circuit.num_wires, len(measured), name="qmae")
    heralds = iter(())
    if circuit.heralded:
        register = qiskit.ClassicalRegister(len(circuit.measured_wires), "herald")
        written.add_register(register)
        heralds = iter(register)
    for gate in gates.operations:
        wires = gate.wires.tolist()
        if gate.name in METHODS:
            getattr(written, METHODS[gate.name])(*map(float, gate.parameters), *wires)
        elif _measures(gate):
            _write_measurement(written, gate, heralds)
        else:
            raise InputError(
                f"no gate of Qiskit's is known for {gate}: export takes {', '.join(METHODS)}, resets, heralds"
            )
    written.measure(measured, range(len(measured)))
    return written


def gate_script(circuit: AutoencoderCircuit, *arguments: Any) -> QuantumScript:
    """The circuit of the fidelity in gates of `METHODS`, resets and heralding measurements; no templates."""
    script = make_qscript(circuit.fidelity)(*arguments)
    (gates,), _ = decompose(script, stopping_condition=lambda gate: gate.name in METHODS or _measures(gate))
    return gates


def dump(circuit: QuantumCircuit, kind: ExportFormat) -> bytes:
    """Serialize a circuit of Qiskit.

    Args:
        circuit: from `to_qiskit`.
        kind: `"qasm3"` or `"qasm2"`, OpenQASM as text; or `"qiskit"`, Qiskit's own QPY.
    """
    from qiskit import qasm2, qasm3, qpy

    if kind == "qiskit":
        content = io.BytesIO()
        qpy.dump(circuit, content)
        return content.getvalue()
    if kind == "qasm3":
        return qasm3.dumps(circuit).encode()
    # The gate library of OpenQASM 2 has neither of the two.
    return qasm2.dumps(circuit.decompose(["swap", "cswap"])).encode()


def import_qiskit() -> Any:
    """Import Qiskit, which is no requirement of the package.

    Raises:
        InputError: it is not installed.
    """
    try:
        import qiskit
    except ImportError as error:
        raise InputError(f"this needs Qiskit: {install_hint('qiskit')}") from error
    return qiskit


def _measures(gate: Any) -> bool:
    """Whether it is a measurement before the end that heralds or resets."""
    return getattr(gate, "postselect", None) is not None or getattr(gate, "reset", False)


def _write_measurement(written: QuantumCircuit, gate: Any, heralds: Iterator[Any]) -> None:
    """Write a measurement before the end; a bit that heralds is 0 where the shot counts, whatever is selected."""
    wires = gate.wires.tolist()
    if gate.postselect is not None:
        flips = bool(gate.postselect)
        if flips:
            written.x(*wires)
        written.measure(wires, [next(heralds)])
        if flips:
            written.x(*wires)
    if gate.reset:
        written.reset(*wires)
