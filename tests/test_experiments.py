import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from qmae.data.masks import PatchMask
from qmae.evaluation.classifier import build_classifier
from qmae.evaluation.evaluate import TestSet, complete, first_of_each_class, save_reconstructions
from qmae.experiments.protocols import RATIOS, Protocol
from qmae.experiments.reproduction import reproduce
from qmae.models.autoencoder import MaskedAutoencoder
from qmae.models.baselines import Nothing
from qmae.reports.reproduction import claim_table, markdown, model_table, trained_for, write_reproduction
from qmae.reports.tables import spread
from qmae.training.config import TrainingConfig

PNG = b"\x89PNG"


@pytest.fixture(scope="module")
def protocol(small_data):
    return Protocol(seeds=2, training=TrainingConfig(epochs=2), test_images=15, data=str(small_data), size=8)


@pytest.fixture(scope="module")
def reproduced(protocol, tmp_path_factory):
    folder = tmp_path_factory.mktemp("reproduction")
    seen = []
    classifier = build_classifier(4)
    results = reproduce(protocol, folder, classifier=classifier, on_rows=seen.extend)
    write_reproduction(results, folder)
    return results, folder, seen, classifier


def test_every_table_has_both_models_and_all_baselines(reproduced):
    results, _, seen, _ = reproduced
    baselines = ("original", "knn", "ridge", "token", "mean", "nothing")
    assert seen == results.rows
    for readout in ("probability", "amplitude"):
        for model, seeds in (("qmae", 2), ("qae", 2), *((name, 1) for name in baselines)):
            assert len(trained_for(results, model, 0.25, readout)) == seeds
        for ratio in RATIOS:
            for model in ("qmae", *baselines):
                assert trained_for(results, model, ratio, readout)
            assert len(results.select(model="qmae", trained_ratio=ratio, mask_ratio=0.25, readout=readout)) == 2


def test_rows_agree_with_a_direct_computation(reproduced, protocol):
    results, folder, *_ = reproduced
    model = MaskedAutoencoder.from_pretrained(folder / "runs" / "qmae-0.25-seed1")
    test = TestSet.load(protocol.data, size=8, limit=15)
    masks = test.masks(PatchMask(8))
    row = results.select(model="qmae", seed=1, mask_ratio=0.25, trained_ratio=0.25, readout="amplitude")[0]
    assert row.fidelity == pytest.approx(model.fidelity(test.images, masks).mean().item(), abs=1e-6)
    population = model.encode(test.images, masks).trash_population.mean().item()
    assert row.trash_population == pytest.approx(population, abs=1e-6)
    assert (row.parameters, row.angles, row.token_parameters) == (15 * 15 + 16, 15 * 15, 16)
    assert row.train_seconds > 0


def test_metrics_json_has_the_promised_form(reproduced):
    _, folder, *_ = reproduced
    content = json.loads((folder / "metrics.json").read_text())
    assert content["protocol"]["placement"] == "grid"
    assert 0 <= content["classifier_accuracy"] <= 1
    promised = "model mask_ratio placement readout seed mask_seed parameters angles token_parameters"
    promised += " success_probability fidelity cosine_similarity ssim accuracy images train_seconds"
    for row in content["rows"]:
        assert set(promised.split()) <= set(row)


def test_report_names_every_figure_and_claim(reproduced):
    results, folder, *_ = reproduced
    text = (folder / "report.md").read_text()
    for name in ("reconstructions", "mask-ratios", "training-loss"):
        assert f"(figures/{name}.png)" in text
        assert (folder / "figures" / f"{name}.png").read_bytes().startswith(PNG)
    page = (folder / "report.html").read_text()
    assert page.count("data:image/png;base64,") == 3
    assert "<table>" in page
    assert "+12.86 points" in claim_table(results)


def test_resuming_trains_nothing_again_and_changes_no_number(reproduced, protocol):
    results, folder, *_ = reproduced

    def fail(description, total):
        assert not description.startswith("training")
        return TestSet.progress(description, total)

    again = reproduce(protocol, folder, classifier=reproduced[3], progress=fail)
    for row, other in zip(results.rows, again.rows, strict=True):
        assert row == other


def test_a_report_without_a_classifier_leaves_accuracies_out(protocol, tmp_path):
    results = reproduce(replace(protocol, seeds=1), tmp_path)
    assert results.classifier_accuracy is None
    assert all(row.accuracy is None for row in results.rows)
    line = next(line for line in model_table(results, ratio=0.25, readout="amplitude").splitlines() if "QMAE" in line)
    assert line.endswith("| – |")
    assert "of 3 (`amplitude`)" in markdown(results)
    json.dumps(results.to_json())


def test_spread_by_hand():
    assert spread([0.1, 0.3]) == "0.200 ± 0.141"
    assert spread([0.5], "accuracy") == "50.00%"
    assert spread([None]) == "–"


def test_pictures_are_chosen_by_index():
    assert first_of_each_class(torch.tensor([3, 1, 3, 2, 1])).tolist() == [1, 3, 0]


def test_an_image_that_is_wholly_hidden_scores_0_everywhere():
    images = torch.zeros(1, 8, 8)
    images[0, :4, :4] = 1
    patch = PatchMask(8)
    tests = (TestSet(images, torch.tensor([0]), mask_seed=seed) for seed in range(100))
    test = next(test for test in tests if test.masks(patch).position == 0)
    row = test.measure(Nothing(), patch)[0]
    assert (row.fidelity, row.cosine_similarity, row.ssim) == (0, 0, 0)


def test_saved_reconstructions_hold_what_the_model_did(small_data, tmp_path):
    test = TestSet.load(str(small_data), size=8, limit=12)
    model, patch = MaskedAutoencoder.from_preset("qmae", patch=PatchMask(8)), PatchMask(8)
    save_reconstructions(tmp_path / "r.npz", test.complete(model, patch), test, patch, readout="probability")
    outputs = complete(model, test.images, test.masks(patch))
    with np.load(tmp_path / "r.npz") as arrays:
        assert set(arrays) == {"images", "hidden", "position", "reconstructions", "fidelity", "labels"}
        np.testing.assert_array_equal(arrays["reconstructions"], outputs.probabilities)
        np.testing.assert_array_equal(arrays["fidelity"], outputs.fidelity)
        np.testing.assert_array_equal(arrays["hidden"], test.masks(patch).hidden)
        np.testing.assert_array_equal(arrays["labels"], test.labels)
