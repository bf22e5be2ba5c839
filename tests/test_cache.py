"""What is kept of measurements is what would be measured, and nothing but that."""

import os
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch

from qmae.data.images import load_images
from qmae.data.masks import PatchMask
from qmae.evaluation.cache import Cache, digest
from qmae.evaluation.classifier import build_classifier
from qmae.evaluation.evaluate import TestSet
from qmae.evaluation.measuring import measure_baseline
from qmae.models.baselines import MeanPatch, NearestNeighbours, Nothing, Ridge, TokenPatch
from qmae.models.pixels import Original

PATCH = PatchMask(8, 0.25)


@pytest.fixture
def test_set(small_data):
    images, labels = load_images(str(small_data), split="test", size=8)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return TestSet(images, labels, build_classifier(4))


@pytest.fixture
def training(small_data):
    return load_images(str(small_data), split="train", size=8)[0]


@pytest.fixture
def kept(test_set, tmp_path):
    """A function that lets a test set keep measurements, anew; and how often it has classified images since."""
    counts = []

    @contextmanager
    def progress(description, total):
        counts.append(description)
        yield lambda units: None

    def fresh(folder=tmp_path / "cache", **changes):
        counts.clear()
        return replace(test_set, cache=Cache(folder), progress=progress, **changes)

    return fresh, counts


def baselines(training):
    return [
        Original(),
        NearestNeighbours(training),
        Ridge(training),
        TokenPatch(training),
        MeanPatch(training),
        Nothing(),
    ]


def measured(training, test, patch=PATCH):
    return [found for baseline in baselines(training) for found in measure_baseline(baseline, test, patch)]


def same(some, others):
    return all(
        one.row == other.row
        and torch.equal(one.fidelity, other.fidelity)
        and torch.equal(one.probabilities, other.probabilities)
        for one, other in zip(some, others, strict=True)
    )


def test_what_is_kept_is_what_is_measured_to_the_last_digit(test_set, training, kept):
    fresh, counts = kept
    without = measured(training, test_set)
    first = measured(training, fresh())
    assert "classifying" in counts
    again = measured(training, fresh())
    assert counts == []  # neither models nor originals were classified again
    assert same(first, without)
    assert same(again, without)
    assert [found.row.readout for found in again[:2]] == ["amplitude", "probability"]
    rows = [found.row for found in measure_baseline(Nothing(), fresh(), PATCH, readouts=["probability"], variant="v")]
    assert rows == [replace(without[-1].row, variant="v")]


def test_whatever_a_measurement_depends_on_makes_it_another(training, kept, test_set):
    fresh, _ = kept
    folder = fresh().cache.folder
    other = build_classifier(4)

    def files():
        return len(list(folder.iterdir())) if folder.exists() else 0

    def is_new(baseline, test, patch=PATCH):
        before = files()
        made = measure_baseline(baseline, test, patch, readouts=["amplitude"])
        assert same(made, measure_baseline(baseline, replace(test, cache=None), patch, readouts=["amplitude"]))
        return files() > before

    assert is_new(Ridge(training), fresh())
    assert not is_new(Ridge(training.clone()), fresh())
    assert is_new(Ridge(training[1:]), fresh())
    assert is_new(Ridge(training, penalty=1e-3), fresh())
    assert is_new(MeanPatch(training), fresh())
    assert is_new(Ridge(training), fresh(mask_seed=1))
    assert is_new(Ridge(training), fresh(images=test_set.images.flip(0)))
    assert is_new(Ridge(training), fresh(labels=test_set.labels.flip(0)))
    assert is_new(Ridge(training), fresh(source="elsewhere"))
    assert is_new(Ridge(training), fresh(classifier=None))
    assert is_new(Ridge(training), fresh(classifier=other))
    assert is_new(Ridge(training), fresh(), PatchMask(8, 0.25, "anywhere"))


def test_a_cache_that_is_damaged_or_cannot_be_written_is_as_none(test_set, training, kept, tmp_path):
    fresh, _ = kept
    without = measured(training, replace(test_set, classifier=None))
    measured(training, fresh(classifier=None))
    for index, path in enumerate(sorted(fresh().cache.folder.iterdir())):
        content = path.read_bytes()
        middle = len(content) // 2
        flipped = content[:middle] + bytes([content[middle] ^ 255]) + content[middle + 1 :]
        path.write_bytes([b"", flipped, content[:-20], b"PK\x03\x04"][index % 4])
    for _ in range(2):
        assert same(measured(training, fresh(classifier=None)), without)
    (tmp_path / "taken").write_text("a file")
    for folder in (tmp_path / "taken", tmp_path / "taken" / "below"):
        assert same(measured(training, fresh(folder, classifier=None)), without)


def test_what_only_its_user_knows_is_not_kept(training, kept):
    class Mine(MeanPatch):
        pass

    class Other(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.zeros(1))

        def forward(self, images):
            return images.flatten(1)[:, :4]

    fresh, _ = kept
    measure_baseline(Mine(training), fresh(classifier=None), PATCH)
    measure_baseline(MeanPatch(training), fresh(classifier=Other()), PATCH)
    assert not fresh().cache.folder.exists()


def test_the_users_cache_is_where_the_standard_says(monkeypatch, tmp_path):
    assert Cache.of_user().folder == Path(os.environ["XDG_CACHE_HOME"]) / "qmae"
    monkeypatch.setenv("HOME", str(tmp_path))
    for ignored in ("", "relative"):
        monkeypatch.setenv("XDG_CACHE_HOME", ignored)
        assert Cache.of_user().folder == tmp_path / ".cache" / "qmae"


def test_checksums_tell_types_shapes_and_values_apart():
    zeros = torch.zeros(4)
    others = [zeros.double(), zeros.view(2, 2), torch.tensor([0.0, 0, 0, 1]), zeros[:3], torch.tensor(0.0)]
    assert len({digest(part) for part in [zeros, *others]}) == 6
    assert digest(zeros.clone(), "a") == digest(zeros, "a") != digest(zeros, "b")
    assert digest(sorted(asdict(PATCH).items())) != digest(sorted(asdict(PatchMask(8, 0.5)).items()))
