import os
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from qmae.data.images import load_images
from qmae.errors import InputError
from qmae.evaluation.classifier import (
    PACKAGED,
    build_classifier,
    jitter,
    load_classifier,
    predict,
    save_classifier,
    train_classifier,
)
from qmae.models.weights import save_tensors


def test_the_packaged_classifier_gets_99_3_percent_of_the_test_images():
    images, labels = load_images(split="test")
    assert (predict(load_classifier(), images) == labels).float().mean() >= 0.993


def test_it_is_the_papers_resnet18():
    model = build_classifier()
    assert model.conv1.in_channels == 1
    assert isinstance(model.maxpool, nn.Identity)
    # torchvision's ResNet18 has 11,689,512 parameters: less two input channels and 990 classes
    assert sum(parameter.numel() for parameter in model.parameters()) == 11_689_512 - 2 * 64 * 49 - 990 * 513


def test_predictions_do_not_depend_on_the_scale_of_an_image():
    images = load_images(split="validation")[0][:100]
    assert torch.equal(predict(load_classifier(), images), predict(load_classifier(), images * 0.01))


def test_quantization_keeps_every_weight_within_half_a_step(tmp_path):
    model = build_classifier()
    save_classifier(model, tmp_path / "c.safetensors")
    for (name, kept), value in zip(
        load_classifier(tmp_path / "c.safetensors").state_dict().items(), model.state_dict().values(), strict=True
    ):
        step = value.flatten(1).abs().amax(1).max() / 127 if value.ndim > 1 else 0
        assert (kept - value).abs().max() <= step / 2 + 1e-7, name


def test_packaged_weights_are_small_enough_to_ship():
    assert PACKAGED.stat().st_size < 12e6


def test_training_learns_and_keeps_the_best_epoch():
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(200) % 4
    images = torch.rand(200, 8, 8, generator=generator) * 0.1
    images[torch.arange(200), 2 * labels] = 1
    accuracies = []
    model = train_classifier(
        (images[:150], labels[:150]),
        (images[150:], labels[150:]),
        epochs=6,
        batch_size=25,
        generator=generator,
        on_epoch=lambda epoch, accuracy: accuracies.append(accuracy),
    )
    assert (predict(model, images[150:]) == labels[150:]).float().mean().item() == pytest.approx(max(accuracies))
    assert max(accuracies) > 0.6


def test_jitter_is_small_and_seeded():
    images = torch.zeros(50, 1, 16, 16)
    images[..., 7:9, 7:9] = 1
    first, again = (jitter(images, generator=torch.Generator().manual_seed(0)) for _ in range(2))
    assert torch.equal(first, again)
    assert not first[..., :5, :].any()  # the middle moves by 1 pixel at most
    assert not first[..., 11:, :].any()
    assert (first.flatten(1).sum(1) > 2).all()


def examples(count, classes=2, size=8):
    images = torch.rand(count, size, size, generator=torch.Generator().manual_seed(0))
    return images, torch.arange(count) % classes


@pytest.mark.parametrize(("count", "batch_size", "steps"), [(5, 4, 1), (6, 4, 2), (2, 60_000, 1), (3, 2, 1)])
def test_one_image_that_is_left_over_joins_the_last_batch(count, batch_size, steps):
    taken = []

    @contextmanager
    def progress(title, total):
        taken.append(total)
        yield lambda steps: taken.append(steps)

    generator = torch.Generator().manual_seed(0)
    settings = {"epochs": 1, "batch_size": batch_size, "generator": generator, "progress": progress}
    model = train_classifier(examples(count), examples(1), **settings)
    assert taken == [steps] + [1] * steps
    assert all(value.isfinite().all() for value in model.state_dict().values())


@pytest.mark.parametrize(
    ("train", "validation", "settings", "message"),
    [
        (examples(1), examples(3), {}, "1 training and 3 validation images: training a classifier needs 2 and 1"),
        (examples(3), examples(0), {}, "3 training and 0 validation images"),
        (examples(0), examples(0), {}, "0 training and 0 validation images"),
        (examples(3), examples(3), {"batch_size": 1}, "batch size 1 is out of bounds: give a whole number from 2"),
        (
            (examples(3)[0], torch.tensor([0, -1, -1])),
            examples(2),
            {},
            "2 of 3 training and 2 .* have none: add `labels`",
        ),
        ((examples(3)[0], torch.tensor([0, 1, 10**9])), examples(2), {}, "the label 1000000000: labels must lie below"),
        (examples(3, classes=1), examples(2), {}, "all 3 training images have one label"),
        (examples(4), examples(2), {"learning_rate": 1e38}, r"learning rate 1e\+38 is out of bounds"),
        (examples(4), examples(2), {"learning_rate": float("nan")}, "learning rate nan is out of bounds"),
        (examples(4), examples(2), {"epochs": 0}, "number of epochs 0 is out of bounds"),
        (examples(4), examples(2), {"weight_decay": 1e45, "epochs": 3}, "diverged in epoch|no finite numbers"),
        ((examples(4)[0] * torch.nan, examples(4)[1]), examples(2), {}, "image 0 .* holds NaN"),
        (examples(4), (examples(4)[0] * 255, examples(4)[1]), {}, "pixels must lie in"),
        ((examples(4)[0], examples(3)[1]), examples(2), {}, r"4 images and labels of shape \[3\]: give one for each"),
    ],
)
def test_what_trains_no_classifier_is_refused(unchecked, train, validation, settings, message):
    with pytest.raises(InputError, match=message):
        train_classifier(train, validation, generator=torch.Generator().manual_seed(0), **{"epochs": 1, **settings})


