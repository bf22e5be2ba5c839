import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio as skimage_psnr
from skimage.metrics import structural_similarity as skimage_ssim

from qmae.data.images import load_images
from qmae.errors import InputError
from qmae.evaluation.metrics import (
    composite,
    cosine_similarity,
    hole_error,
    hole_fidelity,
    peak_signal_to_noise,
    scale_to_maximum,
    structural_similarity,
)


@pytest.fixture(scope="module")
def pairs():
    originals = load_images(split="validation")[0][:8]
    noise = torch.rand(8, 16, 16, generator=torch.Generator().manual_seed(0))
    return 0.3 * (originals + 0.5 * noise), originals


def test_ssim_is_that_of_scikit_image_on_scaled_images(pairs):
    """scikit-image leaves a margin of the window's radius out; given images mirrored at the edge, it is the margin."""
    for value, image, original in zip(structural_similarity(*pairs), *pairs, strict=True):
        mirrored = [np.pad((picture / picture.max()).double(), 5, mode="reflect") for picture in (image, original)]
        window = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
        assert value.item() == pytest.approx(skimage_ssim(*mirrored, data_range=1.0, **window), abs=1e-5)


def test_images_smaller_than_the_window_are_refused():
    with pytest.raises(InputError, match="SSIM needs images of 8 x 8 pixels at least, not 4 x 4"):
        structural_similarity(torch.rand(2, 4, 4), torch.rand(2, 4, 4))


def test_cosine_similarity_by_hand():
    image = torch.tensor([[[1.0, 0.0], [0.0, 0.0]]])
    other = torch.tensor([[[3.0, 4.0], [0.0, 0.0]]])
    assert cosine_similarity(image, other).item() == pytest.approx(0.6)


def test_metrics_do_not_depend_on_the_scale_of_the_reconstruction(pairs):
    for metric in (cosine_similarity, structural_similarity):
        torch.testing.assert_close(metric(pairs[0] * 5, pairs[1]), metric(*pairs))


def test_an_image_is_like_itself_and_black_is_like_nothing(pairs):
    originals = pairs[1]
    for metric in (cosine_similarity, structural_similarity):
        torch.testing.assert_close(metric(originals, originals), torch.ones(8))
        assert not metric(torch.zeros_like(originals), originals).any()


def test_scaling_leaves_black_black():
    images = torch.tensor([[[0.2, 0.4]], [[0.0, 0.0]]])
    assert scale_to_maximum(images).tolist() == [[[0.5, 1.0]], [[0.0, 0.0]]]


RIGHT = torch.tensor([[[False, True], [False, True]]])
"""The right column of a 2 x 2 image is hidden."""


def test_metrics_of_the_hole_by_hand():
    original = torch.tensor([[[4.0, 3.0], [1.0, 4.0]]])
    found = torch.tensor([[[1.0, 0.0], [0.0, 2.0]]])
    # inside: (0, 2) beside (3, 4), cosine 0.8; to the maximum: (0, 1) beside (3/4, 1)
    assert hole_fidelity(found, original, RIGHT).item() == pytest.approx(0.64)
    assert hole_error(found, original, RIGHT).item() == pytest.approx(0.75**2 / 2)
    assert hole_fidelity(original * 0.5, original, RIGHT).item() == pytest.approx(1)
    assert hole_fidelity(found * 0, original, RIGHT).item() == 0
    black = torch.where(RIGHT, 0, original)
    assert hole_fidelity(found, black, RIGHT).isnan().all()


def test_the_composite_keeps_what_is_visible_and_scales_the_rest_to_it():
    original = torch.tensor([[[4.0, 3.0], [2.0, 4.0]]])
    found = torch.tensor([[[2.0, 5.0], [1.0, 1.0]]])  # half the visible pixels
    torch.testing.assert_close(composite(found, original, RIGHT), torch.tensor([[[4.0, 10.0], [2.0, 2.0]]]))
    unseen = torch.where(RIGHT, found, 0)
    torch.testing.assert_close(composite(unseen, original, RIGHT), torch.where(RIGHT, 0, original))


def test_psnr_is_that_of_scikit_image_on_scaled_images(pairs):
    for value, image, original in zip(peak_signal_to_noise(*pairs), *pairs, strict=True):
        scaled = [(picture / picture.max()).numpy() for picture in (original, image)]
        assert value.item() == pytest.approx(skimage_psnr(*scaled, data_range=1.0), abs=1e-4)
