"""Shapes of arrays of NumPy, torch or JAX, as PennyLane takes them."""

# PennyLane keeps more than its annotations promise.
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

from typing import Any

import pennylane as qp

from qmae.errors import InputError


def check_dimensions(values: Any, what: str, *dimensions: str) -> None:
    """Refuse an array that has other dimensions, but for that of a batch before them, or no values.

    Args:
        values: the array.
        what: its name in the message.
        *dimensions: their names.

    Raises:
        InputError: it has others, or is no array.
    """
    found = shape_of(values, what)
    if len(found) not in (len(dimensions), len(dimensions) + 1) or not all(found):
        wanted = ", ".join(dimensions)
        raise InputError(f"{what} of shape {list(found)}: give an array [{wanted}], or a batch [N, {wanted}]")


def shape_of(values: Any, what: str) -> tuple[int, ...]:
    """The shape of an array.

    Args:
        values: the array.
        what: its name in the message.

    Raises:
        InputError: it is none.
    """
    if isinstance(values, list | tuple) or not hasattr(values, "shape"):
        raise InputError(f"{what} are of type {type(values).__name__}: give an array of NumPy, torch or JAX")
    return tuple(qp.math.shape(values))
