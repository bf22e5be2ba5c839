"""Derivatives of any order, by whatever torch offers, are the same on both paths and those of finite differences."""

from functools import partial
from typing import Any

import pytest
import torch
from torch.autograd.functional import hessian as tape_hessian
from torch.func import functional_call, grad, hessian, jacfwd, jacrev, stack_module_state, vmap

from qmae import MaskedAutoencoder, PatchMask
from qmae.ansatz.ansatz import Ansatz
from qmae.data.masks import Masks
from qmae.models.bottlenecks import BOTTLENECKS
from qmae.models.choices import Design
from qmae.models.free import FreeConfig, FreeModel
from qmae.simulation.channel import Autoencoder
from qmae.simulation.dense import DenseEncoder
from qmae.simulation.states import embed
from qmae.simulation.statevector import StateVectorEncoder
from samples import random_angles, random_states

# Forward derivatives make torch compile some of its own decompositions, by a function that it calls deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:FutureWarning")

PATHS = [DenseEncoder, StateVectorEncoder]
both_ways = pytest.mark.parametrize("kind", PATHS)
close = partial(torch.testing.assert_close, rtol=0)


def loss(kind, ansatz, angles, states, references, *, heralded=False):
    encoder = kind.build(angles, ansatz, (0,))
    autoencoder = Autoencoder(encoder, encoder, BOTTLENECKS["herald" if heralded else "reset"])
    # Not linear in the fidelities, so that nothing of the second derivative cancels.
    passage = autoencoder.run(states)
    return (passage.fidelity(references) ** 2).sum() + (passage.probabilities**2).sum()


def difference(function, point, direction, step=1e-5):
    """The slope of a function, which may be a gradient, along a direction."""
    return (function(point + step * direction) - function(point - step * direction)) / (2 * step)


def free_model(design: Any, seed=0):
    return FreeModel(FreeConfig(PATCH, design), generator=torch.Generator().manual_seed(seed)).double()


def example(block="su4"):
    ansatz = Ansatz(3, 1, block)
    return ansatz, random_angles(ansatz), random_states(3), random_states(3, seed=2)


@both_ways
@pytest.mark.parametrize("block", ["su4", "so4"])
@pytest.mark.parametrize("heralded", [False, True])
def test_second_derivatives_are_slopes_of_the_gradient(kind, block, heralded):
    ansatz, *point = example(block)
    function = partial(loss, kind, ansatz, heralded=heralded)
    for index in range(3):  # of the angles, the states, the references

        def of_one(value, index=index):
            return function(*(value if place == index else other for place, other in enumerate(point)))

        def gradient(value, of_one=of_one):
            value = value.detach().requires_grad_()
            return torch.autograd.grad(of_one(value), value, create_graph=True)[0]

        direction = torch.linspace(-1, 1, point[index].numel(), dtype=torch.float64).view_as(point[index])
        leaf = point[index].clone().requires_grad_()
        slope = (torch.autograd.grad(of_one(leaf), leaf, create_graph=True)[0] * direction).sum()
        found = torch.autograd.grad(slope, leaf)[0]
        expected = difference(gradient, point[index], direction).detach()
        torch.testing.assert_close(found, expected, atol=1e-7, rtol=1e-7)


@both_ways
def test_every_way_to_a_hessian_gives_the_same(kind):
    ansatz, angles, *states = example()

    def function(angles):
        return loss(kind, ansatz, angles, *states)

    expected = tape_hessian(partial(lambda angles: loss(DenseEncoder, ansatz, angles, *states)), angles)
    ways = {
        "hessian": hessian,
        "reverse over reverse": lambda function: jacrev(jacrev(function)),
        "forward over forward": lambda function: jacfwd(jacfwd(function)),
        "reverse over forward": lambda function: jacrev(jacfwd(function)),
        "tape": lambda function: partial(tape_hessian, function),
        "tape, all rows at once": lambda function: partial(tape_hessian, function, vectorize=True),
    }
    for name, way in ways.items():
        close(way(function)(angles), expected, atol=1e-12, msg=name)


@both_ways
def test_third_derivatives_are_slopes_of_the_second(kind):
    ansatz, angles, *states = example("so4")
    direction = torch.linspace(-1, 1, angles.numel(), dtype=torch.float64).view_as(angles)

    def curvature(angles, *, create_graph=False):
        angles = angles if create_graph else angles.detach().requires_grad_()
        slope = (
            torch.autograd.grad(loss(kind, ansatz, angles, *states), angles, create_graph=True)[0] * direction
        ).sum()
        return (torch.autograd.grad(slope, angles, create_graph=create_graph)[0] * direction).sum()

    leaf = angles.clone().requires_grad_()
    third = torch.autograd.grad(curvature(leaf, create_graph=True), leaf)[0]
    close((third * direction).sum(), difference(curvature, angles, direction), atol=1e-5)


