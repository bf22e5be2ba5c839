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

from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from typing import get_args

import torch
from jaxtyping import Complex, Float, Int
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

    Args:
        angles: rotation angles in radians, of `ansatz.angle_shape`.
        ansatz: the circuit.

    Returns:
        V[i, j] = <i| V |j>, of 2^n rows and columns; complex of the precision of `angles`. Differentiable.
    """
    fusion = fuse(ansatz)
    blocks = block_unitaries(angles, ansatz.block)
    factors = torch.cat([blocks.flatten(), blocks.new_tensor([0, 1])])[fusion.entries.to(blocks.device)]
    v = torch.eye(2**ansatz.qubits, dtype=blocks.dtype, device=blocks.device)
    for wires, matrix in zip(fusion.wires, _product(factors), strict=True):
        v = _apply(matrix, v, wires, ansatz.qubits)
    return v


def block_unitaries(angles: Float[Tensor, "blocks angles"], block: tuple[Gate, ...]) -> Complex[Tensor, "blocks 4 4"]:
    """Multiply the gates of every block into one 4 x 4 matrix, all blocks at once.

    A rotation is cos(t/2) 1 - i sin(t/2) P, linear in a cosine and a sine, so a block is a product of
    matrices that one contraction gives; a CNOT is part of the constants of the rotation before it.

    Args:
        angles: rotation angles in radians.
        block: the gates in the order in which they act; the first is a rotation.

    Returns:
        One matrix per row of `angles`; its index is 2 (bit of a) + (bit of b).
    """
    constants = torch.view_as_real(_rotation_constants(block)).to(angles)
    waves = torch.stack([(angles / 2).cos(), (angles / 2).sin()], dim=-1)
    rotations = torch.einsum("bgw,gwijc->gbijc", waves, constants)
    return _product(torch.view_as_complex(rotations))


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
    # A real state times a complex matrix is two real products, half the work of a complex one.
    rows = v.flatten(0, 1)
    return torch.complex(states @ rows.real.T, states @ rows.imag.T).unflatten(1, v.shape[:2])


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
    overlaps = (kept.conj() * encoded).sum(-1)
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
        entries: where the entries of its factors lie in the flattened block matrices with a 0 and a 1
            put behind them; the first factor acts first, missing ones are identities.
    """

    wires: tuple[tuple[int, ...], ...]
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
    return Fusion(tuple(wires), entries)


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


def _apply(
    matrix: Complex[Tensor, "small small"],
    states: Complex[Tensor, "dim columns"],
    wires: tuple[int, ...],
    qubits: int,
) -> Complex[Tensor, "dim columns"]:
    """Apply a unitary on some qubits to every column."""
    front = tuple(range(len(wires)))
    bits = states.reshape(*[2] * qubits, -1).movedim(wires, front)
    moved = (matrix @ bits.reshape(len(matrix), -1)).reshape(bits.shape)
    return moved.movedim(front, wires).reshape(states.shape)


@lru_cache(maxsize=4)
@torch.inference_mode(False)
def _rotation_constants(block: tuple[Gate, ...]) -> Complex[Tensor, "angles 2 4 4"]:
    """For every rotation of a block the matrices that its cosine and its sine multiply, CNOTs included."""
    one = torch.eye(2, dtype=torch.complex128)
    generators = {
        "RY": torch.tensor([[0, -1], [1, 0]], dtype=torch.complex128),
        "RZ": torch.tensor([[-1j, 0], [0, 1j]], dtype=torch.complex128),
    }
    index = torch.arange(4)
    a, b = index >> 1, index & 1
    cnot = {
        (0, 1): torch.eye(4, dtype=torch.complex128)[2 * a + (a ^ b)],
        (1, 0): torch.eye(4, dtype=torch.complex128)[2 * (a ^ b) + b],
    }
    constants: list[Tensor] = []
    for gate in block:
        if gate.name == "CNOT":
            constants[-1] = cnot[gate.wires[0], gate.wires[1]] @ constants[-1]
        else:
            generator = generators[gate.name]
            on_pair = torch.kron(generator, one) if gate.wires == (0,) else torch.kron(one, generator)
            constants.append(torch.stack([torch.eye(4, dtype=torch.complex128), on_pair]))
    return torch.stack(constants)
