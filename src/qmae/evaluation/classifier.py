"""The classifier of reconstructions: a ResNet18 trained on original images, never on reconstructions."""

from __future__ import annotations

import copy
import hashlib
import math
import os
from collections.abc import Callable
from importlib import resources
from pathlib import Path

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import affine_grid, cross_entropy, grid_sample
from torchvision.models.resnet import BasicBlock, ResNet

from qmae._files import read_bytes, refused
from qmae._progress import Advance, Progress, silent
from qmae._values import number, whole
from qmae.data.checks import check_labels, check_pixels, check_tensor
from qmae.data.image_files import CLASSES
from qmae.errors import InputError
from qmae.evaluation.metrics import scale_to_maximum
from qmae.models.weights import load_tensors, save_tensors
from qmae.simulation.precision import without_autocast

PACKAGED = Path(str(resources.files("qmae.evaluation"))) / "resnet18-mnist16.safetensors"
"""Weights for MNIST at 16 x 16 that ship with the package, int8 per output channel."""

_PACKAGED_SHA256 = "3a18c9dc49b93b73db5e8fa5ae670ecc7e68c847f382ab7d05b099b4bbea90e7"
_PACKAGED_SIZE = 16

LARGEST_FILE = 2**28
"""Bytes of a file of weights at the most: a ResNet18 of `CLASSES` outputs in float32 takes 112 MB."""


LARGEST_RATE = 1_000
"""Learning rates above diverge in any case, and overflow in the optimizer."""


class Classifier(ResNet):
    """The paper's classifier (Section 4.3): torchvision's ResNet18 for one channel, the first maxpool removed.

    Args:
        classes: how many labels it tells apart.
        image_size: pixels a side of the images that it is trained on; None if that is not known.
    """

    def __init__(self, classes: int, image_size: int | None) -> None:
        super().__init__(BasicBlock, [2, 2, 2, 2], num_classes=classes)
        self.conv1 = nn.Conv2d(1, 64, kernel_size=7, stride=2, padding=3, bias=False)
        self.register_module("maxpool", nn.Identity())
        self.classes, self.image_size = classes, image_size
        self.float()  # whatever the default data type is


def build_classifier(classes: int = 10, image_size: int | None = None) -> Classifier:
    """Build an untrained classifier, in evaluation mode."""
    return Classifier(classes, image_size).eval()


