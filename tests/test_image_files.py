"""Files of other people: what is read is right, what is not is refused before it is unpacked."""

import io
import os
import socket
import struct
import zipfile
import zlib

import numpy as np
import pytest
import torch
from PIL import Image, PngImagePlugin

from qmae.data.image_files import CLASSES, read_npz, read_picture
from qmae.data.images import load_files, load_images, load_lit_files
from qmae.errors import InputError


def save(path, **arrays):
    np.savez(path, **arrays)
    return path


def refused(path, message):
    with pytest.raises(InputError, match=message) as error:
        load_images(path, size=4)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": np.zeros((2, 4, 4))}, r"needs an array `images` of shape \[N, H, W\]"),
        ({"images": np.zeros((4, 4))}, r"needs an array `images` .*, not \[4, 4\]: give images\[None\]"),
        ({"images": np.zeros((2, 4, 4, 3))}, r"not \[2, 4, 4, 3\]: make colors gray"),
        ({"images": np.zeros(())}, r"not \[\]"),
        ({"images": np.zeros((2, 4, 4)), "labels": np.zeros(3)}, r"`labels` has shape \(3,\), `images` holds 2"),
        ({"images": np.zeros((2, 4, 4)), "labels": np.zeros((2, 1))}, r"`labels` has shape \(2, 1\)"),
        ({"images": np.array([[["a"]]])}, "no numbers"),
        ({"images": np.zeros((2, 4, 4), complex)}, "no numbers but complex128"),
        ({"images": np.zeros((2, 4, 4), [("r", "u1")])}, "no numbers but"),
        ({"images": np.zeros((2, 4, 4), [("ä", "u1")])}, "no numbers but|has fields"),
        ({"images": np.zeros((2, 4, 4), "datetime64[s]")}, "no numbers but datetime64"),
        ({"images": np.full((2, 4, 4), None)}, "no numbers but object"),
        ({"images": np.zeros((2, 0, 0))}, "with one pixel at least"),
        ({"images": np.zeros((0, 4, 4))}, "with one pixel at least"),
        ({"images": np.zeros((0, 1, 4, 4))}, "with one pixel at least"),
    ],
)
def test_npz_of_another_form_is_refused(tmp_path, arrays, message):
    refused(save(tmp_path / "a.npz", **arrays), message)


@pytest.mark.parametrize(
    "labels",
    [[0, 1, np.nan], [0, 0.7, 1], [0, 1, 1e9], [0, 1, -2], [0, np.inf, 1], [0, 1, CLASSES]],
    ids=str,
)
def test_labels_that_are_no_classes_are_named(tmp_path, labels):
    index = next(i for i, label in enumerate(labels) if label not in (0, 1))
    path = save(tmp_path / "a.npz", images=np.ones((3, 4, 4)), labels=np.array(labels))
    refused(path, f"a.npz: label {index} is .*: labels must be whole numbers from 0 to 32,767, or -1 where unknown")


@pytest.mark.parametrize("dtype", ["<U3", "S3", "object", "complex64", "datetime64[D]"])
def test_labels_that_are_no_numbers_are_refused(tmp_path, dtype):
    labels = np.array(["0", "1", "2"]).astype(dtype) if dtype != "complex64" else np.arange(3, dtype=dtype)
    if dtype == "datetime64[D]":
        labels = np.array(["2000-01-01"] * 3, dtype)
    refused(save(tmp_path / "a.npz", images=np.ones((3, 4, 4)), labels=labels), "labels.npy holds no numbers but")


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int8, ">i8", np.uint64, np.float16, np.float64, np.longdouble])
def test_labels_that_are_whole_numbers_are_those_numbers(tmp_path, dtype):
    labels = read_npz(save(tmp_path / "a.npz", images=np.ones((3, 4, 4)), labels=np.array([1, 0, 1], dtype)))[1]
    assert labels.dtype == np.int64
    assert labels.tolist() == [1, 0, 1]


def test_unknown_labels_may_stand_beside_known_ones(tmp_path):
    path = save(tmp_path / "a.npz", images=np.ones((3, 4, 4)), labels=np.array([-1.0, 3.0, CLASSES - 1]))
    assert read_npz(path)[1].tolist() == [-1, 3, CLASSES - 1]


