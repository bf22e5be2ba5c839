"""The README's Python runs, in order, as it stands there."""

import re
from pathlib import Path

README = Path(__file__).parent.parent / "README.md"


def test_the_python_of_the_readme_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {}
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(), flags=re.DOTALL)
    assert len(blocks) >= 2
    for block in blocks:
        exec(block, names)
    assert names["images"].shape == (10_000, 16, 16)
    assert (tmp_path / "my-qmae" / "model.safetensors").exists()
    exact = names["model"].fidelity(names["images"][:1], names["masks"][:1]).item()
    found = names["node"](names["angles"], names["filled"], names["original"])
    assert abs(float(found) - exact) < 1e-5


def test_links_and_figures_of_the_readme_exist():
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", README.read_text()):
        assert (README.parent / target).exists(), target
