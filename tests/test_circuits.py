from itertools import product

import numpy as np
import pennylane as qp
import pytest
import torch

from paper_circuit import block, training_circuit
from qmae import Ansatz, MaskedAutoencoder, ModelConfig, PatchMask
from qmae.circuits import AllPairsBlocks, AutoencoderCircuit, TwoQubitBlock
from qmae.devices import verify
from qmae.errors import InputError
from qmae.simulation import embed, encode, reset_fidelity, reset_readout, split_trash, unitary


def random_angles(ansatz, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(ansatz.angle_shape, generator=generator, dtype=torch.float64) * 6.28


def random_states(qubits, count=2, seed=1):
    return embed(torch.rand(count, 2**qubits, generator=torch.Generator().manual_seed(seed), dtype=torch.float64))


def test_block_is_that_of_the_paper():
    angles = random_angles(Ansatz(2))[0].numpy()
    ours = qp.matrix(TwoQubitBlock(angles, wires=["a", "b"]).decomposition, wire_order=["a", "b"])()
    theirs = qp.matrix(block, wire_order=[0, 1])(angles, 0, 1)
    np.testing.assert_allclose(ours, theirs, atol=1e-14)


@pytest.mark.parametrize(("qubits", "layers"), [(2, 1), (3, 2), (4, 1)])
def test_template_equals_the_simulation(qubits, layers):
    ansatz = Ansatz(qubits, layers)
    angles = random_angles(ansatz)
    assert AllPairsBlocks.shape(layers, qubits) == tuple(angles.shape)
    matrix = qp.matrix(AllPairsBlocks, wire_order=range(qubits))(angles.numpy(), range(qubits))
    np.testing.assert_allclose(matrix, unitary(angles, ansatz), atol=1e-12)


def test_template_takes_batches_torch_and_the_adjoint():
    angles = torch.stack([random_angles(Ansatz(3), seed) for seed in range(4)])

    @qp.qnode(qp.device("default.qubit", wires=3))
    def there_and_back(weights, other):
        AllPairsBlocks(weights, wires=range(3))
        qp.adjoint(AllPairsBlocks)(other, wires=range(3))
        return qp.probs()

    both = there_and_back(angles, angles)
    torch.testing.assert_close(both[:, 0], torch.ones(4, dtype=torch.float64))
    batch = there_and_back(angles, angles.flip(0))
    for row, one, other in zip(batch, angles, angles.flip(0), strict=True):
        torch.testing.assert_close(there_and_back(one, other), row)


def test_weights_of_a_wrong_shape_are_refused():
    with pytest.raises(ValueError, match="weights need 15 angles in the last dimension"):
        TwoQubitBlock(np.zeros(14), wires=[0, 1])
    with pytest.raises(ValueError, match="3 wires have 3 pairs; weights for 4 blocks are no whole layers"):
        AllPairsBlocks(np.zeros((4, 15)), wires=range(3))


@pytest.mark.parametrize(("overlap", "reset"), list(product(("swap", "inverse"), ("swap", "measure"))))
@pytest.mark.parametrize("trash", [(0,), (1, 2)])
def test_every_circuit_gives_the_fidelity_and_the_reconstruction(overlap, reset, trash):
    ansatz = Ansatz(3)
    angles, (filled, original) = random_angles(ansatz), random_states(3)
    v = split_trash(unitary(angles, ansatz), 3, trash)
    encoded = encode(v, filled[None])
    circuit = AutoencoderCircuit(ansatz, trash, overlap, reset)
    device = qp.device("default.qubit", wires=circuit.num_wires + len(trash))
    found = qp.QNode(circuit.fidelity, device)(angles.numpy(), filled.numpy(), original.numpy())
    assert found == pytest.approx(reset_fidelity(v, encoded, original[None]).item(), abs=1e-10)
    pixels = qp.QNode(circuit.probabilities, device)(angles.numpy(), filled.numpy())
    np.testing.assert_allclose(pixels, reset_readout(v, encoded)[0], atol=1e-10)


def test_joint_preparation_changes_nothing():
    ansatz = Ansatz(3)
    angles, states = random_angles(ansatz).numpy(), random_states(3).numpy()
    joint, apart = (AutoencoderCircuit(ansatz, joint_preparation=kind) for kind in (True, False))
    values = [qp.QNode(c.fidelity, qp.device("default.qubit", wires=8))(angles, *states) for c in (joint, apart)]
    assert values[0] == pytest.approx(values[1], abs=1e-12)


def test_the_papers_circuit_has_its_wires_and_its_value():
    circuit = AutoencoderCircuit(Ansatz(8))
    assert circuit.num_wires == 18
    assert circuit.registers == {
        "ancilla": (0,),
        "fresh": (1,),
        "input": tuple(range(2, 10)),
        "reference": tuple(range(10, 18)),
    }
    counts = [
        AutoencoderCircuit(Ansatz(8), (0,), *kinds).num_wires for kinds in (("inverse", "swap"), ("inverse", "measure"))
    ]
    assert counts == [9, 8]
    angles, states = random_angles(Ansatz(3)).numpy(), random_states(3).numpy()
    function, wires = training_circuit(3)
    ours = qp.QNode(AutoencoderCircuit(Ansatz(3)).fidelity, qp.device("default.qubit", wires=8))(angles, *states)
    assert ours == pytest.approx(
        qp.QNode(function, qp.device("default.qubit", wires=wires))(angles, *states), abs=1e-12
    )


def test_bad_kinds_are_refused():
    with pytest.raises(InputError, match="no overlap 'guess': choose one of swap, inverse"):
        AutoencoderCircuit(Ansatz(2), overlap="guess")
    with pytest.raises(InputError, match="no reset 'hope'"):
        AutoencoderCircuit(Ansatz(2), reset="hope")
    with pytest.raises(InputError, match="a joint preparation needs a reference"):
        AutoencoderCircuit(Ansatz(2), overlap="inverse", joint_preparation=True)


def test_verify_finds_agreement_and_would_find_a_difference(small_data, monkeypatch):
    from qmae.images import load_images

    patch = PatchMask(4, 0.25)
    images = load_images(small_data, size=4)[0][:3]
    model = MaskedAutoencoder(ModelConfig(patch), generator=torch.Generator().manual_seed(0))
    masks = patch.sample(3, generator=torch.Generator().manual_seed(0))
    found = list(verify(model, images, masks))
    assert [agreement.precision for agreement in found] == ["complex64"] + ["complex128"] * 4
    assert max(max(a.fidelity, a.probability) for a in found if a.precision == "complex128") < 1e-9
    assert 1e-9 < found[0].fidelity < 1e-4

    monkeypatch.setattr("qmae.circuits.SU4_BLOCK", tuple(reversed(Ansatz(2).block)))
    assert min(agreement.fidelity for agreement in verify(model, images, masks)) > 1e-3
