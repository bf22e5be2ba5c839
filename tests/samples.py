"""Angles and states about which nothing is special, and a count of what is in memory."""

import weakref
from contextlib import contextmanager
from typing import Any

import pennylane as qp
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from qmae.models.bottlenecks import BOTTLENECKS
from qmae.simulation.channel import Autoencoder
from qmae.simulation.states import embed

matrix: Any = qp.matrix
"""PennyLane's annotation knows neither quantum functions nor that the result is an array."""


def random_angles(ansatz, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(ansatz.angle_shape, generator=generator, dtype=torch.float64) * 6.28


def random_states(qubits, count=2, seed=1):
    return embed(torch.rand(count, 2**qubits, generator=torch.Generator().manual_seed(seed), dtype=torch.float64))


def tied(encoder):
    """The paper's model: the decoder is the encoder backwards."""
    return Autoencoder(encoder, encoder, BOTTLENECKS["reset"])


def angles_of_circuits(model, position):
    """The encoder's angles for a position of the mask and, of a free decoder, its own, as NumPy arrays."""
    return [circuit.at(position).detach().numpy() for circuit in model.circuits]


def same_parameters(one, other):
    """Whether two models have equal parameters of equal names."""
    ours, theirs = dict(one.named_parameters()), dict(other.named_parameters())
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


def trained_files(folder):
    """When each file of weights in a folder was written, and as which file: a second training writes another."""
    written = {path: path.stat() for path in folder.rglob("model.safetensors")}
    return {path: (file.st_mtime_ns, file.st_ino) for path, file in written.items()}


def interrupting(after):
    """A progress that presses Ctrl-C after so many steps."""

    @contextmanager
    def progress(description, total):
        done = 0

        def advance(units):
            nonlocal done
            done += units
            if units and done >= after:
                raise KeyboardInterrupt

        yield advance

    return progress


class LiveTensors(TorchDispatchMode):
    """The most memory in elements that large tensors took up at the same time, while this was active.

    Args:
        at_least: elements of a tensor that counts.
    """

    def __init__(self, at_least):
        super().__init__()
        self.at_least, self.live, self.peak = at_least, {}, 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, (tuple, list)) else [result]:
            if isinstance(tensor, torch.Tensor):
                storage = tensor.untyped_storage()
                elements = storage.nbytes() // tensor.element_size()
                if elements >= self.at_least and storage._cdata not in self.live:
                    self.live[storage._cdata] = elements
                    weakref.finalize(storage, self.live.pop, storage._cdata, None)
        self.peak = max(self.peak, sum(self.live.values()))
        return result
