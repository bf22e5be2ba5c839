import gzip
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms.v2.functional import resize as torchvision_resize

import qmae
from qmae.errors import InputError
from qmae.images import load_files, load_images, load_mnist, resize


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


def test_npz_bytes_become_unit_interval_and_labels_may_lack(tmp_path):
    images, labels = load_images(save(tmp_path / "a.npz", images=np.full((3, 8, 8), 51, np.uint8)), split="all", size=8)
    torch.testing.assert_close(images, torch.full((3, 8, 8), 0.2))
    assert labels.tolist() == [-1, -1, -1]


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
    ],
)
def test_values_that_are_no_pixels_are_refused_by_index(tmp_path, value, message):
    images = np.full((3, 4, 4), 0.5)
    images[1, 2, 2] = value
    with pytest.raises(InputError, match=message):
        load_images(save(tmp_path / "a.npz", images=images), size=4)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": np.zeros((2, 4, 4))}, r"needs an array `images` of shape \[N, H, W\]"),
        ({"images": np.zeros((4, 4))}, "needs an array `images`"),
        ({"images": np.zeros((2, 4, 4)), "labels": np.zeros(3)}, r"`labels` has shape \(3,\), `images` holds 2"),
        ({"images": np.array([[["a"]]])}, "no numbers"),
        ({"images": np.zeros((2, 0, 0))}, "with one pixel at least"),
    ],
)
def test_npz_of_another_form_is_refused(tmp_path, arrays, message):
    with pytest.raises(InputError, match=message):
        load_images(save(tmp_path / "a.npz", **arrays), size=4)


def test_a_missing_or_damaged_npz_is_named(tmp_path):
    with pytest.raises(InputError, match=r"no data file .*a\.npz"):
        load_images(tmp_path / "a.npz")
    whole = save(tmp_path / "a.npz", images=np.random.default_rng(0).uniform(size=(9, 16, 16))).read_bytes()
    np.save(tmp_path / "b.npy", np.zeros((2, 4, 4)))
    for damaged in (b"no archive", whole[:2000], whole[:500] + b"x" + whole[501:], (tmp_path / "b.npy").read_bytes()):
        (tmp_path / "a.npz").write_bytes(damaged)
        with pytest.raises(InputError, match=r"a\.npz cannot be read as an \.npz file"):
            load_images(tmp_path / "a.npz")


def test_an_all_black_image_is_refused_by_its_index_in_the_file(tmp_path):
    images = np.ones((40, 4, 4))
    images[38] = 0
    for split in ("train", "validation", "test"):
        with pytest.raises(InputError, match="image 38 is all black: it has no direction to embed"):
            load_images(save(tmp_path / "a.npz", images=images), split=split, size=4)


def test_other_arrays_of_an_npz_do_not_matter(tmp_path):
    path = save(tmp_path / "a.npz", images=np.ones((3, 4, 4)), hidden=np.ones((3, 4, 4), bool), names=np.array(["a"]))
    assert len(load_images(path, split="all", size=4)[0]) == 3


def test_image_files_are_read_as_grayscale(tmp_path):
    Image.fromarray(np.full((16, 16, 3), 102, np.uint8)).save(tmp_path / "gray.png")
    torch.testing.assert_close(load_files([tmp_path / "gray.png"]), torch.full((1, 16, 16), 0.4))


def test_16_bit_pictures_keep_their_range(tmp_path):
    ramp = np.linspace(0, 65535, 256).astype(np.uint16).reshape(16, 16)
    Image.fromarray(ramp).save(tmp_path / "deep.png")
    expected = torch.from_numpy(ramp.astype(np.float32) / 65535)
    torch.testing.assert_close(load_files([tmp_path / "deep.png"])[0], expected)
    Image.fromarray(np.ones((16, 16), np.float32)).save(tmp_path / "float.tiff")
    with pytest.raises(InputError, match="pixels of no known range"):
        load_files([tmp_path / "float.tiff"])


def test_files_that_are_no_images_are_named(tmp_path):
    (tmp_path / "text.png").write_text("no image")
    with pytest.raises(InputError, match=r"text\.png is no image"):
        load_files([tmp_path / "text.png"])
    with pytest.raises(InputError, match=r"no image file .*gone\.png"):
        load_files([tmp_path / "gone.png"])
