"""Training by sweeps."""

import json
from copy import deepcopy
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import torch

from qmae.data.images import load_images
from qmae.data.masks import Masks, PatchMask
from qmae.errors import InputError
from qmae.models.autoencoder import MaskedAutoencoder
from qmae.models.config import ModelConfig
from qmae.training.config import TrainingConfig, preset_training
from qmae.training.loop import train
from qmae.training.runs import Run
from qmae.training.sweeps import Sweeps, momentum
from samples import same_parameters

PATCH = PatchMask(8, 0.25)
REAL = {"block": "so4", "initial_spread": 0.3, "mask_token": "none"}
MODELS = {
    "one circuit": {"bottleneck": "none", "trash_wires": (), "decoder": "none"},
    "one for every position": {"bottleneck": "none", "trash_wires": (), "decoder": "none", "conditioning": "separate"},
    "reset": {"decoder": "free", "conditioning": "separate"},
    "a channel": {"trash_wires": (6,), "ancillas": 1, "decoder": "none"},
    "heralded": {"bottleneck": "herald", "trash_wires": (6,), "ancillas": 1, "decoder": "none"},
    "heralded, decoded": {"bottleneck": "herald", "trash_wires": (0, 6), "ancillas": 1, "decoder": "free"},
}


@pytest.mark.parametrize("name", MODELS)
def test_without_momentum_the_fidelity_of_a_batch_only_goes_up(name, small_data, generator):
    images = load_images(str(small_data), size=8)[0].double()
    masks = PATCH.sample(len(images), generator=generator)
    model = MaskedAutoencoder(ModelConfig(PATCH, **REAL, **MODELS[name]), generator=generator).double()
    sweeps = Sweeps(model, learning_rate=0.1, momentum=lambda sweep: 0.0)
    losses = [sweeps.step(images, masks).mean().item() for _ in range(8)]
    assert all(later <= earlier + 1e-9 for earlier, later in pairwise(losses))
    assert losses[-1] < losses[0] - 0.05
    assert 1 - model.fidelity(images, masks).mean().item() <= losses[-1]


def test_momentum_pays_where_blocks_must_turn_together(small_data, generator):
    images = load_images(str(small_data), size=8)[0]
    masks = PATCH.sample(len(images), generator=generator)
    reached = []
    for share in (0.0, 0.8):
        config = ModelConfig(PATCH, **{**REAL, **MODELS["one for every position"], "initial_spread": 0.01, "layers": 4})
        model = MaskedAutoencoder(config, generator=torch.Generator().manual_seed(0))
        sweeps = Sweeps(model, learning_rate=0.1, momentum=lambda sweep, share=share: share)
        for _ in range(12):
            sweeps.step(images, masks)
        reached.append(model.fidelity(images, masks).mean().item())
    assert reached[1] > reached[0]


def test_momentum_grows_between_its_bounds():
    assert [momentum(sweep) for sweep in (1, 100, 125, 1000)] == pytest.approx([0.8, 0.8, 0.84, 0.88])


def test_discarded_runs_can_be_made_to_cost(small_data, generator):
    images = load_images(str(small_data), size=8)[0]
    masks = PATCH.sample(len(images), generator=generator)
    kept = []
    for weight in (0.0, 1.0):
        config = ModelConfig(PATCH, **REAL, **MODELS["heralded"])
        model = MaskedAutoencoder(config, generator=torch.Generator().manual_seed(0))
        sweeps = Sweeps(model, learning_rate=0.1, success_weight=weight)
        for _ in range(5):
            sweeps.step(images, masks)
        kept.append(model.success_probability(images, masks).mean().item())
    assert kept[0] < kept[1]


def test_the_token_is_trained_too(small_data, generator):
    images = load_images(str(small_data), size=8)[0]
    masks = PATCH.sample(len(images), generator=generator)
    config = ModelConfig(PATCH, **{**REAL, **MODELS["one circuit"], "mask_token": "per_position"})
    model = MaskedAutoencoder(config, generator=generator)
    sweeps = Sweeps(model, learning_rate=0.05)
    losses = [sweeps.step(images, masks).mean().item() for _ in range(10)]
    assert model.token.abs().min() > 0
    assert losses[-1] < losses[0]


