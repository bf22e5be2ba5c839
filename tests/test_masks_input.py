"""Masks as batches: whatever part is taken, it stays a batch, and what fits no image is refused in one line."""

import numpy as np
import pytest
import torch

from qmae import MaskedAutoencoder, Masks, PatchMask
from qmae.data.batches import hide
from qmae.data.images import load_images
from qmae.errors import InputError
from qmae.models.baselines import MeanPatch, Nothing
from qmae.models.free import FreeConfig, FreeModel

pytestmark = pytest.mark.usefixtures("unchecked")

PATCHES = [PatchMask(8), PatchMask(8, 0.5, "anywhere"), PatchMask(8, 0.5, patches=2)]


@pytest.fixture(scope="module")
def images():
    return load_images(split="validation", size=8)[0][:6]


@pytest.mark.parametrize("patch", PATCHES)
def test_iterating_gives_masks_of_one_image_each(patch, images, generator):
    masks = patch.sample(6, generator=generator)
    for index, (image, one) in enumerate(zip(images, masks, strict=True)):
        assert len(one) == 1
        assert torch.equal(one.hidden, masks.hidden[index : index + 1])
        assert torch.equal(hide(image[None], one), hide(images, masks)[index : index + 1])


@pytest.mark.parametrize("preset", ["qmae", "qmae-plus", "qmae-compressed"])
def test_one_image_at_a_time_has_the_fidelities_of_the_batch(preset, images, generator):
    patch = PatchMask(8)
    model = MaskedAutoencoder.from_preset(preset, patch=patch, layers=2, initial_spread=1.0).double()
    masks = patch.sample(6, generator=generator)
    alone = torch.cat([model.fidelity(image[None], one) for image, one in zip(images, masks, strict=True)])
    torch.testing.assert_close(alone, model.fidelity(images, masks))
    whole = model.fidelity(images, masks)
    for index, rows in [(0, [0]), (-1, [5]), (np.int64(3), [3]), ([5, 1], [5, 1]), (torch.arange(6) > 3, [4, 5])]:
        rows = torch.tensor(rows)
        torch.testing.assert_close(model.fidelity(images[rows], masks[index]), whole[rows])


@pytest.mark.parametrize("patch", PATCHES)
def test_every_index_keeps_the_batch(patch, generator):
    masks = patch.sample(6, generator=generator)
    for index, rows in [
        (slice(None), range(6)),
        (slice(1, 3), [1, 2]),
        (slice(None, None, -2), [5, 3, 1]),
        (slice(10, 20), []),
        ([0, 0, -1], [0, 0, 5]),
        ([], []),
        (range(2), [0, 1]),
        ([True, False] * 3, [0, 2, 4]),
        (np.array([4, 2]), [4, 2]),
        (np.arange(6) > 3, [4, 5]),
        (torch.tensor([1, 0], dtype=torch.uint8), [1, 0]),
        (torch.arange(6) > 5, []),
    ]:
        part = masks[index]
        assert torch.equal(part.position, masks.position[torch.tensor(list(rows), dtype=torch.long)])
        assert part.hidden.shape == (len(rows), 8, 8)
    for index in (0, 5, -6, np.int32(2), torch.tensor(4)):
        assert masks[index].hidden.shape == (1, 8, 8)


BAD_INDICES = [
    *(6, -7, 1.5, "a", True, None, ..., (0, 1), [6], [[0]], [0.5], {}, np.eye(2), slice(0, 2, 0), slice("a", None)),
    *(torch.tensor([True]), torch.tensor([9]), torch.tensor(1.0)),
]


@pytest.mark.parametrize("index", BAD_INDICES, ids=repr)
def test_other_indices_are_refused(index, generator):
    with pytest.raises(InputError, match="masks of 6 images take no index"):
        PatchMask(8).sample(6, generator=generator)[index]


@pytest.mark.parametrize("build", [Nothing, lambda: MeanPatch(torch.rand(3, 8, 8))])
@pytest.mark.parametrize("preset", ["qmae", "qmae-plus"])
def test_one_mask_for_four_images_is_refused(build, preset, images, generator):
    patch = PatchMask(8)
    one, four = patch.sample(1, generator=generator), images[:4]
    model = MaskedAutoencoder.from_preset(preset, patch=patch, layers=1)
    for subject in (build(), model, FreeModel(FreeConfig(patch), generator=generator)):
        for function in (subject.fidelity, subject.probabilities, subject.success_probability):
            with pytest.raises(InputError, match="4 images and 1 masks: give one mask for each image"):
                function(four, one)
            with pytest.raises(InputError, match="1 images and 4 masks"):
                function(images[:1], patch.sample(4, generator=generator))
    with pytest.raises(InputError, match="4 images and 1 masks"):
        hide(four, one)


