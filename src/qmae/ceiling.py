"""What a design reaches if its gates are no limit: the same model with free matrices, found by optimization.

It is the best that the search found for free matrices, no proof that there is nothing better, and no bound on what the
circuit reaches: its gates may not be able to make these matrices. It says how much is lost to the ansatz and how much
to the idea.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, get_args

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn.utils.parametrize import register_parametrization

from qmae.errors import InputError
from qmae.masking import Masks, PatchMask, hide
from qmae.models import embed_references
from qmae.settings import Design
from qmae.simulation import embed


@dataclass(frozen=True)
class FreeConfig:
    """A design, its matrices free.

    Attributes:
        patch: the masks it is made for, one patch on a grid.
        design: how encoder, bottleneck and decoder are tied; `DESIGNS` says what each means.
        kraus: Kraus operators of the design `channel`.
    """

    patch: PatchMask = field(default_factory=PatchMask)
    design: Design = "tied"
    kraus: int = 2

    def __post_init__(self) -> None:
        if self.design not in get_args(Design):
            raise InputError(f"no design {self.design!r}: choose one of {', '.join(get_args(Design))}")
        if self.patch.patches > 1 or self.patch.placement != "grid":
            raise InputError("a free matrix needs one patch on a grid, where its positions are few")

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> FreeConfig:
        """Rebuild a config from `dataclasses.asdict`, as it stands in `config.json`."""
        return cls(**{**values, "patch": PatchMask(**values["patch"])})


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

    They reach almost every rotation, as the matrix exponential does, and cost a seventh of it. (Cayley 1846.)
    """

    def forward(self, free: Float[Tensor, "matrices dim dim"]) -> Float[Tensor, "matrices dim dim"]:
        """Make free matrices orthogonal, those near zero near the identity."""
        eye, lower = torch.eye(free.shape[-1]).to(free), free.tril(-1)
        return 2 * torch.linalg.inv(eye + (lower - lower.mT) / 2) - eye


class FreeModel(nn.Module):
    """Kraus operators K on whole images: F = sum_k (ref . K_k x)^2, for a heralded map divided by its squared norm.

    All matrices are real, as the images are.

    Args:
        config: the design.
        generator: draws what the matrices start with, near the identity.
    """

    def __init__(self, config: FreeConfig, *, generator: torch.Generator) -> None:
        super().__init__()
        self.config = config
        dim, positions = config.patch.image_size**2, len(config.patch.corners)
        tokens = 1 if config.design == "tied" else positions
        self.tokens = nn.Parameter(torch.zeros(tokens, *config.patch.shape))
        count, side = {
            "tied": (1, dim),
            "tied-tokens": (1, dim),
            "free": (2, dim),
            "channel": (1, config.kraus * dim),
            "unitary-per-position": (positions, dim),
            "heralded": (1, dim),
            "heralded-per-position": (positions, dim),
        }[config.design]
        noise = 0.01 * torch.randn(count, side, side, generator=generator)
        if self.heralded:
            self.matrices = nn.Parameter(torch.eye(dim) + noise)
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
        return "heralded" in self.config.design

    def maps(self) -> Float[Tensor, "maps kraus dim dim"]:
        """The Kraus operators, for all positions at once or for each."""
        dim = self.config.patch.image_size**2
        match self.config.design:
            case "tied" | "tied-tokens":
                kept, lost = self.matrices[0].chunk(2)
                return torch.stack([kept.T @ kept, kept.T @ lost])[None]
            case "free":
                encoder, decoder = self.matrices
                kept, lost = encoder.chunk(2)
                return torch.stack([decoder[:, : dim // 2] @ kept, decoder[:, : dim // 2] @ lost])[None]
            case _:
                return self.matrices[:, :, :dim].unflatten(1, (-1, dim))

    @property
    def parameter_count(self) -> int:
        """Number of trainable numbers, those that orthogonality ties included."""
        return sum(parameter.numel() for parameter in self.parameters())

    def usable(self, images: Float[Tensor, "batch size size"], masks: Masks) -> Bool[Tensor, " batch"]:
        """Which images leave something to embed."""
        return self._filled(images, masks).flatten(1).any(1)

    def fidelity(self, images: Float[Tensor, "batch size size"], masks: Masks) -> Float[Tensor, " batch"]:
        """Fidelity with the originals, image by image, given that the shot is kept."""
        outputs = self._outputs(images, masks)
        overlaps = torch.linalg.vecdot(outputs, embed_references(images)[:, None]).square().sum(1)
        return overlaps / self._norms(outputs)

    def probabilities(self, images: Float[Tensor, "batch size size"], masks: Masks) -> Float[Tensor, "batch size size"]:
        """Probability of every pixel's basis state, given that the shot is kept."""
        outputs = self._outputs(images, masks)
        return (outputs.square().sum(1) / self._norms(outputs)[:, None]).view_as(images)

    def success_probability(self, images: Float[Tensor, "batch size size"], masks: Masks) -> Float[Tensor, " batch"]:
        """Share of the shots that are kept: the squared norm of the output, the maps scaled to contractions."""
        if not self.heralded:
            return torch.ones(len(images), device=images.device)
        largest = torch.linalg.matrix_norm(self.maps()[:, 0], ord=2)
        scales = largest[masks.position] if len(largest) > 1 else largest
        return self._outputs(images, masks).square().sum((1, 2)) / scales**2

    def forward(self, images: Float[Tensor, "batch size size"], masks: Masks) -> Float[Tensor, " batch"]:
        """The loss of every image, 1 - F."""
        return 1 - self.fidelity(images, masks)

    def _outputs(self, images: Float[Tensor, "batch size size"], masks: Masks) -> Float[Tensor, "batch kraus dim"]:
        """K_k x for every Kraus operator k."""
        states, maps = embed(self._filled(images, masks).flatten(1)), self.maps()
        if len(maps) == 1:
            return torch.einsum("koi,bi->bko", maps[0], states)
        order = masks.position.argsort()
        sorted_states = states[order].split(masks.position.bincount(minlength=len(maps)).tolist())
        pairs = zip(maps, sorted_states, strict=True)
        outputs = torch.cat([torch.einsum("koi,bi->bko", kraus, part) for kraus, part in pairs])
        return outputs[order.argsort()]

    def _norms(self, outputs: Float[Tensor, "batch kraus dim"]) -> Float[Tensor, " batch"]:
        """What the outputs are divided by: 1 but for heralded ones."""
        norms = outputs.square().sum((1, 2))
        return norms.clamp_min(1e-12) if self.heralded else torch.ones_like(norms)

    def _filled(self, images: Float[Tensor, "batch size size"], masks: Masks) -> Float[Tensor, "batch size size"]:
        tiles = self.tokens.flatten(1)[:, masks.patch.token_index(masks.patch.shape)[0]]
        chosen = tiles[masks.position] if len(tiles) > 1 else tiles
        return torch.where(masks.hidden, chosen, hide(images, masks))
