import pytest

from qmae import Ansatz
from qmae.circuits.autoencoder import AutoencoderCircuit
from qmae.circuits.drawing import figure, text
from qmae.reports.style import render

BLOCK = """\
a: ──RZ──RY──RZ─╭X──RZ─╭●─────╭X──RZ──RY──RZ─┤
b: ──RZ──RY──RZ─╰●──RY─╰X──RY─╰●──RZ──RY──RZ─┤"""

TRAINING = """\
ancilla: ──H────────────────╭●────╭●─────H─┤  <Z>
  fresh: ─────────╭SWAP─────│─────│────────┤
trash 0: ─╭|Ψ⟩─╭V─╰SWAP─╭V†─├SWAP─│────────┤
   in 1: ─╰|Ψ⟩─╰V───────╰V†─│─────├SWAP────┤
  ref 0: ─╭|Ψ⟩──────────────╰SWAP─│────────┤
  ref 1: ─╰|Ψ⟩────────────────────╰SWAP────┤"""

SHORT = """\
trash 0: ─╭|Ψ⟩─╭V──┤↗│  │0⟩─╭V†─╭|Ψ⟩†─┤ ╭<|00⟩⟨00|>
   in 1: ─╰|Ψ⟩─╰V───────────╰V†─╰|Ψ⟩†─┤ ╰<|00⟩⟨00|>"""

ANSATZ = """\
0: ─╭U─╭U────┤
1: ─╰U─│──╭U─┤
2: ────╰U─╰U─┤"""

SWAP_TEST = """\
ancilla: ──H─╭●────╭●─────H─┤
  rho 0: ────├SWAP─│────────┤
  rho 1: ────│─────├SWAP────┤
  ref 0: ────╰SWAP─│────────┤
  ref 1: ──────────╰SWAP────┤"""


@pytest.mark.parametrize(
    ("drawing", "circuit", "expected"),
    [
        ("block", AutoencoderCircuit(Ansatz(8)), BLOCK),
        ("ansatz", AutoencoderCircuit(Ansatz(3)), ANSATZ),
        ("training", AutoencoderCircuit(Ansatz(2)), TRAINING),
        ("training", AutoencoderCircuit(Ansatz(2), (0,), "inverse", "measure"), SHORT),
        ("swap-test", AutoencoderCircuit(Ansatz(2)), SWAP_TEST),
    ],
)
def test_drawings(drawing, circuit, expected):
    drawn = "\n".join(line.rstrip() for line in text(drawing, circuit).splitlines())
    assert drawn == expected
    picture = figure(drawing, circuit)
    assert render(picture).startswith(b"\x89PNG")
    assert b"<svg" in render(picture, "svg")
