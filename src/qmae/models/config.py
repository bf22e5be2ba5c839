"""What defines a quantum model but its parameters, and the presets."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar

from qmae._values import MAX_LAYERS, MAX_PARAMETERS, MAX_QUBITS, check_keys, choice, number, settle, shown, whole
from qmae.ansatz.ansatz import Ansatz
from qmae.ansatz.blocks import Block
from qmae.data.masks import PatchMask
from qmae.errors import InputError
from qmae.models.choices import Bottleneck, Conditioning, Decoder, InitialAngles, Kind, MaskToken
from qmae.models.wiring import check_wiring

_BEYOND: dict[str, Any] = {
    "mask_token": "per_position",
    "block": "so4",
    "conditioning": "separate",
    "bottleneck": "none",
    "decoder": "none",
    "initial_spread": 0.01,
}

PRESETS: dict[str, dict[str, Any]] = {
    "qae": {"mask_token": "none"},
    "qmae": {"mask_token": "shared"},
    "qmae-small": {**_BEYOND, "layers": 4},
    "qmae-plus": {**_BEYOND, "layers": 35},
    "qmae-heralded": {**_BEYOND, "layers": 27, "bottleneck": "herald", "ancillas": 1},
    "qmae-compressed": {**_BEYOND, "layers": 17, "bottleneck": "herald", "decoder": "free"},
}
"""The paper's two models, which differ in the mask token alone, and others that go beyond it: a circuit for every place
of the mask, in which no run is lost; one with an ancilla, the runs of which count that find it in |0>; and one that
compresses to the paper's 7 latent qubits, the runs of which count that find the trash in |0>. At 16 x 16 pixels their
layers are as many as 2,000 CNOTs allow; those of `qmae-small` as many as 2,000 angles for all four places do."""

CHOICES = {
    "mask_token": MaskToken,
    "block": Block,
    "bottleneck": Bottleneck,
    "decoder": Decoder,
    "conditioning": Conditioning,
    "initial_angles": InitialAngles,
}

MAX_SPREAD = 100.0
"""Of the initial angles, in radians: they are uniform on the circle from a few radians on, and lose digits beyond."""


@dataclass(frozen=True)
class ModelConfig:
    """All that defines a model but its parameters; the defaults are the paper's QMAE.

    Attributes:
        patch: the masks it is made for; they fix the image size and the token's shape.
        mask_token: `"none"`, `"shared"` or `"per_position"`.
        trash_wires: the qubits that end in the bottleneck; by default the most significant one. The others are the
            latent space. Wires from `qubits` on are ancillas.
        layers: sweeps of the ansatz over all pairs of qubits.
        initial_spread: standard deviation of the initial angles, in radians; chosen as docs/settings.md says.
        block: `"su4"` or `"so4"`.
        bottleneck: `"reset"`, `"herald"`, or `"none"`, for which there must be no trash wires.
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
    block: Block = "su4"
    bottleneck: Bottleneck = "reset"
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
            raise InputError("what depends on the mask's place needs placement grid, where places are few")
        if self.conditioning == "separate" and self.patch.patches > 1:
            raise InputError("several patches have too many places for angles of their own: condition by offsets")
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
    def reset_wires(self) -> tuple[int, ...]:
        """Qubits of the image that are trash, so that the decoder gets fresh ones in |0>."""
        return tuple(wire for wire in self.trash_wires if wire < self.qubits)

    @cached_property
    def ansatz(self) -> Ansatz:
        """The circuit of the encoder."""
        return Ansatz(self.qubits + self.ancillas, self.layers, self.block)

    @cached_property
    def decoder_ansatz(self) -> Ansatz:
        """The circuit whose adjoint is a free decoder."""
        return Ansatz(self.qubits, self.layers, self.block)

    @cached_property
    def parts(self) -> tuple[Ansatz, ...]:
        """The circuits that have angles of their own: the encoder's and, if it is free, the decoder's."""
        return (self.ansatz, self.decoder_ansatz) if self.decoder == "free" else (self.ansatz,)

    @property
    def angle_shape(self) -> tuple[int, ...]:
        """Shape of the angles: `circuit_shape`, and before it the places if each has its own."""
        places = (self.patch.positions,) if self.conditioning == "separate" else ()
        return *places, *self.circuit_shape

    @property
    def circuit_shape(self) -> tuple[int, ...]:
        """Shape of the angles of one circuit: `Ansatz.angle_shape`, a free decoder's behind the encoder's."""
        return sum(part.angle_shape[0] for part in self.parts), *self.ansatz.angle_shape[1:]

    @property
    def parameter_shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of every parameter by its name, as it stands in a file of weights; computed without making any."""
        shapes = {"angles": self.angle_shape}
        if self.conditioning == "offsets":
            shapes["offsets"] = (self.patch.positions, *self.angle_shape)
        if self.mask_token != "none":
            size = self.patch.image_size
            shapes["token"] = self.patch.shape if self.mask_token == "shared" else (size, size)
        return shapes

    @classmethod
    def preset(cls, name: str, patch: PatchMask, **settings: Any) -> ModelConfig:
        """The config of a preset.

        Args:
            name: of `PRESETS`.
            patch: the masks it is made for.
            **settings: other fields, which win over the preset's. Without `trash_wires` among them, ancillas are
                trash, beside the paper's qubit 0 if there is a decoder.

        Raises:
            InputError: no such preset or setting, or settings that do not go together.
        """
        if not isinstance(name, str) or name not in PRESETS:
            raise InputError(f"no preset {shown(name)}: choose one of {', '.join(PRESETS)}")
        if not isinstance(patch, PatchMask):
            raise InputError(f"patch {shown(patch)} is no PatchMask: give one")
        unknown = set(settings) - set(cls.__dataclass_fields__)
        if unknown:
            raise InputError(f"a model has no setting {', '.join(sorted(unknown))}")
        chosen = {**PRESETS[name], **settings}
        if "trash_wires" not in settings:
            qubits = 2 * round(math.log2(patch.image_size))
            own = (0,) if chosen.get("decoder", cls.decoder) != "none" else ()
            count = whole(chosen.get("ancillas", 0), "number of ancillas", 0, MAX_QUBITS)
            ancillas = tuple(range(qubits, qubits + count))
            chosen["trash_wires"] = () if chosen.get("bottleneck", cls.bottleneck) == "none" else own + ancillas
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
