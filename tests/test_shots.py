import numpy as np
import pytest
import torch
from scipy.stats import binom

from qmae import InputError, MaskedAutoencoder, PatchMask
from qmae.circuits.autoencoder import AutoencoderCircuit
from qmae.circuits.devices import EXACT, States, Target, in_double
from qmae.circuits.shots import (
    descents,
    exact_loss,
    measure_gradients,
    measure_spread,
    spreads,
    token_gradient,
    train_on_device,
)
from qmae.simulation.states import embed


@pytest.mark.parametrize("overlap", ["swap", "inverse"])
def test_estimates_scatter_about_the_exact_value_as_the_formula_says(small_case, overlap):
    model, images, masks = small_case
    circuit, states = AutoencoderCircuit(model.config.ansatz, overlap=overlap), States.of(model, images, masks)
    target = Target(circuit, EXACT, 100, {"seed": 5})
    found = measure_spread(target, states, image=0, repetitions=2000)
    exact = float(states.fidelity[0])
    variance = (1 - exact**2 if overlap == "swap" else exact * (1 - exact)) / 100
    assert abs(found.mean - exact) < 3 * (variance / 2000) ** 0.5
    assert found.deviation**2 == pytest.approx(variance, rel=0.15)
    assert found.expected == pytest.approx(variance**0.5)


def test_discarded_shots_make_estimates_worse(small_case):
    _, images, masks = small_case
    model = MaskedAutoencoder.from_preset("qmae-compressed", patch=masks.patch, layers=2, initial_spread=1.0)
    states = States.of(model, images, masks)
    target = Target(AutoencoderCircuit.of(model.config, "inverse"), EXACT, 100, {"seed": 5})
    found = measure_spread(target, states, image=0, repetitions=2000)
    exact, success = float(states.fidelity[0]), float(states.success[0])
    assert found.success == success < 0.7
    kept = np.arange(1, 101)
    weights = binom.pmf(kept, 100, success)
    assert found.expected**2 == pytest.approx(exact * (1 - exact) * (weights / kept).sum() / weights.sum())
    assert found.deviation == pytest.approx(found.expected, rel=0.1)


def test_the_study_covers_both_overlaps_and_every_image(small_case):
    rows = spreads(*small_case, seed=0, shots=(10, 40), most_shots=2000)
    assert {(row.overlap, row.shots, row.repetitions) for row in rows} == {
        ("swap", 10, 200),
        ("swap", 40, 50),
        ("inverse", 10, 200),
        ("inverse", 40, 50),
    }
    assert len({row.exact for row in rows}) == 3


@pytest.mark.parametrize("shift", [None, 0.01, 3.0])
def test_the_tokens_rule_is_exact_for_any_shift(small_case, shift):
    model, images, masks = (part.double() if hasattr(part, "double") else part for part in small_case)
    filled = (model.fill(images, masks)[0] + 0.2 * masks.hidden[0]).detach().requires_grad_()
    simulated = model.autoencoder(0, states=1)

    def fidelity(pixels):
        state, original = embed(pixels.flatten())[None], embed(images[0].flatten())[None]
        return simulated.run(state).fidelity(original)[0]

    (expected,) = torch.autograd.grad(fidelity(filled), filled)
    found = token_gradient(lambda pixels: fidelity(pixels).item(), filled.detach(), masks.hidden[0], shift=shift)
    torch.testing.assert_close(found, expected * masks.hidden[0], atol=1e-10, rtol=0)
    assert found.abs().max() > 1e-3


def test_the_tokens_rule_needs_a_shift_and_something_to_embed():
    hidden = torch.ones(2, 2, dtype=torch.bool)
    for pixels, shift in ((torch.ones(2, 2), 0.0), (torch.zeros(2, 2), None)):
        with pytest.raises(InputError, match="needs a shift that is not 0 and an image that is not all black"):
            token_gradient(lambda changed: 1.0, pixels, hidden, shift=shift)


def tiny_case(count=3):
    images = torch.rand(count, 2, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    masks = PatchMask(2, 0.25).sample(count, generator=torch.Generator().manual_seed(0))
    return images, masks


@pytest.mark.parametrize("preset", ["qmae", "qae"])
def test_gradients_from_circuits_alone_are_those_of_the_simulation(preset):
    images, masks = tiny_case()
    model = MaskedAutoencoder.from_preset(preset, patch=masks.patch, seed=1).double()
    if model.token is not None:
        model.token.data += 0.3
    measure_gradients(model, images, masks, Target(AutoencoderCircuit(model.config.ansatz)))
    found = [parameter.grad.clone() for parameter in model.parameters()]
    expected = torch.autograd.grad(model(images, masks).mean(), list(model.parameters()))
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, atol=1e-8, rtol=0)


def test_training_on_shots_descends():
    images, masks = tiny_case()
    model = MaskedAutoencoder.from_preset("qmae", patch=masks.patch, seed=0)
    target = Target(AutoencoderCircuit(model.config.ansatz, overlap="inverse"), shots=200, options={"seed": 2})
    generator = torch.Generator().manual_seed(0)
    losses = train_on_device(
        model, images, masks, target, steps=5, batch_size=3, learning_rate=0.15, generator=generator
    )
    assert len(losses) == 6
    assert losses[-1] < losses[0] / 2
    # The model keeps its precision; the training is in double.
    assert model.encoder.angles.dtype == torch.float32
    assert losses[-1] == pytest.approx(exact_loss(in_double(model), images, masks), abs=1e-6)


def test_descents_count_their_shots():
    images, masks = tiny_case(2)
    measured, exact = descents(images, masks, shots=(10, None), steps=1, batch_size=2)
    # 15 angles stand in encoder and decoder, two shifts each; a token pixel takes two; F itself twice.
    assert measured.shots_in_all == (4 * 15 + 2 + 2) * 2 * 10
    assert exact.shots_in_all == 0
    assert measured.losses[0] == exact.losses[0]
    assert np.isfinite(measured.losses).all()
