"""The precision of all computing, which no context such as autocast can change, and constants kept the same way."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import numpy as np
import torch
from jaxtyping import Float, Inexact, Shaped
from torch import Tensor, nn

from qmae.errors import InputError

SUPPORTED = (torch.float32, torch.float64, torch.complex64, torch.complex128)
"""What can be computed with: below single precision probabilities would not add up to 1."""


def exact(tensor: Inexact[Tensor, "*shape"]) -> Inexact[Tensor, "*shape"]:
    """The tensor to multiply with: itself, or in double precision under autocast.

    Autocast would multiply single precision in half precision, in the forward and in the backward pass. It leaves
    double precision alone in both.

    Raises:
        InputError: the tensor is of half precision or an integer, or lies on the `meta` device.
    """
    if tensor.dtype not in SUPPORTED:
        name = str(tensor.dtype).removeprefix("torch.")
        raise InputError(f"{name} is no precision to simulate in: take float32 or float64, as by .float()")
    if tensor.is_meta:
        raise InputError("a tensor on the device meta holds no numbers: build the model on a device that computes")
    if torch.is_autocast_enabled(tensor.device.type):
        return tensor.to(torch.promote_types(tensor.dtype, torch.float64))
    return tensor


def check_parameters(module: nn.Module) -> None:
    """Refuse a model that cannot be computed with.

    Raises:
        InputError: a parameter is not in single or double precision, or is complex.
    """
    for parameter in module.parameters():
        if parameter.is_complex():
            raise InputError("the model's parameters are complex: a model is real, build it anew or load its weights")
        exact(parameter)


@contextmanager
def without_autocast() -> Iterator[None]:
    """Switch autocast off inside. Not for a forward pass whose gradient may be taken later, in another context."""
    accelerator = torch.accelerator.current_accelerator()
    with ExitStack() as stack:
        for kind in {"cpu", accelerator.type if accelerator else "cpu"}:
            stack.enter_context(torch.autocast(kind, enabled=False))
        yield


def as_precise_as(tensor: Inexact[Tensor, "*shape"], parameter: Float[Tensor, "*any"]) -> Inexact[Tensor, "*shape"]:
    """A result in the precision of a parameter, whatever precision it was computed in."""
    return tensor.to(parameter.dtype.to_complex() if tensor.is_complex() else parameter.dtype)


def normal(*shape: int, generator: torch.Generator) -> Float[Tensor, "*shape"]:
    """Normally distributed numbers for parameters, of the default data type and on the default device.

    They are drawn in single precision where the generator is: one seed means one model, whatever the defaults.
    """
    drawn = torch.randn(shape, generator=generator, dtype=torch.float32, device=generator.device)
    return drawn.to(torch.get_default_device(), torch.get_default_dtype())


def constant(
    array: np.ndarray, *, device: torch.device, dtype: torch.dtype | None = None
) -> Shaped[Tensor, "*array_shape"]:
    """A cached NumPy array as a tensor, which must not be written to.

    What is cached is kept as arrays, not as tensors: a tensor belongs to the context in which it is made, such as
    inference mode, a transform of `torch.func` or a default device, and would carry it to the next caller.
    """
    return torch.from_numpy(array).to(device, dtype)
