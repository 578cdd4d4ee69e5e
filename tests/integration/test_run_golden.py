# SPDX-License-Identifier: Apache-2.0
"""tests/integration/test_run_golden.py - penstock run delivers, for every combination of
CreateTrainingJob's fields, the bytes that this file puts together on its own from SageMaker's rules.
"""

import gzip
import itertools
import json
import struct
import subprocess

import numpy
import pytest
from conftest import clean_env

MASK = (1 << 64) - 1
GOLDEN = 0x9E3779B97F4A7C15
HOSTS = ["algo-1", "algo-2", "algo-3"]
SEED = -77

PREFIX, MANIFEST, AUGMENTED = "S3Prefix", "ManifestFile", "AugmentedManifestFile"


# --- the rules, written a second time -------------------------------------------------------------


def mix(z):
    z = (z + GOLDEN) & MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


def permuted(count, seed, epoch):
    """pipe/permute.h's definition: an 8-round Feistel network over the next even power of two that
    holds `count`, walked until the value is below it."""
    key = mix((mix(seed & MASK) + epoch) & MASK)
    half = (max(1, (count - 1).bit_length()) + 1) // 2
    low = (1 << half) - 1
    order = []
    for start in range(count):
        value = start
        while True:
            left, right = value >> half, value & low
            for r in range(1, 9):
                left, right = right, left ^ (mix((key + r * GOLDEN + right) & MASK) & low)
            value = left << half | right
            if value < count:
                break
        order.append(value)
    return order


def wrap(payload):
    return struct.pack("<II", 0xCED7230A, len(payload)) + payload + bytes(-len(payload) % 4)


def epoch_of(units, epoch, shuffle, sharded, host, wrapper):
    """`units` are lists of items that stay together: an object, or the attributes of a line."""
    order = permuted(len(units), SEED, epoch) if shuffle else range(len(units))
    order = list(order)[HOSTS.index(host) :: len(HOSTS)] if sharded else order
    items = [item for number in order for item in units[number]]
    return b"".join(map(wrap, items) if wrapper else items)


# --- the data -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Two buckets; what each S3DataType makes of them, for each CompressionType."""
    root = tmp_path_factory.mktemp("golden")
    draw = numpy.random.default_rng(8)
    contents = {f"{n:02d}/é {n}": draw.bytes(int(s)) for n, s in enumerate(draw.integers(1, 90_000, 13))}
    refs = {f"img-{n}.jpg": draw.bytes(int(s)) for n, s in enumerate(draw.integers(1, 9_000, 9))}
    units = {}
    for compression in ("None", "Gzip"):
        for name, files in (("data", contents), ("other", refs)):
            for key, content in files.items():
                path = root / f"{name}-{compression.lower()}" / "set" / key
                path.parent.mkdir(parents=True, exist_ok=True)
                if compression == "Gzip":  # two members
                    half = len(content) // 2
                    content = gzip.compress(content[:half]) + gzip.compress(content[half:])
                path.write_bytes(content)
        bucket = root / f"data-{compression.lower()}"
        (bucket / "set" / "empty").write_bytes(b"")
        units[PREFIX, compression] = [
            [contents[key]] for key in sorted(contents, key=lambda key: key.encode())
        ]
        listed = list(reversed(contents)) + [next(iter(contents))]
        manifest = [{"prefix": f"s3://{bucket.name}/set/"}, *listed]
        (bucket / "manifest.json").write_text(json.dumps(manifest))
        units[MANIFEST, compression] = [[contents[key]] for key in listed]
        lines, units[AUGMENTED, compression] = [], []
        for number, key in enumerate(refs):
            values = [number, str(number), f'"q" ü {number}', {"a": [1, 2.50]}, None, True][number % 6 :]
            line = {
                "label": values[0],
                "source-ref": f"s3://other-{compression.lower()}/set/{key}",
                "ignored": "x",
            }
            lines.append(json.dumps(line, ensure_ascii=number % 2 == 0))
            text = values[0] if isinstance(values[0], str) else json.dumps(values[0])
            units[AUGMENTED, compression].append([refs[key], text.encode()])
        (bucket / "augmented.jsonl").write_text("\n".join(lines) + "\n")
    return root, units


URIS = {PREFIX: "set/", MANIFEST: "manifest.json", AUGMENTED: "augmented.jsonl"}


@pytest.mark.plain_build
@pytest.mark.parametrize(
    "kind, distribution, compression, wrapper, shuffle",
    list(
        itertools.product(
            (PREFIX, MANIFEST, AUGMENTED),
            ("FullyReplicated", "ShardedByS3Key"),
            ("None", "Gzip"),
            ("None", "RecordIO"),
            (False, True),
        )
    ),
)
def test_every_combination(
    penstock, s3_server, world, tmp_path, kind, distribution, compression, wrapper, shuffle
):
    root, units = world
    source = {
        "S3DataType": kind,
        "S3Uri": f"s3://data-{compression.lower()}/{URIS[kind]}",
        "S3DataDistributionType": distribution,
    }
    if kind == AUGMENTED:
        source["AttributeNames"] = ["source-ref", "label"]
    channel = {
        "ChannelName": "train",
        "DataSource": {"S3DataSource": source},
        "CompressionType": compression,
        "RecordWrapperType": wrapper,
        "InputMode": "Pipe",
    }
    if shuffle:
        channel["ShuffleConfig"] = {"Seed": SEED}
    job = {
        "TrainingJobName": "golden",
        "AlgorithmSpecification": {"TrainingImage": "image", "TrainingInputMode": "File"},
        "RoleArn": "arn:aws:iam::123456789012:role/x",
        "InputDataConfig": [channel],
        "OutputDataConfig": {"S3OutputPath": "s3://data/out"},
        "ResourceConfig": {"InstanceType": "ml.m5.xlarge", "InstanceCount": 3, "VolumeSizeInGB": 1},
        "StoppingCondition": {"MaxRuntimeInSeconds": 60},
    }
    (tmp_path / "job.json").write_text(json.dumps(job))
    server = s3_server(root)
    host = HOSTS[1]
    fifo = tmp_path / "ml/input/data/train"
    done = subprocess.run(
        [penstock, "run", "--config", tmp_path / "job.json", "--base", tmp_path / "ml"]
        + ["--current-host", host, "--", "sh", "-c", 'cat "$1_0" > "$2/0"; cat "$1_1" > "$2/1"']
        + ["sh", fifo, tmp_path],
        env=clean_env(server.env),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    for epoch in range(2):
        expected = epoch_of(
            units[kind, compression],
            epoch,
            shuffle,
            distribution == "ShardedByS3Key",
            host,
            wrapper == "RecordIO",
        )
        assert (tmp_path / str(epoch)).read_bytes() == expected