def test_damaged_npz_files_are_named(tmp_path):
    whole = save(tmp_path / "a.npz", images=np.random.default_rng(0).uniform(size=(9, 16, 16))).read_bytes()
    for damaged in (b"", b"no archive", whole[:2000], whole[:500] + b"x" + whole[501:], b"PK\x05\x06" + bytes(10)):
        (tmp_path / "a.npz").write_bytes(damaged)
        refused(tmp_path / "a.npz", r"a\.npz cannot be read as an \.npz file")


def test_every_damaged_byte_of_an_npz_is_refused_or_does_not_matter(tmp_path):
    path = tmp_path / "a.npz"
    images = np.random.default_rng(0).integers(1, 255, (3, 4, 4), dtype=np.uint8)
    np.savez_compressed(path, images=images, labels=np.arange(3))
    whole = path.read_bytes()
    for index in range(len(whole)):
        path.write_bytes(whole[:index] + bytes([whole[index] ^ 0x55]) + whole[index + 1 :])
        try:
            found, labels = read_npz(path)
        except InputError:
            continue
        assert np.array_equal(found, images)
        assert labels.tolist() in ([0, 1, 2], [-1, -1, -1])  # a changed name of `labels`


def test_an_npy_file_is_told_from_an_npz_file(tmp_path):
    np.save(tmp_path / "a.npy", np.ones((3, 4, 4)))
    refused(tmp_path / "a.npy", r"a\.npy cannot be read as an \.npz file: it is an \.npy file; make one by numpy.savez")


def npz(path, header, data: bytes | list[bytes] = b"", *, method=zipfile.ZIP_DEFLATED, name="images.npy"):
    """An archive of one array with any header."""
    text = header.encode() + b"\n"
    with zipfile.ZipFile(path, "w", method) as archive, archive.open(name, "w", force_zip64=True) as file:
        file.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text)
        for part in data if isinstance(data, list) else [data]:
            file.write(part)
    return path


@pytest.mark.parametrize("shape", [(10**9, 28, 28), (2**62, 2**62, 4), (3, 4, 5), (3, 4, -4), (3, -4, -4), (-1, 4, 4)])
def test_a_header_that_asks_for_more_than_the_file_holds_is_refused(tmp_path, shape):
    header = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}}}"
    refused(npz(tmp_path / "a.npz", header, bytes(48)), r"images.npy states [-\d,]+ bytes and holds 48")


@pytest.mark.parametrize(
    "header",
    [
        "(" * 5000,
        "{'descr': '|u1'}",
        "[]",
        "{'descr': '|u1', 'fortran_order': False, 'shape': (3.5, 4, 4)}",
        "{'descr': 'V0', 'fortran_order': False, 'shape': (3, 4, 4)}",
        "{'descr': '|O', 'fortran_order': False, 'shape': (3, 4, 4)}",
        "{'descr': '|u1', 'fortran_order': False, 'shape': (3, 4, 4)}" + " " * 20_000,
        "{'descr': '<f9', 'fortran_order': False, 'shape': (3, 4, 4)}",
        "\x00\xff",
    ],
)
def test_headers_that_are_none_are_refused(tmp_path, header):
    refused(npz(tmp_path / "a.npz", header, bytes(48)), r"a\.npz cannot be read as an \.npz file \(.+\)")


def test_a_header_of_python_2_is_read_without_a_warning(tmp_path):
    path = npz(tmp_path / "a.npz", "{'descr': '|u1', 'fortran_order': False, 'shape': (3L, 4L, 4L)}", bytes(range(48)))
    assert np.array_equal(read_npz(path)[0], np.arange(48).reshape(3, 4, 4))


