"""Trained models under the noise of hardware, by exact density matrices.

The circuit is the one for devices, `overlap="inverse"`, `reset="measure"`. On a density matrix the measured reset is a
channel, so no qubit is needed besides the image's 8. Neighbouring rotations of a qubit are merged into one gate, as
every compiler does; then noise acts after each gate, on each of its qubits. The reset itself is ideal.
"""

# PennyLane's own annotations promise less than its transforms keep.
# pyright: reportGeneralTypeIssues=false, reportArgumentType=false

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
import pennylane as qp
import torch
from jaxtyping import Float
from pennylane.noise import add_noise
from pennylane.tape import QuantumScript, make_qscript
from pennylane.transforms import decompose, single_qubit_fusion
from torch import Tensor

from qmae._progress import Progress, silent
from qmae.circuits.autoencoder import AutoencoderCircuit, RealAmplitudeEmbedding
from qmae.circuits.choices import NoiseKind
from qmae.circuits.devices import States
from qmae.data.masks import Masks
from qmae.errors import InputError
from qmae.models.autoencoder import MaskedAutoencoder

GATES = {"RX", "RY", "RZ", "CNOT", "CZ", "ResetError"}
"""What a device runs; rotations are merged to `Rot` after that."""


@dataclass(frozen=True)
class Setting:
    """One setting of the study.

    Attributes:
        kind: of noise.
        rate: its strength: probability of a depolarizing error, of a decay, or of a wrong bit at readout.
        noisy_preparation: whether the gates that prepare the image, and undo the original's preparation, are noisy;
            at readout there is no difference.
    """

    kind: NoiseKind
    rate: float
    noisy_preparation: bool


@dataclass(frozen=True)
class NoisyFidelity:
    """The fidelity of one image under noise.

    Attributes:
        model: its name, numbered if several models have the same: see `study`.
        setting: the noise.
        image: which of the images.
        exact: the fidelity without noise.
        fidelity: the one with noise; an exact expectation value, no shots.
    """

    model: str
    setting: Setting
    image: int
    exact: float
    fidelity: float


def rows_from_json(text: str) -> list[NoisyFidelity]:
    """Read rows that were written as a list of `dataclasses.asdict`.

    Raises:
        InputError: it is none, or holds what no study gives.
    """
    try:
        rows = [NoisyFidelity(**{**row, "setting": Setting(**row["setting"])}) for row in json.loads(text)]
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
        raise InputError(f"these are no rows of a noise study ({error}): choose another folder") from error
    for row in rows:
        if not _is_sound(row):
            raise InputError(f"these are no rows of a noise study ({row}): choose another folder")
    return rows


def _is_sound(row: NoisyFidelity) -> bool:
    """Whether a row that was read holds what a study gives."""
    setting = row.setting
    return (
        isinstance(row.model, str)
        and type(row.image) is int
        and row.image >= 0
        and setting.kind in get_args(NoiseKind)
        and isinstance(setting.noisy_preparation, bool)
        and all(type(value) in (int, float) for value in (setting.rate, row.exact, row.fidelity))
        and 0 <= setting.rate <= 1
        and math.isfinite(row.exact)
        and math.isfinite(row.fidelity)
    )


GATE_RATES = (1e-5, 3e-5, 1e-4, 3e-4, 1e-3)
READOUT_RATES = (1e-3, 3e-3, 1e-2, 3e-2, 1e-1)
SETTINGS = (
    *(
        Setting(kind, rate, noisy)
        for kind in ("depolarizing", "damping")
        for noisy in (False, True)
        for rate in GATE_RATES
    ),
    *(Setting("readout", rate, True) for rate in READOUT_RATES),
)
"""The settings of the study: gate noise with preparations free of it and with noisy ones, then readout noise."""


def study(
    models: Sequence[MaskedAutoencoder],
    images: Float[Tensor, "images size size"],
    masks: Masks,
    *,
    settings: Sequence[Setting] = SETTINGS,
    done: Sequence[NoisyFidelity] = (),
    progress: Progress = silent,
) -> Iterator[NoisyFidelity]:
    """Fidelity of models under noise, on the same images, by `default.mixed`.

    Args:
        models: without heralding, which `default.mixed` does not know; they are not changed. Rows name them by their
            presets; the second of the same is called `qmae (2)`, and so on.
        images: the originals.
        masks: one per image.
        settings: the noise.
        done: what an earlier study found; it is not computed again, nor yielded.
        progress: told of every image.

    Raises:
        InputError: a model heralds, an image gives no quantum state, there is no such kind or rate of noise, or `done`
            is of another model, other images or masks.
    """
    if any(model.heralded for model in models):
        raise InputError("density matrices with post-selection are not supported: choose a model that keeps every shot")
    known = {(row.model, row.setting, row.image): row.exact for row in done}
    names = _names(models)
    states = {name: States.of(model, images, masks) for name, model in zip(names, models, strict=True)}
    for (name, _, image), exact in known.items():
        if name in states and image < len(images) and not abs(states[name].fidelity[image] - exact) <= 1e-9:
            raise InputError(f"what is done of {name} is of another training, seed or data set: choose another --out")
    for name, model in zip(names, models, strict=True):
        circuit = AutoencoderCircuit.of(model.config, "inverse", "measure")
        device, found = qp.device("default.mixed", wires=circuit.num_wires), states[name]
        for setting in settings:
            noise = noise_model(setting.kind, setting.rate)
            with progress(f"{name}, {setting.kind} {setting.rate:g}", len(images)) as advance:
                for image in range(len(found)):
                    if (name, setting, image) not in known:
                        script = noisy_script(circuit, noise, setting, *found.of_fidelity(image))
                        (value,) = qp.execute([_in_torch(script)], device, diff_method=None)
                        yield NoisyFidelity(name, setting, image, float(found.fidelity[image]), float(value))
                    advance(1)


