import builtins
import shutil

import pytest

from qmae.data.masks import PatchMask
from qmae.errors import InputError
from qmae.training.tuning import BATCH_SIZES, LEARNING_RATES, best, report, tune
from samples import trained_files

PATCH = PatchMask(8, 0.25)


def search(folder, small_data, **settings):
    return tune("autoencoder", PATCH, folder, **{"trials": 5, "epochs": 1, "data": str(small_data), **settings})


def without_time(trials):
    return [(trial.training, trial.validation_fidelity) for trial in trials]


def test_a_search_can_be_repeated_and_goes_on_where_it_stopped(tmp_path, small_data):
    trials = search(tmp_path, small_data)
    assert len({trial.training for trial in trials}) == 5
    for trial in trials:
        assert LEARNING_RATES[0] <= trial.training.learning_rate <= LEARNING_RATES[1]
        assert trial.training.batch_size in BATCH_SIZES
    assert best(trials).validation_fidelity == max(trial.validation_fidelity for trial in trials)
    for number in (3, 4):
        shutil.rmtree(tmp_path / "runs" / f"autoencoder-trial{number}")
    assert without_time(search(tmp_path, small_data)) == without_time(trials)
    trained = trained_files(tmp_path)
    assert len(trained) == 5
    assert without_time(search(tmp_path, small_data)) == without_time(trials)
    assert trained_files(tmp_path) == trained


def test_a_training_that_diverges_is_the_worst_and_not_the_end(tmp_path, small_data):
    trials = search(tmp_path, small_data, trials=2, learning_rates=(1e38, 1e39))
    assert [trial.validation_fidelity for trial in trials] == [0, 0]
    assert all(trial.diverged and "diverged" in str(trial) for trial in trials)
    assert report([trials]).count("| diverged |") == 2
    assert "**" not in report([trials])
    again = search(tmp_path, small_data, trials=2, learning_rates=(1e38, 1e39))
    assert without_time(again) == without_time(trials)


def test_the_report_lists_every_trial_and_marks_the_best(tmp_path, small_data):
    trials = search(tmp_path, small_data)
    lines = report([trials]).splitlines()
    assert len(lines) == 2 + 5
    (marked,) = [number for number, line in enumerate(lines[2:]) if "**" in line]
    assert trials[marked] is best(trials)


def test_without_optuna_the_search_says_how_to_get_it(tmp_path, small_data, monkeypatch):
    real = builtins.__import__

    def missing(name, *args, **kwargs):
        if name == "optuna":
            raise ImportError
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(InputError, match="needs Optuna: pip install"):
        search(tmp_path, small_data)
