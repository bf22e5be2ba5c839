"""Exact, batched simulation of the autoencoder on n qubits in place of the training circuit's 2n + 2.

The unitary V of the encoder is the same for every image, so it is built once per step, as a dense matrix,
and applied to the whole batch by matrix products. The reset of the trash qubits and the SWAP test need no
further qubits: with y = V |input> and z = V |reference>, their indices split into (trash k, latent l),

    F = sum_k | sum_l conj(z[0, l]) y[k, l] |^2

is the expectation value of the SWAP test (Eq. 8) after the trash is replaced by |0> and V^dagger applied:
only the part of V |reference> with trash |0> can overlap with the decoder's input.

Bit order: qubit 0 is the most significant bit of an index.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations, count, islice, pairwise
from typing import get_args

import torch
from jaxtyping import Complex, Float, Int
from opt_einsum import contract_expression, contract_path, get_symbol
from torch import Tensor

from qmae.ansatz import Ansatz, Gate
from qmae.errors import InputError
from qmae.settings import Readout

FUSED_QUBITS = 4
"""Blocks are multiplied into unitaries on this many qubits before they act on anything large."""


def embed(pixels: Float[Tensor, "*batch pixels"]) -> Float[Tensor, "*batch pixels"]:
    """Amplitude embedding (Eq. 2): divide by the Euclidean norm. An all-zero row has no direction and stays zero."""
    norm = torch.linalg.vector_norm(pixels, dim=-1, keepdim=True)
    return pixels / torch.where(norm > 0, norm, 1)


def unitary(angles: Float[Tensor, "blocks angles"], ansatz: Ansatz) -> Complex[Tensor, "dim dim"]:
    """Build V(theta), the matrix of the whole ansatz.

    The blocks are multiplied into few unitaries, and these are contracted as a tensor network in the cheapest order.

    Args:
        angles: rotation angles in radians, of `ansatz.angle_shape`.
        ansatz: the circuit.

    Returns:
        V[i, j] = <i| V |j>, of 2^n rows and columns; complex of the precision of `angles`. Differentiable.
    """
    fusion = fuse(ansatz)
    blocks = block_unitaries(angles, ansatz.block)
    factors = torch.cat([blocks.flatten(), blocks.new_tensor([0, 1])])[fusion.entries.to(blocks.device)]
    fused = [matrix.view(fusion.shape) for matrix in _product(factors)]
    return fusion.contract(*fused).reshape(2**ansatz.qubits, -1)


def block_unitaries(angles: Float[Tensor, "blocks angles"], block: tuple[Gate, ...]) -> Complex[Tensor, "blocks 4 4"]:
    """Multiply the gates of every block into one 4 x 4 matrix, all blocks at once.

    A rotation is exp(-i t/2) P+ + exp(i t/2) P-, with the projectors P+- = (1 +- P) / 2 of its Pauli matrix. So a
    segment of k rotations, with the CNOTs between them, is a sum over 2^k signs of a phase
    exp(-i (+- t1 +- t2 ...) / 2) times a constant matrix: one matrix product for all segments of all blocks.

    Args:
        angles: rotation angles in radians.
        block: the gates in the order in which they act; the first is a rotation.

    Returns:
        One matrix per row of `angles`; its index is 2 (bit of a) + (bit of b).
    """
    signs, constants = _segments(block)
    half_angles = angles.unflatten(1, (len(constants), -1)).movedim(1, 0) / 2
    sums = half_angles @ signs.to(angles).T
    phases = torch.cat([sums.cos(), sums.sin()], dim=-1)
    entries = phases @ torch.view_as_real(constants).flatten(2).to(angles)
    return _product(torch.view_as_complex(entries.unflatten(-1, (4, 4, 2))))


def split_trash(
    states: Complex[Tensor, "dim *columns"], qubits: int, trash_wires: tuple[int, ...]
) -> Complex[Tensor, "trash latent *columns"]:
    """Split the index of a state, or of the rows of a matrix, into trash and latent."""
    columns = states.shape[1:]
    bits = states.reshape(*[2] * qubits, *columns).movedim(trash_wires, tuple(range(len(trash_wires))))
    return bits.reshape(2 ** len(trash_wires), -1, *columns)


def encode(
    v: Complex[Tensor, "trash latent dim"], states: Float[Tensor, "batch dim"]
) -> Complex[Tensor, "batch trash latent"]:
    """Apply the encoder, its rows split by `split_trash`, to real states (Eq. 4)."""
    # A real state times a complex matrix is one real product with its real and imaginary parts, row by row in turn.
    rows = torch.view_as_real(v.flatten(0, 1)).movedim(-1, 1).flatten(0, 1)
    return torch.view_as_complex((states @ rows.T).unflatten(-1, (*v.shape[:2], 2)))


def reset_fidelity(
    v: Complex[Tensor, "trash latent dim"],
    encoded: Complex[Tensor, "batch trash latent"],
    references: Float[Tensor, "batch dim"],
) -> Float[Tensor, " batch"]:
    """Fidelity <ref| rho |ref> of the decoder's output with a pure state, the trash having been reset to |0>.

    Args:
        v: the encoder, rows split by `split_trash`; the decoder is its adjoint.
        encoded: the encoder's output for the masked images.
        references: the unmasked images, amplitude-embedded.

    Returns:
        F, the expectation value of the SWAP test's ancilla (Eq. 8).
    """
    kept = encode(v[:1], references)
    overlaps = torch.linalg.vecdot(kept.expand_as(encoded), encoded)
    return (overlaps.real**2 + overlaps.imag**2).sum(-1)


def reset_readout(
    v: Complex[Tensor, "trash latent dim"], encoded: Complex[Tensor, "batch trash latent"]
) -> Float[Tensor, "batch dim"]:
    """Probability of every basis state in the decoder's output, diag rho (Eq. 6)."""
    branches = encoded @ v[0].conj()
    return (branches.real**2 + branches.imag**2).sum(1)


