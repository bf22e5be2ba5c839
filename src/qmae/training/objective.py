"""What a training step minimizes, and the check that its numbers stay finite."""

from __future__ import annotations

from collections.abc import Iterable

from jaxtyping import Float
from torch import Tensor

from qmae.data.masks import Masks
from qmae.errors import DivergenceError
from qmae.models.base import TrainableModel


def objective(
    model: TrainableModel, images: Float[Tensor, "batch size size"], masks: Masks, success_weight: float
) -> tuple[Float[Tensor, " batch"], Float[Tensor, " batch"]]:
    """The losses 1 - F of a batch, and what is minimized, 1 - F + L (1 - p), image by image.

    Args:
        model: what is trained.
        images: the originals.
        masks: one per image.
        success_weight: L, what a discarded shot costs.
    """
    # Not `fidelity`, which refuses a dark batch: the data set was checked as a whole.
    if not success_weight:
        losses = 1 - model._measure(images, masks, "fidelity")[0]
        return losses, losses
    fidelity, success = model._measure(images, masks, "fidelity", "success_probability")
    return 1 - fidelity, 1 - fidelity + success_weight * (1 - success)


def check_finite(what: str, tensors: Iterable[Tensor]) -> None:
    """Refuse numbers that are NaN or infinite, or so large that their norm is.

    Args:
        what: their name in the message, "... is not finite".
        tensors: of any shapes.

    Raises:
        DivergenceError: one of them is not finite.
    """
    # Images are divided by norms, and Adam divides by squares. Where these overflow, the quotient would be 0.
    if not all(bool(tensor.detach().square().sum().isfinite()) for tensor in tensors):
        raise DivergenceError(f"{what} is not finite")


def diverged(what: str, step: int, why: str, learning_rate: float) -> DivergenceError:
    """The error that ends a training.

    Args:
        what: was trained.
        step: counted from 1.
        why: of `check_finite`.
        learning_rate: that was too high.
    """
    return DivergenceError(
        f"training {what} diverged at step {step}: {why}; choose a lower learning rate than {learning_rate:g}"
    )
