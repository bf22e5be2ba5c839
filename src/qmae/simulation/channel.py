"""Encoder, bottleneck and decoder together: what becomes of an image, and how like the original it is."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Inexact
from torch import Tensor

from qmae.simulation.encoders import Encoder
from qmae.simulation.states import normalized, probabilities_of


@dataclass(frozen=True)
class Autoencoder:
    """A channel on images: rho = sum_k D^dagger |0, y_k><0, y_k| D, with y_k the encoder's output for trash k.

    Attributes:
        encoder: V.
        decoder: D, whose adjoint decodes, V itself in the paper's model; None if the latent qubits are the output.
        heralded: whether only runs with trash 0 are kept; otherwise the trash is thrown away whatever it is.
    """

    encoder: Encoder
    decoder: Encoder | None
    heralded: bool = False

    def branches(self, states: Float[Tensor, "batch dim"]) -> Inexact[Tensor, "batch trash latent"]:
        """What reaches the decoder, for every trash that is let through."""
        return self.encoder.keep(states)[:, None] if self.heralded else self.encoder.encode(states)

    def success_probability(self, states: Float[Tensor, "batch dim"]) -> Float[Tensor, " batch"]:
        """Share of the shots that are kept; 0 for a black state."""
        return probabilities_of(self.branches(states)).sum((1, 2))

    def fidelity(
        self, states: Float[Tensor, "batch dim"], references: Float[Tensor, "batch dim"]
    ) -> Float[Tensor, " batch"]:
        """Fidelity <ref| rho |ref> of the output with a pure state, given that the run is kept.

        Args:
            states: the masked images, amplitude-embedded.
            references: the unmasked images, amplitude-embedded.

        Returns:
            F, for the paper's model the expectation value of the SWAP test's ancilla (Eq. 8).
        """
        branches = self._kept(states)
        expected = self.decoder.keep(references) if self.decoder else references.to(branches)
        overlaps = torch.linalg.vecdot(expected[:, None], branches)
        return probabilities_of(overlaps).sum(1)

    def readout(self, states: Float[Tensor, "batch dim"]) -> Float[Tensor, "batch dim"]:
        """Probability of every basis state in the output, diag rho (Eq. 6), given that the run is kept."""
        branches = self._kept(states)
        outputs = (
            self.decoder.decode(branches.flatten(0, 1)).unflatten(0, branches.shape[:2]) if self.decoder else branches
        )
        return probabilities_of(outputs).sum(1)

    def _kept(self, states: Float[Tensor, "batch dim"]) -> Inexact[Tensor, "batch trash latent"]:
        """The branches, given that the run is kept: a heralded one of unit norm, however seldom it is kept."""
        branches = self.branches(states)
        return normalized(branches) if self.heralded else branches
