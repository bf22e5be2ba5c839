import csv
import io

import pytest
import torch

from qmae import MaskedAutoencoder, PatchMask, TrainingConfig, load_images, train
from qmae._files import write_atomically
from qmae.errors import InputError
from qmae.models.config import ModelConfig
from qmae.training.history import COLUMNS, History
from qmae.training.loop import mean_fidelity
from qmae.training.runs import Run
from samples import interrupting, same_parameters

PATCH = PatchMask(8, 0.25)


@pytest.fixture
def data(small_data):
    return [load_images(small_data, split=split, size=8)[0] for split in ("train", "validation")]


def new_model(name="qmae", seed=0):
    return MaskedAutoencoder.from_preset(name, patch=PATCH, seed=seed)


def test_training_descends_and_beats_an_untrained_model(data):
    model = new_model()
    masks = PATCH.sample(len(data[1]), generator=torch.Generator().manual_seed(5))
    before = mean_fidelity(model, data[1], masks)
    history = train(model, *data, config=TrainingConfig(epochs=20, batch_size=30))
    assert mean_fidelity(model, data[1], masks) > before + 0.2
    assert history.column("loss_mean")[-1] < history.column("loss_mean")[0]


def test_the_history_is_that_of_the_losses(data):
    """The first row, computed by hand from the same seed."""
    config = TrainingConfig(epochs=1, batch_size=40, seed=3)
    history = train(new_model(), *data, config=config)
    generator = torch.Generator().manual_seed(3)
    masks = PATCH.sample(len(data[0]), generator=generator)
    batch = torch.randperm(len(data[0]), generator=generator)[:40]
    losses = 1 - new_model().fidelity(data[0][batch], masks[batch])
    row = dict(zip(COLUMNS, history.rows[0], strict=True))
    assert row["loss_mean"] == pytest.approx(losses.mean().item(), abs=1e-6)
    assert row["loss_p05"] == pytest.approx(losses.quantile(0.05).item(), abs=1e-6)
    assert row["loss_p95"] == pytest.approx(losses.quantile(0.95).item(), abs=1e-6)
    assert row["skipped"] == 0
    assert [row[0] for row in history.rows] == [1, 2, 3]


def test_same_seed_same_numbers_and_another_seed_others(data):
    def weights(seed):
        model = new_model(seed=seed)
        train(model, *data, config=TrainingConfig(epochs=2, batch_size=30, seed=seed))
        return torch.cat([parameter.flatten() for parameter in model.parameters()])

    assert torch.equal(weights(0), weights(0))
    assert not torch.equal(weights(0), weights(1))


def test_both_models_see_the_same_images_under_the_same_masks(data):
    """QMAE starts as QAE does, so their first losses agree if and only if their first batches do."""
    first = [train(new_model(name), *data, config=TrainingConfig(epochs=1)).rows[0][2:5] for name in ("qae", "qmae")]
    assert first[0] == first[1]


def test_an_image_with_nothing_to_embed_is_skipped_and_counted(data):
    images = data[0].clone()
    images[0] = 0
    images[0, 0, 0] = 1  # hidden by one of the four masks, then nothing is left
    model = new_model("qae")
    history = train(model, images, data[1], TrainingConfig(epochs=8, batch_size=1))
    skipped = history.column("skipped")
    assert 0 < sum(skipped) < 8
    assert all((loss != loss) == (count == 1) for loss, count in zip(history.column("loss_mean"), skipped, strict=True))
    assert model.encoder.angles.isfinite().all()


def test_history_survives_csv(data):
    history = train(new_model(), *data, config=TrainingConfig(epochs=2, batch_size=60))
    again = History.from_csv(history.to_csv())
    assert next(csv.reader(io.StringIO(history.to_csv()))) == list(COLUMNS)
    for row, other in zip(history.rows, again.rows, strict=True):
        assert other == pytest.approx(row, rel=1e-8, nan_ok=True)
    fidelities = again.column("validation_fidelity")
    assert [value == value for value in fidelities] == [False, True] * 2


