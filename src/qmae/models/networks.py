"""Classical networks for the same task, trained as the quantum models are: same images, masks, loss and schedule."""

# Attributes of `Model` may be properties here.
# pyright: reportIncompatibleVariableOverride=false

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn.functional import interpolate, pixel_shuffle, pixel_unshuffle

from qmae._values import MAX_PARAMETERS, Registry, check_keys, shown
from qmae.data.masks import Masks, PatchMask
from qmae.errors import InputError
from qmae.models.base import TrainableModel
from qmae.models.choices import Kind
from qmae.models.pixels import Baseline
from qmae.models.presets import PRESETS
from qmae.simulation.precision import check_parameters, without_autocast


@dataclass(frozen=True)
class ClassicalConfig:
    """All that defines a classical network, except its parameters.

    Attributes:
        patch: the masks it is made for.
        network: a name of `NETWORKS`: `"autoencoder"`, `"mae-small"`, `"mae"`, `"unet"`, or one that was registered.

    Raises:
        InputError: an unknown network, or images too small for its patches.
    """

    kind: ClassVar[Kind] = "network"

    patch: PatchMask = field(default_factory=PatchMask)
    network: str = "unet"

    def __post_init__(self) -> None:
        if not isinstance(self.patch, PatchMask):
            raise InputError(f"patch {shown(self.patch)} is no PatchMask: give one")
        if self.patch.image_size < 8:
            raise InputError(f"a network needs images of 8 x 8 pixels at least, not {self.patch.image_size}")
        count = sum(map(math.prod, self.parameter_shapes.values()))
        if count > MAX_PARAMETERS:
            raise InputError(f"{count} parameters are more than {MAX_PARAMETERS}, 1 GiB: take smaller images")

    @property
    def parameter_shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of every parameter by its name, as in a file of weights; takes no memory."""
        with torch.device("meta"):
            network = NETWORKS[self.network](self.patch.image_size)
        return {f"network.{name}": tuple(value.shape) for name, value in network.state_dict().items()}

    @property
    def stored_shapes(self) -> tuple[dict[str, tuple[int, ...]], ...]:
        """`parameter_shapes`: no version had others."""
        return (self.parameter_shapes,)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> ClassicalConfig:
        """Rebuild a config from `dataclasses.asdict`, as it stands in `config.json`.

        Raises:
            InputError: a setting is missing, unknown, of a wrong type or out of bounds.
        """
        values = check_keys(values, cls, "the network's config")
        return cls(**{**values, "patch": PatchMask.from_dict(values["patch"])})


class ClassicalModel(TrainableModel, Baseline):
    """A network that sees an image with a hole, and where the hole is, and returns the whole image.

    Args:
        config: what it is.
        generator: draws the initial weights.
    """

    kind = "network"

    def __init__(self, config: ClassicalConfig, *, generator: torch.Generator) -> None:
        super().__init__()
        if not isinstance(config, ClassicalConfig):
            raise InputError(f"config {shown(config)} is no ClassicalConfig: give one")
        self.config = config
        # torch's layers draw their weights from the global generator.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(torch.randint(2**31, (), generator=generator)))
            self.network = NETWORKS[config.network](config.patch.image_size)

    @property
    def name(self) -> str:
        """The first preset of this network, or the network's name where there is none."""
        presets = (name for name in PRESETS if PRESETS[name].kind == self.kind)
        fitting = (name for name in presets if PRESETS[name].model.get("network") == self.config.network)
        return next(fitting, self.config.network)

    def fill(self, visible: Float[Tensor, "batch size size"], masks: Masks) -> Float[Tensor, "batch size size"]:
        """Run the network, in the precision of its weights whatever the context."""
        check_parameters(self)
        with without_autocast():
            return self.network(self.visible(visible, masks), masks.hidden)

    def usable(self, images: Float[Tensor, "batch size size"], masks: Masks) -> Bool[Tensor, " batch"]:
        """Which images can be trained on: all, since a network makes something of a black image, too."""
        self.visible(images, masks)
        return torch.ones(len(images), dtype=torch.bool, device=images.device)


