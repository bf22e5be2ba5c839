"""Angles and states about which nothing is special."""

import torch

from qmae.simulation import embed


def random_angles(ansatz, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(ansatz.angle_shape, generator=generator, dtype=torch.float64) * 6.28


def random_states(qubits, count=2, seed=1):
    return embed(torch.rand(count, 2**qubits, generator=torch.Generator().manual_seed(seed), dtype=torch.float64))
