"""The quantum (masked) autoencoder: one model, of which the paper's QAE and QMAE are two presets."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar, get_args

import torch
from jaxtyping import Bool, Complex, Float
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from qmae.ansatz import Ansatz, check_trash_wires
from qmae.errors import InputError
from qmae.files import write_atomically
from qmae.masking import Masks, PatchMask, hide
from qmae.settings import MaskToken, Readout
from qmae.simulation import Encoder, build_encoder, embed, read_out

Module = TypeVar("Module", bound=nn.Module)

PRESETS: dict[str, dict[str, Any]] = {
    "qae": {"mask_token": "none"},
    "qmae": {"mask_token": "shared"},
}
"""The paper's two models; they differ in the mask token alone."""

CONFIG, WEIGHTS = "config.json", "model.safetensors"
"""The files of a saved model."""


@dataclass(frozen=True)
class ModelConfig:
    """All that defines a model but its parameters.

    Attributes:
        patch: the masks it is made for; they fix the image size and the token's shape.
        mask_token: `"none"` or `"shared"`.
        trash_wires: the qubits that are reset between encoder and decoder; by default the most
            significant one. The others are the latent space.
        layers: sweeps of the ansatz over all pairs of qubits.
        initial_spread: standard deviation of the initial angles, in radians; chosen as docs/settings.md says.

    Raises:
        InputError: trash wires that do not exist or leave no latent qubit, or an unknown kind of token.
    """

    patch: PatchMask = field(default_factory=PatchMask)
    mask_token: MaskToken = "shared"
    trash_wires: tuple[int, ...] = (0,)
    layers: int = 1
    initial_spread: float = 0.5

    def __post_init__(self) -> None:
        if self.mask_token not in get_args(MaskToken):
            raise InputError(f"no mask token {self.mask_token!r}: choose one of {', '.join(get_args(MaskToken))}")
        check_trash_wires(self.trash_wires, self.qubits)

    @property
    def qubits(self) -> int:
        """Number of qubits n = log2(pixels)."""
        return 2 * round(math.log2(self.patch.image_size))

    @property
    def ansatz(self) -> Ansatz:
        """The circuit of the encoder; the decoder is its adjoint."""
        return Ansatz(self.qubits, self.layers)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> ModelConfig:
        """Rebuild a config from `dataclasses.asdict`, as it stands in `config.json`."""
        settings = {
            **values,
            "patch": PatchMask(**values["patch"]),
            "trash_wires": tuple(values["trash_wires"]),
        }
        return cls(**settings)


@dataclass(frozen=True)
class Encoded:
    """The encoder's output V |psi> on trash and latent qubits (Eq. 4).

    Attributes:
        state: amplitudes, Complex [batch, 2^trash, 2^latent].
    """

    state: Complex[Tensor, "batch trash latent"]

    @property
    def trash_population(self) -> Float[Tensor, " batch"]:
        """P(|0>), the probability to find all trash qubits in |0>: 1 if the reset loses nothing (Eq. 5)."""
        kept = self.state[:, 0]
        return (kept.real**2 + kept.imag**2).sum(-1)

    @property
    def trash(self) -> Complex[Tensor, "batch trash trash"]:
        """Density matrix of the trash qubits, the latent ones traced out."""
        return torch.einsum("bkl,bml->bkm", self.state, self.state.conj())

    @property
    def latent(self) -> Complex[Tensor, "batch latent latent"]:
        """Density matrix of the latent qubits, the trash traced out: what the decoder gets beside fresh |0>s."""
        return torch.einsum("bkl,bkm->blm", self.state, self.state.conj())