def test_an_archive_that_would_fill_the_memory_is_refused_unread(tmp_path):
    header = "{'descr': '|u1', 'fortran_order': False, 'shape': (300, 1024, 1024)}"
    path = npz(tmp_path / "a.npz", header, [bytes(2**20)] * 300)
    assert path.stat().st_size < 2**20
    refused(path, "images.npy would take 314,5.* bytes, over 50 times those of the file; save it without compression")


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_an_archive_that_states_gigabytes_is_refused_unread(tmp_path, method):
    header = "{'descr': '|u1', 'fortran_order': False, 'shape': (3, 4, 4)}"
    path = npz(tmp_path / "a.npz", header, bytes(48), method=method)
    content = path.read_bytes()
    entry = content.rindex(b"PK\x01\x02") + 24  # the unpacked size in the central directory
    path.write_bytes(content[:entry] + struct.pack("<I", 3_900_000_000) + content[entry + 4 :])
    refused(path, "images.npy would take 3,900,000,000 bytes")


@pytest.mark.slow
def test_large_arrays_are_read_if_they_are_not_packed_beyond_measure(tmp_path):
    images = np.zeros((300, 1024, 1024), np.uint8)
    assert read_npz(save(tmp_path / "a.npz", images=images))[0].shape == images.shape


def patched(path, offset_in_entries, value):
    """The archive with a field of every local and central entry overwritten."""
    content = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\x03\x04", offset_in_entries), (b"PK\x01\x02", offset_in_entries + 2)):
        start = content.find(signature)
        while start >= 0:
            content[start + offset : start + offset + 2] = struct.pack("<H", value)
            start = content.find(signature, start + 4)
    path.write_bytes(content)
    return path


def test_encrypted_archives_are_refused(tmp_path):
    path = patched(save(tmp_path / "a.npz", images=np.ones((3, 4, 4))), 6, 1)
    refused(path, r"cannot be read as an \.npz file \(images.npy is encrypted\)")


@pytest.mark.parametrize("method", [1, 9, 93, 99, 65_535])
def test_unknown_compression_is_refused(tmp_path, method):
    path = patched(save(tmp_path / "a.npz", images=np.ones((3, 4, 4))), 8, method)
    refused(path, r"cannot be read as an \.npz file \(.*[Cc]ompression .*not supported\)")


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_every_compression_that_python_knows_is_read(tmp_path, method):
    images, buffer = np.random.default_rng(0).random((3, 4, 4)), io.BytesIO()
    np.save(buffer, images)
    with zipfile.ZipFile(tmp_path / "a.npz", "w", method) as archive:
        archive.writestr("images.npy", buffer.getvalue())
    assert np.array_equal(read_npz(tmp_path / "a.npz")[0], images)


@pytest.mark.parametrize("read", [read_npz, read_picture], ids=["data", "picture"])
def test_what_is_no_regular_file_is_not_read(tmp_path, read):
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as unix:
        unix.bind(os.path.relpath(tmp_path / "socket"))
        for path in (tmp_path / "pipe", tmp_path / "socket", "/dev/zero", "/dev/null"):
            with pytest.raises(InputError, match="is no regular file"):
                read(tmp_path / path)
    with pytest.raises(InputError, match="is a folder"):
        read(tmp_path)


@pytest.mark.parametrize("read", [read_npz, read_picture], ids=["data", "picture"])
@pytest.mark.parametrize("name", ["gone", "x" * 300, "nul\0", "\udce4\ud800", "file/below", "loop", "y/" * 3000])
def test_names_that_are_no_files_are_refused_in_one_line(tmp_path, read, name):
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(InputError, match=r"no (data|image) file|(data|image) file .*cannot be read"):
        read(tmp_path / name)


@pytest.mark.parametrize(
    "name", ["[x].npz", "[x].b[1].npz", ":smile:.npz", "a b\tc.npz", "ä.npz", "%s{}.npz", "-1.npz"]
)
def test_names_with_unusual_characters_are_names(tmp_path, name):
    assert len(load_images(save(tmp_path / name, images=np.ones((3, 4, 4))), split="all", size=4)[0]) == 3


def test_other_arrays_of_an_npz_do_not_matter(tmp_path):
    path = save(tmp_path / "a.npz", images=np.ones((3, 4, 4)), hidden=np.ones((3, 4, 4), bool), names=np.array(["a"]))
    assert len(load_images(path, split="all", size=4)[0]) == 3


# Pictures


@pytest.fixture
def ramp():
    """256 grays, no two rows and no two columns alike."""
    return np.arange(256, dtype=np.uint8).reshape(16, 16)


