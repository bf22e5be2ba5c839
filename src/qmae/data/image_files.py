"""Reading other people's files, data sets (`.npz`) and pictures: nothing is decoded before its size is known."""

from __future__ import annotations

import math
import os
import stat
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Int, Num

from qmae.errors import InputError

if TYPE_CHECKING:
    from PIL.Image import Image

PICTURE_PIXELS = 89_478_485
"""What a picture may hold at the most: 256 MiB in colors, the bound from which on Pillow suspects an attack."""

PICTURE_FORMATS = ("PNG", "JPEG", "TIFF", "GIF", "BMP", "WEBP", "PPM", "JPEG2000", "TGA", "ICO", "PCX")
"""Pillow's names of the formats that are read. Others are no rasters, or need programs of their own."""

SMALL_ARRAY = 2**28
"""Bytes, 256 MiB, that an array may hold however well it is compressed."""

COMPRESSION = 50
"""How many times larger than its file a large array may be: pictures shrink 20-fold, a file made to fill the memory
some 1,000-fold."""

CLASSES = 2**15
"""Labels lie below this: a classifier has an output for each, and the largest set of ImageNet has 21,841 classes."""

INK_LEVELS = 25
"""If the visible pixels of a transparent picture differ by less than a tenth of 256 grays, they are of one ink."""


def read_npz(path: Path) -> tuple[Num[np.ndarray, "images height width"], Int[np.ndarray, " images"]]:
    """Read `images` and, if present, `labels` from a NumPy `.npz` file, the pixels as they are stored.

    Args:
        path: of the file. `images` has the shape [N, H, W], or with one channel [N, 1, H, W] or [N, H, W, 1];
            `labels` [N] are whole numbers from 0, or -1 where unknown.

    Returns:
        The images and their labels, -1 where unknown.

    Raises:
        InputError: no such file, none that can be read, or arrays of another form.
    """
    with _open(path, "data file", "give `mnist` or the path of an .npz file") as file:
        if file.read(6) == b"\x93NUMPY":
            raise InputError(f"{path} cannot be read as an .npz file: it is an .npy file; {_HOW}")
        file.seek(0)
        size = os.fstat(file.fileno()).st_size
        try:
            with warnings.catch_warnings(action="ignore"), zipfile.ZipFile(file) as archive:
                found = {
                    name: _read_array(archive, f"{name}.npy", size)
                    for name in ("images", "labels")
                    if f"{name}.npy" in archive.namelist()
                }
        except Exception as error:  # zipfile and NumPy raise errors of many kinds on files that are damaged
            what = "it does not fit into the memory" if isinstance(error, MemoryError) else str(error)
            raise InputError(f"{path} cannot be read as an .npz file ({what}): {_HOW}") from error
    if "images" not in found:
        raise InputError(f"{path} needs an array `images` of shape [N, H, W] with one pixel at least: {_HOW}")
    return check_arrays(found["images"], found.get("labels"), path)


def check_arrays(
    images: np.ndarray, labels: np.ndarray | None, name: str | Path
) -> tuple[Num[np.ndarray, "images height width"], Int[np.ndarray, " images"]]:
    """Return images as [N, H, W] and whole labels, -1 where unknown.

    Args:
        images: numbers, [N, H, W], or with one channel [N, 1, H, W] or [N, H, W, 1].
        labels: numbers [N]; None where none is known.
        name: of the data set in messages.

    Raises:
        InputError: arrays of another form, or labels that are none.
    """
    images = _check_form(images, name)
    return images, np.full(len(images), -1) if labels is None else _check_labels(labels, len(images), name)