class LinearAutoencoder(nn.Module):
    """The classical counterpart of the QAE: linear, 2^7 latent values of 2^8, the hole left black (Section 3.1).

    Args:
        size: pixels a side.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.encoder, self.decoder = nn.Linear(size**2, size**2 // 2), nn.Linear(size**2 // 2, size**2)

    def forward(
        self, visible: Float[Tensor, "batch size size"], hidden: Bool[Tensor, "batch size size"]
    ) -> Float[Tensor, "batch size size"]:
        """The whole image, visible pixels reconstructed, too."""
        return self.decoder(self.encoder(visible.flatten(1))).view_as(visible)


class VisionMaskedAutoencoder(nn.Module):
    """A masked autoencoder after He et al. (2022, arXiv 2111.06377): a ViT on the visible patches, tokens for the rest.

    A patch that is hidden as a whole is not seen by the encoder; the decoder gets a learned token in its place. One
    that is hidden in part, which happens off the grid, is seen with 0 for the hidden pixels. Visible pixels are kept.

    Args:
        size: pixels a side.
        patch: pixels a side of a patch.
        width: of the encoder; the decoder has half of it.
        depth: blocks of the encoder; the decoder has half of them, one at the least.
        heads: of the attention.
        expansion: width of the feed-forward layers, in units of `width`.
    """

    def __init__(self, size: int, *, patch: int, width: int, depth: int, heads: int, expansion: int) -> None:
        super().__init__()
        self.patch, count, narrow = patch, (size // patch) ** 2, max(width // 2, heads)
        self.embed = nn.Linear(patch**2, width)
        self.places, self.decoder_places = (nn.Parameter(0.02 * torch.randn(count, w)) for w in (width, narrow))
        self.encoder = _transformer(width, depth, heads, expansion)
        self.narrow, self.token = nn.Linear(width, narrow), nn.Parameter(0.02 * torch.randn(narrow))
        self.decoder = _transformer(narrow, max(depth // 2, 1), heads, expansion)
        self.head = nn.Linear(narrow, patch**2)

    def forward(
        self, visible: Float[Tensor, "batch size size"], hidden: Bool[Tensor, "batch size size"]
    ) -> Float[Tensor, "batch size size"]:
        """The image, its hidden pixels as predicted."""
        unseen = self._patches(hidden.to(visible)).all(2)
        tokens = self.embed(self._patches(visible)) + self.places
        seen = self.narrow(self._encode(tokens, unseen))
        tokens = torch.where(unseen[:, :, None], self.token, seen) + self.decoder_places
        predicted = self.head(self.decoder(tokens)).transpose(1, 2).unflatten(2, [len(visible[0]) // self.patch] * 2)
        return torch.where(hidden, pixel_shuffle(predicted, self.patch)[:, 0], visible)

    def _encode(
        self, tokens: Float[Tensor, "batch patches width"], unseen: Bool[Tensor, "batch patches"]
    ) -> Float[Tensor, "batch patches width"]:
        """Run the encoder on the seen tokens alone, which is what makes masked autoencoders cheap."""
        count = int((~unseen).sum(1).max())
        places = unseen.byte().argsort(dim=1, stable=True)[:, :count, None].expand(-1, -1, tokens.shape[2])
        padding = unseen.gather(1, places[:, :, 0])
        encoded = self.encoder(tokens.gather(1, places), src_key_padding_mask=padding if padding.any() else None)
        return torch.zeros_like(tokens).scatter(1, places, encoded)

    def _patches(self, images: Float[Tensor, "batch size size"]) -> Float[Tensor, "batch patches pixels"]:
        return pixel_unshuffle(images[:, None], self.patch).flatten(2).transpose(1, 2)


def _transformer(width: int, depth: int, heads: int, expansion: int) -> nn.TransformerEncoder:
    layer = nn.TransformerEncoderLayer(
        width, heads, expansion * width, dropout=0, activation="gelu", batch_first=True, norm_first=True
    )
    return nn.TransformerEncoder(layer, depth, norm=nn.LayerNorm(width), enable_nested_tensor=False)


class UNet(nn.Module):
    """A U-Net (Ronneberger et al. 2015, arXiv 1505.04597) on image and mask; visible pixels are kept.

    Args:
        size: pixels a side; any.
        width: channels at full resolution, doubled at each of the two levels below.
    """

    def __init__(self, size: int, *, width: int) -> None:
        super().__init__()
        self.down = nn.ModuleList([_convolutions(2, width), _convolutions(width, 2 * width)])
        self.bottom = _convolutions(2 * width, 4 * width)
        self.up = nn.ModuleList([_convolutions(6 * width, 2 * width), _convolutions(3 * width, width)])
        self.head = nn.Conv2d(width, 1, 1)

    def forward(
        self, visible: Float[Tensor, "batch size size"], hidden: Bool[Tensor, "batch size size"]
    ) -> Float[Tensor, "batch size size"]:
        """The image, its hidden pixels as predicted."""
        features, skipped = torch.stack([visible, hidden.to(visible)], 1), []
        for block in self.down:
            skipped.append(block(features))
            features = nn.functional.max_pool2d(skipped[-1], 2)
        features = self.bottom(features)
        for block in self.up:
            features = block(torch.cat([interpolate(features, scale_factor=2), skipped.pop()], 1))
        return torch.where(hidden, self.head(features)[:, 0], visible)


def _convolutions(channels: int, width: int) -> nn.Sequential:
    layers = [
        layer
        for inputs in (channels, width)
        for layer in (nn.Conv2d(inputs, width, 3, padding=1), nn.GroupNorm(4, width), nn.GELU())
    ]
    return nn.Sequential(*layers)


NETWORKS: Registry[Callable[[int], nn.Module]] = Registry(
    "network",
    Callable,
    {
        "autoencoder": LinearAutoencoder,
        "mae-small": lambda size: VisionMaskedAutoencoder(size, patch=4, width=8, depth=1, heads=2, expansion=1),
        "mae": lambda size: VisionMaskedAutoencoder(size, patch=4, width=136, depth=4, heads=4, expansion=4),
        "unet": lambda size: UNet(size, width=16),
    },
)
"""Functions that make a network for a size of images, in pixels a side; a user adds one by `NETWORKS.register`.

A network is called with two tensors: visible images Float [batch, size, size], 0 where pixels are hidden, and Bool of
the same shape, True where pixels are hidden. It returns whole images of this shape.
"""
