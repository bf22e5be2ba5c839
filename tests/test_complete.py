"""One forward pass gives everything, of every kind of model, and builds no circuit twice."""

import json
from typing import get_args

import pytest
import torch

import qmae
from qmae import MaskedAutoencoder, PatchMask, TrainingConfig
from qmae.errors import InputError
from qmae.models.base import BATCH_PIXELS, TrainableModel
from qmae.models.choices import Design
from qmae.models.free import FreeConfig
from qmae.models.presets import PRESETS
from qmae.models.registry import build_model
from qmae.training.runs import Run

PATCH = PatchMask(8, 0.25)


def some_images(count, size=8):
    return torch.rand(count, size, size, generator=torch.Generator().manual_seed(0)) * 0.5 + 0.5


BASELINES = {"original": qmae.Original, "nothing": qmae.Nothing, "mean": qmae.MeanPatch, "ridge": qmae.Ridge}
ALL = *PRESETS, *get_args(Design), *BASELINES


@pytest.fixture
def model(request):
    name = request.param
    if name in BASELINES:
        return BASELINES[name](*[some_images(50)] * (name in ("mean", "ridge")))
    if name in get_args(Design):
        return build_model(FreeConfig(PATCH, name), seed=1)
    return qmae.create_model(name, patch=PATCH, seed=1)


@pytest.mark.parametrize("model", ALL, indirect=True)
def test_one_pass_gives_what_each_question_gives(model):
    images = some_images(9)
    masks = PATCH.sample(9, generator=torch.Generator().manual_seed(2))
    outputs = model.complete(images, masks)
    torch.testing.assert_close(outputs.fidelity, model.fidelity(images, masks))
    torch.testing.assert_close(outputs.probabilities, model.probabilities(images, masks))
    torch.testing.assert_close(outputs.success_probability, model.success_probability(images, masks))
    assert (outputs.success_probability < 1).all() == model.heralded
    assert (outputs.trash_population is not None) == (model.kind == "quantum")
    if isinstance(model, MaskedAutoencoder):
        torch.testing.assert_close(outputs.trash_population, model.encode(images, masks).trash_population)
    torch.testing.assert_close(outputs.probabilities.flatten(1).sum(1), torch.ones(9), rtol=0, atol=1e-4)


@pytest.mark.parametrize("model", ALL, indirect=True)
def test_images_do_not_depend_on_each_other(model):
    """Of many images, in several batches and sorted by position, each gets what it gets alone."""
    model = model.double() if isinstance(model, TrainableModel) else model
    count = BATCH_PIXELS // 64 + 5
    images = some_images(count).double()
    masks = PATCH.sample(count, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        together = model.complete(images, masks)
        for index in (0, 1, count - 1):
            alone = model.complete(images[index : index + 1], masks[index])
            torch.testing.assert_close(together.fidelity[index], alone.fidelity[0])
            torch.testing.assert_close(together.probabilities[index], alone.probabilities[0])


@pytest.mark.parametrize(("preset", "circuits"), [("qmae", 1), ("qae", 1), ("qmae-small", 4), ("qmae-compressed", 4)])
def test_every_circuit_is_built_once_for_all_images(preset, circuits):
    built = []

    class Counting(MaskedAutoencoder):
        def autoencoder(self, position, *, states):
            built.append(states)
            return super().autoencoder(position, states=states)

    model = Counting.from_preset(preset, patch=PATCH, layers=1)
    count = 2 * BATCH_PIXELS // 64 + 1
    with torch.no_grad():
        model.complete(some_images(count), PATCH.sample(count, generator=torch.Generator().manual_seed(0)))
    assert len(built) == circuits
    assert sum(built) == count


@pytest.mark.parametrize("config", [qmae.create_model("qmae", patch=PATCH).config, FreeConfig(PATCH, "tied")])
@pytest.mark.parametrize("older", [True, False])
def test_folders_say_the_kind_of_their_model_and_older_ones_are_read(small_data, tmp_path, config, older):
    run = Run(tmp_path / "run", config, TrainingConfig(1, batch_size=None), str(small_data))
    trained = run.train()
    path = run.folder / "config.json"
    content = json.loads(path.read_text())
    assert (content["format"], content["kind"]) == (4, trained.kind)
    if older:
        del content["kind"]
        content["format"] = 2
        path.write_text(json.dumps(content))
    again = Run.open(run.folder)
    assert (again, again.finished) == (run, True)
    loaded = qmae.from_pretrained(run.folder)
    assert (loaded.kind, loaded.config) == (trained.kind, config)
    assert all(map(torch.equal, loaded.parameters(), trained.parameters()))
    content["kind"] = "nonsense"
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match="no kind of model 'nonsense'"):
        qmae.from_pretrained(run.folder)


def test_models_have_names():
    assert {"qae", "qmae", "unet"} <= set(qmae.list_models())
    assert qmae.list_models("qmae-plus*", pretrained=True) == ["qmae-plus-25", "qmae-plus-50"]
    assert qmae.create_model("unet", patch=PATCH).kind == "network"
    with pytest.raises(InputError, match="no preset 'nonsense'"):
        qmae.create_model("nonsense")
    with pytest.raises(InputError, match="layers"):
        qmae.create_model("unet", patch=PATCH, layers=2)


def test_evaluate_asks_for_masks_where_a_baseline_takes_any():
    images = some_images(3)
    with pytest.raises(InputError, match="say which"):
        qmae.evaluate(qmae.Nothing(), images)
    amplitude, probability = qmae.evaluate(qmae.Nothing(), images, patch=PATCH)
    assert (amplitude.readout, probability.readout) == ("amplitude", "probability")
    assert amplitude.accuracy is None
    model = qmae.create_model("qmae", patch=PATCH)
    assert qmae.evaluate(model, images)[0].fidelity == pytest.approx(
        model.fidelity(images, PATCH.sample(3, generator=torch.Generator().manual_seed(0))).mean().item()
    )
