"""Devices that cannot do what is asked, models that must stay as they are, and what few shots can tell."""

import copy
from itertools import product
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
import pennylane as qp
import pytest
import torch
from pennylane.devices import Device

from qmae import Ansatz, InputError, MaskedAutoencoder, PatchMask
from qmae.circuits.autoencoder import AutoencoderCircuit, RealAmplitudeEmbedding
from qmae.circuits.devices import Agreement, States, run_on_device, verify
from qmae.circuits.noise import NoisyFidelity, Setting, crossing, rows_from_json, study
from qmae.circuits.shot_statistics import effective_shots, expected_variation, share_error, shots_kept
from qmae.circuits.shots import descents, measure_gradients, measure_spread, train_on_device
from qmae.circuits.target import MOST_SHOTS, Target

USES = {
    "states": lambda model, images, masks: States.of(model, images, masks),
    "verify": lambda model, images, masks: list(verify(model, images, masks)),
    "run": lambda model, images, masks: list(
        run_on_device(model, images, masks, Target(AutoencoderCircuit.of(model.config), shots=10))
    ),
    "noise": lambda model, images, masks: list(study([model], images, masks, settings=[Setting("damping", 0.1, True)])),
}


@pytest.fixture
def tiny():
    images = torch.rand(2, 2, 2, generator=torch.Generator().manual_seed(0))
    masks = PatchMask(2, 0.25).sample(2, generator=torch.Generator().manual_seed(0))
    return MaskedAutoencoder.from_preset("qmae", patch=masks.patch, seed=1), images, masks


def traits(model):
    """All that a caller could miss of a model."""
    return [
        (name, p.dtype, p.device, p.requires_grad, p.grad is None, p.detach().clone().numpy().tobytes(), id(p))
        for name, p in model.named_parameters()
    ] + [model.training]


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("training", [True, False])
def test_the_callers_model_stays_as_it_is(tiny, use, training):
    model = tiny[0].train(training)
    model.encoder.angles.requires_grad_(not training)
    before = traits(model)
    USES[use](*tiny)
    assert traits(model) == before


@pytest.mark.parametrize("use", USES)
def test_what_is_found_does_not_depend_on_the_context(tiny, use):
    plain = USES[use](*tiny) if use != "run" else None
    with torch.autocast("cpu", dtype=torch.bfloat16):
        auto = USES[use](*tiny)
    with torch.inference_mode():
        inference = USES[use](*tiny)
    if use in ("states", "noise"):
        for one, other in product([plain], [auto, inference]):
            np.testing.assert_allclose(
                one.fidelity if use == "states" else [r.fidelity for r in one],
                other.fidelity if use == "states" else [r.fidelity for r in other],
                atol=1e-12,
            )


def test_gradients_are_set_in_the_models_own_precision_and_nothing_else_changes(tiny):
    model = tiny[0]
    target = Target(AutoencoderCircuit(model.config.ansatz))
    before = copy.deepcopy(model.state_dict())
    measure_gradients(*tiny, target=target)
    assert {parameter.grad.dtype for parameter in model.parameters()} == {torch.float32}
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    expected = torch.autograd.grad(model(*tiny[1:]).mean(), list(model.parameters()))
    for parameter, other in zip(model.parameters(), expected, strict=True):
        torch.testing.assert_close(parameter.grad, other, atol=1e-5, rtol=0)
    with torch.inference_mode(), pytest.raises(InputError, match="inference_mode"):
        measure_gradients(*tiny, target=target)


def test_trainings_need_numbers_that_train(tiny):
    target = Target(AutoencoderCircuit(tiny[0].config.ansatz))
    for change in ({"steps": 0}, {"batch_size": 0}, {"learning_rate": float("nan")}, {"learning_rate": 0.0}):
        settings = {"steps": 1, "batch_size": 1, "learning_rate": 0.1, **change}
        with pytest.raises(InputError, match="must be positive and finite"):
            train_on_device(*tiny, target=target, **settings, generator=torch.Generator())


@pytest.mark.parametrize("use", USES)
def test_a_model_that_holds_nan_is_refused(tiny, use):
    with torch.no_grad():
        tiny[0].encoder.angles[0, 0] = float("nan")
    with pytest.raises(InputError, match=r"the model's encoder\.angles hold NaN or infinity"):
        USES[use](*tiny)


def test_nan_is_no_agreement():
    circuit = AutoencoderCircuit(Ansatz(2))
    nan = float("nan")
    for pair in ((nan, 0.0), (0.0, nan), (nan, nan), (1e-9, 0.0)):
        assert not Agreement(circuit, "complex128", *pair).agrees
    assert Agreement(circuit, "complex128", 1e-11, 0.0).agrees


