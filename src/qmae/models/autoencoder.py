"""The quantum (masked) autoencoder: one model, of which the paper's QAE and QMAE are two presets."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Protocol, TypeVar

import torch
from jaxtyping import Bool, Float, Inexact, Int
from torch import Tensor, nn

from qmae._files import make_folder, read_json, refused, to_json, write_atomically
from qmae._values import SEEDS, shown, whole
from qmae.ansatz.blocks import SU4_IDENTITY
from qmae.data.batches import check_batch, check_visible, hide
from qmae.data.checks import brightest_of, check_lit, check_pixels, check_tensor, has_values
from qmae.data.masks import Masks, PatchMask
from qmae.errors import InputError
from qmae.models.base import Model
from qmae.models.config import PRESETS, ModelConfig
from qmae.models.weights import Shapes, load_tensors, to_bytes
from qmae.simulation import Autoencoder, build_encoder, deal_out, embed, probabilities_of
from qmae.simulation.precision import as_precise_as, check_parameters, exact, normal

Module = TypeVar("Module", bound=nn.Module)


class _Config(Protocol):
    """The config of any model."""

    @property
    def parameter_shapes(self) -> Shapes:
        """The shape of every parameter by its name, as it stands in a file of weights."""
        ...


Config = TypeVar("Config", bound=_Config)

CONFIG, WEIGHTS = "config.json", "model.safetensors"
"""The files of a saved model."""

SHIPPED = ("qmae-small-25", "qmae-plus-25", "qmae-heralded-25", "qmae-compressed-25", "qmae-plus-50")
"""Trained models that the package brings: preset and hidden share in percent, on a grid of 16 x 16 pixels of MNIST."""


@dataclass(frozen=True)
class Encoded:
    """The encoder's output V |psi> on trash and latent qubits (Eq. 4).

    Attributes:
        state: amplitudes, complex or, of real circuits, real [batch, 2^trash, 2^latent].
    """

    state: Inexact[Tensor, "batch trash latent"]

    @property
    def trash_population(self) -> Float[Tensor, " batch"]:
        """P(|0>), the probability to find all trash qubits in |0>: 1 if the bottleneck loses nothing (Eq. 5)."""
        return probabilities_of(self.state[:, 0]).sum(-1)

    @property
    def trash(self) -> Inexact[Tensor, "batch trash trash"]:
        """Density matrix of the trash qubits, the latent ones traced out."""
        state = exact(self.state)
        return torch.einsum("bkl,bml->bkm", state, state.conj()).to(self.state)

    @property
    def latent(self) -> Inexact[Tensor, "batch latent latent"]:
        """Density matrix of the latent qubits, the trash traced out: what the decoder gets beside fresh |0>s."""
        state = exact(self.state)
        return torch.einsum("bkl,bkm->blm", state, state.conj()).to(self.state)


class MaskedAutoencoder(Model, nn.Module):
    """A quantum autoencoder that sees an image with a hole and returns the whole image.

    masked image -> token into the hole -> amplitude embedding -> encoder -> bottleneck -> decoder

    Simulated exactly, differentiable, and with the default settings equal to the paper's circuit on 2n + 2 qubits.

    Args:
        config: what the model is.
        generator: draws the initial angles, from a normal distribution. The token starts at 0, so that QMAE and QAE
            of one seed start as the same function.

    Attributes:
        angles: Float, of `config.angle_shape`, in radians; [28, 15] for 8 qubits and one layer of the paper's blocks.
        offsets: Float [places, ...], what is added to the angles for a hidden patch, or None.
        token: Float [patch height, patch width] in units of pixel values, unconstrained; with a token per position
            Float [size, size], the patch of every place lying there; or None.
    """

    def __init__(self, config: ModelConfig, *, generator: torch.Generator) -> None:
        super().__init__()
        if not isinstance(config, ModelConfig):
            raise InputError(
                f"config {shown(config)} is no ModelConfig: give one, or use MaskedAutoencoder.from_preset"
            )
        self.config = config
        # At zero angles real blocks are the identity anyway.
        identity = config.initial_angles == "identity" and config.block == "su4"
        centre = torch.tensor(SU4_IDENTITY) if identity else 0
        self.angles = nn.Parameter(centre + config.initial_spread * normal(*config.angle_shape, generator=generator))
        shapes = config.parameter_shapes
        self.offsets = nn.Parameter(torch.zeros(shapes["offsets"])) if "offsets" in shapes else None
        self.token = nn.Parameter(torch.zeros(shapes["token"])) if "token" in shapes else None

    @classmethod
    def from_preset(
        cls, name: str, *, patch: PatchMask | None = None, seed: int = 0, **settings: Any
    ) -> MaskedAutoencoder:
        """Build an untrained model.

        Args:
            name: of `PRESETS`: `"qae"`, `"qmae"`, `"qmae-plus"` or `"qmae-heralded"`.
            patch: the masks it is made for; 25% of 16 x 16 pixels on a grid by default.
            seed: for the initial angles.
            **settings: other fields of `ModelConfig`, which win over the preset's.

        Raises:
            InputError: no such preset or setting, or a seed that is none.
        """
        config = ModelConfig.preset(name, PatchMask() if patch is None else patch, **settings)
        return cls(config, generator=torch.Generator().manual_seed(whole(seed, "seed", *SEEDS)))

    @property
    def name(self) -> str:
        """The preset that has these settings, layers and trash left aside, or `custom`.

        Of presets that differ in nothing but their layers, the one whose layers are nearest.
        """
        ignored = {"patch", "layers", "trash_wires", "initial_spread"}
        settings = {name: value for name, value in asdict(self.config).items() if name not in ignored}
        fitting = {}
        for name, preset in PRESETS.items():
            default = {**asdict(ModelConfig()), **preset}
            if all(default[setting] == value for setting, value in settings.items()):
                fitting[name] = abs(default["layers"] - self.config.layers)
        return min(fitting, key=fitting.__getitem__, default="custom")

    @property
    def angle_count(self) -> int:
        """Number of trainable angles, those of all places."""
        return self.angles.numel() + (0 if self.offsets is None else self.offsets.numel())

    @property
    def parameter_count(self) -> int:
        """Number of trainable numbers, angles and token pixels (Eq. 7)."""
        return sum(parameter.numel() for parameter in self.parameters())

    def fitted(self, images: Float[Tensor, "batch size size"], masks: Masks) -> Float[Tensor, "batch size size"]:
        """The images in the precision of the angles; see `Model.fitted`."""
        return check_batch(images, masks, size=self.config.patch.image_size, like=self.angles)

    def fill(self, images: Float[Tensor, "batch size size"], masks: Masks) -> Float[Tensor, "batch size size"]:
        """Replace the hidden pixels by the token, or by 0 without one (Section 3.3).

        In a hole of another shape than the token's, the token is repeated or cut as `PatchMask.token_index` says.

        Raises:
            InputError: images or masks that do not fit, or visible values that are no pixels.
        """
        images = self.fitted(images, masks)
        check_visible(images, masks)
        if self.token is None:
            return hide(images, masks)
        if self.config.mask_token == "per_position":
            return torch.where(masks.hidden, self.token, images)
        index = masks.patch.token_index(self.config.patch.shape).to(self.token.device)
        patches = self.token.flatten()[index]
        # On a grid the tiles lie alike for all positions, and only there can be several patches: the first will do.
        first = masks.position if masks.position.ndim == 1 else masks.position[:, 0]
        return torch.where(masks.hidden, patches.index_select(0, first), images)

    def usable(self, images: Float[Tensor, "batch size size"], masks: Masks) -> Bool[Tensor, " batch"]:
        """Which images leave something to embed: a lit pixel outside the hole, or a token in it."""
        return self.fill(images, masks).flatten(1).any(1)

    def encode(self, images: Float[Tensor, "batch size size"], masks: Masks) -> Encoded:
        """Run the encoder on the masked images (Eq. 4).

        Raises:
            InputError: as `probabilities`.
        """
        return self._encode(self._visible(images, masks), masks)

    def forward(self, images: Float[Tensor, "batch size size"], masks: Masks) -> Float[Tensor, " batch"]:
        """The loss of every image, 1 - F (Eq. 9)."""
        return 1 - self.fidelity(images, masks)

    def _encode(self, images: Float[Tensor, "batch size size"], masks: Masks) -> Encoded:
        return Encoded(self._for_each(masks, lambda circuit, states: circuit.encoder.encode(states), images))

    def _fidelity(self, images: Float[Tensor, "batch size size"], masks: Masks) -> Float[Tensor, " batch"]:
        references = embed_originals(self.fitted(images, masks))
        return self._for_each(masks, lambda circuit, *states: circuit.fidelity(*states), images, references)

    def _success_probability(self, images: Float[Tensor, "batch size size"], masks: Masks) -> Float[Tensor, " batch"]:
        if self.config.bottleneck != "herald":
            return self.angles.new_ones(len(images))
        return self._for_each(masks, lambda circuit, states: circuit.success_probability(states), images)

    def _probabilities(
        self, images: Float[Tensor, "batch size size"], masks: Masks
    ) -> Float[Tensor, "batch size size"]:
        return self._for_each(masks, lambda circuit, states: circuit.readout(states), images).view_as(images)

    def save_pretrained(self, folder: str | Path) -> None:
        """Write `config.json` and `model.safetensors` into a folder, which is made if it is not there.

        Raises:
            InputError: a parameter is not finite, or the folder cannot be written.
        """
        folder, content = Path(folder), to_json({"model": asdict(self.config)})
        weights = to_bytes(self.state_dict(), {"model": json.loads(content)["model"]})
        with refused("write to", folder):
            make_folder(folder)
        write_atomically(folder / WEIGHTS, weights)
        write_atomically(folder / CONFIG, content)

    @classmethod
    def from_pretrained(cls, folder: str | Path) -> MaskedAutoencoder:
        """Load a model that `save_pretrained` or a training run wrote, or one that the package brings.

        Args:
            folder: where it lies, or a name in `SHIPPED`, such as `"qmae-plus-25"`; a folder of this name comes first.

        Raises:
            InputError: no such folder, or it holds no model.
        """
        return load_pretrained(folder, ModelConfig.from_dict, lambda config: cls(config, generator=torch.Generator()))

    def angles_at(self, position: Int[Tensor, "*patches"]) -> Float[Tensor, "blocks angles"]:
        """The angles of all blocks for one place of the hidden patch, or for the places of several.

        Raises:
            InputError: the angles depend on the place, and there is no such place.
        """
        if self.config.conditioning != "none":
            place = position if isinstance(position, Tensor) else torch.as_tensor(whole(position, "mask position"))
            position = Masks(self.config.patch, place[None]).position[0]
            places = position.reshape(-1)
            # Not `[position]`, which asks for the value of a single one and so cannot be mapped by `torch.func.vmap`.
            if self.offsets is None:
                return self.blocks_of(self.angles.index_select(0, places)[0])
            return self.blocks_of(self.angles + self.offsets.index_select(0, places).sum(0))
        return self.blocks_of(self.angles)

    def blocks_of(self, angles: Float[Tensor, "*circuits_and_angles"]) -> Float[Tensor, "*circuits blocks angles"]:
        """The angles of all blocks, the decoder's behind the encoder's, from those of whole circuits.

        Raises:
            InputError: they are of another shape.
        """
        shape = self.config.circuit_shape
        if not isinstance(angles, Tensor) or angles.shape[-len(shape) :] != shape:
            raise InputError(f"angles of a circuit have the shape {list(shape)} here: give a tensor of it")
        parts = self.config.parts
        split = angles.split([part.angle_shape[0] for part in parts], -len(parts[0].angle_shape))
        return torch.cat([deal_out(*part) for part in zip(split, parts, strict=True)], -2)

    def autoencoder(self, angles: Float[Tensor, "blocks angles"], *, states: int) -> Autoencoder:
        """Build the simulation of the circuit with these angles of blocks that is fastest for so many states.

        Raises:
            InputError: angles of another shape.
        """
        config, ansatz = self.config, self.config.ansatz
        shape = sum(part.blocks for part in config.parts), ansatz.block_angles
        if not isinstance(angles, Tensor) or angles.shape != shape:
            raise InputError(f"angles of the blocks have the shape {list(shape)} here: give a tensor of it")
        own, free = angles.split([ansatz.blocks, shape[0] - ansatz.blocks])
        encoder = build_encoder(own, ansatz, config.trash_wires, states=states, ancillas=config.ancillas)
        if config.decoder == "free":
            decoder = build_encoder(free, config.decoder_ansatz, config.reset_wires, states=states)
        else:
            decoder = encoder if config.decoder == "adjoint" else None
        return Autoencoder(encoder, decoder, heralded=config.bottleneck == "herald")

    def _for_each(
        self,
        masks: Masks,
        function: Callable[..., Inexact[Tensor, "part *out"]],
        images: Float[Tensor, "batch size size"],
        *more: Float[Tensor, "batch dim"],
    ) -> Inexact[Tensor, "batch *out"]:
        """Call a function with the circuit of every mask and the states of the images that have this mask.

        In the precision of the parameters or, under autocast, in double; the result is in that of the parameters.
        """
        check_parameters(self)
        filled = self.fill(images, masks).to(exact(self.angles).dtype)
        batch = embed(filled.flatten(1)), *(part.to(filled.dtype) for part in more)
        if self.config.conditioning == "none":
            result = function(self.autoencoder(self.blocks_of(self.angles), states=len(images)), *batch)
            return as_precise_as(result, self.angles)
        if masks.patch != self.config.patch:
            raise InputError("the angles depend on the place of the mask: measure it under masks of its own kind")
        if has_values(masks.position):
            kinds, kind = masks.position.unique(dim=0, return_inverse=True)
            groups = [(kind == index).nonzero()[:, 0] for index in range(len(kinds))]
        else:
            # Mapped by `torch.func.vmap`: which images have one mask is not known, so each gets a circuit of its own.
            kinds, groups = masks.position, [*torch.arange(len(images), device=images.device).split(1)]
        parts = [
            function(self.autoencoder(self.angles_at(position), states=len(rows)), *(part[rows] for part in batch))
            for position, rows in zip(kinds, groups, strict=True)
        ]
        return as_precise_as(torch.cat(parts)[torch.cat(groups).argsort()], self.angles)


def locate(folder: str | Path) -> Path:
    """Where a model lies: a folder as it is, or, if there is none, that of the model of this name in the package."""
    if str(folder) in SHIPPED and not os.path.isdir(folder):
        return packaged(str(folder))
    return Path(folder)


def packaged(name: str) -> Path:
    """Where the package keeps a model of `SHIPPED`."""
    return Path(str(resources.files("qmae.models"))) / "shipped" / name


def load_pretrained(
    folder: str | Path, parse: Callable[[dict[str, Any]], Config], build: Callable[[Config], Module]
) -> Module:
    """Load a model from its folder, in the precision of its weights.

    Args:
        folder: of `save_pretrained` or of a training run, or a name in `SHIPPED`.
        parse: makes a config of the `"model"` part of `config.json`.
        build: makes the model of a config, its parameters not yet those of the folder.

    Raises:
        InputError: no such folder, or it holds no such model, or one whose weights are damaged.
    """
    folder = locate(folder)
    if not os.path.isdir(folder):
        raise InputError(f"no run folder {folder}: make one with `qmae train --out {folder}`")
    try:
        values = read_json(folder / CONFIG)["model"]
        config = parse(values)
        tensors, about = load_tensors(folder / WEIGHTS, config.parameter_shapes)
        if about.get("model", values) != values:
            raise InputError(f"{CONFIG} is not of the model whose weights lie beside it")
        precisions = {tensor.dtype for tensor in tensors.values() if tensor.is_floating_point()}
        if precisions not in ({torch.float32}, {torch.float64}):
            raise InputError("its weights are neither all float32 nor all float64")
        model = build(config).to(dtype=precisions.pop())
        model.load_state_dict(tensors)
    except (KeyError, TypeError, ValueError, RuntimeError, OverflowError, AttributeError) as error:
        raise InputError(f"{folder} holds no model that can be read ({error}): give the folder of a run") from error
    return model


BATCH_PIXELS = 2**19
"""Pixels of a batch where the caller leaves its size open: 2,048 images of 16 x 16, and memory that stays bounded."""


def in_batches(
    images: Float[Tensor, "images size size"], masks: Masks
) -> Iterator[tuple[Float[Tensor, "batch size size"], Masks]]:
    """Split images and their masks into parts of at most `BATCH_PIXELS`, of one image at the least.

    Raises:
        InputError: images and masks that do not fit each other.
    """
    images = check_batch(images, masks)
    count = max(1, BATCH_PIXELS // images[0].numel())
    for start in range(0, len(images), count):
        part = slice(start, start + count)
        yield images[part], masks[part]


def embed_references(images: Float[Tensor, "batch size size"]) -> Float[Tensor, "batch dim"]:
    """Amplitude embedding of the originals that reconstructions are compared with.

    Raises:
        InputError: no batch of images, values that are no pixels or far too dark, or an image that is all black; it is
            named by its index.
    """
    check_tensor(images)
    check_pixels(images, at_least=brightest_of(images.shape[-1]))
    return embed_originals(images)


def embed_originals(images: Float[Tensor, "batch size size"]) -> Float[Tensor, "batch dim"]:
    """As `embed_references`, of a part of images that were checked as a whole, all of which may be dark.

    Raises:
        InputError: an image is all black; it is named by its index.
    """
    check_lit(images)
    return embed(images.flatten(1))
