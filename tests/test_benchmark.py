from copy import deepcopy

import pytest
import torch

from qmae.benchmark import FLOOR, OURS, broadcast_step, matrix_step, paper_step, run, training_step


def gradients(model):
    return [parameter.grad for parameter in model.parameters()]


@pytest.mark.parametrize("contestant", [matrix_step, broadcast_step])
def test_contestants_do_the_same_work(small_case, contestant):
    model, images, masks = small_case
    peer = deepcopy(model)
    training_step(model, images, masks)()
    contestant(peer, images, masks)()
    for one, other in zip(gradients(model), gradients(peer), strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=0)


def test_the_papers_way_has_the_same_gradient_of_the_angles(small_case):
    model, images, masks = small_case
    found = paper_step(model, images[:1], masks[:1])()
    training_step(model, images[:1], masks[:1])()
    torch.testing.assert_close(torch.as_tensor(found, dtype=torch.float32), -model.angles.grad, atol=1e-5, rtol=0)


def test_every_contestant_is_timed(small_case):
    timings = list(run(*small_case, peers=True))
    assert [timing.contestant for timing in timings][:2] == [FLOOR, OURS]
    assert len(timings) == 5
    for timing in timings:
        assert timing.seconds > 0
        assert timing.per_image == timing.seconds / timing.images
    assert timings[-1].images == 1
