"""What can be measured: a quantum model, a design with free matrices, a network or a baseline, all asked alike."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from jaxtyping import Float
from torch import Tensor

from qmae._values import choice
from qmae.data.batches import check_visible
from qmae.data.checks import brightest_of, check_pixels
from qmae.data.choices import Readout
from qmae.data.masks import Masks
from qmae.simulation import read_out


class Model(ABC):
    """Images under masks go in, and what is said of its outputs comes out.

    The public methods check what they are given and call those with an underscore, which fit images and masks together
    but trust in the values of the pixels. Loops over a data set that was checked as a whole call these: a single batch
    of it may well be dark.
    """

    def fidelity(self, images: Float[Tensor, "batch size size"], masks: Masks) -> Float[Tensor, " batch"]:
        """Fidelity of every output with its original (Eq. 8), given that the shot is kept.

        Args:
            images: the original images, in [0, 1]; what `masks` hide is for comparison only.
            masks: one per image.

        Returns:
            F in [0, 1]. It is 0 where nothing is left to embed: no lit pixel visible, and nothing put into the hole.

        Raises:
            InputError: images or masks that do not fit, values that are no pixels or far too dark, or an original that
                is all black, so that there is no state to compare with.
        """
        images = self.fitted(images, masks)
        check_pixels(images, at_least=brightest_of(images.shape[-1]))
        return self._fidelity(images, masks)

    def probabilities(self, images: Float[Tensor, "batch size size"], masks: Masks) -> Float[Tensor, "batch size size"]:
        """Probability of every pixel's basis state in the output, diag rho (Eq. 6), given that the shot is kept.

        Args:
            images: masked or original images, in [0, 1]; what `masks` hide is not used.
            masks: one per image.

        Returns:
            Each image sums to 1, or to 0 where nothing was left to embed.

        Raises:
            InputError: images or masks that do not fit, or visible values that are no pixels or far too dark.
        """
        return self._probabilities(self._visible(images, masks), masks)

    def success_probability(self, images: Float[Tensor, "batch size size"], masks: Masks) -> Float[Tensor, " batch"]:
        """Share of the shots that are kept, 1 where none is discarded.

        Raises:
            InputError: as `probabilities`.
        """
        return self._success_probability(self._visible(images, masks), masks)

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
        """The images in the precision in which they are computed with.

        Raises:
            InputError: images and masks that do not fit each other or the model.
        """

    def _visible(self, images: Float[Tensor, "batch size size"], masks: Masks) -> Float[Tensor, "batch size size"]:
        images = self.fitted(images, masks)
        check_visible(images, masks, at_least=brightest_of(images.shape[-1]))
        return images

    @abstractmethod
    def _fidelity(self, images: Float[Tensor, "batch size size"], masks: Masks) -> Float[Tensor, " batch"]: ...

    @abstractmethod
    def _probabilities(
        self, images: Float[Tensor, "batch size size"], masks: Masks
    ) -> Float[Tensor, "batch size size"]: ...

    def _success_probability(self, images: Float[Tensor, "batch size size"], masks: Masks) -> Float[Tensor, " batch"]:
        return torch.ones(len(images), dtype=images.dtype, device=images.device)
