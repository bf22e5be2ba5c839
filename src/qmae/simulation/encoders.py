"""What an encoder does, however it is computed."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from jaxtyping import Complex, Float
from torch import Tensor


class Encoder(ABC):
    """V(theta) of one step, its output split into trash and latent qubits; the decoder is its adjoint."""

    @abstractmethod
    def encode(self, states: Float[Tensor, "batch dim"]) -> Complex[Tensor, "batch trash latent"]:
        """Apply V to real states (Eq. 4)."""

    @abstractmethod
    def keep(self, states: Float[Tensor, "batch dim"]) -> Complex[Tensor, "batch latent"]:
        """The part of `encode` whose trash is |0>."""

    @abstractmethod
    def decode(self, latents: Complex[Tensor, "batch latent"]) -> Complex[Tensor, "batch dim"]:
        """Apply V^dagger to latent states beside trash |0> (Eq. 6)."""

    def reset_fidelity(
        self, states: Float[Tensor, "batch dim"], references: Float[Tensor, "batch dim"]
    ) -> Float[Tensor, " batch"]:
        """Fidelity <ref| rho |ref> of the decoder's output with a pure state, the trash having been reset to |0>.

        Args:
            states: the masked images, amplitude-embedded.
            references: the unmasked images, amplitude-embedded.

        Returns:
            F, the expectation value of the SWAP test's ancilla (Eq. 8).
        """
        encoded = self.encode(states)
        overlaps = torch.linalg.vecdot(self.keep(references)[:, None].expand_as(encoded), encoded)
        return torch.view_as_real(overlaps).square().sum((1, 2))

    def reset_readout(self, encoded: Complex[Tensor, "batch trash latent"]) -> Float[Tensor, "batch dim"]:
        """Probability of every basis state in the decoder's output after the reset, diag rho (Eq. 6)."""
        branches = self.decode(encoded.flatten(0, 1)).unflatten(0, encoded.shape[:2])
        return torch.view_as_real(branches).square().sum((1, 3))


def split_trash(
    states: Complex[Tensor, "batch dim"], trash_wires: tuple[int, ...]
) -> Complex[Tensor, "batch trash latent"]:
    """Split the index of states into trash and latent."""
    qubits = states.shape[1].bit_length() - 1
    bits = states.reshape(-1, *[2] * qubits).movedim(*_trash_places(trash_wires))
    return bits.reshape(len(states), 2 ** len(trash_wires), -1)


def join_trash(
    states: Complex[Tensor, "batch trash latent"], trash_wires: tuple[int, ...]
) -> Complex[Tensor, "batch dim"]:
    """The inverse of `split_trash`."""
    qubits = states[0].numel().bit_length() - 1
    bits = states.reshape(-1, *[2] * qubits).movedim(*reversed(_trash_places(trash_wires)))
    return bits.reshape(len(states), -1)


def _trash_places(trash_wires: tuple[int, ...]) -> tuple[list[int], list[int]]:
    """The dimensions of the trash qubits behind that of the batch, where they are and where they are taken."""
    return [1 + wire for wire in trash_wires], [1 + place for place in range(len(trash_wires))]
