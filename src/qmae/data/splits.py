"""Splits of a data set by a hash of each image, so that images that are added move no other."""

from __future__ import annotations

import hashlib
import math

import numpy as np
from jaxtyping import Int, Num, UInt64

from qmae.data.choices import Split
from qmae.errors import InputError

KEY_GRAYS = 1_024
"""Steps of gray that `image_keys` tells apart: no ratio of two bytes lies at the edge of one."""

CHUNK = 2**22
"""Pixels that are computed with in double precision at a time."""


def image_keys(images: Num[np.ndarray, "images height width"]) -> UInt64[np.ndarray, " images"]:
    """A hash of every image: which it is, whatever else a data set holds and however its pixels are stored.

    Brightness is divided out, as the embedding does, and grays are told apart in `KEY_GRAYS` steps. So an image keeps
    its key when bytes become floats.

    Args:
        images: as they are stored in the file, before resizing.

    Returns:
        BLAKE2b of shape and grays, 64 bits.
    """
    keys = np.empty(len(images), np.uint64)
    step = max(1, CHUNK // math.prod(images.shape[1:]))
    for start in range(0, len(images), step):
        part = images[start : start + step].astype(np.float64)
        brightest = part.max((1, 2), keepdims=True)
        grays = np.rint(part / np.where(brightest > 0, brightest, 1) * KEY_GRAYS).astype("<u2")
        for index, image in enumerate(grays, start):
            digest = hashlib.blake2b(repr(image.shape).encode() + image.tobytes(), digest_size=8).digest()
            keys[index] = int.from_bytes(digest, "little")
    return keys


def split_by_key(keys: UInt64[np.ndarray, " images"], split: Split) -> Int[np.ndarray, " chosen"]:
    """Choose the images of one split by their keys, so that it does not matter what else a file holds.

    The lowest sixth of all possible keys is for testing, the next twelfth for validation. Images that are alike fall
    into the same split, unless there are fewer than three different ones. Each split has one image at least, which
    moves images in tiny sets only.

    Args:
        keys: of all images, from `image_keys`.
        split: which part; `"all"` is every image, in the order of the file.

    Returns:
        Indices of the chosen images, in the order of their keys.

    Raises:
        InputError: fewer than three images.
    """
    if split == "all":
        return np.arange(len(keys))
    if len(keys) < 3:
        raise InputError(f"holds {len(keys)} images: training, validation and testing need 3 at least")
    different = np.unique(keys)
    if len(different) < 3:
        # Copies of one or two images: every split gets some.
        keys = different = np.arange(len(keys), dtype=np.uint64) * np.uint64(2**64 // len(keys))
    below_sixth, below_quarter = (int((different < np.uint64(2**64 // part)).sum()) for part in (6, 4))
    test = min(max(1, below_sixth), len(different) - 2)
    validation = min(max(1, below_quarter - below_sixth), len(different) - test - 1)
    first, end = {
        "test": (0, test),
        "validation": (test, test + validation),
        "train": (test + validation, len(different)),
    }[split]
    order = np.argsort(keys, kind="stable")
    return order[(keys[order] >= different[first]) & (keys[order] <= different[end - 1])]
