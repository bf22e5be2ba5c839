"""Time the same training step of QMAE in other simulators, and the paper's own circuit, beside ours.

Use, from a checkout: pip install -e '.[peers]', then python benchmarks/peers.py, two minutes or so.

Each in the fastest form that its documentation offers and that we found. "States" sends the batch through the
circuit, "V" builds the matrix once per step and applies it as `qmae` does; both are the reduced problem, n qubits.
"""

# The peers' own annotations promise less than their objects keep.
# pyright: reportCallIssue=false, reportArgumentType=false, reportAttributeAccessIssue=false, reportMissingImports=false

from __future__ import annotations

import argparse
import logging
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from qmae._progress import Progress, silent
from qmae.ansatz.ansatz import Ansatz
from qmae.cli.terminal import show_progress
from qmae.data.images import load_images
from qmae.data.masks import Masks, PatchMask
from qmae.errors import install_hint
from qmae.experiments.benchmark import Step, Timing, adam_step, compare, machine, time_steps, timing_line
from qmae.models.autoencoder import MaskedAutoencoder
from qmae.models.base import embed_references
from qmae.models.bottlenecks import BOTTLENECKS
from qmae.simulation.channel import Autoencoder
from qmae.simulation.dense import DenseEncoder
from qmae.simulation.encoders import split_trash
from qmae.simulation.states import embed

if TYPE_CHECKING:
    import jax

Build = Callable[[MaskedAutoencoder, Tensor, Masks], Step]

Simulate = Callable[[Complex[Tensor, "batch dim"]], Complex[Tensor, "batch dim"]]
"""Sends states through the encoder, with the model's angles."""


def states_step(
    simulate: Simulate, model: MaskedAutoencoder, images: Float[Tensor, "batch size size"], masks: Masks
) -> Step:
    """Masked images and originals through the encoder, then the fidelity as in `Autoencoder.fidelity`."""

    def backward() -> None:
        both = torch.cat([embed(model.fill(images, masks).flatten(1)), embed_references(images)])
        encoded, kept = split_trash(simulate(both.to(torch.complex64)), model.config.trash_wires).chunk(2)
        overlaps = (kept[:, :1].conj() * encoded).sum(2)
        (1 - overlaps.abs().square().sum(1)).mean().backward()

    return adam_step(model, backward)


def matrix_step(
    matrix: Callable[[], Complex[Tensor, "dim dim"]],
    model: MaskedAutoencoder,
    images: Float[Tensor, "batch size size"],
    masks: Masks,
) -> Step:
    """V built once, then everything as in `qmae`."""

    def backward() -> None:
        encoder = DenseEncoder(split_trash(matrix().T.contiguous(), model.config.trash_wires))
        states = embed(model.fill(images, masks).flatten(1))
        passage = Autoencoder(encoder, encoder, BOTTLENECKS["reset"]).run(states)
        (1 - passage.fidelity(embed_references(images))).mean().backward()

    return adam_step(model, backward)


def pennylane_matrix(model: MaskedAutoencoder) -> Callable[[], Complex[Tensor, "dim dim"]]:
    """V by `qp.matrix` of the template."""
    import pennylane as qp

    from qmae.circuits.templates import BlockLayers

    wires = range(model.config.qubits)
    return lambda: qp.matrix(BlockLayers, wire_order=wires)(model.encoder.angles, wires).to(torch.complex64)


def pennylane_states(model: MaskedAutoencoder) -> Simulate:
    """`default.qubit` broadcasts over the states; gradients by backpropagation."""
    import pennylane as qp

    from qmae.circuits.templates import BlockLayers

    wires = range(model.config.qubits)

    @qp.qnode(qp.device("default.qubit", wires=wires), interface="torch", diff_method="backprop")
    def encoder(states: Tensor, angles: Tensor) -> object:
        qp.StatePrep(states, wires=wires)
        BlockLayers(angles, wires=wires)
        return qp.state()

    return lambda states: encoder(states, model.encoder.angles)


def pyqtorch_states(model: MaskedAutoencoder) -> Simulate:
    """pyqtorch runs a batch of states, its last dimension, in torch."""
    import pyqtorch as pyq

    ansatz = model.config.ansatz
    gates = [
        pyq.CNOT(*qubits) if angle is None else getattr(pyq, name)(*qubits, f"angle{angle}")
        for name, qubits, angle in ansatz.gates()
    ]
    with warnings.catch_warnings():
        # torch warns of modules with complex buffers, which pyqtorch is made of.
        warnings.simplefilter("ignore")
        circuit = pyq.QuantumCircuit(ansatz.qubits, gates).to(torch.complex64)

    def simulate(states: Complex[Tensor, "batch dim"]) -> Complex[Tensor, "batch dim"]:
        values = {f"angle{index}": angle for index, angle in enumerate(model.encoder.angles.flatten())}
        output = pyq.run(circuit, states.T.reshape(*[2] * ansatz.qubits, -1), values)
        return output.flatten(0, -2).T

    return simulate


