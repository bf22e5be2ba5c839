"""The Python of README and docs runs, in order, as it stands there; links and figures lead somewhere."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])


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
