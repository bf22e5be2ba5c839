"""A circuit on a PennyLane device, opened and run. A device may raise any error: it becomes one line."""

# PennyLane's own annotations promise less than its transforms keep.
# pyright: reportGeneralTypeIssues=false, reportArgumentType=false

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pennylane as qp
from pennylane.devices import Device, LegacyDevice
from pennylane.tape import QuantumScript, make_qscript
from pennylane.transforms import decompose

from qmae.circuits.autoencoder import AutoencoderCircuit
from qmae.circuits.shot_statistics import share_error
from qmae.errors import InputError

EXACT = "lightning.qubit"
"""The device that the fast simulation is compared with."""

MOST_SHOTS = 10_000_000
"""The most shots of one execution: simulators keep every qubit of every shot, here 1.4 GB for 18 qubits."""


TEMPLATES = ("BlockLayers", "Adjoint(BlockLayers)", "Adjoint(RealAmplitudeEmbedding)")
"""Names of our own operations that no device knows as they are."""


@dataclass(frozen=True)
class Target:
    """A circuit on a PennyLane device.

    Attributes:
        circuit: what runs.
        device: the device's name, as `qp.device` takes it, or a device that is open already: one that needs objects,
            such as a noise model or a backend, is opened in Python.
        shots: of the circuit per value; None: exact expectation values, of simulators.
        options: further arguments of a device that is given by its name.
        opened: the device itself.

    Raises:
        InputError: there is no such device or option, it has too few wires, or no such number of shots.
    """

    circuit: AutoencoderCircuit
    device: str | Device | LegacyDevice = EXACT
    shots: int | None = None
    options: dict[str, Any] | None = None
    opened: Any = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.shots is not None:
            _check_shots(self.shots)
        object.__setattr__(self, "opened", self._open())
        wires = self.opened.wires
        if wires is not None and len(wires) < self.num_wires:
            raise InputError(
                f"{self.name} has {len(wires)} wires, the circuit needs {self.num_wires}: give it more, or choose "
                "overlap 'inverse' and reset 'measure', which need the fewest"
            )

    @property
    def name(self) -> str:
        """The device's name."""
        return self.device if isinstance(self.device, str) else str(self.device.name)

    @property
    def branches(self) -> bool:
        """Whether the device follows both outcomes of a mid-circuit measurement. Lightning does so where shots are
        discarded: it cannot post-select deferred measurements.
        """
        return self.circuit.heralded and self.name.startswith("lightning.")

    @property
    def defers(self) -> bool:
        """Whether mid-circuit measurements are deferred to wires of their own, as PennyLane's simulators need it."""
        measured = bool(self.circuit.measured_wires) and self.name.startswith(("default.", "lightning."))
        return measured and not self.branches

    @property
    def num_wires(self) -> int:
        """Wires that the device needs: one more for every mid-circuit measurement, which most devices defer."""
        return self.circuit.num_wires + (0 if self.branches else len(self.circuit.measured_wires))

    @property
    def fidelity(self) -> Callable[..., Any]:
        """`AutoencoderCircuit.fidelity`, run on the device."""
        return self.node(self.circuit.fidelity)

    @property
    def probabilities(self) -> Callable[..., Any]:
        """`AutoencoderCircuit.probabilities`, run on the device."""
        return self.node(self.circuit.probabilities)

    def swap_test_of_state(self, *arguments: Any) -> float:
        """The SWAP test's <Z> from the amplitudes that a simulator ends with, summed in double and normalized.

        Args:
            *arguments: of `AutoencoderCircuit.fidelity`.
        """

        def final_state() -> Any:
            self.circuit.prepare_and_run(*arguments)
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
        if self._mcm_method:
            settings["mcm_method"] = self._mcm_method
        return qp.set_shots(qp.QNode(function, self.opened, **settings), self.shots)

    def measure(self, function: Callable[..., Any], *arguments: Any, repetitions: int | None = None) -> Any:
        """Build a circuit and run it on the device.

        Args:
            function: one of the circuit's.
            *arguments: of the function.
            repetitions: how often, each time with all shots; None for once.

        Returns:
            An array: the result, or one per repetition. NaN where no shot was kept.

        Raises:
            InputError: the device cannot run the circuit, or kept no shot at all.
        """
        shots: Any = self.shots if repetitions is None else [(self.shots, repetitions)]
        # Built outside the `try`: an error here is not the device's.
        built = make_qscript(function)(*arguments)
        script = QuantumScript(_gates(built.operations), built.measurements, shots=shots)
        try:
            with warnings.catch_warnings():
                # The mean of no shots, which is seen in the result.
                warnings.simplefilter("ignore", RuntimeWarning)
                (found,) = qp.execute([script], self.opened, diff_method=None, mcm_method=self._mcm_method)
            return np.asarray(found, dtype=float)
        except MemoryError:
            raise
        except Exception as error:
            # A device may be anybody's, and so may be what it raises.
            if self._selects and (isinstance(error, ZeroDivisionError) or "size 0" in str(error)):
                raise self.none_kept() from error
            raise InputError(
                f"{self.name} cannot run this circuit ({_said(error)}): choose another device or other options"
            ) from error

    def none_kept(self) -> InputError:
        """The error where no shot was kept."""
        return InputError(f"no shot of {self.shots} was kept: choose more shots")

    def standard_error(self, estimate: float, success: float = 1.0) -> float:
        """Standard error of a measured fidelity: sqrt((1 - F^2) / N) for `swap`, sqrt(F (1 - F) / N) for `inverse`.

        Args:
            estimate: of the fidelity F.
            success: share of the shots that are kept, of which there are N.
        """
        scale, share = (2, (1 + estimate) / 2) if self.circuit.overlap == "swap" else (1, estimate)
        return float(scale * self.share_error(share, success))

    def share_error(self, share: Any, success: float = 1.0) -> Any:
        """Standard error of an outcome's share of the kept shots: see `shot_statistics.share_error`."""
        return share_error(share, self.shots, success)

    @property
    def _selects(self) -> bool:
        return self.circuit.heralded and self.shots is not None

    @property
    def _mcm_method(self) -> Any:
        """What PennyLane calls it."""
        return "deferred" if self.defers else "tree-traversal" if self.branches else None

    def _open(self) -> Any:
        if not isinstance(self.device, str):
            return _check_open(self.device, self.options)
        options = dict(self.options or {})
        wires = options.pop("wires", self.num_wires)
        if self.device == "null.qubit":
            raise InputError(f"null.qubit computes nothing: choose {EXACT} or default.qubit")
        try:
            return qp.device(self.device, wires=wires, **options)
        except qp.exceptions.DeviceError as error:
            raise InputError(
                f"no device {self.device!r} ({error}): choose {EXACT}, default.qubit or install its plugin"
            ) from error
        except MemoryError:
            raise
        except Exception as error:
            # The constructor is the plugin's, and so is what it raises.
            raise InputError(
                f"{self.device} cannot be opened with these options ({_said(error)}): see its documentation; one that "
                "takes objects, as a noise model or a backend, is opened in Python and given to "
                "qmae.circuits.target.Target"
            ) from error


def _check_shots(shots: int) -> None:
    if isinstance(shots, bool) or not isinstance(shots, (int, np.integer)):
        raise InputError(f"{shots!r} is no number of shots: choose a whole one")
    if shots < 1:
        raise InputError(f"{shots} shots give no estimate: choose 1 or more")
    if shots > MOST_SHOTS:
        raise InputError(f"{shots} shots are too many for one execution: take {MOST_SHOTS:,} at the most, and the mean")


def _check_open(device: Any, options: dict[str, Any] | None) -> Any:
    """A device that is given as an object."""
    if not isinstance(device, (Device, LegacyDevice)):
        raise InputError(f"{device!r} is no device of PennyLane's: give its name, or what qp.device returns")
    if options:
        raise InputError(f"{device.name} is open already: give it its options where it is opened")
    return device


def _gates(operations: list[Any]) -> list[Any]:
    """The operations with our own templates broken up; a preparation stays, which simulators take as it is."""
    (gates,), _ = decompose(
        QuantumScript(operations),
        stopping_condition=lambda gate: gate.name not in TEMPLATES,
    )
    return gates.operations


def _said(error: Exception) -> str:
    return str(error) or type(error).__name__
