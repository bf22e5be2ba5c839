"""How encoder, bottleneck and decoder go together."""

from __future__ import annotations

from typing import Any, NamedTuple

from qmae._values import MAX_QUBITS, choice, shown, whole
from qmae.errors import InputError
from qmae.models.bottlenecks import BOTTLENECKS
from qmae.models.choices import Decoder


class Wiring(NamedTuple):
    """How encoder, bottleneck and decoder go together, for models and for circuits.

    Attributes:
        qubits: that hold the image.
        ancillas: further qubits behind them, which enter in |0>.
        trash_wires: the qubits that end in the bottleneck.
        bottleneck: what becomes of them.
        decoder: what follows.
    """

    qubits: int
    ancillas: int
    trash_wires: tuple[int, ...]
    bottleneck: str
    decoder: Decoder


def check_wiring(qubits: int, ancillas: Any, trash_wires: Any, bottleneck: Any, decoder: Any) -> Wiring:
    """Return how the parts of an autoencoder go together, its numbers as Python's own.

    Args:
        qubits: that hold the image.
        ancillas: what should be a whole number.
        trash_wires: what should be a tuple of whole numbers; a list of them becomes one.
        bottleneck: what should be a name in `BOTTLENECKS`.
        decoder: what should be a `Decoder`.

    Raises:
        InputError: a value of a wrong type, an unknown choice, trash wires that do not exist or leave no latent qubit,
            or choices that do not go together.
    """
    has_trash = BOTTLENECKS[bottleneck].has_trash
    choice(decoder, "decoder", Decoder)
    ancillas = whole(ancillas, "number of ancillas", 0, MAX_QUBITS - qubits)
    trash = check_trash_wires(trash_wires, qubits + ancillas)
    if not set(range(qubits, qubits + ancillas)) <= set(trash):
        raise InputError(f"ancillas are trash: add wires {qubits} and up, as many as there are, to trash_wires")
    if not has_trash and trash:
        raise InputError("without a bottleneck there is no trash: set trash_wires to ()")
    if decoder == "adjoint" and (ancillas or not has_trash):
        raise InputError("an adjoint decoder needs a bottleneck to undo anything, and no ancillas: take another")
    if decoder == "none" and len(trash) > ancillas:
        raise InputError("without a decoder the latent qubits are the output: only ancillas can be trash")
    return Wiring(qubits, ancillas, trash, bottleneck, decoder)


def check_trash_wires(trash_wires: Any, qubits: int) -> tuple[int, ...]:
    """Refuse trash qubits that cannot be reset.

    Returns:
        The wires as a tuple.

    Raises:
        InputError: they are no tuple of different qubits, or leave no latent one.
    """
    if not isinstance(trash_wires, tuple | list):
        raise InputError(f"trash wires {shown(trash_wires)} are no tuple: give one, such as (0,)")
    wires = tuple(whole(wire, "trash wire") for wire in trash_wires)
    if len(set(wires)) < len(wires) or not set(wires) < set(range(qubits)):
        raise InputError(
            f"trash wires {shown(wires)} must be different qubits from 0 to {qubits - 1} and leave a latent qubit"
        )
    return wires
