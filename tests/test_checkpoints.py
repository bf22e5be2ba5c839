"""Checkpoints and weights: what is damaged, or somebody else's, is refused in one line or changes nothing."""

import io
import json
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from qmae import MaskedAutoencoder, ModelConfig, PatchMask, TrainingConfig, load_images, train
from qmae.errors import InputError
from qmae.models.choices import Design
from qmae.models.free import FreeConfig
from qmae.models.networks import NETWORKS, ClassicalConfig
from qmae.models.registry import from_pretrained
from qmae.models.weights import load_tensors, save_tensors
from qmae.training.checkpoints import checkpoint_bytes, load_checkpoint, sketch
from qmae.training.runs import Run
from samples import same_parameters

PATCH = PatchMask(8, 0.25)
CONFIG = TrainingConfig(epochs=3, batch_size=60)


@pytest.fixture(scope="module")
def data(small_data):
    return [load_images(small_data, split=split, size=8)[0] for split in ("train", "validation")]


@pytest.fixture(scope="module")
def interrupted(small_data, tmp_path_factory):
    """A run that stopped after its first epoch."""
    folder = tmp_path_factory.mktemp("interrupted") / "run"
    script = """
import sys
from contextlib import contextmanager
from pathlib import Path
from qmae import ModelConfig, PatchMask, TrainingConfig
from qmae.training.runs import Run

@contextmanager
def stop(description, total):
    done = 0
    def advance(steps):
        nonlocal done
        done += steps
        if done == 3:
            raise SystemExit
    yield advance

Run(Path(sys.argv[1]), ModelConfig(PatchMask(8)), TrainingConfig(3, 60), sys.argv[2]).train(progress=stop)
"""
    subprocess.run([sys.executable, "-c", script, folder, small_data], check=True)
    assert Run.open(folder).epochs_done == 1
    return folder


@pytest.fixture
def stopped(interrupted, tmp_path):
    return Path(shutil.copytree(interrupted, tmp_path / "run"))


def one_line(error):
    return "\n" not in str(error) and len(str(error)) < 1000