def read_out(probabilities: Float[Tensor, "*shape"], readout: Readout) -> Float[Tensor, "*shape"]:
    """Turn the probabilities of the basis states into pixel values (the paper leaves open which it uses).

    Raises:
        InputError: `readout` is neither `"probability"` nor `"amplitude"`.
    """
    if readout not in get_args(Readout):
        raise InputError(f"no readout {readout!r}: choose one of {', '.join(get_args(Readout))}")
    return probabilities.sqrt() if readout == "amplitude" else probabilities


@dataclass(frozen=True)
class Fusion:
    """The circuit as few unitaries on `FUSED_QUBITS` qubits each.

    Attributes:
        wires: the qubits of every fused unitary, ascending, in the order in which they act.
        shape: of each of them as a tensor, an index for every qubit that goes out and then every qubit that comes in.
        contract: multiplies them, as such tensors, into V.
        entries: where the entries of its factors lie in the flattened block matrices with a 0 and a 1
            put behind them; the first factor acts first, missing ones are identities.
    """

    wires: tuple[tuple[int, ...], ...]
    shape: tuple[int, ...]
    contract: Callable[..., Complex[Tensor, "*indices"]]
    entries: Int[Tensor, "factors fused dim dim"]


# A cached tensor must not become one of inference mode, whoever asks first.
@lru_cache(maxsize=16)
@torch.inference_mode(False)
def fuse(ansatz: Ansatz) -> Fusion:
    """Group the blocks into unitaries on few qubits, greedily: always the qubits that take up the most blocks."""
    todo = list(enumerate(ansatz.pairs))
    wires, groups = [], []
    width = min(FUSED_QUBITS, ansatz.qubits)
    while todo:
        first = set(todo[0][1])
        rest = [wire for wire in range(ansatz.qubits) if wire not in first]
        candidates = [tuple(sorted(first.union(more))) for more in combinations(rest, width - 2)]
        chosen = max(candidates, key=lambda candidate: len(_absorbed(todo, candidate)))
        group = _absorbed(todo, chosen)
        todo = [item for item in todo if item not in group]
        wires.append(chosen)
        groups.append([(block, tuple(chosen.index(wire) for wire in pair)) for block, pair in group])
    zero = 16 * len(ansatz.pairs)
    identity = torch.full((2**width, 2**width), zero).fill_diagonal_(zero + 1)
    entries = identity.repeat(max(map(len, groups)), len(groups), 1, 1)
    for fused, group in enumerate(groups):
        for factor, (block, pair) in enumerate(group):
            entries[factor, fused] = _embedded_entries(block, pair, width, zero)
    shape = (2,) * 2 * width
    return Fusion(tuple(wires), shape, _network(wires, ansatz.qubits, shape), entries)


