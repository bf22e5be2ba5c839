"""Models beyond the paper's, each as a circuit of PennyLane's."""

from typing import Any

import numpy as np
import pennylane as qp
import pytest
import torch

from qmae.circuits.autoencoder import AutoencoderCircuit
from qmae.data.masks import PatchMask
from qmae.errors import InputError
from qmae.models.autoencoder import MaskedAutoencoder
from qmae.models.config import ModelConfig
from qmae.simulation.states import embed
from samples import angles_of_circuits

ONE, SEVERAL = PatchMask(4, 0.25), PatchMask(4, 0.25, patches=4)
VARIANTS: dict[str, tuple[PatchMask, dict[str, Any]]] = {
    "one circuit per position, nothing discarded": (
        ONE,
        {"bottleneck": "none", "trash_wires": (), "decoder": "none", "block": "so4", "conditioning": "separate"},
    ),
    "an ancilla heralds": (
        ONE,
        {"bottleneck": "herald", "trash_wires": (4,), "ancillas": 1, "decoder": "none", "block": "so4", "layers": 2},
    ),
    "the trash heralds, the decoder undoes": (ONE, {"bottleneck": "herald"}),
    "the trash heralds, another circuit decodes": (
        ONE,
        {"bottleneck": "herald", "trash_wires": (1, 2), "decoder": "free", "conditioning": "offsets"},
    ),
    "the trash is reset, another circuit decodes": (
        ONE,
        {"decoder": "free", "block": "so4", "conditioning": "separate"},
    ),
    "an ancilla is thrown away": (ONE, {"trash_wires": (4, 5), "ancillas": 2, "decoder": "none"}),
    "trash and ancilla herald": (
        ONE,
        {"bottleneck": "herald", "trash_wires": (0, 4), "ancillas": 1, "decoder": "free"},
    ),
    "offsets of several patches": (SEVERAL, {"conditioning": "offsets", "layers": 2}),
}


def variant(patch, settings, generator):
    settings = {"mask_token": "per_position", "initial_spread": 2.0, **settings}
    model = MaskedAutoencoder(ModelConfig(patch, **settings), generator=generator).double()
    with torch.no_grad():
        model.token.uniform_(0, 1, generator=generator)
        if model.encoder.offsets is not None:
            model.encoder.offsets.normal_(generator=generator)
    images = torch.rand(5, 4, 4, generator=generator, dtype=torch.float64)
    return model, images, patch.sample(5, generator=generator)


@pytest.mark.parametrize("overlap", ["swap", "inverse"])
@pytest.mark.parametrize("name", VARIANTS)
def test_a_variant_is_its_circuit(name, overlap, generator):
    model, images, masks = variant(*VARIANTS[name], generator)
    circuit = AutoencoderCircuit.of(model.config, overlap, "measure" if overlap == "inverse" else "swap")
    device = qp.device("default.qubit", wires=circuit.num_wires + 2)
    nodes = qp.QNode(circuit.fidelity, device), qp.QNode(circuit.probabilities, device)
    filled, originals = (embed(part.flatten(1)).detach().numpy() for part in (model.fill(images, masks), images))
    fidelity, pixels = (
        part.detach().numpy() for part in (model.fidelity(images, masks), model.probabilities(images, masks))
    )
    assert len(masks.position.unique(dim=0)) > 1
    for index, position in enumerate(masks.position):
        angles, *of_decoder = angles_of_circuits(model, position)
        found = nodes[0](angles, filled[index], originals[index], *of_decoder)
        assert found == pytest.approx(fidelity[index], abs=1e-10)
        np.testing.assert_allclose(nodes[1](angles, filled[index], *of_decoder), pixels[index].flatten(), atol=1e-10)
    np.testing.assert_allclose(pixels.sum((1, 2)), 1, atol=1e-12)


@pytest.mark.parametrize("name", [name for name in VARIANTS if "herald" in name])
def test_the_success_probability_is_that_of_the_measurement(name, generator):
    model, images, masks = variant(*VARIANTS[name], generator)
    config, position = model.config, masks.position[0]
    wires = range(config.qubits + config.ancillas)

    @qp.qnode(qp.device("default.qubit", wires=wires))
    def trash():
        from qmae.circuits.templates import BlockLayers

        qp.StatePrep(embed(model.fill(images, masks)[0].flatten()).detach().numpy(), wires=range(config.qubits))
        BlockLayers(model.encoder.at(position).detach().numpy(), wires, config.block)
        return qp.probs(wires=config.trash_wires)

    success = model.success_probability(images, masks)
    assert success[0].item() == pytest.approx(trash()[0], abs=1e-10)
    assert 0 < success.min() < success.max() < 1


def test_nothing_is_discarded_without_a_herald(generator):
    model, images, masks = variant(*VARIANTS["an ancilla is thrown away"], generator)
    assert torch.equal(model.success_probability(images, masks), torch.ones(5, dtype=torch.float64))
    assert model.fidelity(images, masks).max() < 1


@pytest.mark.parametrize("name", VARIANTS)
def test_every_parameter_has_a_gradient(name, generator):
    model, images, masks = variant(*VARIANTS[name], generator)
    everywhere = masks.patch.sample(40, generator=generator)
    model(images.repeat(8, 1, 1), everywhere).mean().backward()
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in model.parameters())
    assert all((parameter.grad.view(len(parameter), -1).abs().sum(1) > 0).all() for parameter in model.parameters())


def test_tokens_per_position_lie_where_the_hole_is(generator):
    model, images, masks = variant(*VARIANTS["offsets of several patches"], generator)
    filled = model.fill(images, masks)
    assert torch.equal(filled[masks.hidden], model.token.expand_as(images)[masks.hidden])
    assert torch.equal(filled[~masks.hidden], images[~masks.hidden])


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"bottleneck": "none"}, "without a bottleneck there is no trash"),
        ({"bottleneck": "none", "trash_wires": ()}, "an adjoint decoder needs a bottleneck"),
        ({"ancillas": 1}, "ancillas are trash"),
        ({"ancillas": 1, "trash_wires": (4,)}, "an adjoint decoder needs"),
        ({"decoder": "none"}, "only ancillas can be trash"),
        ({"patch": PatchMask(4, 0.25, "anywhere"), "mask_token": "per_position"}, "placement grid"),
        ({"patch": SEVERAL, "conditioning": "separate"}, "condition by offsets"),
        ({"conditioning": "sometimes"}, "no conditioning 'sometimes': choose one of none, separate, offsets"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_settings_that_do_not_go_together_are_refused(settings, why):
    with pytest.raises(InputError, match=why):
        ModelConfig(**{"patch": ONE, **settings})


def test_angles_of_places_refuse_masks_of_another_kind(generator):
    model, images, _ = variant(*VARIANTS["one circuit per position, nothing discarded"], generator)
    with pytest.raises(InputError, match="masks of its own kind"):
        model.fidelity(images, PatchMask(4, 0.5).sample(5, generator=generator))
