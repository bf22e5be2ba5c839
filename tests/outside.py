"""What users add to qmae from outside the package: each thing is one registration.

    python tests/outside.py FOLDER

trains what was added for a few steps, and prints one table with all of it.
"""

import sys
from pathlib import Path

import pennylane as qp
import torch
from torch import nn

from qmae import Ansatz, PatchMask, TestSet
from qmae.ansatz.blocks import BLOCKS, Block, Gate, ring
from qmae.circuits.devices import verify
from qmae.circuits.templates import BlockLayers
from qmae.data.datasets import DATASETS, from_arrays
from qmae.evaluation.comparison import compare_models
from qmae.evaluation.metrics import METRICS, Metric
from qmae.experiments.contenders import line_up
from qmae.models.baselines import BASELINES, BaselineEntry, all_baselines
from qmae.models.bottlenecks import BOTTLENECKS, Bottleneck
from qmae.models.networks import NETWORKS
from qmae.models.pixels import Baseline
from qmae.models.presets import PRESETS, Preset
from qmae.models.registry import preset_config
from qmae.reports.comparison import result_table
from qmae.simulation.dense import DenseEncoder
from qmae.simulation.statevector import StateVectorEncoder
from qmae.training.config import preset_training
from qmae.training.runs import Run
from samples import matrix

# A block: gates on two qubits, and the pairs of qubits on which it acts in a layer.
ry_cz = (Gate("RY", (0,)), Gate("RY", (1,)), Gate("CZ", (0, 1)))
BLOCKS.register("ring", Block(ry_cz, pairs=ring))


# A bottleneck: how it is simulated, and what it does on a device.
class HeraldOnes(Bottleneck):
    """Keep the shots in which all trash is 1, and give the decoder fresh qubits."""

    heralded = True

    def let_through(self, encoder, states):
        return encoder.encode(states)[:, -1:]

    def measured(self, trash, image_trash, *, swaps):
        return trash

    def run(self, measured, image_trash, fresh):
        for wire in measured:
            qp.measure(wire, postselect=1, reset=True)


BOTTLENECKS.register("herald-ones", HeraldOnes())

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
PRESETS.register("qmae-ring", Preset("quantum", {"block": "ring", "layers": 3}, {"epochs": 1}, label="QMAE-ring"))
PRESETS.register("ones", Preset("quantum", {"bottleneck": "herald-ones"}, {"epochs": 1}, label="ones kept"))


# A metric: a number of every image, of which tables show the mean.
def hole_brightness(reconstructions, originals, hidden):  # all [images, size, size]
    return reconstructions.where(hidden, 0).sum((1, 2)) / hidden.sum((1, 2))  # [images]


METRICS.register("hole_brightness", Metric("Brightness in the hole", "{:.2f}", of=hole_brightness))


def by_hand(angles, wires):
    """The ring as PennyLane users write it."""
    n, angles = len(wires), iter(angles.reshape(-1))
    while (first := next(angles, None)) is not None:
        for index, pair in enumerate([(a, a + 1) for a in range(n - 1)] + [(0, n - 1)] * (n > 2)):
            qp.RY(next(angles) if index else first, wires=wires[pair[0]])
            qp.RY(next(angles), wires=wires[pair[1]])
            qp.CZ(wires=[wires[qubit] for qubit in pair])


def differences():
    """How far the ring, simulated in both ways, and as a template, is from the one by hand; for 2 to 6 qubits."""
    for qubits in range(2, 7):
        ansatz, wires = Ansatz(qubits, 3, "ring"), range(qubits)
        angles = 6 * torch.rand(ansatz.angle_shape, generator=torch.Generator().manual_seed(qubits)).double()
        expected = matrix(by_hand, wire_order=wires)(angles.numpy(), wires)
        yield abs(matrix(BlockLayers, wire_order=wires)(angles.numpy(), wires, "ring") - expected).max()
        for kind in (DenseEncoder, StateVectorEncoder):
            columns = kind.build(angles, ansatz, ()).encode(torch.eye(2**qubits).double())[:, 0]
            yield abs(columns.T.numpy() - expected).max()


def main(folder):
    """Train the presets on the data set and print their rows beside those of all baselines."""
    patch, runs = PatchMask(8, 0.25), []
    for preset in ("one-layer", "qmae-deep", "qmae-ring", "ones"):
        runs.append(Run(folder / preset, preset_config(preset, patch), preset_training(preset), data="bars"))
        runs[-1].train()
    test = TestSet.load("bars", size=patch.image_size)
    masks = patch.sample(3, generator=torch.Generator().manual_seed(0))
    circuits = [circuit for run in runs[2:] for circuit in verify(run.load(), test.images[:3], masks)]
    agrees = all(circuit.agrees for circuit in circuits)
    print(f"{max(differences()):.1e} from the ring by hand, {len(circuits)} circuits agree: {agrees}", file=sys.stderr)
    print(result_table(compare_models(line_up(runs), all_baselines("bars", patch.image_size), test)))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
