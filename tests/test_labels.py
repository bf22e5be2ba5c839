"""What tables and figures call a model, and how they draw it, is said by its entry in a registry."""

import pytest
import torch

from qmae.errors import InputError
from qmae.models.baselines import BASELINES, BaselineEntry, build_baselines
from qmae.reports.comparison_figures import greys, palette
from qmae.reports.names import colour_of, from_floor_to_ceiling, label


@pytest.mark.parametrize(
    ("group", "said"),
    [
        ("nothing", "black fill"),
        ("knn", "nearest neighbours"),
        ("original", "original"),
        ("mae-small", "small MAE"),
        ("qmae-plus", "QMAE-plus"),
        ("qmae, 3 layers, seed 2", "QMAE, 3 layers, seed 2"),
        ("tied", "tied"),
        ("custom, 1 layer", "custom, 1 layer"),
    ],
)
def test_labels(group, said):
    assert label(group) == said


def test_what_has_no_color_of_its_own_gets_another():
    assert colour_of("qmae") == palette(["unet", "qmae"])["qmae"] == "#0b6e99"
    assert colour_of("unet") is None
    assert colour_of("tied") is None
    assert len({*palette(["unet", "qmae", "qmae, 3 layers", "tied"]).values()}) == 4
    assert len({*greys(["nothing", "mean"]).values()}) == 2


def test_rows_of_a_figure_go_from_the_simplest_to_the_papers_model():
    baselines = ["nothing", "mean", "token", "ridge", "knn", "original"]
    networks = ["autoencoder", "mae-small", "mae", "unet"]
    quantum = ["qae", "qmae-small", "qmae-compressed", "qmae-plus", "qmae-heralded", "qmae"]
    assert from_floor_to_ceiling() == baselines + networks + quantum


def test_every_baseline_is_built_under_the_name_of_its_entry(generator):
    built = build_baselines(torch.rand(7, 4, 4, generator=generator))
    assert [baseline.name for baseline in built] == [*BASELINES]
    with pytest.raises(InputError, match="there is a baseline 'knn' already"):
        BASELINES.register("knn", BaselineEntry(lambda images: built[0]))
