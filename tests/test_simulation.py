import pennylane as qp
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from paper_circuit import encoder, output_probabilities, training_circuit
from qmae.ansatz import Ansatz
from qmae.errors import InputError
from qmae.images import load_images
from qmae.masking import PatchMask
from qmae.models import MaskedAutoencoder
from qmae.simulation import embed, encode, read_out, reset_fidelity, reset_readout, split_trash, unitary


def random_case(qubits, generator, layers=1, batch=3):
    shape = Ansatz(qubits, layers).angle_shape
    angles = torch.rand(shape, generator=generator, dtype=torch.float64) * 6.28
    pixels = torch.rand(2, batch, 2**qubits, generator=generator, dtype=torch.float64)
    return angles, *embed(pixels)


def fast_fidelity(angles, filled, originals, ansatz, trash=(0,)):
    v = split_trash(unitary(angles, ansatz), ansatz.qubits, trash)
    return reset_fidelity(v, encode(v, filled), originals)


@pytest.mark.parametrize(
    ("qubits", "layers", "trash"), [(3, 1, (0,)), (4, 1, (0,)), (3, 2, (0,)), (3, 1, (2,)), (4, 1, (1, 3))]
)
def test_fidelity_and_gradients_equal_the_full_circuit(qubits, layers, trash, generator):
    """Ancilla, fresh trash, input and reference, SWAP, adjoint, SWAP test, in PennyLane."""
    angles, filled, originals = random_case(qubits, generator, layers)
    circuit, wires = training_circuit(qubits, trash, layers)
    node = qp.QNode(circuit, qp.device("default.qubit", wires=wires), interface="torch", diff_method="backprop")

    theirs_in = [angles.clone().requires_grad_(), filled.clone().requires_grad_()]
    theirs = torch.stack([node(theirs_in[0], *pair) for pair in zip(theirs_in[1], originals, strict=True)])
    ours_in = [angles.clone().requires_grad_(), filled.clone().requires_grad_()]
    ours = fast_fidelity(*ours_in, originals, Ansatz(qubits, layers), trash)

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
        model.angles.mul_(10)
        model.token.uniform_(0, 1, generator=generator)
    masks = model.config.patch.at(2, 1)
    circuit, wires = training_circuit(8)
    assert wires == 18
    node = qp.QNode(circuit, qp.device("lightning.qubit", wires=wires))
    filled = embed(model.fill(image.double(), masks).flatten(1)).detach().numpy()[0]
    original = embed(image.double().flatten(1)).numpy()[0]
    theirs = float(node(model.angles.detach().numpy(), filled, original))
    assert model.fidelity(image.double(), masks).item() == pytest.approx(theirs, abs=1e-10)


def test_readout_and_trash_equal_measurements_of_the_circuit(generator):
    angles, filled, _ = random_case(4, generator)
    node = qp.QNode(output_probabilities(4), qp.device("default.qubit", wires=5), interface="torch")
    v = split_trash(unitary(angles, Ansatz(4)), 4, (0,))
    encoded = encode(v, filled)
    for ours, state, pixels in zip(reset_readout(v, encoded), encoded, filled, strict=True):
        output, trash = node(angles, pixels)
        torch.testing.assert_close(ours, output, rtol=0, atol=1e-12)
        torch.testing.assert_close((state.abs() ** 2).sum(1), trash, rtol=0, atol=1e-12)


@given(st.integers(2, 7), st.integers(1, 2), st.integers(0, 100))
def test_fused_circuit_equals_its_blocks_one_by_one(qubits, layers, seed):
    ansatz = Ansatz(qubits, layers)
    angles = torch.rand(ansatz.angle_shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * 6.28
    device = qp.device("default.qubit", wires=qubits)

    @qp.qnode(device)
    def state():
        encoder(angles.numpy(), range(qubits), layers)
        return qp.state()

    torch.testing.assert_close(unitary(angles, ansatz)[:, 0], torch.as_tensor(state()), rtol=0, atol=1e-12)


def test_v_is_unitary():
    angles = torch.rand(28, 15, generator=torch.Generator().manual_seed(1), dtype=torch.float64) * 6.28
    v = unitary(angles, Ansatz(8))
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
        read_out(probabilities, "phase")
