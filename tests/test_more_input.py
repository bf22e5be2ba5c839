"""Labels, dim images, classifiers in odd contexts, foreign files in a run: what is accepted is right."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from qmae import MaskedAutoencoder, PatchMask, load_images
from qmae.circuits.autoencoder import AutoencoderCircuit
from qmae.cli import main
from qmae.data.images import load_lit_files
from qmae.errors import InputError
from qmae.evaluation.classifier import load_classifier, predict, train_classifier
from qmae.evaluation.evaluate import TestSet
from qmae.models.baselines import Ridge
from qmae.models.pretrained import WEIGHTS
from qmae.training.config import TrainingConfig
from qmae.training.runs import Run


@pytest.fixture(scope="module")
def digits():
    images, labels = load_images("mnist", split="test")
    return images[:64], labels[:64]


@pytest.fixture
def two_runs(tmp_path, small_data):
    model = MaskedAutoencoder.from_preset("qmae", patch=PatchMask(8, 0.25)).config
    runs = [Run(tmp_path / f"run{seed}", model, TrainingConfig(1, seed=seed), str(small_data)) for seed in (0, 1)]
    for run in runs:
        run.train()
    return runs


def refused(capsys, monkeypatch, *arguments):
    monkeypatch.setattr("sys.argv", ["qmae", *map(str, arguments)])
    with pytest.raises(SystemExit) as stopped:
        main()
    err = capsys.readouterr().err
    assert stopped.value.code == 2
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    return err


@pytest.mark.parametrize("scale", [0.1, 1 / 255, 0.3])
def test_dim_images_are_refused_though_one_is_bright(unchecked, digits, scale):
    images = digits[0].clone()
    images[1:] *= scale
    patch = PatchMask()
    masks = patch.sample(len(images), generator=torch.Generator().manual_seed(0))
    model = MaskedAutoencoder.from_preset("qmae", patch=patch)
    for call in (model.fidelity, model.reconstruct):
        with pytest.raises(InputError, match="scaled wrongly"):
            call(images, masks)


@pytest.mark.parametrize(
    "change",
    [
        lambda labels: labels + 0.5,
        lambda labels: labels > 4,
        lambda labels: torch.where(labels > 4, torch.nan, labels.float()),
        lambda labels: labels.numpy(),
        lambda labels: labels[:, None],
        lambda labels: labels[:3],
        lambda labels: labels - 2,
    ],
)
def test_what_is_no_label_is_refused(unchecked, digits, change):
    images, labels = digits
    with pytest.raises(InputError, match="label"):
        TestSet(images, change(labels))
    with pytest.raises(InputError, match="label"):
        train_classifier((images, change(labels)), digits, generator=torch.Generator())


def test_labels_of_any_whole_type_and_images_of_any_float_are_measured_alike(unchecked, digits):
    images, labels = digits
    expected = TestSet(images, labels, load_classifier()).classifier_accuracy
    for given in (
        TestSet(images.double(), labels.int(), load_classifier()),
        TestSet(images, labels.byte(), load_classifier()),
    ):
        assert given.classifier_accuracy == expected


def test_a_classifier_answers_alike_in_every_context(digits):
    images = digits[0]
    expected = predict(load_classifier(), images)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(predict(load_classifier(), images), expected)
    torch.set_default_dtype(torch.float64)
    try:
        assert torch.equal(predict(load_classifier(), images), expected)
    finally:
        torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("name", [WEIGHTS, "history.csv"])
def test_files_of_another_run_are_refused_whatever_uses_them(two_runs, capsys, monkeypatch, name):
    run, other = two_runs
    (run.folder / name).write_bytes((other.folder / name).read_bytes())
    with pytest.raises(InputError, match="checksum"):
        run.load()
    for command in ("evaluate", "verify", "export"):
        assert "checksum" in refused(capsys, monkeypatch, command, run.folder)


@pytest.mark.parametrize(
    "change",
    [
        lambda settings: settings.update(data="mnist"),
        lambda settings: settings.update(format=5),
        lambda settings: settings.update(kind="nonsense"),
    ],
)
def test_settings_that_were_changed_are_refused(two_runs, change):
    config = two_runs[0].folder / "config.json"
    settings = json.loads(config.read_text())
    change(settings)
    config.write_text(json.dumps(settings))
    with pytest.raises(InputError, match="of another version"):
        Run.open(two_runs[0].folder)


def test_images_trained_on_are_known_again_when_they_were_resized(tmp_path):
    rng = np.random.default_rng(0)
    images = rng.uniform(0, 1, (40, 16, 16)).astype(np.float32)
    np.savez(tmp_path / "large.npz", images=images)
    model = MaskedAutoencoder.from_preset("qmae", patch=PatchMask(8, 0.25)).config
    run = Run(tmp_path / "run", model, TrainingConfig(1), str(tmp_path / "large.npz"))
    run.train()
    trained = load_images(run.data, split="train", size=8)[0].numpy()
    new = rng.uniform(0, 1, (5, 8, 8)).astype(np.float32)
    np.savez(tmp_path / "small.npz", images=np.concatenate([trained, new]))
    unseen = Run.open(run.folder).unseen(str(tmp_path / "small.npz"))
    assert unseen.tolist() == [False] * len(trained) + [True] * 5


def test_a_batch_of_originals_is_refused(small_case):
    model, _, _ = small_case
    circuit = AutoencoderCircuit.of(model.config)
    state = np.full(16, 0.25)
    with pytest.raises(InputError, match="one at a time"):
        circuit.fidelity(np.zeros(circuit.ansatz.angle_shape), state, np.stack([state, state]))


def test_options_and_files_that_would_be_lost_are_refused(two_runs, capsys, monkeypatch, tmp_path):
    folder = two_runs[0].folder
    assert "--shots" in refused(capsys, monkeypatch, "run", folder, "--device-option", "shots=5")
    metrics = folder / "metrics.json"
    assert "both" in refused(capsys, monkeypatch, "evaluate", folder, "--save-reconstructions", metrics)
    assert "training" in refused(capsys, monkeypatch, "ceiling", "--out", folder, "--design", "tied")


@pytest.mark.parametrize("penalty", [True, 10**400, 0, -1.0, float("nan"), "1"])
def test_penalties_that_determine_nothing_are_refused(unchecked, digits, penalty):
    with pytest.raises(InputError, match="penalty"):
        Ridge(digits[0], penalty=penalty)


def test_pictures_that_are_all_black_leave_nothing(tmp_path):
    Image.new("L", (8, 8)).save(tmp_path / "black.png")
    with pytest.raises(InputError, match="nothing is left"):
        load_lit_files([tmp_path / "black.png"] * 2, size=8, skip_black=True)
