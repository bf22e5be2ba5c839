from dataclasses import replace

import pennylane as qp
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from paper_circuit import encoder, output_probabilities, training_circuit
from qmae.ansatz.ansatz import Ansatz
from qmae.ansatz.blocks import BLOCKS
from qmae.data.images import load_images
from qmae.data.masks import PatchMask
from qmae.errors import InputError
from qmae.models.autoencoder import MaskedAutoencoder
from qmae.models.variational import build_encoder
from qmae.simulation.dense import DenseEncoder
from qmae.simulation.states import embed, read_out
from qmae.simulation.statevector import StateVectorEncoder
from samples import LiveTensors, random_angles, random_states, tied


def random_case(qubits, generator, layers=1, batch=3):
    shape = Ansatz(qubits, layers).block_shape
    angles = torch.rand(shape, generator=generator, dtype=torch.float64) * 6.28
    pixels = torch.rand(2, batch, 2**qubits, generator=generator, dtype=torch.float64)
    return angles, *embed(pixels)


both_ways = pytest.mark.parametrize("kind", [DenseEncoder, StateVectorEncoder])


@both_ways
@pytest.mark.parametrize(
    ("qubits", "layers", "trash"), [(3, 1, (0,)), (4, 1, (0,)), (3, 2, (0,)), (3, 1, (2,)), (4, 1, (1, 3))]
)
def test_fidelity_and_gradients_equal_the_full_circuit(kind, qubits, layers, trash, generator):
    """Ancilla, fresh trash, input and reference, SWAP, adjoint, SWAP test, in PennyLane."""
    angles, filled, originals = random_case(qubits, generator, layers)
    circuit, wires = training_circuit(qubits, trash, layers)
    node = qp.QNode(circuit, qp.device("default.qubit", wires=wires), interface="torch", diff_method="backprop")

    theirs_in = [angles.clone().requires_grad_(), filled.clone().requires_grad_()]
    theirs = torch.stack([node(theirs_in[0], *pair) for pair in zip(theirs_in[1], originals, strict=True)])
    ours_in = [angles.clone().requires_grad_(), filled.clone().requires_grad_()]
    ours = tied(kind.build(ours_in[0], Ansatz(qubits, layers), trash)).run(ours_in[1]).fidelity(originals)

    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-10)
    for mine, other in zip(
        torch.autograd.grad(ours.sum(), ours_in), torch.autograd.grad(theirs.sum(), theirs_in), strict=True
    ):
        torch.testing.assert_close(mine, other, rtol=0, atol=1e-8)


@pytest.mark.slow
def test_fidelity_equals_the_papers_18_qubit_circuit_on_an_mnist_image(generator):
    image = load_images(split="validation")[0][:1]
    model = MaskedAutoencoder.from_preset("qmae", seed=3).double()
    with torch.no_grad():
        model.encoder.angles.mul_(10)
        model.token.uniform_(0, 1, generator=generator)
    masks = model.config.patch.at(2, 1)
    circuit, wires = training_circuit(8)
    assert wires == 18
    node = qp.QNode(circuit, qp.device("lightning.qubit", wires=wires))
    filled = embed(model.fill(image.double(), masks).flatten(1)).detach().numpy()[0]
    original = embed(image.double().flatten(1)).numpy()[0]
    theirs = float(node(model.encoder.angles.detach().numpy(), filled, original))
    assert model.fidelity(image.double(), masks).item() == pytest.approx(theirs, abs=1e-10)


@both_ways
def test_readout_and_trash_equal_measurements_of_the_circuit(kind, generator):
    angles, filled, _ = random_case(4, generator)
    node = qp.QNode(output_probabilities(4), qp.device("default.qubit", wires=5), interface="torch")
    fast = kind.build(angles, Ansatz(4), (0,))
    encoded = fast.encode(filled)
    for ours, state, pixels in zip(tied(fast).run(filled).probabilities, encoded, filled, strict=True):
        output, trash = node(angles, pixels)
        torch.testing.assert_close(ours, output, rtol=0, atol=1e-12)
        torch.testing.assert_close((state.abs() ** 2).sum(1), trash, rtol=0, atol=1e-12)


@both_ways
@given(qubits=st.integers(2, 7), layers=st.integers(1, 2), seed=st.integers(0, 100))
def test_fused_circuit_equals_its_blocks_one_by_one(kind, qubits, layers, seed):
    ansatz = Ansatz(qubits, layers)
    angles, black = random_angles(ansatz, seed), torch.eye(2**qubits, dtype=torch.float64)[:1]
    device = qp.device("default.qubit", wires=qubits)

    @qp.qnode(device)
    def state():
        encoder(angles.numpy(), range(qubits), layers)
        return qp.state()

    ours = kind.build(angles, ansatz, ()).encode(black).flatten()
    torch.testing.assert_close(ours, torch.as_tensor(state()), rtol=0, atol=1e-12)