def deepquantum_states(model: MaskedAutoencoder) -> Simulate:
    """DeepQuantum takes the angles as data and a batch of initial states."""
    import deepquantum as dq

    ansatz = model.config.ansatz
    circuit = dq.QubitCircuit(ansatz.qubits)
    for name, qubits, angle in ansatz.gates():
        circuit.cnot(*qubits) if angle is None else getattr(circuit, name.lower())(*qubits, encode=True)
    circuit.to(torch.float)
    return lambda states: circuit(data=model.encoder.angles.flatten(), state=states).reshape(states.shape)


def of_basis_states(simulate: Simulate, model: MaskedAutoencoder) -> Callable[[], Complex[Tensor, "dim dim"]]:
    """V from the images of all basis states, where a simulator has no faster way to a matrix."""
    basis = torch.eye(2**model.config.qubits, dtype=torch.complex64)
    return lambda: simulate(basis).T


def tensorcircuit_step(
    model: MaskedAutoencoder, images: Float[Tensor, "batch size size"], masks: Masks, *, build_v: bool
) -> Step:
    """TensorCircuit-NG on JAX, loss and gradients compiled as one function.

    Gate by gate, the circuit of 8 qubits is not compiled within five minutes. So the gates of a block are merged to
    one unitary first, by TensorCircuit's own two-qubit circuit, vectorized over the blocks.
    """
    import jax
    import jax.numpy as jnp

    encoder = _tensorcircuit_encoder(model.config.ansatz)
    config, dim = model.config, 2**model.config.qubits
    index = masks.patch.token_index(config.patch.shape)[masks.position].numpy()
    hidden, pixels = masks.hidden.numpy(), jnp.asarray(images.numpy())
    originals = jnp.asarray(embed_references(images).numpy())
    trash = [wire + 1 for wire in config.trash_wires]

    def split(states: jax.Array) -> jax.Array:
        bits = jnp.moveaxis(states.reshape(-1, *[2] * config.qubits), trash, range(1, 1 + len(trash)))
        return bits.reshape(len(states), 2 ** len(trash), -1)

    @jax.jit
    @jax.value_and_grad
    def loss(parameters: dict[str, jax.Array]) -> jax.Array:
        filled = (
            jnp.where(hidden, parameters["token"].ravel()[index], pixels)
            if "token" in parameters
            else (jnp.where(hidden, 0, pixels))
        )
        filled = filled.reshape(-1, dim)
        filled = filled / jnp.linalg.norm(filled, axis=1, keepdims=True)
        if build_v:
            rows = encoder(parameters["encoder.angles"], jnp.eye(dim))
            encoded, kept = split(filled @ rows), split(originals @ rows)
        else:
            encoded, kept = jnp.split(
                split(encoder(parameters["encoder.angles"], jnp.concatenate([filled, originals]))), 2
            )
        overlaps = (kept[:, :1].conj() * encoded).sum(2)
        return (1 - (jnp.abs(overlaps) ** 2).sum(1)).mean()

    def backward() -> None:
        _, gradients = loss({name: value.detach().numpy() for name, value in model.named_parameters()})
        for name, parameter in model.named_parameters():
            parameter.grad = torch.from_dlpack(gradients[name])

    return adam_step(model, backward)


def _tensorcircuit_encoder(ansatz: Ansatz) -> Any:
    """The batch of states through the circuit, as a function of angles and states."""
    import jax
    import jax.numpy as jnp

    # It warns of an optimizer for JAX that is not needed here.
    logging.getLogger("tensorcircuit").setLevel(logging.ERROR)
    import tensorcircuit as tc

    tc.set_backend("jax")
    tc.set_dtype("complex64")

    def block(angles: jax.Array, state: jax.Array) -> jax.Array:
        circuit, remaining = tc.Circuit(2, inputs=state), iter(angles)
        for gate in ansatz.block.gates:
            if gate.name == "CNOT":
                circuit.cnot(*gate.wires)
            else:
                getattr(circuit, gate.name.lower())(*gate.wires, theta=next(remaining))
        return circuit.state()

    def whole(unitaries: jax.Array, state: jax.Array) -> jax.Array:
        circuit = tc.Circuit(ansatz.qubits, inputs=state)
        for pair, unitary in zip(ansatz.pairs, unitaries, strict=True):
            circuit.unitary(*pair, unitary=unitary)
        return circuit.state()

    columns = jax.vmap(block, in_axes=(None, 0), out_axes=1)
    unitaries = jax.vmap(lambda angles: columns(angles, jnp.eye(4, dtype=jnp.complex64)))
    batch = jax.vmap(whole, in_axes=(None, 0))
    return lambda angles, states: batch(unitaries(angles), states.astype(jnp.complex64))


def adjoint_step(model: MaskedAutoencoder, images: Float[Tensor, "batch size size"], masks: Masks) -> Step:
    """The paper's way: the circuit of 2n + 2 qubits on `lightning.qubit`, one image, adjoint gradient of the angles."""
    import pennylane as qp

    node, (angles, *states) = _paper_circuit("lightning.qubit", "adjoint", model, images, masks)
    gradient, angles = qp.grad(node, argnums=0), qp.numpy.array(angles, requires_grad=True)
    return lambda: gradient(angles, *states)


