"""V as unitaries that act on state vectors: for so many qubits that V as a matrix would not fit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Inexact
from torch import Tensor
from torch.nn.functional import pad

from qmae.ansatz.ansatz import Ansatz
from qmae.simulation.blocks import unitaries_of
from qmae.simulation.encoders import Encoder, join_trash, split_trash
from qmae.simulation.fusion import fuse
from qmae.simulation.precision import exact


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
        cls, angles: Float[Tensor, "..."], ansatz: Ansatz, trash_wires: tuple[int, ...], ancillas: int = 0
    ) -> StateVectorEncoder:
        """Multiply the blocks into unitaries."""
        fusion = fuse(ansatz)
        unitaries = fusion.unitaries(unitaries_of(angles, ansatz), ansatz.layers).flatten(0, 1)
        registers = (fusion.levels,) * fusion.registers
        return cls(unitaries, fusion.pairs * ansatz.layers, registers, trash_wires, ancillas)

    def encode(self, states: Float[Tensor, "batch dim"]) -> Inexact[Tensor, "batch trash latent"]:
        """Send the states through the circuit."""
        unitaries = exact(self.unitaries)
        entering = pad(states.to(unitaries)[:, :, None], (0, 2**self.ancillas - 1)).flatten(1)
        return split_trash(self._run(entering, unitaries, self.pairs), self.trash_wires)

    def keep(self, states: Float[Tensor, "batch dim"]) -> Inexact[Tensor, "batch latent"]:
        """As `encode`: a circuit cannot be run in part."""
        return self.encode(states)[:, 0]

    def decode(self, latents: Inexact[Tensor, "batch latent"]) -> Inexact[Tensor, "batch dim"]:
        """Send them through the adjoint circuit."""
        unitaries = exact(self.unitaries)
        kept = latents.to(unitaries)[:, None]
        black = torch.zeros_like(kept).expand(-1, 2 ** len(self.trash_wires) - 1, -1)
        states = join_trash(torch.cat([kept, black], 1), self.trash_wires)
        return self._run(states, unitaries.mH.flip(0), self.pairs[::-1])

    def _run(
        self,
        states: Inexact[Tensor, "batch dim"],
        unitaries: Inexact[Tensor, "unitaries fused fused"],
        pairs: tuple[tuple[int, int], ...],
    ) -> Inexact[Tensor, "batch dim"]:
        # The batch goes last, so that whichever registers are moved, long runs of memory stay together.
        registers = states.T.reshape(*self.levels, len(states))
        # `torch.func` gets nested forward derivatives of an `autograd.Function` wrong, without an error.
        evolve = _evolve if torch._C._are_functorch_transforms_active() else _Evolution.apply
        return evolve(unitaries, registers, pairs).reshape(-1, len(states)).T


def _evolve(
    unitaries: Inexact[Tensor, "unitaries fused fused"],
    states: Inexact[Tensor, "*registers batch"],
    pairs: tuple[tuple[int, int], ...],
) -> Inexact[Tensor, "*registers batch"]:
    """Apply unitaries to states, one after the other."""
    for unitary, pair in zip(unitaries, pairs, strict=True):
        states = _act(unitary, states, pair)
    return states


def _act(
    unitary: Inexact[Tensor, "fused fused"], states: Inexact[Tensor, "*registers_and_batch"], pair: tuple[int, int]
) -> Inexact[Tensor, "*registers_and_batch"]:
    """Apply a unitary to two registers."""
    moved = states.movedim(pair, (0, 1))
    product = unitary @ moved.reshape(len(unitary), -1)
    return product.reshape(moved.shape).movedim((0, 1), pair)


class _Evolution(torch.autograd.Function):
    """`_evolve`, differentiated by the adjoint method.

    The backward pass stores the final states alone: the state before a unitary is its adjoint applied to the state
    after it (Jones and Gacon 2020, arXiv 2009.02823). So memory does not grow with depth.

    The backward pass is differentiable itself, so derivatives of any order are right, as long as the matrices stay
    unitary. Second derivatives do store the states at every unitary.
    """

    @staticmethod
    def forward(  # pyright: ignore[reportIncompatibleMethodOverride]
        unitaries: Inexact[Tensor, "unitaries fused fused"],
        states: Inexact[Tensor, "*registers batch"],
        pairs: tuple[tuple[int, int], ...],
    ) -> Inexact[Tensor, "*registers batch"]:
        return _evolve(unitaries, states, pairs)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        unitaries, states, ctx.pairs = inputs
        ctx.save_for_backward(unitaries, output)
        ctx.save_for_forward(unitaries, states)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        unitaries, states = ctx.saved_tensors
        both, gradients = torch.stack([states, gradient]), []
        for unitary, pair in zip(unitaries.flip(0), ctx.pairs[::-1], strict=True):
            dimensions = tuple(1 + register for register in pair)
            moved = both.movedim(dimensions, (0, 1))
            behind = moved.reshape(len(unitary), 2, -1)
            before = (unitary.mH @ behind.reshape(len(unitary), -1)).reshape(behind.shape)
            gradients.append(behind[:, 1] @ before[:, 0].mH)
            both = before.reshape(moved.shape).movedim((0, 1), dimensions)
        return torch.stack(gradients[::-1]), both[1], None

    @staticmethod
    def jvp(ctx: Any, slopes: Tensor, slope: Tensor, _: None) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        unitaries, states = ctx.saved_tensors
        for unitary, change, pair in zip(unitaries, slopes, ctx.pairs, strict=True):
            slope = _act(unitary, slope, pair) + _act(change, states, pair)
            states = _act(unitary, states, pair)
        return slope
