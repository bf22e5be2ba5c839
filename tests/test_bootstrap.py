import pytest
import torch

from qmae.evaluation.bootstrap import bootstrap_interval


def test_the_interval_is_that_of_the_normal_distribution_for_many_values(generator):
    values = 3 + torch.randn(4000, generator=generator)
    low, high = bootstrap_interval(values)
    assert high - low == pytest.approx(2 * 1.96 / 4000**0.5, rel=0.1)
    assert low < values.mean() < high


def test_intervals_hold_the_true_mean_as_often_as_they_say(generator):
    held = 0
    for _ in range(40):
        low, high = bootstrap_interval(torch.rand(200, generator=generator) ** 2, level=0.8)
        held += low < 1 / 3 < high
    assert 40 * 0.8 - 3 * (40 * 0.16) ** 0.5 <= held < 40


def test_paired_differences_find_what_the_spread_of_the_images_hides(generator):
    """Two models a known 0.01 apart, on images that are 0.2 apart among themselves."""
    ours = 0.2 * torch.randn(500, generator=generator)
    theirs = ours - 0.01 + 0.02 * torch.randn(500, generator=generator)
    low, high = bootstrap_interval(ours - theirs)
    assert 0 < low < 0.01 < high < 0.02
    unpaired = bootstrap_interval(ours - theirs[torch.randperm(500, generator=generator)])
    assert unpaired[0] < 0 < unpaired[1]


def test_unknown_values_are_left_out_and_one_value_is_its_own_interval():
    assert bootstrap_interval(torch.tensor([0.5, torch.nan])) == (0.5, 0.5)
