"""What is measured is right, or refused, or said to be left out: PSNR, small images, classifiers, records."""

import json
import math
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from skimage.metrics import mean_squared_error as skimage_mse
from sklearn.neighbors import NearestNeighbors

from qmae._files import to_json
from qmae.data.batches import hide
from qmae.data.images import load_images
from qmae.data.masks import PatchMask
from qmae.errors import InputError
from qmae.evaluation.bootstrap import bootstrap_interval
from qmae.evaluation.classifier import build_classifier
from qmae.evaluation.comparison import Comparison
from qmae.evaluation.evaluate import TestSet, complete, first_of_each_class
from qmae.evaluation.metrics import cosine_similarity, hole_fidelity, without_rounding
from qmae.evaluation.pictures import Pictures
from qmae.evaluation.rows import Row, merged, read_rows
from qmae.models.autoencoder import MaskedAutoencoder
from qmae.models.base import BATCH_PIXELS, Model
from qmae.models.baselines import AT_ONCE, MeanPatch, NearestNeighbours, Nothing, Ridge, TokenPatch
from qmae.models.choices import Kind
from qmae.models.free import FreeConfig
from qmae.models.networks import ClassicalConfig
from qmae.models.pixels import Baseline, Original
from qmae.models.registry import build_model
from qmae.reports.comparison import standing
from samples import LiveTensors


@pytest.fixture(scope="module")
def mnist():
    images, labels = load_images("mnist")
    return TestSet(images, labels)


@pytest.mark.parametrize(("ratio", "expected"), [(1 / 16, 22.27), (0.125, 19.15), (0.25, 16.14), (0.5, 13.15)])
def test_psnr_is_that_of_the_mean_squared_error(mnist, ratio, expected):
    """Most holes of 1/16 are black and copied exactly: their decibels are those of rounding errors, or infinite."""
    patch = PatchMask(16, ratio)
    masks = mnist.masks(patch)
    row = mnist.measure(Nothing(), patch, readouts=["amplitude"])[0]
    errors = [
        skimage_mse((image / image.max()).numpy(), (seen / seen.max() if seen.any() else seen).numpy())
        for image, seen in zip(mnist.images.double(), hide(mnist.images, masks).double(), strict=True)
    ]
    assert row.psnr == pytest.approx(-10 * math.log10(np.mean(errors)), abs=1e-3)
    assert row.psnr == pytest.approx(expected, abs=0.005)


def test_psnr_of_what_is_without_error_is_none(mnist):
    few = TestSet(mnist.images[:50], mnist.labels[:50])
    amplitude, probability = few.measure(Original(), PatchMask())
    assert amplitude.psnr is None
    assert probability.psnr is not None
    assert 10 < probability.psnr < 30


def test_how_many_holes_are_black_is_known():
    images = torch.full((4, 8, 8), 0.5)
    images[:2, :4, :4] = torch.tensor([0.0, 1e-7])[:, None, None]  # black, and black but for rounding error
    patch = PatchMask(8)
    tests = (TestSet(images, torch.zeros(4, dtype=torch.long), mask_seed=seed) for seed in range(2000))
    test = next(test for test in tests if test.masks(patch).position[:2].tolist() == [0, 0])
    row = test.measure(MeanPatch(images), patch)[0]
    assert row.hole_images == 2
    assert row.hole_fidelity == pytest.approx(1)
    nowhere = TestSet(images[:2], torch.zeros(2, dtype=torch.long), mask_seed=test.mask_seed)
    row = nowhere.measure(MeanPatch(images), patch)[0]
    assert (row.hole_images, row.hole_fidelity) == (0, None)


def test_metrics_of_the_hole_are_not_made_of_rounding_error():
    hidden = torch.zeros(1, 8, 8, dtype=torch.bool)
    hidden[0, :4] = True
    original = torch.rand(1, 8, 8, generator=torch.Generator().manual_seed(0))
    noise = torch.where(hidden, 1e-14 * original**2, original**2)
    assert hole_fidelity(without_rounding(noise).sqrt(), original, hidden).item() == 0
    assert hole_fidelity(1e-25 * original, original, hidden).item() == pytest.approx(1)
    assert cosine_similarity(1e-30 * original, original).item() == pytest.approx(1)


def test_differences_of_rounding_errors_tell_nothing_apart(mnist):
    few = TestSet(mnist.images[:20], mnist.labels[:20])
    (row,) = few.measure(Nothing(), PatchMask(), readouts=["amplitude"])
    fidelity = torch.rand(20, dtype=torch.float64)
    pictures = Pictures(few.images[:0], torch.zeros(0, 16, 16, dtype=torch.bool), {}, {})
    rows = [replace(row, model=name) for name in ("qmae", "twin")]
    found = Comparison(pictures, rows, {"qmae": [fidelity + 1e-8], "twin": [fidelity]})
    assert [len(group) for group in standing(found, "qmae")] == [0, 1, 0]


