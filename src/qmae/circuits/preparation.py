"""Preparing an image as a quantum state, by rotations that need no phases."""

# PennyLane's own annotations promise less than its objects keep.
# pyright: reportAttributeAccessIssue=false, reportIncompatibleMethodOverride=false, reportAssignmentType=false

from __future__ import annotations

from typing import Any

import numpy as np
import pennylane as qp
import torch
from pennylane.operation import Operation
from pennylane.wires import Wires, WiresLike

from qmae.data.checks import has_values


class RealAmplitudeEmbedding(qp.StatePrep):
    r"""Amplitude embedding of real numbers (Eq. 2): one rotation tree of 2^n - 1 RY and 2^n - 2 CNOT, signs included.

    Simulators set the state in one go, as they do for ``qp.StatePrep``. Where gates are needed, on a device, in an
    adjoint or after other gates, this decomposition is exact to rounding and needs no phases (Möttönen et al.,
    `quant-ph/0407010 <https://arxiv.org/abs/quant-ph/0407010>`_).

    .. code-block:: none

        0: ──RY─╭●────╭●────┤
        1: ─────╰RY∘●─├●────┤
        2: ───────────╰RY∘●─┤

    Args:
        state (tensor_like): real amplitudes of norm 1, of shape ``(2**n,)``
        wires (WiresLike): n wires, the most significant first

    ``jax.jit``, ``jax.vmap`` and ``torch.func`` may go over it. What they do not show is not checked: a state that is
    not of norm 1, or derivatives of gates at black pixels, which are NaN.

    Raises:
        ValueError: if the number or the norm of the amplitudes is wrong, or they are not real; if gates are asked for a
            batch; or if they are asked for a state to be differentiated in which a pair of neighbours is black. There
            the rotation's angle has no derivative, and NaN would come out: differentiate by backpropagation or by
            `token_gradient`.
    """

    def __init__(self, state: Any, wires: WiresLike, id: str | None = None, **options: Any) -> None:
        unknown = not _has_values(state) and "complex" in qp.math.get_dtype_name(state)
        if unknown or any_known(qp.math.imag(state) != 0):
            raise ValueError("RealAmplitudeEmbedding prepares real amplitudes only: use qp.StatePrep for complex ones")
        # PennyLane's own check reads the values as NumPy's, which torch.func does not give.
        wrapped = _is_wrapped(state)
        if wrapped and any_known(~((qp.math.linalg.norm(state, axis=-1) - 1).abs() <= 1e-5)):
            raise ValueError("The state must be a vector of norm 1.0")
        super().__init__(state, wires, id=id, **{"validate_norm": not wrapped, **options})

    @staticmethod
    def compute_decomposition(state: Any, wires: WiresLike, **_: Any) -> list[Operation]:
        """A uniformly controlled RY on every wire, selected by the wires before it.

        Args:
            state (tensor_like): real amplitudes, of shape ``(2**n,)``
            wires (WiresLike): the wires
        """
        wires, levels = Wires(wires), [qp.math.real(state)]
        if qp.math.ndim(state) != 1:
            raise ValueError("RealAmplitudeEmbedding has gates for one state at a time, not for a batch")
        while len(levels[0]) > 1:
            even, odd = levels[0][0::2], levels[0][1::2]
            levels.insert(0, qp.math.sqrt(even**2 + odd**2))
        if qp.math.requires_grad(state) and any_known(levels[-2] == 0):
            raise ValueError(
                "a preparation by rotations has no derivative at black pixels: differentiate by backpropagation on "
                "default.qubit, or use qmae.circuits.shots.token_gradient"
            )
        gates = []
        for depth, amplitudes in enumerate(levels[1:]):
            angles = 2 * qp.math.arctan2(amplitudes[1::2], amplitudes[0::2])
            gates += _multiplexed_ry(angles, controls=wires[:depth], target=wires[depth])
        return gates


def any_known(condition: Any) -> bool:
    """Whether a condition is true of any value; False where the values are not known, as while JAX traces."""
    return _has_values(condition) and bool(qp.math.any(condition))


def _has_values(tensor: Any) -> bool:
    return has_values(tensor) if isinstance(tensor, torch.Tensor) else not qp.math.is_abstract(tensor)


def _is_wrapped(tensor: Any) -> bool:
    """Whether it is a tensor of torch.func, whose values cannot be read."""
    return isinstance(tensor, torch.Tensor) and torch._C._functorch.is_functorch_wrapped_tensor(tensor)


def _multiplexed_ry(angles: Any, *, controls: Wires, target: Any) -> list[Operation]:
    """RY by `angles[i]` where the controls are in state |i>: 2^k RY with CNOTs between, in the order of a Gray code.

    A CNOT before and one after turn RY(t) into RY(-t), so each rotation gets the sign of its controls' parity; the
    angles are those whose signed sums are the ones wanted.
    """
    # Not PennyLane's SelectPauliRot, which is as exact and takes as many CNOTs: it writes RY as RZ between H and S, so
    # that a real circuit becomes complex and has four more gates a wire, and `torch.func.vmap` cannot go over it.
    count, bits = 2 ** len(controls), len(controls)
    code = [index ^ index >> 1 for index in range(count)]
    signs = np.array([[(-1) ** (index & word).bit_count() for index in range(count)] for word in code])
    turns = qp.math.dot(qp.math.cast_like(qp.math.asarray(signs, like=qp.math.get_interface(angles)), angles), angles)
    gates: list[Operation] = []
    for index in range(count):
        gates.append(qp.RY(turns[index] / count, wires=target))
        if bits:
            changed = code[index] ^ code[(index + 1) % count]
            gates.append(qp.CNOT(wires=[controls[bits - changed.bit_length()], target]))
    return gates
