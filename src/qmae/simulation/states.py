"""Pixels in, pixels out: amplitude embedding and readout."""

from __future__ import annotations

from typing import get_args

import torch
from jaxtyping import Float, Inexact
from torch import Tensor

from qmae.data.choices import Readout
from qmae.errors import InputError


def embed(pixels: Float[Tensor, "*batch pixels"]) -> Float[Tensor, "*batch pixels"]:
    """Amplitude embedding (Eq. 2): divide by the Euclidean norm, however small it is.

    An all-zero row has no direction: it stays zero, and so is its gradient.
    """
    # Divided by the largest pixel first, so that squares cannot underflow. The result does not depend on this factor,
    # which therefore counts as a constant.
    largest = pixels.detach().abs().amax(-1, keepdim=True)
    black = largest == 0
    scaled = (pixels / largest.masked_fill(black, 1)).masked_fill(black, 0)
    return scaled / scaled.square().sum(-1, keepdim=True).masked_fill(black, 1).sqrt()


def normalized(vectors: Inexact[Tensor, "*batch dim"]) -> Inexact[Tensor, "*batch dim"]:
    """As `embed`, of vectors that may be complex."""
    if not vectors.is_complex():
        return embed(vectors)
    return torch.view_as_complex(embed(torch.view_as_real(vectors).flatten(-2)).unflatten(-1, (-1, 2)))


def read_out(probabilities: Float[Tensor, "*shape"], readout: Readout) -> Float[Tensor, "*shape"]:
    """Turn the probabilities of the basis states into pixel values (the paper leaves open which it uses).

    A square root has no slope at 0: there the gradient is 0.

    Raises:
        InputError: `readout` is neither `"probability"` nor `"amplitude"`.
    """
    if readout not in get_args(Readout):
        raise InputError(f"no readout {readout!r}: choose one of {', '.join(get_args(Readout))}")
    if readout == "probability":
        return probabilities
    zero = probabilities == 0
    return probabilities.masked_fill(zero, 1).sqrt().masked_fill(zero, 0)


def probabilities_of(amplitudes: Inexact[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Squared absolute values."""
    return torch.view_as_real(amplitudes).square().sum(-1) if amplitudes.is_complex() else amplitudes.square()
