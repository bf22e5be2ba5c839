"""The config of a quantum model: all that defines it, except its parameters."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar

from jaxtyping import Float
from torch import Tensor

from qmae._values import MAX_LAYERS, MAX_PARAMETERS, MAX_QUBITS, check_keys, choice, number, settle, shown, whole
from qmae.ansatz.ansatz import Ansatz
from qmae.ansatz.blocks import BLOCKS
from qmae.data.masks import PatchMask
from qmae.errors import InputError
from qmae.models.bottlenecks import BOTTLENECKS
from qmae.models.choices import Conditioning, Decoder, InitialAngles, Kind, MaskToken
from qmae.models.presets import PRESETS
from qmae.models.wiring import check_wiring

CHOICES = {
    "mask_token": MaskToken,
    "decoder": Decoder,
    "conditioning": Conditioning,
    "initial_angles": InitialAngles,
}

MAX_SPREAD = 100.0
"""Largest spread of the initial angles, in radians: from a few radians on they are uniform on the circle, and larger
ones only lose digits."""


@dataclass(frozen=True)
class ModelConfig:
    """All that defines a model, except its parameters; the defaults are the paper's QMAE.

    Attributes:
        patch: the masks it is made for; they fix the image size and the token's shape.
        mask_token: `"none"`, `"shared"` or `"per_position"`.
        trash_wires: the qubits that end in the bottleneck; by default the most significant one. The others are the
            latent space. Wires from `qubits` on are ancillas.
        layers: how often the ansatz repeats its blocks, each time with angles of their own.
        initial_spread: standard deviation of the initial angles, in radians; chosen as docs/settings.md says.
        block: a name in `BLOCKS`: `"su4"` or `"so4"`.
        bottleneck: a name in `BOTTLENECKS`: `"reset"`, `"herald"`, or `"none"`, for which there must be no trash wires.
        decoder: `"adjoint"`, `"free"` or `"none"`.
        ancillas: further qubits of the encoder that enter in |0>; all of them are trash.
        conditioning: `"none"`, `"separate"` or `"offsets"`; the last two need a grid.
        initial_angles: `"zero"` or `"identity"`.

    Raises:
        InputError: a setting of a wrong type or out of bounds, an unknown choice, trash wires that do not exist or
            leave no latent qubit, choices that do not go together, or more than `MAX_PARAMETERS` parameters.
    """

    kind: ClassVar[Kind] = "quantum"

    patch: PatchMask = field(default_factory=PatchMask)
    mask_token: MaskToken = "shared"
    trash_wires: tuple[int, ...] = (0,)
    layers: int = 1
    initial_spread: float = 0.5
    block: str = "su4"
    bottleneck: str = "reset"
    decoder: Decoder = "adjoint"
    ancillas: int = 0
    conditioning: Conditioning = "none"
    initial_angles: InitialAngles = "zero"

    def __post_init__(self) -> None:
        if not isinstance(self.patch, PatchMask):
            raise InputError(f"patch {shown(self.patch)} is no PatchMask: give one")
        for name, choices in CHOICES.items():
            choice(getattr(self, name), name.replace("_", " "), choices)
        wiring = check_wiring(self.qubits, self.ancillas, self.trash_wires, self.bottleneck, self.decoder)
        settle(
            self,
            trash_wires=wiring.trash_wires,
            ancillas=wiring.ancillas,
            layers=whole(self.layers, "number of layers", 1, MAX_LAYERS),
            initial_spread=number(self.initial_spread, "initial spread", at_least=0, at_most=MAX_SPREAD),
        )
        per_position = self.mask_token == "per_position" or self.conditioning != "none"
        if per_position and self.patch.placement != "grid":
            raise InputError("what depends on the mask's position needs placement grid, where positions are few")
        if self.conditioning == "separate" and self.patch.patches > 1:
            raise InputError("several patches have too many positions for angles of their own: condition by offsets")
        if self.initial_angles == "identity" and BLOCKS[self.block].identity is None:
            raise InputError(f"the block {self.block} says no angles of the identity: start at zero, or register them")
        count = sum(map(math.prod, self.parameter_shapes.values()))
        if count > MAX_PARAMETERS:
            raise InputError(
                f"{count} parameters are more than {MAX_PARAMETERS}, 1 GiB: take fewer layers or positions"
            )

    @property
    def qubits(self) -> int:
        """Number of qubits n = log2(pixels) of an image."""
        return 2 * round(math.log2(self.patch.image_size))

    @property
    def latent_qubits(self) -> int:
        """Number of qubits that pass the bottleneck."""
        return self.qubits + self.ancillas - len(self.trash_wires)

    @property
    def image_trash(self) -> tuple[int, ...]:
        """Trash qubits that hold pixels: the decoder gets fresh ones in |0> instead."""
        return tuple(wire for wire in self.trash_wires if wire < self.qubits)

    @cached_property
    def ansatz(self) -> Ansatz:
        """The circuit of the encoder."""
        return Ansatz(self.qubits + self.ancillas, self.layers, self.block)

    @cached_property
    def decoder_ansatz(self) -> Ansatz:
        """The circuit whose adjoint is a free decoder."""
        return Ansatz(self.qubits, self.layers, self.block)

    @property
    def ansatzes(self) -> tuple[Ansatz, ...]:
        """The circuits that have angles of their own: the encoder's and, if it is free, the decoder's."""
        return (self.ansatz, self.decoder_ansatz) if self.decoder == "free" else (self.ansatz,)

    @property
    def parameter_shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of every parameter by its name, as in a file of weights. No parameter is made for this."""
        sets = (self.patch.positions,) if self.conditioning == "separate" else ()
        shapes: dict[str, tuple[int, ...]] = {}
        for name, ansatz in zip(("encoder", "decoder"), self.ansatzes, strict=False):
            shapes[f"{name}.angles"] = (*sets, *ansatz.angle_shape)
            if self.conditioning == "offsets":
                shapes[f"{name}.offsets"] = (self.patch.positions, *ansatz.angle_shape)
        return shapes | self._token_shape

    @property
    def stored_shapes(self) -> tuple[dict[str, tuple[int, ...]], ...]:
        """`parameter_shapes`, and those of older versions, which kept all angles in one tensor."""
        older = {"angles": self.joint_shape}
        if self.conditioning == "offsets":
            older["offsets"] = (self.patch.positions, *self.joint_shape)
        return self.parameter_shapes, older | self._token_shape

    @property
    def joint_shape(self) -> tuple[int, ...]:
        """Shape of the angles of all circuits as one tensor, the decoder's behind the encoder's."""
        sets = (self.patch.positions,) if self.conditioning == "separate" else ()
        return *sets, sum(ansatz.angle_shape[0] for ansatz in self.ansatzes), *self.ansatz.angle_shape[1:]

    def split(self, joint: Float[Tensor, "*joint"]) -> tuple[Float[Tensor, "*own"], ...]:
        """Split a tensor of `joint_shape`, or offsets of all positions, into the angles of each circuit."""
        sizes = [ansatz.angle_shape[0] for ansatz in self.ansatzes]
        return joint.split(sizes, -len(self.ansatz.angle_shape))

    @property
    def _token_shape(self) -> dict[str, tuple[int, ...]]:
        if self.mask_token == "none":
            return {}
        size = self.patch.image_size
        return {"token": self.patch.shape if self.mask_token == "shared" else (size, size)}

    @classmethod
    def preset(cls, name: str, patch: PatchMask, **settings: Any) -> ModelConfig:
        """The config of a preset.

        Args:
            name: of `PRESETS`, a quantum model.
            patch: the masks it is made for.
            **settings: other fields, which win over the preset's. Without `trash_wires` among them, ancillas are
                trash, beside the paper's qubit 0 if there is a decoder.

        Raises:
            InputError: no such preset or setting, or settings that do not go together.
        """
        preset = PRESETS[name]
        if preset.kind != cls.kind:
            quantum = ", ".join(known for known in PRESETS if PRESETS[known].kind == cls.kind)
            raise InputError(f"preset {name} is no quantum model: choose one of {quantum}, or use create_model")
        if not isinstance(patch, PatchMask):
            raise InputError(f"patch {shown(patch)} is no PatchMask: give one")
        chosen = {**preset.model, **settings}
        unknown = set(chosen) - (set(cls.__dataclass_fields__) - {"patch"})
        if unknown:
            raise InputError(f"preset {name}: a model has no setting {', '.join(sorted(unknown))}")
        if "trash_wires" not in chosen:
            qubits = 2 * round(math.log2(patch.image_size))
            own = (0,) if chosen.get("decoder", cls.decoder) != "none" else ()
            count = whole(chosen.get("ancillas", 0), "number of ancillas", 0, MAX_QUBITS)
            ancillas = tuple(range(qubits, qubits + count))
            has_trash = BOTTLENECKS[chosen.get("bottleneck", cls.bottleneck)].has_trash
            chosen["trash_wires"] = own + ancillas if has_trash else ()
        return cls(patch=patch, **chosen)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> ModelConfig:
        """Rebuild a config from `dataclasses.asdict`, as it stands in `config.json`.

        Raises:
            InputError: a setting is missing, unknown, of a wrong type or out of bounds.
        """
        values = check_keys(values, cls, "the model's config")
        wires = values["trash_wires"]
        values["trash_wires"] = tuple(wires) if isinstance(wires, list) else wires  # JSON has no tuples
        return cls(**{**values, "patch": PatchMask.from_dict(values["patch"])})
