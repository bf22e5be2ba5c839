import pytest
import torch
from sklearn.linear_model import Ridge as SklearnRidge
from sklearn.neighbors import KNeighborsRegressor

from qmae.data.batches import hide
from qmae.data.images import load_images
from qmae.data.masks import Masks, PatchMask
from qmae.evaluation.metrics import cosine_similarity
from qmae.models.baselines import MeanPatch, NearestNeighbours, Nothing, Ridge, TokenPatch
from qmae.models.pixels import Baseline, Original


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


class Oracle(Baseline):
    name = "oracle"

    def __init__(self, originals):
        self.originals = originals

    def fill(self, visible, masks):
        return torch.where(masks.hidden, self.originals, visible)


@pytest.mark.parametrize("patch", [PatchMask(), PatchMask(16, 0.5, "anywhere"), PatchMask(16, 0.75, patches=12)])
def test_with_the_true_image_in_the_hole_fidelity_is_one(images, patch):
    masks = patch.sample(len(images), generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(Oracle(images).fidelity(images, masks), torch.ones(len(images)))


@pytest.mark.parametrize("patch", [PatchMask(), PatchMask(16, 0.125, "anywhere"), PatchMask(16, 0.5, patches=8)])
def test_ridge_and_neighbours_are_those_of_scikit_learn(images, patch):
    train, test = images[:150], images[150:156]
    masks = patch.sample(len(test), generator=torch.Generator().manual_seed(0))
    ours = [model.fill(hide(test, masks), masks) for model in (Ridge(train, 1e-2), NearestNeighbours(train, 5))]
    for index, hole in enumerate(masks.hidden):
        seen, wanted = train[:, ~hole].double().numpy(), train[:, hole].double().numpy()
        ridge = SklearnRidge(alpha=1e-2 * len(train)).fit(seen, wanted)
        for found, theirs in zip(ours, (ridge, KNeighborsRegressor(5).fit(seen, wanted)), strict=True):
            filled = torch.as_tensor(theirs.predict(test[index, ~hole][None].double().numpy())[0])
            torch.testing.assert_close(found[index, hole].double(), filled, atol=1e-5, rtol=0)
            assert torch.equal(found[index, ~hole], test[index, ~hole])


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
    for baseline in (Nothing(), MeanPatch(images), Ridge(images[100:]), NearestNeighbours(images[100:])):
        seen = baseline.probabilities(hide(images, masks), masks)
        assert torch.equal(baseline.probabilities(images, masks), seen)


def test_no_other_token_is_better_on_the_images_it_is_fitted_to(images, generator):
    patch = PatchMask()
    baseline = TokenPatch(images)
    masks = patch.sample(len(images), generator=torch.Generator().manual_seed(0))
    best = baseline.fidelity(images, masks).mean()
    assert best > MeanPatch(images).fidelity(images, masks).mean()
    for _ in range(20):
        other = TokenPatch(images)
        other.tokens[patch] = baseline.tokens[patch] + 0.01 * torch.randn(16, 16, generator=generator)
        assert other.fidelity(images, masks).mean() < best


def test_a_token_of_one_hidden_pixel_by_hand():
    # With visible (1, 0, 1), fidelity (2 + h t)^2 / ((2 + t^2)(2 + h^2)) is largest, and 1, at t = h.
    train = torch.tensor([[[1.0, 0.0], [1.0, 0.5]]]).repeat(8, 1, 1)
    masks = Masks(PatchMask(2, 0.25), torch.tensor([3]))
    filled = TokenPatch(train).fill(hide(train[:1], masks), masks)
    torch.testing.assert_close(filled, train[:1], atol=1e-3, rtol=0)
