import math
from dataclasses import replace

import pytest
import torch

from qmae.data.images import load_images
from qmae.data.masks import PatchMask
from qmae.errors import InputError
from qmae.evaluation.classifier import build_classifier
from qmae.evaluation.comparison import Comparison, Contender, compare_models, identity_of_comparison
from qmae.evaluation.evaluate import TestSet
from qmae.evaluation.pictures import Pictures
from qmae.experiments.contenders import line_up
from qmae.models.autoencoder import MaskedAutoencoder
from qmae.models.baselines import MeanPatch, Nothing
from qmae.models.networks import ClassicalConfig
from qmae.models.pixels import Original
from qmae.reports.comparison import standing
from qmae.training.config import TrainingConfig
from qmae.training.runs import Run


def test_a_known_difference_is_found_image_by_image(generator):
    ours = torch.rand(400, generator=generator)
    other = ours - 0.02 + 0.01 * torch.randn(400, generator=generator)
    pictures = Pictures(torch.zeros(0, 8, 8), torch.zeros(0, 8, 8, dtype=torch.bool), {}, {})
    comparison = Comparison(pictures, fidelities={"ours": [ours + 0.01, ours - 0.01], "other": [other]})
    lead, (low, high) = comparison.lead("ours", "other")
    assert lead == pytest.approx(0.02, abs=0.002)
    assert 0.015 < low < 0.02 < high < 0.025
    low, high = comparison.interval("ours")
    assert low < 0.5 < high
    assert high - low == pytest.approx(2 * 1.96 / math.sqrt(12 * 400), rel=0.15)


def test_rows_are_sorted_and_every_run_counts(tmp_path, small_data):
    patch = PatchMask(8, 0.25)
    training = [TrainingConfig(epochs=1, learning_rate=0.01, seed=seed) for seed in (0, 1)]
    config = ClassicalConfig(patch, "autoencoder")
    runs = [Run(tmp_path / str(index), config, how, str(small_data)) for index, how in enumerate(training)]
    for run in runs:
        run.train()
    images, labels = load_images(str(small_data), split="test", size=8)
    found = compare_models(line_up(runs), [Nothing(), MeanPatch(images), Original()], TestSet(images, labels))
    fidelities = [rows[0].fidelity for rows in found.models.values()]
    assert next(iter(found.models)) == "original"
    assert fidelities == sorted(fidelities, reverse=True)
    assert [row.seed for row in found.models["autoencoder"]] == [0, 1]
    assert found.lead("original", "nothing")[0] == pytest.approx(1 - found.models["nothing"][0].fidelity, abs=1e-6)


def test_a_comparison_is_kept_and_read_again(tmp_path, small_data):
    images, labels = load_images(str(small_data), split="test", size=8)
    run = Run(tmp_path / "run", ClassicalConfig(PatchMask(8, 0.25), "autoencoder"), TrainingConfig(1), str(small_data))
    run.train()
    found = compare_models(line_up([run]), [Nothing()], TestSet(images, labels, build_classifier()))
    found.save(tmp_path / "measured.npz")
    again = Comparison.load(tmp_path / "measured.npz")
    assert again.rows == found.rows
    assert again.pictures.originals.shape == (4, 8, 8)
    for name, of_runs in found.fidelities.items():
        assert torch.equal(again.fidelities[name][0], of_runs[0])
        assert torch.equal(again.pictures.reconstructions[name], found.pictures.reconstructions[name])
        assert torch.equal(again.pictures.fidelity[name], found.pictures.fidelity[name])


@pytest.mark.parametrize(("lead", "group"), [(0.02, 0), (0.0, 1), (-0.02, 2)])
def test_what_a_model_beats_is_decided_by_the_interval_of_the_difference(lead, group, generator):
    other, noise = torch.rand(400, generator=generator), torch.randn(400, generator=generator)
    pictures = Pictures(torch.zeros(0, 8, 8), torch.zeros(0, 8, 8, dtype=torch.bool), {}, {})
    found = Comparison(pictures, fidelities={"qmae": [other + lead + 0.1 * (noise - noise.mean())], "qae": [other]})
    images = torch.rand(2, 8, 8, generator=generator)
    (row,) = TestSet(images, torch.zeros(2, dtype=torch.long)).measure(
        Nothing(), PatchMask(8, 0.25), readouts=["amplitude"]
    )
    found.rows = [replace(row, model=name) for name in found.fidelities]
    groups = standing(found, "qmae")
    assert [bool(names) for names in groups] == [index == group for index in range(3)]
    assert groups[group][0].startswith("QAE (")
    assert float(groups[group][0][5:-1]) == pytest.approx(lead, abs=1e-3)


def test_models_for_different_masks_and_none_at_all_are_refused(generator):
    test = TestSet(torch.rand(4, 8, 8, generator=generator), torch.arange(4))
    models = [MaskedAutoencoder.from_preset("qmae", patch=PatchMask(8, ratio)) for ratio in (0.25, 0.5)]
    with pytest.raises(InputError, match="made for different masks: compare like models"):
        compare_models([Contender(model) for model in models], [], test)
    with pytest.raises(InputError, match="give one model at least"):
        compare_models([], [Nothing()], test)


def test_a_comparison_is_known_by_all_that_it_was_made_of(generator):
    images, patch = torch.rand(4, 8, 8, generator=generator), PatchMask(8)
    test = TestSet(images, torch.arange(4))

    def identity(contender, baselines=(), test=test, **settings):
        return identity_of_comparison([contender], list(baselines), test, **settings)

    def model(seed=0, **settings):
        return MaskedAutoencoder.from_preset("qmae", patch=patch, seed=seed, **settings)

    ours = Contender(model(), seed=0)
    assert identity(ours) == identity(Contender(model(), seed=0))
    others = [
        identity(Contender(model(seed=1), seed=0)),
        identity(Contender(model(), seed=1)),
        identity(Contender(model(), "1 layer", seed=0)),
        identity(Contender(model(initial_spread=0.1), seed=0)),
        identity(ours, [Nothing()]),
        identity(ours, [MeanPatch(images)]),
        identity(ours, [MeanPatch(images[1:])]),
        identity(ours, readout="probability"),
        identity(ours, test=replace(test, mask_seed=1)),
        identity(ours, test=replace(test, images=images.flip(0))),
    ]
    assert len({identity(ours), *others}) == 1 + len(others)
    assert compare_models([ours], [], test).identity == identity(ours)
