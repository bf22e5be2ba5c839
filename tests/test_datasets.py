"""Data sets by their names: arrays are what a file with the same arrays is."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from qmae.data.datasets import DATASETS, NpzFile, dataset, from_arrays, lasting_source
from qmae.errors import InputError

SPLITS = ("train", "validation", "test", "all")


@pytest.fixture
def arrays(small_data):
    with np.load(small_data) as content:
        return content["images"], content["labels"]


@pytest.mark.parametrize("kind", [np.asarray, torch.tensor, lambda array: array.tolist()])
def test_arrays_are_what_a_file_with_them_is(small_data, arrays, kind):
    made, file = from_arrays(*(kind(array) for array in arrays)), NpzFile(small_data)
    for split in SPLITS:
        for part, expected in zip(made.load(split, size=4), file.load(split, size=4), strict=True):
            assert torch.equal(part, expected)
    if kind is not list and np.asarray(kind(arrays[0])).dtype == arrays[0].dtype:
        assert made.fingerprint() == file.fingerprint()
        assert np.array_equal(made.keys("test"), file.keys("test"))


def test_what_becomes_of_the_arrays_afterwards_does_not_matter(arrays):
    images = arrays[0].copy()
    made = from_arrays(images)
    before = made.fingerprint()
    images[:] = 0
    assert made.fingerprint() == before
    assert made.load("all")[1].eq(-1).all()


def test_black_images_are_named_or_left_out(arrays):
    images = arrays[0].copy()
    images[[3, 7]] = 0
    made = from_arrays(images)
    assert made.black_images(4) == [3, 7]
    assert len(made.load("all", skip_black=True)[0]) == 118
    with pytest.raises(InputError, match="the data set: images 3, 7 are all black"):
        made.load("train", size=4)


@pytest.mark.parametrize(
    ("images", "labels", "why"),
    [
        (np.zeros((3, 4)), None, r"shape \[N, H, W\]"),
        (np.full((3, 4, 4), 2.0), None, "image 0 holds values from 2 to 2"),
        (np.full((3, 4, 4), np.nan), None, "image 0 holds NaN"),
        (np.ones((3, 4, 4)), [0, 1], "give one for each"),
        (np.ones((3, 4, 4)), [0, 1, -2], "label 2 is -2"),
        ([[["a"]]], None, "images hold no numbers"),
        ([[1], [1, 2]], None, "images are no array"),
    ],
)
def test_what_is_no_data_set_is_refused(images, labels, why):
    with pytest.raises(InputError, match=why):
        from_arrays(images, labels)


def test_sources_that_last(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("bars").touch()
    assert lasting_source("mnist") == "mnist"
    assert lasting_source("strokes") == "strokes"
    assert lasting_source("bars") == str(tmp_path / "bars")
    assert lasting_source("a.npz") == lasting_source(Path("a.npz")) == str(tmp_path / "a.npz")
    assert isinstance(dataset("strokes"), NpzFile)
    assert dataset("mnist") is DATASETS["mnist"]


TRAIN = """
import sys
from pathlib import Path
import numpy as np
import qmae
from qmae.data.datasets import DATASETS, from_arrays
from qmae.training.runs import Run

with np.load(sys.argv[1]) as content:
    images, labels = content["images"], content["labels"]
DATASETS.register("bars", from_arrays(images, labels))
patch = qmae.PatchMask(4, 0.25)
run = Run(Path(sys.argv[2]), qmae.ModelConfig(patch), qmae.TrainingConfig(1), "bars")
run.train()
opened = Run.open(run.folder)
opened.check_data()
assert opened.data == "bars" and opened.fingerprint == DATASETS["bars"].fingerprint()
assert opened.holds_out("bars") and opened.holds_out(sys.argv[1]) and not opened.holds_out("mnist")
assert not opened.unseen("bars", "train").any() and opened.unseen("bars", "test").all()
test = qmae.TestSet.load("bars", size=4)
assert test.source == "bars" and test.classifier is None and len(test.images) == len(DATASETS["bars"].load("test")[0])
DATASETS.register("others", from_arrays(images[:60]))
assert not opened.holds_out("others")
"""


def test_a_run_on_a_registered_data_set(tmp_path, small_data, command):
    run = tmp_path / "run"
    subprocess.run([sys.executable, "-c", TRAIN, small_data, run], check=True)
    code, _, errors = command("evaluate", run)
    assert code == 2
    assert "was trained on bars, no data set here: register it in DATASETS" in " ".join(errors.split())
    code, printed, _ = command("evaluate", run, "--data", small_data)
    assert code == 0
    assert "qmae " in printed