def read_picture(path: Path) -> Float[np.ndarray, "height width"]:
    """Read a picture as grays, light where there is ink, upright as its EXIF orientation says.

    Colors become luma (ITU-R 601). Transparent pixels are black ground. Where what is visible is of one ink, black or
    any color, it is light: then the opacity is the picture. Grays keep 16 or 32 bits, if they have them.

    Args:
        path: a file in one of `PICTURE_FORMATS`.

    Returns:
        Grays from 0 on; how much white is, the file does not always say.

    Raises:
        InputError: no such file, no picture that can be read, one of several frames, or values that are no grays.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    with _open(path, "image file", "check its name") as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            with Image.open(file, formats=PICTURE_FORMATS) as image:
                pixels = image.width * image.height
                if pixels > PICTURE_PIXELS:
                    raise InputError(f"{path} has {pixels:,} pixels, more than {PICTURE_PIXELS:,}: make it smaller")
                frames = getattr(image, "n_frames", 1)
                # A photo of several frames (MPO) has its previews beside it.
                if frames > 1 and image.format != "MPO":
                    raise InputError(f"{path} has {frames} frames: save the one that is meant on its own")
                _check_deep(image, path)
                image.load()
                grays = _grays(ImageOps.exif_transpose(image))
        except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
            raise InputError(f"{path} is too large ({error}): make it smaller") from error
        except UnidentifiedImageError as error:
            raise InputError(f"{path} is no image that can be read: save it as PNG or JPEG") from error
        except InputError:
            raise
        except Exception as error:  # Pillow's readers raise errors of any kind on files that are damaged
            raise InputError(
                f"{path} is no image that can be read ({error or type(error).__name__}): save it anew as PNG or JPEG"
            ) from error
    if not (np.isfinite(grays).all() and grays.min() >= 0):
        raise InputError(f"{path} holds values that are no grays, NaN or negative: save it with 8 or 16 bits a pixel")
    return grays


_HOW = "make one by numpy.savez(path, images=..., labels=...)"


@contextmanager
def _open(path: Path, what: str, mend: str) -> Iterator[IO[bytes]]:
    """Open a regular file; a pipe or a device, which may have no end, is not read."""
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):
            kind = "a folder" if stat.S_ISDIR(status.st_mode) else "no regular file"
            raise InputError(f"{what} {path} is {kind}: {mend}")
        file = path.open("rb")
    except (FileNotFoundError, NotADirectoryError) as error:
        raise InputError(f"no {what} {path}: {mend}") from error
    except OSError as error:
        raise InputError(f"{what} {path} cannot be read ({error.strerror}): {mend}") from error
    except ValueError as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"no {what} {str(path)!r} ({error}): {mend}") from error
    with file:
        yield file


def _read_array(archive: zipfile.ZipFile, name: str, archive_size: int) -> np.ndarray:
    """Read one array; the sizes that archive and header state are held against each other before any is believed.

    Raises:
        Exception: of any kind, if it cannot be read.
    """
    member = archive.getinfo(name)
    if member.flag_bits & 1:
        raise ValueError(f"{name} is encrypted")
    if member.file_size > max(SMALL_ARRAY, COMPRESSION * archive_size):
        raise ValueError(
            f"{name} would take {member.file_size:,} bytes, over {COMPRESSION} times those of the file; "
            "save it without compression"
        )
    with archive.open(member) as file:
        version = np.lib.format.read_magic(file)
        if version not in ((1, 0), (2, 0)):
            raise ValueError(f"{name} has fields, or is of an unknown version")
        read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read_header(file)
        if dtype.hasobject or dtype.kind not in "buif":
            raise ValueError(f"{name} holds no numbers but {dtype}: `images` must be uint8 or float, `labels` int")
        stated = math.prod(shape) * dtype.itemsize
        if min(shape, default=0) < 0 or stated != member.file_size - file.tell():
            raise ValueError(f"{name} states {stated:,} bytes and holds {member.file_size - file.tell():,}")
    with archive.open(member) as file:
        array = np.lib.format.read_array(file, allow_pickle=False)
        file.read(1)  # at the end the checksum is compared
    return array


def _check_form(images: np.ndarray, path: str | Path) -> Num[np.ndarray, "images height width"]:
    shape = images.shape
    if images.ndim == 4 and 1 in (shape[1], shape[3]):
        images = images.squeeze(1 if shape[1] == 1 else 3)
    if images.ndim == 3 and images.size:
        # Torch knows no long doubles, and bits are whole numbers, too.
        plain = {np.dtype(bool): np.uint8, np.dtype(np.longdouble): np.float64}
        with np.errstate(over="ignore"):  # what overflows is refused as infinite
            return images.astype(plain.get(images.dtype.newbyteorder("="), images.dtype), copy=False)
    mend = {2: "give images[None] for one image", 4: "make colors gray, as by images.mean(-1)"}.get(images.ndim, _HOW)
    raise InputError(
        f"{path} needs an array `images` of shape [N, H, W] with one pixel at least, not {list(shape)}: {mend}"
    )


def _check_labels(labels: np.ndarray, count: int, path: str | Path) -> Int[np.ndarray, " images"]:
    if labels.shape != (count,):
        raise InputError(f"{path}: `labels` has shape {labels.shape}, `images` holds {count} images: give one for each")
    # NaN fails every comparison, so the good labels are asked for rather than the bad ones.
    good = (labels >= -1) & (labels < CLASSES) & (labels == np.floor(labels.astype(np.float64)))
    if not good.all():
        index = int(np.flatnonzero(~good)[0])
        raise InputError(
            f"{path}: label {index} is {labels[index]}: labels must be whole numbers from 0 to {CLASSES - 1:,}, "
            "or -1 where unknown"
        )
    return labels.astype(np.int64)


def _check_deep(image: Image, path: Path) -> None:
    """Refuse grays of more than 8 bits that are not what they seem: 0 is white, or one of them means transparent."""
    if not image.mode.startswith(("I", "F")):
        return
    photometric = 262  # TIFF's tag PhotometricInterpretation: 0 is white, 1 is black
    if getattr(image, "tag_v2", {}).get(photometric) == 0 or "transparency" in image.info:
        raise InputError(f"{path} has grays of over 8 bits of which 0 is white or one transparent: save it with 8 bits")


def _grays(image: Image) -> Float[np.ndarray, "height width"]:
    """Grays of a loaded picture.

    Raises:
        ValueError: a color space that Pillow cannot convert.
    """
    if image.mode.startswith(("I", "F")):
        return np.asarray(image).astype(np.float32)
    if not image.has_transparency_data:
        return np.asarray(image.convert("L")).astype(np.float32)
    image = image.convert("RGBA")
    grays, opacity = (np.asarray(part).astype(np.float32) for part in (image.convert("L"), image.getchannel("A")))
    visible = grays[opacity > 0]
    if visible.size and np.ptp(visible) < INK_LEVELS and np.ptp(opacity) > 0:
        return opacity
    return grays * opacity / 255
