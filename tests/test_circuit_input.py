"""What circuits are given: batches equal one circuit after the other, and what does not fit is refused in one line."""

from itertools import product
from typing import Any

import numpy as np
import pennylane as qp
import pytest
import torch
from pennylane.queuing import AnnotatedQueue

from qmae import Ansatz, ModelConfig, PatchMask
from qmae.circuits.autoencoder import AutoencoderCircuit, swap_test
from qmae.circuits.templates import BlockLayers, TwoQubitBlock
from qmae.errors import InputError
from qmae.models.wiring import check_wiring
from samples import random_states

WIRINGS = {
    "paper": {},
    "free": {"decoder": "free"},
    "ancilla": {"trash_wires": (2,), "ancillas": 1, "bottleneck": "herald", "decoder": "none"},
    "unitary": {"trash_wires": (), "bottleneck": "none", "decoder": "none"},
}


def angles_for(circuit, count, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return (torch.rand(count, *circuit.ansatz.angle_shape, generator=generator, dtype=torch.float64) * 6.28).numpy()


def node(circuit, function):
    return qp.QNode(function, qp.device("default.qubit", wires=circuit.num_wires + 2))


@pytest.mark.parametrize("name", WIRINGS)
@pytest.mark.parametrize(("overlap", "reset"), list(product(("swap", "inverse"), ("swap", "measure"))))
def test_a_batch_of_angles_is_one_circuit_after_the_other(name, overlap, reset):
    circuit = AutoencoderCircuit(Ansatz(3), overlap=overlap, reset=reset, **WIRINGS[name])
    angles = angles_for(circuit, 5)
    filled, original = random_states(3 - circuit.ancillas).numpy()
    fidelity, pixels = node(circuit, circuit.fidelity), node(circuit, circuit.probabilities)
    if name == "ancilla":
        with pytest.raises(InputError, match="does not post-select in batches"):
            fidelity(angles, filled, original)
        return
    of_decoder = {"decoder_angles": angles_for(circuit, 1, seed=1)[0]} if name == "free" else {}
    found = fidelity(angles, filled, original, **of_decoder), pixels(angles, filled, **of_decoder)
    assert found[0].shape == (5,)
    one_by_one = [(fidelity(one, filled, original, **of_decoder), pixels(one, filled, **of_decoder)) for one in angles]
    for batch, alone in zip(found, zip(*one_by_one, strict=True), strict=True):
        np.testing.assert_allclose(batch, alone, atol=1e-12)


def test_thirty_angle_sets_of_six_blocks_give_thirty_fidelities():
    circuit = AutoencoderCircuit(Ansatz(4))
    states = random_states(4).numpy()
    assert node(circuit, circuit.fidelity)(angles_for(circuit, 30), *states).shape == (30,)


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("decoder", ["adjoint", "free"])
def test_missing_and_surplus_blocks_are_refused(layers, decoder):
    circuit = AutoencoderCircuit(Ansatz(2, layers), decoder=decoder)
    states = random_states(2).numpy()
    (angles,) = angles_for(circuit, 1)
    of_decoder = {"decoder_angles": angles} if decoder == "free" else {}
    wrong = [angles[:-1], np.concatenate([angles, angles]), angles[:, :6], angles[None, None], angles[0], angles[:0]]
    for other in wrong:
        with pytest.raises(InputError, match=r"angles of shape .*: this circuit takes \["):
            node(circuit, circuit.fidelity)(other, *states, **of_decoder)
    with pytest.raises(InputError, match="angles are of type list"):
        node(circuit, circuit.fidelity)(angles.tolist(), *states, **of_decoder)
    with pytest.raises(InputError, match="angles hold NaN"):
        node(circuit, circuit.probabilities)(angles * np.nan, states[0], **of_decoder)
    surplus, why = ({}, "give decoder_angles") if of_decoder else ({"decoder_angles": angles}, "no angles of its own")
    with pytest.raises(InputError, match=f"the decoder of this circuit has .*{why}"):
        node(circuit, circuit.fidelity)(angles, *states, **surplus)


def test_amplitudes_that_are_none_are_refused():
    circuit = AutoencoderCircuit(Ansatz(2))
    (angles,), (filled, original) = angles_for(circuit, 1), random_states(2).numpy()
    fidelity = node(circuit, circuit.fidelity)
    for wrong, why in [
        (filled[:3], r"filled of shape \[3\]: this circuit takes \[4\]"),
        (filled * 2, "filled is not of norm 1"),
        (filled * 0, "filled is not of norm 1"),
        (filled * np.nan, "filled hold NaN"),
        (filled * 1j, "filled holds complex amplitudes"),
        (filled.tolist(), "filled are of type list"),
        (np.tile(filled, (3, 2, 1)), "filled of shape"),
    ]:
        with pytest.raises(InputError, match=why):
            fidelity(angles, wrong, original)
    with pytest.raises(InputError, match=r"original of shape \[8\]"):
        fidelity(angles, filled, np.eye(8)[0])
    with pytest.raises(InputError, match="batches of 2 and 3 do not go together"):
        fidelity(np.tile(angles, (2, 1, 1)), np.tile(filled, (3, 1)), original)


def test_a_batch_of_images_is_one_after_the_other():
    circuit = AutoencoderCircuit(Ansatz(3))
    angles, filled = angles_for(circuit, 4), random_states(3, 4).numpy()
    pixels = node(circuit, circuit.probabilities)
    np.testing.assert_allclose(pixels(angles, filled), [pixels(*one) for one in zip(angles, filled, strict=True)])
    np.testing.assert_allclose(pixels(angles[0], filled), [pixels(angles[0], one) for one in filled])


REFUSED = [
    {"bottleneck": "none"},
    {"bottleneck": "none", "trash_wires": (), "decoder": "adjoint"},
    {"decoder": "none"},
    {"ancillas": 1},
    {"ancillas": 1, "decoder": "free"},
    {"ancillas": 1, "trash_wires": (4,), "bottleneck": "herald"},
    {"ancillas": -1},
    {"ancillas": 1.0},
    {"ancillas": True},
    {"ancillas": 10**30},
    {"trash_wires": (0, 0)},
    {"trash_wires": (-1,)},
    {"trash_wires": (4,)},
    {"trash_wires": (0, 1, 2, 3)},
    {"trash_wires": (True,)},
    {"trash_wires": (0.0,)},
    {"trash_wires": "0"},
    {"trash_wires": 0},
    {"trash_wires": None},
    {"bottleneck": "leak"},
    {"bottleneck": ["none"]},
    {"decoder": None},
]


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("settings", REFUSED)
def test_models_and_circuits_refuse_the_same_combinations(settings):
    with pytest.raises(InputError) as of_model:
        ModelConfig(PatchMask(4), **settings)
    given = settings.get("ancillas", 0)
    with pytest.raises(InputError) as of_circuit:
        AutoencoderCircuit(Ansatz(4 + int(given if given in (0, 1) else 0)), **settings)
    if "ancillas" not in settings:
        assert str(of_model.value) == str(of_circuit.value)


@pytest.mark.usefixtures("unchecked")
def test_other_bad_circuits_are_refused():
    with pytest.raises(InputError, match="ansatz 8 is no Ansatz"):
        AutoencoderCircuit(8)  # pyright: ignore[reportArgumentType]
    with pytest.raises(InputError, match="no reset None"):
        AutoencoderCircuit(Ansatz(2), reset=None)  # pyright: ignore[reportArgumentType]
    with pytest.raises(InputError, match="number of ancillas 3 is out of bounds"):
        AutoencoderCircuit(Ansatz(4), ancillas=3)
    listed: Any = [1, 0]
    assert AutoencoderCircuit(Ansatz(4), listed).trash_wires == (1, 0)
    assert check_wiring(2, 0, [np.int64(1)], "reset", "adjoint").trash_wires == (1,)


def test_templates_refuse_other_shapes():
    for weights in (np.zeros((2, 3, 15)), np.zeros((0, 15)), np.float64(1)):
        with pytest.raises(InputError):
            TwoQubitBlock(weights, wires=[0, 1])
    for weights in (np.zeros((1, 2, 3, 15)), np.zeros((0, 3, 15)), np.zeros((3, 15)).tolist()):
        with pytest.raises(InputError):
            BlockLayers(weights, wires=range(3))
    with pytest.raises(InputError, match="number of qubits 1 is out of bounds"):
        BlockLayers(np.zeros((1, 15)), wires=[0])


def test_swap_test_refuses_registers_that_do_not_fit():
    for ancilla, first, second in [(0, [1, 2], [3]), (0, [1], [1]), (1, [1], [2]), (0, [], []), (0, [1, 2], [2, 3])]:
        with AnnotatedQueue() as queue, pytest.raises(InputError, match="a SWAP test"):
            swap_test(ancilla, first, second)
        assert len(queue) == 0


def test_the_number_of_angles_needs_no_enumeration():
    for qubits, layers, kind in product((2, 3, 5), (1, 2, 4), ("su4", "so4")):
        ansatz = Ansatz(qubits, layers, kind)
        assert ansatz.angles == 1 + max(ansatz.merged)
        assert ansatz.blocks == len(ansatz.pairs)
        assert Ansatz.of_angles(qubits, kind, ansatz.angles) == ansatz
    assert Ansatz(24, 10_000, "so4").angles == 4 * 276 * 10_000 + 24
