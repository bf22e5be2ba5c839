"""The folders: what each may import, how long a module may be, and how many of them a command goes through."""

import ast
from functools import cache
from pathlib import Path
from typing import Any

import jaxtyping
import pytest
import torch

import qmae
from qmae.cli.common import torch_device
from qmae.models.base import embed_references

ROOT = Path(qmae.__file__).parent
ROOMS = (
    *("", "ansatz", "data", "simulation", "models", "training"),
    *("circuits", "evaluation", "experiments", "reports", "cli"),
)
"""From the ground up: each imports from those before it alone. The first are the modules at the top."""
MODULES = {
    ".".join(("qmae", *path.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__"): path
    for path in ROOT.rglob("*.py")
}
LIBRARY = sorted(set(MODULES) - {"qmae", "qmae.__main__"})


def room(module: str) -> int:
    parts = module.split(".")
    return ROOMS.index(parts[1]) if parts[1] in ROOMS else 0


@cache
def imported(module: str) -> frozenset[str]:
    """All modules of the package that one imports, at its top or later."""
    found = set()
    for node in ast.walk(ast.parse(MODULES[module].read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "qmae":
            for name in node.names:
                inner = f"{node.module}.{name.name}"
                found.add(inner if inner in MODULES else node.module)
        elif isinstance(node, ast.Import):
            found |= {name.name for name in node.names if name.name in MODULES}
    return frozenset(found - {module})


@pytest.mark.parametrize("module", LIBRARY)
def test_imports_run_one_way(module):
    """No room imports from a later one, and none goes through the package's face."""
    for other in imported(module):
        assert other != "qmae"
        assert room(other) <= room(module), f"{module} imports {other}"


def test_no_circle_of_imports():
    ordered = set()
    while waiting := set(LIBRARY) - ordered:
        free = {module for module in waiting if imported(module) <= ordered}
        assert free, f"a circle among {sorted(waiting)}"
        ordered |= free


def test_folders_and_sizes():
    folders = {path.name for path in ROOT.iterdir() if path.is_dir() and (path / "__init__.py").exists()}
    assert folders == set(ROOMS) - {""}
    assert len(list(ROOT.glob("*.py"))) <= 6
    for module, path in MODULES.items():
        assert len(path.read_text().splitlines()) <= 400, module


def test_the_circuit_as_data_needs_neither_torch_nor_pennylane():
    for module in LIBRARY:
        if room(module) == ROOMS.index("ansatz"):
            tree = ast.parse(MODULES[module].read_text())
            names = {
                name.name.split(".")[0]
                for node in ast.walk(tree)
                if isinstance(node, ast.Import)
                for name in node.names
            }
            names |= {(node.module or "").split(".")[0] for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
            assert not names & {"torch", "pennylane", "numpy"}, module


def test_comparisons_and_reports_know_plain_records_alone():
    """They are made of what experiments found, and load or train nothing themselves."""
    for module in LIBRARY:
        if module.split(".")[1] in ("evaluation", "reports"):
            assert not imported(module) & {"qmae.experiments.study", "qmae.training.runs", "qmae.training.loop"}, module


@pytest.mark.parametrize(
    ("function", "argument"),
    [(embed_references, torch.ones(1, 4, 5)), (torch_device, "abacus"), (qmae.PatchMask, "16")],
)
def test_types_and_shapes_are_checked_in_every_process_of_the_tests(function: Any, argument: Any):
    with pytest.raises(jaxtyping.TypeCheckError):
        function(argument)
