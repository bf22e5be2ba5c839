"""Trained models on PennyLane devices, beside the exact simulation."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import product
from typing import Any, get_args

import numpy as np
import pennylane as qp
import torch
from jaxtyping import Float
from torch import Tensor

from qmae.circuits import AutoencoderCircuit
from qmae.errors import InputError
from qmae.masking import Masks
from qmae.models import MaskedAutoencoder, embed_references
from qmae.progress import Progress, silent
from qmae.settings import Overlap, Reset
from qmae.simulation import embed

EXACT = "lightning.qubit"
"""The device that simulations are held against."""


@dataclass(frozen=True)
class States:
    """What a circuit needs of some images, and what the fast simulation says it gives; all in double precision.

    Attributes:
        angles: of all blocks, in radians, for every image: they may depend on the place of its mask.
        filled: amplitudes of the masked images, the token in the hole.
        originals: amplitudes of the unmasked images.
        fidelity: exact fidelities.
        probabilities: exact probabilities of the pixels' basis states in the reconstructions.
        success: share of the runs that are kept; 1 without post-selection.
    """

    angles: Float[np.ndarray, "images blocks angles"]
    filled: Float[np.ndarray, "images dim"]
    originals: Float[np.ndarray, "images dim"]
    fidelity: Float[np.ndarray, " images"]
    probabilities: Float[np.ndarray, "images dim"]
    success: Float[np.ndarray, " images"]

    @classmethod
    def of(cls, model: MaskedAutoencoder, images: Float[Tensor, "images size size"], masks: Masks) -> States:
        """Compute them.

        Args:
            model: any model; it is changed to double precision.
            images: the originals.
            masks: one per image.

        Raises:
            InputError: an original is all black or holds NaN, or nothing of one is left to embed; it is named by its
                index.
        """
        model, images = model.double(), images.double()
        filled = embed(model.fill(images, masks).flatten(1))
        empty = (filled == 0).all(1).nonzero().flatten().tolist()
        if empty:
            raise InputError(f"image {empty[0]} has no lit pixel outside its hole: no state to prepare; leave it out")
        parts = (
            torch.stack([model.angles_at(position) for position in masks.position]),
            filled,
            embed_references(images),
            model.fidelity(images, masks),
            model.probabilities(images, masks).flatten(1),
            model.success_probability(images, masks),
        )
        return cls(*(part.detach().numpy() for part in parts))

    def __iter__(self) -> Iterator[tuple[np.ndarray, ...]]:
        """Angles, filled and original state, exact fidelity and probabilities of every image."""
        return zip(self.angles, self.filled, self.originals, self.fidelity, self.probabilities, strict=True)


@dataclass(frozen=True)
class Agreement:
    """How far one circuit is from the fast simulation.

    Attributes:
        circuit: which of the equal circuits.
        precision: of the device's amplitudes, `complex64` or `complex128`; the fast simulation is in double.
        fidelity: largest difference of a fidelity.
        probability: largest difference of a pixel's probability in a reconstruction.
    """

    circuit: AutoencoderCircuit
    precision: str
    fidelity: float
    probability: float

    @property
    def tolerance(self) -> float:
        """What rounding may do at the most."""
        return 1e-6 if self.precision == "complex64" else 1e-10


def verify(
    model: MaskedAutoencoder,
    images: Float[Tensor, "images size size"],
    masks: Masks,
    *,
    progress: Progress = silent,
) -> Iterator[Agreement]:
    """Compare the fast simulation with the full circuits on `lightning.qubit`, on real images.

    Args:
        model: any model; it is changed to double precision.
        images: the originals.
        masks: one per image.
        progress: told of every image.

    Yields:
        The agreement of the paper's circuit in both precisions, then of its variants; with heralding in double alone.

    Raises:
        InputError: an image gives no quantum state; it is named by its index.
    """
    states = States.of(model, images, masks)
    resets = get_args(Reset) if model.config.bottleneck == "reset" else ("swap",)
    kinds = list(product(get_args(Overlap), resets))
    # In single precision the device's own sums over the amplitudes would be ten times worse than its amplitudes, and
    # where measurements select runs it gives none of those.
    single = [] if model.config.bottleneck == "herald" else [("complex64", kinds[0])]
    for precision, kind in [*single, *(("complex128", kind) for kind in kinds)]:
        circuit = AutoencoderCircuit.of(model.config, *kind)
        target = Target(circuit, EXACT, options={"c_dtype": np.dtype(precision).type})
        fidelity = target.swap_test_of_state if precision == "complex64" else target.fidelity
        differences = np.zeros(2)
        with progress(f"running {circuit.num_wires} qubits in {precision}", len(images)) as advance:
            for angles, filled, original, *known in states:
                found = fidelity(angles, filled, original), target.probabilities(angles, filled)
                worst = [np.abs(value - true).max() for value, true in zip(found, known, strict=True)]
                differences = np.maximum(differences, worst)
                advance(1)
        yield Agreement(circuit, precision, *differences.tolist())


@dataclass(frozen=True)
class Target:
    """A circuit on a PennyLane device.

    Attributes:
        circuit: what runs.
        device: the device's name, as `qp.device` takes it.
        shots: runs of the circuit per value; None: exact expectation values, of simulators.
        options: further arguments of the device.
        opened: the device itself.

    Raises:
        InputError: there is no such device or option, it has too few wires, or there are no shots.
    """

    circuit: AutoencoderCircuit
    device: str = EXACT
    shots: int | None = None
    options: dict[str, Any] | None = None
    opened: Any = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.shots is not None and self.shots < 1:
            raise InputError(f"{self.shots} shots give no estimate: choose 1 or more")
        object.__setattr__(self, "opened", self._open())

    @property
    def branches(self) -> bool:
        """Whether the device follows both outcomes of measurements before the end: it cannot select those put off."""
        return self.circuit.bottleneck == "herald" and self.device.startswith("lightning.")

    @property
    def defers(self) -> bool:
        """Whether measurements before the end are put off to wires of their own, as PennyLane's simulators need it."""
        measured = bool(self.circuit.measured_wires) and self.device.startswith(("default.", "lightning."))
        return measured and not self.branches

    @property
    def num_wires(self) -> int:
        """Wires that the device needs."""
        return self.circuit.num_wires + (len(self.circuit.measured_wires) if self.defers else 0)

    @property
    def fidelity(self) -> Callable[..., Any]:
        """`AutoencoderCircuit.fidelity`, run on the device."""
        return self.node(self.circuit.fidelity)

    @property
    def probabilities(self) -> Callable[..., Any]:
        """`AutoencoderCircuit.probabilities`, run on the device."""
        return self.node(self.circuit.probabilities)

    def swap_test_of_state(self, angles: Any, filled: Any, original: Any) -> float:
        """The SWAP test's <Z> from the amplitudes that a simulator ends with, summed in double and normalized."""

        def final_state() -> Any:
            self.circuit.prepare_and_run(angles, filled, original)
            return qp.state()

        weights = np.abs(np.asarray(self.node(final_state)(), dtype=complex)) ** 2
        zero, one = weights.reshape(2, -1).sum(1)  # wire 0 is the ancilla
        return float((zero - one) / (zero + one))

    def node(self, function: Callable[..., Any], **settings: Any) -> qp.QNode:
        """A `qp.QNode` of a quantum function on this device.

        Args:
            function: one of the circuit's.
            **settings: of the QNode, such as `diff_method`.
        """
        if self.defers:
            settings["mcm_method"] = "deferred"
        elif self.branches:
            settings["mcm_method"] = "tree-traversal"
        return qp.set_shots(qp.QNode(function, self.opened, **settings), self.shots)

    def standard_error(self, estimate: float, success: float = 1.0) -> float:
        """Standard error of a measured fidelity: sqrt((1 - F^2) / N) for `swap`, sqrt(F (1 - F) / N) for `inverse`.

        Args:
            estimate: of the fidelity F.
            success: share of the runs that are kept, of which there are N.
        """
        scale, share = (2, (1 + estimate) / 2) if self.circuit.overlap == "swap" else (1, estimate)
        return float(scale * self.share_error(share, success))

    def share_error(self, share: Any, success: float = 1.0) -> Any:
        """Standard error sqrt(p (1 - p) / N) of the share p of those runs that are kept with some outcome.

        The share is taken as (k + 1) / (N + 2), so that a few runs that all agree do not pass for certainty.
        """
        shots = self.shots * success if self.shots else math.inf
        smoothed = (share + 1 / shots) / (1 + 2 / shots)
        return np.sqrt(smoothed * (1 - smoothed) / shots)

    def _open(self) -> Any:
        options = dict(self.options or {})
        wires = options.pop("wires", self.num_wires)
        try:
            device = qp.device(self.device, wires=wires, **options)
        except qp.exceptions.DeviceError as error:
            raise InputError(
                f"no device {self.device!r} ({error}): choose {EXACT}, default.qubit or install its plugin"
            ) from error
        except (TypeError, ValueError, ImportError, NotImplementedError) as error:
            raise InputError(
                f"{self.device} cannot be opened with these options ({error}): see its documentation"
            ) from error
        found = len(device.wires) if device.wires else self.num_wires
        if found < self.num_wires:
            raise InputError(
                f"{self.device} has {found} wires, the circuit needs {self.num_wires}: give it more, or choose "
                "overlap 'inverse' and reset 'measure', which need the fewest"
            )
        return device


