import json
import math

import pytest
import torch

from qmae import MaskedAutoencoder, ModelConfig, PatchMask
from qmae.data.batches import hide
from qmae.data.images import load_images
from qmae.errors import InputError
from qmae.simulation.states import embed


@pytest.fixture(scope="module")
def images():
    return load_images(split="validation")[0][:12]


def sample(images, patch=None, seed=0):
    return (patch or PatchMask(images.shape[-1])).sample(len(images), generator=torch.Generator().manual_seed(seed))


def test_parameter_counts_of_the_paper():
    assert MaskedAutoencoder.from_preset("qae").parameter_count == 420
    assert MaskedAutoencoder.from_preset("qmae").parameter_count == 484
    for ratio, pixels in ((0.125, 32), (0.5, 128)):
        assert MaskedAutoencoder.from_preset("qmae", patch=PatchMask(16, ratio)).parameter_count == 420 + pixels


def test_presets_differ_in_the_token_alone(images):
    qae, qmae = (MaskedAutoencoder.from_preset(name, seed=3) for name in ("qae", "qmae"))
    assert torch.equal(qae.encoder.angles, qmae.encoder.angles)
    assert torch.equal(qae.fidelity(images, sample(images)), qmae.fidelity(images, sample(images)))
    assert (qae.name, qmae.name) == ("qae", "qmae")


def test_without_trash_and_mask_the_decoder_undoes_the_encoder(images):
    model = MaskedAutoencoder.from_preset("qae", trash_wires=(), seed=1).double()
    with torch.no_grad():
        model.encoder.angles.mul_(10)
    masks = PatchMask(16, 1 / 256).at(0, len(images))  # the pixel in the corner is black in all of them
    assert not hide(images, masks).ne(images).any()
    torch.testing.assert_close(model.fidelity(images.double(), masks), torch.ones(12).double(), rtol=0, atol=1e-12)
    reconstructions = model.reconstruct(images.double(), masks).flatten(1)
    torch.testing.assert_close(reconstructions, embed(images.double().flatten(1)), rtol=0, atol=1e-10)


def test_hidden_pixels_reach_the_reference_alone(images):
    model, masks = MaskedAutoencoder.from_preset("qmae", seed=2), sample(images)
    for output in (model.reconstruct, lambda *args: model.encode(*args).state):
        assert torch.equal(output(images, masks), output(hide(images, masks), masks))


def test_gradient_of_the_token_comes_from_the_hole(images):
    model, masks = MaskedAutoencoder.from_preset("qmae"), sample(images)
    model(images, masks).mean().backward()
    assert model.token.grad.abs().min() > 0
    assert model.encoder.angles.grad.isfinite().all()


def test_encoded_states_are_states_and_their_trash_population_bounds_the_fidelity(images):
    """The decoder's output lies in the span of trash |0>, and F is an overlap with what is left of |ref> there."""
    model, masks = MaskedAutoencoder.from_preset("qmae", seed=4).double(), sample(images)
    images = images.double()
    encoded = model.encode(images, masks)
    assert encoded.state.shape == (12, 2, 128)
    for density in (encoded.trash, encoded.latent):
        torch.testing.assert_close(density, density.mH)
        traces = density.diagonal(dim1=1, dim2=2).sum(1)
        torch.testing.assert_close(traces, torch.ones_like(traces))
    torch.testing.assert_close(encoded.trash_population, encoded.trash[:, 0, 0].real)
    black = PatchMask(16, 1 / 256).at(0, len(images))
    reference = MaskedAutoencoder.from_preset("qae", seed=4).double().encode(images, black).trash_population
    assert (model.fidelity(images, masks) <= reference + 1e-12).all()


def test_probabilities_sum_to_one_and_readouts_agree(images):
    model, masks = MaskedAutoencoder.from_preset("qmae"), sample(images)
    probability = model.reconstruct(images, masks, readout="probability")
    torch.testing.assert_close(probability.sum((1, 2)), torch.ones(12))
    torch.testing.assert_close(model.reconstruct(images, masks, readout="amplitude") ** 2, probability)


