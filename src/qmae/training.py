"""Algorithm 1: train a model on masked images with Adam, in checkpoints that can be resumed."""

from __future__ import annotations

import csv
import io
import time
from dataclasses import dataclass, field
from pathlib import Path
from pickle import UnpicklingError

import torch
from jaxtyping import Float
from safetensors.torch import save
from torch import Tensor

from qmae.errors import InputError
from qmae.files import write_atomically
from qmae.masking import Masks
from qmae.models import WEIGHTS, embed_references, in_batches
from qmae.optimizers import Trainable, build_optimizer
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


def train(
    model: Trainable,
    images: Float[Tensor, "images size size"],
    validation: Float[Tensor, "held_out size size"],
    config: TrainingConfig,
    *,
    folder: Path | None = None,
    device: torch.device | str = "cpu",
    progress: Progress = silent,
) -> History:
    """Minimize the mean of 1 - F over masked images with Adam (Algorithm 1, Eq. 9).

    Every epoch shuffles the images and draws a new mask for each; two models trained with the same seed
    see the same images under the same masks in the same order.

    Args:
        model: trained in place; ends on the CPU.
        images: training images in [0, 1].
        validation: images that only measure; their masks are the same in every epoch.
        config: epochs, batch size, learning rate, seed.
        folder: if given, the state after every epoch is kept here and training goes on from what lies here.
        device: where to compute.
        progress: told of every step.

    Returns:
        The history of all steps, those before a resume included.

    Raises:
        InputError: an image is all black or holds NaN.
    """
    # Refuse what cannot be embedded now, not in the middle of an epoch.
    embed_references(images)
    embed_references(validation)
    model.to(device)
    images, validation = images.to(device), validation.to(device)
    validation_masks = model.config.patch.sample(
        len(validation), generator=torch.Generator().manual_seed(VALIDATION_MASK_SEED)
    ).to(device)
    state = _TrainingState(model, config, steps_per_epoch=-(-len(images) // config.batch_size))
    if folder and (folder / CHECKPOINT).exists():
        state.load(folder / CHECKPOINT)
    history = state.history
    with progress(f"training {model.name}, {model.config.patch.ratio:.1%} mask", state.total_steps) as advance:
        advance(len(history.rows))
        started = time.perf_counter() - (history.column("seconds")[-1] if history.rows else 0.0)
        for epoch in range(len(history.rows) // state.steps_per_epoch, config.epochs):
            masks = model.config.patch.sample(len(images), generator=state.generator).to(device)
            for batch in torch.randperm(len(images), generator=state.generator).split(config.batch_size):
                batch = batch.to(device)
                measured = state.step(images[batch], masks[batch])
                seconds = time.perf_counter() - started
                history.rows.append([len(history.rows) + 1, epoch + 1, *measured, float("nan"), seconds])
                advance(1)
            history.rows[-1][COLUMNS.index("validation_fidelity")] = mean_fidelity(model, validation, validation_masks)
            if folder:
                state.save(folder)
    model.cpu()
    if folder:
        # Again, in case the last training was interrupted between its last checkpoint and these.
        state.export(folder)
        (folder / CHECKPOINT).unlink()
    return history


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

    def step(self, images: Float[Tensor, "batch size size"], masks: Masks) -> list[float]:
        """One step; returns mean and quantiles of the loss 1 - F, the learning rate, how many were skipped."""
        used = self.model.usable(images, masks)
        summary, rate = [float("nan")] * 3, self.optimizer.learning_rate
        if used.any():
            losses = self.optimizer.step(images[used], masks[used])
            low, high = torch.quantile(losses, losses.new_tensor([0.05, 0.95])).tolist()
            summary = [losses.mean().item(), low, high]
        self.optimizer.advance()
        return [*summary, rate, float((~used).sum())]

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
