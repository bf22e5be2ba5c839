"""Trainings whose numbers stop being finite, and settings that no training can have."""

import pytest
import torch
from torch.optim.optimizer import register_optimizer_step_pre_hook

from qmae import MaskedAutoencoder, PatchMask, TrainingConfig, load_images, train
from qmae.circuits.autoencoder import AutoencoderCircuit
from qmae.circuits.shots import train_on_device
from qmae.circuits.target import EXACT, Target
from qmae.errors import DivergenceError, InputError
from qmae.models.baselines import TokenPatch
from qmae.models.config import ModelConfig
from qmae.models.free import FreeConfig
from qmae.models.networks import ClassicalConfig, ClassicalModel
from qmae.models.registry import build_model
from qmae.training.objective import check_finite
from qmae.training.parallel import train_all
from qmae.training.runs import Run
from samples import interrupting

PATCH = PatchMask(8, 0.25)
KINDS = {
    "qmae": (ModelConfig(PATCH), "adam"),
    "qmae-plus": (ModelConfig.preset("qmae-plus", PATCH, layers=1), "sweeps"),
    "qmae-compressed": (ModelConfig.preset("qmae-compressed", PATCH, layers=1), "sweeps"),
    "autoencoder": (ClassicalConfig(PATCH, "autoencoder"), "adam"),
    "mae-small": (ClassicalConfig(PATCH, "mae-small"), "adam"),
    "tied": (FreeConfig(PATCH, "tied"), "adam"),
    "heralded": (FreeConfig(PATCH, "heralded"), "adam"),
}


@pytest.fixture
def data(small_data):
    return [load_images(small_data, split=split, size=8)[0] for split in ("train", "validation")]


def values(model):
    return [parameter.detach().clone() for parameter in model.parameters()]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rate", [1e20, 1e39, 1e300])
def test_a_training_stops_at_the_first_step_that_is_not_finite(data, kind, rate):
    config, method = KINDS[kind]
    model = build_model(config, seed=0)
    with pytest.raises(
        DivergenceError, match=r"diverged at step 1: .* not finite; choose a lower learning rate"
    ) as found:
        train(model, *data, config=TrainingConfig(epochs=2, batch_size=None, learning_rate=rate, method=method))
    assert "\n" not in str(found.value)
    if rate > 1e38:  # the step itself went wrong, and is undone
        assert all(map(torch.equal, values(model), values(build_model(config, seed=0))))
    assert all(parameter.isfinite().all() for parameter in model.parameters())


class Breaking(ClassicalModel):
    """A network whose losses break at one call.

    Args:
        at: number of the call, from 1.
        by: what is added to the losses, or raised.
    """

    def __init__(self, at=0, by=float("nan")):
        super().__init__(ClassicalConfig(PATCH, "autoencoder"), generator=torch.Generator().manual_seed(0))
        self.at, self.by, self.calls = at, by, 0

    def _measure(self, images, masks, *wanted):
        (found,) = super()._measure(images, masks, *wanted)
        self.calls += torch.is_grad_enabled()  # those of the training
        if self.calls != self.at or not torch.is_grad_enabled():
            return [found]
        if isinstance(self.by, BaseException):
            raise self.by
        return [found + self.by]


SOME = TrainingConfig(epochs=4, batch_size=45, learning_rate=0.01)  # two steps an epoch


def after(steps, data):
    """The parameters after so many steps."""
    model = Breaking()
    with pytest.raises(KeyboardInterrupt):
        train(model, *data, config=SOME, progress=interrupting(after=steps))
    return values(model)


@pytest.mark.parametrize("by", [float("nan"), float("inf")])
def test_the_model_is_left_at_the_last_step_whose_loss_was_finite(data, by):
    model = Breaking(at=4, by=by)
    with pytest.raises(DivergenceError, match="diverged at step 4: the loss is not finite"):
        train(model, *data, config=SOME)
    # The parameters after three steps give the bad loss; those after two gave a good one.
    assert all(map(torch.equal, values(model), after(2, data)))


@pytest.mark.parametrize("by", [KeyboardInterrupt(), RuntimeError("out of memory")])
def test_whatever_stops_a_step_leaves_that_before_it(data, by):
    model = Breaking(at=4, by=by)
    with pytest.raises(type(by)):
        train(model, *data, config=SOME)
    assert all(map(torch.equal, values(model), after(3, data)))
    assert all(parameter.device.type == "cpu" for parameter in model.parameters())


def test_a_sweep_that_is_interrupted_is_undone(data):
    """Ctrl-C where encoders and decoders are new already, and the token is not."""

    def interrupt(optimizer, args, kwargs):
        raise KeyboardInterrupt

    model = build_model(KINDS["qmae-compressed"][0], seed=0)
    handle = register_optimizer_step_pre_hook(interrupt)
    try:
        with pytest.raises(KeyboardInterrupt):
            train(model, *data, config=TrainingConfig(1, method="sweeps"))
    finally:
        handle.remove()
    assert all(map(torch.equal, values(model), values(build_model(KINDS["qmae-compressed"][0], seed=0))))


def test_a_matrix_that_cannot_be_inverted_is_no_traceback(data):
    model = Breaking(at=2, by=torch.linalg.LinAlgError("singular"))  # pyright: ignore[reportPrivateImportUsage]
    with pytest.raises(DivergenceError, match="diverged at step 2"):
        train(model, *data, config=SOME)


