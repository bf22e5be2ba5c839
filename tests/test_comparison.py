import pytest
import torch

from qmae.baselines import MeanPatch, Nothing, Original
from qmae.classical import ClassicalConfig
from qmae.comparison import Comparison, compare
from qmae.evaluation import TestSet
from qmae.images import load_images
from qmae.masking import PatchMask
from qmae.runs import Run
from qmae.settings import TrainingConfig


def test_a_known_difference_is_found_image_by_image(generator):
    ours = torch.rand(400, generator=generator)
    other = ours - 0.02 + 0.01 * torch.randn(400, generator=generator)
    comparison = Comparison(fidelities={"ours": [ours + 0.01, ours - 0.01], "other": [other]})
    lead, (low, high) = comparison.lead("ours", "other")
    assert lead == pytest.approx(0.02, abs=0.002)
    assert 0.015 < low < 0.02 < high < 0.025


def test_rows_are_sorted_and_every_run_counts(tmp_path, small_data):
    patch = PatchMask(8, 0.25)
    training = [TrainingConfig(epochs=1, learning_rate=0.01, seed=seed) for seed in (0, 1)]
    config = ClassicalConfig(patch, "autoencoder")
    runs = [Run(tmp_path / str(index), config, how, str(small_data)) for index, how in enumerate(training)]
    for run in runs:
        run.train()
    images, labels = load_images(str(small_data), split="test", size=8)
    found = compare(runs, [Nothing(), MeanPatch(images), Original()], TestSet(images, labels))
    fidelities = [rows[0].fidelity for rows in found.models.values()]
    assert next(iter(found.models)) == "original"
    assert fidelities == sorted(fidelities, reverse=True)
    assert [row.seed for row in found.models["autoencoder"]] == [0, 1]
    assert found.lead("original", "nothing")[0] == pytest.approx(1 - found.models["nothing"][0].fidelity, abs=1e-6)
