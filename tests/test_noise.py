import json
from dataclasses import asdict
from itertools import product

import numpy as np
import pennylane as qp
import pytest
from pennylane.tape import make_qscript
from qiskit import QuantumCircuit
from qiskit_aer import AerSimulator
from qiskit_aer.noise import NoiseModel, amplitude_damping_error, depolarizing_error

from paper_circuit import encoder
from qmae import InputError, MaskedAutoencoder
from qmae.circuits.autoencoder import AutoencoderCircuit, RealAmplitudeEmbedding
from qmae.circuits.devices import States
from qmae.circuits.noise import NoisyFidelity, Setting, crossing, noise_model, rows_from_json, study
from samples import matrix


@pytest.mark.parametrize("kind", ["depolarizing", "damping", "readout"])
@pytest.mark.parametrize("noisy", [False, True])
def test_noise_of_rate_0_changes_nothing(small_case, kind, noisy):
    for row in study([small_case[0]], *small_case[1:], settings=[Setting(kind, 0.0, noisy)]):
        assert row.fidelity == pytest.approx(row.exact, abs=1e-9)


def test_the_strongest_noise_leaves_what_it_must(small_case):
    strongest = [Setting("depolarizing", 0.75, True), Setting("damping", 1.0, True), Setting("readout", 0.5, True)]
    rows = list(study([small_case[0]], *small_case[1:], settings=strongest))
    # Every qubit fully mixed; every qubit decayed to 0, which is what is counted; every bit a coin.
    for setting, expected in zip(strongest, (1 / 16, 1.0, 1 / 16), strict=True):
        found = [row.fidelity for row in rows if row.setting == setting]
        assert found == pytest.approx([expected] * 3, abs=1e-9)


def paper_gates(states, qubits, trash):
    """Preparation, encoder, reset and decoder, undoing of the original's preparation, each gate by gate."""

    def run():
        encoder(states.angles[0], range(qubits))
        for wire in trash:
            qp.measure(wire, reset=True)
        qp.adjoint(encoder)(states.angles[0], range(qubits))

    prepare, undo = (
        RealAmplitudeEmbedding(state[0], wires=range(qubits)) for state in (states.filled, states.originals)
    )
    return prepare.decomposition(), make_qscript(run)().operations, qp.adjoint(undo).decomposition()


class Merging(QuantumCircuit):
    """Collects the rotations of every qubit until another gate comes, and writes them as one."""

    def start(self, label):
        self.label, self.turns = label, {}

    def add(self, gate):
        if len(gate.wires) == 1 and gate.has_matrix:
            (wire,) = gate.wires
            self.turns[wire] = qp.matrix(gate) @ self.turns.get(wire, np.eye(2))
            return
        self.finish(gate.wires)
        if len(gate.wires) == 2:
            # Qiskit's first qubit is the least significant one.
            found = matrix(gate, wire_order=list(reversed(gate.wires)))
            self.unitary(found, list(gate.wires), label=self.label + "-cnot")
        else:
            self.reset(gate.wires[0])

    def finish(self, wires):
        for wire in wires:
            turn = self.turns.pop(wire, np.eye(2))
            if abs(np.trace(turn)) < 2 - 1e-9:  # rotations that undo each other are no gate
                self.unitary(turn, [wire], label=self.label)


def aer_fidelity(states, qubits, trash, kind, rate, noisy_preparation):
    """The paper's circuit with the same errors in Qiskit Aer."""
    written = Merging(qubits)
    labels = ["noisy"] * 3 if noisy_preparation else ["free", "noisy", "free"]
    written.start(labels[0])
    for label, gates in zip(labels, paper_gates(states, qubits, trash), strict=True):
        if label != written.label:
            written.finish(range(qubits))
            written.start(label)
        for gate in gates:
            written.add(gate)
    written.finish(range(qubits))
    # Aer's parameter is the weight of the fully mixed state: 4/3 of the probability of an X, Y or Z.
    error = depolarizing_error(4 * rate / 3, 1) if kind == "depolarizing" else amplitude_damping_error(rate)
    noise = NoiseModel(["noisy", "noisy-cnot", "free", "free-cnot", "reset"])
    noise.add_all_qubit_quantum_error(error, ["noisy"])
    noise.add_all_qubit_quantum_error(error.tensor(error), ["noisy-cnot"])
    written.save_probabilities()  # pyright: ignore[reportAttributeAccessIssue] - Aer adds it
    simulator = AerSimulator(method="density_matrix", noise_model=noise, fusion_enable=False)
    return simulator.run(written, shots=1).result().data()["probabilities"][0]


