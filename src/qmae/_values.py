"""Checks of single values, and registries of named things; imports no torch."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import fields
from numbers import Integral, Real
from typing import Any, Generic, TypeVar, get_args

from qmae.errors import InputError

MAX_QUBITS = 24
"""More are refused: one state of 24 qubits takes 128 MB of complex numbers, and the largest images are 4096 x 4096."""

MAX_SIZE = 2 ** (MAX_QUBITS // 2)
"""Pixels a side of the largest images that qubits for a simulation can hold."""

MAX_LAYERS = 10_000
"""More are refused: at 8 qubits these are 4.2 million angles, each a gate on a device."""

MAX_PARAMETERS = 2**28
"""More are refused: so many take 1 GiB, and their gradients as much again."""

SEEDS = -(2**63), 2**63 - 1
"""The smallest and the largest seed: integers of 64 bits."""

_LONGEST = 60

Thing = TypeVar("Thing")


class Registry(Generic[Thing]):
    """Things of one kind by their names; users add their own from outside the package.

    Args:
        what: one of the things is called in messages.
        kind: the class of the things.
        things: the first ones.
    """

    def __init__(self, what: str, kind: Any, things: Mapping[str, Thing]) -> None:
        self.what, self.kind, self._things = what, kind, dict(things)

    def register(self, name: str, thing: Thing) -> None:
        """Add a thing.

        Raises:
            InputError: the name is none, or taken, or the thing is of another class.
        """
        if not isinstance(name, str) or not name:
            raise InputError(f"{shown(name)} is no name of a {self.what}: give a string")
        if name in self._things:
            raise InputError(f"there is a {self.what} {name!r} already: choose another name")
        if not isinstance(thing, self.kind):
            raise InputError(f"{shown(thing)} is no {self.what}: give a {self.kind.__name__}")
        self._things[name] = thing

    def __getitem__(self, name: str) -> Thing:
        """The thing of a name.

        Raises:
            InputError: there is none.
        """
        if name not in self:
            raise InputError(f"no {self.what} {shown(name)}: choose one of {', '.join(self)}, or register it")
        return self._things[name]

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name in self._things

    def __iter__(self) -> Iterator[str]:
        return iter(self._things)

    def __len__(self) -> int:
        return len(self._things)


def shown(value: Any) -> str:
    """A value for a message, cut where it is long."""
    try:
        text = repr(value)
    except ValueError:  # Python does not write out integers of more than 4,300 digits
        text = f"a number of {value.bit_length()} bits"
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."


def whole(value: Any, what: str, at_least: int | None = None, at_most: int | None = None) -> int:
    """Return a whole number within bounds as Python's own.

    Args:
        value: Python's or NumPy's integer; a bool is none.
        what: its name in the message.
        at_least: the smallest that is accepted, if there is one.
        at_most: the largest, if there is one.

    Raises:
        InputError: it is none, or out of bounds.
    """
    if not isinstance(value, Integral) or isinstance(value, bool):
        raise InputError(f"{what} {shown(value)} is of type {type(value).__name__}: give a whole number")
    result = int(value)
    if (at_least is not None and result < at_least) or (at_most is not None and result > at_most):
        bounds = [f"{name} {bound}" for name, bound in (("from", at_least), ("to", at_most)) if bound is not None]
        raise InputError(f"{what} {shown(value)} is out of bounds: give a whole number {' '.join(bounds)}")
    return result


def check_size(size: int) -> None:
    """Refuse an image side that amplitude embedding on qubits cannot hold without padding.

    Raises:
        InputError: `size` is no power of two from 2 to `MAX_SIZE`.
    """
    size = whole(size, "image size", at_most=MAX_SIZE)
    if size < 2 or size & (size - 1):
        raise InputError(
            f"image size {shown(size)} is no power of two: amplitude embedding needs 2, 4, 8, 16, 32, ... pixels a side"
        )


def number(value: Any, what: str, *, at_least: float | int = -math.inf, at_most: float | int = math.inf) -> float:
    """Return a finite number within bounds as Python's own float.

    Raises:
        InputError: it is none (a bool is none), not finite, or out of bounds.
    """
    if not isinstance(value, Real) or isinstance(value, bool):
        raise InputError(f"{what} {shown(value)} is of type {type(value).__name__}: give a number")
    try:
        result = float(value)
    except OverflowError:
        result = math.inf
    if not (math.isfinite(result) and at_least <= result <= at_most):
        bounds = [f"{name} {bound:g}" for name, bound in (("from", at_least), ("to", at_most)) if math.isfinite(bound)]
        raise InputError(f"{what} {shown(value)} is out of bounds: give a {' '.join(['finite number', *bounds])}")
    return result


def choice(value: Any, what: str, choices: Any) -> None:
    """Refuse what is none of the choices.

    Args:
        value: what was chosen.
        what: its name in the message.
        choices: a `Literal`.

    Raises:
        InputError: it is none of them.
    """
    if not isinstance(value, str) or value not in get_args(choices):
        raise InputError(f"no {what} {shown(value)}: choose one of {', '.join(get_args(choices))}")


def settle(config: Any, **values: Any) -> None:
    """Set fields of a frozen dataclass to their checked values while it is made."""
    for name, value in values.items():
        object.__setattr__(config, name, value)


def check_keys(values: Any, kind: type, what: str) -> dict[str, Any]:
    """Return the fields of a dataclass as read from a file, which must be all of them and no others.

    Args:
        values: what stands in the file.
        kind: the dataclass.
        what: its name in the message.

    Raises:
        InputError: it is no mapping, or lacks keys or has unknown ones.
    """
    if not isinstance(values, Mapping):
        raise InputError(f"{what} is of type {type(values).__name__}: give a mapping from the settings to their values")
    known = {field.name for field in fields(kind)}
    strange = sorted(shown(key) for key in values if key not in known)
    missing = sorted(known - set(values))
    if strange or missing:
        found = ("knows no setting", strange), ("misses", missing)
        wrong = " and ".join(f"{word} {', '.join(keys)}" for word, keys in found if keys)
        raise InputError(f"{what} {wrong}: read it by the version of qmae that wrote it")
    return dict(values)


def flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings by names such as `patch.ratio`."""
    found: dict[str, Any] = {}
    for name, value in settings.items():
        found |= flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {f"{prefix}{name}": value}
    return found
