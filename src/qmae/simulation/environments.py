"""Training without gradients of angles: again and again, each block is set to the best one, all others fixed.

A function tr(G^T V) that is linear in V is linear in every block B of it, too: tr(E B), where the block's *environment*
E is G and the rest of the circuit, contracted. The best rotation is its polar factor (Evenbly and Vidal 2009,
arXiv 0707.1454, for tensor networks). A convex function of V lies above its tangent, so that what raises the tangent
raises the function, too (Journee et al. 2010, arXiv 0811.4724). There is no step size, and no step goes down.

Where the environment is zero or not of full rank, many rotations are equally good. The one nearest to the old block is
taken: a very small part of tr(B_old^T B) is added, which is largest at B_old itself, so that still no step goes down.

This is for real blocks, which reach all of SO(4), so that every rotation has angles (`angles_of`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache, reduce

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from qmae.ansatz.ansatz import Ansatz
from qmae.simulation.fusion import deal, embedded_entries
from qmae.simulation.precision import constant, without_autocast

KEEP = 2 / 3
"""The old block's weight, against a gradient of norm 1, is the rounding error to this power: far above the rounding
error of an environment that should be zero, and far below any environment that counts."""


# Compared by identity, as its arrays cannot be.
@dataclass(frozen=True, eq=False)
class Site:
    """Blocks of a layer that act together, on two registers; a sweep goes from site to site.

    Attributes:
        registers: the two registers.
        blocks: which blocks of the layer, in the order in which they act.
        entries: where the entries of each block on all qubits of the site lie in its flattened matrix with a 0 behind.
        inner: which entries of a matrix of the site add up to the entries of each block's environment.
        outer: which entries of a matrix on all qubits add up to the entries of the site's environment.
    """

    registers: tuple[int, int]
    blocks: tuple[int, ...]
    entries: tuple[Int[np.ndarray, "fused fused"], ...]
    inner: tuple[Int[np.ndarray, "16 rest"], ...]
    outer: Int[np.ndarray, "entries others"]

    def embed(self, blocks: Float[Tensor, "circuits pairs 4 4"], index: int) -> Float[Tensor, "circuits fused fused"]:
        """One of the site's blocks as a matrix on all of its qubits."""
        block = blocks[:, self.blocks[index]].flatten(1)
        padded = torch.cat([block, block.new_zeros(len(block), 1)], 1)
        return padded[:, constant(self.entries[index], device=block.device)]

    def fuse(self, blocks: Float[Tensor, "circuits pairs 4 4"]) -> Float[Tensor, "circuits fused fused"]:
        """The product of the site's blocks."""
        factors = (self.embed(blocks, index) for index in range(len(self.blocks)))
        return reduce(lambda product, factor: factor @ product, factors)

    def improve(
        self, blocks: Float[Tensor, "circuits pairs 4 4"], environment: Float[Tensor, "circuits fused fused"]
    ) -> Float[Tensor, "circuits fused fused"]:
        """Set the site's blocks, in place, each to the best for tr(environment product); returns their product."""
        matrix, keep = environment @ self.fuse(blocks) @ self.embed(blocks, 0).mT, torch.finfo(blocks.dtype).eps ** KEEP
        for index, block in enumerate(self.blocks):
            blocks[:, block] = polar(_trace(matrix, self.inner[index]) + keep * blocks[:, block].mT)
            if index + 1 < len(self.blocks):
                matrix = self.embed(blocks, index) @ matrix @ self.embed(blocks, index + 1).mT
        return self.fuse(blocks)


def polar(environment: Float[Tensor, "*batch dim dim"]) -> Float[Tensor, "*batch dim dim"]:
    """The rotation B, of determinant 1, for which tr(environment B) is largest."""
    left, _, right = torch.linalg.svd(environment)
    sign = torch.linalg.det(left @ right).sign()[..., None, None]
    return torch.cat([right[..., :-1, :], sign * right[..., -1:, :]], -2).mT @ left.mT


@without_autocast()
def sweep(
    blocks: Float[Tensor, "circuits layers pairs 4 4"], ansatz: Ansatz, gradient: Float[Tensor, "circuits dim dim"]
) -> Float[Tensor, "circuits layers pairs 4 4"]:
    """Set every block of several circuits, one after the other, to the best for tr(gradient^T V).

    Args:
        blocks: rotations in four dimensions.
        ansatz: where they act.
        gradient: of any function of V, its index <out| |in>.

    Returns:
        The new blocks; tr(gradient^T V) is no less than before, and a circuit without a gradient is left as it is.
    """
    largest = gradient.abs().amax((1, 2))
    steered = largest > 0
    if not steered.all():
        blocks = blocks.clone()
        if steered.any():
            blocks[steered] = sweep(blocks[steered], ansatz, gradient[steered])
        return blocks
    # Only its direction counts; squares of its entries might leave the range of the floating point numbers.
    gradient = gradient / largest[:, None, None]
    gradient = gradient / torch.linalg.matrix_norm(gradient, keepdim=True)
    blocks, (sites, levels) = blocks.clone(), sites_of(ansatz)
    circuit = [(blocks[:, layer], site) for layer in range(ansatz.layers) for site in sites]
    unitaries = [site.fuse(of_layer) for of_layer, site in circuit]
    # What is left of tr(...) without one site: the circuit before it, gradient^T, the circuit after it.
    matrix = gradient.mT
    for (_, site), unitary in zip(circuit[:0:-1], unitaries[:0:-1], strict=True):
        matrix = _behind(matrix, unitary, site, levels)
    for index, (of_layer, site) in enumerate(circuit):
        unitary = site.improve(of_layer, _trace(matrix, site.outer))
        if index + 1 < len(circuit):
            matrix = _before(matrix, unitary, site, levels)
            matrix = _behind(matrix, unitaries[index + 1].mT, circuit[index + 1][1], levels)
    return blocks


