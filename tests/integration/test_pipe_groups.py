# SPDX-License-Identifier: Apache-2.0
"""tests/integration/test_pipe_groups.py - the attributes of an augmented manifest, k records for each
line, written by independent Python through FIFOs and S3 and read back with penstock_next_group.
"""

import hashlib
import json
import os
import struct
import subprocess
from pathlib import Path

import numpy
import pytest
from conftest import REPO, clean_env
from pipe_writer import PipeWriter

DRIVER = Path(os.environ.get("GROUP_DIGEST") or REPO / "build/release/tests/drivers/group_digest")
MAGIC = struct.pack("<I", 0xCED7230A)


def frame(flag, payload):
    head = MAGIC + struct.pack("<I", flag << 29 | len(payload))
    return head + payload + bytes(-len(payload) % 4)


def plain_record(payload, part_bytes=None):
    """One frame, or parts of part_bytes joined with nothing between, as AWS's readers do."""
    if part_bytes is None or len(payload) <= part_bytes:
        return frame(0, payload)
    parts = [payload[at : at + part_bytes] for at in range(0, len(payload), part_bytes)]
    return (
        frame(1, parts[0]) + b"".join(frame(2, p) for p in parts[1:-1]) + frame(3, parts[-1])
    )


def dmlc_record(payload):
    """dmlc's rule: cut at every aligned magic, which is left out."""
    cuts = [at for at in range(0, len(payload) - 3, 4) if payload[at : at + 4] == MAGIC]
    starts = [0, *(at + 4 for at in cuts)]
    parts = [payload[a:b] for a, b in zip(starts, [*cuts, len(payload)])]
    if len(parts) == 1:
        return frame(0, parts[0])
    return (
        frame(1, parts[0]) + b"".join(frame(2, p) for p in parts[1:-1]) + frame(3, parts[-1])
    )


def manifest_items(lines, seed):
    """Three attributes a line: an object's bytes, a number and a JSON object, as their text."""
    draw = numpy.random.default_rng(seed)
    items = []
    for line in range(lines):
        size = 2_000_000 if line % 40 == 7 else int(draw.integers(0, 60_000))
        image = draw.bytes(size)
        if line % 3 == 0:
            image = image[: size // 8 * 4] + MAGIC + MAGIC + image[size // 2 :]
        items.append([image, str(line).encode(), json.dumps({"class-map": {str(line): "ü"}}).encode()])
    return items


def expected(epochs):
    out = []
    for epoch, items in enumerate(epochs):
        for position, group in enumerate(items):
            hashes = [f"{len(i)}:{hashlib.sha256(i).hexdigest()}" for i in group]
            out.append(" ".join([str(epoch), str(position), *hashes]))
    return out


def read(uri, items, epochs, dialect="PLAIN", env=None):
    done = subprocess.run(
        [DRIVER, uri, str(items), str(epochs), dialect],
        env=clean_env(env),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )
    *groups, result, message = done.stdout.splitlines()
    return groups, result.removeprefix("result="), message.removeprefix("message=")


@pytest.mark.parametrize(
    "dialect, record",
    [
        ("PLAIN", plain_record),
        ("PLAIN", lambda payload: plain_record(payload, 1000)),
        ("DMLC", dmlc_record),
    ],
    ids=["whole", "parts", "dmlc"],
)
def test_groups_through_fifos(dialect, record, tmp_path):
    epochs = [manifest_items(60, seed) for seed in range(3)]
    streams = [b"".join(record(i) for group in items for i in group) for items in epochs]
    with PipeWriter(tmp_path, "train", streams):
        groups, result, message = read(f"pipe://{tmp_path}/train", 3, 3, dialect)
    assert result == "PENSTOCK_END", message
    assert groups == expected(epochs)


def test_groups_from_s3(s3_server, tmp_path):
    items = manifest_items(100, 9)
    folder = tmp_path / "bucket/data"
    folder.mkdir(parents=True)
    for number in range(4):
        part = items[number * 25 : number * 25 + 25]
        (folder / f"{number}.rec").write_bytes(b"".join(plain_record(i) for g in part for i in g))
    server = s3_server(tmp_path)
    groups, result, message = read("s3://bucket/data/", 3, 2, env=server.env)
    assert result == "PENSTOCK_END", message
    assert groups == expected([items, items])


def test_lines_of_an_augmented_manifest(s3_server, run_penstock, tmp_path):
    """The same groups from the manifest itself, item by item, and as `penstock run` wraps them."""
    items = manifest_items(90, 12)
    items[3][0] = items[60][0] = b""
    folder = tmp_path / "bucket/images"
    folder.mkdir(parents=True)
    lines = []
    for number, (image, count, _) in enumerate(items):
        (folder / f"{number}.jpg").write_bytes(image)
        value = {"class-map": {str(number): "ü"}}
        items[number][2] = json.dumps(value).encode()
        line = {"map": value, "n": int(count), "image-ref": f"s3://bucket/images/{number}.jpg"}
        lines.append(json.dumps(line) + "\n" + "\n" * (number % 4 == 2))
    (tmp_path / "bucket/train.manifest").write_text("".join(lines))
    server = s3_server(tmp_path)
    groups, result, message = read(
        "s3://bucket/train.manifest", 3, 2, "image-ref,n,map", env=server.env
    )
    assert result == "PENSTOCK_END", message
    wanted = []
    text = "".join(lines).splitlines()
    numbers = [at + 1 for at, line in enumerate(text) if line]
    for group in expected([items, items]):
        epoch, position, *hashes = group.split()
        wanted.append(" ".join([epoch, position, str(numbers[int(position)]), *hashes]))
    assert groups == wanted
    base = tmp_path / "ml"
    channel = "train=s3://bucket/train.manifest;type=augmented;attributes=image-ref,n,map;wrap=recordio"
    out = run_penstock(
        ["run", "--base", base, "--channel", channel, "--"]
        + [DRIVER, f"pipe://{base}/input/data/train", "3", "2", "PLAIN"],
        env=server.env,
    ).ok()
    assert out.stdout.splitlines()[:-2] == expected([items, items])
    groups, result, message = read("s3://bucket/train.manifest", 2, 1, "n,map,image-ref", env=server.env)
    assert result == "PENSTOCK_E_ARGUMENT" and not groups
    assert "the lines of its augmented manifest have 3 attributes each" in message


def test_a_wrong_number_of_attributes_is_told(tmp_path):
    items = manifest_items(10, 1)
    stream = b"".join(plain_record(i) for group in items for i in group)
    with PipeWriter(tmp_path, "train", [stream]):
        groups, result, message = read(f"pipe://{tmp_path}/train", 4, 1)
    assert result == "PENSTOCK_E_FORMAT" and len(groups) == 7
    assert "after 2 of the 4 records of a group: is 4 the number of attributes?" in message
    assert f"{tmp_path}/train_0, record at byte {len(stream) - len(plain_record(items[9][1])) - len(plain_record(items[9][2]))}:" in message
