"""The quantum (masked) autoencoder: one model, of which the paper's QAE and QMAE are two presets."""

# Attributes of `Model` may be properties here.
# pyright: reportIncompatibleVariableOverride=false

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool, Float, Inexact, Int
from torch import Tensor, nn

from qmae._values import SEEDS, shown, whole
from qmae.ansatz.ansatz import Ansatz
from qmae.data.batches import check_visible
from qmae.data.masks import Masks, PatchMask
from qmae.errors import InputError
from qmae.models.base import Model, Quantity, embed_originals, over_positions
from qmae.models.bottlenecks import BOTTLENECKS
from qmae.models.config import ModelConfig
from qmae.models.presets import PRESETS
from qmae.models.pretrained import load_pretrained, save_pretrained
from qmae.models.variational import CircuitModel, VariationalCircuit
from qmae.simulation.blocks import collect
from qmae.simulation.channel import Autoencoder
from qmae.simulation.precision import as_precise_as, check_parameters, exact, normal
from qmae.simulation.states import embed, probabilities_of


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


class MaskedAutoencoder(CircuitModel):
    """A quantum autoencoder that sees an image with a hole and returns the whole image.

    masked image -> token into the hole -> amplitude embedding -> encoder -> bottleneck -> decoder

    Simulated exactly, differentiable, and with the default settings equal to the paper's circuit on 2n + 2 qubits.

    Args:
        config: what the model is.
        generator: draws the initial angles, from a normal distribution. The token starts at 0, so that QMAE and QAE
            of one seed start as the same function.

    Attributes:
        encoder: `VariationalCircuit`, the circuit V and its angles.
        decoder: `VariationalCircuit` whose adjoint decodes, if that is a circuit of its own; otherwise None.
        token: Float [patch height, patch width] in units of pixel values, unconstrained; with a token per position
            Float [size, size], the patch of every position lying there; or None.
    """

    kind = "quantum"
    quantities = *Model.quantities, "trash_population"

    def __init__(self, config: ModelConfig, *, generator: torch.Generator) -> None:
        super().__init__()
        if not isinstance(config, ModelConfig):
            raise InputError(
                f"config {shown(config)} is no ModelConfig: give one, or use MaskedAutoencoder.from_preset"
            )
        self.config = config
        initial = config.split(config.initial_spread * normal(*config.joint_shape, generator=generator))
        circuits = [
            VariationalCircuit(ansatz, config.patch, config.conditioning, _centre(config, ansatz) + angles)
            for ansatz, angles in zip(config.ansatzes, initial, strict=True)
        ]
        self.encoder, self.decoder = circuits if len(circuits) > 1 else (*circuits, None)
        shapes = config.parameter_shapes
        self.token = nn.Parameter(torch.zeros(shapes["token"])) if "token" in shapes else None
        self.register_load_state_dict_pre_hook(_rename)

    @classmethod
    def from_preset(
        cls, name: str, *, patch: PatchMask | None = None, seed: int = 0, **settings: Any
    ) -> MaskedAutoencoder:
        """Build an untrained model.

        Args:
            name: of `PRESETS`, a quantum model: `"qmae"`, `"qae"`, `"qmae-plus"`, ...
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
        for name in (name for name in PRESETS if PRESETS[name].kind == self.kind):
            default = {**asdict(ModelConfig()), **PRESETS[name].model}
            if all(default[setting] == value for setting, value in settings.items()):
                fitting[name] = abs(default["layers"] - self.config.layers)
        return min(fitting, key=fitting.__getitem__, default="custom")

    @property
    def circuits(self) -> tuple[VariationalCircuit, ...]:
        """The circuits that have angles of their own: the encoder and, if there is one, the decoder."""
        return (self.encoder,) if self.decoder is None else (self.encoder, self.decoder)

    @property
    def heralded(self) -> bool:
        """Whether shots are discarded."""
        return BOTTLENECKS[self.config.bottleneck].heralded

    def fill(self, images: Float[Tensor, "batch size size"], masks: Masks) -> Float[Tensor, "batch size size"]:
        """Replace the hidden pixels by the token, or by 0 without one (Section 3.3).

        In a hole of another shape than the token's, the token is repeated or cut as `PatchMask.token_index` says.

        Raises:
            InputError: images or masks that do not fit, or visible values that are no pixels.
        """
        images = self.fitted(images, masks)
        check_visible(images, masks)
        return self._fill(images, masks)

    def usable(self, images: Float[Tensor, "batch size size"], masks: Masks) -> Bool[Tensor, " batch"]:
        """Which images leave something to embed: a lit pixel outside the hole, or a token in it."""
        return self.fill(images, masks).flatten(1).any(1)

    def encode(self, images: Float[Tensor, "batch size size"], masks: Masks) -> Encoded:
        """Run the encoder on the masked images (Eq. 4).

        Raises:
            InputError: as `probabilities`.
        """

        def run(circuit: Autoencoder, images: Float[Tensor, "part size size"], masks: Masks) -> list[Tensor]:
            return [circuit.encoder.encode(self._states(images, masks))]

        return Encoded(self._run(self._visible(images, masks), masks, run)[0])

    def _measure(
        self, images: Float[Tensor, "batch size size"], masks: Masks, *wanted: Quantity
    ) -> list[Float[Tensor, "batch ..."]]:
        def run(circuit: Autoencoder, images: Float[Tensor, "part size size"], masks: Masks) -> list[Tensor]:
            passage = circuit.run(self._states(images, masks))
            found: dict[Quantity, Callable[[], Tensor]] = {
                "fidelity": lambda: passage.fidelity(embed_originals(images)),
                "probabilities": lambda: passage.probabilities.view_as(images),
                "success_probability": lambda: passage.success_probability,
                "trash_population": lambda: passage.trash_population,
            }
            return [found[name]() for name in wanted]

        return self._run(images, masks, run)

    def _run(
        self,
        images: Float[Tensor, "batch size size"],
        masks: Masks,
        run: Callable[[Autoencoder, Float[Tensor, "part size size"], Masks], list[Tensor]],
    ) -> list[Inexact[Tensor, "batch ..."]]:
        """Run every image through the circuit of its mask; each circuit is built once.

        Computes in the precision of the parameters or, under autocast, in double. The results are in the precision of
        the parameters.
        """
        check_parameters(self)
        separate = self.config.conditioning != "none"
        if separate and masks.patch != self.config.patch:
            raise InputError("the angles depend on the position of the mask: measure it under masks of its own kind")

        def build(position: Int[Tensor, "*patches"], states: int) -> Autoencoder:
            return self.autoencoder(position, states=states)

        found = over_positions(images, masks, separate=separate, build=build, run=run)
        return [as_precise_as(values, self.encoder.angles) for values in found]

    def _states(self, images: Float[Tensor, "batch size size"], masks: Masks) -> Float[Tensor, "batch dim"]:
        """The states that enter the encoder."""
        return embed(self._fill(images, masks).to(exact(self.encoder.angles).dtype).flatten(1))

    def _fill(self, images: Float[Tensor, "batch size size"], masks: Masks) -> Float[Tensor, "batch size size"]:
        """As `fill`, for images that are fitted and checked."""
        if self.token is None:
            return images.masked_fill(masks.hidden, 0)
        if self.config.mask_token == "per_position":
            return torch.where(masks.hidden, self.token, images)
        index = masks.patch.token_index(self.config.patch.shape).to(self.token.device)
        patches = self.token.flatten()[index]
        # Several patches lie on a grid, where the tiling is the same for all positions: the first will do.
        first = masks.position if masks.position.ndim == 1 else masks.position[:, 0]
        return torch.where(masks.hidden, patches.index_select(0, first), images)

    def save_pretrained(self, folder: str | Path) -> None:
        """Write `config.json` and `model.safetensors` into a folder, which is made if it is not there.

        Raises:
            InputError: a parameter is not finite, or the folder cannot be written.
        """
        save_pretrained(self, Path(folder))

    @classmethod
    def from_pretrained(cls, folder: str | Path) -> MaskedAutoencoder:
        """Load a model that `save_pretrained` or a training run wrote, or one that the package brings.

        Args:
            folder: where it lies, or a name in `SHIPPED`, such as `"qmae-plus-25"`; a folder of this name comes first.

        Raises:
            InputError: no such folder, or it holds no model.
        """
        return load_pretrained(
            folder,
            lambda content: ModelConfig.from_dict(content["model"]),
            lambda config: cls(config, generator=torch.Generator()),
        )

    def autoencoder(self, position: Int[Tensor, "*patches"] | int, *, states: int) -> Autoencoder:
        """Build the simulation of the circuit for a position of the mask, the fastest for so many states.

        Raises:
            InputError: the angles depend on the position, and there is no such position.
        """
        config = self.config
        encoder = self.encoder.build(position, config.trash_wires, states=states, ancillas=config.ancillas)
        if self.decoder is not None:
            decoder = self.decoder.build(position, config.image_trash, states=states)
        else:
            decoder = encoder if config.decoder == "adjoint" else None
        return Autoencoder(encoder, decoder, BOTTLENECKS[config.bottleneck])


def _centre(config: ModelConfig, ansatz: Ansatz) -> Float[Tensor, "*angles"]:
    """Around which angles of a circuit the initial ones are drawn."""
    identity = ansatz.block.identity if config.initial_angles == "identity" else None
    return collect(torch.tensor(identity or [0.0] * ansatz.block.angles).expand(ansatz.block_shape), ansatz)


def _rename(model: MaskedAutoencoder, weights: dict[str, Tensor], prefix: str, *_: Any) -> None:
    """Rename the weights of older versions, which kept the decoder's angles behind the encoder's in one tensor."""
    for name in ("angles", "offsets"):
        if prefix + name in weights:
            parts = model.config.split(weights.pop(prefix + name))
            for circuit, part in zip(("encoder", "decoder"), parts, strict=False):
                weights[f"{prefix}{circuit}.{name}"] = part
