"""The interface of all models: images under masks go in, fidelities and probabilities of the outputs come out."""

# Attributes of `Model` may be properties here.
# pyright: reportIncompatibleVariableOverride=false

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, Protocol, TypeVar, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor, nn

from qmae._values import choice, flat
from qmae.data.batches import check_batch, check_visible
from qmae.data.checks import brightest_of, check_lit, check_pixels, check_tensor, has_values
from qmae.data.choices import Readout
from qmae.data.masks import Masks, PatchMask
from qmae.models.choices import Kind
from qmae.simulation.states import embed, read_out

Quantity = Literal["fidelity", "probabilities", "success_probability", "trash_population"]
"""What can be asked of a forward pass; `Outputs` says what each is."""

BATCH_PIXELS = 2**19
"""Pixels of a batch where the caller does not choose its size: 2,048 images of 16 x 16. This bounds memory."""

Built = TypeVar("Built")


@dataclass(frozen=True)
class Outputs:
    """What a model or a baseline makes of masked images.

    Attributes:
        fidelity: of every output with its original (Eq. 8), given that the shot is kept; 0 where nothing is left to
            embed: no lit pixel visible, and nothing put into the hole.
        probabilities: of every pixel's basis state in the output, diag rho (Eq. 6), given that the shot is kept. Each
            image sums to 1, or to 0 where nothing is left to embed.
        success_probability: share of the shots that are kept, 1 where none is discarded.
        trash_population: P(|0>) of the trash qubits (Eq. 5), of quantum models; otherwise None.
    """

    fidelity: Float[Tensor, " batch"]
    probabilities: Float[Tensor, "batch size size"]
    success_probability: Float[Tensor, " batch"]
    trash_population: Float[Tensor, " batch"] | None = None

    def to(self, device: torch.device | str) -> Outputs:
        """The same values on another device."""
        population = None if self.trash_population is None else self.trash_population.to(device)
        return Outputs(
            self.fidelity.to(device), self.probabilities.to(device), self.success_probability.to(device), population
        )


class Model(ABC):
    """Anything that completes masked images.

    The public methods check their arguments. `_measure` does not: loops over a data set that was checked as a whole
    call it, since a single batch may be dark.

    Attributes:
        name: in tables.
        kind: what it is.
        quantities: what `complete` gives.
        parameter_count: how many numbers were fitted.
        angle_count: how many of them are angles of rotations.
        heralded: whether shots are discarded, so that the success probability is below 1.
        made_for: the masks that it was made for; None for any.
    """

    name: str
    kind: Kind
    quantities: tuple[Quantity, ...] = ("fidelity", "probabilities", "success_probability")
    parameter_count: int = 0
    angle_count: int = 0
    heralded: bool = False
    made_for: PatchMask | None = None

    @property
    def settings(self) -> Mapping[str, Any]:
        """All that defines it, except its name and its parameters, by keys such as `patch.ratio`."""
        return {}

    def complete(self, images: Float[Tensor, "batch size size"], masks: Masks) -> Outputs:
        """Complete masked images, in one forward pass and bounded memory, however many images.

        Args:
            images: the original images, in [0, 1]; what `masks` hide is for comparison only.
            masks: one per image.

        Raises:
            InputError: images or masks that do not fit, values that are no pixels or far too dark, or an original that
                is all black, so that there is no state to compare with.
        """
        values = self._measure(self._originals(images, masks), masks, *self.quantities)
        return Outputs(**dict(zip(self.quantities, values, strict=True)))

    def fidelity(self, images: Float[Tensor, "batch size size"], masks: Masks) -> Float[Tensor, " batch"]:
        """`Outputs.fidelity` alone. Arguments and errors are those of `complete`."""
        return self._measure(self._originals(images, masks), masks, "fidelity")[0]

    def probabilities(self, images: Float[Tensor, "batch size size"], masks: Masks) -> Float[Tensor, "batch size size"]:
        """`Outputs.probabilities` alone.

        Args:
            images: masked or original images, in [0, 1]; what `masks` hide is not used.
            masks: one per image.

        Raises:
            InputError: images or masks that do not fit, or visible values that are no pixels or far too dark.
        """
        return self._measure(self._visible(images, masks), masks, "probabilities")[0]

    def success_probability(self, images: Float[Tensor, "batch size size"], masks: Masks) -> Float[Tensor, " batch"]:
        """`Outputs.success_probability` alone. Arguments and errors are those of `probabilities`."""
        return self._measure(self._visible(images, masks), masks, "success_probability")[0]

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

        Raises:
            InputError: as `probabilities`, or an unknown readout.
        """
        choice(readout, "readout", Readout)
        return read_out(self.probabilities(images, masks), readout)

    @abstractmethod
    def fitted(self, images: Float[Tensor, "batch size size"], masks: Masks) -> Float[Tensor, "batch size size"]:
        """The images in the precision in which the model computes.

        Raises:
            InputError: images and masks that do not fit each other or the model.
        """

    @abstractmethod
    def _measure(
        self, images: Float[Tensor, "batch size size"], masks: Masks, *wanted: Quantity
    ) -> list[Float[Tensor, "batch ..."]]:
        """What is wanted of one forward pass, in this order.

        Args:
            images: from `fitted`, checked as far as the caller wants.
            masks: one per image.
            *wanted: of `quantities`.
        """

    def _originals(self, images: Float[Tensor, "batch size size"], masks: Masks) -> Float[Tensor, "batch size size"]:
        images = self.fitted(images, masks)
        check_pixels(images, at_least=brightest_of(images.shape[-1]))
        return images

    def _visible(self, images: Float[Tensor, "batch size size"], masks: Masks) -> Float[Tensor, "batch size size"]:
        images = self.fitted(images, masks)
        check_visible(images, masks, at_least=brightest_of(images.shape[-1]))
        return images


@runtime_checkable
class Config(Protocol):
    """All that defines a model, except its parameters."""

    @property
    def patch(self) -> PatchMask:
        """The masks that it is made for."""
        ...

    @property
    def parameter_shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of every parameter by its name, as it stands in a file of weights."""
        ...

    @property
    def stored_shapes(self) -> tuple[dict[str, tuple[int, ...]], ...]:
        """`parameter_shapes`, and those that files of older versions have."""
        ...


