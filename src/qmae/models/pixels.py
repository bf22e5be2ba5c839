"""Models that work on pixels: what baselines and classical networks have in common."""

# `made_of` may be None in a `PixelModel`, but not in a baseline that is made of images.
# pyright: reportIncompatibleVariableOverride=false

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable

from jaxtyping import Float
from torch import Tensor

from qmae._values import check_size
from qmae.data.batches import check_batch, check_visible, hide
from qmae.data.checks import PRECISIONS, brightest_of, check_pixels, check_tensor
from qmae.data.masks import Masks
from qmae.errors import InputError
from qmae.models.base import Model, Quantity, embed_originals, over_positions
from qmae.simulation.states import embed


class PixelModel(Model):
    """A model whose outputs are images of unit norm. They are compared and read out as quantum states are."""

    kind = "baseline"
    size: int | None = None
    """Pixels a side of the images that it is for; None for any."""
    made_of: Float[Tensor, "images size size"] | None = None
    """The images that it is made of; None for what needs none."""

    def fitted(self, images: Float[Tensor, "batch size size"], masks: Masks) -> Float[Tensor, "batch size size"]:
        """The images in single precision or better; see `Model.fitted`."""
        return check_batch(images, masks, size=self.size)

    @abstractmethod
    def states(self, images: Float[Tensor, "batch size size"], masks: Masks) -> Float[Tensor, "batch dim"]:
        """Return one amplitude-embedded image per image."""

    def _measure(
        self, images: Float[Tensor, "batch size size"], masks: Masks, *wanted: Quantity
    ) -> list[Float[Tensor, "batch ..."]]:
        def run(_: None, images: Float[Tensor, "part size size"], masks: Masks) -> list[Float[Tensor, "part ..."]]:
            states = self.states(images, masks)
            found: dict[Quantity, Callable[[], Tensor]] = {
                "fidelity": lambda: (states * embed_originals(images)).sum(1) ** 2,
                "probabilities": lambda: states.square().view_as(images),
                "success_probability": lambda: states.new_ones(len(states)),
            }
            return [found[name]() for name in wanted]

        return over_positions(images, masks, separate=False, build=lambda position, images: None, run=run)


class Original(PixelModel):
    """The unmasked image itself: the ceiling of every metric, which is below 1 where a readout distorts."""

    name = "original"
    kind = "original"

    def states(self, images: Float[Tensor, "batch size size"], masks: Masks) -> Float[Tensor, "batch dim"]:
        """Return the originals."""
        images = self.fitted(images, masks)
        check_pixels(images)
        return embed_originals(images)

    def _visible(self, images: Float[Tensor, "batch size size"], masks: Masks) -> Float[Tensor, "batch size size"]:
        # It sees the hidden pixels, so they are checked, too.
        images = super()._visible(images, masks)
        check_pixels(images)
        return images


class Baseline(PixelModel):
    """A classical way to fill the hole. What a mask hides never reaches it."""

    @abstractmethod
    def fill(self, visible: Float[Tensor, "batch size size"], masks: Masks) -> Float[Tensor, "batch size size"]:
        """Return whole images, given images in which the hidden pixels are 0."""

    def states(self, images: Float[Tensor, "batch size size"], masks: Masks) -> Float[Tensor, "batch dim"]:
        """Return the filled images, embedded."""
        return embed(self.fill(self.visible(images, masks), masks).flatten(1))

    def visible(self, images: Float[Tensor, "batch size size"], masks: Masks) -> Float[Tensor, "batch size size"]:
        """All that it may see of images: the hidden pixels set to 0.

        Raises:
            InputError: images or masks that do not fit, or visible values that are no pixels.
        """
        images = self.fitted(images, masks)
        check_visible(images, masks)
        return hide(images, masks)


def training_images(images: Float[Tensor, "images size size"]) -> Float[Tensor, "images size size"]:
    """Images that a baseline can be made of, without their graph of gradients.

    Raises:
        InputError: there are none, they are not square of a size that masks have, or no pixels or far too dark.
    """
    check_tensor(images, what="training images")
    height, width = images.shape[1:]
    if height != width:
        raise InputError(f"training images have {height} x {width} pixels: give square ones")
    check_size(width)
    images = images.detach() if images.dtype in PRECISIONS else images.detach().float()
    check_pixels(images, at_least=brightest_of(width), what="training images")
    return images
