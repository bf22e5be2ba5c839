"""What a finite number of shots costs: the error of a measured fidelity, and training on measured gradients."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from typing import get_args

import numpy as np
import pennylane as qp
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from qmae._progress import Progress, silent
from qmae.circuits.autoencoder import AutoencoderCircuit
from qmae.circuits.choices import Overlap
from qmae.circuits.devices import States, in_double
from qmae.circuits.shot_statistics import effective_shots
from qmae.circuits.target import EXACT, Target
from qmae.data.batches import check_batch
from qmae.data.masks import Masks
from qmae.errors import DivergenceError, InputError
from qmae.models.autoencoder import MaskedAutoencoder
from qmae.models.base import embed_references
from qmae.simulation.states import embed
from qmae.training.objective import check_finite, diverged


@dataclass(frozen=True)
class Spread:
    """The scatter of a fidelity that is measured again and again.

    Attributes:
        overlap: how output and original were compared.
        shots: per estimate, N.
        repetitions: number of estimates.
        exact: the fidelity itself.
        success: share of the shots that are kept.
        mean: of the estimates, those left out of which no shot was kept.
        deviation: their root mean square distance from the exact value.
    """

    overlap: Overlap
    shots: int
    repetitions: int
    exact: float
    success: float
    mean: float
    deviation: float

    @property
    def expected(self) -> float:
        """What statistics says of the deviation: sqrt((1 - F^2) / K) for `swap`, sqrt(F (1 - F) / K) for `inverse`.

        K is the number of shots; where some are discarded 1 / mean(1 / kept), which is less than their mean number.
        """
        kept = effective_shots(self.shots, self.success)
        return float(np.sqrt(single_shot_variance(self.overlap, self.exact) / kept))


def single_shot_variance(overlap: Overlap, fidelity: float) -> float:
    """Variance of what a single shot says of the fidelity: of +1 and -1 for `swap`, of 1 and 0 for `inverse`."""
    fidelity = min(max(fidelity, 0.0), 1.0)  # rounding may have passed the ends
    return 1 - fidelity**2 if overlap == "swap" else fidelity * (1 - fidelity)


REPETITIONS = 2_000
"""Estimates per setting, where the limit of its shots allows so many."""


def spreads(
    model: MaskedAutoencoder,
    images: Float[Tensor, "images size size"],
    masks: Masks,
    *,
    seed: int,
    shots: tuple[int, ...] = (10, 30, 100, 300, 1_000, 3_000, 10_000),
    most_shots: int = 2_000_000,
    progress: Progress = silent,
) -> list[Spread]:
    """Measure how estimates of fidelities scatter, by number of shots and kind of overlap.

    On `lightning.qubit`; circuits that herald on `default.qubit`, which simulates them once for all estimates.

    Args:
        model: any model; it is not changed.
        images: the originals.
        masks: one per image.
        seed: of the device's sampling; every image and setting gets one of its own.
        shots: per estimate, one setting each.
        most_shots: of all estimates of a setting together.
        progress: told of every setting.

    Raises:
        InputError: an image gives no quantum state; it is named by its index.
    """
    states = States.of(model, images, masks)
    kinds = list(product(get_args(Overlap), shots, range(len(images))))
    found = []
    with progress("estimating again and again", len(kinds)) as advance:
        for index, (overlap, number, image) in enumerate(kinds):
            circuit = AutoencoderCircuit.of(model.config, overlap)
            repetitions = min(REPETITIONS, most_shots // number)
            device = "default.qubit" if circuit.heralded else EXACT
            target = Target(circuit, device, number, options={"seed": seed + index})
            found.append(measure_spread(target, states, image=image, repetitions=repetitions))
            advance(1)
    return found


def measure_spread(target: Target, states: States, *, image: int, repetitions: int) -> Spread:
    """Estimate one fidelity many times; estimates of which no shot is kept do not count.

    Args:
        target: circuit, device and the shots of one estimate.
        states: from `States.of`.
        image: which of the images.
        repetitions: number of estimates.

    Raises:
        InputError: the target has no number of shots, its device cannot run the circuit, or no estimate keeps a shot.
    """
    if target.shots is None:
        raise InputError("exact values do not scatter: choose a number of shots")
    found = target.measure(target.circuit.fidelity, *states.of_fidelity(image), repetitions=repetitions)
    found = found[np.isfinite(found)]
    if not len(found):
        raise target.none_kept()
    exact, success = float(states.fidelity[image]), float(states.success[image])
    deviation = float(np.sqrt(np.mean((found - exact) ** 2)))
    return Spread(target.circuit.overlap, target.shots, repetitions, exact, success, float(found.mean()), deviation)


def token_gradient(
    fidelity: Callable[[Float[Tensor, "size size"]], float],
    filled: Float[Tensor, "size size"],
    hidden: Bool[Tensor, "size size"],
    *,
    shift: float | None = None,
) -> Float[Tensor, "size size"]:
    """Derivative of a measured fidelity by every pixel that is put in, by shifting the pixel up and down.

    With x the pixels, g = F ||x||^2 is quadratic in each of them, so that its central difference is exact for any
    shift s: dF/dt = ([g(t + s) - g(t - s)] / 2s - 2 t F) / ||x||^2. Black pixels are no special case, as they
    are for the angles of a preparation by rotations.

    Args:
        fidelity: measures F of pixels that are not normalized yet; with shots or without.
        filled: the image with the token in its hole, in pixel values.
        hidden: where the hole is.
        shift: s, in pixel values; by default ||x||, where the noise of shots, about (||x||^2 + s^2) / s, is least.

    Returns:
        dF/dt of the hidden pixels, 0 elsewhere.

    Raises:
        InputError: a shift of 0, or nothing to embed.
    """
    power = float(filled.square().sum())
    shift = power**0.5 if shift is None else shift
    if not shift or not power:
        raise InputError("the token's rule needs a shift that is not 0 and an image that is not all black")

    def unnormalized(pixel: int, change: float) -> float:
        shifted = filled.flatten().clone()
        shifted[pixel] += change
        shifted_power = float(shifted.square().sum())
        return shifted_power * fidelity(shifted.view_as(filled)) if shifted_power else 0.0

    here = fidelity(filled)
    gradient = torch.zeros_like(filled)
    for pixel in hidden.flatten().nonzero().flatten().tolist():
        slope = (unnormalized(pixel, shift) - unnormalized(pixel, -shift)) / (2 * shift)
        gradient.view(-1)[pixel] = (slope - 2 * float(filled.flatten()[pixel]) * here) / power
    return gradient


def measure_gradients(
    model: MaskedAutoencoder, images: Float[Tensor, "images size size"], masks: Masks, target: Target
) -> None:
    """Set the gradients of the mean loss 1 - F from shots on a device alone, as on hardware.

    Angles by the parameter-shift rule, two circuits for each of an angle's two rotations, in encoder and decoder;
    token pixels by `token_gradient`.

    Args:
        model: of the kind that `train_on_device` takes; the gradients of its parameters are set, nothing else.
        images: the originals.
        masks: one per image.
        target: circuit, device and shots.

    Raises:
        InputError: a parameter is not finite, or the context is `torch.inference_mode`, which allows no gradients.
    """
    if torch.is_inference_mode_enabled():
        raise InputError("gradients cannot be set in torch.inference_mode: leave it before")
    copied, images = in_double(model), images.detach().double().cpu()
    slopes, pixel_slopes = _measured_slopes(copied, images, masks.to("cpu"), target)
    copied.zero_grad()
    copied.encoder.angles.grad = -slopes / len(images)
    if copied.token is not None:
        with torch.enable_grad():
            copied.fill(images, masks.to("cpu")).backward(-pixel_slopes / len(images))
    for parameter, measured in zip(model.parameters(), copied.parameters(), strict=True):
        parameter.grad = None if measured.grad is None else measured.grad.to(parameter)


def _measured_slopes(
    model: MaskedAutoencoder, images: Float[Tensor, "images size size"], masks: Masks, target: Target
) -> tuple[Float[Tensor, "blocks angles"], Float[Tensor, "images size size"]]:
    """Derivatives of the sum of the fidelities by the angles, and by the pixels that are put in."""
    # NumPy, since with torch tensors PennyLane takes what lightning.qubit returns for single precision.
    node = target.node(target.circuit.fidelity, diff_method="parameter-shift")
    angles = qp.numpy.array(model.encoder.angles.detach().numpy(), requires_grad=True)
    filled = model.fill(images, masks).detach()
    slopes, pixel_slopes = torch.zeros_like(model.encoder.angles), torch.zeros_like(filled)
    for index, original in enumerate(embed_references(images).numpy()):

        def fidelity(pixels: Tensor, original: np.ndarray = original) -> float:
            return float(node(angles, embed(pixels.flatten()).numpy(), original))

        slopes += torch.from_numpy(qp.grad(node, argnums=0)(angles, embed(filled[index].flatten()).numpy(), original))
        if model.token is not None:
            pixel_slopes[index] = token_gradient(fidelity, filled[index], masks.hidden[index])
    return slopes, pixel_slopes


def train_on_device(
    model: MaskedAutoencoder,
    images: Float[Tensor, "images size size"],
    masks: Masks,
    target: Target,
    *,
    steps: int,
    batch_size: int,
    learning_rate: float,
    generator: torch.Generator,
    progress: Progress = silent,
) -> list[float]:
    """Train a small model with Adam on measured gradients.

    Args:
        model: with the paper's blocks, no angles that depend on the mask and no heralding, for which the
            parameter-shift rule does not hold; its parameters are trained in place, and keep their precision. The
            training itself is in double precision.
        images: the originals.
        masks: one per image.
        target: circuit, device and shots.
        steps: of Adam.
        batch_size: images per step.
        learning_rate: of Adam.
        generator: draws the images of a step.
        progress: told of every step.

    Returns:
        The exact mean loss over all images before the first step and after every one.

    Raises:
        InputError: another model, or a number of steps or images or a learning rate that is not positive.
        DivergenceError: a gradient, a parameter or the loss is not finite; the model is that before this step.
    """
    if model.config.block != "su4" or model.config.conditioning != "none" or model.heralded:
        raise InputError("measured gradients need the paper's blocks, one circuit for all masks and no heralding")
    if steps < 1 or batch_size < 1 or not 0 < learning_rate < math.inf:
        raise InputError("steps, batch size and learning rate must be positive and finite")
    images = check_batch(images, masks, size=model.config.patch.image_size)
    trained, images, masks = in_double(model), images.detach().double().cpu(), masks.to("cpu")
    optimizer = torch.optim.Adam(trained.parameters(), lr=learning_rate)
    losses = [exact_loss(trained, images, masks)]
    try:
        with progress("training on measured gradients", steps) as advance:
            for step in range(1, steps + 1):
                chosen = torch.randperm(len(images), generator=generator)[:batch_size]
                measure_gradients(trained, images[chosen], masks[chosen], target)
                before = copy.deepcopy(trained.state_dict())
                try:
                    check_finite("the gradient", [p.grad for p in trained.parameters() if p.grad is not None])
                    optimizer.step()
                    check_finite("a parameter", [p.to(model.encoder.angles.dtype) for p in trained.parameters()])
                    losses.append(exact_loss(trained, images, masks))
                    check_finite("the loss", [torch.tensor(losses[-1])])
                except DivergenceError as error:
                    trained.load_state_dict(before)
                    raise diverged(model.name, step, str(error), learning_rate) from error
                advance(1)
    finally:
        # Also after Ctrl-C: what is trained is the caller's model.
        with torch.no_grad():
            for parameter, found in zip(model.parameters(), trained.parameters(), strict=True):
                parameter.copy_(found)
    return losses


@torch.no_grad()
def exact_loss(model: MaskedAutoencoder, images: Float[Tensor, "images size size"], masks: Masks) -> float:
    """Mean loss 1 - F by the fast simulation."""
    return float(model(images, masks).mean())


@dataclass(frozen=True)
class Descent:
    """A training of a small model on measured gradients.

    Attributes:
        shots: of every circuit; None: exact expectation values.
        losses: exact mean loss 1 - F of all images, before the first step and after every one.
        shots_in_all: of all circuits together; 0 for exact values.
    """

    shots: int | None
    losses: list[float]
    shots_in_all: int


def descents(
    images: Float[Tensor, "images size size"],
    masks: Masks,
    *,
    shots: tuple[int | None, ...] = (100, 1_000, None),
    steps: int = 30,
    batch_size: int = 4,
    learning_rate: float = 0.1,
    seed: int = 0,
    progress: Progress = silent,
) -> list[Descent]:
    """Train the same small QMAE by the paper's circuit with different numbers of shots.

    Args:
        images: the originals; 2 x 2 pixels make a circuit of 2 + 2 qubits, ancilla and fresh trash.
        masks: one per image.
        shots: of every circuit; None for exact values.
        steps: of Adam.
        batch_size: images per step.
        learning_rate: of Adam.
        seed: of the initial angles, the order of the images and the device's sampling.
        progress: told of every step.
    """
    found = []
    for number in shots:
        model = MaskedAutoencoder.from_preset("qmae", patch=masks.patch, seed=seed)
        circuit = AutoencoderCircuit(model.config.ansatz)
        losses = train_on_device(
            model,
            images,
            masks,
            Target(circuit, EXACT, number, options={"seed": seed}),
            steps=steps,
            batch_size=batch_size,
            learning_rate=learning_rate,
            generator=torch.Generator().manual_seed(seed),
            progress=progress,
        )
        # F itself, two shifts of each angle in encoder and decoder; F again and two shifts of each token pixel.
        circuits = 1 + 4 * model.angle_count + 1 + 2 * (model.parameter_count - model.angle_count)
        found.append(Descent(number, losses, circuits * steps * min(batch_size, len(images)) * (number or 0)))
    return found
