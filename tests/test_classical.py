import pytest
import torch

from qmae.data.batches import hide
from qmae.data.images import load_images
from qmae.data.masks import PatchMask
from qmae.errors import InputError
from qmae.models.networks import NETWORKS, ClassicalConfig, ClassicalModel
from qmae.training.config import TrainingConfig
from qmae.training.runs import Run

networks = pytest.mark.parametrize("network", list(NETWORKS))


def build(network, patch, seed=0):
    config = ClassicalConfig(patch, network)
    return ClassicalModel(config, generator=torch.Generator().manual_seed(seed))


@networks
@pytest.mark.parametrize(
    "patch", [PatchMask(8, 0.25), PatchMask(16, 0.125, "anywhere"), PatchMask(16, 0.75, patches=12), PatchMask(32, 0.5)]
)
def test_networks_fill_holes_of_any_kind_and_never_see_what_is_hidden(network, patch, generator):
    model = build(network, patch)
    images = torch.rand(3, patch.image_size, patch.image_size, generator=generator)
    masks = patch.sample(3, generator=generator)
    with torch.no_grad():
        filled = model.probabilities(images, masks)
        assert filled.shape == images.shape
        assert torch.equal(model.probabilities(hide(images, masks), masks), filled)
    if network != "autoencoder":
        kept = model.fill(hide(images, masks), masks)
        assert torch.equal(kept[~masks.hidden], images[~masks.hidden])


@networks
def test_every_parameter_is_trained(network, generator):
    model = build(network, PatchMask())
    images = torch.rand(4, 16, 16, generator=generator)
    model(images, PatchMask().sample(4, generator=generator)).mean().backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in model.parameters())


def test_the_autoencoder_is_the_linear_twin():
    model = build("autoencoder", PatchMask())
    assert model.network.get_parameter("encoder.weight").shape == (128, 256)
    assert model.parameter_count == 2 * 256 * 128 + 128 + 256
    first, second = torch.rand(2, 1, 16, 16)
    masks = PatchMask().at(0, 1)
    halves = (model.fill(first, masks) + model.fill(second, masks)) / 2
    torch.testing.assert_close(model.fill((first + second) / 2, masks), halves)


def test_sizes_of_the_masked_autoencoders():
    assert build("mae-small", PatchMask()).parameter_count < 1_100
    assert 900_000 < build("mae", PatchMask()).parameter_count < 1_100_000


def test_the_encoder_of_a_masked_autoencoder_gets_visible_patches_alone():
    network = build("mae", PatchMask()).network
    seen = []
    network.get_submodule("encoder").register_forward_hook(lambda module, inputs, output: seen.append(output))
    image = torch.rand(1, 16, 16)
    hidden = PatchMask().at(0, 1).hidden
    for noise in (0, 1):
        network(torch.where(hidden, noise * torch.rand(1, 16, 16), image), hidden)
    assert seen[0].shape == (1, 12, 136)
    assert torch.equal(seen[0], seen[1])


def test_what_a_masked_autoencoder_makes_of_an_image_does_not_depend_on_its_neighbours(generator):
    """Anywhere, images have different numbers of visible patches: the batch is padded."""
    model, patch = build("mae", PatchMask(16, 0.25, "anywhere")), PatchMask(16, 0.25, "anywhere")
    images, masks = torch.rand(20, 16, 16, generator=generator), patch.sample(20, generator=generator)
    assert len((~masks.hidden).unfold(1, 4, 4).unfold(2, 4, 4).any(-1).any(-1).sum((1, 2)).unique()) > 1
    with torch.no_grad():
        together = model.fill(hide(images, masks), masks)
        alone = [model.fill(hide(images[i : i + 1], masks[i : i + 1]), masks[i : i + 1]) for i in range(20)]
    torch.testing.assert_close(together, torch.cat(alone), atol=1e-5, rtol=1e-5)


def test_seeds_give_initial_weights_and_leave_the_global_generator_alone():
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    first, second, other = (build("unet", PatchMask(), seed).network.get_parameter("head.weight") for seed in (1, 1, 2))
    assert torch.equal(torch.rand(1), expected)
    assert torch.equal(first, second)
    assert not torch.equal(first, other)


def test_a_network_is_trained_kept_and_loaded_as_a_run(tmp_path, small_data):
    config = ClassicalConfig(PatchMask(8, 0.25), "autoencoder")
    run = Run(tmp_path / "run", config, TrainingConfig(epochs=30, batch_size=20, learning_rate=0.01), str(small_data))
    model = run.train()
    fidelity = run.history().column("validation_fidelity")[-1]
    assert fidelity > 0.9
    assert Run.open(run.folder) == run
    images = load_images(str(small_data), size=8)[0]
    masks = config.patch.sample(len(images), generator=torch.Generator().manual_seed(0))
    assert torch.equal(run.load().fidelity(images, masks), model.fidelity(images, masks))


@pytest.mark.usefixtures("unchecked")
def test_unknown_networks_and_tiny_images_are_refused():
    with pytest.raises(InputError, match="no network 'gpt'"):
        ClassicalConfig(network="gpt")  # pyright: ignore[reportArgumentType]
    with pytest.raises(InputError, match="8 x 8 pixels at least, not 4"):
        ClassicalConfig(PatchMask(4, 0.25))
