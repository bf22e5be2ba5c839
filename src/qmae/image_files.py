"""Reading files of other people: data sets (`.npz`) and pictures, as they are stored."""

from __future__ import annotations

import zlib
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from jaxtyping import Int, Num

from qmae.errors import InputError


def read_npz(path: Path) -> tuple[Num[np.ndarray, "images height width"], Int[np.ndarray, " images"]]:
    """Read `images` and, if present, `labels` from a NumPy `.npz` file, the pixels as they are stored.

    Returns:
        The images and their labels, -1 where unknown.

    Raises:
        InputError: no such file, no `images` [N, H, W] in it, or values that are no numbers.
    """
    if not path.is_file():
        raise InputError(f"no data file {path}: give `mnist` or the path of an .npz file")
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            found = {name: arrays[name] for name in ("images", "labels") if name in arrays}
    except (ValueError, TypeError, OSError, EOFError, zlib.error, BadZipFile) as error:
        raise InputError(f"{path} cannot be read as an .npz file: make one by numpy.savez(path, images=...)") from error
    if "images" not in found or found["images"].ndim != 3 or not found["images"].size:
        raise InputError(f"{path} needs an array `images` of shape [N, H, W] with one pixel at least")
    if not all(array.dtype.kind in "buif" for array in found.values()):
        raise InputError(f"{path} holds no numbers: `images` must be uint8 or float, `labels` int")
    images = found["images"]
    labels = found.get("labels", np.full(len(images), -1)).astype(np.int64)
    if labels.shape != (len(images),):
        raise InputError(f"{path}: `labels` has shape {tuple(labels.shape)}, `images` holds {len(images)} images")
    return images, labels
