"""`qmae evaluate`, `compare` and `ceiling` as a user meets them."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from qmae import MaskedAutoencoder, ModelConfig, PatchMask, TrainingConfig
from qmae._files import check_writable
from qmae.errors import InputError
from qmae.models.pretrained import packaged
from qmae.training.runs import Run


@pytest.fixture
def run_folder(small_data, tmp_path):
    folder = tmp_path / "run"
    Run(folder, ModelConfig(PatchMask(4)), TrainingConfig(epochs=1, batch_size=40), str(small_data)).train()
    return folder


def rows_of(path):
    return json.loads(Path(path).read_text())["rows"]


def test_a_second_evaluation_loses_nothing_of_the_first(command, run_folder):
    assert command("evaluate", run_folder)[0] == 0
    fuller = rows_of(run_folder / "metrics.json")
    assert command("evaluate", run_folder, "--images", 5)[0] == 0
    assert command("evaluate", run_folder, "--images", 5, "--seed", 3)[0] == 0
    both = rows_of(run_folder / "metrics.json")
    assert len(both) == 3 * len(fuller)
    assert all(row in both for row in fuller)
    assert command("evaluate", run_folder)[0] == 0
    assert len(rows_of(run_folder / "metrics.json")) == len(both)


def test_what_evaluate_did_not_write_is_not_overwritten(command, run_folder, tmp_path):
    (run_folder / "metrics.json").write_text('{"rows": []}')
    code, out, err = command("evaluate", run_folder)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "--out" in err
    assert (run_folder / "metrics.json").read_text() == '{"rows": []}'
    assert command("evaluate", run_folder, "--out", tmp_path / "rows.json")[0] == 0
    assert "taken" in command("evaluate", run_folder, "--out", tmp_path / "rows.json")[2]


def test_small_images_are_measured_without_ssim_and_it_is_said(command, run_folder):
    code, out, _ = command("evaluate", run_folder)
    assert code == 0
    assert out.count("SSIM is left out: it needs images of 8 x 8 pixels at least, not 4 x 4") == 1
    assert all(row["ssim"] is None for row in rows_of(run_folder / "metrics.json"))


def test_models_of_the_package_and_saved_ones_are_evaluated_and_compared(command, tmp_path):
    before = sorted(path.name for path in packaged("qmae-small-25").iterdir())
    code, out, errors = command("evaluate", "qmae-small-25", "--images", 10)
    assert code == 0, errors
    assert "--out" in out
    assert sorted(path.name for path in packaged("qmae-small-25").iterdir()) == before
    small, saved, out = tmp_path / "small", tmp_path / "saved", tmp_path / "rows.json"
    MaskedAutoencoder.from_preset("qae", patch=PatchMask(4)).save_pretrained(small)
    assert command("evaluate", small, "--images", 10, "--out", out)[0] == 0
    row = rows_of(out)[0]
    assert (row["model"], row["train_seconds"], row["images"]) == ("qae", None, 10)
    MaskedAutoencoder.from_preset("qae").save_pretrained(saved)
    compared = ["compare", "qmae-small-25", saved, "--images", 10, "--baselines", "none", "--out", tmp_path / "both"]
    code, _, errors = command(*compared)
    assert code == 0, errors
    assert {row["model"] for row in rows_of(tmp_path / "both" / "metrics.json")} == {"qmae-small", "qae"}


def test_compare_tells_models_of_one_name_apart_and_leaves_no_empty_folder(command, small_data, tmp_path, run_folder):
    deep, out = tmp_path / "deep", tmp_path / "new" / "comparison"
    Run(deep, ModelConfig(PatchMask(4), layers=3), TrainingConfig(epochs=2, batch_size=40), str(small_data)).train()
    assert "is the same training" in command("compare", run_folder, deep, run_folder, "--out", out)[2]
    assert "gone" in command("compare", run_folder, tmp_path / "gone", "--out", out)[2]
    broken = Path(shutil.copytree(deep, tmp_path / "broken"))
    (broken / "model.safetensors").unlink()
    assert command("compare", run_folder, broken, "--out", out)[0] == 2
    assert not out.parent.exists()
    code, _, errors = command("compare", run_folder, deep, "--out", out)
    assert code == 0, errors
    report = (out / "report.md").read_text()
    assert "| QMAE, 1 layer, 1 epoch | " in report
    assert "| QMAE, 3 layers, 2 epochs | " in report
    variants = [row["variant"] for row in rows_of(out / "metrics.json") if row["model"] == "qmae"]
    assert variants == ["1 layer, 1 epoch", "3 layers, 2 epochs"]


def test_a_place_that_cannot_be_written_is_known_before_anything_is_measured(tmp_path):
    check_writable(tmp_path)
    assert not list(tmp_path.iterdir())
    with pytest.raises(InputError, match="choose another place"):
        check_writable(tmp_path / "gone")


def test_searches_of_ceiling_can_be_compared_wherever_they_were_begun(command, small_data, tmp_path, monkeypatch):
    monkeypatch.chdir(small_data.parent)
    search = ["ceiling", "--data", small_data.name, "--size", 4, "--epochs", 1, "--restarts", 1]
    assert command(*search, "--design", "tied", "--design", "free", "--out", tmp_path / "best")[0] == 0
    monkeypatch.chdir(tmp_path)
    runs = sorted((tmp_path / "best" / "runs").iterdir())
    code, _, errors = command("compare", *runs, "--baselines", "none", "--out", tmp_path / "both")
    assert code == 0, errors


def test_a_classifier_of_another_size_is_refused_by_evaluate(command, small_data, tmp_path, run_folder):
    out = tmp_path / "classifier.safetensors"
    assert command("train-classifier", "--data", small_data, "--size", 4, "--epochs", 1, "--out", out)[0] == 0
    labelled = tmp_path / "more.npz"
    np.savez(labelled, images=np.random.default_rng(0).uniform(size=(12, 4, 4)), labels=np.arange(12))
    code, _, err = command("evaluate", run_folder, "--data", labelled, "--classifier", out)
    assert (code, err.count("\n")) == (2, 1)
    assert "has the label 11, the classifier knows 0 to 3" in err