@both_ways
def test_forward_mode_and_reverse_over_it(kind):
    ansatz, angles, *states = example()
    leaf = angles.clone().requires_grad_()
    direction = torch.ones_like(leaf)
    with torch.autograd.forward_ad.dual_level():
        dual = torch.autograd.forward_ad.make_dual(leaf, direction)
        slope = torch.autograd.forward_ad.unpack_dual(loss(kind, ansatz, dual, *states)).tangent
        assert slope is not None
        bent = torch.autograd.grad(slope, leaf)[0]
    function = partial(loss, DenseEncoder, ansatz, states=states[0], references=states[1])
    close(slope.detach(), difference(function, angles, direction), atol=1e-8)
    curvature: Any = tape_hessian(function, angles)
    close(bent, curvature.flatten(2).sum(2), atol=1e-12)


PATCH = PatchMask(4, 0.25)


def build(name, seed=0, **settings):
    settings = {"layers": 2, "initial_spread": 1.0, **settings}
    model = MaskedAutoencoder.from_preset(name, patch=PATCH, seed=seed, **settings).double()
    if model.token is not None:
        torch.nn.init.uniform_(model.token, 0.1, 0.9, generator=torch.Generator().manual_seed(seed))
    return model


CASES = {
    "paper": lambda seed=0: build("qmae", seed),
    "circuits per position": lambda seed=0: build("qmae-small", seed),
    "heralded": lambda seed=0: build("qmae-heralded", seed),
    "free decoder": lambda seed=0: build("qmae-compressed", seed),
    "offsets": lambda seed=0: build("qmae", seed, conditioning="offsets"),
    **{
        design: lambda seed=0, design=design: free_model(design, seed)
        for design in ("tied", "unitary-per-position", "heralded-per-position")
    },
}
every_model = pytest.mark.parametrize("case", CASES)