def new_run(folder, small_data, epochs=4):
    return Run(folder, ModelConfig(PATCH), TrainingConfig(epochs=epochs, batch_size=45), str(small_data))


def test_a_resumed_run_equals_an_uninterrupted_one(tmp_path, small_data):
    whole = new_run(tmp_path / "whole", small_data).train()
    broken = new_run(tmp_path / "broken", small_data)
    with pytest.raises(KeyboardInterrupt):
        broken.train(progress=interrupting(after=5))  # in the third epoch of two steps each
    assert not broken.finished
    assert len(broken.history().rows) == 4
    assert all(parameter.isfinite().all() for parameter in broken.load().parameters())
    resumed = Run.open(tmp_path / "broken").train()
    assert broken.finished
    assert same_parameters(whole, resumed)
    rows = [[row[:-1] for row in new_run(tmp_path / name, small_data).history().rows] for name in ("whole", "broken")]
    assert str(rows[0]) == str(rows[1])  # as text, since NaN equals nothing


def test_a_run_interrupted_in_its_first_epoch_leaves_nothing(tmp_path, small_data):
    run = new_run(tmp_path / "run", small_data)
    with pytest.raises(KeyboardInterrupt):
        run.train(progress=interrupting(after=1))
    assert not run.folder.exists()


@pytest.mark.parametrize("name", ["checkpoint.pt", "history.csv", "model.safetensors"])
def test_a_run_interrupted_while_saving_its_last_epoch_loses_nothing(tmp_path, small_data, monkeypatch, name):
    run = new_run(tmp_path / "run", small_data, epochs=2)
    saved = []

    def interrupted(path, content):
        write_atomically(path, content)
        saved.append(path.name)
        if saved.count(name) == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("qmae.training.loop.write_atomically", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run.train()
    resumed = run.train()
    assert run.finished
    assert same_parameters(run.load(), resumed)
    assert same_parameters(new_run(tmp_path / "whole", small_data, epochs=2).train(), resumed)
    assert len(run.history().rows) == 4


def test_a_failed_start_leaves_other_files_alone(tmp_path, small_data):
    run = new_run(tmp_path / "run", small_data)
    run.folder.mkdir()
    with pytest.raises(KeyboardInterrupt):
        run.train(progress=interrupting(after=1))
    assert not run.folder.exists()
    with pytest.raises(InputError, match="no data file"):
        Run(tmp_path / "other", run.model, run.training, "gone.npz").train()
    assert not (tmp_path / "other").exists()


def test_models_of_double_precision_train_too(data):
    history = train(new_model().double(), *(images.double() for images in data), config=TrainingConfig(epochs=1))
    assert history.rows


def test_a_finished_run_is_only_loaded(tmp_path, small_data):
    run = new_run(tmp_path / "run", small_data, epochs=1)
    trained = run.train()
    assert sorted(path.name for path in run.folder.iterdir()) == ["config.json", "history.csv", "model.safetensors"]
    assert same_parameters(run.train(progress=interrupting(after=1)), trained)


def test_a_run_of_other_settings_is_not_gone_on_with(tmp_path, small_data):
    new_run(tmp_path / "run", small_data, epochs=1).train()
    with pytest.raises(InputError, match="holds a run with other settings"):
        new_run(tmp_path / "run", small_data, epochs=2).train()


def test_folders_without_a_run_are_refused(tmp_path, small_data):
    with pytest.raises(InputError, match="holds no training run"):
        Run.open(tmp_path)
    (tmp_path / "note.txt").write_text("mine")
    with pytest.raises(InputError, match="is taken"):
        new_run(tmp_path, small_data).train()
    assert (tmp_path / "note.txt").read_text() == "mine"


def test_a_black_training_image_is_refused_before_training(data):
    data[0][11] = 0
    with pytest.raises(InputError, match="image 11 is all black"):
        train(new_model(), *data, config=TrainingConfig())


@pytest.mark.parametrize("setting", [{"epochs": 0}, {"batch_size": 0}, {"learning_rate": 0.0}])
def test_settings_must_be_positive(setting):
    with pytest.raises(InputError, match=r"must be positive|out of bounds"):
        TrainingConfig(**setting)
