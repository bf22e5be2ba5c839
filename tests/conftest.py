"""What all tests share. Types and shapes of the package are checked by a flag of pytest, in pyproject.toml."""

import sys
from pathlib import Path

import jaxtyping
import numpy as np
import pytest
import torch
from hypothesis import settings

# The same cases in every run: a change breaks a test, not chance.
settings.register_profile("fixed", derandomize=True, deadline=None, max_examples=20)
settings.load_profile("fixed")

torch.set_num_threads(1)


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(7)


@pytest.fixture(scope="session", autouse=True)
def _cache_of_the_session(tmp_path_factory):
    """What commands keep lies in a folder of the tests, not of the user."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def small_data(tmp_path_factory) -> Path:
    """120 images of 8 x 8 pixels: a bright bar on a dim ground, its row the label."""
    rng = np.random.default_rng(0)
    labels = np.arange(120) % 4
    images = rng.uniform(0, 0.1, (120, 8, 8)).astype(np.float32)
    for image, label in zip(images, labels, strict=True):
        image[2 * label : 2 * label + 2] += 0.8
    path = tmp_path_factory.mktemp("data") / "bars.npz"
    np.savez(path, images=images, labels=labels)
    return path


@pytest.fixture
def small_case(small_data):
    """An untrained QMAE of 4 qubits, three images and their masks."""
    from qmae import MaskedAutoencoder, PatchMask, load_images

    patch = PatchMask(4, 0.25)
    images = load_images(str(small_data), size=4)[0][:3]
    masks = patch.sample(3, generator=torch.Generator().manual_seed(0))
    return MaskedAutoencoder.from_preset("qmae", patch=patch, seed=0), images, masks


@pytest.fixture(params=["qmae-plus", "qmae-heralded", "qmae-compressed"])
def beyond_case(request, small_case):
    """A model beyond the paper's with angles about which nothing is special, three images, masks at two positions."""
    from qmae import MaskedAutoencoder

    _, images, masks = small_case
    assert len(masks.position.unique()) > 1
    model = MaskedAutoencoder.from_preset(request.param, patch=masks.patch, layers=2, initial_spread=1.0)
    return model, images, masks


@pytest.fixture
def unchecked():
    """Without the checks of types and shapes, so that an argument of a wrong type reaches the package's own message."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.fixture
def command(monkeypatch, capsys):
    """Run the command in this process; gives exit code, output and errors."""

    from qmae.cli import main

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["qmae", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            main()
        printed = capsys.readouterr()
        return stopped.value.code or 0, printed.out, printed.err

    return run
