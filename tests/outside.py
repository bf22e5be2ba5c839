"""What users add to qmae from outside the package: each thing is one registration.

    python tests/outside.py FOLDER

trains what was added for a few steps, and prints one table with all of it.
"""

import sys
from pathlib import Path

import torch
from torch import nn

from qmae import PatchMask, TestSet
from qmae.data.datasets import DATASETS, from_arrays
from qmae.evaluation.comparison import compare
from qmae.evaluation.measuring import all_baselines
from qmae.models.baselines import BASELINES, Baseline, BaselineEntry
from qmae.models.networks import NETWORKS
from qmae.models.presets import PRESETS, Preset
from qmae.models.registry import preset_config
from qmae.reports.comparison import result_table
from qmae.training.config import preset_training
from qmae.training.runs import Run

# A data set, of arrays: its splits are made as those of an .npz file.
labels = torch.arange(240) % 8
noise = torch.rand(240, 8, 8, generator=torch.Generator().manual_seed(0))
bars = 0.1 * noise + 0.9 * nn.functional.one_hot(labels, 8)[:, :, None]
DATASETS.register("bars", from_arrays(bars, labels))


# A baseline: a class that fills the hole, and how it is made of the training images.
class Constant(Baseline):
    """Fill the hole with one gray, the mean of all pixels."""

    name = "constant"

    def __init__(self, images):
        self.gray, self.parameter_count = images.mean(), 1

    def fill(self, visible, masks):
        return torch.where(masks.hidden, self.gray, visible)


BASELINES.register("constant", BaselineEntry(Constant, label="one gray"))


# A network: a module made for images of some size, which sees what is visible and what is hidden.
class OneLayer(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.layer = nn.Linear(size**2, size**2)

    def forward(self, visible, hidden):
        return torch.where(hidden, self.layer(visible.flatten(1)).view_as(visible), visible)


NETWORKS.register("one-layer", OneLayer)

# Presets: settings of a model and of its training, label and colour.
PRESETS.register(
    "one-layer",
    Preset("network", {"network": "one-layer"}, {"epochs": 2, "batch_size": 32}, label="one layer", colour="green"),
)
PRESETS.register("qmae-deep", Preset("quantum", {"layers": 2}, {"epochs": 1, "batch_size": 64}, label="QMAE-deep"))


def main(folder):
    """Train the presets on the data set and print their rows beside those of all baselines."""
    patch, runs = PatchMask(8, 0.25), []
    for preset in ("one-layer", "qmae-deep"):
        runs.append(Run(folder / preset, preset_config(preset, patch), preset_training(preset), data="bars"))
        runs[-1].train()
    test = TestSet.load("bars", size=patch.image_size)
    print(result_table(compare(runs, all_baselines("bars", patch.image_size), test)))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