@pytest.mark.parametrize(
    ("patch", "position", "why"),
    [
        (PatchMask(8), torch.tensor([4]), "no mask position 4: this patch has positions 0 to 3"),
        (PatchMask(8), torch.tensor([-1]), "no mask position -1"),
        (PatchMask(8), torch.tensor([0.0]), "of type torch.float32: give a torch tensor of integers"),
        (PatchMask(8), torch.tensor([True]), "of type torch.bool"),
        (PatchMask(8), [0], "of type list"),
        (PatchMask(8), np.array([0]), "of type ndarray"),
        (PatchMask(8), torch.tensor(0), r"have shape \[\]: 1 of an image need \[images\]"),
        (PatchMask(8), torch.tensor([[0]]), r"have shape \[1, 1\]"),
        (PatchMask(8, 0.5, patches=2), torch.tensor([0, 1]), r"have shape \[2\]: 2 of an image need \[images, 2\]"),
        (PatchMask(8, 0.5, patches=2), torch.tensor([[0, 1, 2]]), r"have shape \[1, 3\]"),
        (PatchMask(8, 0.5, patches=2), torch.tensor([[1, 1]]), "two patches of an image have the same position"),
        (PatchMask(8, 0.5, patches=2), torch.tensor([[0, 4]]), "no mask position 4"),
        ("grid", torch.tensor([0]), "is no PatchMask"),
    ],
)
def test_positions_that_are_none_are_refused(patch, position, why):
    with pytest.raises(InputError, match=why):
        Masks(patch, position)


def test_positions_of_several_patches_are_sorted():
    patch = PatchMask(8, 0.5, patches=2)
    masks = Masks(patch, torch.tensor([[3, 0], [1, 2]], dtype=torch.int32))
    assert masks.position.tolist() == [[0, 3], [1, 2]]
    assert masks == Masks(patch, torch.tensor([[0, 3], [2, 1]]))


def test_equality_is_a_truth_value(generator):
    masks = PatchMask(8).sample(6, generator=generator)
    assert masks == masks[:]
    assert masks != masks[:3]
    assert masks != Masks(PatchMask(16), masks.position)
    assert masks != 3


@pytest.mark.parametrize("count", [-1, 1.5, "3", None, True])
def test_counts_that_are_none_are_refused(count, generator):
    with pytest.raises(InputError, match="number of images"):
        PatchMask(8).sample(count, generator=generator)
    with pytest.raises(InputError, match="number of images"):
        PatchMask(8).at(0, count)


def test_other_generators_positions_and_devices_are_refused(generator):
    for other in (None, 3, np.random.default_rng(0)):
        with pytest.raises(InputError, match="drawn by a generator on the CPU"):
            PatchMask(8).sample(3, generator=other)  # pyright: ignore[reportArgumentType]
    for position in (1.0, None, "0", True, 4, -1, 10**30):
        with pytest.raises(InputError, match="mask position"):
            PatchMask(8).at(position, 1)  # pyright: ignore[reportArgumentType]
    masks = PatchMask(8).sample(2, generator=generator)
    for device in ("nonsense", 3.5, "cuda:99"):
        with pytest.raises(InputError, match="masks cannot be moved to device"):
            masks.to(device)  # pyright: ignore[reportArgumentType]
    assert masks.to("cpu") == masks


def test_masks_of_another_image_size_are_refused(images, generator):
    masks = PatchMask(16).sample(6, generator=generator)
    model = MaskedAutoencoder.from_preset("qmae", patch=PatchMask(8))
    with pytest.raises(InputError, match="images have 8 x 8 pixels, masks 16 x 16, and the model is made for 8 x 8"):
        model.fidelity(images, masks)
    with pytest.raises(InputError, match="and the model is made for 8 x 8"):
        model.reconstruct(torch.rand(6, 16, 16), masks)
    with pytest.raises(InputError, match="images have 8 x 8 pixels, masks 16 x 16: make them of one size"):
        Nothing().fidelity(images, masks)
    with pytest.raises(InputError, match="belong to the positions of one patch"):
        FreeModel(FreeConfig(PatchMask(8)), generator=generator).fidelity(
            images, PatchMask(8, 0.5).sample(6, generator=generator)
        )
