"""Algorithm 1: train a model on masked images, with checkpoints from which a training goes on."""

from __future__ import annotations

import math
import time
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from qmae._files import make_folder, refused, remove, write_atomically
from qmae._progress import Progress, silent
from qmae.data.checks import brightest_of, check_pixels, check_tensor, usable_device
from qmae.data.masks import Masks
from qmae.errors import DivergenceError, InputError
from qmae.models.base import TrainableModel, embed_references
from qmae.models.pretrained import WEIGHTS
from qmae.models.variational import CircuitModel
from qmae.models.weights import to_bytes
from qmae.training.adam import Adam
from qmae.training.checkpoints import checkpoint_bytes, describe, intact, load_checkpoint
from qmae.training.config import TrainingConfig
from qmae.training.history import COLUMNS, History
from qmae.training.objective import check_finite, diverged
from qmae.training.sweeps import Sweeps

CHECKPOINT, HISTORY = "checkpoint.pt", "history.csv"
VALIDATION_MASK_SEED = 1


# Whatever the caller computes without gradients, a training needs them.
@torch.inference_mode(False)
@torch.enable_grad()
def train(
    model: TrainableModel,
    images: Float[Tensor, "images size size"],
    validation: Float[Tensor, "held_out size size"],
    config: TrainingConfig,
    *,
    folder: str | Path | None = None,
    device: torch.device | str = "cpu",
    progress: Progress = silent,
) -> History:
    """Minimize the mean of 1 - F over masked images (Algorithm 1, Eq. 9), by Adam or by sweeps.

    Every epoch shuffles the images and draws a new mask for each; two models trained with the same seed
    see the same images under the same masks in the same order.

    Args:
        model: trained in place. It ends on the CPU with the parameters of a whole step, also after an error.
        images: training images in [0, 1].
        validation: images to measure on, not to train on; their masks are the same in every epoch.
        config: epochs, batch size, learning rate, seed.
        folder: if given, the state after every epoch is kept here and training goes on from what lies here. It is made
            if it is not there. Of two processes at a time in one folder, `Run.train` refuses the second.
        device: where to compute.
        progress: told of every step.

    Returns:
        The history of all steps, those before a resume included.

    Raises:
        InputError: a model, images, a device or a folder that cannot be used, a config that is not for this model, or
            a folder that holds another training.
        DivergenceError: a loss, a gradient, a parameter or the validation fidelity is not finite; the model is that of
            the last step before which all of them were, the folder that of the last finished epoch.
    """
    device = usable_device(device)
    _check_model(model)
    images, validation = _checked(images, "training images", model), _checked(validation, "validation images", model)
    check_method(model, config)
    place = None if folder is None else Path(folder)
    made = place is not None and _make(place)
    try:
        model.to(device)
        return _train(model, images.to(device), validation.to(device), config, place, progress)
    except BaseException as error:
        if place is not None and made:
            with suppress(OSError):  # an epoch lies there
                place.rmdir()
        if place is not None and isinstance(error, DivergenceError):
            raise DivergenceError(f"{place}: {error}") from error
        raise
    finally:
        model.cpu()