class Plugin(Device):
    """A device as another package may bring it.

    Args:
        wires: its number of wires.
        run: what it makes of a circuit.
    """

    name = "plugin.device"  # pyright: ignore[reportAssignmentType, reportIncompatibleMethodOverride]

    def __init__(self, wires, run):
        super().__init__(wires=wires)
        self.run = run

    def execute(self, circuits, execution_config=None):
        return tuple(self.run(circuit) for circuit in circuits)


def fails(error):
    def run(circuit):
        raise error

    return run


@pytest.mark.parametrize(
    "error",
    [
        TypeError("no float"),
        ValueError("no gate"),
        RuntimeError("queue\nclosed"),
        KeyError("RY"),
        AttributeError("'str' object has no attribute 'to_dict'"),
        qp.exceptions.DeviceError("offline"),
        OSError("net"),
    ],
)
def test_whatever_a_device_raises_is_one_line_with_its_cause(tiny, error):
    circuit = AutoencoderCircuit.of(tiny[0].config)
    target = Target(circuit, Plugin(circuit.num_wires, fails(error)), 10)
    with pytest.raises(InputError, match=r"^plugin.device cannot run this circuit \(.*\): choose another") as raised:
        next(run_on_device(*tiny, target=target))
    assert raised.value.__cause__ is error
    assert "\n" not in str(raised.value)


def test_a_device_gets_blocks_and_not_our_templates(tiny):
    """Not every plugin breaks up what it does not know; the first preparation stays, which simulators take whole."""
    seen = set()

    def run(script):
        seen.update(gate.name for gate in script.operations)
        return 0.5 if script.measurements[0].obs else np.full(4, 0.25)

    circuit = AutoencoderCircuit.of(tiny[0].config, "inverse")
    next(run_on_device(*tiny, target=Target(circuit, Plugin(circuit.num_wires, run), 10)))
    blocks = {"TwoQubitBlock", "Adjoint(TwoQubitBlock)", "SWAP"}
    assert seen == {"RealAmplitudeEmbedding", *blocks, "Adjoint(RY)", "Adjoint(CNOT)"}


def test_what_our_own_code_raises_is_not_the_devices(tiny):
    class Broken(AutoencoderCircuit):
        def autoencode(self, angles, decoder_angles=None):
            raise TypeError("a bug of ours")

    with pytest.raises(TypeError, match="a bug of ours"):
        next(run_on_device(*tiny, target=Target(Broken.of(tiny[0].config), shots=10)))


def test_values_that_are_not_finite_are_refused(tiny):
    circuit = AutoencoderCircuit.of(tiny[0].config)
    target = Target(circuit, Plugin(circuit.num_wires, lambda script: float("nan")), 10)
    with pytest.raises(InputError, match=r"plugin.device gives values that are not finite"):
        next(run_on_device(*tiny, target=target))


def test_a_device_that_is_open_runs_as_one_by_name(tiny):
    circuit = AutoencoderCircuit.of(tiny[0].config, "inverse", "measure")
    opened = Target(circuit, qp.device("default.qubit", wires=3))
    for found in run_on_device(*tiny, target=opened):
        assert found.fidelity == pytest.approx(found.exact_fidelity, abs=1e-12)
        assert (found.standard_error, found.expected_variation) == (0, 0)
    assert opened.name == "default.qubit"
    with pytest.raises(InputError, match="is open already: give it its options where it is opened"):
        Target(circuit, qp.device("default.qubit", wires=3), options={"seed": 1})


def test_what_is_no_device_is_refused(unchecked):
    with pytest.raises(InputError, match="is no device of PennyLane's"):
        Target(AutoencoderCircuit(Ansatz(2)), cast(Any, 3))


def test_measured_resets_need_wires_of_their_own_on_any_device():
    circuit = AutoencoderCircuit(Ansatz(2), (0,), "inverse", "measure")
    for name in ("default.qubit", "default.mixed", "reference.qubit", "lightning.qubit"):
        assert Target(circuit, name).num_wires == 3
    with pytest.raises(InputError, match=r"plugin.device has 2 wires, the circuit needs 3: give it more"):
        Target(circuit, Plugin(2, fails(TypeError())))


@pytest.mark.parametrize("name", ["default.mixed", "reference.qubit"])
@pytest.mark.parametrize("kinds", list(product(("swap", "inverse"), ("swap", "measure"))))
def test_other_simulators_agree(tiny, name, kinds):
    target = Target(AutoencoderCircuit.of(tiny[0].config, *kinds), name)
    for found in run_on_device(*tiny, target=target):
        assert found.fidelity == pytest.approx(found.exact_fidelity, abs=1e-9)
        assert found.variation < 1e-9