def test_black_originals_are_refused_by_index(images):
    black = images.clone()
    black[7] = 0
    with pytest.raises(InputError, match="image 7 is all black: it has no direction to embed"):
        MaskedAutoencoder.from_preset("qmae").fidelity(black, sample(images))
    black[7] = math.nan
    with pytest.raises(InputError, match="image 7 holds NaN or infinity"):
        MaskedAutoencoder.from_preset("qmae").fidelity(black, sample(images))


def test_an_original_that_is_wholly_hidden_has_fidelity_0_and_a_black_reconstruction():
    images = torch.zeros(1, 16, 16)
    images[0, :8, :8] = 1
    masks = PatchMask().at(0, 1)
    model = MaskedAutoencoder.from_preset("qae")
    fidelity = model.fidelity(images, masks)
    assert fidelity.item() == 0
    fidelity.sum().backward()
    assert model.encoder.angles.grad.isfinite().all()
    assert not model.reconstruct(images, masks).any()


def test_a_model_can_be_measured_under_masks_of_another_ratio(images):
    model = MaskedAutoencoder.from_preset("qmae", patch=PatchMask(16, 0.125))
    with torch.no_grad():
        model.token.fill_(0.5)
    masks = sample(images)
    filled = model.fill(images, masks)
    assert (filled[masks.hidden] == 0.5).all()
    assert torch.equal(filled[~masks.hidden], images[~masks.hidden])


@pytest.mark.parametrize("trash", [(1,), (7,), (0, 3)])
def test_trash_wires_are_a_setting(trash, images):
    model = MaskedAutoencoder.from_preset("qmae", trash_wires=trash)
    assert model.encode(images, sample(images)).state.shape == (12, 2 ** len(trash), 2 ** (8 - len(trash)))


def test_saved_models_come_back(tmp_path, images):
    patch = PatchMask(16, 0.5, "anywhere")
    model = MaskedAutoencoder.from_preset("qmae", patch=patch, trash_wires=(3,), layers=2, seed=9)
    model.save_pretrained(tmp_path / "model")
    loaded = MaskedAutoencoder.from_pretrained(tmp_path / "model")
    assert loaded.config == model.config
    masks = sample(images, patch)
    assert torch.equal(loaded.fidelity(images, masks), model.fidelity(images, masks))


def test_folders_without_a_model_are_refused(tmp_path):
    with pytest.raises(InputError, match="no run folder"):
        MaskedAutoencoder.from_pretrained(tmp_path / "gone")
    with pytest.raises(InputError, match="holds no model that can be read"):
        MaskedAutoencoder.from_pretrained(tmp_path)
    MaskedAutoencoder.from_preset("qae").save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    config["model"]["mask_token"] = "shared"  # its weights lack a token
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match="holds no model that can be read"):
        MaskedAutoencoder.from_pretrained(tmp_path)


@pytest.mark.usefixtures("unchecked")
def test_bad_settings_are_refused():
    with pytest.raises(InputError, match="no preset 'vae': choose one of qmae, qmae-heralded"):
        MaskedAutoencoder.from_preset("vae")
    with pytest.raises(InputError, match="no setting depth"):
        MaskedAutoencoder.from_preset("qae", depth=2)
    with pytest.raises(InputError, match="no mask token 'many'"):
        ModelConfig(mask_token="many")  # pyright: ignore[reportArgumentType]
    for trash in ((8,), (0, 0), tuple(range(8))):
        with pytest.raises(InputError, match="trash wires"):
            ModelConfig(trash_wires=trash)
    with pytest.raises(InputError, match="number of layers 0 is out of bounds: give a whole number from 1 to 10000"):
        MaskedAutoencoder.from_preset("qae", layers=0)


def test_one_token_fills_several_holes():
    patch = PatchMask(16, 0.5, patches=8)
    model = MaskedAutoencoder.from_preset("qmae", patch=patch)
    model.token.data = torch.arange(16.0).view(4, 4)
    images = torch.zeros(5, 16, 16)
    masks = patch.sample(5, generator=torch.Generator().manual_seed(0))
    assert torch.equal(model.fill(images, masks), model.token.data.repeat(4, 4) * masks.hidden)
