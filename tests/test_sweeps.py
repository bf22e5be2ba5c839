"""Blocks as good as they can be."""

from itertools import pairwise

import pytest
import torch

from qmae.ansatz.ansatz import Ansatz
from qmae.ansatz.blocks import SO4
from qmae.simulation.blocks import block_unitaries, collect
from qmae.simulation.dense import DenseEncoder
from qmae.simulation.environments import angles_of, matrices, polar, sweep


def rotations(*shape, generator, dim=4):
    skew = torch.randn(*shape, dim, dim, generator=generator, dtype=torch.float64)
    return torch.matrix_exp(skew - skew.mT)


def of_angles(angles):
    return block_unitaries(angles, SO4)


def test_every_rotation_in_four_dimensions_has_angles(generator):
    blocks = rotations(500, generator=generator)
    torch.testing.assert_close(of_angles(angles_of(blocks)), blocks, atol=1e-12, rtol=0)


@pytest.mark.parametrize(
    "angles", [torch.zeros(1, 6), torch.full((1, 6), torch.pi), torch.tensor([[0.0, 0, 1, 2, 0, 0]])]
)
def test_special_blocks_have_angles_too(angles):
    blocks = of_angles(angles.double())
    torch.testing.assert_close(of_angles(angles_of(blocks)), blocks, atol=1e-12, rtol=0)


@pytest.mark.parametrize("sign", [1, -1])
def test_no_rotation_is_better_than_the_polar_one(generator, sign):
    environment = torch.randn(4, 4, generator=generator, dtype=torch.float64)
    environment = environment * sign * torch.linalg.det(environment).sign()
    best = polar(environment)
    torch.testing.assert_close(best @ best.T, torch.eye(4).double())
    assert torch.linalg.det(best).item() == pytest.approx(1)
    found = torch.trace(environment @ best)
    others = torch.cat([rotations(2000, generator=generator), best @ torch.matrix_exp(0.01 * skew(200, generator))])
    assert found > torch.einsum("ij,nji->n", environment, others).max()


def skew(count, generator):
    parts = torch.randn(count, 4, 4, generator=generator, dtype=torch.float64)
    return parts - parts.mT


@pytest.mark.parametrize(("qubits", "layers"), [(2, 1), (3, 2), (4, 2), (5, 1), (6, 2), (9, 1)])
def test_matrices_are_those_of_the_circuit(qubits, layers, generator):
    ansatz = Ansatz(qubits, layers, "so4")
    angles = torch.randn(2, *ansatz.block_shape, generator=generator, dtype=torch.float64)
    blocks = of_angles(angles.flatten(0, 1)).view(2, layers, -1, 4, 4)
    for matrix, of_circuit in zip(matrices(blocks, ansatz), angles, strict=True):
        torch.testing.assert_close(matrix.T, DenseEncoder.build(collect(of_circuit, ansatz), ansatz, ()).columns[:, 0])


@pytest.mark.parametrize(("qubits", "layers"), [(2, 1), (3, 2), (4, 2), (6, 1), (9, 1)])
def test_a_sweep_only_goes_up(qubits, layers, generator):
    ansatz = Ansatz(qubits, layers, "so4")
    blocks = rotations(2, layers, len(ansatz.pairs) // layers, generator=generator)
    gradient = torch.randn(2, 2**qubits, 2**qubits, generator=generator, dtype=torch.float64)
    heights = [(gradient * matrices(blocks, ansatz)).sum((1, 2))]
    for _ in range(3):
        blocks = sweep(blocks, ansatz, gradient)
        heights.append((gradient * matrices(blocks, ansatz)).sum((1, 2)))
    torch.testing.assert_close(blocks @ blocks.mT, torch.eye(4).double().expand_as(blocks))
    assert all((higher >= lower - 1e-9).all() for lower, higher in pairwise(heights))
    assert (heights[1] > heights[0]).all()


def test_a_block_alone_is_best_at_once(generator):
    gradient = torch.randn(1, 4, 4, generator=generator, dtype=torch.float64)
    found = sweep(rotations(1, 1, 1, generator=generator), Ansatz(2, kind="so4"), gradient)
    torch.testing.assert_close(found[0, 0], polar(gradient.mT))


def test_a_circuit_is_found_again_from_its_matrix(generator):
    ansatz = Ansatz(3, 2, "so4")
    hidden = matrices(rotations(1, 2, 3, generator=generator), ansatz)
    blocks = torch.eye(4).double().expand(1, 2, 3, 4, 4)
    for _ in range(100):
        blocks = sweep(blocks, ansatz, hidden)
    assert (hidden * matrices(blocks, ansatz)).sum().item() == pytest.approx(8, abs=0.01)


def test_without_a_gradient_a_circuit_stays_as_it_is(generator):
    ansatz = Ansatz(4, 2, "so4")
    blocks = rotations(3, 2, 6, generator=generator)
    gradient = torch.zeros(3, 16, 16, dtype=torch.float64)
    assert torch.equal(sweep(blocks, ansatz, gradient), blocks)
    gradient[1] = torch.randn(16, 16, generator=generator, dtype=torch.float64)
    found = sweep(blocks, ansatz, gradient)
    assert torch.equal(found[::2], blocks[::2])
    assert torch.equal(found[1:2], sweep(blocks[1:2], ansatz, gradient[1:2]))


def test_of_many_best_rotations_the_nearest_is_taken(generator):
    """To bring one vector onto another: the rotation in the plane of the two, by hand."""
    old = rotations(1, 1, 1, generator=generator)
    state, goal = torch.nn.functional.normalize(torch.randn(2, 4, generator=generator, dtype=torch.float64))
    now = old[0, 0, 0] @ state
    plane = torch.stack([now, torch.nn.functional.normalize(goal - (goal @ now) * now, dim=0)])
    cos, sin = now @ goal, plane[1] @ goal
    turned = torch.stack([torch.stack([cos, -sin]), torch.stack([sin, cos])])
    expected = (torch.eye(4).double() + plane.T @ (turned - torch.eye(2)) @ plane) @ old[0, 0, 0]
    torch.testing.assert_close(expected @ state, goal)
    found = sweep(old, Ansatz(2, 1, "so4"), torch.outer(goal, state)[None])
    torch.testing.assert_close(found[0, 0, 0], expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("qubits", [2, 4, 6])
def test_blocks_that_an_image_does_not_reach_do_not_jump(qubits, dtype, generator):
    """One lit pixel that is where it should be: all is as good as it can be, and most is left open."""
    ansatz = Ansatz(qubits, 2, "so4")
    blocks = torch.eye(4, dtype=dtype).expand(1, 2, len(ansatz.pairs) // 2, 4, 4)
    gradient = torch.zeros(1, 2**qubits, 2**qubits, dtype=dtype)
    gradient[0, 3, 3] = 1e-30  # its size does not matter
    for _ in range(5):
        blocks = sweep(blocks, ansatz, gradient)
    torch.testing.assert_close(blocks, torch.eye(4, dtype=dtype).expand_as(blocks), atol=1e-4, rtol=0)
