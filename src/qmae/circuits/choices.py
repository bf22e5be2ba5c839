"""Choices about circuits on devices; imports no PennyLane, so that help is quick."""

from __future__ import annotations

from typing import Literal

Overlap = Literal["swap", "inverse"]
"""How the output is compared with the original. `swap`: the paper's SWAP test, with the original on qubits of its own.
`inverse`: undo the original's preparation and measure how often all qubits are 0."""


Reset = Literal["swap", "measure"]
"""How the trash is reset. `swap`: exchanged with fresh qubits (paper). `measure`: measured and flipped back to 0."""


Drawing = Literal["block", "ansatz", "training", "swap-test"]
"""The two-qubit block (Fig. 3), all of them, the whole circuit (Fig. 4), the SWAP test (Fig. 5)."""


ExportFormat = Literal["qasm3", "qasm2", "qiskit"]
"""OpenQASM 3 or 2, or the binary QPY of Qiskit."""


NoiseKind = Literal["depolarizing", "damping", "readout"]
"""After each gate on each of its qubits a depolarizing channel or amplitude damping; or wrong bits at readout."""
