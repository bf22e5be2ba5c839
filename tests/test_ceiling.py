from typing import get_args

import numpy as np
import pytest
import torch
from torch.nn.utils.parametrize import remove_parametrizations

from qmae.data.images import load_images
from qmae.data.masks import PatchMask
from qmae.errors import InputError
from qmae.experiments.ceiling import best_on_validation, searches
from qmae.models.autoencoder import MaskedAutoencoder
from qmae.models.choices import Design
from qmae.models.free import DESIGNS, FreeConfig, FreeModel
from qmae.simulation.states import embed
from qmae.training.parallel import train_all
from qmae.training.runs import Run

designs = pytest.mark.parametrize("design", get_args(Design))
PATCH = PatchMask(4, 0.25)


def build(design, patch=PATCH, **settings):
    model = FreeModel(FreeConfig(patch, design, **settings), generator=torch.Generator().manual_seed(0)).double()
    with torch.no_grad():
        model.tokens.uniform_(0, 1, generator=torch.Generator().manual_seed(1))
    return model


def case(generator, count=12):
    images = torch.rand(count, 4, 4, generator=generator, dtype=torch.float64)
    return images, PATCH.sample(count, generator=generator)


@designs
def test_outputs_are_states_and_their_fidelity_is_that_of_the_density_matrix(design, generator):
    model, (images, masks) = build(design), case(generator)
    maps, success = model.maps().detach().numpy(), model.success_probability(images, masks)
    filled, originals = (embed(part.flatten(1)).detach().numpy() for part in (model._filled(images, masks), images))
    for index, position in enumerate(masks.position):
        kraus = maps[position if len(maps) > 1 else 0]
        rho = sum(np.outer(k @ filled[index], k @ filled[index]) for k in kraus)
        largest = max(np.linalg.svd(k, compute_uv=False)[0] for k in kraus)
        if model.heralded:
            assert success[index].item() == pytest.approx(np.trace(rho) / largest**2)
        else:
            assert np.trace(rho) == pytest.approx(success[index].item(), abs=1e-5)
        rho = rho / np.trace(rho)
        expected = originals[index] @ rho @ originals[index]
        assert model.fidelity(images, masks)[index].item() == pytest.approx(expected, abs=1e-5)
        np.testing.assert_allclose(
            model.probabilities(images, masks)[index].detach().flatten(), np.diag(rho), atol=1e-5
        )


@pytest.mark.parametrize("design", [d for d in get_args(Design) if "heralded" not in d])
def test_deterministic_designs_preserve_probability(design):
    for kraus in build(design).maps():
        identity = torch.einsum("koi,koj->ij", kraus, kraus)
        torch.testing.assert_close(identity, torch.eye(16, dtype=torch.float64), atol=1e-5, rtol=0)


def test_tied_is_the_papers_model_with_a_free_matrix(generator):
    """A circuit whose gates happen to be real, put in for the free matrix."""
    images, masks = case(generator)
    circuit = MaskedAutoencoder.from_preset("qmae", patch=PATCH).double()
    with torch.no_grad():
        circuit.encoder.angles.zero_()  # every block a SWAP
        circuit.token.uniform_(0, 1, generator=generator)
    model = build("tied")
    eye = torch.eye(16, dtype=torch.float64)
    columns = circuit.autoencoder(0, states=16).encoder.encode(eye).flatten(1)
    assert columns.imag.abs().max() < 1e-5
    remove_parametrizations(model, "matrices")
    model.matrices = torch.nn.Parameter(columns.real.T[None])
    with torch.no_grad():
        model.tokens.copy_(circuit.token[None])
    torch.testing.assert_close(model.fidelity(images, masks), circuit.fidelity(images, masks))
    torch.testing.assert_close(model.probabilities(images, masks), circuit.probabilities(images, masks))


def test_a_freer_design_finds_at_least_as_much(tmp_path, small_data):
    patch = PatchMask(8, 0.25)
    images = load_images(str(small_data), split="validation", size=8)[0]
    masks = patch.sample(len(images), generator=torch.Generator().manual_seed(0))
    found = []
    for design in ("tied", "unitary-per-position"):
        config = FreeConfig(patch, design)
        runs = [
            Run(tmp_path / "runs" / name, config, training, str(small_data))
            for name, training in searches(config, range(2), epochs=60).items()
        ]
        train_all(runs)
        run = best_on_validation(runs)
        assert run.history().column("validation_fidelity")[-1] == max(
            other.history().column("validation_fidelity")[-1] for other in runs
        )
        found.append(run.load().fidelity(images, masks).mean().item())
        assert run.load().fidelity(images, masks).requires_grad
    assert found[0] < found[1]
    assert len(list((tmp_path / "runs").iterdir())) == 4


@pytest.mark.usefixtures("unchecked")
def test_every_design_is_explained_and_others_are_refused():
    assert set(DESIGNS) == set(get_args(Design))
    with pytest.raises(InputError, match="no design 'perfect'"):
        FreeConfig(design="perfect")  # pyright: ignore[reportArgumentType]
    with pytest.raises(InputError, match="one patch on a grid"):
        FreeConfig(PatchMask(8, 0.25, "anywhere"))