def saved(path, image, **options):
    image.save(path, **options)
    return path


@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.tiff", "a.gif", "a.webp", "a.pgm", "a.tga", "a.jp2", "a.pcx"])
def test_grays_are_read_from_every_format(tmp_path, ramp, name):
    path = saved(tmp_path / name, Image.fromarray(ramp), **({"lossless": True} if name == "a.webp" else {}))
    assert np.array_equal(read_picture(path), ramp)


def test_colors_become_luma(tmp_path):
    colors = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    expected = colors @ np.array([0.299, 0.587, 0.114])  # ITU-R 601
    assert np.abs(read_picture(saved(tmp_path / "a.png", Image.fromarray(colors))) - expected).max() <= 1
    cmyk = Image.fromarray(colors).convert("CMYK")
    assert np.abs(read_picture(saved(tmp_path / "b.tiff", cmyk)) - expected).max() <= 2


def test_a_palette_is_of_colors_and_bits_are_black_and_white(tmp_path, ramp):
    palette = Image.fromarray(ramp % 4, mode="P")
    palette.putpalette([0, 0, 0, 255, 255, 255, 100, 100, 100, 30, 30, 30])
    assert np.array_equal(read_picture(saved(tmp_path / "a.png", palette)), np.array([0, 255, 100, 30])[ramp % 4])
    bits = Image.fromarray(ramp % 3 == 0)
    assert bits.mode == "1"
    for name in ("b.png", "b.tiff", "b.pbm"):
        assert np.array_equal(read_picture(saved(tmp_path / name, bits)), (ramp % 3 == 0) * 255)


@pytest.mark.parametrize(
    ("orientation", "turn"),
    [
        (1, lambda x: x),
        (2, lambda x: x[:, ::-1]),
        (3, lambda x: x[::-1, ::-1]),
        (4, lambda x: x[::-1]),
        (5, lambda x: x.T),
        (6, lambda x: np.rot90(x, -1)),
        (7, lambda x: np.rot90(x, 2).T),
        (8, lambda x: np.rot90(x)),
        (9, lambda x: x),
    ],
)
@pytest.mark.parametrize("kind", ["gray", "16 bits", "float", "alpha"])
def test_pictures_are_turned_as_exif_says(tmp_path, ramp, orientation, turn, kind):
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = {
        "gray": ramp,
        "16 bits": ramp.astype(np.uint16) * 257,
        "float": ramp.astype(np.float32),
        "alpha": np.stack([ramp, np.full_like(ramp, 255)], 2),
    }[kind]
    path = saved(tmp_path / ("a.tiff" if kind == "float" else "a.png"), Image.fromarray(stored), exif=exif)
    found = read_picture(path) / (257 if kind == "16 bits" else 1)
    assert np.array_equal(found, turn(ramp))


def test_a_photo_is_turned_as_exif_says(tmp_path):
    dark_left = np.zeros((64, 64), np.uint8)
    dark_left[:, 32:] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter: what is stored at the left belongs to the top
    found = load_files([saved(tmp_path / "a.jpg", Image.fromarray(dark_left), exif=exif, quality=95)], size=4)[0]
    torch.testing.assert_close(found, torch.tensor([[0.0] * 4] * 2 + [[1.0] * 4] * 2), atol=0.15, rtol=0)


def with_ink(ramp, color):
    pixels = np.zeros((16, 16, 4), np.uint8)
    pixels[..., :3], pixels[..., 3] = color, ramp
    return Image.fromarray(pixels)


@pytest.mark.parametrize("color", [(255, 255, 255), (0, 0, 0), (200, 30, 30), (8, 8, 8)])
@pytest.mark.parametrize("name", ["a.png", "a.webp", "a.tiff", "a.tga"])
def test_ink_of_one_color_on_a_transparent_ground_is_light(tmp_path, ramp, color, name):
    path = saved(
        tmp_path / name, with_ink(ramp, color), **({"lossless": True, "exact": True} if "webp" in name else {})
    )
    torch.testing.assert_close(load_files([path])[0], torch.from_numpy(ramp / np.float32(255)))


