"""`--skip-black`: black images are left out where data are read, in the training and of what it holds out."""

import json

import numpy as np
import pytest
from PIL import Image

from qmae import ModelConfig, PatchMask, TrainingConfig
from qmae.errors import InputError
from qmae.evaluation.evaluate import TestSet
from qmae.training.runs import Run

BLACK = (3, 17, 58, 90)


@pytest.fixture
def command(command):
    """The command, its output without line breaks."""

    def run(*arguments):
        code, output, errors = command(*arguments)
        return code, " ".join(output.split()), errors

    return run


@pytest.fixture
def data(small_data, tmp_path):
    """120 images of which four are black."""
    with np.load(small_data) as arrays:
        images, labels = arrays["images"].copy(), arrays["labels"]
    images[list(BLACK)] = 0
    np.savez(tmp_path / "data.npz", images=images, labels=labels)
    return tmp_path / "data.npz"


def assert_refused(result):
    code, _, err = result
    assert code == 2
    assert "images 3, 17, 58, 90 are all black" in err
    assert "--skip-black" in err
    assert err.count("\n") == 1


def test_a_run_without_black_images_is_that_without_them_in_the_file(data, tmp_path):
    with np.load(data) as arrays:
        kept = np.setdiff1d(np.arange(120), BLACK)
        np.savez(tmp_path / "clean.npz", images=arrays["images"][kept], labels=arrays["labels"][kept])
    settings = ModelConfig(PatchMask(8)), TrainingConfig(epochs=1, batch_size=40)
    skipping = Run(tmp_path / "a", *settings, str(data), skip_black=True)
    clean = Run(tmp_path / "b", *settings, str(tmp_path / "clean.npz"))
    for run in (skipping, clean):
        run.train()
    assert skipping.history().column("loss_mean") == clean.history().column("loss_mean")
    skipping, clean = Run.open(tmp_path / "a"), Run.open(tmp_path / "b")
    assert skipping.skip_black
    assert not clean.skip_black
    assert len(skipping.unseen(str(data))) == 116
    assert (skipping.unseen(str(data)) == clean.unseen(str(tmp_path / "clean.npz"))).all()
    with pytest.raises(InputError, match="images 3, 17, 58, 90 are all black"):
        Run(tmp_path / "c", *settings, str(data)).train()


def test_test_images_without_black_ones(data):
    with pytest.raises(InputError, match="images 3, 17, 58, 90 are all black"):
        TestSet.load(str(data), size=8, split="all")
    assert len(TestSet.load(str(data), size=8, split="all", skip_black=True).images) == 116


def test_what_a_run_left_out_is_left_out_of_all_that_follows(command, data, tmp_path):
    run = tmp_path / "run"
    train = ["train", "--data", data, "--size", 8, "--epochs", 2, "--preset", "qae", "--out", run]
    assert_refused(command(*train))
    code, out, _ = command(*train, "--skip-black")
    assert code == 0
    assert "all black and left out: images 3, 17, 58, 90" in out
    assert command("train", "--resume", run)[0] == 0
    assert command("evaluate", run)[0] == 0
    assert command("verify", run, "--images", 1)[0] == 0
    rows = json.loads((run / "metrics.json").read_text())["rows"]
    assert {row["images"] for row in rows} == {len(TestSet.load(str(data), size=8, skip_black=True).images)}
    assert command("compare", run, "--out", tmp_path / "comparison")[0] == 0


def test_other_data_are_measured_without_black_images(command, data, small_data, tmp_path):
    run = Run(tmp_path / "run", ModelConfig(PatchMask(8)), TrainingConfig(epochs=1), str(small_data))
    run.train()
    assert_refused(command("evaluate", run.folder, "--data", data))
    code, out, _ = command("evaluate", run.folder, "--data", data, "--skip-black")
    assert code == 0
    assert "all black and left out: images 3, 17, 58, 90" in out


def test_searches_leave_black_images_out(command, data, tmp_path):
    options = ["--data", data, "--size", 8, "--epochs", 1]
    ceiling = ["ceiling", "--design", "tied", "--restarts", 1, *options, "--out", tmp_path / "ceiling"]
    tune = ["tune", "--preset", "qae", "--trials", 2, *options, "--out", tmp_path / "tuning"]
    for arguments in (ceiling, tune):
        assert_refused(command(*arguments))
        assert command(*arguments, "--skip-black")[0] == 0


def test_a_classifier_is_trained_without_black_images(command, data, tmp_path):
    arguments = ["train-classifier", "--data", data, "--size", 8, "--epochs", 1, "--out", tmp_path / "classifier"]
    assert_refused(command(*arguments))
    code, out, _ = command(*arguments, "--skip-black")
    assert code == 0
    assert "accuracy on test images" in out


def test_black_pictures_are_left_out_of_reconstructions(command, small_data, tmp_path):
    run = Run(tmp_path / "run", ModelConfig(PatchMask(8)), TrainingConfig(epochs=1), str(small_data))
    run.train()
    paths = [tmp_path / f"{name}.png" for name in "abcd"]
    for path, brightness in zip(paths, (200, 0, 100, 0), strict=True):
        Image.new("L", (8, 8), brightness).save(path)
    arguments = ["reconstruct", run.folder, *paths, "--out", tmp_path / "pictures"]
    code, _, err = command(*arguments)
    assert code == 2
    assert "b.png" in err
    assert "d.png: images 1, 3 are all black" in err
    code, out, _ = command(*arguments, "--skip-black")
    assert code == 0
    assert "b.png is all black and left out" in out
    names = {path.name for path in (tmp_path / "pictures").iterdir()}
    assert names == {"000-a.png", "001-c.png", "overview.png"}
