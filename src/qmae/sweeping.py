"""Sweeps in the place of Adam: circuits of real blocks are trained without a step size (`simulation.sweeps`)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from qmae.ansatz import Ansatz
from qmae.errors import InputError
from qmae.masking import Masks
from qmae.models import MaskedAutoencoder, embed_originals
from qmae.simulation import Autoencoder, DenseEncoder, block_unitaries, embed
from qmae.simulation.blocks import collect
from qmae.simulation.encoders import split_trash
from qmae.simulation.precision import without_autocast
from qmae.simulation.sweeps import angles_of, matrices, polar, sweep

MOMENTUM, LATER_MOMENTUM, RAMP = 0.8, 0.88, 20
"""Share of a block's last change that is made again before sweep k: 1 - `RAMP` / k, which grows as Nesterov's does, but
at least the first and at most the second. docs/findings.md says what others gave."""


def momentum(sweep: int) -> float:
    """Share of the last change that is made again before a sweep, counted from 1."""
    return max(MOMENTUM, min(LATER_MOMENTUM, 1 - RAMP / sweep))


class Sweeps:
    """Improves a model's circuits sweep by sweep, and its token by Adam.

    With the encoder or the decoder held fixed the fidelity is a convex function of the other's matrix, so that every
    sweep over a batch, as long as nothing is moved on before it, raises its mean fidelity on this batch. With a
    heralded bottleneck, F = (ref . y)^2 / |y|^2, it is made convex by adding |V x|^2 F / |y|^2, the first factor of
    which is 1 whatever V.

    Before each sweep every block is moved on by a part of its last change (Polyak's heavy ball, on rotations): blocks
    that are set one at a time creep where many must turn together.

    Args:
        model: trained in place: real blocks, a decoder that is not the encoder, no offsets.
        learning_rate: of the token, in units of pixel values.
        success_weight: what a discarded run costs.

    Raises:
        InputError: another model.
    """

    @without_autocast()
    def __init__(self, model: MaskedAutoencoder, *, learning_rate: float, success_weight: float = 0.0) -> None:
        config = model.config
        if config.block != "so4" or config.decoder == "adjoint" or config.conditioning == "offsets":
            raise InputError("sweeps need blocks so4, a decoder that is free or none, and no offsets: train by adam")
        self.model, self.learning_rate, self.success_weight = model, learning_rate, success_weight
        self.tokens = None if model.token is None else torch.optim.Adam([model.token], learning_rate)
        # Not as angles: those of a block near the identity jump, and so would the blocks that share them.
        every = model.blocks_of(model.angles.detach().view(-1, model.angles.shape[-1]))
        self.blocks = block_unitaries(every.flatten(0, 1), config.ansatz.block).view(*every.shape[:2], 4, 4)
        self.last = self.blocks.clone()
        self.sweeps = 0

    @without_autocast()
    def step(self, images: Float[Tensor, "batch size size"], masks: Masks) -> Float[Tensor, " batch"]:
        """One sweep over every circuit, and one step of the token.

        Returns:
            The losses 1 - F before the step.
        """
        losses = None
        for part in self._parts():
            if self.tokens:
                self.tokens.zero_grad()
            losses = self._improve(part, images, masks)
            if self.tokens:
                self.tokens.step()
        self.sweeps += 1
        assert losses is not None
        return losses

    def advance(self) -> None:
        """Nothing follows a schedule."""

    def state_dict(self) -> dict[str, Any]:
        """All that a resumed training needs."""
        tokens = None if self.tokens is None else self.tokens.state_dict()
        return {"blocks": self.blocks, "last": self.last, "sweeps": self.sweeps, "tokens": tokens}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        self.blocks, self.last = (state[name].to(self.blocks) for name in ("blocks", "last"))
        self.sweeps = state["sweeps"]
        if self.tokens is not None:
            self.tokens.load_state_dict(state["tokens"])

    def _parts(self) -> list[tuple[int, Ansatz]]:
        """Encoder and, if it is free, decoder: where their blocks begin, and on what they act."""
        encoder, *decoder = self.model.config.parts
        return [(0, encoder), *((len(encoder.pairs), part) for part in decoder)]

    def _improve(
        self, part: tuple[int, Ansatz], images: Float[Tensor, "batch size size"], masks: Masks
    ) -> Float[Tensor, " batch"]:
        start, ansatz = part
        config, own = self.model.config, slice(start, start + len(ansatz.pairs))
        blocks = self._extrapolated(own).unflatten(1, (ansatz.layers, -1))
        free = matrices(blocks, ansatz).requires_grad_()
        states, references = embed(self.model.fill(images, masks).flatten(1)), embed_originals(images)
        fidelity, success = images.new_zeros(len(images)), images.new_zeros(len(images))
        damping = torch.zeros_like(free)
        for circuit, rows in enumerate(self._rows(masks)):
            autoencoder = self._with(free[circuit], start, circuit, len(rows))
            fidelity[rows] = autoencoder.fidelity(states[rows], references[rows])
            if config.bottleneck == "herald":
                success[rows] = autoencoder.success_probability(states[rows])
                if not start:
                    weights = (fidelity[rows] / success[rows].clamp_min(1e-6)).detach()
                    damping[circuit] = self._damping(free[circuit], states[rows], weights)
        (1 - fidelity + self.success_weight * (1 - success)).sum().backward()
        assert free.grad is not None
        improved = sweep(blocks, ansatz, (damping - free.grad / 2).detach())
        self.last[:, own] = self.blocks[:, own]
        self.blocks[:, own] = improved.flatten(1, 2)
        self._write_angles(part)
        return 1 - fidelity.detach()

    @torch.no_grad()
    def _write_angles(self, part: tuple[int, Ansatz]) -> None:
        """Give the model the angles of the blocks of one part."""
        (start, ansatz), angles = part, self.model.angles
        blocks = self.blocks[:, start : start + len(ansatz.pairs)]
        new = collect(angles_of(blocks.flatten(0, 1)).view(len(blocks), *ansatz.block_shape), ansatz)
        # The encoder's angles come first, a free decoder's last.
        own = slice(-ansatz.angles, None) if start else slice(ansatz.angles)
        angles[..., own] = new.view_as(angles[..., own])

    def _extrapolated(self, own: slice) -> Float[Tensor, "circuits blocks 4 4"]:
        """The blocks of one part, moved on in the direction of their last change."""
        now, last = self.blocks[:, own], self.last[:, own]
        return polar((now + momentum(self.sweeps + 1) * (now - last)).mT)

    def _rows(self, masks: Masks) -> list[Int[Tensor, " rows"]]:
        """The images of every circuit."""
        if self.model.config.conditioning == "none":
            return [torch.arange(len(masks))]
        return [(masks.position == place).nonzero()[:, 0] for place in range(len(masks.patch.corners))]

    def _with(self, matrix: Float[Tensor, "dim dim"], start: int, circuit: int, states: int) -> Autoencoder:
        """One of the model's circuits, with a matrix in the place of one of its parts."""
        config, angles = self.model.config, self.model.angles.detach()
        wires, entering = (config.reset_wires, 1) if start else (config.trash_wires, 2**config.ancillas)
        given = DenseEncoder(split_trash(matrix.T[::entering], wires))
        if config.decoder == "none":
            return Autoencoder(given, None, heralded=config.bottleneck == "herald")
        blocks = self.model.blocks_of(angles.view(-1, angles.shape[-1])[circuit])
        autoencoder = self.model.autoencoder(blocks, states=states)
        return replace(autoencoder, decoder=given) if start else replace(autoencoder, encoder=given)

    @torch.no_grad()
    def _damping(
        self, matrix: Float[Tensor, "dim dim"], states: Float[Tensor, "batch data"], weights: Float[Tensor, " batch"]
    ) -> Float[Tensor, "dim dim"]:
        """Half the gradient of what is added to the fidelity of an encoder, sum over images of F |V x|^2 / |y|^2.

        Args:
            matrix: V.
            states: x.
            weights: F / |y|^2.
        """
        damping, every = torch.zeros_like(matrix), 2**self.model.config.ancillas
        damping[:, ::every] = matrix[:, ::every] @ (states.T @ (weights[:, None] * states))
        return damping