@pytest.mark.parametrize("kind", ["depolarizing", "damping"])
@pytest.mark.parametrize("noisy_preparation", [False, True])
@pytest.mark.parametrize("trash", [(0,), (1, 2)])
def test_noise_is_that_of_qiskit_aer(small_case, kind, noisy_preparation, trash):
    model, images, masks = small_case
    model = MaskedAutoencoder.from_preset("qmae", patch=masks.patch, seed=3, trash_wires=trash)
    states = States.of(model, images[:1], masks[:1])
    (row,) = study([model], images[:1], masks[:1], settings=[Setting(kind, 0.003, noisy_preparation)])
    expected = aer_fidelity(states, 4, trash, kind, 0.003, noisy_preparation)
    assert abs(row.exact - row.fidelity) > 0.001
    assert row.fidelity == pytest.approx(expected, abs=1e-7)


def test_readout_errors_flip_the_bits_of_the_outcome(small_case):
    model, images, masks = small_case
    states = States.of(model, images[:1], masks[:1])
    circuit = AutoencoderCircuit(model.config.ansatz, (0,), "inverse", "swap")

    @qp.qnode(qp.device("default.qubit", wires=circuit.num_wires))
    def outcomes():
        circuit.prepare_and_run(states.angles[0], states.filled[0], states.originals[0])
        return qp.probs(wires=circuit.registers["input"])

    wrong_bits = np.array([outcome.bit_count() for outcome in range(16)])
    expected = outcomes() @ (0.1**wrong_bits * 0.9 ** (4 - wrong_bits))
    (row,) = study([model], images[:1], masks[:1], settings=[Setting("readout", 0.1, True)])
    assert row.fidelity == pytest.approx(expected, abs=1e-9)


def test_preparations_free_of_noise_lose_less(small_case):
    settings = [Setting("depolarizing", 0.003, noisy) for noisy in (False, True)]
    rows = list(study([small_case[0]], *small_case[1:], settings=settings))
    for image in range(3):
        free, noisy = (row.fidelity for row in rows if row.image == image)
        assert noisy < free - 0.005
        assert free < rows[image].exact - 0.005


def test_what_is_done_is_not_done_again(small_case):
    settings = [Setting(kind, rate, False) for kind, rate in product(("depolarizing", "damping"), (1e-3,))]
    rows = list(study([small_case[0]], *small_case[1:], settings=settings))
    assert rows_from_json(json.dumps([asdict(row) for row in rows])) == rows
    rest = list(study([small_case[0]], *small_case[1:], settings=settings, done=rows[:4]))
    assert rest == rows[4:]
    with pytest.raises(InputError, match="what is done of qmae is of another training, seed or data set"):
        next(study([small_case[0]], small_case[1].flip(0), small_case[2], settings=settings, done=rows[:4]))


def test_other_noise_and_other_files_are_refused(unchecked):
    with pytest.raises(InputError, match=r"no noise 'thermal' of rate 0.1: choose depolarizing, damping, readout"):
        noise_model("thermal", 0.1)  # pyright: ignore[reportArgumentType]
    with pytest.raises(InputError, match=r"of rate 1.5: choose .* from 0 to 1"):
        noise_model("damping", 1.5)
    for text in ("{", '[{"model": 1}]', "[1]"):
        with pytest.raises(InputError, match="these are no rows of a noise study"):
            rows_from_json(text)


def test_crossings_are_interpolated():
    rates, falling = np.array([0.0, 1.0, 2.0]), np.array([1.0, 0.5, 0.1])
    assert crossing(rates, falling, 0.75) == pytest.approx(0.5)
    assert crossing(rates, falling, 0.3) == pytest.approx(1.5)
    assert crossing(rates, falling, 0.05) == np.inf
    assert crossing(rates, falling, 1.0) == 0.0


def test_a_row_is_plain():
    row = NoisyFidelity("qmae", Setting("damping", 0.1, True), 0, 0.7, 0.6)
    assert asdict(row)["setting"] == {"kind": "damping", "rate": 0.1, "noisy_preparation": True}