@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize(("qubits", "layers", "trash"), [(7, 1, (6,)), (8, 1, (0,)), (8, 3, (2, 5)), (10, 2, (0, 1))])
def test_both_ways_agree(qubits, layers, trash, block):
    ansatz = Ansatz(qubits, layers, block)
    angles, filled = random_angles(ansatz).requires_grad_(), random_states(qubits, 3).requires_grad_()
    originals = random_states(qubits, 3, seed=2)
    found = []
    for kind in (DenseEncoder, StateVectorEncoder):
        fast = kind.build(angles, ansatz, trash)
        encoded = fast.encode(filled)
        passage = tied(fast).run(filled)
        pixels, fidelity = passage.probabilities, passage.fidelity(originals)
        # A sum that weighs every image and pixel differently, so that no gradient cancels.
        total = fidelity @ torch.arange(3.0).double() + (pixels.cumsum(1) ** 2).mean()
        found.append([encoded, pixels, fidelity, *torch.autograd.grad(total, (angles, filled))])
    for dense, vectors in zip(*found, strict=True):
        torch.testing.assert_close(dense, vectors, rtol=0, atol=1e-10)


@both_ways
@pytest.mark.parametrize(("qubits", "layers"), [(3, 2), (4, 1)])
def test_gradients_are_slopes(kind, qubits, layers):
    ansatz = Ansatz(qubits, layers)
    inputs = random_angles(ansatz).requires_grad_(), random_states(qubits).requires_grad_()

    def outputs(angles, states):
        fast = tied(kind.build(angles, ansatz, (0,)))
        passage = fast.run(states)
        return passage.fidelity(random_states(qubits, seed=2)), passage.probabilities

    assert torch.autograd.gradcheck(outputs, inputs)


def test_memory_of_state_vectors_does_not_grow_with_depth():
    """Of live tensors as large as the batch of states, at any moment of a step."""
    states, peaks = random_states(10, 16), []
    for layers in (1, 4):
        ansatz = Ansatz(10, layers)
        fast = StateVectorEncoder.build(random_angles(ansatz), ansatz, (0,))
        fast = replace(fast, unitaries=fast.unitaries.requires_grad_())
        with LiveTensors(at_least=states.numel()) as live:
            tied(fast).run(states).fidelity(states).sum().backward()
        peaks.append(live.peak / states.numel())
    assert peaks[0] == peaks[1] > 0


@pytest.mark.parametrize(
    ("qubits", "layers", "states", "kind"),
    [
        (8, 1, 16, DenseEncoder),
        (8, 1, 15, StateVectorEncoder),
        (8, 4, 256, DenseEncoder),
        (12, 1, 256, StateVectorEncoder),
    ],
)
def test_a_matrix_for_many_states_of_few_qubits(qubits, layers, states, kind):
    ansatz = Ansatz(qubits, layers)
    assert isinstance(build_encoder(random_angles(ansatz), ansatz, (0,), states=states), kind)


def test_v_is_unitary():
    v = DenseEncoder.build(random_angles(Ansatz(8)), Ansatz(8), ()).columns.flatten(1)
    torch.testing.assert_close(v.mH @ v, torch.eye(256, dtype=v.dtype), rtol=0, atol=1e-12)


def test_single_precision_stays_close_to_double():
    model = MaskedAutoencoder.from_preset("qmae", seed=5)
    images = load_images(split="validation")[0][:50]
    masks = PatchMask().sample(50, generator=torch.Generator().manual_seed(0))
    single, double = model.fidelity(images, masks).double(), model.double().fidelity(images.double(), masks)
    torch.testing.assert_close(single, double, rtol=0, atol=1e-5)


def test_embedding_leaves_black_black_and_its_gradient_finite():
    pixels = torch.tensor([[3.0, 4.0], [0.0, 0.0]], requires_grad=True)
    states = embed(pixels)
    torch.testing.assert_close(states, torch.tensor([[0.6, 0.8], [0.0, 0.0]]))
    states.sum().backward()
    assert pixels.grad.isfinite().all()


@pytest.mark.usefixtures("unchecked")
def test_readouts():
    probabilities = torch.tensor([0.25, 0.75])
    assert read_out(probabilities, "probability").tolist() == [0.25, 0.75]
    assert read_out(probabilities, "amplitude")[0] == 0.5
    with pytest.raises(InputError, match="no readout 'phase'"):
        read_out(probabilities, "phase")  # pyright: ignore[reportArgumentType]
