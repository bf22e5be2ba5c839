"""What users register is refused at once if it is none; where their code takes part, nothing old is taken for new."""

import copy
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch
from qiskit_aer import AerSimulator

from qmae import MaskedAutoencoder
from qmae.ansatz.ansatz import Ansatz
from qmae.ansatz.blocks import BLOCKS, Block, Gate, ring
from qmae.circuits import drawing
from qmae.circuits.autoencoder import AutoencoderCircuit
from qmae.circuits.devices import States
from qmae.circuits.export import to_qiskit
from qmae.data.datasets import DATASETS
from qmae.errors import InputError
from qmae.evaluation.metrics import METRICS, hole_error
from qmae.models.bottlenecks import BOTTLENECKS, Herald, Reset
from qmae.models.networks import NETWORKS
from qmae.models.presets import PRESETS

pytestmark = pytest.mark.usefixtures("unchecked")

TURN, ENTANGLE = Gate("RY", (0,)), Gate("CZ", (0, 1))


@pytest.mark.parametrize(
    ("registry", "thing"),
    [
        (BLOCKS, "su4"),
        (BOTTLENECKS, Reset),
        (PRESETS, {"kind": "quantum"}),
        (DATASETS, torch.ones(3, 4, 4)),
        (METRICS, hole_error),
        (NETWORKS, "unet"),
    ],
)
def test_what_is_no_entry_is_refused_when_it_is_registered(registry: Any, thing: Any):
    names = [*registry]
    with pytest.raises(InputError, match=r"is no .*: give a"):
        registry.register("mine", thing)
    assert [*registry] == names


@pytest.mark.parametrize(
    "arguments",
    [
        {"gates": "RY"},
        {"gates": (TURN, "CZ")},
        {"gates": (TURN, ENTANGLE), "pairs": ((0, 1),)},
        {"gates": (TURN, ENTANGLE), "identity": (float("nan"),)},
        {"gates": (TURN, ENTANGLE), "identity": ("a",)},
        {"gates": (TURN, ENTANGLE), "identity": (0.0, 0.0)},
        {"gates": (ENTANGLE,)},
        {"gates": (TURN,), "shares_rotations": True},
    ],
)
def test_blocks_that_cannot_be_are_refused(arguments: Any):
    with pytest.raises(InputError):
        Block(**arguments)


def test_lists_and_arrays_do_for_a_block():
    listed: Any = [Gate("RY", [0]), ENTANGLE]  # pyright: ignore[reportArgumentType]
    block = Block(listed, identity=np.zeros(1))  # pyright: ignore[reportArgumentType]
    assert block == Block((TURN, ENTANGLE), identity=(0.0,))
    assert len({block, Block((TURN, ENTANGLE), identity=(0.0,))}) == 1
    with pytest.raises(InputError, match="number of angles"):
        Ansatz.of_angles(4, "su4", "a")  # pyright: ignore[reportArgumentType]


def test_pairs_may_be_lists_and_arrays():
    kinds: list[Any] = [("listed", lambda n: [[0, 1]]), ("array", lambda n: np.array(ring(n)))]
    for name, pairs in kinds:
        BLOCKS.register(f"edges-{name}", Block((TURN, ENTANGLE), pairs=pairs))
        assert Ansatz(3, 1, f"edges-{name}").layer == tuple(tuple(map(int, pair)) for pair in pairs(3))


class HeraldOnes(Herald):
    """Shots count whose trash is 1, with or without a reset behind."""

    def __init__(self, reset: bool) -> None:
        self.reset = reset

    def let_through(self, encoder, states):
        return encoder.encode(states)[:, -1:]

    def run(self, measured, image_trash, fresh):
        import pennylane as qp

        for wire in measured:
            qp.measure(wire, postselect=1, reset=self.reset)
            if not self.reset:
                qp.X(wire)


@pytest.mark.parametrize("reset", [True, False])
def test_an_exported_herald_counts_the_shots_that_the_circuit_counts(reset, small_case):
    name = f"edges-ones-{reset}"
    BOTTLENECKS.register(name, HeraldOnes(reset))
    _, images, masks = small_case
    model = MaskedAutoencoder.from_preset("qmae", patch=masks.patch, bottleneck=name, initial_spread=1.0)
    states = States.of(model, images, masks)
    written = to_qiskit(AutoencoderCircuit.of(model.config, "inverse"), *states.of_fidelity(0))
    counts = AerSimulator(seed_simulator=0).run(written, shots=20_000).result().get_counts()
    kept = {key.split()[-1]: shots for key, shots in counts.items() if "1" not in key.split()[0]}
    total = sum(kept.values())
    exact = states.fidelity[0]
    assert total / 20_000 == pytest.approx(states.success[0], abs=0.02)
    assert kept.get("0000", 0) / total == pytest.approx(exact, abs=4 * (exact * (1 - exact) / total) ** 0.5 + 1e-3)


CODE = """
import sys, torch
import qmae
from pathlib import Path
from qmae.evaluation.cache import Cache
from qmae.evaluation.measuring import is_own_code, measure_baseline
from qmae.evaluation.metrics import METRICS, Metric, hole_error
from qmae.models.presets import PRESETS, Preset

images = torch.rand(9, 8, 8, generator=torch.Generator().manual_seed(1))
test = qmae.TestSet(images, torch.arange(9) % 3, cache=Cache(Path(sys.argv[1])))
patch, nothing = qmae.PatchMask(8), qmae.Nothing()
assert measure_baseline(nothing, test, patch)[0].row.others == {}
assert is_own_code([nothing])
errors = hole_error(test.complete(nothing, patch).probabilities.sqrt(), images, test.masks(patch).hidden)
for name, pick in (("most", torch.max), ("least", torch.min)):
    METRICS.register(name, Metric(name, of=hole_error, over_images=pick))
    (found,) = (m.row.others[name] for m in measure_baseline(nothing, test, patch) if m.row.readout == "amplitude")
    assert isinstance(found, float) and abs(found - pick(errors).item()) < 1e-5, (found, pick(errors))
assert not is_own_code([nothing])
PRESETS.register("masked", Preset("quantum", {"patch": patch}))
try:
    qmae.create_model("masked")
except qmae.InputError as error:
    assert "no setting patch" in str(error)
else:
    raise AssertionError("a preset names masks")
"""
"""Metrics and presets that stay registered, so in a process of its own."""


def test_measurements_by_code_of_the_user_are_not_kept_and_presets_name_no_masks(tmp_path):
    ran = subprocess.run([sys.executable, "-c", CODE, tmp_path / "cache"], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr


@pytest.mark.parametrize(
    "settings", [{"decoder": "free"}, {"decoder": "none", "ancillas": 1, "trash_wires": (2,), "bottleneck": "herald"}]
)
def test_every_circuit_is_drawn(settings: Any):
    assert "ancilla" in drawing.text("training", AutoencoderCircuit(Ansatz(3), **settings))


def test_older_weights_of_a_part_are_those_of_the_part(small_case):
    model = small_case[0]
    outer, other = (torch.nn.ModuleDict({"net": copy.deepcopy(model)}) for _ in range(2))
    older = {"net.angles": model.encoder.angles + 1, "net.token": model.token}
    outer.load_state_dict(older)
    other.load_state_dict({"net.encoder.angles": model.encoder.angles + 1, "net.token": model.token})
    for one, two in zip(outer.parameters(), other.parameters(), strict=True):
        assert torch.equal(one, two)
