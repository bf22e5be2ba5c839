"""Run folders: when a run is finished, whose data it is, and that two processes do not mix."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from qmae import MaskedAutoencoder, ModelConfig, PatchMask, TrainingConfig
from qmae.data.images import fingerprint, keys_of
from qmae.errors import InputError
from qmae.models.pretrained import SHIPPED
from qmae.training.locks import locked
from qmae.training.parallel import train_all
from qmae.training.runs import Run

STOP = "stop"


def assert_refused(result, message):
    code, _, err = result
    assert code == 2
    assert re.search(message, err), err
    assert err.count("\n") == 1


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """200 images of 8 x 8 pixels, all different."""
    path = tmp_path_factory.mktemp("data") / "noise.npz"
    np.savez(path, images=np.random.default_rng(0).uniform(0.1, 1, (200, 8, 8)), labels=np.arange(200) % 4)
    return path


def new_run(folder, data, epochs=2, **settings):
    return Run(folder, ModelConfig(PatchMask(8)), TrainingConfig(epochs, 100, **settings), str(data))


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory):
    run = new_run(tmp_path_factory.mktemp("trained") / "run", data)
    run.train()
    return run.folder


@pytest.fixture
def run(trained, tmp_path):
    """A copy of a finished run."""
    return Run.open(Path(shutil.copytree(trained, tmp_path / "run")))


def stop_after(steps):
    @contextmanager
    def progress(description, total):
        done = 0

        def advance(units):
            nonlocal done
            done += units
            if units and done >= steps:
                raise KeyboardInterrupt

        yield advance

    return progress


def weights(folder):
    return (folder / "model.safetensors").read_bytes()


def test_a_partial_run_without_its_checkpoint_is_not_finished_and_starts_anew(command, trained, data, tmp_path):
    run = new_run(tmp_path / "run", data)
    with pytest.raises(KeyboardInterrupt):
        run.train(progress=stop_after(3))  # two steps an epoch
    assert (run.finished, run.starts_anew, run.epochs_done) == (False, False, 1)
    (run.folder / "checkpoint.pt").write_bytes(b"damaged")
    assert_refused(command("train", "--resume", run.folder), r"remove it, and train anew by `qmae train --resume")
    (run.folder / "checkpoint.pt").unlink()
    assert (run.finished, run.starts_anew) == (False, True)
    code, out, _ = command("train", "--resume", run.folder)
    assert code == 0
    assert "has no checkpoint to go on from: training starts anew" in out
    assert ": 2 epochs in" in out
    assert run.finished
    assert weights(run.folder) == weights(trained)


@pytest.mark.parametrize("name", ["history.csv", "model.safetensors"])
def test_a_run_with_a_damaged_file_is_not_finished_and_is_trained_anew(run, trained, name):
    content = bytearray((run.folder / name).read_bytes())
    content[len(content) - 5] ^= 1  # a digit, or a weight
    (run.folder / name).write_bytes(content)
    assert not run.finished
    with pytest.raises(InputError, match="checksum"):
        run.history() if name == "history.csv" else run.load()
    run.train()
    assert run.finished
    assert weights(run.folder) == weights(trained)


def test_no_flipped_bit_of_a_history_is_read(run):
    content = (run.folder / "history.csv").read_bytes()
    for bit in range(0, 8 * len(content), 101):
        damaged = bytearray(content)
        damaged[bit // 8] ^= 1 << bit % 8
        (run.folder / "history.csv").write_bytes(damaged)
        with pytest.raises(InputError, match=r"no history\.csv that can be read"):
            run.history()


def test_a_history_that_lacks_its_end_is_not_finished(run):
    config = json.loads((run.folder / "config.json").read_text())
    del config["sha256"]  # as in folders of older versions
    (run.folder / "config.json").write_text(json.dumps(config))
    assert run.finished
    lines = (run.folder / "history.csv").read_text().splitlines(keepends=True)
    for kept in range(1, len(lines)):
        (run.folder / "history.csv").write_text("".join(lines[:kept]))
        assert not run.finished


def test_runs_of_older_versions_are_read(data, run):
    """No checksums anywhere, MNIST as data."""
    from safetensors.torch import load_file, save_file

    save_file(load_file(run.folder / "model.safetensors"), run.folder / "model.safetensors")
    config = json.loads((run.folder / "config.json").read_text())
    old = {"model": config["model"], "training": config["training"], "data": "mnist"}
    (run.folder / "config.json").write_text(json.dumps(old))
    opened = Run.open(run.folder)
    opened.check_data()
    assert opened.finished
    assert all(parameter.isfinite().all() for parameter in opened.load().parameters())
    (run.folder / "config.json").write_text(json.dumps({**old, "data": str(data)}))
    with pytest.raises(InputError, match="does not say which images"):
        Run.open(run.folder).check_data()


def test_leftovers_and_an_empty_folder_do_not_block_a_run(data, trained, tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    for name in (".config.json.partial", ".writable", ".qmae-lock"):
        (folder / name).write_text("")
    new_run(folder, data).train()
    assert sorted(os.listdir(folder)) == ["config.json", "history.csv", "model.safetensors"]
    assert weights(folder) == weights(trained)


def test_reproduce_goes_on_in_a_folder_that_a_kill_left(command, tmp_path, small_data):
    from qmae.experiments.protocols import BUDGETS

    tiny = replace(BUDGETS["quick"], training=TrainingConfig(1), test_images=15, data=str(small_data), size=8)
    BUDGETS.register("tiny", tiny)
    out = tmp_path / "reproduction"
    (out / "runs" / "qmae-0.25-seed0").mkdir(parents=True)
    for folder in (out, out / "runs" / "qmae-0.25-seed0"):
        (folder / ".config.json.partial").write_text("")
        (folder / ".writable").write_text("")
    with locked(out):
        assert_refused(command("reproduce", "--budget", "tiny", "--resume", "--out", out), "by another process")
    code, _, err = command("reproduce", "--budget", "tiny", "--resume", "--out", out)
    assert code == 0, err
    assert not any(name.startswith(".") for _, _, names in os.walk(out) for name in names)


TRAIN = "import sys; from qmae.cli import main; sys.argv[0] = 'qmae'; main()"


def started(*arguments):
    return subprocess.Popen(
        [sys.executable, "-c", TRAIN, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.slow
def test_a_second_process_is_refused_and_takes_nothing_away(command, data, tmp_path):
    folder = tmp_path / "run"
    options = ["--data", data, "--size", 8, "--epochs", 100_000, "--out", folder]
    first = started("train", *options)
    while not (folder / "checkpoint.pt").exists():
        assert first.poll() is None
        time.sleep(0.1)
    assert_refused(command("train", "--resume", folder), "is being worked on by another process")
    assert {"config.json", "checkpoint.pt"} <= set(os.listdir(folder))
    first.send_signal(signal.SIGKILL)
    first.communicate()
    assert Run.open(folder).epochs_done >= 1
    with pytest.raises(KeyboardInterrupt):  # nothing holds the folder any more
        Run.open(folder).train(progress=stop_after(Run.open(folder).epochs_done + 3))


def test_an_interrupted_run_removes_only_what_it_made(data, tmp_path):
    run = new_run(tmp_path / "run", data)
    with pytest.raises(KeyboardInterrupt):
        run.train(progress=stop_after(1))
    assert not run.folder.exists()
    with pytest.raises(KeyboardInterrupt):
        run.train(progress=stop_after(3))
    (run.folder / "checkpoint.pt").unlink()
    (run.folder / "model.safetensors").unlink()
    (run.folder / "history.csv").unlink()
    with pytest.raises(KeyboardInterrupt):
        run.train(progress=stop_after(1))
    assert os.listdir(run.folder) == ["config.json"]


def test_all_trainings_are_checked_not_only_the_unfinished(run):
    other = replace(run, training=replace(run.training, seed=7))
    with pytest.raises(InputError, match="other settings"):
        train_all([other])


def changed(data, path, keep=200, add=0):
    with np.load(data) as arrays:
        images, labels = arrays["images"][:keep], arrays["labels"][:keep]
    more = np.random.default_rng(1).uniform(0.1, 1, (add, 8, 8))
    np.savez(path, images=np.concatenate([images, more]), labels=np.concatenate([labels, np.arange(add) % 4]))
    return path


@pytest.fixture
def own(data, trained, tmp_path):
    """A finished run and its data, which may be changed."""
    mine = Path(shutil.copy(data, tmp_path / "mine.npz"))
    folder = Path(shutil.copytree(trained, tmp_path / "own"))
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "data": str(mine)}))
    return folder, mine


@pytest.mark.parametrize(("keep", "add"), [(200, 1), (199, 0), (199, 1)])
def test_data_that_changed_are_refused(command, own, keep, add):
    folder, data = own
    changed(data, data, keep, add)
    said = rf"mine\.npz has changed since .*own was trained on it \(200 images then, {keep + add} now\)"
    for arguments in (["evaluate", folder], ["train", "--resume", folder], ["verify", folder], ["run", folder]):
        assert_refused(command(*arguments), said)
    assert_refused(command("compare", folder, "--out", folder.parent / "comparison"), said)
    assert not (folder.parent / "comparison").exists()


def test_other_data_are_measured_but_for_what_was_trained_on(command, own, tmp_path):
    folder, data = own
    other = changed(data, tmp_path / "other.npz", keep=150, add=9)
    seen = int((~Run.open(folder).unseen(str(other))).sum())
    code, out, err = command("evaluate", folder, "--data", other)
    assert code == 0, err
    assert f"{seen} of 159 images were trained on and are left out" in out
    assert json.loads((folder / "metrics.json").read_text())["rows"][0]["images"] == 159 - seen
    assert 100 < seen < 150
    changed(data, data, add=1)
    for source in (other, data):  # what was trained on is not known any more
        assert_refused(command("evaluate", folder, "--data", source), "has changed since")


def test_the_same_data_elsewhere_are_those_of_the_training(command, own, tmp_path):
    folder, data = own
    other = Path(shutil.move(data, tmp_path / "moved.npz"))
    assert_refused(command("evaluate", folder), r"was trained on .*mine\.npz, which is gone: put it back; .* by --data")
    code, out, _ = command("evaluate", folder, "--data", other)
    assert code == 0
    assert "left out" not in out
    assert json.loads((folder / "metrics.json").read_text())["rows"][0]["images"] == len(keys_of(other, "test"))
    assert command("train", "--resume", folder, "--data", other)[0] == 0
    changed(other, other, add=1)
    assert_refused(command("train", "--resume", folder, "--data", other), "other settings")


def test_data_of_nothing_but_training_images_are_refused(command, run, data, tmp_path):
    seen = np.flatnonzero(~run.unseen(str(data)))
    with np.load(data) as arrays:
        np.savez(tmp_path / "seen.npz", images=arrays["images"][seen])
    assert_refused(command("evaluate", run.folder, "--data", tmp_path / "seen.npz"), "all images of .* were trained on")


def test_unseen_images_are_those_held_out(run, data):
    held_out = run.unseen(str(data))
    assert held_out.sum() == len(keys_of(data, "test"))
    assert set(keys_of(data, "all")[held_out]) == set(keys_of(data, "test"))
    assert run.fingerprint == fingerprint(data)


def test_a_model_that_was_only_saved_is_opened(tmp_path):
    MaskedAutoencoder.from_preset("qmae", patch=PatchMask(8)).save_pretrained(tmp_path / "saved")
    opened = Run.open(tmp_path / "saved")
    assert (opened.training, opened.data, opened.seconds, opened.epochs_done) == (None, "mnist", None, None)
    with pytest.raises(InputError, match="without settings of a training"):
        opened.train()
    shipped = Run.open(Path(SHIPPED[0]))
    assert (shipped.data, shipped.history_or_none(), shipped.seconds) == ("mnist", None, None)
    assert shipped.load().kind == "quantum"


@pytest.mark.parametrize(
    "change",
    [
        {"training": 3},
        {"training": {"epochs": "2"}},
        {"data": 3},
        {"data": ["mnist"]},
        {"fingerprint": 3},
        {"fingerprint": {"images": 3}},
        {"model": []},
        {"model": {"network": {}}},
        {"data": "a\0b"},
    ],
)
def test_settings_of_wrong_types_are_one_line(run, change):
    config = json.loads((run.folder / "config.json").read_text()) | change
    (run.folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError):
        Run.open(run.folder)


@pytest.mark.parametrize("name", ["n" * 300, f"{'n' * 300}/x", "file/x", "loop/x"])
@pytest.mark.parametrize("arguments", [["evaluate"], ["train", "--resume"], ["verify"], ["export"], ["compare"]])
def test_run_folders_that_cannot_be_are_one_line(command, tmp_path, monkeypatch, name, arguments):
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("mine")
    Path("loop").symlink_to("loop")
    code, _, err = command(*arguments, name)
    assert (code, err.count("\n")) == (2, 1)
