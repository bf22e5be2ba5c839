"""What models and baselines are called in tables and figures, in which color and order they stand."""

from __future__ import annotations

from qmae.models.baselines import BASELINES, BaselineEntry
from qmae.models.presets import PRESETS, Preset


def label(group: str) -> str:
    """A model's label, and behind it what sets it apart from others of the name; without an entry it is its name."""
    name, *variant = group.split(", ", 1)
    entry = _entry_of(name)
    return ", ".join([(entry and entry.label) or name, *variant])


def colour_of(name: str) -> str | None:
    """The color that the entry of a preset or a baseline has; None for the default of a figure."""
    entry = _entry_of(name)
    return entry and entry.colour


def _entry_of(name: str) -> Preset | BaselineEntry | None:
    """What a registry says of a preset or a baseline; None of all else, such as a design."""
    return next((registry[name] for registry in (BASELINES, PRESETS) if name in registry), None)


def from_floor_to_ceiling() -> list[str]:
    """The names of baselines, networks and quantum models, from the simplest up: the rows of Figure 6."""
    quantum = [name for name in PRESETS if PRESETS[name].kind == "quantum"]
    others = [name for name in PRESETS if name not in quantum]
    return [*reversed([*BASELINES]), *others, *reversed(quantum)]
