"""A preset is one entry: what the model is, how it is trained, and how it is shown."""

import subprocess
import sys

import pytest

import qmae
from qmae import MaskedAutoencoder, PatchMask, TrainingConfig
from qmae.errors import InputError
from qmae.models.presets import PRESETS
from qmae.models.registry import FAMILIES
from qmae.training.config import preset_training, tuned_presets

PATCH = PatchMask(8, 0.25)


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_can_be_made_and_trained_and_says_its_name(name):
    model = qmae.create_model(name, patch=PATCH)
    assert model.name == name
    assert model.kind == PRESETS[name].kind
    assert PRESETS[name].kind in FAMILIES
    assert isinstance(preset_training(name), TrainingConfig)


def test_the_settings_of_the_papers_models():
    assert preset_training("qmae") == preset_training("qae") == TrainingConfig()
    assert tuned_presets() == ["qmae", "qae", "autoencoder", "mae-small", "mae", "unet"]


def test_presets_need_no_torch():
    code = "import sys, qmae.models.presets, qmae.training.config; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_help_lists_the_presets(command):
    _, printed, _ = command("train", "--help")
    words = printed.replace("│", " ").replace(",", " ").split()
    assert set(PRESETS) - {word.strip(".") for word in words} == set()


REGISTERED = """
import qmae
from qmae.models.presets import PRESETS, Preset
from qmae.training.config import TrainingConfig, preset_training, tuned_presets

patch = qmae.PatchMask(8, 0.25)
PRESETS.register("mine", Preset("quantum", {"layers": 3, "bottleneck": "herald"}, {"epochs": 2, "learning_rate": 0.1}))
model = qmae.create_model("mine", patch=patch, seed=4)
assert (model.name, model.config.layers, model.config.trash_wires) == ("mine", 3, (0,))
assert preset_training("mine") == TrainingConfig(2, learning_rate=0.1)
assert "mine" in qmae.list_models() and "mine" in tuned_presets()
PRESETS.register("others", Preset("quantum", {"trash_wires": (1, 2)}))
assert qmae.create_model("others", patch=patch).config.trash_wires == (1, 2)
PRESETS.register("matrices", Preset("design", {"design": "free"}))
assert qmae.create_model("matrices", patch=patch).name == "free"
"""


def test_a_preset_is_added_by_its_name():
    subprocess.run([sys.executable, "-c", REGISTERED], check=True)


REFUSED = """
import qmae
from qmae.models.presets import PRESETS, Preset
from qmae.training.config import preset_training

def said(name, preset, use):
    try:
        PRESETS.register(name, preset)
        use(name)
    except qmae.InputError as error:
        print(error)

said("a", Preset("quantum", {"depth": 3}), qmae.create_model)
said("b", Preset("network", {"network": "unet", "width": 3}), qmae.create_model)
said("c", Preset("optical", {}), qmae.create_model)
said("d", Preset("network", {"network": "vae"}), qmae.create_model)
said("e", Preset("quantum", {}, {"steps": 3}), preset_training)
said("qmae", Preset("quantum", {}), qmae.create_model)
"""


def test_presets_of_wrong_settings_are_refused_in_a_line():
    ran = subprocess.run([sys.executable, "-c", REFUSED], check=True, capture_output=True, text=True)
    for line, why in zip(
        ran.stdout.splitlines(),
        (
            "preset a: a model has no setting depth",
            "preset b: a network has no setting width",
            "no kind of model 'optical': choose one of quantum, network, design",
            "no network 'vae': choose one of autoencoder, mae-small, mae, unet, or register it",
            "preset e: a training has no setting steps",
            "there is a preset 'qmae' already",
        ),
        strict=True,
    ):
        assert why in line
    with pytest.raises(InputError, match="preset unet is no quantum model: choose one of qmae,"):
        MaskedAutoencoder.from_preset("unet")
