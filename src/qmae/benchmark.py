"""How long a training step takes, beside the matrix products it cannot do without and beside PennyLane."""

# PennyLane's own annotations promise less than its objects keep.
# pyright: reportCallIssue=false, reportArgumentType=false

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass

import pennylane as qp
import torch
from jaxtyping import Float
from torch import Tensor

from qmae.circuits import AllPairsBlocks, AutoencoderCircuit
from qmae.devices import States, Target
from qmae.masking import Masks
from qmae.models import MaskedAutoencoder, embed_references
from qmae.progress import Progress, silent
from qmae.simulation import DenseEncoder, embed
from qmae.simulation.encoders import split_trash

Step = Callable[[], object]
"""One whole training step: loss, gradients, and Adam where the contestant has a model."""


@dataclass(frozen=True)
class Timing:
    """How long a contestant takes for one training step.

    Attributes:
        contestant: what was timed.
        images: images of a step.
        seconds: median over the repetitions.
        repetitions: how often it was timed, after warm-up.
    """

    contestant: str
    images: int
    seconds: float
    repetitions: int

    @property
    def per_image(self) -> float:
        """Seconds per image."""
        return self.seconds / self.images


FLOOR, OURS = "bare matrix products", "qmae"


def run(
    model: MaskedAutoencoder,
    images: Float[Tensor, "images size size"],
    masks: Masks,
    *,
    peers: bool,
    progress: Progress = silent,
) -> Iterator[Timing]:
    """Time one training step of the same images under the same masks by every contestant, in single precision.

    Args:
        model: changed by the steps.
        images: the originals of one step.
        masks: one per image.
        peers: whether PennyLane's ways are timed, which takes a minute or so.
        progress: told of every repetition.
    """
    contestants = [
        (FLOOR, len(images), 100, matrix_products(model, len(images))),
        (OURS, len(images), 100, training_step(model, images, masks)),
    ]
    if peers:
        contestants += [
            ("PennyLane, V built once by qp.matrix", len(images), 5, matrix_step(model, images, masks)),
            ("PennyLane default.qubit, broadcast states", len(images), 3, broadcast_step(model, images, masks)),
            ("PennyLane lightning.qubit, 18 qubits, adjoint", 1, 3, paper_step(model, images[:1], masks[:1])),
        ]
    for name, count, repetitions, step in contestants:
        with progress(f"timing {name}", repetitions) as advance:
            for _ in range(max(1, repetitions // 5)):
                step()
            times = []
            for _ in range(repetitions):
                started = time.perf_counter()
                step()
                times.append(time.perf_counter() - started)
                advance(1)
        yield Timing(name, count, statistics.median(times), repetitions)


def machine() -> str:
    """What it ran on."""
    return f"{platform.machine()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads, torch {torch.__version__}"


def training_step(model: MaskedAutoencoder, images: Float[Tensor, "images size size"], masks: Masks) -> Step:
    """The step as `train` does it, without the bookkeeping."""
    return _adam_step(model, lambda: model(images, masks).mean())


def matrix_products(model: MaskedAutoencoder, count: int) -> Step:
    """The products that no step avoids which builds V: V applied to the masked images, its kept rows to the originals.

    Then the same again for the gradient of V; that of the token is not among them.
    """
    dim = 2**model.config.qubits
    kept = 2 * dim >> len(model.config.trash_wires)
    rows, states = torch.randn(2 * dim, dim), torch.randn(count, dim)
    outgoing = torch.randn(count, 2 * dim)

    return lambda: (
        states @ rows.T,
        states @ rows[:kept].T,
        outgoing.T @ states,
        outgoing[:, :kept].T @ states,
    )


def matrix_step(model: MaskedAutoencoder, images: Float[Tensor, "images size size"], masks: Masks) -> Step:
    """V by PennyLane's own matrix of the template, then as here."""
    n = model.config.qubits

    def loss() -> Tensor:
        v = qp.matrix(AllPairsBlocks, wire_order=range(n))(model.angles, range(n)).to(torch.complex64)
        encoder = DenseEncoder(split_trash(v.T, model.config.trash_wires))
        states = embed(model.fill(images, masks).flatten(1))
        return 1 - encoder.reset_fidelity(states, embed_references(images)).mean()

    return _adam_step(model, loss)


def broadcast_step(model: MaskedAutoencoder, images: Float[Tensor, "images size size"], masks: Masks) -> Step:
    """The reduced problem on `default.qubit`: the batch of states through the gates, by backpropagation."""
    n, trash = model.config.qubits, model.config.trash_wires

    @qp.qnode(qp.device("default.qubit", wires=n), interface="torch", diff_method="backprop")
    def encoder(states: Tensor, angles: Tensor) -> object:
        qp.StatePrep(states, wires=range(n))
        AllPairsBlocks(angles, wires=range(n))
        return qp.state()

    def loss() -> Tensor:
        references = encoder(embed_references(images), model.angles)
        encoded = encoder(embed(model.fill(images, masks).flatten(1)), model.angles)
        y, z = (split_trash(states, trash) for states in (encoded, references))
        overlaps = (z[:, :1].conj() * y).sum(2)
        return 1 - overlaps.abs().square().sum(1).mean()

    return _adam_step(model, loss)


def paper_step(model: MaskedAutoencoder, images: Float[Tensor, "images size size"], masks: Masks) -> Step:
    """The paper's way: the circuit of 18 qubits on `lightning.qubit`, one image, adjoint gradient of the angles."""
    states = States.of(deepcopy(model), images, masks)
    circuit = AutoencoderCircuit(model.config.ansatz, model.config.trash_wires)
    gradient = qp.grad(Target(circuit).node(circuit.fidelity, diff_method="adjoint"), argnums=0)
    angles = qp.numpy.array(states.angles, requires_grad=True)
    return lambda: gradient(angles, states.filled[0], states.originals[0])


def _adam_step(model: MaskedAutoencoder, loss: Callable[[], Tensor]) -> Step:
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)

    def step() -> None:
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()

    return step
