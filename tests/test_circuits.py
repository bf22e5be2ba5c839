from collections import Counter
from itertools import product

import numpy as np
import pennylane as qp
import pytest
import torch
from pennylane.tape import QuantumScript

from paper_circuit import block, training_circuit
from qmae import Ansatz
from qmae.circuits.autoencoder import AutoencoderCircuit, RealAmplitudeEmbedding
from qmae.circuits.templates import BlockLayers, TwoQubitBlock
from qmae.errors import InputError
from qmae.models.variational import build_encoder
from qmae.simulation.dense import DenseEncoder
from qmae.simulation.states import embed
from samples import matrix, random_angles, random_states, tied


def test_block_is_that_of_the_paper():
    angles = random_angles(Ansatz(2))[0].numpy()
    ours = matrix(TwoQubitBlock(angles, wires=["a", "b"]).decomposition, wire_order=["a", "b"])()
    theirs = matrix(block, wire_order=[0, 1])(angles, 0, 1)
    np.testing.assert_allclose(ours, theirs, atol=1e-14)


@pytest.mark.parametrize(("qubits", "layers"), [(2, 1), (3, 2), (4, 1)])
def test_template_equals_the_simulation(qubits, layers):
    ansatz = Ansatz(qubits, layers)
    angles = random_angles(ansatz)
    assert BlockLayers.shape(layers, qubits) == tuple(angles.shape)
    found = matrix(BlockLayers, wire_order=range(qubits))(angles.numpy(), range(qubits))
    columns = DenseEncoder.build(angles, ansatz, ()).columns
    np.testing.assert_allclose(found, columns.flatten(1).T, atol=1e-12)


def test_template_takes_batches_torch_and_the_adjoint():
    angles = torch.stack([random_angles(Ansatz(3), seed) for seed in range(4)])

    @qp.qnode(qp.device("default.qubit", wires=3))
    def there_and_back(weights, other):
        BlockLayers(weights, wires=range(3))
        qp.adjoint(BlockLayers)(other, wires=range(3))
        return qp.probs()

    both = there_and_back(angles, angles)
    torch.testing.assert_close(both[:, 0], torch.ones(4, dtype=torch.float64))
    batch = there_and_back(angles, angles.flip(0))
    for row, one, other in zip(batch, angles, angles.flip(0), strict=True):
        torch.testing.assert_close(there_and_back(one, other), row)


def test_weights_of_a_wrong_shape_are_refused():
    with pytest.raises(ValueError, match=r"weights of shape \[14\]: give an array \[15\]"):
        TwoQubitBlock(np.zeros(14), wires=[0, 1])
    with pytest.raises(ValueError, match=r"weights of shape \[15\]: give an array \[6\]"):
        TwoQubitBlock(np.zeros(15), wires=[0, 1], block="so4")
    with pytest.raises(ValueError, match="60 angles are no whole layers of the block su4 on 3 qubits: give 45"):
        BlockLayers(np.zeros((4, 15)), wires=range(3))
    with pytest.raises(ValueError, match="15 angles are no whole layers"):
        BlockLayers(np.zeros(15), wires=range(3))
    with pytest.raises(ValueError, match=r"weights of shape \[15, 3\]: give an array \[3, 15\]"):
        BlockLayers(np.zeros((15, 3)), wires=range(3))
    with pytest.raises(ValueError, match="16 angles are no whole layers of the block so4 on 3 qubits: give 15, and 12"):
        BlockLayers(np.zeros(16), wires=range(3), block="so4")
    with pytest.raises(ValueError, match="no block 'su8': choose one of su4, so4"):
        BlockLayers(np.zeros((3, 15)), wires=range(3), block="su8")


@pytest.mark.parametrize(("overlap", "reset"), list(product(("swap", "inverse"), ("swap", "measure"))))
@pytest.mark.parametrize("trash", [(0,), (1, 2)])
def test_every_circuit_gives_the_fidelity_and_the_reconstruction(overlap, reset, trash):
    ansatz = Ansatz(3)
    angles, (filled, original) = random_angles(ansatz), random_states(3)
    simulated = tied(build_encoder(angles, ansatz, trash, states=1))
    circuit = AutoencoderCircuit(ansatz, trash, overlap, reset)
    device = qp.device("default.qubit", wires=circuit.num_wires + len(trash))
    found = qp.QNode(circuit.fidelity, device)(angles.numpy(), filled.numpy(), original.numpy())
    assert found == pytest.approx(simulated.run(filled[None]).fidelity(original[None]).item(), abs=1e-10)
    pixels = qp.QNode(circuit.probabilities, device)(angles.numpy(), filled.numpy())
    np.testing.assert_allclose(pixels, simulated.run(filled[None]).probabilities[0], atol=1e-10)


def test_the_papers_circuit_has_its_wires_and_its_value():
    circuit = AutoencoderCircuit(Ansatz(8))
    assert circuit.num_wires == 18
    assert circuit.registers == {
        "ancilla": (0,),
        "fresh": (1,),
        "input": tuple(range(2, 10)),
        "reference": tuple(range(10, 18)),
        "encoder_ancillas": (),
    }
    assert AutoencoderCircuit(Ansatz(8), (0,), "inverse", "swap").num_wires == 9
    assert AutoencoderCircuit(Ansatz(8), (0,), "inverse", "measure").num_wires == 8
    angles, states = random_angles(Ansatz(3)).numpy(), random_states(3).numpy()
    function, wires = training_circuit(3)
    ours = qp.QNode(AutoencoderCircuit(Ansatz(3)).fidelity, qp.device("default.qubit", wires=8))(angles, *states)
    assert ours == pytest.approx(
        qp.QNode(function, qp.device("default.qubit", wires=wires))(angles, *states), abs=1e-12
    )


