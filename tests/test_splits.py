"""The split of a data file depends on each image alone."""

import hashlib
from itertools import chain

import numpy as np
import pytest
import torch

from qmae.data.datasets import Fingerprint
from qmae.data.images import fingerprint, keys_of, load_images
from qmae.data.splits import image_keys, split_by_key
from qmae.errors import InputError

SPLITS = ("train", "validation", "test")


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(0, 256, (600, 4, 4), dtype=np.uint8)


def save(path, **arrays):
    np.savez(path, **arrays)
    return path


def members(path):
    """Which label lies in which split."""
    return {split: set(load_images(path, split=split, size=4)[1].tolist()) for split in SPLITS}


def test_splits_are_disjoint_complete_and_shuffled(tmp_path, images):
    found = [
        load_images(save(tmp_path / "a.npz", images=images, labels=np.arange(600)), split=s, size=4) for s in SPLITS
    ]
    labels = [labels.tolist() for _, labels in found]
    assert sorted(chain(*labels)) == list(range(600))
    assert labels[2] != sorted(labels[2])
    brightest = torch.from_numpy(images).float() / 255
    for pixels, order in found:
        torch.testing.assert_close(pixels, brightest[order])


def test_a_sixth_is_for_testing_and_a_twelfth_for_validation():
    keys = image_keys(np.random.default_rng(1).random((12_000, 3, 3)))
    train, validation, test = (len(split_by_key(keys, split)) for split in SPLITS)
    # Within four standard deviations of the binomial distribution.
    assert abs(test - 2_000) < 4 * (12_000 * 5 / 36) ** 0.5
    assert abs(validation - 1_000) < 4 * (12_000 * 11 / 144) ** 0.5
    assert train + validation + test == 12_000


@pytest.mark.parametrize("change", ["append", "prepend", "insert", "shuffle", "remove"])
def test_what_else_a_file_holds_moves_no_image(tmp_path, images, change):
    kept = np.arange(100, 600)
    order = {
        "append": np.arange(600),
        "prepend": np.concatenate([np.arange(500, 600), np.arange(500)]),
        "insert": np.concatenate([np.arange(250), np.arange(550, 600), np.arange(250, 550)]),
        "shuffle": np.random.default_rng(3).permutation(600),
        "remove": kept,
    }[change]
    before = members(save(tmp_path / "a.npz", images=images[:500], labels=np.arange(500)))
    after = members(save(tmp_path / "b.npz", images=images[order], labels=order))
    both = set(range(500)) & set(order.tolist())
    for split in SPLITS:
        assert before[split] & both == after[split] & both


def test_copies_of_an_image_lie_in_one_split(tmp_path, images):
    twice = np.concatenate([images[:100], images[:100], images[:100] // 2 * 2])
    found = members(save(tmp_path / "a.npz", images=twice, labels=np.arange(300) % 100))
    exact = members(save(tmp_path / "b.npz", images=twice[:200], labels=np.arange(200) % 100))
    assert not exact["train"] & exact["test"]
    assert not exact["train"] & exact["validation"]
    assert sum(map(len, exact.values())) == 100
    assert found["train"] >= exact["train"]


@pytest.mark.parametrize("store", [lambda x: x / 255, lambda x: (x / 255).astype(">f4"), lambda x: x / 2550, np.int64])
def test_an_image_keeps_its_key_however_its_pixels_are_stored(images, store):
    assert np.array_equal(image_keys(store(images)), image_keys(images))
    assert np.array_equal(image_keys(np.asfortranarray(images)), image_keys(images))


def test_keys_tell_images_and_shapes_apart(images):
    assert len(np.unique(image_keys(images))) == 600
    other = images.copy()
    other[:, 1, 2] ^= 1
    assert not (image_keys(other) == image_keys(images)).any()
    assert not (image_keys(images.reshape(600, 2, 8)) == image_keys(images)).any()


@pytest.mark.parametrize("seed", range(30))
@pytest.mark.parametrize("count", [3, 4, 7])
def test_no_split_of_a_tiny_set_is_empty(count, seed):
    keys = image_keys(np.random.default_rng(seed).random((count, 4, 4)))
    chosen = [split_by_key(keys, split).tolist() for split in SPLITS]
    assert all(chosen)
    assert sorted(chain(*chosen)) == list(range(count))


def test_low_keys_alone_leave_a_training_image():
    keys = np.array([5, 3, 4, 3], np.uint64)
    assert [split_by_key(keys, split).tolist() for split in SPLITS] == [[0], [2], [1, 3]]


def test_copies_of_one_image_are_in_every_split():
    keys = image_keys(np.ones((12, 4, 4)))
    assert [len(split_by_key(keys, split)) for split in SPLITS] == [8, 2, 2]


@pytest.mark.parametrize("count", [1, 2])
def test_less_than_three_images_train_nothing(tmp_path, count):
    path = save(tmp_path / "a.npz", images=np.ones((count, 4, 4)))
    with pytest.raises(InputError, match=rf"a\.npz holds {count} images: training, validation and testing need 3"):
        keys_of(path, "test")


def test_keys_come_in_the_order_of_the_images(tmp_path, images):
    path = save(tmp_path / "a.npz", images=images)
    for split in (*SPLITS, "all"):
        loaded = load_images(path, split=split, size=4)[0].numpy()
        assert np.array_equal(keys_of(path, split), image_keys(loaded))


def test_keys_of_mnist_are_those_of_its_images():
    keys = keys_of("mnist", "validation")
    assert keys.shape == (5_000,)
    assert keys.dtype == np.uint64


def test_a_fingerprint_is_of_content_and_not_of_the_file(tmp_path, images):
    path = save(tmp_path / "a.npz", images=images, labels=np.arange(600))
    np.savez_compressed(tmp_path / "b.npz", labels=np.arange(600), images=images, names=np.arange(2))
    first = fingerprint(path)
    assert first == fingerprint(tmp_path / "b.npz")
    assert isinstance(first, Fingerprint)
    assert first.images == 600
    expected = hashlib.sha256(b"|u1 (600, 4, 4)" + images.tobytes() + b"<i8 (600,)" + np.arange(600).tobytes())
    assert first.sha256 == expected.hexdigest()
    assert fingerprint("mnist") is None


@pytest.mark.parametrize("change", ["pixel", "label", "order", "append"])
def test_a_fingerprint_tells_every_change(tmp_path, images, change):
    labels = np.arange(600) % 7
    before = fingerprint(save(tmp_path / "a.npz", images=images, labels=labels))
    match change:
        case "pixel":
            images[500, 3, 3] ^= 1
        case "label":
            labels[599] = 0
        case "order":
            images[:2], labels[:2] = images[1::-1].copy(), labels[1::-1].copy()
        case "append":
            images, labels = np.concatenate([images, images[:1]]), np.append(labels, 0)
    assert fingerprint(save(tmp_path / "a.npz", images=images, labels=labels)) != before
