"""Pixels in, pixels out: amplitude embedding and readout."""

from __future__ import annotations

from typing import get_args

import torch
from jaxtyping import Float, Inexact
from torch import Tensor
from torch.nn.functional import normalize

from qmae.errors import InputError
from qmae.settings import Readout


def embed(pixels: Float[Tensor, "*batch pixels"]) -> Float[Tensor, "*batch pixels"]:
    """Amplitude embedding (Eq. 2): divide by the Euclidean norm. An all-zero row has no direction and stays zero."""
    return normalize(pixels, dim=-1)


def read_out(probabilities: Float[Tensor, "*shape"], readout: Readout) -> Float[Tensor, "*shape"]:
    """Turn the probabilities of the basis states into pixel values (the paper leaves open which it uses).

    Raises:
        InputError: `readout` is neither `"probability"` nor `"amplitude"`.
    """
    if readout not in get_args(Readout):
        raise InputError(f"no readout {readout!r}: choose one of {', '.join(get_args(Readout))}")
    return probabilities.sqrt() if readout == "amplitude" else probabilities


def probabilities_of(amplitudes: Inexact[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Squared absolute values."""
    return torch.view_as_real(amplitudes).square().sum(-1) if amplitudes.is_complex() else amplitudes.square()
