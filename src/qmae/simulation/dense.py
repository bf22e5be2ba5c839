"""V as one matrix, the same for the whole batch: the fastest way for few qubits."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from typing import Any

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from qmae.ansatz import Ansatz
from qmae.simulation.encoders import Encoder, split_trash, trash_overlaps
from qmae.simulation.fusion import Fusion, fuse


@dataclass(frozen=True)
class DenseEncoder(Encoder):
    """V as a matrix: built once, it serves the whole batch as one real matrix product.

    Attributes:
        columns: <k l| V |j> for every input j, trash k and latent l.
    """

    columns: Complex[Tensor, "dim trash latent"]

    @classmethod
    def build(
        cls, angles: Float[Tensor, "blocks angles"], ansatz: Ansatz, trash_wires: tuple[int, ...]
    ) -> DenseEncoder:
        """Build V of every layer, and multiply them."""
        fusion = fuse(ansatz)
        layers = [_layer_columns(unitaries, fusion) for unitaries in fusion.unitaries(angles, ansatz)]
        return cls(split_trash(reduce(torch.matmul, layers), trash_wires))

    def encode(self, states: Float[Tensor, "batch dim"]) -> Complex[Tensor, "batch trash latent"]:
        """One product for the whole batch."""
        return _apply(states, self.columns)

    def keep(self, states: Float[Tensor, "batch dim"]) -> Complex[Tensor, "batch latent"]:
        """Only those rows of V are computed with."""
        return _apply(states, self.columns[:, 0])

    def reset_fidelity(
        self, states: Float[Tensor, "batch dim"], references: Float[Tensor, "batch dim"]
    ) -> Float[Tensor, " batch"]:
        """As in the formula of `qmae.simulation`, differentiated by hand."""
        return _ResetFidelity.apply(self.columns, states, references)

    def decode(self, latents: Complex[Tensor, "batch latent"]) -> Complex[Tensor, "batch dim"]:
        """One product, too."""
        return latents @ self.columns[:, 0].mH


def _layer_columns(unitaries: Complex[Tensor, "pairs dim dim"], fusion: Fusion) -> Complex[Tensor, "inputs outputs"]:
    """Multiply the unitaries of a layer into <out| V |in>, register by register.

    With a new register d, the circuit on a, b, c grows by the unitaries ad, bd and cd. Those behind ad act on the
    registers b, c, d alone, and ad on a and d alone: so both products are small, and leave the indices in order.
    """
    levels = fusion.levels
    gates = {pair: gate.view([levels] * 4) for pair, gate in zip(fusion.pairs, unitaries, strict=True)}
    columns = gates[0, 1].permute(2, 3, 0, 1).reshape(levels**2, levels**2)
    for new in range(2, fusion.registers):
        late = gates[1, new].permute(2, 3, 0, 1)
        for register in range(2, new):
            # in, new in, out, new between; then what acts next: out, new out, in, new between
            late = torch.einsum("mdoe,pfre->mrdopf", late, gates[register, new])
            late = late.flatten(3, 4).flatten(0, 1)
        between = columns.reshape(-1, len(late)) @ late.reshape(len(late), -1)
        first = gates[0, new].permute(3, 0, 2, 1).reshape(levels**2, levels**2)
        columns = first.expand(len(columns), -1, -1).bmm(between.view(len(columns), levels**2, -1))
        columns = columns.view(len(columns) * levels, -1)
    return columns


class _ResetFidelity(torch.autograd.Function):
    """`Encoder.reset_fidelity` of a dense V with its gradient by hand, which makes fewer passes over the batch.

    With y_k = V_k x, z = V_0 r, c_k = <z, y_k> and F = sum_k |c_k|^2, the gradients are
    2 c_k z for y_k and 2 sum_k conj(c_k) y_k for z.
    """

    @staticmethod
    def forward(
        ctx: Any,
        columns: Complex[Tensor, "dim trash latent"],
        states: Float[Tensor, "batch dim"],
        references: Float[Tensor, "batch dim"],
    ) -> Float[Tensor, " batch"]:
        encoded, kept = _apply(states, columns), _apply(references, columns[:, 0])
        overlaps = trash_overlaps(encoded, kept)
        ctx.save_for_backward(columns, states, references, encoded, kept, overlaps)
        return (overlaps.real**2 + overlaps.imag**2).sum(-1)

    @staticmethod
    def backward(ctx: Any, gradient: Float[Tensor, " batch"]) -> tuple[Tensor | None, ...]:
        columns, states, references, encoded, kept, overlaps = ctx.saved_tensors
        weights = 2 * gradient[:, None] * overlaps
        of_encoded = _parts(weights[:, :, None] * kept[:, None])
        of_kept = _parts((weights.conj()[:, :, None] * encoded).sum(1))
        of_columns = states.T @ of_encoded
        of_columns[:, : of_kept.shape[1]] += references.T @ of_kept
        of_states = of_encoded @ _parts(columns).T if ctx.needs_input_grad[1] else None
        of_references = of_kept @ _parts(columns[:, 0]).T if ctx.needs_input_grad[2] else None
        return torch.view_as_complex(of_columns.view(*columns.shape, 2)), of_states, of_references


def _apply(states: Float[Tensor, "batch dim"], columns: Complex[Tensor, "dim *out"]) -> Complex[Tensor, "batch *out"]:
    """A real state times a complex matrix is one real product: with its real and imaginary parts side by side."""
    return torch.view_as_complex((states @ _parts(columns)).view(len(states), *columns.shape[1:], 2))


def _parts(states: Complex[Tensor, "rows *columns"]) -> Float[Tensor, "rows parts"]:
    """Real and imaginary parts, in turn."""
    return torch.view_as_real(states).flatten(1)
