import numpy as np
import pytest
import torch
from pennylane.devices import Device

from qmae import Ansatz, InputError, MaskedAutoencoder
from qmae.circuits.autoencoder import AutoencoderCircuit
from qmae.circuits.devices import States, Target, run_on_device, verify


class Mirroring(MaskedAutoencoder):
    """The simulation of other images than the circuit gets: a difference that must be found."""

    def complete(self, images, masks):
        return super().complete(images.flip(2), masks)


def test_verify_finds_agreement_and_would_find_a_difference(small_case):
    model, images, masks = small_case
    found = list(verify(model, images, masks))
    assert [agreement.precision for agreement in found] == ["complex64"] + ["complex128"] * 4
    assert max(max(a.fidelity, a.probability) for a in found if a.precision == "complex128") < 1e-13
    assert 1e-10 < found[0].fidelity < 1e-6

    differing = Mirroring(model.config, generator=torch.Generator().manual_seed(0))
    found = list(verify(differing, images, masks))
    assert min(agreement.fidelity for agreement in found) > 1e-3
    assert not any(agreement.agrees for agreement in found)


@pytest.mark.parametrize("device", ["lightning.qubit", "default.qubit"])
@pytest.mark.parametrize("kinds", [("swap", "swap"), ("swap", "measure"), ("inverse", "swap"), ("inverse", "measure")])
def test_estimates_lie_within_their_standard_errors(small_case, device, kinds):
    model, images, masks = small_case
    circuit = AutoencoderCircuit(model.config.ansatz, (0,), *kinds)
    estimates = list(run_on_device(model, images, masks, Target(circuit, device, 2000, {"seed": 3})))
    for found in estimates:
        exact = found.exact_fidelity
        variance = 1 - exact**2 if kinds[0] == "swap" else exact * (1 - exact)
        assert found.standard_error == pytest.approx((variance / 2000) ** 0.5, rel=0.2)
        assert abs(found.fidelity - exact) < 4 * found.standard_error
        assert found.probabilities.sum() == pytest.approx(1)
        assert (abs(found.probabilities - found.exact_probabilities) < 5 * found.probability_errors).all()


def test_verify_finds_agreement_beyond_the_paper(beyond_case):
    found = list(verify(*beyond_case))
    kinds = [(agreement.precision, agreement.circuit.overlap) for agreement in found]
    assert kinds[-2:] == [("complex128", "swap"), ("complex128", "inverse")]
    assert max(max(agreement.fidelity, agreement.probability) for agreement in found[-2:]) < 1e-12
    assert (kinds[0][0] == "complex64") == (beyond_case[0].config.bottleneck == "none")


@pytest.mark.parametrize("device", ["lightning.qubit", "default.qubit"])
@pytest.mark.parametrize("overlap", ["swap", "inverse"])
def test_estimates_beyond_the_paper_count_the_shots_that_are_kept(beyond_case, device, overlap):
    model, images, masks = beyond_case
    circuit = AutoencoderCircuit.of(model.config, overlap)
    estimates = list(run_on_device(model, images, masks, Target(circuit, device, 2000, {"seed": 3})))
    for found in estimates:
        exact = found.exact_fidelity
        variance = 1 - exact**2 if overlap == "swap" else exact * (1 - exact)
        assert found.standard_error == pytest.approx((variance / (2000 * found.success)) ** 0.5, rel=0.2, abs=2e-3)
        assert abs(found.fidelity - exact) < 4 * found.standard_error
        assert (abs(found.probabilities - found.exact_probabilities) < 5 * found.probability_errors).all()
    heralded = model.config.bottleneck == "herald"
    assert (estimates[-1].success < 0.99) == heralded


def test_shots_that_all_agree_are_no_certainty():
    target = Target(AutoencoderCircuit(Ansatz(2), overlap="inverse"), shots=8)
    assert target.standard_error(1.0) == pytest.approx((0.9 * 0.1 / 8) ** 0.5)  # (8 + 1) / (8 + 2) of the shots
    swap = Target(AutoencoderCircuit(Ansatz(2)), shots=8)
    assert swap.standard_error(0.0) == pytest.approx(8**-0.5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nope.qubit",), "no device 'nope.qubit' .*: choose lightning.qubit, default.qubit or install its plugin"),
        (("lightning.qubit", 0), "0 shots give no estimate: choose 1 or more"),
        (("lightning.qubit", 10, {"color": 3}), "lightning.qubit cannot be opened with these options .*color"),
        (("lightning.qubit", 10, {"wires": 3}), "has 3 wires, the circuit needs 6: give it more, or choose overlap"),
    ],
)
def test_devices_that_cannot_do_it_are_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        Target(AutoencoderCircuit(Ansatz(2)), *arguments)


@pytest.mark.filterwarnings("ignore:Operator")
def test_devices_without_the_gates_are_refused(small_case):
    model, images, masks = small_case
    target = Target(AutoencoderCircuit(model.config.ansatz), "default.gaussian", 10)
    with pytest.raises(InputError, match=r"default.gaussian cannot run this circuit .*: choose another device"):
        next(run_on_device(model, images, masks, target))


def test_images_without_a_state_are_refused_by_index(small_case):
    model, images, masks = small_case
    hidden = torch.where(masks.hidden, 0.5, 0.0)
    hidden[0] = images[0]
    with pytest.raises(InputError, match="image 1 has no lit pixel outside its hole"):
        States.of(model, hidden, masks)


def test_options_reach_the_device():
    target = Target(AutoencoderCircuit(Ansatz(2)), "lightning.qubit", None, {"c_dtype": np.complex64})
    assert target.opened.c_dtype == np.complex64
    assert isinstance(target.opened, Device)


@pytest.mark.parametrize("device", ["lightning.qubit", "default.qubit"])
def test_estimates_of_no_shot_are_refused(small_case, device):
    _, images, masks = small_case
    model = MaskedAutoencoder.from_preset("qmae-compressed", patch=masks.patch, layers=2, initial_spread=1.0)
    circuit = AutoencoderCircuit.of(model.config, "inverse")

    def estimate():
        for seed in range(20):
            list(run_on_device(model, images, masks, Target(circuit, device, 1, {"seed": seed})))

    with pytest.raises(InputError, match=r"no shot of 1 was kept: choose more shots"):
        estimate()