def data(count=4):
    images = torch.rand(count, 4, 4, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    return images, torch.arange(count) % 4


def mean_loss(model, images, positions, parameters):
    return functional_call(model, parameters, (images, Masks(PATCH, positions))).mean()


def parameters_of(model):
    return {name: parameter.detach() for name, parameter in model.named_parameters()}


@every_model
def test_gradients_of_functional_calls_are_those_of_backward(case):
    model, (images, positions) = CASES[case](), data()
    parameters = parameters_of(model)
    found = grad(partial(mean_loss, model, images, positions))(parameters)
    model(images, Masks(PATCH, positions)).mean().backward()
    for name, parameter in model.named_parameters():
        close(found[name], parameter.grad, atol=1e-12)


@every_model
def test_gradients_of_single_images_by_vmap(case):
    model, (images, positions) = CASES[case](), data()
    parameters = parameters_of(model)

    def of_one(parameters, image, position):
        return mean_loss(model, image[None], position[None], parameters)

    found = vmap(grad(of_one), in_dims=(None, 0, 0))(parameters, images, positions)
    for index in range(len(images)):
        one = slice(index, index + 1)
        expected = grad(partial(mean_loss, model, images[one], positions[one]))(parameters)
        for name, value in expected.items():
            close(found[name][index], value, atol=1e-12)


@every_model
def test_an_ensemble_of_parameters_by_vmap(case):
    models, (images, positions) = [CASES[case](seed) for seed in range(3)], data()
    stacked = stack_module_state(models[:1])[0]  # as of one model; a parametrized one is of a class of its own
    parameters = {name: torch.stack([parameters_of(model)[name] for model in models]) for name in stacked}
    values, slopes = vmap(
        lambda parameters: (
            mean_loss(models[0], images, positions, parameters),
            grad(partial(mean_loss, models[0], images, positions))(parameters),
        )
    )(parameters)
    for index, model in enumerate(models):
        loss = model(images, Masks(PATCH, positions)).mean()
        loss.backward()
        close(values[index], loss.detach(), atol=1e-12)
        for name, parameter in model.named_parameters():
            close(slopes[name][index], parameter.grad, atol=1e-12)


@pytest.mark.parametrize("case", ["paper", "heralded", "offsets"])
def test_every_output_can_be_mapped_over_batches(case):
    model, (images, positions) = CASES[case](), data()
    for output in (model.probabilities, model.success_probability, model.reconstruct, model.usable):
        mapped = vmap(lambda image, position, output=output: output(image[None], Masks(PATCH, position[None]))[0])
        expected = output(images, Masks(PATCH, positions))
        torch.testing.assert_close(mapped(images, positions), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("count", [2, 20])
def test_second_derivatives_of_models_do_not_depend_on_the_size_of_the_batch(count):
    """2 images of 16 x 16 pixels are simulated as state vectors, 20 by a matrix."""
    model = MaskedAutoencoder.from_preset("qmae", seed=0).double()
    images = torch.rand(2, 16, 16, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    images = images.repeat(count // 2, 1, 1)
    masks = PatchMask().at(1, count)
    direction = torch.linspace(-1, 1, model.encoder.angles.numel(), dtype=torch.float64).view_as(model.encoder.angles)
    start = model.encoder.angles.detach().clone()

    def slope(angles):
        model.encoder.angles.data = angles
        return (
            torch.autograd.grad(model(images, masks).mean(), model.encoder.angles, create_graph=True)[0] * direction
        ).sum()

    found = (torch.autograd.grad(slope(start), model.encoder.angles)[0] * direction).sum()
    close(found, difference(lambda angles: slope(angles).detach(), start, direction), atol=1e-6)


# Where a function has a value, its gradient is a number, too.


def test_one_digit_that_is_lit_only_in_its_hole_spoils_no_gradient():
    images = torch.rand(3, 16, 16, generator=torch.Generator().manual_seed(0))
    images[1] = 0
    images[1, 2:6, 2:6] = 0.9
    model = MaskedAutoencoder.from_preset("qmae", seed=1)
    masks = PatchMask().at(0, 3)
    pictures = model.reconstruct(images, masks)
    assert not pictures[1].any()
    pictures.sum().backward()
    kept = [parameter.grad.clone() for parameter in (model.encoder.angles, model.token)]
    assert all(gradient.isfinite().all() for gradient in kept)
    model.zero_grad()
    model.reconstruct(images[[0, 2]], masks[:2]).sum().backward()
    torch.testing.assert_close(kept[0], model.encoder.angles.grad, rtol=0, atol=1e-4)


@pytest.mark.parametrize("preset", ["qmae", "qmae-small", "qmae-heralded", "qmae-compressed"])
def test_pixels_of_probability_0_spoil_no_gradient(preset):
    settings: dict[str, Any] = {"mask_token": "none"} if preset == "qmae" else {}
    model = build(preset, initial_spread=0.0, layers=1, **settings)
    images = torch.zeros(2, 4, 4, dtype=torch.float64)
    images[:, 3, 3] = 1
    images.requires_grad_()
    for output in (model.reconstruct, model.fidelity, model.success_probability):
        total = output(images, PATCH.at(0, 2)).sum() + 0 * model.encoder.angles.sum()
        gradients = torch.autograd.grad(
            total, [model.encoder.angles, images], allow_unused=True, materialize_grads=True
        )
        assert all(gradient.isfinite().all() for gradient in gradients)


@pytest.mark.parametrize("design", ["tied", "heralded", "heralded-per-position"])
def test_black_images_spoil_no_gradient_of_free_matrices(design: Design):
    model = FreeModel(FreeConfig(PATCH, design), generator=torch.Generator().manual_seed(0))
    images = torch.zeros(2, 4, 4)
    images[:, 0, 0] = 1
    images[1, 3, 3] = 0.5
    model.fidelity(images, PATCH.at(0, 2)).sum().backward()
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters())
    images[1] = 0
    assert model.probabilities(images, PATCH.at(0, 2)).sum((1, 2)).tolist() == [0, 0]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("scale", [1.0, 1e-7, 1e-13, 1e-30, 1e-37])
def test_embedding_is_exact_for_any_norm(dtype, scale):
    """In value and gradient; normalize(x) of torch adds 1e-12, and squares of 1e-30 underflow."""
    pixels = torch.tensor([[3.0, 4.0, 0.0]], dtype=dtype).mul(scale).requires_grad_()
    close(embed(pixels), torch.tensor([[0.6, 0.8, 0.0]], dtype=dtype), atol=4 * torch.finfo(dtype).eps)
    slope = torch.autograd.grad(embed(pixels)[0, 0], pixels)[0] * pixels.detach().norm().clamp_min(5 * scale)
    expected = torch.tensor([[0.64, -0.48, 0.0]], dtype=dtype)  # |x| d(x_0 / |x|) = e_0 - x_0 x / |x|^2
    close(slope, expected, atol=1e-4)


def test_embedding_of_subnormal_numbers():
    smallest = torch.tensor([1e-45, 0.0, 1e-45])
    close(embed(smallest), torch.tensor([0.5, 0.0, 0.5]).sqrt(), atol=1e-7)
    tiny = torch.tensor([5e-324, 0.0, 5e-324], dtype=torch.float64)
    close(embed(tiny), torch.tensor([0.5, 0.0, 0.5], dtype=torch.float64).sqrt(), atol=1e-15)


def test_probabilities_of_dim_images_add_up_to_1():
    images = torch.zeros(3, 4, 4)
    images[:, 0, 0] = 1  # in the hole
    images[0, 3, 3], images[1, 3, 3], images[2, 2:, 2:] = 1e-13, 1e-30, 1e-25
    model = MaskedAutoencoder.from_preset("qae", patch=PATCH, seed=0)
    total = model.probabilities(images, PATCH.at(0, 3)).sum((1, 2))
    close(total, torch.ones(3), atol=1e-5)


@pytest.mark.parametrize("phase", [1, 1j])
def test_fidelity_of_runs_that_are_hardly_ever_kept(phase):
    """An encoder that finds its ancilla in |0> with amplitude 1e-25: what is kept is a state still."""
    columns = torch.stack([1e-25 * phase * torch.eye(4), torch.eye(4) * phase], 1)
    autoencoder = Autoencoder(DenseEncoder(columns), None, BOTTLENECKS["herald"])
    state = torch.tensor([[0.6, 0.8, 0.0, 0.0]])
    assert autoencoder.run(state).fidelity(state).item() == pytest.approx(1, abs=1e-6)
    assert autoencoder.run(state).probabilities[0].tolist() == pytest.approx([0.36, 0.64, 0, 0], abs=1e-6)
