import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from qmae.data.batches import hide
from qmae.data.masks import PatchMask
from qmae.errors import InputError

ratios = st.sampled_from([0.5, 0.25, 0.125])
placements = st.sampled_from(["grid", "anywhere"])


@pytest.mark.parametrize(
    ("ratio", "shape", "grid", "anywhere"), [(0.125, (4, 8), 8, 117), (0.25, (8, 8), 4, 81), (0.5, (8, 16), 2, 9)]
)
def test_patches_of_the_paper(ratio, shape, grid, anywhere):
    assert PatchMask(16, ratio).shape == shape
    assert len(PatchMask(16, ratio, "grid").corners) == grid
    assert len(PatchMask(16, ratio, "anywhere").corners) == anywhere  # (17 - height) (17 - width)


@given(st.sampled_from([4, 8, 16]), ratios, placements)
def test_every_hole_is_one_patch_of_the_wanted_share(size, ratio, placement):
    patch = PatchMask(size, ratio, placement)
    assert (patch.holes.flatten(1).sum(1) == ratio * size**2).all()
    for hole, (top, left) in zip(patch.holes, patch.corners, strict=True):
        height, width = patch.shape
        assert hole[top : top + height, left : left + width].all()


@given(st.sampled_from([4, 8, 16]), ratios)
def test_grid_tiles_the_image(size, ratio):
    assert (PatchMask(size, ratio).holes.sum(0) == 1).all()


@given(st.sampled_from([4, 8, 16]), ratios, placements)
def test_a_token_of_the_patchs_shape_fills_the_hole_pixel_by_pixel(size, ratio, placement):
    patch = PatchMask(size, ratio, placement)
    for hole, index in zip(patch.holes, patch.token_index(patch.shape), strict=True):
        assert index[hole].tolist() == list(range(patch.shape[0] * patch.shape[1]))


def test_a_token_of_another_shape_is_repeated_or_cut_along_the_grid():
    index = PatchMask(8, 0.25).token_index((2, 4))  # holes of 4 x 4, a token of 2 x 4 in each half
    assert index[3][4:, 4:].tolist() == [[0, 1, 2, 3], [4, 5, 6, 7]] * 2
    index = PatchMask(8, 0.25).token_index((4, 8))  # the right half of a token that spans the image
    assert index[1][:4, 4:].tolist() == [[4, 5, 6, 7], [12, 13, 14, 15], [20, 21, 22, 23], [28, 29, 30, 31]]


def test_masks_are_seeded_and_uniform():
    def draw(seed):
        return PatchMask().sample(8000, generator=torch.Generator().manual_seed(seed)).position

    assert torch.equal(draw(0), draw(0))
    assert not torch.equal(draw(0), draw(1))
    # 5 standard deviations of a binomial(8000, 1/4)
    assert (draw(0).bincount() - 2000).abs().max() < 5 * (8000 * 3 / 16) ** 0.5


def test_hiding_sets_the_hole_to_zero_and_nothing_else(generator):
    images = torch.rand(50, 16, 16, generator=generator) + 0.1
    masks = PatchMask().sample(50, generator=generator)
    hidden = hide(images, masks)
    assert (hidden[masks.hidden] == 0).all()
    assert torch.equal(hidden[~masks.hidden], images[~masks.hidden])


def test_parts_of_a_batch_keep_their_masks(generator):
    masks = PatchMask(placement="anywhere").sample(20, generator=generator)
    assert torch.equal(masks[5:9].hidden, masks.hidden[5:9])
    assert len(masks[5:9]) == 4


@pytest.mark.parametrize("ratio", [0.3, 0.0, 1.0, -0.25, 0.75, 2**-9])
def test_ratios_that_are_no_patch_are_refused(ratio):
    with pytest.raises(InputError, match=r"is no supported patch: choose 0\.5, 0\.25, 0\.125"):
        PatchMask(16, ratio)


@pytest.mark.usefixtures("unchecked")
def test_other_bad_masks_are_refused():
    with pytest.raises(InputError, match="image size 28 is no power of two"):
        PatchMask(28)
    with pytest.raises(InputError, match="no placement 'corner': choose one of grid, anywhere"):
        PatchMask(placement="corner")  # pyright: ignore[reportArgumentType]
    with pytest.raises(InputError, match="no mask position 4: this patch has positions 0 to 3"):
        PatchMask().at(4, 1)


@pytest.mark.parametrize(("ratio", "patches"), [(0.25, 4), (0.5, 8), (0.75, 12)])
def test_several_patches_hide_their_share_each_somewhere_else(ratio, patches, generator):
    patch = PatchMask(16, ratio, patches=patches)
    assert patch.shape == (4, 4)
    masks = patch.sample(2000, generator=generator)
    assert masks.position.shape == (2000, patches)
    assert (masks.hidden.flatten(1).sum(1) == ratio * 256).all()
    blocks = masks.hidden.view(2000, 4, 4, 4, 4).transpose(2, 3).flatten(1, 2).flatten(2)
    assert (blocks.all(2) | ~blocks.any(2)).all()
    # 5 standard deviations of a binomial(2000, ratio)
    assert (blocks.any(2).sum(0) - 2000 * ratio).abs().max() < 5 * (2000 * ratio * (1 - ratio)) ** 0.5
    assert torch.equal(masks[:3].hidden, masks.hidden[:3])


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"ratio": 0.75}, "ratio 0.75 is no supported patch"),
        ({"ratio": 0.5, "patches": 3}, "3 patches = 0.166667 is no supported patch"),
        ({"ratio": 0.25, "patches": 4, "placement": "anywhere"}, "4 patches cannot be placed anywhere"),
        ({"patches": 0}, "0 patches cannot be placed"),
    ],
)
def test_patches_that_do_not_fit_are_refused(settings, why):
    with pytest.raises(InputError, match=why):
        PatchMask(16, **settings)


def test_several_patches_have_no_single_position():
    with pytest.raises(InputError, match="where 4 patches lie"):
        PatchMask(16, 0.25, patches=4).at(0, 1)
