"""Checks of images and masks at every public entry: what is accepted is right, what is not is refused in one line."""

from __future__ import annotations

from torch import Tensor
from torch._C import _functorch


def has_values(tensor: Tensor) -> bool:
    """Whether a tensor's values can be asked for: not under `torch.func.vmap`, nor on the device `meta`."""
    while _functorch.is_functorch_wrapped_tensor(tensor):
        if _functorch.is_batchedtensor(tensor):
            return False
        tensor = _functorch.get_unwrapped(tensor)
    return not tensor.is_meta
