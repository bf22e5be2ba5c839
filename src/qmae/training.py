"""Algorithm 1: train a model on masked images with Adam, in checkpoints that can be resumed."""

from __future__ import annotations

import csv
import io
import math
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from pickle import UnpicklingError
from tempfile import TemporaryFile

import torch
from jaxtyping import Float
from safetensors.torch import save
from torch import Tensor

from qmae.errors import DivergenceError, InputError
from qmae.files import write_atomically
from qmae.masking import Masks
from qmae.models import WEIGHTS, embed_references, in_batches
from qmae.objective import Trainable
from qmae.optimizers import build_optimizer, check_method
from qmae.progress import Progress, silent
from qmae.settings import TrainingConfig

COLUMNS = (
    *("step", "epoch", "loss_mean", "loss_p05", "loss_p95"),
    *("learning_rate", "skipped", "validation_fidelity", "seconds"),
)
CHECKPOINT, HISTORY = "checkpoint.pt", "history.csv"
VALIDATION_MASK_SEED = 1


@dataclass
class History:
    """What happened at every step; `COLUMNS` names the values of a row.

    `loss_mean`, `loss_p05` and `loss_p95` are the mean and the 5% and 95% quantiles of 1 - F over the
    images of the step (Figure 8), `skipped` counts images that had nothing left to embed,
    `validation_fidelity` is known at the end of an epoch and NaN elsewhere, `seconds` is the time trained.
    """

    rows: list[list[float]] = field(default_factory=list)

    def column(self, name: str) -> list[float]:
        """All values of one column."""
        return [row[COLUMNS.index(name)] for row in self.rows]

    def to_csv(self) -> str:
        """The history as CSV with a header; NaN is left empty."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows([["" if value != value else f"{value:.9g}" for value in row] for row in self.rows])
        return text.getvalue()

    @classmethod
    def from_csv(cls, text: str) -> History:
        """Read what `to_csv` wrote.

        Raises:
            ValueError: the text is something else, or holds no step.
        """
        header, *rows = csv.reader(io.StringIO(text))
        if tuple(header) != COLUMNS or not rows or any(len(row) != len(COLUMNS) for row in rows):
            raise ValueError("no history of a training")
        return cls([[float(value or "nan") for value in row] for row in rows])


# Whatever the caller computes without gradients, a training needs them.
@torch.inference_mode(False)
@torch.enable_grad()
def train(
    model: Trainable,
    images: Float[Tensor, "images size size"],
    validation: Float[Tensor, "held_out size size"],
    config: TrainingConfig,
    *,
    folder: str | Path | None = None,
    device: torch.device | str = "cpu",
    progress: Progress = silent,
) -> History:
    """Minimize the mean of 1 - F over masked images with Adam (Algorithm 1, Eq. 9).

    Every epoch shuffles the images and draws a new mask for each; two models trained with the same seed
    see the same images under the same masks in the same order.

    Args:
        model: trained in place; ends on the CPU, whatever happens, and as it was after a whole step.
        images: training images in [0, 1].
        validation: images that only measure; their masks are the same in every epoch.
        config: epochs, batch size, learning rate, seed.
        folder: if given, it is made, the state after every epoch is kept there, and training goes on from what lies
            there.
        device: where to compute.
        progress: told of every step.

    Returns:
        The history of all steps, those before a resume included.

    Raises:
        InputError: a model, images, a device or a folder that cannot be used; or a config that is not for this model.
        DivergenceError: a loss, a gradient, a parameter or the validation fidelity is not finite; the model is that of
            the last step before which all of them were, the folder that of the last finished epoch.
    """
    device = _usable_device(device)
    _check_model(model)
    images, validation = (
        _checked(batch, what, model) for batch, what in ((images, "training"), (validation, "validation"))
    )
    check_method(model, config)
    folder, made = (None, False) if folder is None else _writable(Path(folder))
    try:
        model.to(device)
        return _train(model, images.to(device), validation.to(device), config, folder, progress)
    except BaseException:
        if folder and made:
            with suppress(OSError):  # an epoch lies there
                folder.rmdir()
        raise
    finally:
        model.cpu()


def _train(
    model: Trainable,
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
    state = _TrainingState(model, config, steps_per_epoch=-(-len(images) // batch_size))
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
        (folder / CHECKPOINT).unlink()
    return history


def _usable_device(device: torch.device | str) -> torch.device:
    try:
        found = torch.device(device)
        torch.empty(1, device=found)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise InputError(f"no device {device} is at hand: choose cpu") from error
    if found.type == "meta":
        raise InputError("the device meta holds no numbers: choose cpu")
    return found


def _check_model(model: Trainable) -> None:
    for parameter in model.parameters():
        if parameter.dtype not in (torch.float32, torch.float64):
            raise InputError(f"parameters of {parameter.dtype} are too short to train: call model.float()")
        if parameter.is_inference():
            raise InputError("the model was made in torch.inference_mode and cannot be trained: make it outside")
        if not parameter.isfinite().all():
            raise InputError("the model has a parameter that is not finite: train another one")


def _checked(
    images: Float[Tensor, "images height width"], what: str, model: Trainable
) -> Float[Tensor, "images size size"]:
    """Images that a model can be trained on or measured by, in its precision."""
    size = model.config.patch.image_size
    if images.ndim != 3 or not len(images) or images.shape[1:] != (size, size):
        shape = list(images.shape)
        raise InputError(
            f"{what} images have shape {shape}: give one or more of the model's {size} x {size} pixels, [N, {size}, {size}]"
        )
    # Refuse what cannot be embedded now, not in the middle of an epoch.
    embed_references(images)
    return images.to(next(model.parameters()).dtype)


def _writable(folder: Path) -> tuple[Path, bool]:
    """Make a folder, if there is none, in which files can be made; and whether there was none."""
    try:
        made = not folder.exists()
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise InputError(f"cannot write to {folder} ({error.strerror}): choose another folder") from error
    return folder, made


@torch.no_grad()
def mean_fidelity(
    model: Trainable,
    images: Float[Tensor, "images size size"],
    masks: Masks,
) -> float:
    """Mean fidelity over many images."""
    return sum(model.fidelity(*batch).sum().item() for batch in in_batches(images, masks)) / len(images)


class _TrainingState:
    """All that a checkpoint must hold so that a resumed run equals an uninterrupted one."""

    def __init__(self, model: Trainable, config: TrainingConfig, *, steps_per_epoch: int) -> None:
        self.model = model
        self.steps_per_epoch = steps_per_epoch
        self.total_steps = config.epochs * steps_per_epoch
        self.optimizer = build_optimizer(model, config, total_steps=self.total_steps)
        self.generator = torch.Generator().manual_seed(config.seed)
        self.history = History()
        self.learning_rate = config.learning_rate
        self.good = self._parameters()

    def step(self, images: Float[Tensor, "batch size size"], masks: Masks) -> list[float]:
        """One step; returns mean and quantiles of the loss 1 - F, the learning rate, how many were skipped.

        If it cannot be finished, the parameters are those before it, or, where they are at fault, those before these.
        """
        used = self.model.usable(images, masks)
        summary, rate = [float("nan")] * 3, self.optimizer.learning_rate
        if used.any():
            before = self._parameters()
            try:
                losses = self.optimizer.step(images[used], masks[used])
            except (DivergenceError, torch.linalg.LinAlgError) as error:
                raise self._diverged(len(self.history.rows) + 1, str(error)) from error
            except BaseException:
                self._restore(before)
                raise
            self.good = before
            low, high = torch.quantile(losses, losses.new_tensor([0.05, 0.95])).tolist()
            summary = [losses.mean().item(), low, high]
        self.optimizer.advance()
        return [*summary, rate, float((~used).sum())]

    def validate(self, images: Float[Tensor, "held_out size size"], masks: Masks) -> float:
        """Mean fidelity of images that are not trained on."""
        fidelity = mean_fidelity(self.model, images, masks)
        if not math.isfinite(fidelity):
            raise self._diverged(len(self.history.rows), "the validation fidelity is not finite")
        return fidelity

    def _diverged(self, step: int, why: str) -> DivergenceError:
        """Go back to the last parameters whose loss and gradient were finite."""
        self._restore(self.good)
        return DivergenceError(
            f"training {self.model.name} diverged at step {step}: {why}; choose a lower learning rate than "
            f"{self.learning_rate:g}"
        )

    def _parameters(self) -> list[Tensor]:
        return [parameter.detach().clone() for parameter in self.model.parameters()]

    @torch.no_grad()
    def _restore(self, parameters: list[Tensor]) -> None:
        for parameter, value in zip(self.model.parameters(), parameters, strict=True):
            parameter.copy_(value)

    def save(self, folder: Path) -> None:
        """Write the checkpoint, which alone counts for a resume, and beside it the model and its history."""
        content = io.BytesIO()
        state = {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "generator": self.generator.get_state(),
            "history": self.history.rows,
        }
        torch.save(state, content)
        write_atomically(folder / CHECKPOINT, content.getvalue())
        self.export(folder)

    def export(self, folder: Path) -> None:
        """Write the model and its history."""
        write_atomically(folder / HISTORY, self.history.to_csv())
        # A parametrization may keep a matrix transposed, which the format does not know.
        write_atomically(folder / WEIGHTS, save({k: v.contiguous() for k, v in self.model.state_dict().items()}))

    def load(self, path: Path) -> None:
        """Go on from a checkpoint.

        Raises:
            InputError: it cannot be read.
        """
        try:
            state = torch.load(path, weights_only=True, map_location="cpu")
            self.model.load_state_dict(state["model"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.generator.set_state(state["generator"])
            self.history.rows = state["history"]
        except (OSError, EOFError, KeyError, RuntimeError, ValueError, UnpicklingError) as error:
            raise InputError(f"{path} is damaged and cannot be resumed: remove it and train anew") from error
