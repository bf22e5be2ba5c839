"""What the circuits cost on a device: qubits, gates and depth, as written and after compilation to real couplings."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

import torch

from qmae._progress import Progress, silent
from qmae._values import check_size
from qmae.ansatz.ansatz import Ansatz
from qmae.circuits.autoencoder import AutoencoderCircuit
from qmae.circuits.choices import Overlap
from qmae.circuits.export import import_qiskit, to_qiskit

BASIS = ["rz", "sx", "x", "cx"]
"""The gates of a device to which circuits are compiled; rz costs nothing on most."""

CNOT_COSTS = {"cx": 1, "cz": 1, "swap": 3, "cswap": 8}
"""Two-qubit gates in CNOTs; a controlled swap is a Toffoli, of 6, between two of them."""


@dataclass(frozen=True)
class Resources:
    """The cost of one circuit that estimates a fidelity, both preparations included.

    Attributes:
        image_size: pixels a side.
        overlap: how output and original are compared.
        layers: of the ansatz.
        coupling: `all`: as written, any pair of qubits coupled; `heavy-hex` or `line`: compiled by Qiskit.
        qubits: of the circuit; a compiled one may pass through further qubits of the lattice.
        gates: number of gates by kind.
        cnots: two-qubit gates once all is broken up into CNOTs.
        depth: layers of gates that can run at the same time.
        preparation_cnots: CNOTs of the preparations alone, as written.
    """

    image_size: int
    overlap: Overlap
    layers: int
    coupling: str
    qubits: int
    gates: dict[str, int]
    cnots: int
    depth: int
    preparation_cnots: int


def count(
    image_sizes: list[int],
    overlaps: list[Overlap],
    layers: list[int],
    *,
    progress: Progress = silent,
) -> Iterator[Resources]:
    """Count the resources of the circuits that estimate a fidelity, as written and compiled by Qiskit.

    Args:
        image_sizes: pixels a side, powers of two.
        overlaps: kinds of overlap.
        layers: of the ansatz.
        progress: told of every circuit.

    Raises:
        InputError: Qiskit is not installed, or a size is no power of two.
    """
    for size in image_sizes:
        check_size(size)
    kinds = list(product(image_sizes, overlaps, layers))
    with progress("counting gates", len(kinds)) as advance:
        for size, overlap, depth in kinds:
            yield from _count(size, overlap, depth)
            advance(1)


def _count(size: int, overlap: Overlap, layers: int) -> Iterator[Resources]:
    qiskit = import_qiskit()
    circuit = AutoencoderCircuit(Ansatz(2 * round(math.log2(size)), layers), overlap=overlap)
    written = to_qiskit(circuit, *_some_parameters(circuit.ansatz))
    written.remove_final_measurements()
    compiled = {
        name: qiskit.transpile(
            written, basis_gates=BASIS, coupling_map=coupling, optimization_level=2, seed_transpiler=0
        )
        for name, coupling in couplings(circuit.num_wires).items()
    }
    preparations = 2 * (2**circuit.ansatz.qubits - 2)
    for name, target in {"all": written, **compiled}.items():
        gates = {str(gate): int(number) for gate, number in target.count_ops().items()}
        cnots = sum(gates.get(gate, 0) * cost for gate, cost in CNOT_COSTS.items())
        yield Resources(size, overlap, layers, name, circuit.num_wires, gates, cnots, target.depth(), preparations)


def couplings(qubits: int) -> dict[str, Any]:
    """A line of qubits, and the smallest heavy-hex lattice that has as many, as Qiskit's coupling maps."""
    import_qiskit()
    from qiskit.transpiler import CouplingMap

    distance = next(d for d in range(3, 100, 2) if CouplingMap.from_heavy_hex(d).size() >= qubits)
    return {"heavy-hex": CouplingMap.from_heavy_hex(distance), "line": CouplingMap.from_line(qubits)}


def _some_parameters(ansatz: Ansatz) -> tuple[Any, ...]:
    """Angles and states about which nothing is special, so that no gate can be left out."""
    generator = torch.Generator().manual_seed(0)
    angles = torch.rand(ansatz.angle_shape, generator=generator, dtype=torch.float64) * 2 * math.pi
    states = torch.rand(2, 2**ansatz.qubits, generator=generator, dtype=torch.float64)
    return angles.numpy(), *(states / torch.linalg.vector_norm(states, dim=1, keepdim=True)).numpy()