def test_a_validation_fidelity_that_is_not_finite_stops_the_training(data):
    class Blind(ClassicalModel):
        def _measure(self, images, masks, *wanted):
            (found,) = super()._measure(images, masks, *wanted)
            return [found * (1.0 if torch.is_grad_enabled() else float("nan"))]

    model = Blind(ClassicalConfig(PATCH, "autoencoder"), generator=torch.Generator().manual_seed(0))
    with pytest.raises(DivergenceError, match="step 2: the validation fidelity is not finite"):
        train(model, *data, config=SOME)
    assert all(map(torch.equal, values(model), after(1, data)))


def test_nothing_is_left_of_a_run_that_diverges_in_its_first_epoch(tmp_path, small_data, data):
    training = TrainingConfig(2, learning_rate=1e39)
    run = Run(tmp_path / "run", ModelConfig(PATCH), training, str(small_data))
    with pytest.raises(DivergenceError, match=str(run.folder)):
        run.train()
    assert not run.folder.exists()
    with pytest.raises(DivergenceError, match="diverged at step 1"):
        train(run_model(), *data, config=training, folder=tmp_path / "library")
    assert not (tmp_path / "library").exists()


def run_model():
    return MaskedAutoencoder.from_preset("qmae", patch=PATCH)


def test_a_run_that_diverges_later_keeps_the_last_finished_epoch(tmp_path, small_data):
    # The schedule begins at a 25th of its peak: there the token's norm overflows.
    training = TrainingConfig(4, batch_size=None, learning_rate=2e19)
    run = Run(tmp_path / "run", ModelConfig(PATCH), training, str(small_data))
    with pytest.raises(DivergenceError, match=r"diverged at step [23]"):
        run.train()
    assert 1 <= len(run.history().rows) < 3
    assert not run.finished
    kept = values(run.load())
    assert all(value.isfinite().all() for value in kept)
    with pytest.raises(DivergenceError, match=r"diverged at step [23]"):
        Run.open(run.folder).train()
    assert all(map(torch.equal, values(run.load()), kept))


def test_several_trainings_name_the_one_that_diverges(tmp_path, small_data):
    runs = [
        Run(tmp_path / str(rate), ModelConfig(PATCH), TrainingConfig(1, learning_rate=rate), str(small_data))
        for rate in (0.1, 1e39)
    ]
    with pytest.raises(DivergenceError, match=r"1e\+39: training qmae diverged"):
        train_all(runs)
    assert runs[0].finished


@pytest.mark.parametrize("rate", [1e39, 1e300])
def test_measured_gradients_stop_too(rate):
    patch = PatchMask(2, 0.25)
    images = torch.rand(3, 2, 2, generator=torch.Generator().manual_seed(0))
    masks = patch.sample(3, generator=torch.Generator().manual_seed(1))
    model = MaskedAutoencoder.from_preset("qmae", patch=patch, seed=0)
    before = values(model)
    target = Target(AutoencoderCircuit(model.config.ansatz, overlap="inverse"), EXACT, None)
    with pytest.raises(DivergenceError, match="diverged at step 1"):
        train_on_device(
            model, images, masks, target, steps=2, batch_size=1, learning_rate=rate, generator=torch.Generator()
        )
    assert all(map(torch.equal, values(model), before))


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf"), 1e20])
def test_what_is_not_finite_or_overflows_in_a_norm_is_found(bad):
    check_finite("all", [torch.ones(3), torch.zeros(0), torch.full((2,), 1e18)])
    with pytest.raises(DivergenceError, match="the loss is not finite"):
        check_finite("the loss", [torch.ones(3), torch.tensor([1.0, bad])])


@pytest.mark.parametrize(
    "setting",
    [
        *({"learning_rate": rate} for rate in (float("nan"), float("inf"), -1.0, 0.0, 10**400)),
        *({"success_weight": weight} for weight in (float("nan"), float("inf"), -1e-9, 10**400)),
        *({"epochs": epochs} for epochs in (0, -1, 10**400)),
        *({"batch_size": size} for size in (0, -1)),
        *({"seed": seed} for seed in (2**63, -(2**64), 10**400)),
    ],
)
def test_settings_that_no_training_can_have_are_refused(unchecked, setting):
    with pytest.raises(InputError):
        TrainingConfig(**setting)


@pytest.mark.parametrize("kind", ["qmae", "qmae-plus", "autoencoder", "tied"])
def test_a_success_weight_is_for_models_that_discard(data, tmp_path, small_data, kind):
    config, method = KINDS[kind]
    training = TrainingConfig(1, method=method, success_weight=0.1)
    with pytest.raises(InputError, match="success weight"):
        train(build_model(config, seed=0), *data, config=training)
    (tmp_path / "mine").mkdir()
    with pytest.raises(InputError, match="success weight"):
        Run(tmp_path / "mine", config, training, str(small_data)).train()
    assert not any((tmp_path / "mine").iterdir())


def test_the_token_baseline_is_fitted_in_inference_mode_too(data):
    masks = PATCH.sample(5, generator=torch.Generator().manual_seed(0))
    expected = TokenPatch(data[0]).fidelity(data[1][:5], masks)
    with torch.inference_mode():
        found = TokenPatch(data[0] * 1).fidelity(data[1][:5], masks)
    assert torch.equal(found, expected)