class MaskedAutoencoder(nn.Module):
    """A quantum autoencoder that sees an image with a hole and returns the whole image.

    masked image -> token into the hole -> amplitude embedding -> V(angles) -> trash reset -> V^dagger

    Simulated exactly, differentiable, and equal to the paper's circuit on 2n + 2 qubits.

    Args:
        config: what the model is.
        generator: draws the initial angles, from a normal distribution around 0. The token starts at 0, so that
            QMAE and QAE of one seed start as the same function.

    Attributes:
        angles: Float [blocks, 15], in radians; 420 for 8 qubits and one layer.
        token: Float [patch height, patch width] in units of pixel values, unconstrained, or None.
    """

    def __init__(self, config: ModelConfig, *, generator: torch.Generator) -> None:
        super().__init__()
        self.config = config
        angles = torch.randn(config.ansatz.angle_shape, generator=generator)
        self.angles = nn.Parameter(config.initial_spread * angles)
        self.token = nn.Parameter(torch.zeros(config.patch.shape)) if config.mask_token == "shared" else None

    @classmethod
    def from_preset(
        cls, name: str, *, patch: PatchMask | None = None, seed: int = 0, **settings: Any
    ) -> MaskedAutoencoder:
        """Build an untrained model.

        Args:
            name: `"qae"` or `"qmae"`.
            patch: the masks it is made for; 25% of 16 x 16 pixels on a grid by default.
            seed: for the initial angles.
            **settings: other fields of `ModelConfig`, which win over the preset's.

        Raises:
            InputError: no such preset or setting.
        """
        if name not in PRESETS:
            raise InputError(f"no preset {name!r}: choose one of {', '.join(PRESETS)}")
        unknown = set(settings) - set(ModelConfig.__dataclass_fields__)
        if unknown:
            raise InputError(f"a model has no setting {', '.join(sorted(unknown))}")
        config = ModelConfig(**{**PRESETS[name], "patch": patch or PatchMask(), **settings})
        return cls(config, generator=torch.Generator().manual_seed(seed))

    @property
    def name(self) -> str:
        """The preset that has this mask token."""
        return next(name for name, preset in PRESETS.items() if preset["mask_token"] == self.config.mask_token)

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
        return Encoded(self._encoder(images).encode(self._states(images, masks)))

    def fidelity(self, images: Float[Tensor, "batch size size"], masks: Masks) -> Float[Tensor, " batch"]:
        """Fidelity <ref| rho |ref> of the decoder's output with the unmasked image (Eq. 8), differentiable.

        Args:
            images: the original images, in [0, 1]; what `masks` hide never reaches the encoder.
            masks: one per image.

        Returns:
            F in [0, 1]. It is 0 where nothing is left to embed: no lit pixel visible and no token.

        Raises:
            InputError: an original is all black or holds NaN, so that there is no state to compare with.
        """
        return self._encoder(images).reset_fidelity(self._states(images, masks), embed_references(images))

    def probabilities(self, images: Float[Tensor, "batch size size"], masks: Masks) -> Float[Tensor, "batch size size"]:
        """Probability of every pixel's basis state in the decoder's output, diag rho (Eq. 6).

        Each image sums to 1, or to 0 where nothing was left to embed.
        """
        encoder = self._encoder(images)
        return encoder.reset_readout(encoder.encode(self._states(images, masks))).view_as(images)

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
        """Load a model that `save_pretrained` or a training run wrote.

        Raises:
            InputError: no such folder, or it holds no model.
        """
        return load_pretrained(folder, lambda config: cls(ModelConfig.from_dict(config), generator=torch.Generator()))

    def _encoder(self, images: Float[Tensor, "batch size size"]) -> Encoder:
        return build_encoder(self.angles, self.config.ansatz, self.config.trash_wires, states=len(images))

    def _states(self, images: Float[Tensor, "batch size size"], masks: Masks) -> Float[Tensor, "batch dim"]:
        return embed(self.fill(images, masks).flatten(1))


def load_pretrained(folder: str | Path, build: Callable[[dict[str, Any]], Module]) -> Module:
    """Load a model from its folder.

    Args:
        folder: of `save_pretrained` or of a training run.
        build: makes the model, its parameters not yet those, of the `"model"` part of `config.json`.

    Raises:
        InputError: no such folder, or it holds no such model.
    """
    folder = Path(folder)
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
