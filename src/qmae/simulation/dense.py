"""V as one matrix, the same for the whole batch: the fastest way for few qubits."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from itertools import combinations

import torch
from jaxtyping import Float, Inexact
from torch import Tensor

from qmae.ansatz.ansatz import Ansatz
from qmae.simulation.blocks import unitaries_of
from qmae.simulation.encoders import Encoder, split_trash
from qmae.simulation.fusion import Fusion, fuse
from qmae.simulation.precision import exact


@dataclass(frozen=True)
class DenseEncoder(Encoder):
    """V as a matrix: built once, it serves the whole batch as one real matrix product.

    Attributes:
        columns: <k l| V |j> for every input j, trash k and latent l.
    """

    columns: Inexact[Tensor, "dim trash latent"]

    @classmethod
    def build(
        cls, angles: Float[Tensor, "..."], ansatz: Ansatz, trash_wires: tuple[int, ...], ancillas: int = 0
    ) -> DenseEncoder:
        """Build V of every layer, and multiply them; ancillas only enter in |0>."""
        fusion = fuse(ansatz)
        unitaries = fusion.unitaries(unitaries_of(angles, ansatz), ansatz.layers)
        layers = [_layer_columns(of_layer, fusion) for of_layer in unitaries]
        layers[0] = layers[0][:: 2**ancillas]
        return cls(split_trash(reduce(torch.matmul, layers), trash_wires))

    def encode(self, states: Float[Tensor, "batch dim"]) -> Inexact[Tensor, "batch trash latent"]:
        """One product for the whole batch."""
        return _apply(states, self.columns)

    def keep(self, states: Float[Tensor, "batch dim"]) -> Inexact[Tensor, "batch latent"]:
        """One product with the rows of V whose trash is |0>."""
        return _apply(states, self.columns[:, 0])

    def decode(self, latents: Inexact[Tensor, "batch latent"]) -> Inexact[Tensor, "batch dim"]:
        """One product with the adjoint of these rows."""
        columns = exact(self.columns[:, 0])
        return latents.to(columns) @ columns.mH


def _layer_columns(
    unitaries: Inexact[Tensor, "pairs fused fused"], fusion: Fusion
) -> Inexact[Tensor, "inputs outputs"]:
    """Multiply the unitaries of a layer into <out| V |in>."""
    if fusion.pairs == tuple(combinations(range(fusion.registers), 2)):
        return _columns_of_all_pairs(unitaries, fusion)
    columns = torch.eye(fusion.levels**fusion.registers, dtype=unitaries.dtype, device=unitaries.device)
    shape = columns.shape
    for (a, b), unitary in zip(fusion.pairs, unitaries, strict=True):
        registers = columns.reshape(-1, *[fusion.levels] * fusion.registers).movedim((1 + a, 1 + b), (-2, -1))
        product = registers.reshape(-1, len(unitary)) @ unitary.T
        columns = product.reshape(registers.shape).movedim((-2, -1), (1 + a, 1 + b)).reshape(shape)
    return columns


def _columns_of_all_pairs(
    unitaries: Inexact[Tensor, "pairs fused fused"], fusion: Fusion
) -> Inexact[Tensor, "inputs outputs"]:
    """Multiply the unitaries of all pairs of registers, in lexicographic order, register by register.

    With a new register d, the circuit on a, b, c grows by the unitaries ad, bd and cd. Those after ad act on the
    registers b, c, d alone, and ad on a and d alone: so both products are small, and leave the indices in order.
    """
    levels = fusion.levels
    gates = {pair: gate.reshape([levels] * 4) for pair, gate in zip(fusion.pairs, unitaries, strict=True)}
    columns = gates[0, 1].permute(2, 3, 0, 1).reshape(levels**2, levels**2)
    for new in range(2, fusion.registers):
        late = gates[1, new].permute(2, 3, 0, 1)
        for register in range(2, new):
            # in, new in, out, new between; then what acts next: out, new out, in, new between
            late = torch.einsum("mdoe,pfre->mrdopf", late, gates[register, new])
            late = late.flatten(3, 4).flatten(0, 1)
        between = columns.reshape(-1, len(late)) @ late.reshape(len(late), -1)
        first = gates[0, new].permute(3, 0, 2, 1).reshape(levels**2, levels**2)
        columns = first.expand(len(columns), -1, -1).bmm(between.reshape(len(columns), levels**2, -1))
        columns = columns.reshape(len(columns) * levels, -1)
    return columns


def _apply(states: Float[Tensor, "batch dim"], columns: Inexact[Tensor, "dim *out"]) -> Inexact[Tensor, "batch *out"]:
    """Real states times a complex matrix, as one real product: real and imaginary parts become columns, in turn."""
    columns = exact(columns)
    if not columns.is_complex():
        return (states.to(columns) @ columns.flatten(1)).reshape(len(states), *columns.shape[1:])
    parts = torch.view_as_real(columns)
    return torch.view_as_complex((states.to(parts) @ parts.flatten(1)).reshape(len(states), *parts.shape[1:]))
