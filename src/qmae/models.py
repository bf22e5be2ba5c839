"""The quantum (masked) autoencoder: one model, of which the paper's QAE and QMAE are two presets."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

import torch
from jaxtyping import Bool, Float, Inexact, Int
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from qmae.ansatz import SU4_IDENTITY
from qmae.config import PRESETS, ModelConfig
from qmae.errors import InputError
from qmae.files import write_atomically
from qmae.masking import Masks, PatchMask, hide
from qmae.settings import Readout
from qmae.simulation import Autoencoder, build_encoder, deal_out, embed, probabilities_of, read_out

Module = TypeVar("Module", bound=nn.Module)

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
        return torch.einsum("bkl,bml->bkm", self.state, self.state.conj())

    @property
    def latent(self) -> Inexact[Tensor, "batch latent latent"]:
        """Density matrix of the latent qubits, the trash traced out: what the decoder gets beside fresh |0>s."""
        return torch.einsum("bkl,bkm->blm", self.state, self.state.conj())


class MaskedAutoencoder(nn.Module):
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
        self.config = config
        # At zero angles real blocks are the identity anyway.
        identity = config.initial_angles == "identity" and config.block == "su4"
        centre = torch.tensor(SU4_IDENTITY) if identity else 0
        self.angles = nn.Parameter(
            centre + config.initial_spread * torch.randn(config.angle_shape, generator=generator)
        )
        offsets = (
            torch.zeros(len(config.patch.corners), *config.angle_shape) if config.conditioning == "offsets" else None
        )
        self.offsets = None if offsets is None else nn.Parameter(offsets)
        shape = {"none": None, "shared": config.patch.shape, "per_position": [config.patch.image_size] * 2}
        self.token = None if config.mask_token == "none" else nn.Parameter(torch.zeros(shape[config.mask_token]))

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
            InputError: no such preset or setting.
        """
        config = ModelConfig.preset(name, patch or PatchMask(), **settings)
        return cls(config, generator=torch.Generator().manual_seed(seed))

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

    def fill(self, images: Float[Tensor, "batch size size"], masks: Masks) -> Float[Tensor, "batch size size"]:
        """Replace the hidden pixels by the token, or by 0 without one (Section 3.3).

        In a hole of another shape than the token's, the token is repeated or cut as `PatchMask.token_index` says.
        """
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
        """Run the encoder on the masked images (Eq. 4)."""
        return Encoded(self._for_each(masks, lambda circuit, states: circuit.encoder.encode(states), images))

    def fidelity(self, images: Float[Tensor, "batch size size"], masks: Masks) -> Float[Tensor, " batch"]:
        """Fidelity <ref| rho |ref> of the decoder's output with the unmasked image (Eq. 8), differentiable.

        Args:
            images: the original images, in [0, 1]; what `masks` hide never reaches the encoder.
            masks: one per image.

        Returns:
            F in [0, 1], with a heralded bottleneck that of the runs that are kept. It is 0 where nothing is left to
            embed: no lit pixel visible and no token.

        Raises:
            InputError: an original is all black or holds NaN, so that there is no state to compare with; or the angles
                depend on the mask's place, and the masks are of another kind.
        """
        references = embed_references(images)
        return self._for_each(masks, lambda circuit, *states: circuit.fidelity(*states), images, references)

    def success_probability(self, images: Float[Tensor, "batch size size"], masks: Masks) -> Float[Tensor, " batch"]:
        """Share of the runs that are kept: 1 but with a heralded bottleneck, differentiable."""
        if self.config.bottleneck != "herald":
            return images.new_ones(len(images))
        return self._for_each(masks, lambda circuit, states: circuit.success_probability(states), images)

    def probabilities(self, images: Float[Tensor, "batch size size"], masks: Masks) -> Float[Tensor, "batch size size"]:
        """Probability of every pixel's basis state in the decoder's output, diag rho (Eq. 6).

        Each image sums to 1, or to 0 where nothing was left to embed.
        """
        return self._for_each(masks, lambda circuit, states: circuit.readout(states), images).view_as(images)

    def reconstruct(
        self, images: Float[Tensor, "batch size size"], masks: Masks, *, readout: Readout = "amplitude"
    ) -> Float[Tensor, "batch size size"]:
        """Reconstruct whole images from masked ones.

        Args:
            images: masked or original images, in [0, 1]; what `masks` hide is not used.
            masks: one per image.
            readout: `"amplitude"` (sqrt of the probabilities) or `"probability"`.

        Returns:
            Non-negative pixel values of images of unit norm (`amplitude`) or unit sum (`probability`).
        """
        return read_out(self.probabilities(images, masks), readout)

    def forward(self, images: Float[Tensor, "batch size size"], masks: Masks) -> Float[Tensor, " batch"]:
        """The loss of every image, 1 - F (Eq. 9)."""
        return 1 - self.fidelity(images, masks)

    def save_pretrained(self, folder: str | Path) -> None:
        """Write `config.json` and `model.safetensors` into a folder."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(folder / CONFIG, json.dumps({"model": asdict(self.config)}, indent=2) + "\n")
        write_atomically(folder / WEIGHTS, save(self.state_dict()))

    @classmethod
    def from_pretrained(cls, folder: str | Path) -> MaskedAutoencoder:
        """Load a model that `save_pretrained` or a training run wrote, or one that the package brings.

        Args:
            folder: where it lies, or a name in `SHIPPED`, such as `"qmae-plus-25"`; a folder of this name comes first.

        Raises:
            InputError: no such folder, or it holds no model.
        """
        return load_pretrained(folder, lambda config: cls(ModelConfig.from_dict(config), generator=torch.Generator()))

    def angles_at(self, position: Int[Tensor, "*patches"]) -> Float[Tensor, "blocks angles"]:
        """The angles of all blocks for one place of the hidden patch, or for the places of several."""
        angles = self.angles[position] if self.config.conditioning == "separate" else self.angles
        if self.offsets is not None:
            angles = angles + self.offsets[position].view(-1, *self.angles.shape).sum(0)
        return self.blocks_of(angles)

    def blocks_of(self, angles: Float[Tensor, "*circuits_and_angles"]) -> Float[Tensor, "*circuits blocks angles"]:
        """The angles of all blocks, the decoder's behind the encoder's, from those of whole circuits."""
        parts = self.config.parts
        split = angles.split([part.angle_shape[0] for part in parts], -len(parts[0].angle_shape))
        return torch.cat([deal_out(*part) for part in zip(split, parts, strict=True)], -2)

    def autoencoder(self, angles: Float[Tensor, "blocks angles"], *, states: int) -> Autoencoder:
        """Build the simulation of the circuit with these angles of blocks that is fastest for so many states."""
        config, ansatz = self.config, self.config.ansatz
        own, free = angles.split([len(ansatz.pairs), len(angles) - len(ansatz.pairs)])
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
        """Call a function with the circuit of every mask and the states of the images that have this mask."""
        batch = embed(self.fill(images, masks).flatten(1)), *more
        if self.config.conditioning == "none":
            return function(self.autoencoder(self.blocks_of(self.angles), states=len(images)), *batch)
        if masks.patch != self.config.patch:
            raise InputError("the angles depend on the place of the mask: measure it under masks of its own kind")
        kinds, kind = masks.position.unique(dim=0, return_inverse=True)
        groups = [(kind == index).nonzero()[:, 0] for index in range(len(kinds))]
        parts = [
            function(self.autoencoder(self.angles_at(position), states=len(rows)), *(part[rows] for part in batch))
            for position, rows in zip(kinds, groups, strict=True)
        ]
        return torch.cat(parts)[torch.cat(groups).argsort()]


def locate(folder: str | Path) -> Path:
    """Where a model lies: a folder as it is, or, if there is none, that of the model of this name in the package."""
    if str(folder) in SHIPPED and not Path(folder).is_dir():
        return packaged(str(folder))
    return Path(folder)


def packaged(name: str) -> Path:
    """Where the package keeps a model of `SHIPPED`."""
    return Path(str(resources.files("qmae"))) / "data" / "models" / name


def load_pretrained(folder: str | Path, build: Callable[[dict[str, Any]], Module]) -> Module:
    """Load a model from its folder.

    Args:
        folder: of `save_pretrained` or of a training run, or a name in `SHIPPED`.
        build: makes the model, its parameters not yet those, of the `"model"` part of `config.json`.

    Raises:
        InputError: no such folder, or it holds no such model.
    """
    folder = locate(folder)
    if not folder.is_dir():
        raise InputError(f"no run folder {folder}: make one with `qmae train --out {folder}`")
    try:
        model = build(json.loads((folder / CONFIG).read_text())["model"])
        model.load_state_dict(load_file(folder / WEIGHTS))
    except (OSError, KeyError, TypeError, ValueError, RuntimeError, SafetensorError) as error:
        raise InputError(f"{folder} holds no model that can be read ({error}): give the folder of a run") from error
    return model


BATCH_PIXELS = 2**19
"""Pixels of a batch where the caller leaves its size open: 2,048 images of 16 x 16, and memory that stays bounded."""


def in_batches(
    images: Float[Tensor, "images size size"], masks: Masks
) -> Iterator[tuple[Float[Tensor, "batch size size"], Masks]]:
    """Split images and their masks into parts of at most `BATCH_PIXELS`, of one image at the least."""
    count = max(1, BATCH_PIXELS // images[0].numel())
    for start in range(0, len(images), count):
        part = slice(start, start + count)
        yield images[part], masks[part]


def embed_references(images: Float[Tensor, "batch size size"]) -> Float[Tensor, "batch dim"]:
    """Amplitude embedding of the originals that reconstructions are compared with.

    Raises:
        InputError: an image is all black, or holds NaN or infinity; it is named by its index.
    """
    norms = torch.linalg.vector_norm(images.flatten(1), dim=1)
    usable = norms.isfinite() & (norms > 0)
    if not usable.all():
        index = int((~usable).nonzero()[0])
        why = "is all black" if images[index].isfinite().all() else "holds NaN or infinity"
        raise InputError(f"image {index} {why}: it has no direction to embed as a quantum state; leave it out")
    return images.flatten(1) / norms[:, None]
