"""Training by sweeps."""

from itertools import pairwise

import pytest
import torch

from qmae.config import ModelConfig
from qmae.errors import InputError
from qmae.images import load_images
from qmae.masking import PatchMask
from qmae.models import MaskedAutoencoder
from qmae.runs import Run
from qmae.settings import TrainingConfig
from qmae.sweeping import Sweeps, momentum

PATCH = PatchMask(8, 0.25)
REAL = {"block": "so4", "initial_spread": 0.3, "mask_token": "none"}
MODELS = {
    "one circuit": {"bottleneck": "none", "trash_wires": (), "decoder": "none"},
    "one for every place": {"bottleneck": "none", "trash_wires": (), "decoder": "none", "conditioning": "separate"},
    "reset": {"decoder": "free", "conditioning": "separate"},
    "a channel": {"trash_wires": (6,), "ancillas": 1, "decoder": "none"},
    "heralded": {"bottleneck": "herald", "trash_wires": (6,), "ancillas": 1, "decoder": "none"},
    "heralded, decoded": {"bottleneck": "herald", "trash_wires": (0, 6), "ancillas": 1, "decoder": "free"},
}


@pytest.mark.parametrize("name", MODELS)
def test_without_momentum_the_fidelity_of_a_batch_only_goes_up(name, small_data, generator, monkeypatch):
    monkeypatch.setattr("qmae.sweeping.MOMENTUM", 0.0)
    images = load_images(str(small_data), size=8)[0].double()
    masks = PATCH.sample(len(images), generator=generator)
    model = MaskedAutoencoder(ModelConfig(PATCH, **REAL, **MODELS[name]), generator=generator).double()
    sweeps = Sweeps(model, learning_rate=0.1)
    losses = [sweeps.step(images, masks).mean().item() for _ in range(8)]
    assert all(later <= earlier + 1e-9 for earlier, later in pairwise(losses))
    assert losses[-1] < losses[0] - 0.05
    assert 1 - model.fidelity(images, masks).mean().item() <= losses[-1]


def test_momentum_pays_where_blocks_must_turn_together(small_data, generator, monkeypatch):
    images = load_images(str(small_data), size=8)[0]
    masks = PATCH.sample(len(images), generator=generator)
    reached = []
    for share in (0.0, 0.8):
        monkeypatch.setattr("qmae.sweeping.MOMENTUM", share)
        config = ModelConfig(PATCH, **{**REAL, **MODELS["one for every place"], "initial_spread": 0.01, "layers": 4})
        model = MaskedAutoencoder(config, generator=torch.Generator().manual_seed(0))
        sweeps = Sweeps(model, learning_rate=0.1)
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


def test_a_training_by_sweeps_goes_on_where_it_stopped(small_data, tmp_path, monkeypatch):
    monkeypatch.setattr("qmae.sweeping.MOMENTUM", 0.0)
    monkeypatch.setattr("qmae.sweeping.RAMP", 1)  # so that it matters which sweep it is
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
        patched.setattr("qmae.training.mean_fidelity", interrupt)
        with pytest.raises(KeyboardInterrupt):
            run.train()
    resumed = run.train()
    assert torch.equal(resumed.angles, whole.angles)
    assert torch.equal(resumed.token, whole.token)


def test_models_without_free_real_blocks_are_refused(generator):
    with pytest.raises(InputError, match="sweeps need blocks so4"):
        Sweeps(MaskedAutoencoder.from_preset("qmae"), learning_rate=0.1)