def _network(
    wires: list[tuple[int, ...]], qubits: int, shape: tuple[int, ...]
) -> Callable[..., Complex[Tensor, "*indices"]]:
    """Unitaries on few qubits each, one after the other, as one contraction; its cheapest order is found here."""
    fresh = (get_symbol(index) for index in count())
    lines = inputs = list(islice(fresh, qubits))
    terms = []
    for acting in wires:
        outgoing = dict(zip(acting, fresh, strict=False))
        terms.append("".join([*outgoing.values(), *(lines[wire] for wire in acting)]))
        lines = [outgoing.get(wire, line) for wire, line in enumerate(lines)]
    equation, shapes = f"{','.join(terms)}->{''.join([*lines, *inputs])}", [shape] * len(wires)
    # A search by greed multiplies whole layers where one unitary after the other would be cheaper.
    in_turn = [(0, 1), *((0, last) for last in range(len(wires) - 2, 0, -1))] if len(wires) > 1 else [(0,)]
    orders = [contract_path(equation, *shapes, shapes=True, optimize=order) for order in ("auto", in_turn)]
    best, _ = min(orders, key=lambda order: order[1].opt_cost)
    return contract_expression(equation, *shapes, optimize=best)


def _absorbed(todo: list[tuple[int, tuple[int, int]]], wires: tuple[int, ...]) -> list[tuple[int, tuple[int, int]]]:
    """The blocks on `wires` that can act before all other blocks still to do."""
    absorbed, blocked = [], set()
    for block, pair in todo:
        if set(pair) <= set(wires) and blocked.isdisjoint(pair):
            absorbed.append((block, pair))
        else:
            blocked.update(pair)
    return absorbed


def _embedded_entries(block: int, pair: tuple[int, ...], width: int, zero: int) -> Int[Tensor, "dim dim"]:
    """Where the entries of a block's matrix lie when it acts on two of `width` qubits; elsewhere `zero`."""
    index = torch.arange(2**width)
    bit = [(index >> (width - 1 - wire)) & 1 for wire in range(width)]
    local = 2 * bit[pair[0]] + bit[pair[1]]
    others = sum(bit[wire] << wire for wire in range(width) if wire not in pair)
    same = torch.as_tensor(others).expand(2**width)[:, None] == torch.as_tensor(others).expand(2**width)
    return torch.where(same, 16 * block + 4 * local[:, None] + local, zero)


def _product(factors: Complex[Tensor, "factors *batch dim dim"]) -> Complex[Tensor, "*batch dim dim"]:
    """Multiply matrices in the order in which they act, F[-1] ... F[1] F[0], neighbours first."""
    while len(factors) > 1:
        even = len(factors) // 2 * 2
        pairs = factors[1:even:2] @ factors[0:even:2]
        factors = torch.cat([pairs, factors[even:]]) if even < len(factors) else pairs
    return factors[0]


SEGMENT = 5
"""Rotations of a segment of a block at the most: their 2^5 phases are computed at once."""


@lru_cache(maxsize=4)
@torch.inference_mode(False)
def _segments(
    block: tuple[Gate, ...],
) -> tuple[Float[Tensor, "terms rotations"], Complex[Tensor, "segments waves 4 4"]]:
    """Cut a block into segments of equally many rotations.

    Returns:
        The signs with which the half angles are added up in every term; and for every segment the matrices that the
        cosines of these sums multiply, then those that the sines multiply.
    """
    starts = [index for index, gate in enumerate(block) if gate.name != "CNOT"]
    rotations = max(size for size in range(1, SEGMENT + 1) if len(starts) % size == 0)
    cuts = [0, *starts[rotations::rotations], len(block)]
    signs = torch.cartesian_prod(*[torch.tensor([1.0, -1.0], dtype=torch.float64)] * rotations).view(-1, rotations)
    constants = torch.stack([_terms(block[first:last], signs) for first, last in pairwise(cuts)])
    # exp(-i s) M = cos(s) M + sin(s) (-i M)
    return signs, torch.cat([constants, -1j * constants], dim=1)


def _terms(gates: tuple[Gate, ...], signs: Float[Tensor, "terms rotations"]) -> Complex[Tensor, "terms 4 4"]:
    """The product of projectors and CNOTs for every choice of signs."""
    one = torch.eye(2, dtype=torch.complex128)
    paulis = {
        "RY": torch.tensor([[0, -1j], [1j, 0]], dtype=torch.complex128),
        "RZ": torch.tensor([[1, 0], [0, -1]], dtype=torch.complex128),
    }
    index = torch.arange(4)
    a, b = index >> 1, index & 1
    flipped = {(0, 1): 2 * a + (a ^ b), (1, 0): 2 * (a ^ b) + b}
    product, sign = torch.eye(4, dtype=torch.complex128).expand(len(signs), 4, 4), iter(signs.T)
    for gate in gates:
        if gate.name == "CNOT":
            product = product[:, flipped[gate.wires[0], gate.wires[1]]]
        else:
            pauli = paulis[gate.name]
            on_pair = torch.kron(pauli, one) if gate.wires == (0,) else torch.kron(one, pauli)
            product = (torch.eye(4) + next(sign)[:, None, None] * on_pair) / 2 @ product
    return product