@torch.no_grad()
@without_autocast()
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

    Raises:
        InputError: the classifier is trained on images of another size, or its weights give no finite numbers.
    """
    check_tensor(images)
    trained, size = getattr(classifier, "image_size", None), images.shape[-1]
    if trained not in (None, size):
        raise InputError(
            f"the classifier is trained on images of {trained} x {trained} pixels, not {size} x {size}: "
            f"train one with `qmae train-classifier --size {size}`"
        )
    weight = next(classifier.parameters())
    labels = []
    for batch in scale_to_maximum(images).split(batch_size):
        scores = classifier(batch[:, None].to(weight))
        if not scores.isfinite().all():
            raise InputError("the classifier gives no finite numbers: its weights are damaged; train it anew")
        labels.append(scores.argmax(1).to(images.device))
        advance(len(batch))
    return torch.cat(labels)


@torch.inference_mode(False)
@torch.enable_grad()
@without_autocast()
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
    on_better: Callable[[Classifier], None] = lambda model: None,
) -> Classifier:
    """Train the classifier on original images and keep the epoch that is best on the validation images.

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
        InputError: an image has no label, or a set holds too few images or labels; or the training diverges.
    """
    epochs, batch_size = whole(epochs, "number of epochs", 1, 2**31), whole(batch_size, "batch size", 2, 2**31)
    learning_rate = number(learning_rate, "learning rate", at_least=0, at_most=LARGEST_RATE)
    weight_decay = number(weight_decay, "weight decay", at_least=0)
    _check_counts(len(train[0]), len(validation[0]))
    train, validation = _examples(train), _examples(validation)
    _check_examples(train, validation)
    classes = int(max(train[1].max(), validation[1].max())) + 1
    images, labels = scale_to_maximum(train[0])[:, None].to(device), train[1].to(device)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(torch.randint(2**31, (), generator=generator)))
        model = build_classifier(classes, images.shape[-1]).to(device).to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(model.parameters(), lr=learning_rate, weight_decay=weight_decay)
    steps = len(_batches(torch.arange(len(images)), batch_size))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, learning_rate, total_steps=epochs * steps)
    best, best_accuracy = model, -1.0
    with progress("training the classifier", epochs * steps) as advance:
        for epoch in range(1, epochs + 1):
            model.train()
            for batch in _batches(torch.randperm(len(images), generator=generator), batch_size):
                batch = batch.to(device)
                jittered = jitter(images[batch], generator=generator).contiguous(memory_format=torch.channels_last)
                loss = cross_entropy(model(jittered), labels[batch], label_smoothing=0.05)
                if not loss.isfinite():
                    raise InputError(
                        f"training the classifier diverged in epoch {epoch}: choose a lower learning rate than "
                        f"{learning_rate:g}"
                    )
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


def _check_counts(training: int, validation: int) -> None:
    if training < 2 or validation < 1:
        raise InputError(
            f"{training} training and {validation} validation images: training a classifier needs 2 and 1 at least"
        )


def _examples(
    examples: tuple[Float[Tensor, "images height width"], Int[Tensor, " images"]],
) -> tuple[Float[Tensor, "images height width"], Int[Tensor, " images"]]:
    """Images in single precision and labels as int64."""
    images, labels = examples
    check_tensor(images)
    check_pixels(images)
    return images.float(), check_labels(labels, len(images))


def _check_examples(
    train: tuple[Float[Tensor, "images height width"], Int[Tensor, " images"]],
    validation: tuple[Float[Tensor, "held_out height width"], Int[Tensor, " held_out"]],
) -> None:
    counts = f"{len(train[0])} training and {len(validation[0])} validation images"
    labels = torch.cat([train[1], validation[1]])
    if labels.min() < 0:
        raise InputError(
            f"training a classifier needs a label for every image, {int((labels < 0).sum())} of {counts} have none: "
            "add `labels` to the data"
        )
    if labels.max() >= CLASSES:
        raise InputError(f"an image has the label {int(labels.max())}: labels must lie below {CLASSES:,}")
    if len(train[1].unique()) < 2:
        raise InputError(f"all {len(train[1])} training images have one label: a classifier tells at least two apart")


def _batches(order: Int[Tensor, " images"], batch_size: int) -> list[Int[Tensor, " batch"]]:
    """Split into batches; one image that is left over joins the last: batch normalization needs two."""
    batches = list(order.split(batch_size))
    if len(batches) > 1 and len(batches[-1]) == 1:
        batches[-2:] = [torch.cat(batches[-2:])]
    return batches


def jitter(
    images: Float[Tensor, "batch 1 height width"], *, generator: torch.Generator
) -> Float[Tensor, "batch 1 height width"]:
    """Turn by up to 10 degrees, scale by up to 10% and shift by up to 6% of the side, uniformly."""

    def uniform(spread: float) -> Tensor:
        return (torch.rand(len(images), generator=generator, dtype=torch.float32) * 2 - 1) * spread

    angle, scale = uniform(math.radians(10)), 1 + uniform(0.1)
    # affine_grid's coordinates span two units a side.
    dx, dy = uniform(0.12), uniform(0.12)
    cos, sin = scale * angle.cos(), scale * angle.sin()
    affine = torch.stack([cos, -sin, dx, sin, cos, dy], dim=1).view(-1, 2, 3).to(images.device)
    return grid_sample(images, affine_grid(affine, list(images.shape), align_corners=False), align_corners=False)


def save_classifier(model: nn.Module, path: Path, *, data: str | None = None) -> None:
    """Save the weights, matrices and kernels quantized to int8 with one scale per output channel (about 11 MB).

    Args:
        model: from `build_classifier`.
        path: of the file.
        data: what it is trained on, to be kept beside the weights.

    Raises:
        InputError: a weight is not finite, or the file cannot be written.
    """
    tensors: dict[str, Tensor] = {}
    for name, value in model.state_dict().items():
        value = value.cpu()
        if value.ndim > 1:
            scale = value.flatten(1).abs().amax(1) / 127
            tensors[f"{name}.scale"] = scale
            # A channel of zeros has the scale 0, and stays zeros.
            value = (value / scale.where(scale > 0, 1).view(-1, *[1] * (value.ndim - 1))).round().to(torch.int8)
        tensors[name] = value
    save_tensors(path, tensors, {"image_size": getattr(model, "image_size", None), "data": data})


def load_classifier(path: Path = PACKAGED) -> Classifier:
    """Load a classifier that `save_classifier` wrote; by default the one that ships with the package.

    Returns:
        The classifier in evaluation mode; its `image_size` is None in files of versions that did not keep it.

    Raises:
        InputError: no such file, or a file that is damaged or holds something else.
    """
    path = Path(path)
    with refused("read", path):
        try:
            size = os.stat(path).st_size
        except FileNotFoundError as error:
            raise InputError(f"no classifier {path}: make one with `qmae train-classifier --out {path}`") from error
    if size > LARGEST_FILE:
        raise InputError(f"{path} holds no qmae classifier: {size:,} bytes are more than {LARGEST_FILE:,}")
    try:
        tensors, about = load_tensors(path)
        model = build_classifier(_classes(tensors), _image_size(about))
        model.load_state_dict(_restored(tensors))
    except (KeyError, RuntimeError, InputError) as error:
        raise InputError(f"{path} holds no qmae classifier ({error}): make one with `qmae train-classifier`") from error
    if path == PACKAGED:
        if hashlib.sha256(read_bytes(path)).hexdigest() != _PACKAGED_SHA256:
            raise InputError(f"{path} is damaged: install qmae again, it ships a classifier")
        model.image_size = _PACKAGED_SIZE
    return model


def _classes(tensors: dict[str, Tensor]) -> int:
    bias = tensors["fc.bias"]
    if bias.ndim != 1 or not 1 <= len(bias) <= CLASSES:
        raise InputError(f"its outputs are of shape {list(bias.shape)}")
    return len(bias)


def _image_size(about: dict[str, object]) -> int | None:
    size = about.get("image_size")
    if size is None or (type(size) is int and size > 0):
        return size
    raise InputError(f"its image size is {size}")


def _restored(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Undo the quantization."""
    kinds = {value.dtype for value in tensors.values()} - {torch.int8, torch.float32, torch.int64}
    if kinds:
        raise InputError(f"its weights are {', '.join(map(str, kinds))}")
    return {
        name: value.float() * tensors[f"{name}.scale"].view(-1, *[1] * (value.ndim - 1))
        if value.dtype == torch.int8
        else value
        for name, value in tensors.items()
        if not name.endswith(".scale")
    }