@pytest.mark.parametrize(
    "name",
    [
        "default.clifford",
        "default.qutrit",
        "null.qubit",
        "lightning.kokkos",
        "qiskit.aer",
        "qiskit.remote",
        "",
        "default.tensor",
    ],
)
@pytest.mark.filterwarnings("ignore:Operator")
def test_devices_that_cannot_do_it_are_one_line(tiny, name):
    circuit = AutoencoderCircuit.of(tiny[0].config, "swap", "measure")
    options = {"seed": 1} if name.startswith("default") else {}
    with pytest.raises(
        InputError, match=r"no device|cannot be opened|cannot run this circuit|computes nothing"
    ) as raised:
        next(run_on_device(*tiny, target=Target(circuit, name, 10, options)))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "options", [{"noise_model": "depolarizing"}, {"backend": "ibm_x"}, {"seed": "x"}, {"wires": -1}]
)
def test_options_that_a_device_does_not_take_are_one_line(options):
    with pytest.raises(InputError, match=r"cannot be opened with these options|has 0 wires") as raised:
        Target(AutoencoderCircuit(Ansatz(2)), "lightning.qubit", 10, options)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("shots", [0, -1, 10**18, MOST_SHOTS + 1, 1.5, True, "10", float("nan")])
def test_numbers_of_shots_that_are_none_are_refused(unchecked, shots):
    with pytest.raises(InputError, match="shots"):
        Target(AutoencoderCircuit(Ansatz(2)), shots=shots)


@pytest.mark.parametrize("device", ["lightning.qubit", "default.qubit"])
def test_a_spread_of_which_no_estimate_is_kept_is_refused(small_case, device):
    _, images, masks = small_case
    model = MaskedAutoencoder.from_preset("qmae-compressed", patch=masks.patch, layers=2, initial_spread=1.0)
    states = States.of(model, images, masks)

    def measure():
        for seed in range(30):
            target = Target(AutoencoderCircuit.of(model.config, "inverse"), device, 1, {"seed": seed})
            measure_spread(target, states, image=0, repetitions=1)

    with pytest.raises(InputError, match="no shot of 1 was kept: choose more shots"):
        measure()


@pytest.mark.parametrize(
    ("shots", "success"), [(1, 1.0), (10, 1.0), (1000, 1.0), (1, 0.3), (4, 0.4), (50, 0.1), (3000, 0.5)]
)
def test_distances_by_chance_are_those_of_counted_shots(shots, success):
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet(np.full(256, 0.2))
    kept = rng.binomial(shots, success, 4000)
    counts = np.array([rng.multinomial(n, probabilities) / n for n in kept[kept > 0]])
    distances = np.abs(counts - probabilities).sum(1) / 2
    error = distances.std() / len(distances) ** 0.5
    found = expected_variation(probabilities, shots, success)
    assert abs(found - distances.mean()) < 4 * error + 1e-9
    assert 0 < found <= 1
    inverse = 1 / kept[kept > 0]
    assert 1 / effective_shots(shots, success) == pytest.approx(inverse.mean(), abs=4 * inverse.std() / 60 + 1e-9)


def test_distances_by_chance_by_hand():
    # One shot of a fair coin is off by a half in any case; two are off by half of that: 1/2 by 1/2.
    assert expected_variation(np.array([0.5, 0.5]), 1) == pytest.approx(0.5)
    assert expected_variation(np.array([0.5, 0.5]), 2) == pytest.approx(0.25)
    assert expected_variation(np.array([1.0, 0.0]), 7) == 0
    assert expected_variation(np.array([1 + 1e-16, -1e-18]), 7) == pytest.approx(0, abs=1e-12)
    assert expected_variation(np.full(256, 1 / 256), 10) <= 1
    assert expected_variation(np.array([0.5, 0.5]), None) == 0
    # Two shots, each kept by one half, and one at least: one is kept twice as often as both.
    counts, weights = shots_kept(2, 0.5)
    assert (counts.tolist(), weights.tolist()) == ([1, 2], pytest.approx([2 / 3, 1 / 3]))


@pytest.mark.parametrize("overlap", ["swap", "inverse"])
def test_standard_errors_of_few_shots_are_possible(overlap):
    circuit = AutoencoderCircuit(Ansatz(2), overlap=overlap)
    for shots, success, estimate in product((1, 2, 10), (1e-3, 0.1, 1.0), (-1.0, 0.0, 0.5, 1.0)):
        error = Target(circuit, shots=shots).standard_error(estimate, success)
        assert 0 <= error <= (1 if overlap == "swap" else 0.5)
    assert share_error(np.array([0.0, 1 + 1e-15]), None).tolist() == [0, 0]


