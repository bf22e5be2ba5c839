import gzip
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision.transforms.v2.functional import resize as torchvision_resize

import qmae
from qmae.data.datasets import NpzFile, load_mnist
from qmae.data.images import black_images, keys_of, load_images
from qmae.data.pixels import resize
from qmae.errors import InputError


def test_mnist_splits_are_disjoint_and_complete():
    train, validation, test = (load_images(split=split) for split in ("train", "validation", "test"))
    assert [len(images) for images, _ in (train, validation, test)] == [55_000, 5_000, 10_000]
    assert train[0].shape[1:] == (16, 16)
    # Published with MNIST: the first training image is a 5, the first test image a 7.
    assert (train[1][0], test[1][0]) == (5, 7)
    whole = load_mnist(train=True)
    torch.testing.assert_close(validation[0], resize(whole[0][-5_000:], 16))


def test_resizing_is_torchvisions_with_antialiasing():
    images = load_mnist(train=False)[0][:20]
    expected = torchvision_resize(images[:, None], [16, 16], antialias=True)[:, 0]
    torch.testing.assert_close(resize(images, 16), expected)
    assert resize(images, 16).min() >= 0
    assert resize(images, 16).max() <= 1


@pytest.mark.parametrize("size", [0, 1, 12, 28, -4])
def test_sizes_that_are_no_power_of_two_are_refused(size):
    with pytest.raises(InputError, match=f"image size {size} is no power of two"):
        load_images(size=size)


@pytest.mark.parametrize("size", [16.0, "16", True, 2**40])
def test_sizes_of_another_kind_are_refused(unchecked, size):
    with pytest.raises(InputError, match=r"image size .*: give a whole number"):
        load_images(size=size)


def damaged_copy(folder, damage):
    shutil.copytree(Path(qmae.__file__).parent / "data" / "mnist", folder)
    damage(folder / "t10k-labels-idx1-ubyte.gz")
    return folder


def test_a_missing_file_is_named(tmp_path):
    folder = damaged_copy(tmp_path / "mnist", lambda path: path.unlink())
    with pytest.raises(InputError, match=r"no data file .*t10k-labels-idx1-ubyte\.gz"):
        load_mnist(train=False, folder=folder)


def test_a_truncated_file_is_named(tmp_path):
    folder = damaged_copy(tmp_path / "mnist", lambda path: path.write_bytes(path.read_bytes()[:2000]))
    with pytest.raises(InputError, match=r"t10k-labels-idx1-ubyte\.gz is damaged"):
        load_mnist(train=False, folder=folder)


def test_a_changed_file_is_told_by_its_checksum(tmp_path):
    def flip(path):
        content = bytearray(gzip.decompress(path.read_bytes()))
        content[100] ^= 1
        path.write_bytes(gzip.compress(bytes(content)))

    with pytest.raises(InputError, match=r"MD5 is [0-9a-f]{32}, expected 27ae3e4e09519cfbb04c329615203637"):
        load_mnist(train=False, folder=damaged_copy(tmp_path / "mnist", flip))


def save(path, **arrays):
    np.savez(path, **arrays)
    return path


def test_labels_may_lack(tmp_path):
    images, labels = load_images(save(tmp_path / "a.npz", images=np.full((3, 8, 8), 51, np.uint8)), split="all", size=8)
    torch.testing.assert_close(images, torch.ones(3, 8, 8))
    assert labels.tolist() == [-1, -1, -1]


