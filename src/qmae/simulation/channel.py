"""Encoder, bottleneck and decoder together: the output of the autoencoder, and its fidelity with the original."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Inexact
from torch import Tensor

from qmae.simulation.encoders import Encoder
from qmae.simulation.states import normalized, probabilities_of


@runtime_checkable
class Bottleneck(Protocol):
    """The simulated part of a bottleneck; `qmae.models.bottlenecks` has them."""

    heralded: bool

    def let_through(
        self, encoder: Encoder, states: Float[Tensor, "batch dim"]
    ) -> Inexact[Tensor, "batch trash latent"]:
        """What reaches the decoder."""
        ...


@dataclass(frozen=True)
class Autoencoder:
    """A channel on images: rho = sum_k D^dagger |0, y_k><0, y_k| D, with y_k the encoder's output for trash k.

    Attributes:
        encoder: V.
        decoder: D, whose adjoint decodes, V itself in the paper's model; None if the latent qubits are the output.
        bottleneck: what becomes of the trash.
    """

    encoder: Encoder
    decoder: Encoder | None
    bottleneck: Bottleneck

    def run(self, states: Float[Tensor, "batch dim"]) -> Passage:
        """Send states through encoder and bottleneck; what follows is computed when it is asked for.

        Args:
            states: the masked images, amplitude-embedded.
        """
        branches = self.bottleneck.let_through(self.encoder, states)
        return Passage(self.decoder, self.bottleneck.heralded, branches)


@dataclass(frozen=True)
class Passage:
    """What has passed the bottleneck.

    Attributes:
        decoder: as of `Autoencoder`.
        heralded: whether shots are discarded.
        branches: amplitudes that reach the decoder, for every state of the trash that is let through; not normalized.
    """

    decoder: Encoder | None
    heralded: bool
    branches: Inexact[Tensor, "batch trash latent"]

    @cached_property
    def success_probability(self) -> Float[Tensor, " batch"]:
        """Share of the shots that are kept; 0 for a black state."""
        if self.heralded:
            return probabilities_of(self.branches).sum((1, 2))
        return self.branches.real.new_ones(len(self.branches))

    @property
    def trash_population(self) -> Float[Tensor, " batch"]:
        """P(|0>), the probability to find all trash qubits in |0>: 1 if the bottleneck loses nothing (Eq. 5)."""
        return probabilities_of(self.branches[:, 0]).sum(1)

    def fidelity(self, references: Float[Tensor, "batch dim"]) -> Float[Tensor, " batch"]:
        """Fidelity <ref| rho |ref> of the output with a pure state, given that the shot is kept.

        Args:
            references: the unmasked images, amplitude-embedded.

        Returns:
            F, for the paper's model the expectation value of the SWAP test's ancilla (Eq. 8).
        """
        references = references.to(self.branches.real.dtype)
        expected = self.decoder.keep(references) if self.decoder else references.to(self.branches)
        overlaps = torch.linalg.vecdot(expected[:, None], self._kept)
        return probabilities_of(overlaps).sum(1)

    @property
    def probabilities(self) -> Float[Tensor, "batch dim"]:
        """Probability of every basis state in the output, diag rho (Eq. 6), given that the shot is kept."""
        kept = self._kept
        outputs = self.decoder.decode(kept.flatten(0, 1)).unflatten(0, kept.shape[:2]) if self.decoder else kept
        return probabilities_of(outputs).sum(1)

    @cached_property
    def _kept(self) -> Inexact[Tensor, "batch trash latent"]:
        """The branches, given that the shot is kept: where shots are discarded, scaled to unit norm."""
        return normalized(self.branches) if self.heralded else self.branches