@pytest.mark.parametrize("size", [2, 4])
def test_below_8_pixels_ssim_alone_is_left_out(size, mnist):
    images = load_images("mnist", size=size)[0][:30]
    test = TestSet(images, mnist.labels[:30])
    rows = [row for subject in (Nothing(), Ridge(images)) for row in test.measure(subject, PatchMask(size))]
    assert all(row.ssim is None and 0 < row.cosine_similarity <= 1 and row.psnr > 0 for row in rows)
    assert test.left_out is not None
    assert "SSIM is left out" in test.left_out
    assert TestSet(mnist.images[:2], mnist.labels[:2]).left_out is None


def classifier(size, classes=10):
    model = build_classifier(classes)
    model.image_size = size
    return model


def test_a_classifier_of_another_size_or_of_other_classes_is_refused_before_anything_is_measured(mnist):
    images, labels = mnist.images[:4], mnist.labels[:4]
    with pytest.raises(InputError, match=r"trained on images of 8 x 8 pixels, these have 16 x 16: .* --size 16"):
        TestSet(images, labels, classifier(8))
    with pytest.raises(InputError, match=r"has the label 7, the classifier knows 0 to 3"):
        TestSet(images, labels, classifier(16, classes=4))
    assert TestSet(images, labels, classifier(16)).classifier_accuracy is not None
    assert TestSet(images, torch.full((4,), -1), classifier(16, classes=4)).classifier_accuracy is None


def test_empty_test_sets_and_limits_are_refused(mnist, small_data):
    with pytest.raises(InputError, match="one image at least"):
        TestSet(mnist.images[:0], mnist.labels[:0])
    for limit in (0, -3):
        with pytest.raises(InputError, match="measure nothing: choose 1 or more"):
            TestSet.load(str(small_data), size=8, limit=limit)
    assert len(TestSet.load(str(small_data), size=8, limit=10**6).images) == len(
        TestSet.load(str(small_data), size=8).images
    )


@pytest.mark.usefixtures("unchecked")
def test_labels_must_be_as_many_as_the_images(mnist):
    with pytest.raises(InputError, match=r"3 images and labels of shape \[2\]"):
        TestSet(mnist.images[:3], mnist.labels[:2])


def test_what_is_not_finite_is_refused_by_its_index(mnist):
    class Broken(Baseline):
        name = "broken"

        def fill(self, visible, masks):
            return torch.where(torch.arange(len(visible))[:, None, None] == 2, torch.nan, visible)

    model = MaskedAutoencoder.from_preset("qmae")
    with torch.no_grad():
        model.encoder.angles[0, 0] = torch.nan
    for subject, image in ((Broken(), 2), (model, 0)):
        with pytest.raises(InputError, match=f"{subject.name} makes of image {image} is not finite"):
            complete(subject, mnist.images[:4], mnist.masks(PatchMask())[:4])


def test_pictures_are_found_whatever_the_labels_are():
    assert first_of_each_class(torch.full((30,), -1)).tolist() == list(range(10))
    assert first_of_each_class(torch.tensor([-1])).tolist() == [0]
    assert first_of_each_class(torch.tensor([-1, 5, -1, 5, 0])).tolist() == [4, 1]
    assert len(first_of_each_class(torch.arange(1000))) == 16


def strict(text):
    def refuse(constant):
        raise AssertionError(constant)

    return json.loads(text, parse_constant=refuse)


def test_json_knows_no_nan():
    content = {"a": math.nan, "b": [math.inf, -math.inf, 1.5], "c": {"d": (math.nan, 2)}, "e": None, "f": "NaN"}
    expected = {"a": None, "b": [None, None, 1.5], "c": {"d": [None, 2]}, "e": None, "f": "NaN"}
    assert strict(to_json(content)) == expected
    assert to_json([1], indent=None) == "[1]\n"


def test_rows_survive_json_with_all_that_is_unknown(mnist, tmp_path):
    few = TestSet(mnist.images[:5], mnist.labels[:5])
    (row,) = few.measure(Nothing(), PatchMask(), readouts=["amplitude"])
    odd = replace(row, fidelity=math.nan, hole_error=math.inf, psnr=None, ssim=None, accuracy_by_class={3: 0.5})
    path = tmp_path / "metrics.json"
    path.write_text(to_json({"format": 2, "rows": [vars(row), vars(odd)]}))
    strict(path.read_text())
    same, restored = read_rows(path)
    assert same == row
    assert math.isnan(restored.fidelity)
    assert math.isnan(restored.hole_error)
    assert (restored.psnr, restored.ssim, restored.accuracy_by_class) == (None, None, {3: 0.5})
    for content in ("{}", "[1, 2", '{"format": 1, "rows": []}', '{"format": 2, "rows": [3]}'):
        path.write_text(content)
        with pytest.raises(InputError, match="or choose another file by --out"):
            read_rows(path)


