"""Adam on all parameters, with a one-cycle schedule of the learning rate."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from qmae.data.masks import Masks
from qmae.models.base import TrainableModel
from qmae.simulation.precision import without_autocast
from qmae.training.config import TrainingConfig
from qmae.training.objective import check_finite, objective


class Adam:
    """Adam on all parameters, with a one-cycle schedule of the learning rate (Algorithm 1).

    Args:
        model: trained in place.
        config: learning rate, and what a discarded shot costs.
        total_steps: of the whole training.
    """

    def __init__(self, model: TrainableModel, config: TrainingConfig, *, total_steps: int) -> None:
        self.model, self.success_weight = model, config.success_weight
        self.adam = torch.optim.Adam(model.parameters(), lr=config.learning_rate, fused=True)
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(
            self.adam, config.learning_rate, total_steps=total_steps, cycle_momentum=False
        )

    @property
    def learning_rate(self) -> float:
        """Of the next step."""
        return float(self.schedule.get_last_lr()[0])

    @without_autocast()
    def step(self, images: Float[Tensor, "batch size size"], masks: Masks) -> Float[Tensor, " batch"]:
        """One step.

        Returns:
            The losses 1 - F before it.

        Raises:
            DivergenceError: the loss or its gradient is not finite.
        """
        losses, minimized = objective(self.model, images, masks, self.success_weight)
        check_finite("the loss", [minimized])
        self.adam.zero_grad()
        minimized.mean().backward()
        check_finite("the gradient", [p.grad for p in self.model.parameters() if p.grad is not None])
        self.adam.step()
        return losses.detach()

    def advance(self) -> None:
        """Advance the schedule, also after a batch with nothing to train on."""
        self.schedule.step()

    def state_dict(self) -> dict[str, Any]:
        """All that a resumed training needs."""
        return {"adam": self.adam.state_dict(), "schedule": self.schedule.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        self.adam.load_state_dict(state["adam"])
        self.schedule.load_state_dict(state["schedule"])
