"""Which models belong together, and in what those of one name differ: in words, for tables, figures and records."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from qmae.evaluation.rows import group_of

ALWAYS_SAID = "unfinished"
"""The setting that is said even if all models of the name have it."""


def variants(models: Sequence[tuple[str, Mapping[str, Any]]]) -> list[str]:
    """Say what sets every model apart from others of its name.

    Args:
        models: name and settings of each, the seed left out.

    Returns:
        Words for each, such as `3 layers, learning rate 0.1`; empty where all models of the name are alike.
    """
    return [_variant(settings, [other for same, other in models if same == name]) for name, settings in models]


def _variant(settings: Mapping[str, Any], others: Sequence[Mapping[str, Any]]) -> str:
    def differs(name: str) -> bool:
        return any(other[name] != settings[name] for other in others if name in other)

    said = [name for name in settings if name == ALWAYS_SAID or differs(name)]
    if "folder" in settings and any(other != settings for other in others):
        said.append("folder")
    if ALWAYS_SAID in said:
        said = [name for name in said if name != "epochs"]
    return ", ".join(in_words(name, settings[name]) for name in dict.fromkeys(said))


def in_words(name: str, value: Any) -> str:
    """A setting in words: `1 layer`, `trash 0 and 1`, `learning rate 0.1`."""
    if name in WORDS:
        return WORDS[name](value)
    return f"{name.split('.')[-1].replace('_', ' ')} {value}"


def counted(one: str, many: str | None = None) -> Callable[[int], str]:
    """Words for a number of things: `no layers`, `1 layer`, `2 layers`."""
    return lambda count: f"{count or 'no'} {one if count == 1 else many or one + 's'}"


def _trash(wires: Sequence[int]) -> str:
    *first, last = [str(wire) for wire in wires] or ["none"]
    return f"trash {', '.join(first)} and {last}" if first else f"trash {last}"


WORDS: dict[str, Callable[[Any], str]] = {
    "layers": counted("layer"),
    "ancillas": counted("ancilla"),
    "kraus": counted("Kraus operator"),
    "epochs": counted("epoch"),
    "neighbours": counted("neighbour"),
    "iterations": counted("iteration"),
    "trash_wires": _trash,
    "initial_spread": "spread {}".format,
    "mask_token": "token {}".format,
    "batch_size": lambda size: "all images a step" if size is None else f"batch size {size}",
    ALWAYS_SAID: str,
    "folder": "from {}".format,
}


def groups(named: Sequence[tuple[str, Mapping[str, Any]]]) -> list[str]:
    """The names of models with what sets them apart, all different: those that nothing sets apart are counted."""
    found: dict[str, int] = {}
    names = []
    for (name, _), variant in zip(named, variants(named), strict=True):
        group = group_of(name, variant)
        found[group] = found.get(group, 0) + 1
        names.append(group if found[group] == 1 else f"{group}, number {found[group]}")
    return names
