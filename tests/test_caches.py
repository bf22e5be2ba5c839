"""Nothing that is kept between calls remembers the context of the first one."""

import subprocess
import sys

import pytest
import torch
from torch.func import grad, vmap

from qmae import MaskedAutoencoder, PatchMask
from qmae.data.masks import Masks
from qmae.models.baselines import Nothing, TokenPatch
from qmae.models.free import FreeConfig, FreeModel
from qmae.training.sweeps import Sweeps

PATCH = PatchMask(4, 0.25)
ANYWHERE = PatchMask(4, 0.25, "anywhere")


@pytest.fixture(autouse=True)
def _fresh():
    """Every test starts as a new process does: whatever a function of the package has kept is forgotten."""
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] == "qmae":
            for value in vars(module).values():
                if hasattr(value, "cache_clear"):
                    value.cache_clear()


def data():
    return torch.rand(4, 4, 4, generator=torch.Generator().manual_seed(0)), torch.arange(4)


def build(name="qmae-compressed", patch=PATCH, **settings):
    return MaskedAutoencoder.from_preset(name, patch=patch, **{"layers": 2, "initial_spread": 0.5, **settings})


def use_everything():
    """All that is kept is asked for: of angles and blocks, of sites of sweeps, of holes and tokens."""
    images, positions = data()
    masks = Masks(PATCH, positions)
    values = [build().fidelity(images, masks), build("qmae").fidelity(images, masks)]
    values += [build("qmae", ANYWHERE).fidelity(images, ANYWHERE.at(2, 4)), Nothing().fidelity(images, masks)]
    return torch.stack(values).detach()


def train_everything():
    images, positions = data()
    masks = Masks(PATCH, positions)
    for model in (build(), build("qmae"), build("qmae", ANYWHERE)):
        model(images, masks if model.config.patch == PATCH else ANYWHERE.at(2, 4)).mean().backward()
        assert all(parameter.grad.isfinite().all() for parameter in model.parameters())
    design = FreeModel(FreeConfig(PATCH, "unitary-per-position"), generator=torch.Generator().manual_seed(0))
    design(images, masks).mean().backward()
    TokenPatch(images, iterations=2).fidelity(images, masks)
    Sweeps(build(), learning_rate=0.01).step(images, masks)


def in_inference_mode():
    with torch.inference_mode():
        use_everything()


def under_a_gradient():
    images, positions = data()
    grad(lambda images: build()(images, Masks(PATCH, positions)).mean())(images)
    grad(lambda images: build("qmae")(images, Masks(PATCH, positions)).mean())(images)


def under_vmap():
    images, positions = data()
    for model in (build(), build("qmae")):
        vmap(lambda image, position, model=model: model(image[None], Masks(PATCH, position[None])))(images, positions)


def under_autocast():
    with torch.autocast("cpu", dtype=torch.bfloat16):
        use_everything()


def on_the_device_meta():
    images, positions = data()
    models = build(), build("qmae")
    with torch.device("meta"):
        for model in models:
            model(images, Masks(PATCH, positions))


def in_double_precision():
    torch.set_default_dtype(torch.float64)
    try:
        use_everything()
    finally:
        torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize(
    "first", [in_inference_mode, under_a_gradient, under_vmap, under_autocast, on_the_device_meta, in_double_precision]
)
def test_whoever_comes_first_the_next_can_train(first):
    first()
    train_everything()
    torch.testing.assert_close(use_everything(), EXPECTED, rtol=0, atol=0)


EXPECTED = use_everything()


def test_masks_that_were_used_in_inference_mode_can_be_trained_with():
    images, positions = data()
    masks, model = Masks(PATCH, positions), build("qmae")
    with torch.inference_mode():
        model.fidelity(images, masks)
        assert masks.hidden.any()
    model(images, masks).mean().backward()
    assert model.token.grad.isfinite().all()


def test_what_a_patch_gives_away_is_not_what_it_keeps():
    for name in ("corners", "holes"):
        before = getattr(PATCH, name).clone()
        getattr(PATCH, name).fill_(1)
        assert torch.equal(getattr(PATCH, name), before)
    index = PATCH.token_index((2, 2)).clone()
    PATCH.token_index((2, 2)).fill_(0)
    assert torch.equal(PATCH.token_index((2, 2)), index)


SCRIPT = """
import torch
from qmae import MaskedAutoencoder, PatchMask
images, patch = torch.rand(4, 4, 4), PatchMask(4, 0.25)
with torch.inference_mode():
    MaskedAutoencoder.from_preset("{name}", patch=patch, layers=1).reconstruct(images, patch.at(0, 4))
MaskedAutoencoder.from_preset("{name}", patch=patch, layers=1)(images, patch.at(0, 4)).mean().backward()
"""


@pytest.mark.parametrize("name", ["qmae", "qmae-heralded"])
def test_inference_mode_is_the_first_of_a_process(name):
    done = subprocess.run([sys.executable, "-c", SCRIPT.format(name=name)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
