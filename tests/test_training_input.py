"""What `train` accepts and refuses, and what it does whatever goes on around it."""

import os
from pathlib import Path
from typing import Any

import pytest
import torch

from qmae import MaskedAutoencoder, PatchMask, TrainingConfig, load_images, train
from qmae.errors import InputError
from qmae.models.free import FreeConfig, FreeModel
from qmae.models.networks import ClassicalConfig, ClassicalModel
from qmae.training.parallel import train_all
from qmae.training.runs import Run

PATCH = PatchMask(8, 0.25)
SOME = TrainingConfig(epochs=2, batch_size=30)


@pytest.fixture
def data(small_data):
    return [load_images(small_data, split=split, size=8)[0] for split in ("train", "validation")]


def new_model(name="qmae", **settings):
    return MaskedAutoencoder.from_preset(name, patch=PATCH, **settings)


def network(name="autoencoder"):
    return ClassicalModel(ClassicalConfig(PATCH, name), generator=torch.Generator().manual_seed(0))


def values(model):
    return [parameter.detach().clone() for parameter in model.parameters()]


def same(one, other):
    return all(map(torch.equal, values(one), values(other)))


@pytest.mark.parametrize("kind", [str, Path])
def test_the_folder_is_made(data, tmp_path, kind):
    folder = tmp_path / "some" / "where"
    train(new_model(), *data, config=SOME, folder=kind(folder))
    assert {"history.csv", "model.safetensors"} <= {path.name for path in folder.iterdir()}


def test_a_folder_that_cannot_be_written_is_refused_before_the_training(data, tmp_path):
    (tmp_path / "file").write_text("mine")
    model = new_model()
    for folder in (tmp_path / "file", tmp_path / "file" / "below", tmp_path / ("a" * 300), tmp_path / "null\0"):
        with pytest.raises(InputError, match="cannot write to"):
            train(model, *data, config=SOME, folder=folder)
    assert same(model, new_model())


@pytest.mark.parametrize(
    ("which", "make"),
    [
        (0, lambda images: images[:0]),
        (1, lambda images: images[:0]),
        (0, lambda images: images[:, :4, :4]),
        (1, lambda images: images.repeat(1, 2, 2)),
        (0, lambda images: images[:, :, :4]),
        (0, lambda images: images * 255),
        (1, lambda images: images / 255),
        (0, lambda images: images - 0.5),
        (1, lambda images: images.where(torch.arange(8) > 0, float("nan"))),
        (1, lambda images: images * (torch.arange(len(images)) > 0)[:, None, None]),
    ],
)
def test_images_that_are_none_are_refused(unchecked, data, which, make):
    data[which], model = make(data[which]), new_model()
    with pytest.raises(InputError):
        train(model, *data, config=SOME)
    assert same(model, new_model())


@pytest.mark.parametrize("kind", [torch.uint8, torch.bool, torch.int64])
def test_images_that_are_no_floats_are_refused(unchecked, data, kind):
    with pytest.raises(InputError, match="floats"):
        train(new_model(), data[0].to(kind), data[1], SOME)


@pytest.mark.parametrize("device", ["cuda:99", "nonsense", "meta", "mps", "cpu:-1"])
def test_devices_that_are_not_there_are_refused(data, device):
    model = new_model()
    with pytest.raises(InputError, match="device"):
        train(model, *data, config=SOME, device=device)
    assert same(model, new_model())


def test_precision_is_that_of_the_model(data):
    double, single = new_model().double(), new_model()
    found = train(double, *data, config=SOME)
    expected = train(single, *(images.double() for images in data), config=SOME)
    assert double.encoder.angles.dtype == torch.float64
    assert single.encoder.angles.dtype == torch.float32
    assert found.column("loss_mean") == pytest.approx(expected.column("loss_mean"), abs=1e-3)


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
def test_half_precision_is_refused(data, kind):
    for model in (new_model(), network(), FreeModel(FreeConfig(PATCH), generator=torch.Generator())):
        with pytest.raises(InputError, match=r"float\(\)"):
            train(model.to(kind), *data, config=SOME)


def test_parameters_that_are_not_finite_are_refused(data):
    model = new_model()
    model.encoder.angles.data[0, 0] = float("nan")
    with pytest.raises(InputError, match="not finite"):
        train(model, *data, config=SOME)