def test_sweeps_go_on_at_the_sweep_where_they_stopped(small_data, generator):
    images = load_images(str(small_data), size=8)[0]
    masks = PATCH.sample(len(images), generator=generator)
    config = ModelConfig(PATCH, **{**REAL, **MODELS["heralded, decoded"], "mask_token": "per_position"})

    def sweeps_of(model):
        return Sweeps(model, learning_rate=0.1, momentum=lambda sweep: 1 - 1 / sweep)

    whole = MaskedAutoencoder(config, generator=torch.Generator().manual_seed(0))
    again = deepcopy(whole)
    sweeps, first = sweeps_of(whole), sweeps_of(again)
    for _ in range(2):
        sweeps.step(images, masks)
        first.step(images, masks)
    later = sweeps_of(again)
    later.load_state_dict(deepcopy(first.state_dict()))
    sweeps.step(images, masks)
    later.step(images, masks)
    assert same_parameters(whole, again)


def test_a_training_by_sweeps_goes_on_where_it_stopped(small_data, tmp_path, monkeypatch):
    config = ModelConfig(PATCH, **{**REAL, **MODELS["one circuit"], "mask_token": "shared"})
    training = TrainingConfig(epochs=3, batch_size=40, learning_rate=0.05, method="sweeps")
    whole = Run(tmp_path / "whole", config, training, str(small_data)).train()
    calls = []

    def interrupt(*args):
        calls.append(args)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return 0.5

    run = Run(tmp_path / "again", config, training, str(small_data))
    with monkeypatch.context() as patched:
        patched.setattr("qmae.training.loop.mean_fidelity", interrupt)
        with pytest.raises(KeyboardInterrupt):
            run.train()
    resumed = run.train()
    assert same_parameters(resumed, whole)


@pytest.mark.parametrize("preset", ["qmae-plus", "qmae-heralded", "qmae-compressed"])
@pytest.mark.parametrize("present", [[1], [0, 2, 3]])
def test_circuits_without_images_in_the_batch_are_not_touched(preset, present, small_data, generator):
    images = load_images(str(small_data), size=8)[0][:12]
    model = MaskedAutoencoder.from_preset(preset, patch=PATCH, layers=2, initial_spread=0.3)
    sweeps = Sweeps(model, learning_rate=0.1)
    for _ in range(2):
        sweeps.step(images, PATCH.sample(len(images), generator=generator))  # so that there is momentum
    absent = [position for position in range(4) if position not in present]

    def state():
        angles = [circuit.angles.detach() for circuit in model.circuits]
        return [tensor.clone() for tensor in (*angles, *sweeps.blocks, *sweeps.last)]

    before = state()
    sweeps.step(images, Masks(PATCH, torch.tensor(present).repeat(12)[:12]))
    for old, new in zip(before, state(), strict=True):
        assert torch.equal(new[absent], old[absent])
        assert all(not torch.equal(new[position], old[position]) for position in present)


@pytest.mark.parametrize("name", MODELS)
def test_the_losses_of_a_step_are_those_before_it(name, small_data, generator):
    images = load_images(str(small_data), size=8)[0]
    masks = PATCH.sample(len(images), generator=generator)
    settings = {**REAL, **MODELS[name], "mask_token": "per_position"}
    model = MaskedAutoencoder(ModelConfig(PATCH, **settings), generator=generator)
    sweeps = Sweeps(model, learning_rate=0.1)
    for _ in range(3):
        expected = model(images, masks).detach()
        assert torch.equal(sweeps.step(images, masks), expected)


@pytest.mark.parametrize("name", ["one for every position", "heralded, decoded"])
def test_a_step_moves_the_token_once(name, small_data, generator):
    """The first step of Adam is as long as the learning rate, against the sign of the gradient."""
    images = load_images(str(small_data), size=8)[0]
    masks = PATCH.sample(len(images), generator=generator)
    settings = {**REAL, **MODELS[name], "mask_token": "per_position"}
    model = MaskedAutoencoder(ModelConfig(PATCH, **settings), generator=generator)
    assert model.token is not None
    (slope,) = torch.autograd.grad(model(images, masks).sum(), [model.token])
    Sweeps(model, learning_rate=0.25).step(images, masks)
    torch.testing.assert_close(model.token.detach(), -0.25 * slope.sign(), atol=1e-4, rtol=0)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("count", [1, 5])
