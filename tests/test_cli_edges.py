"""Every command at its edges: places that cannot be used, outputs nobody reads, numbers beyond all bounds, Ctrl-C."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import cast

import pytest
import typer
from typer.core import TyperGroup

from qmae.cli import app

COMMANDS = cast(TyperGroup, typer.main.get_command(app)).commands

GIVEN = {
    "draw": ["block"],
    "reconstruct": ["RUN", "picture.png"],
    "noise": ["RUN", "RUN"],
}
"""Arguments of commands that take more than one run; RUN stands for a place."""


@pytest.fixture
def command(command, monkeypatch, tmp_path):
    """The command, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return command


def assert_refused(result, message=""):
    code, out, err = result
    assert code == 2, out + err
    assert err.startswith("error: "), err
    assert err.count("\n") == 1
    assert message in err
    assert "Traceback" not in out + err


def parameters(kind, of):
    return [
        (name, parameter.opts[0])
        for name, one in COMMANDS.items()
        for parameter in one.params
        if parameter.param_type_name == kind and of(parameter)
    ]


def is_number(parameter):
    return parameter.type_descriptor.annotation in (int, float)


def is_path(parameter):
    return parameter.type_descriptor.annotation is Path


def words(name, place="gone"):
    """A command with arguments that say nothing about it, runs in one place."""
    takes_run = any(is_path(p) and p.param_type_name == "argument" for p in COMMANDS[name].params)
    return [name, *(str(place) if word == "RUN" else word for word in GIVEN.get(name, ["RUN"] if takes_run else []))]


def test_there_are_commands_and_options_to_try():
    assert {"train", "evaluate", "run", "noise", "draw", "study"} <= COMMANDS.keys()
    assert ("train", "--seed") in parameters("option", is_number)
    assert ("run", "--out") in parameters("option", is_path)


def is_whole(parameter):
    return parameter.type_descriptor.annotation is int


@pytest.mark.parametrize(("name", "option"), parameters("option", is_number))
def test_numbers_beyond_all_bounds_are_one_line(command, tmp_path, name, option):
    whole = (name, option) in parameters("option", is_whole)
    beyond = [str(2**63), str(2**64), "1.5", "1e400"] if whole else ["nan", "inf", "-inf", "1e400"]
    for value in ["9" * 400, "-" + "9" * 400, "", "many", *beyond]:
        assert_refused(command(*words(name), option, value), option)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("name", "option"), parameters("option", is_path))
@pytest.mark.parametrize("form", [["{}", ""], ["{}="]])
def test_empty_paths_are_refused(command, tmp_path, name, option, form):
    given = [part.format(option) for part in form]
    assert_refused(command(*words(name), *given), f"{option} is empty: give it a value, or leave it out")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", [name for name in COMMANDS if len(words(name)) > 1 and name != "draw"])
@pytest.mark.parametrize("place", ["", "file", "pipe", "gone", "x" * 300, "file/below", "deep/" * 1000 + "x", "[x]"])
def test_places_that_hold_no_run_are_one_line(command, tmp_path, name, place):
    (tmp_path / "file").write_text("mine")
    os.mkfifo(tmp_path / "pipe")
    assert_refused(command(*words(name, place)))
    assert {path.name for path in tmp_path.iterdir()} == {"file", "pipe"}


@pytest.mark.parametrize(("name", "option"), [pair for pair in parameters("option", is_path) if pair[1] == "--out"])
@pytest.mark.parametrize("place", ["file/below", "x" * 300, "file"])
def test_places_that_cannot_be_written_are_one_line(command, tmp_path, small_data, name, option, place):
    (tmp_path / "file").write_text("mine")
    given = [option, f"{place}.svg" if name == "draw" and place != "file" else place]
    data = ["--data", small_data, "--size", 8] if "data" in {p.name for p in COMMANDS[name].params} else []
    assert_refused(command(*words(name), *given, *data))
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["draw", "block"]])
def test_outputs_that_nobody_reads(arguments):
    line = [sys.executable, "-m", "qmae", *arguments]
    reader, writer = os.pipe()
    os.close(reader)
    stopped = subprocess.run(line, stdout=writer, stderr=subprocess.PIPE, check=False)
    os.close(writer)
    assert (stopped.returncode, stopped.stderr) == (141, b"")
    with open("/dev/full", "w") as full:
        stopped = subprocess.run(line, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert stopped.returncode == 2
    assert stopped.stderr.startswith("error: the system refused to read or write (No space left on device)")
    assert stopped.stderr.count("\n") == 1
    closed = subprocess.run(["sh", "-c", '"$@" >&-', "sh", *line], capture_output=True, check=False)
    assert (closed.returncode, closed.stderr) == (0, b"")


@pytest.mark.parametrize("after", [0.05, 0.3, 1.0, 2.0])
def test_ctrl_c_while_starting(tmp_path, after):
    started = subprocess.Popen(
        [sys.executable, "-c", "from qmae.cli import main; print(flush=True); main()", "study", "--budget", "quick"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
    )
    started.stdout.readline()
    time.sleep(after)
    started.send_signal(signal.SIGINT)
    _, errors = started.communicate(timeout=60)
    assert started.returncode == 130
    assert errors.startswith("interrupted")
    assert errors.count("\n") == 1


@pytest.mark.parametrize(
    "error", [PermissionError(13, "Permission denied", "x[y].npz"), OSError(36, "File name too long")]
)
def test_what_the_system_refuses_is_one_line(error):
    from qmae.cli.program import run

    @app.command("refused-by-the-system", hidden=True)
    def refused() -> None:
        raise error

    try:
        assert run(["refused-by-the-system"]) == 2
    finally:
        app.registered_commands.pop()


def test_lack_of_memory_is_one_line_and_bugs_are_not_hidden(capsys):
    from qmae.cli.program import run

    def fail(error):
        @app.command("failing", hidden=True)
        def failing() -> None:
            raise error

        try:
            return run(["failing"])
        finally:
            app.registered_commands.pop()

    for error in (MemoryError(), RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory")):
        assert fail(error) == 2
        assert capsys.readouterr().err.startswith("error: not enough memory for this: choose a smaller batch")
    for error in (TypeError("mine"), RuntimeError("mine"), KeyError("mine"), AssertionError("mine")):
        with pytest.raises(type(error), match="mine"):
            fail(error)