@pytest.mark.parametrize("name", ["qmae", "qmae-plus", "qmae-compressed"])
@pytest.mark.parametrize("around", [torch.no_grad, torch.inference_mode])
def test_trained_without_gradients_around_it_is_trained_all_the_same(data, name, around):
    one, other = (new_model(name, layers=1) for _ in range(2))
    config = TrainingConfig(2, batch_size=None, method="adam" if name == "qmae" else "sweeps")
    train(one, *data, config=config)
    with around():
        train(other, data[0] * 1, data[1] * 1, config)
    assert same(one, other)


def test_a_model_of_inference_mode_is_refused(data):
    with torch.inference_mode():
        model = new_model()
    with pytest.raises(InputError, match="inference_mode"):
        train(model, *data, config=SOME)


def test_frozen_parameters_stay(data):
    model = new_model()
    model.encoder.angles.requires_grad_(False)
    train(model, *data, config=SOME)
    assert torch.equal(model.encoder.angles, new_model().encoder.angles)
    assert model.token.any()
    model.token.requires_grad_(False)
    with pytest.raises(InputError, match="frozen"):
        train(model, *data, config=SOME)


@pytest.mark.parametrize(
    "build", [new_model, lambda: new_model("qmae-plus", layers=1), network, lambda: network("mae-small")]
)
def test_the_global_seed_changes_nothing(data, build):
    method = "sweeps" if getattr(build(), "name", "") == "qmae-small" else "adam"
    config, models = TrainingConfig(1, batch_size=30, learning_rate=0.01, method=method), []
    with torch.random.fork_rng(devices=[]):
        for seed in (1, 2):
            torch.manual_seed(seed)
            models.append(build())
            train(models[-1], *data, config=config)
    assert same(*models)


def test_none_and_more_than_there_are_mean_all_images(data):
    models = []
    for size in (None, len(data[0]), 10**6):
        models.append(new_model())
        assert len(train(models[-1], *data, config=TrainingConfig(2, batch_size=size)).rows) == 2
    assert same(models[0], models[1])
    assert same(models[0], models[2])


@pytest.fixture
def interrupted(data, tmp_path):
    """A folder of a training that was stopped after its first epoch."""
    seen = []

    class Bar:
        def __enter__(self):
            return seen.append

        def __exit__(self, *exception):
            pass

    def stop(units):
        seen.append(units)
        if len(seen) == 5:
            raise KeyboardInterrupt

    class Stopping(Bar):
        def __enter__(self):
            return stop

    config = TrainingConfig(4, batch_size=45)
    with pytest.raises(KeyboardInterrupt):
        train(new_model(), *data, config=config, folder=tmp_path, progress=lambda *about: Stopping())
    return tmp_path


def test_a_training_goes_on_with_its_own_settings_and_images_alone(data, interrupted):
    config: dict[str, Any] = {"epochs": 4, "batch_size": 45}
    for change in ({"learning_rate": 0.1}, {"seed": 1}, {"epochs": 5}, {"batch_size": None}, {"batch_size": 44}):
        with pytest.raises(InputError, match="another training"):
            train(new_model(), *data, config=TrainingConfig(**{**config, **change}), folder=interrupted)
    with pytest.raises(InputError, match="another training"):
        train(new_model("qae"), *data, config=TrainingConfig(**config), folder=interrupted)
    more, other = torch.cat([data[0], data[1][:1]]), data[0].clone()
    other[3, 2, 2] += 0.1
    for images, validation in ((more, data[1]), (other, data[1]), (data[0], data[1][:-1])):
        with pytest.raises(InputError, match="another training"):
            train(new_model(), images, validation, TrainingConfig(**config), folder=interrupted)
    whole, resumed = new_model(), new_model()
    train(whole, *data, config=TrainingConfig(**config))
    train(resumed, *data, config=TrainingConfig(**config), folder=interrupted)
    assert same(whole, resumed)


class Dying(Run):
    """A run whose process is ended from outside, as for want of memory."""

    def train(self, **settings):
        os._exit(9)


def test_a_process_that_dies_is_one_line(small_data, tmp_path):
    run = Dying(tmp_path / "run", new_model().config, SOME, str(small_data))
    with pytest.raises(InputError, match="a training process died"):
        train_all([run], jobs=2)


@pytest.mark.parametrize("jobs", [0, -1])
def test_without_jobs_nothing_is_trained(jobs):
    with pytest.raises(InputError, match="jobs"):
        train_all([], jobs=jobs)