def flipped(content, bit):
    damaged = bytearray(content)
    damaged[bit // 8] ^= 1 << bit % 8
    return bytes(damaged)


def test_no_flipped_bit_of_a_checkpoint_is_resumed(stopped, data):
    path, chosen = stopped / "checkpoint.pt", random.Random(0)
    content = path.read_bytes()
    model = MaskedAutoencoder(ModelConfig(PATCH), generator=torch.Generator())
    for bit in [0, 7, *(chosen.randrange(8 * len(content)) for _ in range(100)), 8 * len(content) - 1]:
        path.write_bytes(flipped(content, bit))
        with pytest.raises(InputError, match=r"checkpoint\.pt is damaged and cannot be resumed") as refused:
            train(model, *data, config=CONFIG, folder=stopped)
        assert one_line(refused.value)


def test_a_flipped_bit_of_the_weights_is_refused_or_changes_nothing(stopped):
    path, chosen = stopped / "model.safetensors", random.Random(1)
    content, whole = path.read_bytes(), from_pretrained(stopped).state_dict()
    refused = 0
    for bit in (chosen.randrange(8 * len(content)) for _ in range(200)):
        path.write_bytes(flipped(content, bit))
        try:
            found = from_pretrained(stopped).state_dict()
        except InputError:
            refused += 1
        else:
            assert all(torch.equal(found[name], value) for name, value in whole.items())
    assert refused > 150


@pytest.mark.parametrize("length", [0, 1, 7, 8, 9, 100, -3])
@pytest.mark.parametrize("name", ["checkpoint.pt", "model.safetensors", "config.json"])
def test_files_cut_short_are_one_line(stopped, name, length):
    content = (stopped / name).read_bytes()
    (stopped / name).write_bytes(content[:length])
    with pytest.raises(InputError) as refused:
        (Run.open(stopped).train if name == "checkpoint.pt" else lambda: from_pretrained(stopped))()
    assert one_line(refused.value)


def pickled(content):
    stream = io.BytesIO()
    torch.save(content, stream)
    return stream.getvalue()


def test_checkpoints_that_hold_something_else_are_one_line(stopped, data):
    path = stopped / "checkpoint.pt"
    good, settings = _content(path)
    name = "encoder.angles"
    nan = {**good, "model": {**good["model"], name: good["model"][name] * float("nan")}}
    states = [nan, {}, {**good, "history": []}, {**good, "history": [[1.0]]}, {**good, "history": "abc"}]
    states += [{**good, "history": good["history"][:-1]}, {**good, "generator": torch.zeros(3)}]
    states += [{**good, "optimizer": part} for part in (None, {}, [], {"adam": {}, "schedule": {}}, {"adam": 3})]
    states += [{**good, "model": part} for part in (None, {}, [], {name: torch.zeros(2)}, {name: "x"})]
    contents = [checkpoint_bytes(state, settings) for state in states]
    contents += [checkpoint_bytes(good, part) for part in ({}, {"model": 3}, {**settings, "images": 3})]
    contents += [pickled({"model": {}, "history": []}), pickled(good), b"", b"PK\x03\x04", os.urandom(500)]
    for content in contents:
        path.write_bytes(content)
        model = MaskedAutoencoder(ModelConfig(PATCH), generator=torch.Generator())
        with pytest.raises(InputError) as refused:
            train(model, *data, config=CONFIG, folder=stopped)
        assert one_line(refused.value)


def _content(path):
    found = torch.load(io.BytesIO(path.read_bytes()[50:]), weights_only=True)
    return found["state"], found["settings"]


class Evil:
    def __reduce__(self):
        return os.system, ("touch executed",)


def test_nothing_is_executed(stopped, tmp_path, monkeypatch, data):
    monkeypatch.chdir(tmp_path)
    _, settings = _content(stopped / "checkpoint.pt")
    (stopped / "checkpoint.pt").write_bytes(checkpoint_bytes({"model": Evil()}, settings))
    with pytest.raises(InputError, match="damaged"):
        load_checkpoint(stopped / "checkpoint.pt", settings)
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"training": TrainingConfig(3, 60, learning_rate=0.1)}, "learning_rate"),
        ({"training": TrainingConfig(3, 60, seed=4)}, "seed"),
        ({"training": TrainingConfig(4, 60)}, "epochs"),
        ({"training": TrainingConfig(3, 30)}, "batch_size"),
        ({"model": ModelConfig(PATCH, initial_spread=0.1)}, "initial_spread"),
        ({"images": 1}, "images"),
        ({"validation": 1}, "validation images"),
    ],
)
def test_a_training_of_other_settings_or_images_does_not_go_on(stopped, data, change, named):
    images, validation = (part.clone() for part in data)
    if "images" in change:
        images[[0, 1]] = images[[1, 0]]
    if "validation" in change:
        validation[3, 2, 2] += 1 / 255
    model = MaskedAutoencoder(change.get("model", ModelConfig(PATCH)), generator=torch.Generator())
    with pytest.raises(InputError, match=rf"of another training \({named} differ\)"):
        train(model, images, validation, change.get("training", CONFIG), folder=stopped)


def test_a_sketch_tells_images_apart_but_not_roundings(data):
    images = data[0]
    assert sketch(images) == sketch(images.double())
    noisy = images * (1 + 1e-7 * torch.randn(images.shape, generator=torch.Generator().manual_seed(0)))
    assert abs(sketch(noisy)[2] - sketch(images)[2]) < 1e-7
    assert abs(sketch(images.flip(0))[2] - sketch(images)[2]) > 1e-3


def test_the_library_makes_the_folder_it_is_given(tmp_path, data):
    model = MaskedAutoencoder(ModelConfig(PATCH), generator=torch.Generator())
    train(model, *data, config=TrainingConfig(1, 90), folder=str(tmp_path / "a" / "b"))
    assert (tmp_path / "a" / "b" / "model.safetensors").exists()
    (tmp_path / "file").write_text("mine")
    with pytest.raises(InputError, match="cannot write to"):
        train(model, *data, config=CONFIG, folder=tmp_path / "file" / "x")


@pytest.mark.slow
def test_a_training_killed_anywhere_goes_on_to_the_same_bytes(small_data, tmp_path):
    """Points that lie in every file of an epoch, before and after it is written, renamed and removed."""
    script = Path(__file__).with_name("crashes.py")
    points = [3, 5, 10, 16, 19, 25, 28, 34]
    command = [sys.executable, str(script), str(small_data), str(tmp_path), *map(str, points)]
    lines = subprocess.check_output(command, text=True).splitlines()
    assert [line.split()[:3] for line in lines] == [[str(point), "killed", "same"] for point in points]


