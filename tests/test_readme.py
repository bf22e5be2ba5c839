"""The Python of README and docs runs, in order, as it stands there; links, commands, files and names in them exist."""

import re
from functools import reduce
from pathlib import Path
from pkgutil import resolve_name

import pytest
from typer.main import get_command

from qmae.cli import app

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
CURRENT = [page for page in PAGES if page.name != "CHANGELOG.md"]
"""Pages that speak of the code as it is now."""


def python_of(*pages: str) -> list[str]:
    return [
        block
        for page in pages
        for block in re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(), flags=re.DOTALL)
    ]


def test_the_python_of_the_readme_runs(capsys):
    (block,) = python_of("README.md")
    names = {}
    exec(block, names)
    assert names["outputs"].fidelity.shape == (10,)
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["amplitude", "probability"]


def test_the_python_of_the_docs_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {}
    blocks = python_of("docs/start.md", "docs/devices.md")
    assert len(blocks) == 3
    for block in blocks:
        exec(block, names)
    assert names["images"].shape == (10_000, 16, 16)
    assert (tmp_path / "my-qmae" / "model.safetensors").exists()
    exact = names["model"].fidelity(names["images"][:1], names["masks"][:1]).item()
    found = names["node"](names["angles"], names["filled"], names["original"])
    assert abs(float(found) - exact) < 1e-5


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_and_figures_exist(page):
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", page.read_text()):
        assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", CURRENT, ids=lambda page: page.name)
def test_commands_and_their_options_exist(page):
    """In blocks at the start of a line, or between backticks, where a command may be on two lines."""
    commands = get_command(app).commands  # pyright: ignore[reportAttributeAccessIssue]
    for name, rest in re.findall(r"(?m)(?:^|`)qmae ([a-z-]+)((?:[^`#\n]|\n--)*)", page.read_text()):
        assert name in commands, f"qmae {name}"
        known = {option for parameter in commands[name].params for option in parameter.opts} | {"--help"}
        assert set(re.findall(r"--[a-z-]+", rest)) <= known, f"qmae {name}{rest}"


@pytest.mark.parametrize("page", CURRENT, ids=lambda page: page.name)
def test_files_and_names_exist(page):
    """Files are named from the root or from `src/qmae`; in tables, what stands beside a file is looked up in it."""
    text = re.sub(r"(?s)```.*?```", "", page.read_text())
    for path in re.findall(r"`([\w./-]+/[\w.-]+\.(?:py|md))`", text):
        assert (ROOT / path).exists() or (ROOT / "src/qmae" / path).exists(), path
    for name in re.findall(r"(?:`|^::: )(qmae(?:\.\w+)+)(?:`|$)", text, flags=re.MULTILINE):
        assert resolve_name(name) is not None
    for file, names in re.findall(r"`([a-z]+/[a-z]+)\.py`, ((?:class |function )?`[\w.]+`)", text):
        module = resolve_name("qmae." + file.replace("/", "."))
        assert reduce(getattr, names.split("`")[1].split("."), module) is not None
