"""Configs: every field's type and bounds, from Python and from a file; nothing large is made while they are checked."""

import json
import math
from dataclasses import asdict, fields
from typing import Any, cast

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from qmae import Ansatz, MaskedAutoencoder, ModelConfig, PatchMask, TrainingConfig
from qmae.errors import InputError
from qmae.models.free import FreeConfig, FreeModel
from qmae.models.networks import ClassicalConfig, ClassicalModel
from qmae.models.presets import PRESETS

pytestmark = pytest.mark.usefixtures("unchecked")

ODD = [
    *(None, True, False, -1, 0, 10**30, 10**5000, 0.5, 1.5, -0.25, 1e30, 1e-320, math.nan, math.inf, -math.inf),
    *("", "8", "grid", "none", b"8", [], [1], (), {}, {"a": 1}, 1j, np.float32(0.25), np.int64(4), np.zeros(2)),
    *(np.bool_(True), torch.tensor(4), object),
]
CONFIGS = [
    PatchMask(),
    ModelConfig(),
    ModelConfig.preset("qmae-compressed", PatchMask(8)),
    ModelConfig(PatchMask(8, 0.5, patches=2), conditioning="offsets"),
    ClassicalConfig(),
    FreeConfig(PatchMask(4), "channel"),
    TrainingConfig(),
]


def made_or_refused(make):
    """What came out, or None if it was refused in one line."""
    try:
        return make()
    except InputError as error:
        message = str(error)
    assert "\n" not in message
    assert len(message) < 400
    return None


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: type(config).__name__)
def test_every_field_is_checked(config):
    for field in fields(config):
        for value in ODD:
            made = made_or_refused(
                lambda field=field, value=value: type(config)(**{**vars_of(config), field.name: value})
            )
            if made is not None:
                assert made == type(config).from_dict(json.loads(json.dumps(asdict(made), allow_nan=False)))
                hash(made)


def vars_of(config):
    return {field.name: getattr(config, field.name) for field in fields(config)}


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([0, 1, 2, 3, 4, 8, 16, 2**12, 2**13, 2**40, 10**400]),
    st.floats(),
    st.text(max_size=4),
    st.lists(st.integers(-1, 20), max_size=3),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
)


@settings(max_examples=300)
@given(st.sampled_from(CONFIGS), st.data())
def test_mutated_files_are_read_or_refused(config, data):
    values = json.loads(json.dumps(asdict(config)))
    where = values
    if "patch" in values and data.draw(st.booleans()):
        where = values["patch"]
    action = data.draw(st.sampled_from(["change", "remove", "add", "replace"]))
    key = data.draw(st.sampled_from(sorted(where)))
    if action == "change":
        where[key] = data.draw(VALUES)
    elif action == "remove":
        del where[key]
    elif action == "add":
        where[data.draw(st.text(max_size=5))] = data.draw(VALUES)
    else:
        values = data.draw(VALUES)
    made = made_or_refused(lambda: type(config).from_dict(values))
    if made is not None and hasattr(made, "parameter_shapes"):
        assert all(math.prod(shape) < 2**29 for shape in made.parameter_shapes.values())


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"layers": 10**12}, "number of layers 1000000000000 is out of bounds: give a whole number from 1 to 10000"),
        ({"ancillas": 10**9}, "number of ancillas 1000000000 is out of bounds"),
        ({"layers": True}, "number of layers True is of type bool: give a whole number"),
        ({"initial_spread": math.nan}, "initial spread nan is out of bounds"),
        ({"initial_spread": -1}, "initial spread -1 is out of bounds: give a finite number from 0 to 100"),
        ({"patch": {"image_size": 16}}, "is no PatchMask"),
        ({"layers": 9_000, "conditioning": "separate", "patch": PatchMask(16, 2**-8)}, "967680000|parameters are more"),
    ],
)
def test_models_that_no_memory_holds_are_refused(settings, why):
    with pytest.raises(InputError, match=why):
        ModelConfig(**settings)


@pytest.mark.parametrize("size", [2**13, 2**30, 2**1000, 10**400])
def test_images_that_no_qubits_hold_are_refused(size):
    with pytest.raises(InputError, match=r"image size .* is out of bounds: give a whole number to 4096"):
        PatchMask(size)