def test_models_of_one_name_are_kept_apart(tiny):
    _, images, masks = tiny
    models = [MaskedAutoencoder.from_preset("qmae", patch=masks.patch, layers=n, seed=n) for n in (1, 3)]
    settings = [Setting("damping", 0.01, False)]
    rows = list(study(models, images, masks, settings=settings))
    assert [row.model for row in rows] == ["qmae", "qmae", "qmae (2)", "qmae (2)"]
    for model, found in zip(models, (rows[:2], rows[2:]), strict=True):
        alone = list(study([model], images, masks, settings=settings))
        assert [row.fidelity for row in found] == [row.fidelity for row in alone]
    assert list(study(models, images, masks, settings=settings, done=rows[:3])) == rows[3:]


def test_a_curve_with_nan_has_no_crossing():
    rates = np.array([0.0, 1.0, 2.0])
    for values, level in (([1.0, np.nan, 0.1], 0.5), ([1.0, 0.5, 0.1], np.nan), ([np.nan] * 3, 0.5)):
        with pytest.raises(InputError, match="holds NaN"):
            crossing(rates, np.array(values), level)


@pytest.mark.parametrize(
    "change",
    [{"exact": "NaN"}, {"fidelity": "Infinity"}, {"exact": '"0.5"'}, {"model": "1"}, {"image": "-1"}, {"image": "true"},
     {"image": "1.5"}, {"rate": "2"}, {"kind": '"thermal"'}, {"noisy_preparation": "1"}, {"exact": "null"}],
)  # fmt: skip
def test_damaged_rows_are_refused(change):
    row = {
        "model": '"qmae"',
        "image": "0",
        "exact": "0.5",
        "fidelity": "0.4",
        "kind": '"damping"',
        "rate": "0.1",
        "noisy_preparation": "true",
    }

    def text(r):
        setting = ", ".join(f'"{name}": {r[name]}' for name in ("kind", "rate", "noisy_preparation"))
        rest = ", ".join(f'"{name}": {r[name]}' for name in ("model", "image", "exact", "fidelity"))
        return f'[{{{rest}, "setting": {{{setting}}}}}]'

    assert rows_from_json(text(row)) == [NoisyFidelity("qmae", Setting("damping", 0.1, True), 0, 0.5, 0.4)]
    with pytest.raises(InputError, match="these are no rows of a noise study"):
        rows_from_json(text({**row, **change}))
    with pytest.raises(InputError, match="these are no rows of a noise study"):
        rows_from_json("[" * 100_000)


DEVICE = qp.device("default.qubit", wires=2)


@qp.qnode(DEVICE)
def prepared_at_once(state):
    RealAmplitudeEmbedding(state, wires=[0, 1])
    return qp.probs(wires=[0, 1])


@qp.qnode(DEVICE)
def prepared_by_gates(state):
    qp.X(0)
    qp.X(0)
    RealAmplitudeEmbedding(state, wires=[0, 1])
    return qp.probs(wires=[0, 1])


STATES = np.array([[0.1, -0.7, 0.5, 0.5], [0.5, 0.5, -0.7, 0.1]])


@pytest.mark.filterwarnings("ignore:Explicitly requested dtype")
@pytest.mark.parametrize("node", [prepared_at_once, prepared_by_gates])
def test_a_preparation_under_transformations(node):
    one = jnp.array(STATES[0], dtype=jnp.float32)
    both = jnp.array(STATES, dtype=jnp.float32)
    for found in (node(one), jax.jit(node)(one)):
        np.testing.assert_allclose(found, STATES[0] ** 2, atol=1e-6)
    for found in (jax.vmap(node)(both), jax.jit(jax.vmap(node))(both), torch.func.vmap(node)(torch.tensor(STATES))):
        np.testing.assert_allclose(found, STATES**2, atol=1e-6)
    # Along the sphere: what changes the norm is no state.
    along = np.eye(4) - np.outer(STATES[0], STATES[0])
    expected = along @ (2 * STATES[0] * np.eye(4)[1])
    state = torch.tensor(STATES[0])
    for found in (
        jax.grad(lambda s: node(s)[1])(one),
        jax.jit(jax.grad(lambda s: node(s)[1]))(one),
        torch.func.grad(lambda s: node(s)[1])(state),
        torch.autograd.functional.jacobian(lambda s: node(s)[1], state),
    ):
        np.testing.assert_allclose(along @ np.asarray(found), expected, atol=1e-5)


def test_what_transformations_show_is_checked():
    with pytest.raises(ValueError, match="real amplitudes only"):
        jax.jit(prepared_at_once)(jnp.array(STATES[0], dtype=jnp.complex64))
    with pytest.raises(ValueError, match="norm"):
        torch.func.grad(lambda s: prepared_at_once(s)[0])(torch.ones(4, dtype=torch.float64))


def test_descents_end_with_a_model_in_its_own_precision(tiny):
    (found,) = descents(*tiny[1:], shots=(5,), steps=1, batch_size=2)
    assert found.shots_in_all > 0