def test_every_row_says_what_it_is_of_and_older_ones_are_told_by_their_names(mnist, tmp_path):
    few, patch = TestSet(mnist.images[:5], mnist.labels[:5]), PatchMask()
    subjects: dict[Kind, Model] = {
        "quantum": MaskedAutoencoder.from_preset("qae"),
        "network": build_model(ClassicalConfig(patch, "autoencoder"), seed=0),
        "design": build_model(FreeConfig(patch, "tied"), seed=0),
        "baseline": Nothing(),
        "original": Original(),
    }
    rows = [few.measure(subject, patch, readouts=["amplitude"])[0] for subject in subjects.values()]
    assert [row.kind for row in rows] == list(subjects)
    older = [{name: value for name, value in vars(row).items() if name != "kind"} for row in rows]
    path = tmp_path / "metrics.json"
    path.write_text(to_json({"format": 2, "rows": older}))
    assert read_rows(path) == rows
    assert [subject.settings.get("patch.ratio") for subject in subjects.values()] == [0.25, 0.25, 0.25, None, None]


def test_what_was_measured_otherwise_is_kept(mnist):
    few = TestSet(mnist.images[:5], mnist.labels[:5])
    rows: list[Row] = few.measure(Nothing(), PatchMask())
    other = [replace(row, images=10_000) for row in rows]
    assert merged(rows, other) == [*rows, *other]
    again = [replace(row, fidelity=0.1) for row in rows]
    assert merged(again, [*rows, *other]) == [*again, *other]
    assert merged(rows[:1], rows) == rows


def test_neighbours_among_more_images_than_are_held_at_once_are_those_of_scikit_learn():
    generator = torch.Generator().manual_seed(0)
    train, test = torch.rand(600_000, 4, 4, generator=generator), torch.rand(50, 4, 4, generator=generator)
    assert train.numel() > AT_ONCE > 10 * len(train)  # in two parts, and some of the 50 at a time
    masks = PatchMask(4).at(2, len(test))
    hole = masks.hidden[0]
    with LiveTensors(at_least=10_000) as live:
        filled = NearestNeighbours(train, 4).fill(hide(test, masks), masks)
    assert live.peak * 4 < 256 * 2**20
    search = NearestNeighbors(n_neighbors=4, algorithm="brute").fit(train[:, ~hole].numpy())
    chosen = search.kneighbors(test[:, ~hole].numpy(), return_distance=False)
    torch.testing.assert_close(filled[:, hole], train[chosen][:, :, hole].mean(1))


class Counting(Ridge):
    """Counts how often it solves for a mask."""

    solved = 0

    def _weights(self, hole):
        self.solved += 1
        return super()._weights(hole)


@pytest.mark.parametrize("patch", [PatchMask(8), PatchMask(8, 0.25, "anywhere"), PatchMask(8, 0.125, patches=2)])
def test_ridge_solves_once_for_each_mask_however_many_images(patch):
    images = torch.rand(BATCH_PIXELS // 64 + 3_000, 8, 8, generator=torch.Generator().manual_seed(0))
    masks = patch.sample(len(images), generator=torch.Generator().manual_seed(1))
    ridge = Counting(images[:100])
    found = ridge.complete(images, masks)
    assert ridge.solved == len(masks.position.unique(dim=0))
    few = torch.arange(0, len(images), 700)
    alone = Ridge(images[:100]).complete(images[few], masks[few])
    torch.testing.assert_close(found.probabilities[few], alone.probabilities)
    torch.testing.assert_close(found.fidelity[few], alone.fidelity)


@pytest.mark.parametrize("size", [4, 8, 16])
def test_neighbours_take_no_more_than_200_mib_above_the_data(size):
    code = f"""
import resource, torch
from qmae import NearestNeighbours, PatchMask
torch.set_num_threads(1)
train, test = torch.rand(55_000, {size}, {size}), torch.rand(3_000, {size}, {size})
masks = PatchMask({size}).sample(len(test), generator=torch.Generator().manual_seed(0))
model = NearestNeighbours(train)
model.complete(test[:1], masks[:1])  # what every command brings along
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
model.complete(test, masks)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    kibibytes = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert int(kibibytes) < 200 * 2**10


def test_few_images_have_few_neighbours_and_none_are_refused():
    images = torch.rand(3, 8, 8)
    masks = PatchMask(8).sample(3, generator=torch.Generator().manual_seed(0))
    filled = NearestNeighbours(images, 5).fill(hide(images, masks), masks)
    mean = torch.where(masks.hidden, images.mean(0), images)
    torch.testing.assert_close(filled, mean)
    for kind in (NearestNeighbours, Ridge, MeanPatch, TokenPatch):
        with pytest.raises(InputError, match="give one image at least"):
            kind(images[:0])
    with pytest.raises(InputError, match="number of neighbours 0 is out of bounds"):
        NearestNeighbours(images, 0)
    for penalty in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(InputError, match="choose a positive one"):
            Ridge(images, penalty)


def test_intervals_of_nothing_are_refused_and_of_many_values_fit_into_memory():
    with pytest.raises(InputError, match="no value is known"):
        bootstrap_interval(torch.tensor([torch.nan]))
    low, high = bootstrap_interval(torch.rand(30_000, generator=torch.Generator().manual_seed(0)))
    assert low < 0.5 < high
