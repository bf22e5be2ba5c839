import pytest
import torch

from qmae.data.masks import PatchMask
from qmae.errors import InputError
from qmae.models.config import ModelConfig
from qmae.training.config import TrainingConfig
from qmae.training.parallel import train_all
from qmae.training.runs import Run


def some_runs(folder, small_data):
    config = ModelConfig(PatchMask(8, 0.25))
    return [Run(folder / str(seed), config, TrainingConfig(1, seed=seed), str(small_data)) for seed in range(3)]


def test_trainings_side_by_side_are_those_one_after_the_other(tmp_path, small_data):
    ticks = []

    class Bar:
        def __enter__(self):
            return ticks.append

        def __exit__(self, *exception):
            pass

    aside, after = (some_runs(tmp_path / name, small_data) for name in ("aside", "after"))
    after[0].train()
    torch.set_num_threads(1)
    try:
        train_all(after)
        train_all(aside, jobs=2, progress=lambda description, total: Bar())
    finally:
        torch.set_num_threads(2)
    assert ticks == [1, 1, 1]
    for one, other in zip(aside, after, strict=True):
        assert one.finished
        torch.testing.assert_close(one.load().state_dict(), other.load().state_dict())


def test_what_is_wrong_with_one_training_is_said(tmp_path, small_data):
    runs = some_runs(tmp_path, small_data)
    runs[1].folder.mkdir()
    (runs[1].folder / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="is taken"):
        train_all(runs, jobs=2)
