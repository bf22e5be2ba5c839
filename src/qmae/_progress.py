"""How long work tells that it goes on, without knowing who listens."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

Advance = Callable[[int], None]
"""Called with how many further units of the work are done."""

Progress = Callable[[str, int], AbstractContextManager[Advance]]
"""Called with a description and the total number of units; entering it gives an `Advance`."""


def silent(description: str, total: int) -> AbstractContextManager[Advance]:
    """A `Progress` that shows nothing."""
    return nullcontext(lambda units: None)
