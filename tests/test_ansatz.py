import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from qmae.ansatz.ansatz import Ansatz
from qmae.ansatz.blocks import SU4, Block
from qmae.circuits.templates import BlockLayers, TwoQubitBlock
from qmae.simulation.blocks import block_unitaries, collect
from samples import matrix


def test_block_has_15_rotations_and_3_cnots_in_the_papers_order():
    names = " ".join(gate.name + "".join("ab"[wire] for wire in gate.wires) for gate in SU4.gates)
    assert names == ("RZa RYa RZa RZb RYb RZb CNOTba RZa RYb CNOTab RYb CNOTba RZa RYa RZa RZb RYb RZb")


def rank_at_random_point(block, seed):
    """Independent directions in which the block's matrix can move."""
    angles = torch.rand(block.angles, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * 6.28

    def entries(t):
        return torch.view_as_real(block_unitaries(t[None], block)).flatten()

    # Near a gimbal lock a singular value is small, but far above rounding.
    return torch.linalg.matrix_rank(torch.autograd.functional.jacobian(entries, angles), rtol=1e-10)


@given(st.integers(0, 1000))
def test_block_reaches_su4(seed):
    """The tangent space of SU(4) has 15 dimensions; without its last CNOT the block does not fill them."""
    assert rank_at_random_point(SU4, seed) == 15
    last = max(index for index, gate in enumerate(SU4.gates) if gate.name == "CNOT")
    assert rank_at_random_point(Block(SU4.gates[:last] + SU4.gates[last + 1 :]), seed) < 15


def test_block_at_zero_angles_is_swap():
    swap = torch.tensor([[1, 0, 0, 0], [0, 0, 1, 0], [0, 1, 0, 0], [0, 0, 0, 1]], dtype=torch.complex128)
    torch.testing.assert_close(block_unitaries(torch.zeros(1, 15, dtype=torch.float64), SU4)[0], swap)


def test_pairs_are_lexicographic_and_repeat_in_every_layer():
    assert Ansatz(3, 2).pairs == ((0, 1), (0, 2), (1, 2)) * 2


def test_number_of_angles():
    assert Ansatz(8).angles == 420
    assert Ansatz(8, 3).angles == 1260


@pytest.mark.parametrize(("qubits", "layers"), [(2, 1), (3, 2), (8, 35), (9, 27)])
def test_real_blocks_share_the_rotations_between_them(qubits, layers):
    ansatz = Ansatz(qubits, layers, "so4")
    gates = list(ansatz.gates())
    assert ansatz.angles == 4 * len(ansatz.pairs) + qubits
    assert [angle for name, _, angle in gates if name == "RY"] == list(range(ansatz.angles))
    # No qubit turns twice in a row.
    last = {}
    for name, wires, _ in gates:
        assert name == "CNOT" or last.get(wires[0]) != "RY"
        last.update(dict.fromkeys(wires, name))


def test_shared_rotations_leave_the_circuit_as_it_was(generator):
    ansatz = Ansatz(4, 2, "so4")
    blocks = torch.randn(2, *ansatz.block_shape, generator=generator, dtype=torch.float64)
    angles = collect(blocks, ansatz)
    assert angles.shape == (2, *ansatz.angle_shape)
    wires = range(4)
    for every, own in zip(blocks, angles, strict=True):

        def one_by_one(every=every):
            for row, pair in zip(every.numpy(), ansatz.pairs, strict=True):
                TwoQubitBlock(row, pair, "so4")

        apart = matrix(one_by_one, wire_order=wires)()
        together = matrix(BlockLayers, wire_order=wires)(own.numpy(), wires, "so4")
        np.testing.assert_allclose(together, apart, atol=1e-12)
