"""The presets beyond the paper's, and the trained models that the package brings."""

import pennylane as qp
import pytest
import torch

from qmae.circuits.autoencoder import AutoencoderCircuit
from qmae.circuits.templates import BlockLayers
from qmae.data.images import load_images
from qmae.data.masks import PatchMask
from qmae.errors import InputError
from qmae.models.autoencoder import MaskedAutoencoder
from qmae.models.baselines import MeanPatch
from qmae.models.config import ModelConfig
from qmae.models.pretrained import SHIPPED
from qmae.models.registry import preset_config
from qmae.simulation.states import embed
from samples import angles_of_circuits


@pytest.mark.parametrize(
    ("name", "angles", "cnots"),
    [
        ("qmae-small", 1_824, 224),
        ("qmae-plus", 15_712, 1_960),
        ("qmae-heralded", 15_588, 1_944),
        ("qmae-compressed", 15_296, 1_904),
    ],
)
def test_presets_beyond_the_paper_cost_what_the_readme_says(name, angles, cnots):
    model = MaskedAutoencoder.from_preset(name)
    gates = [gate for ansatz in model.config.ansatzes for gate, *_ in ansatz.gates()]
    assert model.name == name
    assert model.angle_count == angles
    assert gates.count("CNOT") == cnots


def test_ancillas_are_trash_whatever_the_size():
    assert ModelConfig.preset("qmae-heralded", PatchMask(8)).trash_wires == (6,)
    assert ModelConfig.preset("qmae-heralded", PatchMask(16), ancillas=2).trash_wires == (8, 9)
    config = ModelConfig.preset("qmae-plus", PatchMask(16), bottleneck="reset", decoder="free")
    assert config.trash_wires == (0,)
    assert ModelConfig.preset("qmae", PatchMask(16)) == ModelConfig()


def test_a_network_has_no_settings_of_a_circuit():
    with pytest.raises(InputError, match="--mask-token: of a circuit, which unet has none of"):
        preset_config("unet", PatchMask(), mask_token="none")


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_model_fills_the_hole_better_than_the_mean(name):
    model = MaskedAutoencoder.from_pretrained(name)
    images = load_images("mnist", split="validation")[0][:1000]
    masks = model.config.patch.sample(len(images), generator=torch.Generator().manual_seed(1))
    mean = MeanPatch(load_images("mnist", split="train")[0])
    with torch.no_grad():
        assert model.fidelity(images, masks).mean() > mean.fidelity(images, masks).mean() + 0.02


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_model_is_its_circuit(name):
    model = MaskedAutoencoder.from_pretrained(name).double()
    config = model.config
    image = load_images("mnist", split="validation")[0][:1].double()
    masks = config.patch.at(1, 1)
    wires = range(config.qubits + config.ancillas)
    state = embed(model.fill(image, masks)[0].flatten()).detach().numpy()

    angles, *of_decoder = angles_of_circuits(model, masks.position[0])
    circuit = AutoencoderCircuit.of(config, "inverse")

    @qp.qnode(qp.device("default.qubit", wires=wires))
    def trash():
        qp.StatePrep(state, wires=range(config.qubits))
        BlockLayers(angles, wires, config.block)
        return qp.probs(wires=config.trash_wires or wires)

    success = trash()[0] if config.trash_wires else 1.0
    assert model.success_probability(image, masks).item() == pytest.approx(success, abs=1e-6)
    pixels = qp.QNode(circuit.probabilities, qp.device("default.qubit", wires=circuit.num_wires + 1))(
        angles, state, *of_decoder
    )
    found = model.probabilities(image, masks).detach().flatten()
    torch.testing.assert_close(found, torch.as_tensor(pixels), atol=1e-6, rtol=0)
