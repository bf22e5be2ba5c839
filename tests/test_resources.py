import pytest

from qmae.circuits.resources import count, couplings
from qmae.reports.circuits import resource_table


def test_gates_of_the_papers_circuit_by_hand():
    written = next(iter(count([16], ["swap"], [1])))
    # 28 blocks of 15 rotations and 3 CNOTs, there and back; two states of 255 RY and 254 CNOTs; one SWAP, 8 CSWAPs.
    assert written.qubits == 18
    assert written.gates == {"ry": 56 * 6 + 510, "rz": 56 * 9, "cx": 56 * 3 + 508, "swap": 1, "cswap": 8, "h": 2}
    assert written.cnots == 168 + 508 + 3 + 8 * 8
    assert written.preparation_cnots == 508


def test_every_circuit_is_counted_and_compiled():
    rows = list(count([4], ["swap", "inverse"], [1, 2]))
    assert [(row.overlap, row.layers, row.coupling) for row in rows] == [
        (overlap, layers, coupling)
        for overlap in ("swap", "inverse")
        for layers in (1, 2)
        for coupling in ("all", "heavy-hex", "line")
    ]
    for row in rows:
        assert row.qubits == (10 if row.overlap == "swap" else 5)
        if row.coupling != "all":
            assert set(row.gates) <= {"rz", "sx", "x", "cx"}
            assert row.cnots == row.gates["cx"]
    assert rows[3].gates["cx"] - rows[0].gates["cx"] == 2 * 6 * 3  # another layer on 6 pairs
    table = resource_table(rows)
    assert table.count("\n") == len(rows) + 2
    assert "| 4 x 4 | `inverse` | 2 | line | 5 |" in table


@pytest.mark.parametrize("qubits", [5, 18, 26])
def test_lattices_have_room(qubits):
    found = couplings(qubits)
    assert found["line"].size() == qubits
    assert found["heavy-hex"].size() >= qubits
    assert max(len(set(found["heavy-hex"].neighbors(wire))) for wire in range(found["heavy-hex"].size())) == 3
