"""Users add things from outside the package: the script that the docs show, in a process of its own."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent / "outside.py"


@pytest.fixture(scope="module")
def outside(tmp_path_factory):
    """The folder in which the script worked, the table that it printed, cells by label, and what it found."""
    folder = tmp_path_factory.mktemp("outside")
    ran = subprocess.run([sys.executable, SCRIPT, folder], check=True, capture_output=True, text=True)
    lines = [[cell.strip() for cell in line.strip("| ").split("|")] for line in ran.stdout.splitlines() if line]
    return folder, {cells[0]: dict(zip(lines[0], cells, strict=True)) for cells in lines[2:]}, ran.stderr


def test_what_was_added_has_its_row_in_the_table_beside_all_else(outside):
    _, table, _ = outside
    assert set(table) >= {
        "one gray",
        "one layer",
        "QMAE-deep",
        "QMAE-ring",
        "ones kept",
        "black fill",
        "mean patch",
        "original",
    }
    assert (table["one gray"]["Parameters"], table["one layer"]["Parameters"]) == ("1", f"{65 * 64:,}")
    assert table["black fill"]["Brightness in the hole"] == "0.00" != table["original"]["Brightness in the hole"]
    fidelity = {label: float(cells["Fidelity"].split()[0]) for label, cells in table.items()}
    assert fidelity["black fill"] < fidelity["one gray"] < fidelity["original"]


def test_the_runs_say_what_they_were_trained_on(outside):
    folder, *_ = outside
    content = json.loads((folder / "one-layer" / "config.json").read_text())
    assert content["kind"] == "network"
    assert content["model"]["network"] == "one-layer"
    assert content["data"] == "bars"
    assert content["fingerprint"]["images"] == 240


def test_a_block_and_a_bottleneck_are_their_circuits(outside):
    """In the simulation, as a template and written by hand for PennyLane; on lightning.qubit, bottleneck and all."""
    _, table, found = outside
    difference, agreeing = re.search(r"(\S+) from the ring by hand, (\d+) circuits agree: True", found).groups()
    assert float(difference) < 1e-6
    assert int(agreeing) == 5 + 2
    assert table["QMAE-ring"]["Parameters"] == str(2 * 6 * 3 + 16)
    assert table["ones kept"]["Shots kept (least)"] != "100%"


def test_the_docs_show_the_parts_of_the_script():
    script = SCRIPT.read_text()
    for name in ("docs/extending.md", "CONTRIBUTING.md"):
        shown = (SCRIPT.parents[1] / name).read_text().split("```python\n")[1:]
        for part in (text.split("```")[0].strip() for text in shown):
            assert part in script, f"{name} shows what is not in {SCRIPT.name}:\n{part}"