def test_weights_of_any_layout_are_saved_whole_or_not_at_all(tmp_path):
    model = MaskedAutoencoder.from_preset("qmae", patch=PATCH)
    model.token = torch.nn.Parameter(torch.randn(4, 4).T)
    assert not model.token.is_contiguous()
    model.save_pretrained(tmp_path / "saved")
    assert same_parameters(MaskedAutoencoder.from_pretrained(tmp_path / "saved"), model)
    with torch.no_grad():
        model.encoder.angles[0, 0] = float("inf")
    with pytest.raises(InputError, match="angles holds NaN or infinity"):
        model.save_pretrained(tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_precision_is_kept(tmp_path):
    model = MaskedAutoencoder.from_preset("qmae", patch=PATCH).double()
    model.save_pretrained(tmp_path)
    assert MaskedAutoencoder.from_pretrained(tmp_path).encoder.angles.dtype == torch.float64
    save_tensors(tmp_path / "model.safetensors", {k: v.half() for k, v in model.state_dict().items()})
    with pytest.raises(InputError, match="neither all float32 nor all float64"):
        MaskedAutoencoder.from_pretrained(tmp_path)


def test_settings_and_weights_of_two_models_are_not_mixed(tmp_path):
    for name, spread in (("one", 0.5), ("two", 0.7)):
        MaskedAutoencoder.from_preset("qmae", patch=PATCH, initial_spread=spread).save_pretrained(tmp_path / name)
    shutil.copy(tmp_path / "one" / "config.json", tmp_path / "two")
    with pytest.raises(InputError, match="not of the model whose weights lie beside it"):
        from_pretrained(tmp_path / "two")


def test_weights_without_a_checksum_are_read_but_must_be_finite(tmp_path):
    model = MaskedAutoencoder.from_preset("qmae", patch=PATCH)
    model.save_pretrained(tmp_path)
    path = tmp_path / "model.safetensors"
    save_file(load_file(path), path)
    assert same_parameters(from_pretrained(tmp_path), model)
    save_file({**load_file(path), "token": torch.full((4, 4), float("nan"))}, path)
    with pytest.raises(InputError, match="token holds NaN"):
        from_pretrained(tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        {"layers": 10**6},
        {"layers": 10**30},
        {"ancillas": 10**12},
        {"patch": {"image_size": 2**40, "ratio": 0.25, "placement": "grid", "patches": 1}},
        {"patch": {"image_size": 2**600, "ratio": 0.25, "placement": "anywhere", "patches": 1}},
        {"patch": 3},
        {"layers": "1"},
        {"trash_wires": None},
    ],
)
def test_huge_and_wrong_settings_are_refused_before_anything_is_built(unchecked, tmp_path, change):
    MaskedAutoencoder.from_preset("qmae", patch=PATCH).save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    config["model"] |= change
    (tmp_path / "config.json").write_text(json.dumps(config))
    for read in (from_pretrained, MaskedAutoencoder.from_pretrained, lambda folder: Run.open(folder).load()):
        with pytest.raises(InputError) as refused:
            read(tmp_path)
        assert one_line(refused.value)


@pytest.mark.parametrize("kind", ["autoencoder", "unet", "free", "tied", "channel", "heralded"])
def test_the_shapes_of_settings_are_those_of_the_model(kind):
    from typing import get_args

    from qmae.models.registry import build_model

    patch = PatchMask(8, 0.25)
    config = ClassicalConfig(patch, kind) if kind in NETWORKS else FreeConfig(patch, kind)
    assert kind in {*NETWORKS, *get_args(Design)}
    found = {name: tuple(value.shape) for name, value in build_model(config, seed=0).state_dict().items()}
    assert config.parameter_shapes == found


def test_tensors_come_back_with_their_metadata_and_in_equal_files(tmp_path):
    tensors = {"a": torch.randn(3, 4).T, "b": torch.tensor(3.0), "c": torch.arange(5, dtype=torch.int8)}
    for name in ("x", "y"):
        save_tensors(tmp_path / name, tensors, {"epoch": 3, "of": ["d"]})
    found, metadata = load_tensors(tmp_path / "x")
    assert all(torch.equal(found[name], value) for name, value in tensors.items())
    assert metadata == {"epoch": 3, "of": ["d"]}
    assert (tmp_path / "x").read_bytes() == (tmp_path / "y").read_bytes()


@pytest.mark.parametrize("content", [b"", b"\xff" * 8, b"\xff" * 7 + b"\x7f{}", (2).to_bytes(8, "little") + b"[]"])
def test_headers_that_promise_more_than_there_is_are_one_line(tmp_path, content):
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(InputError, match="damaged"):
        load_tensors(tmp_path / "x")


def test_pipes_and_devices_are_no_weights(tmp_path):
    MaskedAutoencoder.from_preset("qmae", patch=PATCH).save_pretrained(tmp_path)
    for name in ("model.safetensors", "config.json"):
        (tmp_path / name).unlink()
        os.mkfifo(tmp_path / name)
        with pytest.raises(InputError, match="no regular file"):
            from_pretrained(tmp_path)