@dataclass(frozen=True)
class Estimate:
    """What a device says of one image, beside the exact values.

    Attributes:
        fidelity: estimated.
        standard_error: of the fidelity.
        exact_fidelity: of the fast simulation.
        probabilities: estimated probability of every pixel's basis state.
        probability_errors: their standard errors, sqrt(p (1 - p) / N).
        exact_probabilities: of the fast simulation.
        success: exact share of the runs that are kept.
    """

    fidelity: float
    standard_error: float
    exact_fidelity: float
    probabilities: Float[np.ndarray, " dim"]
    probability_errors: Float[np.ndarray, " dim"]
    exact_probabilities: Float[np.ndarray, " dim"]
    success: float


def run_on_device(
    model: MaskedAutoencoder, images: Float[Tensor, "images size size"], masks: Masks, target: Target
) -> Iterator[Estimate]:
    """Estimate fidelity and reconstruction of images on a device.

    Args:
        model: any model; it is changed to double precision.
        images: the originals.
        masks: one per image.
        target: circuit, device and shots.

    Yields:
        One estimate per image.

    Raises:
        InputError: an image gives no quantum state, no run is kept, or the device cannot run the circuit.
    """
    states = States.of(model, images, masks)
    for (angles, filled, original, exact, probabilities), success in zip(states, states.success, strict=True):
        try:
            fidelity = float(target.fidelity(angles, filled, original))
            found = np.asarray(target.probabilities(angles, filled), dtype=float)
            if math.isnan(fidelity) or np.isnan(found).any():
                raise ZeroDivisionError
        except ZeroDivisionError as error:
            raise InputError(f"no run of {target.shots} was kept: choose more shots") from error
        except (
            qp.exceptions.DeviceError,
            qp.exceptions.WireError,
            NotImplementedError,
            TypeError,
            ValueError,
        ) as error:
            raise InputError(
                f"{target.device} cannot run this circuit ({error}): choose another device or other options"
            ) from error
        errors = target.standard_error(fidelity, success), target.share_error(found, success)
        yield Estimate(fidelity, errors[0], float(exact), found, errors[1], probabilities, float(success))
