# SPDX-License-Identifier: Apache-2.0
"""tests/integration/test_image.py - Pictures: the rows of a stream beside what PIL makes of the same files."""

import io
import json
import struct

import numpy
import pytest
from digest import digest
from PIL import Image, ImageOps

MAGIC = struct.pack("<I", 0xCED7230A)


def photo(width, height, seed=0):
    """Waves, edges and noise, as an RGB picture."""
    x, y = numpy.meshgrid(numpy.arange(width), numpy.arange(height))
    noise = numpy.random.default_rng(seed).integers(-8, 8, (height, width, 3))
    waves = [numpy.sin(x / 20 + c + seed) * numpy.cos(y / 25 - c) * 80 for c in range(3)]
    edges = ((x // 13 + y // 17) % 3 == 0) * 30
    return Image.fromarray((120 + numpy.stack(waves, -1) + edges[..., None] + noise).clip(0, 255).astype("uint8"))


def rows_of(path, shape, dtype, labels=0):
    """(features, labels) of what stream_digest dumped."""
    data = path.read_bytes()
    features, numbers = [], []
    while data:
        rows, row_bytes, label_dim = struct.unpack_from("<III", data)
        assert label_dim == labels
        split, end = 12 + rows * row_bytes, 12 + rows * (row_bytes + 4 * label_dim)
        features.append(numpy.frombuffer(data[12:split], dtype).reshape(rows, *shape))
        numbers.append(numpy.frombuffer(data[split:end], "float32").reshape(rows, label_dim))
        data = data[end:]
    return numpy.concatenate(features), numpy.concatenate(numbers)


def stream(tmp_path, uri, content_type, shape, dtype="uint8", labels=0, **settings):
    dump = tmp_path / "rows"
    result = digest(uri=uri, type=content_type, dump=dump, **settings)
    return result.ok() and rows_of(dump, shape, dtype, labels)


def resized(image, size):
    """Shorter side to `size`, by PIL."""
    width, height = image.size
    shorter = min(width, height)
    return image.resize((width * size // shorter, height * size // shorter), Image.Resampling.BILINEAR)


def middle(image, width, height):
    left, top = (image.width - width) // 2, (image.height - height) // 2
    return image.crop((left, top, left + width, top + height))


def oriented(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return dict(exif=exif)


JPEGS = {
    "420": ("RGB", dict(quality=90)),
    "422": ("RGB", dict(quality=90, subsampling=1)),
    "444": ("RGB", dict(quality=90, subsampling=0)),
    "cmyk": ("CMYK", dict(quality=90)),
    "gray": ("L", dict(quality=90)),
    "progressive": ("RGB", dict(quality=90, progressive=True)),
    "restarts": ("RGB", dict(quality=90, restart_marker_rows=2)),
} | {f"turned_{n}": ("RGB", dict(quality=90, **oriented(n))) for n in range(1, 9)}


@pytest.fixture(scope="module")
def jpegs(tmp_path_factory):
    directory = tmp_path_factory.mktemp("jpegs")
    for number, (name, (mode, options)) in enumerate(JPEGS.items()):
        photo(203, 150, number).convert(mode).save(directory / f"{name}.jpg", **options)
    return directory


def as_pil(path):
    return ImageOps.exif_transpose(Image.open(path)).convert("RGB")


def paths_in(directory):
    return sorted(directory.iterdir())


def test_resized_middles_are_pils_within_one_level(tmp_path, jpegs):
    kind = "application/x-image;image_shape=3,48,56;resize=64;dct_scaling=off"
    got, _ = stream(tmp_path, jpegs, kind, (48, 56, 3), rows=4)
    for row, path in zip(got, paths_in(jpegs), strict=True):
        want = numpy.asarray(middle(resized(as_pil(path), 64), 56, 48), "int16")
        off = numpy.abs(row - want)
        assert off.max() <= 1, f"{path.name}: {off.max()} levels off"
        assert (off > 0).mean() < 0.25, path.name


def test_reduced_while_decoded_is_nearly_the_same(tmp_path, jpegs):
    kind = "application/x-image;image_shape=3,48,56;resize=64"
    exact, _ = stream(tmp_path, jpegs, kind + ";dct_scaling=off", (48, 56, 3))
    reduced, _ = stream(tmp_path, jpegs, kind, (48, 56, 3))
    off = numpy.abs(exact.astype("int16") - reduced)
    assert 0 < off.mean() < 4


def test_upscaled_and_squeezed(tmp_path, jpegs):
    kind = "image/jpeg;image_shape=3,300,200;crop=none;dct_scaling=off"
    got, _ = stream(tmp_path, jpegs, kind, (300, 200, 3), memory_mib=64, rows=2)
    for row, path in zip(got, paths_in(jpegs), strict=True):
        want = as_pil(path).resize((200, 300), Image.Resampling.BILINEAR)
        assert numpy.abs(row - numpy.asarray(want, "int16")).max() <= 1, path.name


def test_normalised_planes(tmp_path, jpegs):
    mean, std = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
    kind = "image/jpeg;image_shape=3,40,50;dtype=float32;mirror=on"
    kind += ";mean=123.675,116.28,103.53;std=58.395,57.12,57.375"
    got, _ = stream(tmp_path, jpegs / "444.jpg", kind, (3, 40, 50), "float32")
    want = numpy.asarray(ImageOps.mirror(middle(as_pil(jpegs / "444.jpg"), 50, 40)), "float64")
    want = ((want - mean) / std).transpose(2, 0, 1)
    assert numpy.abs(got[0] - want).max() < 1.01 / 57


PNGS = {
    "1": ("1", {}),
    "l": ("L", {}),
    "la": ("LA", {}),
    "p": ("P", {}),
    "p_2": ("P", dict(bits=2)),
    "p_4": ("P", dict(bits=4)),
    "p_trns": ("P", dict(transparency=1)),
    "rgb": ("RGB", {}),
    "rgb_best": ("RGB", dict(compress_level=9)),
    "rgb_stored": ("RGB", dict(compress_level=0)),
    "rgba": ("RGBA", {}),
}


@pytest.mark.parametrize("size", [(1, 1), (7, 3), (64, 48)])
def test_png_is_pils_to_the_bit(tmp_path, size):
    directory = tmp_path / "pngs"
    directory.mkdir()
    width, height = size
    for number, (name, (mode, options)) in enumerate(PNGS.items()):
        image = photo(width, height, number)
        colours = 2 ** options.get("bits", 8)
        image = image.quantize(colours) if mode == "P" else image.convert(mode)
        image.save(directory / f"{name}.png", **options)
    kind = f"image/png;image_shape=3,{height},{width}"
    got, _ = stream(tmp_path, directory, kind, (height, width, 3))
    for row, path in zip(got, paths_in(directory), strict=True):
        want = Image.open(path)
        want = want.convert("RGBA").convert("RGB") if want.mode == "P" else want.convert("RGB")
        assert (row == numpy.asarray(want)).all(), path.name


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A bucket `data`: pictures/CLASS/N.jpg, the list of their labels beside them, and another bucket."""
    root = tmp_path_factory.mktemp("served")
    lines = []
    for number in range(30):
        path = root / f"data/pictures/class_{number % 3}/{number:02}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        photo(90 + number, 70, number).save(path, quality=85)
        lines.append(f"{number}\t{number % 3}\t{number}.5\tclass_{number % 3}/{number:02}.jpg\n")
    (root / "data/labels").mkdir()
    (root / "data/labels/train.lst").write_text("".join(lines[::-1]))
    (root / "other").mkdir()
    return root


LST = "s3://data/labels/train.lst"
CROPS = "application/x-image;image_shape=3,32,32;crop=random_resized;mirror=random;lst=" + LST


def test_labels_come_from_a_list_in_the_bucket(tmp_path, s3_server, served):
    env = s3_server(served).env
    kind = f"application/x-image;image_shape=3,32,32;lst={LST}"
    got, labels = stream(tmp_path, "s3://data/pictures/", kind, (32, 32, 3), labels=2, env=env)
    numbers = sorted(range(30), key=lambda n: (n % 3, n))
    assert labels.tolist() == [[n % 3, n + 0.5] for n in numbers]
    for row, number in zip(got, numbers):
        want = middle(as_pil(served / f"data/pictures/class_{number % 3}/{number:02}.jpg"), 32, 32)
        assert numpy.abs(row - numpy.asarray(want, "int16")).max() <= 1


def test_rows_do_not_depend_on_threads(s3_server, served):
    env = s3_server(served).env
    settings = dict(uri="s3://data/pictures/", type=CROPS, env=env, shuffle=5, epochs=2, rows=7)
    results = [digest(decode=n, io_threads=n, **settings).ok() for n in (1, 2, 4)]
    assert len({result["digest"] for result in results}) == 1
    assert results[0]["rows"] == 60
    first, second = results[0].epochs
    assert first != second
    other = digest(**settings | dict(shuffle=6)).ok()
    assert other["digest"] != results[0]["digest"]


def test_other_lots_in_another_epoch_and_with_another_seed(tmp_path, served):
    kind = "application/x-image;image_shape=3,32,32;crop=random;mirror=random"
    uri = served / "data/pictures"
    twice, _ = stream(tmp_path, uri, kind + ";seed=4", (32, 32, 3), epochs=2)
    again, _ = stream(tmp_path, uri, kind + ";seed=4", (32, 32, 3))
    other, _ = stream(tmp_path, uri, kind + ";seed=5", (32, 32, 3))
    assert (twice[:30] == again).all()
    same = [(a == b).all() for a, b in zip(twice[:30], twice[30:])]
    assert sum(same) < 3
    assert sum((a == b).all() for a, b in zip(again, other)) < 3


@pytest.mark.parametrize(
    "kind, message",
    [
        ("lst=s3://other/train.lst", "has to be in the bucket"),
        ("lst=s3://data/labels/none.lst", "none.lst"),
        ("lst=/nowhere/train.lst", "/nowhere/train.lst"),
        ("lst=s3://data/pictures/class_0/00.jpg", "line 1 of the list"),
        ("label_width=2;resize=32", "neither a list (lst) nor an augmented manifest"),
        (f"lst={LST};label_width=1", "the record has 2 labels, not 1"),
        ("resize=31", "fewer than the 32 x 32 of image_shape"),
    ],
)
def test_what_is_wrong_is_said(s3_server, served, kind, message):
    kind = f"application/x-image;image_shape=3,32,32;{kind}"
    result = digest(uri="s3://data/pictures/", type=kind, env=s3_server(served).env)
    assert result.rc == 1
    assert message in result["message"]


def test_a_picture_that_no_line_names(tmp_path, served):
    listed = tmp_path / "short.lst"
    listed.write_text("0\t1\tclass_0/00.jpg\n")
    kind = f"application/x-image;image_shape=3,32,32;lst={listed}"
    result = digest(uri=served / "data/pictures", type=kind)
    assert (result["result"], result.rc) == ("PENSTOCK_E_FORMAT", 1)
    assert "03.jpg" in result["message"] and "has no line for the picture" in result["message"]


def manifest(served, labels):
    """An augmented manifest of the first pictures, one a label, in the bucket."""
    lines = []
    for number, label in enumerate(labels):
        uri = f"s3://data/pictures/class_{number % 3}/{number:02}.jpg"
        lines.append({"source-ref": uri, "class": label, "class-metadata": {"type": "groundtruth/image"}})
    (served / "data/train.manifest").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return dict(uri="s3://data/train.manifest", data_type="augmented-manifest")


@pytest.mark.parametrize("settings", [dict(), dict(shuffle=3), dict(rows=2, decode=3, memory_mib=16)], ids=str)
def test_labels_come_from_an_augmented_manifest(tmp_path, s3_server, served, settings):
    settings |= manifest(served, range(10)) | dict(attributes="source-ref,class", env=s3_server(served).env)
    kind = "application/x-image;image_shape=3,32,32"
    got, labels = stream(tmp_path, settings.pop("uri"), kind, (32, 32, 3), labels=1, **settings)
    order = labels[:, 0].astype(int).tolist()
    assert sorted(order) == list(range(10)) and (order == sorted(order)) == ("shuffle" not in settings)
    for row, number in zip(got, order):
        want = middle(as_pil(served / f"data/pictures/class_{number % 3}/{number:02}.jpg"), 32, 32)
        assert numpy.abs(row - numpy.asarray(want, "int16")).max() <= 1


def test_manifest_with_lists_of_labels_and_without(tmp_path, s3_server, served):
    settings = manifest(served, [[0, 2], "[1, 2, 3]", 4, "5"]) | dict(env=s3_server(served).env)
    kind = "application/x-image;image_shape=3,32,32"
    uri = settings.pop("uri")
    padded, names = f"{kind};label_pad_width=4", "source-ref,class"
    _, labels = stream(tmp_path, uri, padded, (32, 32, 3), labels=4, attributes=names, **settings)
    assert labels.tolist() == [[0, 2, -1, -1], [1, 2, 3, -1], [4, -1, -1, -1], [5, -1, -1, -1]]
    got, _ = stream(tmp_path, uri, kind, (32, 32, 3), attributes="source-ref", **settings)
    assert len(got) == 4


@pytest.mark.parametrize(
    "labels, settings, message",
    [
        (["dog"], {}, "the manifest's label is dog, neither a number nor a list"),
        ([[1, 2]], {}, "the record has 2 labels, not 1"),
        ([1], dict(attributes="class,source-ref"), "the picture, whose name ends in"),
        ([1], dict(attributes="source-ref,other"), "other"),
        ([1], dict(type="text/csv"), "application/octet-stream or application/x-image, not text/csv"),
    ],
)
def test_what_is_wrong_with_a_manifest_is_said(s3_server, served, labels, settings, message):
    job = manifest(served, labels) | dict(attributes="source-ref,class", env=s3_server(served).env)
    result = digest(**dict(type="application/x-image;image_shape=3,32,32") | job | settings)
    assert result.rc == 1
    assert message in result["message"]


@pytest.mark.parametrize("left", [0.2, 0.6, 0.99])
def test_a_truncated_picture_is_named(tmp_path, left):
    directory = tmp_path / "pictures"
    directory.mkdir()
    photo(80, 60).save(directory / "a.jpg")
    data = (directory / "a.jpg").read_bytes()
    (directory / "b.jpg").write_bytes(data[: int(len(data) * left)])
    result = digest(uri=directory, type="image/jpeg;image_shape=3,8,8", rows=1)
    assert result["result"] == "PENSTOCK_E_FORMAT"
    assert "b.jpg" in result["message"] and "truncated" in result["message"]
    assert result["rows"] == 1


def framed(payload):
    """dmlc-core's RecordIOWriter::WriteRecord."""
    parts, start = [], 0
    for at in range(0, len(payload) - 3, 4):
        if payload[at : at + 4] == MAGIC:
            parts.append(payload[start:at])
            start = at + 4
    parts.append(payload[start:])
    out = b""
    for number, part in enumerate(parts):
        flag = 0 if len(parts) == 1 else 1 if number == 0 else 3 if number == len(parts) - 1 else 2
        out += MAGIC + struct.pack("<I", flag << 29 | len(part)) + part + bytes(-len(part) % 4)
    return out


def packed(labels, data):
    """mxnet.recordio.pack: one label stands in the header, several behind it."""
    if len(labels) == 1:
        return struct.pack("<IfQQ", 0, labels[0], 3, 0) + data
    return struct.pack("<IfQQ", len(labels), 0, 3, 0) + numpy.array(labels, "<f4").tobytes() + data


def encoded(image, kind, **options):
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def test_image_records(tmp_path):
    images = [photo(40 + n, 44, n) for n in range(9)]
    kinds = [("PNG", {}), ("JPEG", dict(quality=95, subsampling=0, comment=MAGIC * 9))]
    payloads = [packed([n + 0.25], encoded(i, *kinds[n % 2][:1], **kinds[n % 2][1])) for n, i in enumerate(images)]
    data = b"".join(map(framed, payloads))
    assert len(data) < sum(map(len, payloads)) + 9 * 11 + 200
    (tmp_path / "train.rec").write_bytes(data)
    kind = "application/x-recordio;image_shape=3,32,36"
    got, labels = stream(tmp_path, tmp_path / "train.rec", kind, (32, 36, 3), labels=1, rows=4)
    assert labels[:, 0].tolist() == [n + 0.25 for n in range(9)]
    for number, (row, image) in enumerate(zip(got, images, strict=True)):
        off = numpy.abs(row - numpy.asarray(middle(image, 36, 32), "int16"))
        assert off.max() == 0 if number % 2 == 0 else off.mean() < 3


def test_detection_labels_are_padded(tmp_path):
    vectors = [[2, 5, 1, 0.1, 0.2, 0.3, 0.4], [2, 5], [2, 5, 0, 0, 0, 1, 1, 3, 0.5, 0.5, 0.75, 0.75]]
    image = encoded(photo(20, 20), "JPEG")
    (tmp_path / "train.rec").write_bytes(b"".join(framed(packed(v, image)) for v in vectors))
    kind = "application/x-recordio;image_shape=3,16,16;crop=none;label_pad_width=14"
    _, labels = stream(tmp_path, tmp_path / "train.rec", kind, (16, 16, 3), labels=14)
    want = [v + [-1] * (14 - len(v)) for v in vectors]
    assert labels.tolist() == numpy.array(want, "float32").tolist()