def _names(models: Sequence[MaskedAutoencoder]) -> list[str]:
    """The models' names, numbered where several have the same: their rows must not be mixed."""
    names: list[str] = []
    for model in models:
        earlier = sum(other.name == model.name for other in models[: len(names)])
        names.append(f"{model.name} ({earlier + 1})" if earlier else model.name)
    return names


def noise_model(kind: NoiseKind, rate: float) -> qp.NoiseModel:
    """The noise as PennyLane describes it: after each gate on each of its qubits, or before every readout.

    Raises:
        InputError: no such kind, or a rate outside 0 to 1.
    """
    if kind not in get_args(NoiseKind) or not 0 <= rate <= 1:
        raise InputError(f"no noise {kind!r} of rate {rate}: choose {', '.join(get_args(NoiseKind))}, from 0 to 1")
    if kind == "readout":

        def flip(measured: Any, **_: Any) -> None:
            for wire in measured.wires:
                qp.BitFlip(rate, wires=wire)

        return qp.NoiseModel({}, {qp.noise.meas_eq(qp.expval): flip})
    channel = {"depolarizing": qp.DepolarizingChannel, "damping": qp.AmplitudeDamping}[kind]

    def disturb(gate: Any, **_: Any) -> None:
        for wire in gate.wires:
            channel(rate, wires=wire)

    return qp.NoiseModel({qp.noise.op_in([qp.RX, qp.RY, qp.RZ, qp.Rot, qp.CNOT, qp.CZ]): disturb})


def noisy_script(
    circuit: AutoencoderCircuit,
    noise: qp.NoiseModel,
    setting: Setting,
    angles: Any,
    filled: Any,
    original: Any,
    decoder_angles: Any = None,
) -> QuantumScript:
    """The circuit's fidelity as a device runs it, with its noise.

    Args:
        circuit: with `overlap="inverse"` and `reset="measure"`.
        noise: from `noise_model`.
        setting: says whether the preparations' gates are noisy as well.
        angles: of the encoder, in radians.
        filled: amplitudes [2^n] of the image with the token in the hole.
        original: amplitudes [2^n] of the unmasked image.
        decoder_angles: of a free decoder.
    """
    prepare, undo = (
        [embedding(state, wires=circuit.registers["input"])]
        for embedding, state in ((RealAmplitudeEmbedding, filled), (qp.adjoint(RealAmplitudeEmbedding), original))
    )
    run = [_as_channel(operation) for operation in make_qscript(circuit.autoencode)(angles, decoder_angles).operations]
    measured = [circuit.measure_fidelity()]
    if setting.noisy_preparation or setting.kind == "readout":
        return _with_noise(prepare + run + undo, measured, noise)
    return QuantumScript(prepare + _with_noise(run, [], noise).operations + undo, measured)


def _with_noise(operations: list[Any], measured: list[Any], noise: qp.NoiseModel) -> QuantumScript:
    script = QuantumScript(operations, measured)
    (gates,), _ = decompose(script, gate_set=GATES)
    (merged,), _ = single_qubit_fusion(gates)
    (noisy,), _ = add_noise(merged, noise)
    return noisy


def _as_channel(operation: Any) -> Any:
    is_reset = getattr(operation, "reset", False)
    return qp.ResetError(1.0, 0.0, wires=operation.wires) if is_reset else operation


def _in_torch(script: QuantumScript) -> QuantumScript:
    # PennyLane contracts torch tensors by matrix products, four times faster than NumPy's einsum.
    everything = script.get_parameters(trainable_only=False)
    tensors = [torch.as_tensor(np.asarray(parameter)) for parameter in everything]
    return script.bind_new_parameters(tensors, range(len(tensors)))


def crossing(rates: Float[np.ndarray, " rates"], values: Float[np.ndarray, " rates"], level: float) -> float:
    """The rate at which a falling curve reaches a level, interpolated linearly; infinite if it does not.

    Args:
        rates: ascending.
        values: of the curve.
        level: to be reached.

    Raises:
        InputError: the curve is empty or holds NaN.
    """
    if not len(values) or np.isnan(rates).any() or np.isnan(values).any() or math.isnan(level):
        raise InputError("a curve that holds NaN, or no value, has no crossing: measure it anew")
    below = np.flatnonzero(values <= level)
    if not len(below):
        return math.inf
    first = below[0]
    if not first:
        return float(rates[0])
    share = (values[first - 1] - level) / (values[first - 1] - values[first])
    return float(rates[first - 1] + share * (rates[first] - rates[first - 1]))