@without_autocast()
def matrices(blocks: Float[Tensor, "circuits layers pairs 4 4"], ansatz: Ansatz) -> Float[Tensor, "circuits dim dim"]:
    """V of every circuit, its index <out| |in>."""
    sites, levels = sites_of(ansatz)
    product = torch.eye(2**ansatz.qubits, dtype=blocks.dtype, device=blocks.device).expand(len(blocks), -1, -1)
    for layer in range(ansatz.layers):
        for site in sites:
            product = _before(product, site.fuse(blocks[:, layer]), site, levels)
    return product


@lru_cache(maxsize=16)
def sites_of(ansatz: Ansatz) -> tuple[tuple[Site, ...], tuple[int, ...]]:
    """The sites of a layer in the order in which they act, and the basis states of every register."""
    size = next(size for size in (2, 3, 1) if ansatz.qubits % size == 0 and ansatz.qubits > size)
    sites = [
        Site(
            group.registers,
            tuple(group.blocks),
            tuple(embedded_entries(0, group.local(ansatz.layer[block]), 16, 2 * size) for block in group.blocks),
            tuple(_traced_entries(group.local(ansatz.layer[block]), 2 * size) for block in group.blocks),
            _traced_entries(group.wires, ansatz.qubits),
        )
        for group in deal(ansatz, size)
    ]
    return tuple(sites), (2**size,) * (ansatz.qubits // size)


@without_autocast()
def angles_of(blocks: Float[Tensor, "blocks 4 4"]) -> Float[Tensor, "blocks 6"]:
    """The angles of real blocks; `block_unitaries` is the inverse.

    SO(4) is SU(2) x SU(2), but for a sign. With CNOTs on both sides, RY on the control and on the target become the
    rotations about YX and ZY: so YI and ZY turn one of the two, and IY and YX the other, and the block is two Euler
    decompositions side by side.
    """
    left, right = constant(_factors(), device=blocks.device, dtype=blocks.dtype)
    products = torch.einsum("aij,bjk,nik->nab", left, right, blocks) / 4  # of rank 1: a quaternion times a quaternion
    first, size, second = torch.linalg.svd(products)
    outer = [_euler(factor[:, :4] * size[:, :1].sqrt()) for factor in (first[:, :, 0], second[:, 0])]
    (a_before, b_between, a_behind), (b_before, a_between, b_behind) = outer
    return torch.stack([a_before, b_before, a_between, b_between, a_behind, b_behind], 1)


def _euler(quaternion: Float[Tensor, "blocks 4"]) -> tuple[Tensor, Tensor, Tensor]:
    real, first, second, third = quaternion.T
    between = 2 * torch.atan2(torch.hypot(second, third), torch.hypot(real, first))
    half_sum, half_difference = torch.atan2(first, real), torch.atan2(third, second)
    return half_sum - half_difference, between, half_sum + half_difference


@lru_cache(maxsize=1)
def _factors() -> Float[np.ndarray, "2 4 4 4"]:
    """Units of the two quaternions: 1, the generator of the outer rotations, that of the inner one, their product."""
    one, y = np.eye(2), np.array([[0, -1j], [1j, 0]])
    x, z = np.array([[0, 1], [1, 0]]), np.diag([1, -1])
    generators = [(-1j * np.kron(*pair)).real for pair in ((y, one), (z, y), (one, y), (y, x))]
    return np.stack([np.stack([np.eye(4), a, b, a @ b]) for a, b in (generators[:2], generators[2:])])


def _before(matrix: Tensor, unitary: Tensor, site: Site, levels: tuple[int, ...]) -> Tensor:
    """unitary @ matrix."""
    dimensions, shape = [1 + register for register in site.registers], matrix.shape
    moved = matrix.view(len(matrix), *levels, -1).movedim(dimensions, (1, 2))
    product = (unitary @ moved.reshape(len(matrix), unitary.shape[1], -1)).view(moved.shape)
    return product.movedim((1, 2), dimensions).reshape(shape)


def _behind(matrix: Tensor, unitary: Tensor, site: Site, levels: tuple[int, ...]) -> Tensor:
    """matrix @ unitary."""
    dimensions, shape = [2 + register for register in site.registers], matrix.shape
    moved = matrix.view(len(matrix), -1, *levels).movedim(dimensions, (-2, -1))
    product = (moved.reshape(len(matrix), -1, unitary.shape[1]) @ unitary).view(moved.shape)
    return product.movedim((-2, -1), dimensions).reshape(shape)


def _trace(matrix: Tensor, entries: Int[np.ndarray, "entries rest"]) -> Tensor:
    """Partial trace by the entries that it adds up."""
    traced = matrix.flatten(1)[:, constant(entries, device=matrix.device)].sum(-1)
    return traced.unflatten(1, [round(traced.shape[1] ** 0.5)] * 2)


def _traced_entries(wires: tuple[int, ...], qubits: int) -> Int[np.ndarray, "entries rest"]:
    """Which entries of a flattened matrix a partial trace over all qubits but `wires` adds up."""
    bits = np.moveaxis(np.arange(2**qubits).reshape([2] * qubits), [*wires], [*range(len(wires))])
    table = bits.reshape(2 ** len(wires), -1)
    return (table[:, None] * 2**qubits + table[None]).reshape(4 ** len(wires), -1)
