from copy import deepcopy

import numpy as np
import pytest
import torch

from peers import PAPER, PEERS, missing, time_peers
from qmae.experiments.benchmark import FLOOR, OURS, Cost, compare, slope, training_step
from qmae.reports.benchmark import scaling


def gradients(model):
    return [parameter.grad for parameter in model.parameters()]


@pytest.mark.parametrize("contestant", PEERS)
@pytest.mark.parametrize("preset", ["qmae", "qae"])
def test_contestants_do_the_same_work(small_case, contestant, preset):
    model, images, masks = small_case
    model = type(model).from_preset(preset, patch=masks.patch, seed=1)
    peer = deepcopy(model)
    training_step(model, images, masks)()
    PEERS[contestant](peer, images, masks)()
    for one, other in zip(gradients(model), gradients(peer), strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=0)
        assert one.abs().max() > 1e-3


@pytest.mark.parametrize("contestant", PAPER)
def test_the_papers_circuit_has_the_same_gradient_of_the_angles(small_case, contestant):
    model, images, masks = small_case
    found = PAPER[contestant](model, images, masks)()
    training_step(model, images[:1], masks[:1])()
    torch.testing.assert_close(
        torch.as_tensor(found, dtype=torch.float32), -model.encoder.angles.grad, atol=1e-5, rtol=0
    )


def test_every_contestant_is_timed(small_case):
    peers = ["pyqtorch, V", "pyqtorch, states"]
    timings = [*compare(*small_case), *time_peers(*small_case, peers=peers)]
    names = [timing.contestant for timing in timings]
    assert names[:5] == [FLOOR, OURS, *peers, next(iter(PAPER))]
    for timing in timings:
        assert timing.seconds > 0
        assert timing.per_image == timing.seconds / timing.images
    assert timings[-1].images == 1


def test_missing_simulators_are_named():
    assert missing(("pyqtorch", "no_simulator", "jax")) == ["no_simulator"]


def test_scaling_is_drawn_and_its_slope_is_an_exponent():
    found = [Cost(n, layers, 4, 0.001 * layers * 2 ** (1.5 * n), 2**20 * n) for layers in (1, 2) for n in (4, 6)]
    assert slope(*found[:2]) == pytest.approx(1.5)
    times, memory = scaling(found).axes
    assert [line.get_label() for line in times.lines] == ["1 layer", "2 layers", "slope 1"]
    np.testing.assert_array_equal(memory.lines[1].get_data(), [[16, 64], [4, 6]])
