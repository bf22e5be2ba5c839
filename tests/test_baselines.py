import pytest
import torch

from qmae.baselines import MeanPatch, Nothing, Original
from qmae.images import load_images
from qmae.masking import Masks, PatchMask, hide
from qmae.metrics import cosine_similarity


@pytest.fixture(scope="module")
def images():
    return load_images(split="validation")[0][:200]


@pytest.mark.parametrize("ratio", [0.125, 0.25, 0.5])
def test_doing_nothing_keeps_exactly_the_visible_share_over_all_grid_positions(images, ratio):
    patch = PatchMask(16, ratio)
    fidelities = [Nothing().fidelity(images, patch.at(p, len(images))) for p in range(len(patch.corners))]
    torch.testing.assert_close(torch.stack(fidelities).mean(0), torch.full((200,), 1 - ratio))


def test_mean_patch_by_hand():
    train = torch.stack([torch.full((2, 2), 0.2), torch.full((2, 2), 0.6)])
    image = torch.tensor([[[0.4, 0.3], [0.9, 0.1]]])
    masks = Masks(PatchMask(2, 0.5), torch.tensor([1]))  # the lower row
    filled = MeanPatch(train).fill(hide(image, masks), masks)
    torch.testing.assert_close(filled, torch.tensor([[[0.4, 0.3], [0.4, 0.4]]]))


def test_with_the_true_image_in_the_hole_fidelity_is_one(images):
    masks = PatchMask().sample(1, generator=torch.Generator().manual_seed(0))
    assert MeanPatch(images[:1]).fidelity(images[:1], masks).item() == pytest.approx(1, abs=1e-6)


def test_the_original_is_the_ceiling(images):
    masks = PatchMask().sample(len(images), generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(Original().fidelity(images, masks), torch.ones(200))
    amplitudes = Original().probabilities(images, masks).sqrt()
    torch.testing.assert_close(amplitudes, images / images.flatten(1).norm(dim=1)[:, None, None], atol=1e-6, rtol=0)


def test_fidelity_of_a_pure_state_is_the_square_of_the_cosine_of_its_amplitudes(images):
    masks = PatchMask().sample(len(images), generator=torch.Generator().manual_seed(0))
    for baseline in (Nothing(), MeanPatch(images)):
        amplitudes = baseline.probabilities(images, masks).sqrt()
        torch.testing.assert_close(baseline.fidelity(images, masks), cosine_similarity(amplitudes, images) ** 2)


def test_baselines_never_see_what_is_hidden(images):
    masks = PatchMask().sample(len(images), generator=torch.Generator().manual_seed(0))
    for baseline in (Nothing(), MeanPatch(images)):
        seen = baseline.probabilities(hide(images, masks), masks)
        assert torch.equal(baseline.probabilities(images, masks), seen)
