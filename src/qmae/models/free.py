"""What a design reaches if gates do not limit it: the same model with free matrices, found by optimization.

It is the best that the search found for free matrices: no proof that there is nothing better, and no bound on what the
circuit reaches, whose gates may not be able to make these matrices. It tells apart what is lost to the ansatz and what
is lost to the design.
"""

# Attributes of `Model` may be properties here.
# pyright: reportIncompatibleVariableOverride=false

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn.utils.parametrize import register_parametrization

from qmae._values import MAX_PARAMETERS, check_keys, choice, settle, shown, whole
from qmae.data.batches import check_visible
from qmae.data.masks import Masks, PatchMask
from qmae.errors import InputError
from qmae.models.base import Quantity, TrainableModel, embed_originals, over_positions
from qmae.models.choices import Design, Kind
from qmae.simulation.precision import as_precise_as, check_parameters, exact, normal
from qmae.simulation.states import embed


@dataclass(frozen=True)
class FreeConfig:
    """A design with free matrices.

    Attributes:
        patch: the masks it is made for, one patch on a grid.
        design: how encoder, bottleneck and decoder are tied; `DESIGNS` says what each means.
        kraus: Kraus operators of the design `channel`.

    Raises:
        InputError: a setting of a wrong type, an unknown design, masks that it is not for, or more than
            `MAX_PARAMETERS` parameters.
    """

    kind: ClassVar[Kind] = "design"

    patch: PatchMask = field(default_factory=PatchMask)
    design: Design = "tied"
    kraus: int = 2

    def __post_init__(self) -> None:
        choice(self.design, "design", Design)
        if not isinstance(self.patch, PatchMask):
            raise InputError(f"patch {shown(self.patch)} is no PatchMask: give one")
        if self.patch.patches > 1 or self.patch.placement != "grid":
            raise InputError("a free matrix needs one patch on a grid, where its positions are few")
        settle(self, kraus=whole(self.kraus, "number of Kraus operators", 1, self.patch.image_size**4))
        count = sum(map(math.prod, self.parameter_shapes.values()))
        if count > MAX_PARAMETERS:
            raise InputError(f"{count} parameters are more than {MAX_PARAMETERS}, 1 GiB: take smaller images")

    @property
    def heralded(self) -> bool:
        """Whether shots are discarded."""
        return "heralded" in self.design

    @property
    def matrix_shape(self) -> tuple[int, int, int]:
        """Shape of the free matrices."""
        dim, positions = self.patch.image_size**2, self.patch.positions
        count = {"free": 2, "unitary-per-position": positions, "heralded-per-position": positions}.get(self.design, 1)
        side = self.kraus * dim if self.design == "channel" else dim
        return count, side, side

    @property
    def token_shape(self) -> tuple[int, int, int]:
        """Shape of the tokens: one, or one for every position."""
        return 1 if self.design == "tied" else self.patch.positions, *self.patch.shape

    @property
    def parameter_shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of every parameter by its name, as in a file of weights. No parameter is made for this."""
        matrices = "matrices" if self.heralded else "parametrizations.matrices.original"
        return {"tokens": self.token_shape, matrices: self.matrix_shape}

    @property
    def stored_shapes(self) -> tuple[dict[str, tuple[int, ...]], ...]:
        """`parameter_shapes`: no version had others."""
        return (self.parameter_shapes,)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> FreeConfig:
        """Rebuild a config from `dataclasses.asdict`, as it stands in `config.json`.

        Raises:
            InputError: a setting is missing, unknown, of a wrong type or out of bounds.
        """
        values = check_keys(values, cls, "the design's config")
        return cls(**{**values, "patch": PatchMask.from_dict(values["patch"])})


DESIGNS: dict[str, str] = {
    "tied": "V orthogonal, trash reset, decoder V^T, one token: the paper's design",
    "tied-tokens": "the same with a token for every position",
    "free": "decoder another orthogonal matrix, a token for every position",
    "channel": "any channel with so many Kraus operators, the same for all positions; a token for every position",
    "unitary-per-position": "one orthogonal matrix for every position, nothing discarded",
    "heralded": "any linear map, the same for all positions, renormalized: shots are discarded",
    "heralded-per-position": "one linear map for every position, renormalized: shots are discarded",
}
"""The designs, from the paper's to the freest."""


class Cayley(nn.Module):
    """Orthogonal matrices (I - A) (I + A)^-1 = 2 (I + A)^-1 - I with A antisymmetric.

    They reach almost every rotation, at a seventh of the cost of the matrix exponential. (Cayley 1846.)
    """

    def forward(self, free: Float[Tensor, "matrices dim dim"]) -> Float[Tensor, "matrices dim dim"]:
        """Make free matrices orthogonal, those near zero near the identity."""
        lower = exact(free).tril(-1)
        eye = torch.eye(free.shape[-1], dtype=lower.dtype, device=free.device)
        return (2 * torch.linalg.inv(eye + (lower - lower.mT) / 2) - eye).to(free)