def backprop_step(model: MaskedAutoencoder, images: Float[Tensor, "batch size size"], masks: Masks) -> Step:
    """The same circuit on `default.qubit`, by backpropagation; 11 GiB for 18 qubits."""
    node, (angles, *states) = _paper_circuit("default.qubit", "backprop", model, images, masks)
    angles = torch.tensor(angles, requires_grad=True)
    return lambda: torch.autograd.grad(node(angles, *states), angles)[0]


def _paper_circuit(
    device: str, method: str, model: MaskedAutoencoder, images: Float[Tensor, "batch size size"], masks: Masks
) -> tuple[Any, tuple[Any, ...]]:
    """The fidelity of the paper's circuit, and its arguments for the first image."""
    from qmae.circuits.autoencoder import AutoencoderCircuit
    from qmae.circuits.devices import States, Target

    states = States.of(deepcopy(model), images[:1], masks[:1])
    circuit = AutoencoderCircuit.of(model.config)
    node = Target(circuit, device).node(circuit.fidelity, diff_method=method)
    return node, states.of_fidelity(0)


def _states(simulator: Callable[[MaskedAutoencoder], Simulate]) -> Build:
    return lambda model, images, masks: states_step(simulator(model), model, images, masks)


def _columns(simulator: Callable[[MaskedAutoencoder], Simulate]) -> Build:
    return lambda model, images, masks: matrix_step(of_basis_states(simulator(model), model), model, images, masks)


PEERS: dict[str, Build] = {
    "TensorCircuit-NG on JAX, V": lambda *case: tensorcircuit_step(*case, build_v=True),
    "TensorCircuit-NG on JAX, states": lambda *case: tensorcircuit_step(*case, build_v=False),
    "DeepQuantum, V": _columns(deepquantum_states),
    "DeepQuantum, states": _states(deepquantum_states),
    "pyqtorch, V": _columns(pyqtorch_states),
    "pyqtorch, states": _states(pyqtorch_states),
    "PennyLane qp.matrix, V": lambda model, *case: matrix_step(pennylane_matrix(model), model, *case),
    "PennyLane default.qubit, states": _states(pennylane_states),
}
"""What makes a contestant's step of a model, images and masks."""

PAPER: dict[str, Build] = {
    "PennyLane lightning.qubit, 2n + 2 qubits, adjoint": adjoint_step,
    "PennyLane default.qubit, 2n + 2 qubits, backprop": backprop_step,
}
"""The paper's circuit, an image at a time."""

REPETITIONS = 5
"""Of every step, after one of warm-up."""

BACKPROP_MEMORY = 12 * 2**30
"""Free memory in bytes without which the last of them is left out."""

PACKAGES = ("tensorcircuit", "jax", "deepquantum", "pyqtorch")
"""What they need beside PennyLane: the extra `peers`."""


def missing(packages: Sequence[str] = PACKAGES) -> list[str]:
    """Which of the packages are not installed."""
    return [package for package in packages if find_spec(package) is None]


def time_peers(
    model: MaskedAutoencoder,
    images: Float[Tensor, "batch size size"],
    masks: Masks,
    *,
    peers: Sequence[str] = tuple(PEERS),
    progress: Progress = silent,
) -> Iterator[Timing]:
    """Time one training step in every other simulator, and then the paper's circuit, one image at a time.

    Args:
        model: changed by the steps.
        images: the originals of one step.
        masks: one per image.
        peers: of `PEERS`.
        progress: told of every repetition.
    """
    for name in peers:
        yield from time_steps({name: PEERS[name](model, images, masks)}, len(images), REPETITIONS, 1, progress)
    for name, build in PAPER.items():
        if "backprop" not in name or _free_memory() > BACKPROP_MEMORY:
            yield from time_steps({name: build(model, images, masks)}, 1, REPETITIONS, 1, progress)


def _free_memory() -> int:
    """Memory in bytes that nobody uses; 0 where the system does not tell."""
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") if "SC_AVPHYS_PAGES" in os.sysconf_names else 0


def main() -> None:
    """Print one line per contestant."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch-size", type=int, default=256, help="images per step")
    parser.add_argument("--threads", type=int, default=2, help="of torch")
    parser.add_argument("--seed", type=int, default=0, help="of angles and masks")
    given = parser.parse_args()
    if names := missing():
        parser.error(f"{', '.join(names)} not installed: get the other simulators by {install_hint('peers')}")
    torch.set_num_threads(given.threads)
    images, patch = load_images("mnist", split="train", size=16)[0][: given.batch_size], PatchMask()
    model = MaskedAutoencoder.from_preset("qmae", patch=patch, seed=given.seed)
    masks = patch.sample(len(images), generator=torch.Generator().manual_seed(given.seed))
    print(f"{machine()}; batch {len(images)}")
    floor, ours = compare(model, images, masks, progress=show_progress)
    print(timing_line(floor, floor), timing_line(ours, floor), sep="\n")
    for timing in time_peers(model, images, masks, progress=show_progress):
        print(timing_line(timing, ours), flush=True)


if __name__ == "__main__":
    main()
