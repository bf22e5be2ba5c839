"""V as unitaries that act on state vectors: for qubits so many that a matrix of V would not fit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Inexact
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import pad

from qmae.ansatz import Ansatz
from qmae.simulation.encoders import Encoder, join_trash, split_trash
from qmae.simulation.fusion import fuse


@dataclass(frozen=True)
class StateVectorEncoder(Encoder):
    """V as its unitaries, which act on the state vectors one after the other.

    Attributes:
        unitaries: the unitaries in the order in which they act.
        pairs: the two registers that each of them acts on.
        levels: basis states of every register, from the most significant.
        trash_wires: the qubits that are thrown away.
        ancillas: how many of the least significant qubits enter in |0>.
    """

    unitaries: Inexact[Tensor, "unitaries fused fused"]
    pairs: tuple[tuple[int, int], ...]
    levels: tuple[int, ...]
    trash_wires: tuple[int, ...]
    ancillas: int

    @classmethod
    def build(
        cls, angles: Float[Tensor, "blocks angles"], ansatz: Ansatz, trash_wires: tuple[int, ...], ancillas: int = 0
    ) -> StateVectorEncoder:
        """Multiply the blocks into unitaries."""
        fusion = fuse(ansatz)
        unitaries = fusion.unitaries(angles, ansatz).flatten(0, 1)
        registers = (fusion.levels,) * fusion.registers
        return cls(unitaries, fusion.pairs * ansatz.layers, registers, trash_wires, ancillas)

    def encode(self, states: Float[Tensor, "batch dim"]) -> Inexact[Tensor, "batch trash latent"]:
        """Send the states through the circuit."""
        entering = pad(states.to(self.unitaries)[:, :, None], (0, 2**self.ancillas - 1)).flatten(1)
        return split_trash(self._run(entering, self.unitaries, self.pairs), self.trash_wires)

    def keep(self, states: Float[Tensor, "batch dim"]) -> Inexact[Tensor, "batch latent"]:
        """As `encode`: a circuit cannot be run in part."""
        return self.encode(states)[:, 0]

    def decode(self, latents: Inexact[Tensor, "batch latent"]) -> Inexact[Tensor, "batch dim"]:
        """Send them through the adjoint circuit."""
        black = latents.new_zeros(len(latents), 2 ** len(self.trash_wires) - 1, latents.shape[1])
        states = join_trash(torch.cat([latents[:, None], black], 1), self.trash_wires)
        return self._run(states, self.unitaries.mH.flip(0), self.pairs[::-1])

    def _run(
        self,
        states: Inexact[Tensor, "batch dim"],
        unitaries: Inexact[Tensor, "unitaries fused fused"],
        pairs: tuple[tuple[int, int], ...],
    ) -> Inexact[Tensor, "batch dim"]:
        # The batch goes last, so that whichever registers are moved, long runs of memory stay together.
        registers = states.T.reshape(*self.levels, len(states))
        return _Evolution.apply(unitaries, registers, pairs).reshape(-1, len(states)).T


class _Evolution(torch.autograd.Function):
    """Unitaries applied to states, one after the other, differentiated by the adjoint method.

    Nothing is stored for the way back but the final states: what was before a unitary is its adjoint applied to
    what is behind it (Jones and Gacon 2020, arXiv 2009.02823). So memory does not grow with depth.
    """

    @staticmethod
    def forward(
        ctx: Any,
        unitaries: Inexact[Tensor, "unitaries fused fused"],
        states: Inexact[Tensor, "*registers batch"],
        pairs: tuple[tuple[int, int], ...],
    ) -> Inexact[Tensor, "*registers batch"]:
        for unitary, pair in zip(unitaries, pairs, strict=True):
            moved = states.movedim(pair, (0, 1))
            states = (unitary @ moved.reshape(len(unitary), -1)).view(moved.shape).movedim((0, 1), pair)
        ctx.pairs = pairs
        ctx.save_for_backward(unitaries, states)
        return states

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        unitaries, states = ctx.saved_tensors
        both = torch.stack([states, gradient])
        gradients = torch.empty_like(unitaries)
        for index in reversed(range(len(unitaries))):
            pair = ctx.pairs[index]
            places = tuple(1 + register for register in pair)
            moved = both.movedim(places, (0, 1))
            behind = moved.reshape(unitaries.shape[1], 2, -1)
            before = (unitaries[index].mH @ behind.flatten(1)).view(behind.shape)
            gradients[index] = behind[:, 1] @ before[:, 0].mH
            both = before.view(moved.shape).movedim((0, 1), places)
        return gradients, both[1], None
