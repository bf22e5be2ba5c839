"""How long a training step takes: beside the matrix products it cannot do without, and with more qubits."""

from __future__ import annotations

import math
import multiprocessing
import os
import platform
import re
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from qmae._progress import Progress, silent
from qmae.data.masks import Masks, PatchMask
from qmae.data.pixels import resize
from qmae.models.autoencoder import MaskedAutoencoder

FLOOR, OURS = "bare matrix products", "qmae"
WARM_UP, REPETITIONS = 20, 200

Step = Callable[[], object]
"""One whole training step: loss, gradients, and Adam where the contestant has a model."""


@dataclass(frozen=True)
class Timing:
    """How long a contestant takes for one training step.

    Attributes:
        contestant: what was timed.
        images: images of a step.
        seconds: median over the repetitions.
        repetitions: how often it was timed, after warm-up.
    """

    contestant: str
    images: int
    seconds: float
    repetitions: int

    @property
    def per_image(self) -> float:
        """Seconds per image."""
        return self.seconds / self.images


@dataclass(frozen=True)
class Cost:
    """What a training step costs, measured in a process of its own.

    Attributes:
        qubits: of the encoder.
        layers: of the ansatz.
        images: images of a step.
        seconds: median over the repetitions, after one step of warm-up.
        peak_bytes: how much more memory the process had at its peak than before it made the model; None where the
            system does not tell (it is Linux that does).
    """

    qubits: int
    layers: int
    images: int
    seconds: float
    peak_bytes: int | None

    @property
    def per_image(self) -> float:
        """Seconds per image."""
        return self.seconds / self.images


def slope(smaller: Cost, larger: Cost) -> float:
    """How time per image grows with the number of pixels: the exponent between two measurements."""
    return math.log2(larger.per_image / smaller.per_image) / (larger.qubits - smaller.qubits)


def compare(
    model: MaskedAutoencoder,
    images: Float[Tensor, "batch size size"],
    masks: Masks,
    *,
    progress: Progress = silent,
) -> Iterator[Timing]:
    """Time one training step in single precision, and the matrix products it cannot do without.

    They take turns, so that both see the same machine.

    Args:
        model: changed by the steps; on the device where it is timed.
        images: the originals of one step.
        masks: one per image.
        progress: told of every repetition.
    """
    steps = {FLOOR: matrix_products(model, len(images)), OURS: training_step(model, images, masks)}
    yield from time_steps(steps, len(images), REPETITIONS, WARM_UP, progress, cuda=model.encoder.angles.is_cuda)


def timing_line(timing: Timing, base: Timing) -> str:
    """One line of the printed table: a timing, beside another one."""
    return (
        f"{timing.contestant:50} {timing.seconds * 1e3:9.2f} ms a step of {timing.images:<4}"
        f"{1 / timing.per_image:11,.1f} images/s{timing.per_image / base.per_image:10,.1f} x {base.contestant}"
    )


def costs(
    qubits: Sequence[int],
    layers: Sequence[int],
    images: Float[Tensor, "batch size size"],
    *,
    seed: int = 0,
    progress: Progress = silent,
) -> Iterator[Cost]:
    """Measure training steps of QMAE for images of other sizes, each in a fresh process.

    Args:
        qubits: even numbers n; the images get 2^(n/2) pixels a side.
        layers: numbers of layers; all of them for every number of qubits.
        images: the originals of one step, in any size.
        seed: for angles and masks.
        progress: told of every measurement.
    """
    with progress("training steps", len(qubits) * len(layers)) as advance:
        for size in [2 ** (n // 2) for n in qubits]:
            for depth in layers:
                # A forked process would start with the memory of this one.
                with multiprocessing.get_context("spawn").Pool(1) as pool:
                    yield pool.apply(_cost, (resize(images, size), depth, seed, torch.get_num_threads()))
                advance(1)


def machine(device: torch.device | str = "cpu") -> str:
    """What it ran on."""
    if torch.device(device).type == "cuda":
        return f"{torch.cuda.get_device_name()}, torch {torch.__version__}"
    return f"{platform.machine()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads, torch {torch.__version__}"


def adam_step(model: MaskedAutoencoder, backward: Callable[[], object]) -> Step:
    """A step of Adam on the gradients that `backward` leaves behind."""
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)

    def step() -> None:
        optimizer.zero_grad()
        backward()
        optimizer.step()

    return step


def training_step(model: MaskedAutoencoder, images: Float[Tensor, "batch size size"], masks: Masks) -> Step:
    """The step as `train` does it, without the bookkeeping."""
    return adam_step(model, lambda: model(images, masks).mean().backward())


def matrix_products(model: MaskedAutoencoder, count: int) -> Step:
    """The products that no step avoids which builds V: V applied to the masked images, its kept rows to the originals.

    Then the same again for the gradient of V; that of the token is not among them.
    """
    dim, device = 2**model.config.qubits, model.encoder.angles.device
    kept = 2 * dim >> len(model.config.trash_wires)
    columns, states = torch.randn(dim, 2 * dim, device=device), torch.randn(count, dim, device=device)
    outgoing = torch.randn(count, 2 * dim, device=device)

    return lambda: (
        states @ columns,
        states @ columns[:, :kept],
        states.T @ outgoing,
        states.T @ outgoing[:, :kept],
    )


def _seconds(step: Step) -> float:
    started = time.perf_counter()
    step()
    return time.perf_counter() - started


def _cuda_seconds(step: Step) -> float:
    """By the device's own events: the host runs ahead of it."""
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    step()
    end.record()
    torch.cuda.synchronize()
    return start.elapsed_time(end) / 1e3


def time_steps(
    steps: dict[str, Step],
    images: int,
    repetitions: int,
    warm_up: int,
    progress: Progress = silent,
    *,
    cuda: bool = False,
) -> Iterator[Timing]:
    """Median time of steps that take turns.

    Args:
        steps: the contestants' by their names.
        images: images of a step.
        repetitions: of every step.
        warm_up: steps before these, which are not timed.
        progress: told of every repetition.
        cuda: whether they run on a CUDA device, whose events are the clock then.
    """
    clock = _cuda_seconds if cuda else _seconds
    for _ in range(warm_up):
        for step in steps.values():
            step()
    times = {name: [] for name in steps}
    with progress(f"timing {', '.join(steps)}", repetitions) as advance:
        for _ in range(repetitions):
            for name, step in steps.items():
                times[name].append(clock(step))
            advance(1)
    for name, measured in times.items():
        yield Timing(name, images, statistics.median(measured), repetitions)


def _cost(images: Float[Tensor, "batch size size"], layers: int, seed: int, threads: int) -> Cost:
    torch.set_num_threads(threads)
    before = _memory("VmRSS")
    patch = PatchMask(images.shape[1], 0.25)
    model = MaskedAutoencoder.from_preset("qmae", patch=patch, seed=seed, layers=layers)
    masks = patch.sample(len(images), generator=torch.Generator().manual_seed(seed))
    step = training_step(model, images, masks)
    (timing,) = time_steps({OURS: step}, len(images), 5, 1)
    peak = _memory("VmHWM")
    used = None if before is None or peak is None else peak - before
    return Cost(model.config.qubits, layers, len(images), timing.seconds, used)


def _memory(name: str) -> int | None:
    """Memory of this process in bytes, now (`VmRSS`) or at its peak (`VmHWM`)."""
    status = Path("/proc/self/status")
    found = re.search(rf"{name}:\s+(\d+) kB", status.read_text()) if status.exists() else None
    return int(found[1]) * 1024 if found else None