def test_equal_images_do_not_make_a_circuit_jump(name, count):
    """What they leave open stays: without momentum, sweeps come to rest."""
    image = torch.zeros(8, 8)
    image[4:6, 4:6] = 1
    images, masks = image.repeat(count, 1, 1), PATCH.at(0, count)
    model = MaskedAutoencoder(ModelConfig(PATCH, **REAL, **MODELS[name]), generator=torch.Generator().manual_seed(0))
    sweeps = Sweeps(model, learning_rate=0.1, momentum=lambda sweep: 0.0)
    losses = [sweeps.step(images, masks).mean().item() for _ in range(30)]
    before = [blocks.clone() for blocks in sweeps.blocks]
    losses.append(sweeps.step(images, masks).mean().item())
    assert all(later <= earlier + 1e-5 for earlier, later in pairwise(losses))
    assert losses[-1] < 0.01
    torch.testing.assert_close(sweeps.blocks, before, atol=0.01, rtol=0)


def test_images_of_which_no_shot_is_kept_steer_nothing():
    """The identity brings the visible pixel to trash 1, so that the success probability is 0."""
    config = ModelConfig(PATCH, **{**REAL, **MODELS["heralded, decoded"], "trash_wires": (0, 6), "initial_spread": 0.0})
    model = MaskedAutoencoder(config, generator=torch.Generator())
    image = torch.zeros(1, 8, 8)
    image[0, 7, 7] = 1
    masks = PATCH.at(0, 1)
    assert model.success_probability(image, masks).item() < 1e-9
    before = model.encoder.angles.detach().clone()
    losses = Sweeps(model, learning_rate=0.1).step(image, masks)
    assert losses.tolist() == [1]
    assert torch.equal(model.encoder.angles, before)


@pytest.mark.parametrize("preset", ["qmae-small", "qmae-plus", "qmae-heralded", "qmae-compressed"])
def test_few_images_train(preset, small_data):
    images, validation = (load_images(small_data, split=split, size=8)[0] for split in ("train", "validation"))
    model = MaskedAutoencoder.from_preset(preset, patch=PATCH, layers=2)
    history = train(model, images[:13], validation[:2], replace(preset_training(preset), epochs=30))
    assert len(history.rows) == 30  # one step an epoch: all images
    assert all(0 <= loss <= 1 for loss in history.column("loss_mean"))
    assert model.encoder.angles.isfinite().all()


def test_black_batches_without_a_token_are_skipped(small_data):
    """One lit pixel that is hidden in one batch of four, and then nothing is left to embed."""
    image = torch.zeros(8, 8, 8)
    image[:, 0, 0] = 1
    model = MaskedAutoencoder(
        ModelConfig(PATCH, **REAL, **MODELS["one for every position"]), generator=torch.Generator()
    )
    history = train(model, image, image, TrainingConfig(4, batch_size=1, learning_rate=0.1, method="sweeps"))
    assert 0 < sum(history.column("skipped")) < 32
    assert model.encoder.angles.isfinite().all()


def test_older_folders_that_say_sixty_thousand_for_all_are_those_of_the_presets(tmp_path, small_data):
    preset = ModelConfig.preset("qmae-small", PATCH, layers=1)
    run = Run(tmp_path / "run", preset, replace(preset_training("qmae-small"), epochs=1), str(small_data))
    run.train()
    config = tmp_path / "run" / "config.json"
    content = json.loads(config.read_text())
    assert content["training"]["batch_size"] is None
    content["training"]["batch_size"] = 60_000
    # This version writes no such number for all; what stands there is meant.
    config.write_text(json.dumps(content))
    assert Run.open(run.folder).training.batch_size == 60_000
    del content["format"]
    config.write_text(json.dumps(content))
    assert Run.open(run.folder).training == run.training
    run.check_settings()
    assert Run.open(Path("qmae-plus-25")).training == preset_training("qmae-plus")


def test_frozen_parameters_are_left_alone(small_data, generator):
    images = load_images(str(small_data), size=8)[0]
    model = MaskedAutoencoder.from_preset("qmae-plus", patch=PATCH, layers=1)
    model.token.requires_grad_(False)
    Sweeps(model, learning_rate=0.1).step(images, PATCH.sample(len(images), generator=generator))
    assert not model.token.any()
    model.encoder.angles.requires_grad_(False)
    with pytest.raises(InputError, match="frozen"):
        Sweeps(model, learning_rate=0.1)


def test_models_without_free_real_blocks_are_refused(generator):
    with pytest.raises(InputError, match="sweeps need blocks so4"):
        Sweeps(MaskedAutoencoder.from_preset("qmae"), learning_rate=0.1)
