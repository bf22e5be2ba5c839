"""The interface of an encoder, however it is computed."""

from __future__ import annotations

from abc import ABC, abstractmethod

from jaxtyping import Float, Inexact
from torch import Tensor


class Encoder(ABC):
    """V(theta) of one step, its output split into trash and latent qubits, and its adjoint, which may decode."""

    @abstractmethod
    def encode(self, states: Float[Tensor, "batch dim"]) -> Inexact[Tensor, "batch trash latent"]:
        """Apply V to real states (Eq. 4)."""

    @abstractmethod
    def keep(self, states: Float[Tensor, "batch dim"]) -> Inexact[Tensor, "batch latent"]:
        """The part of `encode` whose trash is |0>."""

    @abstractmethod
    def decode(self, latents: Inexact[Tensor, "batch latent"]) -> Inexact[Tensor, "batch dim"]:
        """Apply V^dagger to latent states beside trash |0> (Eq. 6)."""


def split_trash(
    states: Inexact[Tensor, "batch dim"], trash_wires: tuple[int, ...]
) -> Inexact[Tensor, "batch trash latent"]:
    """Split the index of states into trash and latent."""
    qubits = states.shape[1].bit_length() - 1
    bits = states.reshape(-1, *[2] * qubits).movedim(*_trash_dimensions(trash_wires))
    return bits.reshape(len(states), 2 ** len(trash_wires), -1)


def join_trash(
    states: Inexact[Tensor, "batch trash latent"], trash_wires: tuple[int, ...]
) -> Inexact[Tensor, "batch dim"]:
    """The inverse of `split_trash`."""
    qubits = states[0].numel().bit_length() - 1
    bits = states.reshape(-1, *[2] * qubits).movedim(*reversed(_trash_dimensions(trash_wires)))
    return bits.reshape(len(states), -1)


def _trash_dimensions(trash_wires: tuple[int, ...]) -> tuple[list[int], list[int]]:
    """The dimensions of the trash qubits before and after they are moved to the front; dimension 0 is the batch."""
    return [1 + wire for wire in trash_wires], [1 + index for index in range(len(trash_wires))]