def test_a_transparent_ground_is_black_below_several_colors(tmp_path, ramp):
    opacity = np.full((16, 16), 255, np.uint8)
    opacity[:, :8] = np.arange(8) * 30
    found = read_picture(saved(tmp_path / "a.png", Image.fromarray(np.stack([ramp, opacity], 2))))
    np.testing.assert_allclose(found, ramp / 255 * opacity, rtol=1e-6)


def test_what_is_opaque_is_read_as_without_transparency(tmp_path, ramp):
    for color in (ramp, np.full_like(ramp, 90)):
        opaque = Image.fromarray(np.stack([color, np.full_like(ramp, 255)], 2))
        assert np.array_equal(read_picture(saved(tmp_path / "a.png", opaque)), color)


def test_a_transparent_color_of_a_palette_is_black_ground(tmp_path, ramp):
    palette = Image.fromarray(ramp % 3, mode="P")
    palette.putpalette([255, 255, 255, 0, 0, 0, 160, 160, 160])
    for name in ("a.png", "a.gif"):
        found = read_picture(saved(tmp_path / name, palette, transparency=0))
        assert np.array_equal(found, np.array([0, 0, 160])[ramp % 3])
    ink = Image.fromarray(ramp % 2, mode="P")  # black ink, and a ground of white that is transparent
    ink.putpalette([255, 255, 255, 0, 0, 0])
    assert np.array_equal(read_picture(saved(tmp_path / "b.png", ink, transparency=0)), (ramp % 2) * 255)
    gray = Image.fromarray(ramp)
    assert np.array_equal(
        read_picture(saved(tmp_path / "c.png", gray, transparency=255)), np.where(ramp < 255, ramp, 0)
    )


def test_nothing_but_a_transparent_ground_is_black(tmp_path, ramp):
    path = saved(tmp_path / "a.png", with_ink(ramp * 0, (255, 255, 255)))
    with pytest.raises(InputError, match=r"a\.png: image 0 is all black"):
        load_files([path])


@pytest.mark.parametrize("bits", [1, 4, 8, 10, 12, 14, 16])
def test_grays_of_16_bits_are_scaled_by_the_brightest(tmp_path, bits):
    grays = np.linspace(0, 2**bits - 1, 256).round().astype(np.uint16).reshape(16, 16)
    for name in ("a.png", "a.tiff", "a.pgm"):
        found = load_files([saved(tmp_path / name, Image.fromarray(grays))])[0]
        torch.testing.assert_close(found, torch.from_numpy(grays / np.float32(2**bits - 1)))


def test_grays_of_32_bits_are_read_if_they_are_none_below_zero(tmp_path, ramp):
    for scale, dtype in ((1e-3, np.float32), (1e6, np.float32), (2**20, np.int32)):
        grays = (ramp.astype(np.float64) * scale).astype(dtype)
        found = load_files([saved(tmp_path / "a.tiff", Image.fromarray(grays))])[0]
        torch.testing.assert_close(found, torch.from_numpy(ramp / np.float32(255)))
        for bad in (-1, *([np.nan, np.inf] if dtype is np.float32 else [])):
            grays[3, 4] = bad
            with pytest.raises(InputError, match=r"a\.tiff holds values that are no grays, NaN or negative"):
                load_files([saved(tmp_path / "a.tiff", Image.fromarray(grays))])


def test_deep_grays_of_which_zero_is_white_or_one_is_transparent_are_refused(tmp_path, ramp):
    deep = Image.fromarray(ramp.astype(np.uint16))
    for path in (
        saved(tmp_path / "a.tiff", deep, tiffinfo={262: 0}),
        saved(tmp_path / "a.png", deep, transparency=3),
    ):
        with pytest.raises(InputError, match="of which 0 is white or one transparent: save it with 8 bits"):
            read_picture(path)


def test_pictures_of_several_frames_are_refused(tmp_path, ramp):
    frames = [Image.fromarray(ramp), Image.fromarray(ramp[::-1].copy())]
    for name in ("a.gif", "a.tiff", "a.png", "a.webp"):
        path = saved(tmp_path / name, frames[0], save_all=True, append_images=frames[1:])
        with pytest.raises(InputError, match="has 2 frames: save the one that is meant on its own"):
            read_picture(path)
    photo = saved(tmp_path / "a.jpg", frames[0], format="MPO", save_all=True, append_images=frames[1:], quality=100)
    assert np.abs(read_picture(photo) - ramp).max() < 8


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


