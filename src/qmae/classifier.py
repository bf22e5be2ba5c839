"""The judge of reconstructions: a ResNet18 trained on original images, never on reconstructions."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from importlib import resources
from pathlib import Path

import torch
from jaxtyping import Float, Int
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn
from torch.nn.functional import affine_grid, cross_entropy, grid_sample
from torchvision.models import resnet18

from qmae.errors import InputError
from qmae.files import write_atomically
from qmae.metrics import scale_to_maximum
from qmae.progress import Advance, Progress, silent

PACKAGED = Path(str(resources.files("qmae"))) / "data" / "resnet18-mnist16.safetensors"
"""Weights for MNIST at 16 x 16 that ship with the package, int8 per output channel."""


def build_classifier(classes: int = 10) -> nn.Module:
    """Build the paper's judge (Section 4.3): torchvision's ResNet18 for one channel, first maxpool removed."""
    model = resnet18(num_classes=classes)
    model.conv1 = nn.Conv2d(1, 64, kernel_size=7, stride=2, padding=3, bias=False)
    model.register_module("maxpool", nn.Identity())
    return model.eval()


@torch.no_grad()
def predict(
    classifier: nn.Module,
    images: Float[Tensor, "images height width"],
    *,
    batch_size: int = 500,
    advance: Advance = lambda images: None,
) -> Int[Tensor, " images"]:
    """Classify images, each divided by its own maximum.

    Args:
        classifier: a module from `build_classifier`, in evaluation mode.
        images: [N, H, W], non-negative.
        batch_size: images per forward pass.
        advance: told how many images are done.

    Returns:
        The predicted labels [N].
    """
    device = next(classifier.parameters()).device
    labels = []
    for batch in scale_to_maximum(images).split(batch_size):
        labels.append(classifier(batch[:, None].to(device)).argmax(1).to(images.device))
        advance(len(batch))
    return torch.cat(labels)


def train_classifier(
    train: tuple[Float[Tensor, "images height width"], Int[Tensor, " images"]],
    validation: tuple[Float[Tensor, "held_out height width"], Int[Tensor, " held_out"]],
    *,
    epochs: int = 10,
    batch_size: int = 128,
    learning_rate: float = 2e-3,
    weight_decay: float = 0.02,
    generator: torch.Generator,
    device: torch.device | str = "cpu",
    progress: Progress = silent,
    on_epoch: Callable[[int, float], None] = lambda epoch, accuracy: None,
    on_better: Callable[[nn.Module], None] = lambda model: None,
) -> nn.Module:
    """Train the judge on original images and keep the epoch that is best on the validation images.

    AdamW with a one-cycle learning rate; each image is turned, scaled and shifted a little (`jitter`).

    Args:
        train: images [N, H, W] in [0, 1] and labels [N].
        validation: the same for the held-out images, which decide when to stop.
        epochs: passes over the training images at the most.
        batch_size: images per step.
        learning_rate: the peak of the one-cycle schedule.
        weight_decay: AdamW's decoupled weight decay.
        generator: shuffles and jitters; the initial weights come from it too.
        device: where to train.
        progress: told of every step.
        on_epoch: called with the epoch (from 1) and the validation accuracy after every epoch.
        on_better: called with the classifier after every epoch that is the best so far.

    Returns:
        The classifier in evaluation mode, on the CPU.

    Raises:
        InputError: an image has no label.
    """
    if min(train[1].min(), validation[1].min()) < 0:
        raise InputError("training a classifier needs a label for every image: add `labels` to the data")
    classes = int(max(train[1].max(), validation[1].max())) + 1
    images, labels = scale_to_maximum(train[0])[:, None].to(device), train[1].to(device)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(torch.randint(2**31, (), generator=generator)))
        model = build_classifier(classes).to(device).to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(model.parameters(), lr=learning_rate, weight_decay=weight_decay)
    steps = math.ceil(len(images) / batch_size)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, learning_rate, total_steps=epochs * steps)
    best, best_accuracy = model, -1.0
    with progress("training the classifier", epochs * steps) as advance:
        for epoch in range(1, epochs + 1):
            model.train()
            for batch in torch.randperm(len(images), generator=generator).split(batch_size):
                batch = batch.to(device)
                jittered = jitter(images[batch], generator=generator).contiguous(memory_format=torch.channels_last)
                loss = cross_entropy(model(jittered), labels[batch], label_smoothing=0.05)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
                advance(1)
            model.eval()
            accuracy = (predict(model, validation[0]) == validation[1]).float().mean().item()
            on_epoch(epoch, accuracy)
            if accuracy > best_accuracy:
                best, best_accuracy = copy.deepcopy(model), accuracy
                on_better(best)
    return best.cpu().to(memory_format=torch.contiguous_format)


def jitter(
    images: Float[Tensor, "batch 1 height width"], *, generator: torch.Generator
) -> Float[Tensor, "batch 1 height width"]:
    """Turn by up to 10 degrees, scale by up to 10% and shift by up to 6% of the side, uniformly."""

    def uniform(spread: float) -> Tensor:
        return (torch.rand(len(images), generator=generator) * 2 - 1) * spread

    angle, scale = uniform(math.radians(10)), 1 + uniform(0.1)
    # affine_grid's coordinates span two units a side.
    dx, dy = uniform(0.12), uniform(0.12)
    cos, sin = scale * angle.cos(), scale * angle.sin()
    affine = torch.stack([cos, -sin, dx, sin, cos, dy], dim=1).view(-1, 2, 3).to(images.device)
    return grid_sample(images, affine_grid(affine, list(images.shape), align_corners=False), align_corners=False)


def save_classifier(model: nn.Module, path: Path) -> None:
    """Save the weights, matrices and kernels quantized to int8 with one scale per output channel (about 11 MB)."""
    tensors: dict[str, Tensor] = {}
    for name, value in model.state_dict().items():
        value = value.cpu()
        if value.ndim > 1:
            scale = value.flatten(1).abs().amax(1) / 127
            tensors[f"{name}.scale"] = scale
            value = (value / scale.view(-1, *[1] * (value.ndim - 1))).round().to(torch.int8)
        tensors[name] = value.contiguous()
    write_atomically(path, save(tensors))


def load_classifier(path: Path = PACKAGED) -> nn.Module:
    """Load a classifier that `save_classifier` wrote; by default the one that ships with the package.

    Raises:
        InputError: no such file, or a file that holds something else.
    """
    if not path.is_file():
        raise InputError(f"no classifier {path}: make one with `qmae train-classifier --out {path}`")
    try:
        tensors = load_file(path)
        state = {
            name: value.float() * tensors[f"{name}.scale"].view(-1, *[1] * (value.ndim - 1))
            if value.dtype == torch.int8
            else value
            for name, value in tensors.items()
            if not name.endswith(".scale")
        }
        model = build_classifier(len(state["fc.bias"]))
        model.load_state_dict(state)
    except (SafetensorError, KeyError, RuntimeError) as error:
        raise InputError(f"{path} holds no qmae classifier: make one with `qmae train-classifier`") from error
    return model
