"""A metric of one's own, registered from outside the package, is a number of every row and a column of tables."""

import json
import subprocess
import sys

import pytest
import torch

from qmae.errors import InputError
from qmae.evaluation.metrics import BUILT_IN, METRICS, Metric
from qmae.evaluation.rows import Row

CODE = """
import sys, torch
from dataclasses import asdict
from pathlib import Path
from qmae import MaskedAutoencoder, Nothing, PatchMask, TestSet
from qmae._files import to_json
from qmae.evaluation.comparison import Comparison, Contender, compare_models
from qmae.evaluation.metrics import METRICS, Metric
from qmae.reports.comparison import result_table

def brightest(reconstructions, originals, hidden):
    return torch.where(hidden, reconstructions, 0).amax((1, 2)) / reconstructions.amax((1, 2))

METRICS.register("brightest", Metric("brightest in the hole", "{:.1%}", of=brightest))
METRICS.register("wrong", Metric("wrong", of=lambda found, originals, hidden: found)) if "wrong" in sys.argv else None
images = torch.rand(20, 8, 8, generator=torch.Generator().manual_seed(0))
patch = PatchMask(8)
model = MaskedAutoencoder.from_preset("qmae", patch=patch)
test = TestSet(images, torch.arange(20) % 4)
found = compare_models([Contender(model)], [Nothing()], test)
path = Path(sys.argv[1])
found.save(path)
again = Comparison.load(path)
assert again.rows == found.rows
pixels = model.reconstruct(images, test.masks(patch))
expected = brightest(pixels, images, test.masks(patch).hidden).mean().item()
print(to_json([result_table(found), expected, [asdict(row) for row in found.rows]]))
"""


def run(*arguments):
    return subprocess.run([sys.executable, "-c", CODE, *map(str, arguments)], capture_output=True, text=True)


def test_a_registered_metric_has_its_column(tmp_path):
    done = run(tmp_path / "found.npz")
    assert done.returncode == 0, done.stderr
    table, expected, rows = json.loads(done.stdout)
    header, _, *lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()]
    column = header.index("brightest in the hole")
    assert column == header.index("of the composite") + 1
    assert {line[0]: line[column] for line in lines} == {"QMAE": f"{expected:.1%}", "black fill": "0.0%"}
    nothing, model = map(Row.from_dict, rows)
    assert nothing.others == {"brightest": 0}
    assert model.value("brightest") == pytest.approx(expected, abs=1e-6)
    assert model.value("fidelity") == model.fidelity


def test_a_metric_that_gives_something_else_than_one_value_for_each_image_is_refused(tmp_path):
    assert "the metric 'wrong' gives" in run(tmp_path / "found.npz", "wrong").stderr


def test_the_packages_own_metrics_are_fields_of_rows():
    assert tuple(METRICS) == BUILT_IN
    assert set(BUILT_IN) <= Row.__dataclass_fields__.keys()
    assert [name for name in METRICS if not METRICS[name].higher_is_better] == ["hole_error"]
    with pytest.raises(InputError, match="there is a metric 'ssim' already"):
        METRICS.register("ssim", Metric("mine"))
    random = torch.rand(30, 8, 8, generator=torch.Generator().manual_seed(0))
    perfect, none = random, torch.zeros(30, 8, 8)
    hidden = torch.ones(30, 8, 8, dtype=torch.bool)
    for name in METRICS:
        metric = METRICS[name]
        if metric.of is not None:
            best, worst = (metric.of(images, random, hidden).mean() for images in (perfect, none))
            # PSNR is made of squared errors, of which less is better.
            assert (best > worst) == (metric.higher_is_better and name != "psnr"), name