def test_free_matrices_and_networks_are_bounded():
    with pytest.raises(InputError, match="parameters are more than"):
        FreeConfig(PatchMask(256), "free")
    with pytest.raises(InputError, match="parameters are more than"):
        FreeConfig(PatchMask(16), "channel", kraus=60_000)
    with pytest.raises(InputError, match="parameters are more than"):
        ClassicalConfig(PatchMask(512), "autoencoder")
    with pytest.raises(InputError, match="number of Kraus operators 0 is out of bounds"):
        FreeConfig(kraus=0)


def test_a_number_of_numpy_is_a_number():
    size, ratio, layers, wires = cast(Any, (np.int64(8), np.float32(0.25), np.int32(2), [np.int64(1)]))
    config = ModelConfig(PatchMask(size, ratio), layers=layers, trash_wires=wires)
    assert config == ModelConfig(PatchMask(8, 0.25), layers=2, trash_wires=(1,))
    assert json.dumps(asdict(config))


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"epochs": 2.0}, "number of epochs 2.0 is of type float"),
        ({"epochs": 0}, "number of epochs 0 is out of bounds"),
        ({"batch_size": 2**63}, "batch size 9223372036854775808 is out of bounds"),
        ({"learning_rate": math.inf}, "learning rate inf is out of bounds"),
        ({"learning_rate": "fast"}, "learning rate 'fast' is of type str"),
        ({"learning_rate": 0}, "must be positive"),
        ({"success_weight": math.nan}, "success weight nan is out of bounds"),
        ({"seed": None}, "seed None is of type NoneType"),
        ({"method": ["adam"]}, r"no method \['adam'\]: choose one of adam, sweeps"),
    ],
)
def test_trainings_of_wrong_settings_are_refused(settings, why):
    with pytest.raises(InputError, match=why):
        TrainingConfig(**settings)
    with pytest.raises(InputError, match="misses method, seed"):
        TrainingConfig.from_dict({k: v for k, v in asdict(TrainingConfig()).items() if k not in ("seed", "method")})


def test_shapes_are_those_of_the_parameters(generator):
    models = [
        *(
            MaskedAutoencoder.from_preset(name, patch=PatchMask(4), layers=2)
            for name in PRESETS
            if PRESETS[name].kind == "quantum"
        ),
        MaskedAutoencoder(ModelConfig(PatchMask(4, 0.5, patches=2), conditioning="offsets"), generator=generator),
        *(ClassicalModel(ClassicalConfig(PatchMask(8), name), generator=generator) for name in ("mae", "unet")),
        *(FreeModel(FreeConfig(PatchMask(4), name), generator=generator) for name in ("channel", "heralded")),
    ]
    for model in models:
        shapes = {name: tuple(value.shape) for name, value in model.state_dict().items()}
        assert model.config.parameter_shapes == shapes


def test_asking_for_shapes_draws_nothing_from_the_global_generator():
    before = torch.get_rng_state()
    assert ClassicalConfig(PatchMask(8), "mae").parameter_shapes
    assert torch.equal(torch.get_rng_state(), before)


def test_positions_are_counted_without_making_them():
    for patch in (PatchMask(8), PatchMask(8, 0.125), PatchMask(8, 0.5, "anywhere"), PatchMask(8, 0.75, patches=3)):
        assert patch.positions == len(patch.corners)
    assert PatchMask(4096, 2**-24).positions == 2**24


def test_models_of_no_config_or_seed_are_refused(generator):
    for kind in (MaskedAutoencoder, ClassicalModel, FreeModel):
        with pytest.raises(InputError, match="config 3 is no"):
            kind(3, generator=generator)  # pyright: ignore[reportArgumentType]
    for seed in (None, 1.5, 10**30, True):
        with pytest.raises(InputError, match="seed"):
            MaskedAutoencoder.from_preset("qmae", seed=seed)  # pyright: ignore[reportArgumentType]
    for name in (None, [], 3):
        with pytest.raises(InputError, match="no preset"):
            MaskedAutoencoder.from_preset(name)  # pyright: ignore[reportArgumentType]
    with pytest.raises(InputError, match="is no PatchMask"):
        MaskedAutoencoder.from_preset("qmae", patch=16)  # pyright: ignore[reportArgumentType]
    for values in ((1, 1), (25, 1), (2, 10_001), (2.0, 1), ("2", 1), (True, 1)):
        with pytest.raises(InputError):
            Ansatz(*values)  # pyright: ignore[reportArgumentType]
