"""The paper's circuit in PennyLane, written from the paper's figures: it shares no code with the package."""

from itertools import combinations

import pennylane as qp


def block(t, a, b):
    """Figure 3."""
    for wire, (x, y, z) in ((a, t[0:3]), (b, t[3:6])):
        qp.RZ(x, wire)
        qp.RY(y, wire)
        qp.RZ(z, wire)
    qp.CNOT([b, a])
    qp.RZ(t[6], a)
    qp.RY(t[7], b)
    qp.CNOT([a, b])
    qp.RY(t[8], b)
    qp.CNOT([b, a])
    for wire, (x, y, z) in ((a, t[9:12]), (b, t[12:15])):
        qp.RZ(x, wire)
        qp.RY(y, wire)
        qp.RZ(z, wire)


def encoder(angles, wires, layers=1):
    """Section 3.2: the block on every pair."""
    for t, (a, b) in zip(angles, list(combinations(wires, 2)) * layers, strict=True):
        block(t, a, b)


def training_circuit(qubits, trash=(0,), layers=1):
    """Figure 4: ancilla, fresh trash, input, reference; returns <Z> of the ancilla."""
    fresh = list(range(1, 1 + len(trash)))
    first = 1 + len(trash)
    source = list(range(first, first + qubits))
    reference = list(range(first + qubits, first + 2 * qubits))

    def circuit(angles, filled, original):
        qp.StatePrep(filled, wires=source)
        qp.StatePrep(original, wires=reference)
        encoder(angles, source, layers)
        for new, old in zip(fresh, trash, strict=True):
            qp.SWAP([new, source[old]])
        qp.adjoint(encoder)(angles, source, layers)
        qp.Hadamard(0)
        for pair in zip(source, reference, strict=True):
            qp.CSWAP([0, *pair])
        qp.Hadamard(0)
        return qp.expval(qp.Z(0))

    return circuit, 1 + len(trash) + 2 * qubits


def output_probabilities(qubits):
    """The decoder's output, measured in the computational basis, and the probability of the trash before reset."""

    def circuit(angles, filled):
        qp.StatePrep(filled, wires=range(1, qubits + 1))
        encoder(angles, range(1, qubits + 1))
        qp.SWAP([0, 1])
        qp.adjoint(encoder)(angles, range(1, qubits + 1))
        return qp.probs(range(1, qubits + 1)), qp.probs(0)

    return circuit