@pytest.mark.parametrize("side", [9_500, 20_000, 2**31 - 1])
def test_a_picture_that_would_fill_the_memory_is_refused_undecoded(tmp_path, side):
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0))
    (tmp_path / "a.png").write_bytes(
        b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    )
    with pytest.raises(InputError, match=r"a\.png is (too large|no image).*: (make it smaller|save it anew)"):
        read_picture(tmp_path / "a.png")


def test_a_png_with_a_comment_of_2_mb_is_refused(tmp_path, ramp):
    comment = PngImagePlugin.PngInfo()
    comment.add_text("Comment", "x" * 2_000_000, zip=True)
    path = saved(tmp_path / "a.png", Image.fromarray(ramp), pnginfo=comment)
    with pytest.raises(InputError, match=r"a\.png is no image that can be read \(.+\): save it anew"):
        read_picture(path)


def test_a_color_space_that_cannot_be_made_gray_is_refused(tmp_path, ramp):
    path = saved(tmp_path / "a.tiff", Image.fromarray(np.stack([ramp] * 3, 2), mode="LAB"))
    with pytest.raises(InputError, match=r"a\.tiff is no image that can be read \(.*LAB.*\): save it anew"):
        read_picture(path)


@pytest.mark.parametrize(
    "content",
    [b"", b"no image", b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"\0\0\0\x18ftypheic", b"%!PS-Adobe-3.0 EPSF-3.0"],
)
def test_files_that_are_no_pictures_are_named(tmp_path, content):
    (tmp_path / "text.png").write_bytes(content)
    with pytest.raises(InputError, match=r"text\.png is no image that can be read.*: save it as PNG or JPEG"):
        load_files([tmp_path / "text.png"])
    with pytest.raises(InputError, match=r"no image file .*gone\.png"):
        load_files([tmp_path / "gone.png"])


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tiff", "a.gif", "a.bmp", "a.webp", "a.pgm", "a.jp2", "a.ico"])
def test_damaged_pictures_are_read_or_refused_in_one_line(tmp_path, ramp, name):
    path = saved(tmp_path / name, Image.fromarray(ramp))
    whole, rng = path.read_bytes(), np.random.default_rng(0)
    cut = [whole[:size] for size in rng.integers(0, len(whole), 40)]
    changed = [bytearray(whole) for _ in range(150)]
    for content in changed:
        content[rng.integers(0, min(len(whole), 400))] = rng.integers(256)
    refusals = []
    for content in cut + changed:
        path.write_bytes(content)
        try:
            assert (read_picture(path) >= 0).all()
        except InputError as error:
            refusals.append(str(error))
    assert refusals
    assert "\n" not in "".join(refusals)


def test_black_pictures_are_named_all_or_left_out(tmp_path, ramp):
    paths = [tmp_path / f"{index}.png" for index in range(5)]
    for index, path in enumerate(paths):
        Image.fromarray(ramp * (index not in (1, 3))).save(path)
    with pytest.raises(
        InputError, match=r"1\.png, .*3\.png: images 1, 3 are all black: they have no direction.* --skip-black"
    ):
        load_files(paths)
    kept, images = load_lit_files(paths, skip_black=True)
    assert kept == [paths[0], paths[2], paths[4]]
    torch.testing.assert_close(images, torch.from_numpy(ramp / np.float32(255)).expand(3, 16, 16))
    with pytest.raises(InputError, match=r"1\.png: image 0 is all black"):
        load_lit_files(paths[1:2], skip_black=True)


def test_no_picture_at_all_is_refused():
    with pytest.raises(InputError, match="no image file: give one at least"):
        load_files([])


def test_every_picture_is_scaled_by_its_own_brightest_pixel(tmp_path, ramp):
    paths = [saved(tmp_path / f"{factor}.png", Image.fromarray(ramp // factor)) for factor in (1, 5, 20)]
    assert load_files(paths, size=8).amax((1, 2)).tolist() == [1, 1, 1]