class TrainableModel(Model, nn.Module):
    """A model whose parameters `qmae.train` finds.

    Attributes:
        config: all that defines it, except its parameters.
    """

    config: Any

    @property
    def parameter_count(self) -> int:
        """Number of parameters (Eq. 7)."""
        return sum(parameter.numel() for parameter in self.parameters())

    @property
    def settings(self) -> Mapping[str, Any]:
        """Its config."""
        return flat(asdict(self.config))

    @property
    def made_for(self) -> PatchMask:
        """The masks of its config."""
        return self.config.patch

    def fitted(self, images: Float[Tensor, "batch size size"], masks: Masks) -> Float[Tensor, "batch size size"]:
        """The images in the precision of the parameters; see `Model.fitted`."""
        return check_batch(images, masks, size=self.config.patch.image_size, like=next(self.parameters()))

    @abstractmethod
    def usable(self, images: Float[Tensor, "batch size size"], masks: Masks) -> Bool[Tensor, " batch"]:
        """Which images can be trained on: those that leave something to embed."""

    def forward(self, images: Float[Tensor, "batch size size"], masks: Masks) -> Float[Tensor, " batch"]:
        """The loss of every image, 1 - F (Eq. 9)."""
        return 1 - self.fidelity(images, masks)


def over_positions(
    images: Float[Tensor, "batch size size"],
    masks: Masks,
    *,
    separate: bool,
    build: Callable[[Int[Tensor, "*patches"], int], Built],
    run: Callable[[Built, Float[Tensor, "part size size"], Masks], Sequence[Shaped[Tensor, "part ..."]]],
) -> list[Shaped[Tensor, "batch ..."]]:
    """Group images by the position of their mask; build a circuit once for each group, and run the group through it.

    A group is run in parts of bounded memory.

    Args:
        images: the images.
        masks: one per image.
        separate: whether the circuit depends on the position; otherwise it is built once for all images.
        build: makes it, for a position and the number of images there.
        run: gives its results for a part of the group, images and masks.

    Returns:
        The results in the order of the images.
    """
    if not separate:
        built = build(masks.position[0], len(images))
        return _joined([run(built, *part) for part in in_batches(images, masks)])
    if has_values(masks.position):
        kinds, kind = masks.position.unique(dim=0, return_inverse=True)
        groups = [(kind == index).nonzero()[:, 0] for index in range(len(kinds))]
    else:
        # Mapped by `torch.func.vmap`: which images have one position is not known, so each is run by itself.
        kinds, groups = masks.position, [*torch.arange(len(images), device=images.device).split(1)]
    found = []
    for position, rows in zip(kinds, groups, strict=True):
        built = build(position, len(rows))
        found += [run(built, *part) for part in in_batches(images[rows], masks[rows])]
    order = torch.cat(groups).argsort()
    return [values[order] for values in _joined(found)]


def in_batches(
    images: Float[Tensor, "images size size"], masks: Masks
) -> Iterator[tuple[Float[Tensor, "batch size size"], Masks]]:
    """Split images and their masks, one per image, into parts of at most `BATCH_PIXELS`, but of one image at least."""
    count = max(1, BATCH_PIXELS // images[0].numel())
    if len(images) <= count:
        yield images, masks
        return
    for start in range(0, len(images), count):
        part = slice(start, start + count)
        yield images[part], masks[part]


def _joined(parts: Sequence[Sequence[Tensor]]) -> list[Tensor]:
    """The results of all parts, one after the other."""
    if len(parts) == 1:
        return list(parts[0])
    return [torch.cat(values) for values in zip(*parts, strict=True)]


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
    """As `embed_references`, for a part of a data set that was checked as a whole: all images of the part may be dark.

    Raises:
        InputError: an image is all black; it is named by its index.
    """
    check_lit(images)
    return embed(images.flatten(1))
