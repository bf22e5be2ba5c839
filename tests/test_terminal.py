"""Any terminal and any name: what is printed is what there is, as far as the terminal has the characters."""

import io
import os
import subprocess
import sys

import pytest

from qmae.cli.terminal import Terminal, show_everything, show_progress

ODD = ["run[x]", "[/1]", "[bold]b[/bold]", ":smile:", "a[link=x]", "50% {task}"]


def printed(encoding, text):
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    show_everything(stream)
    stream.write(text)
    stream.flush()
    return stream.buffer.getvalue()


@pytest.mark.parametrize(
    ("encoding", "text", "expected"),
    [
        ("ascii", "0.9 ± 0.1", b"0.9 +- 0.1"),
        ("ascii", "─╭V†─┤", b"-+V^-+"),
        ("ascii", "Ψ", b"?"),
        ("latin-1", "± ─", b"\xb1 -"),
        ("cp1252", "± ⟨x⟩", b"\xb1 <x>"),
        ("utf-8", "± ─ Ψ", "± ─ Ψ".encode()),
        ("utf-8", os.fsdecode(b"a\xff"), b"a\xff"),
        ("ascii", os.fsdecode(b"a\xff"), b"a\xff"),
    ],
)
def test_what_a_terminal_does_not_have_is_replaced(encoding, text, expected):
    assert printed(encoding, text) == expected


@pytest.mark.parametrize("name", ODD)
def test_names_are_printed_as_they_are(capsys, name):
    Terminal().print(f"{name}: 0.5")
    Terminal(stderr=True).print(f"error: {name}")
    assert capsys.readouterr() == (f"{name}: 0.5\n", f"error: {name}\n")


@pytest.mark.parametrize("name", ODD)
def test_progress_takes_any_name(name):
    with show_progress(name, 2) as advance:
        advance(2)


def test_nobody_who_reads_is_told_to_the_caller():
    class Closed(io.StringIO):
        def write(self, text):
            raise BrokenPipeError

    terminal = Terminal()
    terminal.file = Closed()
    with pytest.raises(BrokenPipeError):
        terminal.print("x")
    assert not terminal.quiet


def command(*arguments, **environment):
    return subprocess.run(
        [sys.executable, "-m", "qmae", *arguments], capture_output=True, env={**os.environ, **environment}, check=False
    )


@pytest.mark.parametrize(
    "environment",
    [
        {"PYTHONIOENCODING": "ascii"},
        {"PYTHONIOENCODING": "latin-1"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    ],
)
def test_drawings_and_help_on_terminals_that_are_not_utf_8(environment):
    drawn = command("draw", "training", "--qubits", "2", **environment)
    assert (drawn.returncode, drawn.stderr) == (0, b"")
    assert drawn.stdout.splitlines()[0].startswith(b"ancilla: --H---")
    helped = command("run", "--help", **environment)
    assert (helped.returncode, helped.stderr) == (0, b"")


@pytest.mark.parametrize("backend", ["module://matplotlib_inline.backend_inline", "nonsense", ""])
def test_drawings_whatever_backend_a_notebook_names(tmp_path, backend):
    out = tmp_path / "block.png"
    drawn = command("draw", "block", "--out", str(out), MPLBACKEND=backend)
    assert drawn.returncode == 0, drawn.stderr
    assert out.read_bytes().startswith(b"\x89PNG")


def test_a_drawing_opens_no_window_of_pyplot_and_leaves_its_backend():
    code = """
import matplotlib
from qmae import Ansatz
from qmae import AutoencoderCircuit
from qmae.circuits.drawing import figure
figure("block", AutoencoderCircuit(Ansatz(2)))
from matplotlib import pyplot
print(matplotlib.get_backend(), pyplot.get_fignums())
"""
    environment = {**os.environ, "MPLBACKEND": "svg"}
    assert subprocess.check_output([sys.executable, "-c", code], text=True, env=environment) == "svg []\n"