def test_bad_kinds_are_refused(unchecked):
    with pytest.raises(InputError, match="no overlap 'guess': choose one of swap, inverse"):
        AutoencoderCircuit(Ansatz(2), overlap="guess")  # pyright: ignore[reportArgumentType]
    for trash in ((0, 0), (2,), (-1,), (0, 1)):
        with pytest.raises(InputError, match="must be different qubits from 0 to 1 and leave a latent qubit"):
            AutoencoderCircuit(Ansatz(2), trash)
    with pytest.raises(InputError, match="no reset 'hope'"):
        AutoencoderCircuit(Ansatz(2), reset="hope")  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("qubits", [1, 2, 5])
def test_real_states_are_prepared_by_a_tree_of_rotations(qubits):
    state = random_states(qubits, 1)[0].numpy() * (-1) ** np.arange(2**qubits)
    state[: 2**qubits // 4] = 0  # black pixels, whole branches of the tree
    state /= np.linalg.norm(state)
    wires = range(qubits)
    gates = RealAmplitudeEmbedding(state, wires=wires).decomposition()
    prepared = matrix(QuantumScript(gates), wire_order=wires)[:, 0]
    np.testing.assert_allclose(prepared, state, atol=1e-14)
    counts = Counter(gate.name for gate in gates)
    assert (counts["RY"], counts["CNOT"]) == (2**qubits - 1, 2**qubits - 2)


def test_a_preparation_has_the_right_number_of_amplitudes_of_norm_1():
    with pytest.raises(ValueError, match="4"):
        RealAmplitudeEmbedding(np.ones(3) / 3**0.5, wires=range(2))
    with pytest.raises(ValueError, match="norm"):
        RealAmplitudeEmbedding(np.ones(4), wires=range(2))
    with pytest.raises(ValueError, match="real amplitudes only"):
        RealAmplitudeEmbedding(np.array([1, 1j]) / 2**0.5, wires=range(1))
    with pytest.raises(ValueError, match="one state at a time"):
        RealAmplitudeEmbedding(np.eye(4), wires=range(2)).decomposition()


def simulated(circuit, angles, filled, original):
    simulation = tied(build_encoder(angles, circuit.ansatz, circuit.trash_wires, states=1))
    return simulation.run(filled[None]).fidelity(original[None])[0]


@pytest.mark.parametrize("kinds", [("swap", "swap"), ("inverse", "swap")])
@pytest.mark.parametrize("method", ["adjoint", "parameter-shift"])
def test_gradients_of_the_angles(kinds, method):
    circuit = AutoencoderCircuit(Ansatz(3), (0,), *kinds)
    angles, (filled, original) = random_angles(circuit.ansatz).requires_grad_(), random_states(3)
    filled[2:4] = 0
    filled = embed(filled)
    node = qp.QNode(circuit.fidelity, qp.device("lightning.qubit", wires=circuit.num_wires), diff_method=method)
    weights = qp.numpy.array(angles.detach().numpy(), requires_grad=True)
    found = qp.grad(node, argnums=0)(weights, filled.numpy(), original.numpy())
    (expected,) = torch.autograd.grad(simulated(circuit, angles, filled, original), angles)
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_gradients_of_the_token_by_backpropagation():
    circuit = AutoencoderCircuit(Ansatz(3), overlap="swap")
    angles, (pixels, original) = random_angles(circuit.ansatz), random_states(3)
    pixels[2:4] = 0
    pixels.requires_grad_()
    node = qp.QNode(circuit.fidelity, qp.device("default.qubit", wires=circuit.num_wires), diff_method="backprop")
    (found,) = torch.autograd.grad(node(angles.numpy(), embed(pixels), original.numpy()), pixels)
    (expected,) = torch.autograd.grad(simulated(circuit, angles, embed(pixels), original), pixels)
    torch.testing.assert_close(found, expected, atol=1e-8, rtol=0)


@pytest.mark.parametrize("method", ["adjoint", "parameter-shift"])
def test_gradients_of_a_prepared_state_are_right_or_refused(method):
    circuit = AutoencoderCircuit(Ansatz(3), overlap="inverse")
    angles, (pixels, original) = random_angles(circuit.ansatz), random_states(3)
    node = qp.QNode(circuit.fidelity, qp.device("lightning.qubit", wires=circuit.num_wires), diff_method=method)
    lit = pixels.clone().requires_grad_()
    (found,) = torch.autograd.grad(node(angles, embed(lit), original.numpy()), lit)
    (expected,) = torch.autograd.grad(simulated(circuit, angles, embed(lit), original), lit)
    torch.testing.assert_close(found, expected, atol=1e-8, rtol=0)
    pixels[2:4] = 0
    black = pixels.requires_grad_()
    with pytest.raises(ValueError, match="no derivative at black pixels"):
        node(angles, embed(black), original.numpy()).backward()