class FreeModel(TrainableModel):
    """Kraus operators K on whole images: F = sum_k (ref . K_k x)^2, for a heralded map divided by its squared norm.

    All matrices are real, as the images are.

    Args:
        config: the design.
        generator: draws the initial matrices, near the identity.
    """

    kind = "design"

    def __init__(self, config: FreeConfig, *, generator: torch.Generator) -> None:
        super().__init__()
        if not isinstance(config, FreeConfig):
            raise InputError(f"config {shown(config)} is no FreeConfig: give one")
        self.config = config
        self.tokens = nn.Parameter(torch.zeros(config.token_shape))
        noise = 0.01 * normal(*config.matrix_shape, generator=generator)
        if self.heralded:
            self.matrices = nn.Parameter(torch.eye(noise.shape[-1]) + noise)
        else:
            self.matrices = nn.Parameter(noise)
            register_parametrization(self, "matrices", Cayley())

    @property
    def name(self) -> str:
        """The design."""
        return self.config.design

    @property
    def heralded(self) -> bool:
        """Whether shots are discarded."""
        return self.config.heralded

    def maps(self) -> Float[Tensor, "maps kraus dim dim"]:
        """The Kraus operators: one set for all positions, or one for each."""
        check_parameters(self)
        dim, matrices = self.config.patch.image_size**2, exact(self.matrices)
        match self.config.design:
            case "tied" | "tied-tokens":
                kept, lost = matrices[0].chunk(2)
                return torch.stack([kept.T @ kept, kept.T @ lost])[None]
            case "free":
                encoder, decoder = matrices
                kept, lost = encoder.chunk(2)
                return torch.stack([decoder[:, : dim // 2] @ kept, decoder[:, : dim // 2] @ lost])[None]
            case _:
                return matrices[:, :, :dim].unflatten(1, (-1, dim))

    def fitted(self, images: Float[Tensor, "batch size size"], masks: Masks) -> Float[Tensor, "batch size size"]:
        """The images in the precision of the matrices; see `Model.fitted`."""
        images = super().fitted(images, masks)
        if masks.patch != self.config.patch:
            raise InputError("tokens and matrices belong to the positions of one patch: measure it under its own masks")
        return images

    def usable(self, images: Float[Tensor, "batch size size"], masks: Masks) -> Bool[Tensor, " batch"]:
        """Which images leave something to embed."""
        images = self.fitted(images, masks)
        check_visible(images, masks)
        return self._filled(images, masks).flatten(1).any(1)

    def _measure(
        self, images: Float[Tensor, "batch size size"], masks: Masks, *wanted: Quantity
    ) -> list[Float[Tensor, "batch ..."]]:
        maps = self.maps()
        largest = torch.linalg.matrix_norm(maps[:, 0], ord=2) if "success_probability" in wanted else None

        def build(position: Int[Tensor, ""], _images: int) -> int | Int[Tensor, ""]:
            return position if len(maps) > 1 else 0

        def run(
            index: int | Int[Tensor, ""], images: Float[Tensor, "part size size"], masks: Masks
        ) -> list[Float[Tensor, "part ..."]]:
            states = embed(self._filled(images, masks).flatten(1).to(maps.dtype))
            outputs = torch.einsum("koi,bi->bko", _at(maps, index), states)
            kept = embed(outputs.flatten(1)).view_as(outputs) if self.heralded else outputs
            found: dict[Quantity, Callable[[], Tensor]] = {
                "fidelity": lambda: self._overlaps(kept, images).square().sum(1),
                "probabilities": lambda: kept.square().sum(1).view_as(images),
                "success_probability": lambda: self._success(outputs, None if largest is None else _at(largest, index)),
            }
            return [as_precise_as(found[name](), self.tokens) for name in wanted]

        return over_positions(images, masks, separate=len(maps) > 1, build=build, run=run)

    def _overlaps(
        self, kept: Float[Tensor, "batch kraus dim"], images: Float[Tensor, "batch size size"]
    ) -> Float[Tensor, "batch kraus"]:
        return torch.linalg.vecdot(kept, embed_originals(images).to(kept)[:, None])

    def _success(
        self, outputs: Float[Tensor, "batch kraus dim"], largest: Float[Tensor, ""] | None
    ) -> Float[Tensor, " batch"]:
        """The squared norm of the output, the map scaled to a contraction."""
        if not self.heralded or largest is None:
            return outputs.new_ones(len(outputs))
        return (outputs / largest).square().sum((1, 2))

    def _filled(self, images: Float[Tensor, "batch size size"], masks: Masks) -> Float[Tensor, "batch size size"]:
        index = masks.patch.token_index(masks.patch.shape)[0].to(self.tokens.device)
        tiles = self.tokens.flatten(1)[:, index]
        chosen = tiles[masks.position] if len(tiles) > 1 else tiles
        return torch.where(masks.hidden, chosen, images)


def _at(values: Float[Tensor, "maps ..."], index: int | Int[Tensor, ""]) -> Float[Tensor, "..."]:
    """One of several maps. `torch.func.vmap` does not allow `values[index]` where the index is mapped."""
    return values[index] if isinstance(index, int) else values.index_select(0, index.reshape(1))[0]
