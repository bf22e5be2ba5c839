"""Runs are one line of a comparison only if they differ in nothing but their seed."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from qmae.data.masks import PatchMask
from qmae.errors import InputError
from qmae.evaluation.comparison import Comparison, compare_models, histories_of
from qmae.evaluation.evaluate import TestSet
from qmae.evaluation.grouping import in_words, variants
from qmae.evaluation.pictures import pictures
from qmae.experiments.contenders import line_up
from qmae.models.autoencoder import MaskedAutoencoder
from qmae.models.baselines import MeanPatch, NearestNeighbours, Nothing, Ridge
from qmae.models.config import ModelConfig
from qmae.models.free import FreeConfig
from qmae.models.networks import ClassicalConfig
from qmae.reports.comparison import figures, markdown, standings
from qmae.reports.names import label
from qmae.training.config import TrainingConfig
from qmae.training.runs import Run

PATCH, ONCE = PatchMask(4, 0.25), TrainingConfig(epochs=1)


@pytest.fixture
def train(tmp_path, small_data):
    count = iter(range(100))

    def trained(config, training=ONCE):
        run = Run(tmp_path / f"run{next(count)}", config, training, str(small_data))
        run.train()
        return run

    return trained


@pytest.fixture
def test_set(small_data):
    return TestSet.load(str(small_data), size=4)


def groups(comparison):
    return {name: [row.seed for row in rows] for name, rows in comparison.models.items()}


def quantum(**settings):
    return ModelConfig(PATCH, **settings)


@pytest.mark.parametrize(
    ("ours", "theirs", "names"),
    [
        ((quantum(layers=1), ONCE), (quantum(layers=3), ONCE), {"qmae, 1 layer", "qmae, 3 layers"}),
        ((quantum(), ONCE), (quantum(trash_wires=(0, 1)), ONCE), {"qmae, trash 0", "qmae, trash 0 and 1"}),
        ((quantum(), ONCE), (quantum(initial_spread=0.1), ONCE), {"qmae, spread 0.5", "qmae, spread 0.1"}),
        (
            (quantum(), ONCE),
            (quantum(), replace(ONCE, learning_rate=0.1, epochs=2)),
            {"qmae, 1 epoch, learning rate 0.19", "qmae, 2 epochs, learning rate 0.1"},
        ),
        ((FreeConfig(PATCH), ONCE), (FreeConfig(PATCH), replace(ONCE, epochs=2)), {"tied, 1 epoch", "tied, 2 epochs"}),
        (
            (FreeConfig(PATCH, "channel"), ONCE),
            (FreeConfig(PATCH, "channel", kraus=3), ONCE),
            {"channel, 2 Kraus operators", "channel, 3 Kraus operators"},
        ),
    ],
)
def test_models_of_one_name_are_told_apart_by_what_differs(train, test_set, ours, theirs, names):
    again = replace(ours[1], seed=1)
    found = compare_models(line_up([train(*ours), train(*theirs), train(ours[0], again)]), [Nothing()], test_set)
    assert groups(found).keys() == {"nothing", *names}
    assert sorted(map(len, groups(found).values())) == [1, 1, 2]
    assert found.pictures.reconstructions.keys() == found.fidelities.keys() == groups(found).keys()
    for name in names:
        assert f"| {label(name)} | " in markdown(found)


def test_a_one_layer_and_a_three_layer_model_are_two_lines_wherever_they_are_shown(train, test_set, tmp_path):
    runs = [train(quantum(layers=layers), replace(ONCE, seed=seed)) for layers in (1, 3) for seed in (0, 1)]
    found = compare_models(line_up(runs), [Nothing()], test_set)
    assert groups(found) == {"nothing": [None], "qmae, 1 layer": [0, 1], "qmae, 3 layers": [0, 1]}
    assert histories_of(line_up(runs)).keys() == {"qmae, 1 layer", "qmae, 3 layers"}
    assert any(sentence.startswith("**QMAE, 3 layers** is above: ") for sentence in standings(found))
    assert len(found.fidelities["qmae, 1 layer"]) == 2
    assert set(figures(found, histories_of(line_up(runs)))) == {"parameters.png", "reconstructions.png", "training.png"}
    found.save(tmp_path / "measured.npz")
    again = Comparison.load(tmp_path / "measured.npz")
    assert again.models == found.models
    assert again.pictures.reconstructions.keys() == found.pictures.reconstructions.keys()


def test_trainings_of_different_lengths_and_unfinished_ones_are_compared_and_say_so(train, test_set):
    runs = [train(quantum(), replace(ONCE, epochs=2)), train(quantum(), replace(ONCE, epochs=4, batch_size=10))]
    stopped = train(quantum(mask_token="none"))
    # As an interrupted run looks: more epochs are wanted than the history has.
    text = (stopped.folder / "config.json").read_text().replace('"epochs": 1', '"epochs": 100')
    (stopped.folder / "config.json").write_text(text)
    found = compare_models(line_up([*runs, Run.open(stopped.folder)]), [Nothing()], test_set)
    assert groups(found).keys() == {
        "nothing",
        "qmae, 2 epochs, batch size 128",
        "qmae, 4 epochs, batch size 10",
        "qae, 1 of 100 epochs",
    }
    assert "training.png" in figures(found, histories_of(line_up(runs)))


def test_a_run_that_lost_its_history_says_that_its_epochs_are_unknown(train, test_set):
    run, other = train(quantum()), train(quantum(), replace(ONCE, seed=1))
    (run.folder / "history.csv").unlink()
    assert groups(compare_models(line_up([run, other]), [], test_set)).keys() == {"qmae, epochs unknown", "qmae"}


def test_networks_are_grouped_like_all_else(tmp_path, small_data):
    config = ClassicalConfig(PatchMask(8, 0.25), "autoencoder")
    runs = []
    for index, training in enumerate((ONCE, replace(ONCE, seed=3), replace(ONCE, learning_rate=0.01))):
        runs.append(Run(tmp_path / str(index), config, training, str(small_data)))
        runs[-1].train()
    found = compare_models(line_up(runs), [], TestSet.load(str(small_data), size=8))
    assert sorted(map(tuple, groups(found).values())) == [(0,), (0, 3)]
    assert "autoencoder, learning rate 0.01" in groups(found)


def test_the_same_training_twice_is_refused(train, test_set, tmp_path):
    run = train(quantum())
    with pytest.raises(InputError, match="is the same training as"):
        compare_models(line_up([run, run]), [], test_set)
    copied = Path(shutil.copytree(run.folder, tmp_path / "copied"))
    with pytest.raises(InputError, match="give it once"):
        compare_models(line_up([run, Run.open(copied)]), [], test_set)
    with pytest.raises(InputError, match="give one run at least"):
        compare_models(line_up([]), [Nothing()], test_set)


def test_saved_models_are_told_apart_by_their_folders(train, test_set, tmp_path):
    folders = [tmp_path / "mine", tmp_path / "other"]
    for seed, folder in enumerate(folders):
        MaskedAutoencoder.from_preset("qmae", patch=PATCH, seed=seed).save_pretrained(folder)
    run = train(quantum())
    found = compare_models(line_up([run, *map(Run.open, folders)]), [], test_set)
    assert groups(found).keys() == {"qmae", *(f"qmae, from {folder}" for folder in folders)}
    assert all(row.train_seconds is None for row in found.rows[1:])
    assert histories_of(line_up([run])).keys() == {"qmae"}


def test_baselines_of_one_name_are_told_apart_or_refused(train, test_set):
    run, images = train(quantum()), test_set.images
    found = compare_models(
        line_up([run]), [NearestNeighbours(images, 1), NearestNeighbours(images, 3), Ridge(images)], test_set
    )
    assert set(groups(found)) == {"knn, 1 neighbour", "knn, 3 neighbours", "ridge", "qmae"}
    with pytest.raises(InputError, match="two of what is compared are called mean"):
        compare_models(line_up([run]), [MeanPatch(images), MeanPatch(images[:3])], test_set)


def test_pictures_of_two_models_of_one_name_are_both_shown(test_set):
    models = [MaskedAutoencoder.from_preset("qmae", patch=PATCH, layers=layers) for layers in (1, 2)]
    masks = test_set.masks(PATCH)[:3]
    shown = pictures([*models, Nothing()], test_set.images[:3], masks)
    assert list(shown.reconstructions) == ["qmae, 1 layer", "qmae, 2 layers", "nothing"]
    twins = pictures([models[0], models[0]], test_set.images[:3], masks)
    assert list(twins.reconstructions) == ["qmae", "qmae, number 2"]


def test_words_by_hand():
    def words(**settings):
        return ", ".join(in_words(name, value) for name, value in settings.items())

    assert words(trash_wires=()) == "trash none"
    assert words(trash_wires=(0, 1, 2)) == "trash 0, 1 and 2"
    assert words(ancillas=0) == "no ancillas"
    assert words(block="so4", bottleneck="herald") == "block so4, bottleneck herald"
    assert variants([("a", {"batch_size": None}), ("a", {"batch_size": 8})]) == ["all images a step", "batch size 8"]
    assert variants([("a", {"layers": 1}), ("b", {"layers": 2})]) == ["", ""]
    assert label("qmae, 3 layers") == "QMAE, 3 layers"
    assert label("mine") == "mine"