@pytest.fixture
def strokes():
    """40 images of a thin bright stroke on a dim ground, in 256 grays; one of them touches white."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 90, (40, 16, 16))
    images[np.arange(40), rng.integers(0, 16, 40)] += 120
    images[7, 3, 3] = 255
    return images


STORED = {
    "bytes": lambda x: x.astype(np.uint8),
    "12 bits": lambda x: (x * 16).astype(np.uint16),
    "signed": lambda x: (x * 100).astype(np.int16),
    "64 bits": lambda x: x.astype(np.uint64) << np.uint64(55),
    "big-endian": lambda x: x.astype(">i4"),
    "floats": lambda x: x / 255,
    "divided twice": lambda x: (x / 255 / 255).astype(np.float32),
    "a tenth": lambda x: x / 2550,
    "tiny": lambda x: x * 1e-300,
    "long double": lambda x: (x / 255).astype(np.longdouble),
    "columns first": lambda x: np.asfortranarray(x / 255),
    "a channel": lambda x: x[..., None].astype(np.uint8),
    "a channel first": lambda x: x[:, None].astype(np.uint8),
}


@pytest.mark.parametrize("store", STORED.values(), ids=STORED)
@pytest.mark.parametrize("size", [8, 16])
@pytest.mark.parametrize("split", ["train", "all"])
def test_the_scale_of_a_file_does_not_matter_nor_its_data_type(tmp_path, strokes, store, size, split):
    given, _ = load_images(save(tmp_path / "a.npz", images=store(strokes)), split=split, size=size)
    whole = torchvision_resize(torch.from_numpy(strokes).float()[:, None] / 255, [size, size], antialias=True)[:, 0]
    order = load_images(save(tmp_path / "b.npz", images=strokes, labels=np.arange(40)), split=split, size=size)[1]
    torch.testing.assert_close(given, (whole / whole.max())[order], atol=1e-6, rtol=0)


def test_zeros_and_ones_are_black_and_white_in_every_type(tmp_path, strokes):
    bits = strokes > 100
    loaded = [
        load_images(save(tmp_path / "a.npz", images=stored), split="all", size=16)[0]
        for stored in (bits, bits.astype(np.uint8), bits.astype(np.float16), bits * np.uint8(255))
    ]
    for images in loaded:
        assert torch.equal(images, torch.from_numpy(bits).float())


def test_thin_strokes_stay_visible_in_small(tmp_path):
    images = np.zeros((3, 64, 64), np.uint8)
    images[[0, 1, 2], 20, [10, 20, 30]] = 255
    small = load_images(save(tmp_path / "a.npz", images=images), split="all", size=4)[0]
    assert small.max() == 1
    assert (small.amax((1, 2)) > 0.3).all()


def test_mnist_is_divided_by_255_alone():
    images = load_images(split="validation")[0]
    raw = load_mnist(train=True)[0][-5_000:]
    assert raw.max() == 1
    assert torch.equal(images, resize(raw, 16))


def test_what_rounding_adds_to_white_is_white(tmp_path):
    images = np.full((3, 4, 4), 0.5)
    images[1] = 1.0000001
    assert load_images(save(tmp_path / "a.npz", images=images), split="all", size=4)[0].max() == 1
    images[1] = 1.00001
    with pytest.raises(InputError, match=r"image 1 holds values from 1\.00001 to 1\.00001"):
        load_images(save(tmp_path / "a.npz", images=images), split="all", size=4)


def test_npz_of_two_images_trains_nothing(tmp_path):
    path = save(tmp_path / "a.npz", images=np.ones((2, 4, 4)))
    with pytest.raises(InputError, match="holds 2 images: training, validation and testing need 3 at least"):
        load_images(path, split="train", size=4)
    with pytest.raises(InputError, match="MNIST comes as train, validation and test"):
        load_images(split="all")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.nan, "image 1 holds NaN: pixels must lie in"),
        (1.5, "image 1 holds values from 0.5 to 1.5"),
        (-0.25, "image 1 holds values from -0.25 to 0.5"),
        (np.inf, "image 1 holds values from 0.5 to inf"),
        (255, "image 1 holds values from 0.5 to 255: .* divide bytes by 255"),
    ],
)
def test_values_that_are_no_pixels_are_refused_by_index(tmp_path, value, message):
    images = np.full((3, 4, 4), 0.5)
    images[1, 2, 2] = value
    with pytest.raises(InputError, match=message):
        load_images(save(tmp_path / "a.npz", images=images), size=4)


def test_whole_numbers_below_zero_are_refused_and_all_of_them_named(tmp_path):
    images = np.ones((30, 4, 4), np.int8)
    images[[3, 8, 9], 1, 1] = -5
    with pytest.raises(InputError, match=r"image 3 holds values from -5 to 1: .*; images 8, 9 cannot be used either"):
        load_images(save(tmp_path / "a.npz", images=images), size=4)


def test_an_all_black_image_is_refused_by_its_index_in_the_file(tmp_path):
    images = np.ones((40, 4, 4))
    images[38] = 0
    for split in ("train", "validation", "test"):
        with pytest.raises(InputError, match=r"image 38 is all black: it has no direction to embed.*--skip-black"):
            load_images(save(tmp_path / "a.npz", images=images), split=split, size=4)


def with_black(path, strokes, *black, value=0):
    images = strokes / 255
    images[list(black)] = value
    return save(path, images=images, labels=np.arange(40))


def test_all_black_images_are_named_up_to_ten(tmp_path, strokes):
    with pytest.raises(InputError, match=r"a\.npz: images 3, 8, 21 are all black: they have no direction"):
        load_images(with_black(tmp_path / "a.npz", strokes, 3, 8, 21))
    with pytest.raises(InputError, match=r"images 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 8 more are all black"):
        load_images(with_black(tmp_path / "b.npz", strokes, *range(18)))


def test_black_images_are_left_out_if_asked_and_move_no_other(tmp_path, strokes):
    path, whole = with_black(tmp_path / "a.npz", strokes, 3, 8, 21), save(tmp_path / "b.npz", images=strokes)
    assert black_images(path, size=16) == [3, 8, 21]
    assert black_images(whole, size=16) == []
    seen = []
    for split in ("train", "validation", "test"):
        images, labels = load_images(path, split=split, skip_black=True)
        expected = [label for label in labels_of(strokes, tmp_path, split) if label not in (3, 8, 21)]
        assert labels.tolist() == expected
        torch.testing.assert_close(images, torch.from_numpy(strokes / 255).float()[labels])
        assert len(keys_of(path, split, size=16, skip_black=True)) == len(labels)
        seen += labels.tolist()
    assert sorted(seen) == [index for index in range(40) if index not in (3, 8, 21)]


def labels_of(images, folder, split):
    return load_images(save(folder / "labels.npz", images=images, labels=np.arange(40)), split=split)[1].tolist()


def test_an_image_that_is_black_in_small_alone_is_black_there(tmp_path):
    images = np.ones((4, 64, 64))
    images[2] = 0
    images[2, 0, 0] = 1e-5
    path = save(tmp_path / "a.npz", images=images)
    assert len(load_images(path, split="all", size=64)[0]) == 4
    with pytest.raises(InputError, match="image 2 is all black"):
        load_images(path, split="all", size=4)
    assert len(load_images(path, split="all", size=4, skip_black=True)[0]) == 3


def test_a_file_of_black_images_alone_is_refused_even_so(tmp_path):
    path = save(tmp_path / "a.npz", images=np.zeros((2, 4, 4)))
    for skip_black in (False, True):
        with pytest.raises(InputError, match="images 0, 1 are all black"):
            load_images(path, split="all", size=4, skip_black=skip_black)


def test_no_image_of_mnist_is_black():
    assert black_images("mnist", size=2) == []
    assert load_images(split="validation", size=2)[0].amax((1, 2)).min() > 0


def test_load_npz_is_the_whole_file_as_it_is_scaled(tmp_path, strokes):
    images, labels = NpzFile(save(tmp_path / "a.npz", images=strokes, labels=np.arange(40) - 1)).load("all")
    torch.testing.assert_close(images, torch.from_numpy(strokes).float() / 255)
    assert labels.tolist() == list(range(-1, 39))