def test_a_classifier_takes_images_of_its_own_size_alone(tmp_path):
    images = examples(4, size=8)[0]
    for given in (build_classifier(3, 8), build_classifier(3)):
        save_classifier(given, tmp_path / "c.safetensors", data="bars.npz")
        loaded = load_classifier(tmp_path / "c.safetensors")
        assert loaded.image_size == given.image_size
        assert loaded.classes == 3
        assert predict(loaded, images).shape == (4,)
    assert load_classifier().image_size == 16
    for classifier in (build_classifier(3, 16), load_classifier()):
        with pytest.raises(
            InputError, match=r"trained on images of 16 x 16 pixels, not 8 x 8: train one with .*--size 8"
        ):
            predict(classifier, images)


def test_training_keeps_the_size_of_the_images():
    model = train_classifier(examples(2, size=4), examples(1, size=4), epochs=1, generator=torch.Generator())
    assert (model.image_size, model.classes) == (4, 2)


def test_a_channel_of_zeros_stays_zeros(tmp_path):
    model = build_classifier(2)
    torch.nn.init.zeros_(model.conv1.weight)
    save_classifier(model, tmp_path / "c.safetensors")
    assert not load_classifier(tmp_path / "c.safetensors").conv1.weight.any()


def test_weights_that_give_no_numbers_are_refused(tmp_path):
    model = build_classifier(2)
    dict(model.named_buffers())["bn1.running_var"].fill_(-1.0)  # finite, and no variance
    with pytest.raises(InputError, match="gives no finite numbers: its weights are damaged"):
        predict(model, examples(2)[0])
    torch.nn.init.constant_(model.fc.bias, float("nan"))
    with pytest.raises(InputError, match="holds NaN or infinity"):
        save_classifier(model, tmp_path / "c.safetensors")


def test_every_damaged_classifier_file_is_refused(tmp_path):
    path = tmp_path / "c.safetensors"
    save_classifier(build_classifier(2, 8), path)
    whole, rng = path.read_bytes(), np.random.default_rng(0)
    header = int.from_bytes(whole[:8], "little")
    for index in [3, 7, *rng.integers(8, 8 + header, 4), *rng.integers(8 + header, len(whole), 4)]:
        path.write_bytes(whole[:index] + bytes([whole[index] ^ 4]) + whole[index + 1 :])
        with pytest.raises(InputError, match="holds no qmae classifier"):
            load_classifier(path)
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="holds no qmae classifier"):
        load_classifier(path)


@pytest.mark.parametrize(
    "change",
    [
        {"fc.bias": torch.zeros(())},
        {"fc.bias": torch.zeros(0)},
        {"fc.bias": torch.zeros(50_000)},
        {"fc.bias": torch.zeros(3)},
        {"fc.bias": torch.zeros(2, dtype=torch.complex64)},
        {"fc.bias": torch.tensor([0.0, torch.inf])},
        {"conv1.weight.scale": torch.ones(3)},
        {"more": torch.ones(3)},
        {"fc.bias": None},
        {"fc.weight.scale": None},
    ],
    ids=str,
)
def test_files_of_other_weights_are_refused(tmp_path, change):
    save_classifier(build_classifier(2, 8), tmp_path / "c.safetensors")
    tensors = {**load_file(tmp_path / "c.safetensors"), **change}
    save_file({name: value for name, value in tensors.items() if value is not None}, tmp_path / "d.safetensors")
    with pytest.raises(InputError, match="holds no qmae classifier"):
        load_classifier(tmp_path / "d.safetensors")


@pytest.mark.parametrize("size", ["8", -8, 8.0, True, [8]])
def test_an_image_size_that_is_none_is_refused(tmp_path, size):
    model = build_classifier(2)
    state = dict(model.state_dict())
    save_tensors(tmp_path / "c.safetensors", state, {"image_size": size})
    with pytest.raises(InputError, match=r"holds no qmae classifier .its image size is"):
        load_classifier(tmp_path / "c.safetensors")


def test_files_without_a_classifier_are_refused(tmp_path):
    with pytest.raises(InputError, match="no classifier"):
        load_classifier(tmp_path / "gone")
    (tmp_path / "other").write_text("no weights")
    with pytest.raises(InputError, match="holds no qmae classifier"):
        load_classifier(tmp_path / "other")
    with (tmp_path / "large").open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(InputError, match="holds no qmae classifier: 1,099,511,627,776 bytes are more than"):
        load_classifier(tmp_path / "large")
    os.mkfifo(tmp_path / "pipe")
    for name in ("pipe", "", "x" * 300, "nul\0"):
        with pytest.raises(InputError):
            load_classifier(tmp_path / name)
