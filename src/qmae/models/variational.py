"""Circuits that own their angles: the encoder of an autoencoder and, if it is another circuit, the decoder."""

# Attributes of `Model` may be properties here.
# pyright: reportIncompatibleVariableOverride=false

from __future__ import annotations

from abc import abstractmethod

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from qmae._values import whole
from qmae.ansatz.ansatz import Ansatz
from qmae.data.masks import Masks, PatchMask
from qmae.models.base import TrainableModel
from qmae.models.choices import Conditioning
from qmae.simulation.dense import DenseEncoder
from qmae.simulation.encoders import Encoder
from qmae.simulation.statevector import StateVectorEncoder

BREAK_EVEN = 2**12
"""V as a matrix is faster for `layers` 4^n / `BREAK_EVEN` states and more, by timings: 16 images of 16 x 16 a layer."""


class VariationalCircuit(nn.Module):
    """An ansatz and its angles: one set, one for every position of the mask, or a common one and offsets.

    Args:
        ansatz: the circuit.
        patch: the masks, whose positions the angles may depend on.
        conditioning: `"none"`, `"separate"` or `"offsets"`.
        angles: the initial angles, of the shape of the attribute.

    Attributes:
        angles: Float, `ansatz.angle_shape`, in radians: [28, 15] for 8 qubits and one layer of the paper's blocks. With
            a set for every position [positions, ...].
        offsets: Float [positions, ...], what is added to the angles for every hidden patch, or None.
    """

    def __init__(
        self, ansatz: Ansatz, patch: PatchMask, conditioning: Conditioning, angles: Float[Tensor, "..."]
    ) -> None:
        super().__init__()
        self.ansatz, self.patch, self.conditioning = ansatz, patch, conditioning
        self.angles = nn.Parameter(angles)
        offsets = torch.zeros(patch.positions, *ansatz.angle_shape) if conditioning == "offsets" else None
        self.offsets = None if offsets is None else nn.Parameter(offsets)

    @property
    def angle_count(self) -> int:
        """Number of trainable angles, those of all positions."""
        return self.angles.numel() + (0 if self.offsets is None else self.offsets.numel())

    @property
    def sets(self) -> Float[Tensor, "sets *angle_shape"]:
        """The angles of every position, or the one set for all."""
        return self.angles if self.conditioning == "separate" else self.angles[None]

    def at(self, position: Int[Tensor, "*patches"] | int) -> Float[Tensor, "..."]:
        """The angles for one position of the hidden patch, or for the positions of several, of `ansatz.angle_shape`.

        Raises:
            InputError: the angles depend on the position, and there is no such position.
        """
        if self.conditioning == "none":
            return self.angles
        given = position if isinstance(position, Tensor) else torch.as_tensor(whole(position, "mask position"))
        positions = Masks(self.patch, given[None]).position[0].reshape(-1)
        # `[position]` would read the value of a single position, which `torch.func.vmap` does not allow.
        if self.offsets is None:
            return self.angles.index_select(0, positions)[0]
        return self.angles + self.offsets.index_select(0, positions).sum(0)

    def build(
        self, position: Int[Tensor, "*patches"] | int, trash_wires: tuple[int, ...], *, states: int, ancillas: int = 0
    ) -> Encoder:
        """Build the simulation for a position of the mask that is fastest for so many states.

        Args:
            position: of the mask.
            trash_wires: the qubits that are thrown away.
            states: how many states it will be applied to.
            ancillas: how many of the least significant qubits enter in |0>.
        """
        return build_encoder(self.at(position), self.ansatz, trash_wires, states=states, ancillas=ancillas)

    def extra_repr(self) -> str:
        """What `print` shows of it."""
        return f"{self.ansatz}, conditioning={self.conditioning!r}"


def build_encoder(
    angles: Float[Tensor, "..."], ansatz: Ansatz, trash_wires: tuple[int, ...], *, states: int, ancillas: int = 0
) -> Encoder:
    """Turn angles into the encoder that is fastest for so many states: one matrix, or gates on state vectors.

    Args:
        angles: rotation angles in radians, of `ansatz.angle_shape`.
        ansatz: the circuit.
        trash_wires: the qubits that are thrown away.
        states: how many states it will be applied to.
        ancillas: how many of the least significant qubits enter in |0>.

    Returns:
        The encoder, in the precision of `angles`, differentiable.
    """
    dense = states * BREAK_EVEN >= ansatz.layers * 4**ansatz.qubits
    return (DenseEncoder if dense else StateVectorEncoder).build(angles, ansatz, trash_wires, ancillas)


class CircuitModel(TrainableModel):
    """A model whose parameters are the angles of circuits and perhaps a mask token, as `MaskedAutoencoder`.

    Attributes:
        token: pixels that are put into the hole, or None.
    """

    token: nn.Parameter | None

    @property
    @abstractmethod
    def circuits(self) -> tuple[VariationalCircuit, ...]:
        """The circuits that have angles of their own, the encoder first."""

    @abstractmethod
    def fill(self, images: Float[Tensor, "batch size size"], masks: Masks) -> Float[Tensor, "batch size size"]:
        """Replace the hidden pixels by the token, or by 0 without one."""

    @property
    def angle_count(self) -> int:
        """Number of trainable angles, those of all positions."""
        return sum(circuit.angle_count for circuit in self.circuits)
