import io
import sys

import pytest
import qiskit.qasm2
import qiskit.qasm3
import qiskit.qpy
from qiskit_aer import AerSimulator

from qmae import InputError
from qmae.circuits.autoencoder import AutoencoderCircuit
from qmae.circuits.devices import States
from qmae.circuits.export import dump, to_qiskit

LOADERS = {
    "qasm3": lambda content: qiskit.qasm3.loads(content.decode()),
    "qasm2": lambda content: qiskit.qasm2.loads(content.decode()),
    "qiskit": lambda content: qiskit.qpy.load(io.BytesIO(content))[0],
}


def simulated_by_aer(circuit, overlap):
    """The fidelity as the exported circuit's classical bits give it."""
    measured = [
        (circuit.find_bit(gate.clbits[0]).index, gate.qubits[0])
        for gate in circuit.data
        if gate.operation.name == "measure"
    ]
    circuit = circuit.remove_final_measurements(inplace=False).decompose("cswap")  # Aer has no density matrices of it
    circuit.save_probabilities([qubit for _, qubit in sorted(measured, key=lambda pair: pair[0])])
    probabilities = AerSimulator(method="density_matrix").run(circuit, shots=1).result().data()["probabilities"]
    return probabilities[0] - probabilities[1] if overlap == "swap" else probabilities[0]


@pytest.mark.parametrize("kind", LOADERS)
@pytest.mark.parametrize("kinds", [("swap", "swap"), ("swap", "measure"), ("inverse", "swap"), ("inverse", "measure")])
def test_aer_finds_the_fidelity_in_the_exported_file(small_case, kind, kinds):
    states = States.of(*small_case)
    circuit = AutoencoderCircuit(small_case[0].config.ansatz, (0,), *kinds)
    written = to_qiskit(circuit, *states.of_fidelity(1))
    assert written.num_qubits == circuit.num_wires
    loaded = LOADERS[kind](dump(written, kind))
    assert simulated_by_aer(loaded, kinds[0]) == pytest.approx(states.fidelity[1], abs=1e-10)


@pytest.mark.parametrize("kind", LOADERS)
@pytest.mark.parametrize("overlap", ["swap", "inverse"])
def test_aer_finds_the_fidelity_of_the_runs_that_are_kept(beyond_case, kind, overlap):
    states, config = States.of(*beyond_case), beyond_case[0].config
    written = to_qiskit(AutoencoderCircuit.of(config, overlap), *states.of_fidelity(2))
    loaded = LOADERS[kind](dump(written, kind)).decompose("cswap")
    counts = AerSimulator(seed_simulator=0).run(loaded, shots=5_000).result().get_counts()
    # The register that was added last stands first.
    kept = {key.split()[-1]: runs for key, runs in counts.items() if "1" not in " ".join(key.split()[:-1])}
    total, zero = sum(kept.values()), kept["0" * len(next(iter(kept)))]
    expected = (1 + states.fidelity[2]) / 2 if overlap == "swap" else states.fidelity[2]
    assert total / 5_000 == pytest.approx(states.success[2], abs=0.02)
    assert zero / total == pytest.approx(expected, abs=4 * (expected * (1 - expected) / total) ** 0.5)


def test_without_qiskit_the_mend_is_named(small_case, monkeypatch):
    monkeypatch.setitem(sys.modules, "qiskit", None)
    states = States.of(*small_case)
    with pytest.raises(InputError, match="this needs Qiskit: pip install"):
        to_qiskit(AutoencoderCircuit(small_case[0].config.ansatz), *states.of_fidelity(0))
