"""Choices about images and masks; imports no torch, so that help is quick."""

from __future__ import annotations

from typing import Literal

Placement = Literal["grid", "anywhere"]
"""Where the masked patch may lie. `grid`: patches tile the image, one is hidden. `anywhere`: any offset inside it."""


Readout = Literal["amplitude", "probability"]
"""What is taken for a pixel's value: sqrt(p_i), which undoes the embedding, or p_i, the basis state's probability."""


Split = Literal["train", "validation", "test", "all"]
"""Parts of a data set, disjoint but for `all`; what is chosen is chosen on `validation`, never on `test`."""
