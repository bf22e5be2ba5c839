"""Training by sweeps instead of Adam: circuits of real blocks, without a step size (`simulation.environments`)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from qmae.data.masks import Masks
from qmae.errors import InputError
from qmae.models.base import embed_originals
from qmae.models.bottlenecks import BOTTLENECKS
from qmae.models.variational import CircuitModel, VariationalCircuit
from qmae.simulation.blocks import collect, unitaries_of
from qmae.simulation.channel import Autoencoder
from qmae.simulation.dense import DenseEncoder
from qmae.simulation.encoders import split_trash
from qmae.simulation.environments import angles_of, matrices, polar, sweep
from qmae.simulation.precision import without_autocast
from qmae.simulation.states import embed
from qmae.training.objective import check_finite, objective

MOMENTUM, LATER_MOMENTUM, RAMP = 0.8, 0.88, 20
"""Share of a block's last change that is made again before sweep k: 1 - `RAMP` / k, which grows as Nesterov's does, but
at least the first and at most the second. docs/findings.md says what others gave."""

LEAST_SUCCESS = 1e-6
"""Images that keep a smaller share of shots are left out: their fidelity is rounding error."""


def momentum(sweep: int) -> float:
    """Share of the last change that is made again before a sweep, counted from 1."""
    return max(MOMENTUM, min(LATER_MOMENTUM, 1 - RAMP / sweep))


@dataclass(frozen=True)
class Batch:
    """The images of a sweep, sorted by circuit.

    Attributes:
        states: the masked images, the token in their holes, amplitude-embedded.
        references: the originals, amplitude-embedded.
        circuits: indices of the circuits that have images in the batch; the others stay as they are.
        rows: for each of these circuits, the rows of its images.
    """

    states: Float[Tensor, "batch data"]
    references: Float[Tensor, "batch data"]
    circuits: Int[Tensor, " circuits"]
    rows: list[Int[Tensor, " _"]]


class Sweeps:
    """Improves a model's circuits sweep by sweep, and its token by Adam.

    With the encoder or the decoder held fixed, the fidelity is a convex function of the other's matrix. So every sweep
    over a batch, without momentum, raises the mean fidelity of this batch. With a heralded bottleneck,
    F = (ref . y)^2 / |y|^2, it is made convex by adding |V x|^2 F / |y|^2, where |V x|^2 is 1 for every V.

    Momentum moves every block on by a part of its last change before each sweep (Polyak's heavy ball, on rotations):
    blocks that are set one at a time are slow where many must turn together.

    Args:
        model: trained in place: real blocks, a decoder that is not the encoder, no offsets.
        learning_rate: of the token, in units of pixel values.
        success_weight: what a discarded shot costs.
        momentum: share of the last change that is made again before a sweep, counted from 1.

    Raises:
        InputError: as `check`.
    """

    @without_autocast()
    def __init__(
        self,
        model: CircuitModel,
        *,
        learning_rate: float,
        success_weight: float = 0.0,
        momentum: Callable[[int], float] = momentum,
    ) -> None:
        self.check(model)
        self.momentum = momentum
        self.model, self.learning_rate, self.success_weight = model, learning_rate, success_weight
        self.token = model.token if model.token is not None and model.token.requires_grad else None
        self.tokens = None if self.token is None else torch.optim.Adam([self.token], learning_rate, fused=True)
        # Blocks are kept as matrices: the angles of a block near the identity jump, and blocks share angles.
        self.blocks = [_blocks_of(circuit) for circuit in model.circuits]
        self.last = [blocks.clone() for blocks in self.blocks]
        self.sweeps = 0

    @staticmethod
    def check(model: CircuitModel) -> None:
        """Refuse a model that sweeps cannot train.

        Raises:
            InputError: it has no free real blocks, or its angles are frozen.
        """
        config = model.config
        if config.block != "so4" or config.decoder == "adjoint" or config.conditioning == "offsets":
            raise InputError("sweeps need blocks so4, a decoder that is free or none, and no offsets: train by adam")
        if not all(circuit.angles.requires_grad for circuit in model.circuits):
            raise InputError("sweeps set the angles, which are frozen: call model.requires_grad_(True)")

    @without_autocast()
    def step(self, images: Float[Tensor, "batch size size"], masks: Masks) -> Float[Tensor, " batch"]:
        """One sweep over every circuit that has images in the batch, and one step of the token.

        Returns:
            The losses 1 - F before the step.

        Raises:
            DivergenceError: the loss or its gradient is not finite.
        """
        losses = self._prepare_token(images, masks)
        batch = self._batch(images, masks)
        for part in range(len(self.blocks)):
            self._improve(part, batch)
        if self.tokens is not None:
            self.tokens.step()
        self.sweeps += 1
        return losses

    def advance(self) -> None:
        """Nothing follows a schedule."""

    def state_dict(self) -> dict[str, Any]:
        """All that a resumed training needs."""
        tokens = None if self.tokens is None else self.tokens.state_dict()
        return {"blocks": self.blocks, "last": self.last, "sweeps": self.sweeps, "tokens": tokens}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        for kept, found in ((self.blocks, state["blocks"]), (self.last, state["last"])):
            for part, blocks in zip(kept, found, strict=True):
                part.copy_(blocks)
        self.sweeps = state["sweeps"]
        if self.tokens is not None:
            self.tokens.load_state_dict(state["tokens"])

    def _prepare_token(self, images: Float[Tensor, "batch size size"], masks: Masks) -> Float[Tensor, " batch"]:
        """Give the token its gradient; returns the losses."""
        with torch.set_grad_enabled(self.token is not None):
            losses, minimized = objective(self.model, images, masks, self.success_weight)
        check_finite("the loss", [minimized])
        if self.token is not None:
            (gradient,) = torch.autograd.grad(minimized.sum(), self.token)
            check_finite("the gradient", [gradient])
            self.token.grad = gradient
        return losses.detach()

    @torch.no_grad()
    def _batch(self, images: Float[Tensor, "batch size size"], masks: Masks) -> Batch:
        separate = self.model.config.conditioning == "separate"
        position = masks.position if separate else masks.position.new_zeros(len(masks))
        circuits, kind = position.unique(return_inverse=True)
        rows = [(kind == index).nonzero()[:, 0] for index in range(len(circuits))]
        return Batch(embed(self.model.fill(images, masks).flatten(1)), embed_originals(images), circuits, rows)

    def _improve(self, part: int, batch: Batch) -> None:
        """Sweep over the encoders, part 0, or over the free decoders."""
        ansatzes = self.model.config.ansatzes
        every = [blocks[batch.circuits] for blocks in self.blocks]
        every[part] = self._extrapolated(every[part], self.last[part][batch.circuits])
        unitaries = [matrices(blocks, ansatz) for blocks, ansatz in zip(every, ansatzes, strict=True)]
        gradient = self._gradient(part, unitaries, batch)
        check_finite("the gradient", [gradient])
        improved = sweep(every[part], ansatzes[part], gradient)
        # Circuits without a gradient stay as they are; momentum does not move them either.
        steered = gradient.flatten(1).any(1)
        circuits = batch.circuits[steered]
        self.last[part][circuits] = self.blocks[part][circuits]
        self.blocks[part][circuits] = improved[steered]
        self._write_angles(part, circuits)

    def _gradient(
        self, part: int, unitaries: list[Float[Tensor, "circuits _ _"]], batch: Batch
    ) -> Float[Tensor, "circuits dim dim"]:
        """Half the gradient, by a part's unitaries, of what a sweep raises."""
        own = unitaries[part].requires_grad_()
        damping, value = torch.zeros_like(own), own.new_zeros(())
        for circuit, rows in enumerate(batch.rows):
            states, references = batch.states[rows], batch.references[rows]
            autoencoder = self._autoencoder(*(unitary[circuit] for unitary in unitaries))
            passage = autoencoder.run(states)
            fidelity = passage.fidelity(references)
            if self.model.heralded:
                success = passage.success_probability
                fidelity = torch.where(success > LEAST_SUCCESS, fidelity, 0)
                value = value + self.success_weight * success.sum()
                if part == 0:
                    weights = (fidelity / success.clamp_min(LEAST_SUCCESS)).detach()
                    damping[circuit] = self._damping(own[circuit], states, weights)
            value = value + fidelity.sum()
        (gradient,) = torch.autograd.grad(value, own)
        return damping + gradient / 2

    @torch.no_grad()
    def _write_angles(self, part: int, circuits: Int[Tensor, " circuits"]) -> None:
        """Give the model the angles of the blocks of one part of some circuits."""
        circuit, blocks = self.model.circuits[part], self.blocks[part][circuits]
        rotations = angles_of(blocks.flatten(0, 2)).view(len(blocks), *circuit.ansatz.block_shape)
        circuit.sets[circuits] = collect(rotations, circuit.ansatz)

    def _extrapolated(
        self, now: Float[Tensor, "circuits layers pairs 4 4"], last: Float[Tensor, "circuits layers pairs 4 4"]
    ) -> Float[Tensor, "circuits layers pairs 4 4"]:
        """Blocks moved on in the direction of their last change."""
        return polar((now + self.momentum(self.sweeps + 1) * (now - last)).mT)

    def _autoencoder(
        self, encoder: Float[Tensor, "dim dim"], decoder: Float[Tensor, "decoded decoded"] | None = None
    ) -> Autoencoder:
        """One of the model's circuits, by its unitaries."""
        config = self.model.config
        parts = [DenseEncoder(split_trash(encoder.T[:: 2**config.ancillas], config.trash_wires))]
        if decoder is not None:
            parts.append(DenseEncoder(split_trash(decoder.T, config.image_trash)))
        return Autoencoder(parts[0], parts[1] if decoder is not None else None, BOTTLENECKS[config.bottleneck])

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


def _blocks_of(circuit: VariationalCircuit) -> Float[Tensor, "circuits layers pairs 4 4"]:
    """The matrices of the blocks of every set of a circuit's angles."""
    blocks = torch.stack([unitaries_of(angles, circuit.ansatz) for angles in circuit.sets.detach()])
    return blocks.unflatten(1, (circuit.ansatz.layers, -1))
