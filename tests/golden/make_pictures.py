#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""tests/golden/make_pictures.py - pictures that PIL writes, for the fuzz targets of pictures.

    build/venv/bin/python tests/golden/make_pictures.py    rewrites the files pil_* in
                                                           tests/fuzz/corpus/fuzz_{jpeg,png,image}

Needs numpy and pillow: tests/requirements.txt. The pictures depend on nothing but this file and
pillow's version.
"""

import io
import struct
from pathlib import Path

import numpy
from PIL import Image

CORPUS = Path(__file__).resolve().parents[1] / "fuzz/corpus"


def picture(mode, width=21, height=14):
    x, y = numpy.meshgrid(numpy.arange(width), numpy.arange(height))
    channels = [x * 11 + y * 3, 255 - y * 16, (x * y) % 256, x * 5]
    pixels = numpy.stack(channels, axis=-1).clip(0, 255).astype(numpy.uint8)
    if mode in ("L", "1", "I;16"):
        if mode == "I;16":
            return Image.fromarray((pixels[..., 0].astype(numpy.uint16) * 257))
        return Image.fromarray(pixels[..., 0]).convert(mode)
    if mode == "P":
        return Image.fromarray(pixels[..., :3]).quantize(16)
    if mode == "LA":
        return Image.fromarray(pixels[..., 0]).convert("LA")
    return Image.fromarray(pixels[..., :3]).convert(mode)


def encoded(mode, kind, **options):
    out = io.BytesIO()
    picture(mode).save(out, kind, **options)
    return out.getvalue()


def oriented(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encoded("RGB", "JPEG", quality=50, exif=exif)


def jpegs():
    yield "rgb", encoded("RGB", "JPEG", quality=50)
    yield "rgb_444", encoded("RGB", "JPEG", quality=50, subsampling=0)
    yield "rgb_422", encoded("RGB", "JPEG", quality=50, subsampling=1)
    yield "progressive", encoded("RGB", "JPEG", quality=50, progressive=True)
    yield "gray", encoded("L", "JPEG", quality=50)
    yield "cmyk", encoded("CMYK", "JPEG", quality=50)
    yield "restarts", encoded("RGB", "JPEG", quality=50, restart_marker_rows=1)
    yield "orientation_6", oriented(6)


def pngs():
    for mode in ("L", "LA", "RGB", "RGBA", "P", "1", "I;16"):
        yield mode.replace(";", "").lower(), encoded(mode, "PNG")
    yield "palette_2_bits", encoded("P", "PNG", bits=4)
    yield "trns", encoded("P", "PNG", transparency=3)


def record(label, data, labels=()):
    """mxnet.recordio.pack, in a frame."""
    body = struct.pack("<IfQQ", len(labels), label, 7, 0)
    body += b"".join(struct.pack("<f", value) for value in labels) + data
    return struct.pack("<II", 0xCED7230A, len(body)) + body + bytes(-len(body) % 4)


def main():
    gray = encoded("L", "JPEG", quality=30)
    small = encoded("RGB", "PNG")
    files = {"fuzz_jpeg": [], "fuzz_png": [], "fuzz_image": []}
    for number, (name, data) in enumerate(jpegs()):
        files["fuzz_jpeg"].append((name, bytes([number, 60, 90, 0x77]) + data))
        files["fuzz_image"].append((name, bytes([number % 4, number]) + data))
    for number, (name, data) in enumerate(pngs()):
        files["fuzz_png"].append((name, bytes([number % 8]) + data))
        files["fuzz_image"].append((f"png_{name}", bytes([number % 4, number]) + data))
    files["fuzz_image"] += [
        ("records", bytes([4, 9]) + record(1, gray) + record(2, small)),
        ("labels", bytes([5, 0]) + record(0, gray, [2, 5, 1, 0.5]) + record(0, small, [3])),
        ("three", bytes([6, 77]) + record(0, small, [1, 2, 3])),
    ]
    for target, inputs in files.items():
        directory = CORPUS / target
        directory.mkdir(parents=True, exist_ok=True)
        for name, data in inputs:
            (directory / f"pil_{name}").write_bytes(data)


if __name__ == "__main__":
    main()
