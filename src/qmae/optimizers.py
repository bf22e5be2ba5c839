"""What a training step does: Adam on all parameters, or sweeps over the blocks of circuits."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from qmae.ceiling import FreeModel
from qmae.classical import ClassicalModel
from qmae.errors import InputError
from qmae.masking import Masks
from qmae.models import MaskedAutoencoder
from qmae.settings import TrainingConfig
from qmae.simulation.precision import without_autocast
from qmae.sweeping import Sweeps

Trainable = MaskedAutoencoder | ClassicalModel | FreeModel
"""What can be trained: a quantum model, a classical network, or a design with free matrices."""


class Adam:
    """Adam on all parameters, with a one-cycle schedule of the learning rate (Algorithm 1).

    Args:
        model: trained in place.
        config: learning rate, and what a discarded run costs.
        total_steps: of the whole training.
    """

    def __init__(self, model: Trainable, config: TrainingConfig, *, total_steps: int) -> None:
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
        """One step; returns the losses 1 - F before it."""
        losses = objective = 1 - self.model._fidelity(images, masks)
        if self.success_weight:
            objective = losses + self.success_weight * (1 - self.model._success_probability(images, masks))
        self.adam.zero_grad()
        objective.mean().backward()
        self.adam.step()
        return losses.detach()

    def advance(self) -> None:
        """Go on in the schedule, which counts batches with nothing to train on, too."""
        self.schedule.step()

    def state_dict(self) -> dict[str, Any]:
        """All that a resumed training needs."""
        return {"adam": self.adam.state_dict(), "schedule": self.schedule.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        self.adam.load_state_dict(state["adam"])
        self.schedule.load_state_dict(state["schedule"])


def build_optimizer(model: Trainable, config: TrainingConfig, *, total_steps: int) -> Adam | Sweeps:
    """Build what the config asks for.

    Raises:
        InputError: sweeps for a model that has no blocks for them.
    """
    if config.method == "adam":
        return Adam(model, config, total_steps=total_steps)
    if not isinstance(model, MaskedAutoencoder):
        raise InputError(f"{model.name} has no circuit: train it by adam")
    return Sweeps(model, learning_rate=config.learning_rate, success_weight=config.success_weight)
