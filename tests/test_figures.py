"""Figures can be read: nothing lies over anything else, what was hidden is framed, and any number of models fits."""

import math
from itertools import combinations

import pytest
import torch
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.text import Text

from qmae.data.masks import PatchMask
from qmae.evaluation.pictures import Pictures
from qmae.experiments.benchmark import Cost
from qmae.reports.benchmark import scaling
from qmae.reports.comparison_figures import greys, palette, training_curves
from qmae.reports.figures import image_grid, mask_ratios, reconstructions, training_loss
from qmae.reports.labels import Label, place_labels
from qmae.training.history import History


def history(steps, epochs):
    def row(step):
        return [float(step), float(1 + step * epochs // (steps + 1)), 0.3, 0.2, 0.5, 0.1, 0.0, math.nan, 1.0]

    return History([row(step) for step in range(steps)])


@pytest.mark.parametrize("count", [1, 5, 6, 25])
def test_any_number_of_models_has_colors_of_their_own(count):
    names = [*(f"model {index}" for index in range(count)), "qmae", "qae"]
    for colors in (palette(names), greys(names)):
        assert list(colors) == sorted(colors, key=list(colors).index)
        assert set(colors) == set(names)
        assert len(set(colors.values())) == len(names)
        assert all(len(color) == 7 and int(color[1:], 16) >= 0 for color in colors.values())


def test_labels_of_points_and_lines_that_are_close_together_do_not_cover_each_other():
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.add_subplot()
    heights = [0.874, 0.8741, 0.875, 0.8755, 0.876, 0.8765, 0.9, 0.99, 0.9901]
    axes.plot([256] * len(heights), heights, "o")
    labels = [Label(f"point {height}", height, 256.0) for height in heights]
    labels += [Label(f"{side} {height}", height, side=side) for height in heights for side in ("left", "outside")]
    placed = place_labels(axes, labels)
    assert {annotation.get_text() for annotation in placed} == {label.text for label in labels}
    figure.draw_without_rendering()
    boxes = [Text.get_window_extent(annotation).shrunk(0.98, 0.9) for annotation in placed]
    assert not [pair for pair in combinations(boxes, 2) if pair[0].overlaps(pair[1])]
    for side in ("left", "outside"):
        beside = [annotation for annotation in placed if annotation.get_text().startswith(side)]
        ordered = sorted(beside, key=lambda annotation: Text.get_window_extent(annotation).y0)
        assert [a.xy[1] for a in ordered] == sorted(heights)


def framed(figure):
    return [
        sum(len(part.get_segments()) for part in axes.collections if isinstance(part, LineCollection))
        for axes in figure.axes
    ]


def test_what_was_hidden_is_framed_in_all_but_the_originals():
    images = torch.rand(3, 8, 8)
    hidden = PatchMask(8).at(1, 3).hidden  # 4 x 4 pixels: a frame of 16
    shown = Pictures(images, hidden, {"nothing": images, "qmae, 1 layer": images, "qmae, 3 layers": images}, {})
    assert framed(reconstructions(shown)) == [16] * 9 + [0] * 3
    ratios = {0.25: Pictures(images, hidden, {"qmae": images}, {})}
    assert framed(mask_ratios(ratios)) == [16] * 6 + [0] * 3
    apart = PatchMask(8, 0.125, patches=2).sample(3, generator=torch.Generator().manual_seed(0)).hidden
    assert min(framed(image_grid([("a", images)], [apart]))) > 12
    assert framed(image_grid([("a", images)])) == [0] * 3


@pytest.mark.parametrize(("rows", "columns"), [(18, 10), (40, 10), (3, 16), (1, 1)])
def test_grids_fit_a_page(rows, columns):
    images = torch.rand(columns, 4, 4)
    width, height = image_grid([(f"model {index}", images) for index in range(rows)]).get_size_inches()
    assert height <= 10
    assert width <= 14


def test_every_band_of_the_training_loss_has_a_panel_of_its_own():
    figure = training_loss({"qmae": history(30, 3), "qae": history(30, 3)}, 0.25)
    assert [axes.get_title() for axes in figure.axes] == ["QMAE", "QAE"]
    assert all(len(axes.collections) == 1 for axes in figure.axes)


def test_trainings_of_different_lengths_are_drawn_and_losses_of_0_left_out():
    curves = {"qmae": [history(30, 3), history(20, 2)], "unet": [history(1, 1)]}
    figure = training_curves(curves, {"nothing": 0.25, "knn": 0.0, "ridge": -1e-8})
    texts = {text.get_text() for text in figure.axes[0].texts}
    assert texts == {"black fill"}


def test_memory_is_written_in_plain_numbers():
    costs = [Cost(qubits, 1, 8, 0.01, int(size * 2**20)) for qubits, size in ((4, 190), (6, 198), (8, 204))]
    figure = scaling(costs)
    figure.draw_without_rendering()
    memory = figure.axes[1]
    shown = [text.get_text() for text in memory.get_yticklabels(which="both") if text.get_text()]
    low, high = memory.get_ylim()
    inside = [text for text in shown if low <= float(text) <= high]
    assert len(inside) >= 2