def _train(
    model: TrainableModel,
    images: Float[Tensor, "images size size"],
    validation: Float[Tensor, "held_out size size"],
    config: TrainingConfig,
    folder: Path | None,
    progress: Progress,
) -> History:
    """All epochs, where model and images lie."""
    device, batch_size = images.device, min(config.batch_size or len(images), len(images))
    validation_masks = model.config.patch.sample(
        len(validation), generator=torch.Generator().manual_seed(VALIDATION_MASK_SEED)
    ).to(device)
    settings = describe(model.config, config, images, validation)
    state = _TrainingState(model, config, steps_per_epoch=-(-len(images) // batch_size), settings=settings)
    if folder and (folder / CHECKPOINT).exists():
        state.load(folder / CHECKPOINT)
    history = state.history
    with progress(f"training {model.name}, {model.config.patch.ratio:.1%} mask", state.total_steps) as advance:
        advance(len(history.rows))
        started = time.perf_counter() - (history.column("seconds")[-1] if history.rows else 0.0)
        for epoch in range(len(history.rows) // state.steps_per_epoch, config.epochs):
            masks = model.config.patch.sample(len(images), generator=state.generator).to(device)
            for batch in torch.randperm(len(images), generator=state.generator).split(batch_size):
                batch = batch.to(device)
                measured = state.step(images[batch], masks[batch])
                seconds = time.perf_counter() - started
                history.rows.append([len(history.rows) + 1, epoch + 1, *measured, float("nan"), seconds])
                advance(1)
            history.rows[-1][COLUMNS.index("validation_fidelity")] = state.validate(validation, validation_masks)
            if folder:
                state.save(folder)
    if folder:
        model.cpu()
        # Again, in case the last training was interrupted between its last checkpoint and these.
        state.export(folder)
        remove(folder / CHECKPOINT)
    return history


def _check_model(model: TrainableModel) -> None:
    for parameter in model.parameters():
        if parameter.dtype not in (torch.float32, torch.float64):
            raise InputError(f"parameters of {parameter.dtype} are too short to train: call model.float()")
        if parameter.is_inference():
            raise InputError("the model was made in torch.inference_mode and cannot be trained: make it outside")
        if not parameter.isfinite().all():
            raise InputError("the model has a parameter that is not finite: train another one")


def _checked(images: Tensor, what: str, model: TrainableModel) -> Float[Tensor, "images size size"]:
    """Images that a model can be trained on or measured by, in its precision."""
    size = model.config.patch.image_size
    check_tensor(images, what=what)
    if images.shape[1:] != (size, size):
        raise InputError(f"{what} have shape {list(images.shape)}: give those of the model's size, [N, {size}, {size}]")
    check_pixels(images, at_least=brightest_of(size), what=what)
    # Refuse what cannot be embedded now, not in the middle of an epoch.
    embed_references(images)
    return images.to(next(model.parameters()).dtype)


def _make(folder: Path) -> bool:
    """Make a folder in which files can be made; returns whether there was none."""
    with refused("write to", folder):
        made = not folder.exists()
        make_folder(folder)
        # Root may pass the permission bits of a file system that is read-only all the same: try it.
        with TemporaryFile(dir=folder):
            pass
    return made


@torch.no_grad()
def mean_fidelity(
    model: TrainableModel,
    images: Float[Tensor, "images size size"],
    masks: Masks,
) -> float:
    """Mean fidelity over many images."""
    return model._measure(images, masks, "fidelity")[0].mean().item()


class _TrainingState:
    """All that a checkpoint must hold so that a resumed run equals an uninterrupted one."""

    def __init__(
        self, model: TrainableModel, config: TrainingConfig, *, steps_per_epoch: int, settings: dict[str, Any]
    ) -> None:
        self.model, self.settings = model, settings
        self.steps_per_epoch = steps_per_epoch
        self.total_steps = config.epochs * steps_per_epoch
        self.optimizer = build_optimizer(model, config, total_steps=self.total_steps)
        self.generator = torch.Generator().manual_seed(config.seed)
        self.history = History()
        self.learning_rate = config.learning_rate
        self.good = self._parameters()

    def step(self, images: Float[Tensor, "batch size size"], masks: Masks) -> list[float]:
        """One step; returns mean and quantiles of the loss 1 - F, the learning rate, how many were skipped.

        If the step fails, the parameters are reset to those before it; if their loss or gradient is not finite, to
        those of one step earlier.
        """
        used = self.model.usable(images, masks)
        summary, rate = [float("nan")] * 3, self.optimizer.learning_rate
        if used.any():
            before = self._parameters()
            try:
                losses = self.optimizer.step(images[used], masks[used])
                self.good = before
                check_finite("a parameter", self.model.parameters())
            except (DivergenceError, torch.linalg.LinAlgError) as error:  # pyright: ignore[reportPrivateImportUsage]
                raise self._diverged(len(self.history.rows) + 1, str(error)) from error
            except BaseException:
                self._restore(before)
                raise
            low, high = torch.quantile(losses, losses.new_tensor([0.05, 0.95])).tolist()
            summary = [losses.mean().item(), low, high]
        self.optimizer.advance()
        return [*summary, rate, float((~used).sum())]

    def validate(self, images: Float[Tensor, "held_out size size"], masks: Masks) -> float:
        """Mean fidelity of the validation images."""
        fidelity = mean_fidelity(self.model, images, masks)
        if not math.isfinite(fidelity):
            raise self._diverged(len(self.history.rows), "the validation fidelity is not finite")
        return fidelity

    def _diverged(self, step: int, why: str) -> DivergenceError:
        """Go back to the last parameters whose loss and gradient were finite."""
        self._restore(self.good)
        return diverged(self.model.name, step, why, self.learning_rate)

    def _parameters(self) -> list[Tensor]:
        return [parameter.detach().clone() for parameter in self.model.parameters()]

    @torch.no_grad()
    def _restore(self, parameters: list[Tensor]) -> None:
        for parameter, value in zip(self.model.parameters(), parameters, strict=True):
            parameter.copy_(value)

    def save(self, folder: Path) -> None:
        """Write the checkpoint, which alone counts for a resume, and beside it the model and its history."""
        state = {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "generator": self.generator.get_state(),
            "history": self.history.rows,
        }
        write_atomically(folder / CHECKPOINT, checkpoint_bytes(state, self.settings))
        self.export(folder)

    def export(self, folder: Path) -> None:
        """Write the history, and the model with the number of steps that it is trained."""
        write_atomically(folder / HISTORY, self.history.to_csv())
        about = {"model": self.settings["model"], "steps": len(self.history.rows)}
        write_atomically(folder / WEIGHTS, to_bytes(self.model.state_dict(), about))

    def load(self, path: Path) -> None:
        """Go on from a checkpoint.

        Raises:
            InputError: it cannot be read, or is of another training.
        """
        state = load_checkpoint(path, self.settings)
        with intact(path):
            self.model.load_state_dict(state["model"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.generator.set_state(state["generator"])
            self.history = History.of([list(map(float, row)) for row in state["history"]])
            if not self.history.rows or self.history.epochs * self.steps_per_epoch != len(self.history.rows):
                raise ValueError("its history is not one of whole epochs")
        self.good = self._parameters()


def check_method(model: TrainableModel, config: TrainingConfig) -> None:
    """Refuse a training that a model is not made for.

    Raises:
        InputError: sweeps for a model that has no blocks for them, a success weight for a model that discards no shot,
            frozen angles that sweeps would set, or no trainable parameter at all.
    """
    if config.success_weight and not model.heralded:
        raise InputError(f"a success weight is for heralded models, and {model.name} discards no shot: leave it out")
    if config.method == "sweeps":
        if not isinstance(model, CircuitModel):
            raise InputError(f"{model.name} has no circuit: train it by adam")
        Sweeps.check(model)
    elif not any(parameter.requires_grad for parameter in model.parameters()):
        raise InputError("all parameters are frozen, so nothing can be trained: call model.requires_grad_(True)")


def build_optimizer(model: TrainableModel, config: TrainingConfig, *, total_steps: int) -> Adam | Sweeps:
    """Build what the config asks for.

    Raises:
        InputError: as `check_method`.
    """
    check_method(model, config)
    if isinstance(model, CircuitModel) and config.method == "sweeps":
        return Sweeps(model, learning_rate=config.learning_rate, success_weight=config.success_weight)
    return Adam(model, config, total_steps=total_steps)
