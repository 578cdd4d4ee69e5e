# SPDX-License-Identifier: Apache-2.0
"""tests/integration/test_pipe_readers.py - the readers of others in tests/drivers/pipe_readers.py get
what a plain writer wrote: what they say of `penstock run` can be believed.
"""

import hashlib
import json
import struct
import subprocess
import sys

import numpy
import pytest
from conftest import REPO, clean_env
from pipe_writer import PipeWriter

DRIVER = REPO / "tests/drivers/pipe_readers.py"


def recordio(payloads):
    """Independent of penstock and of the drivers."""
    return b"".join(
        struct.pack("<II", 0xCED7230A, len(p)) + p + bytes(-len(p) % 4) for p in payloads
    )


def make_epochs():
    draw = numpy.random.default_rng(4)
    return [
        [draw.bytes(size) for size in draw.integers(0, 90_000, 20 + epoch)] for epoch in range(3)
    ]


def read(reader, prefix, epochs, timeout=60):
    done = subprocess.run(
        [sys.executable, str(DRIVER), reader, str(prefix), str(epochs)],
        env=clean_env(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
    )
    return done, [json.loads(line) for line in done.stdout.splitlines()]


def make_base(path, mode="Pipe"):
    data = path / "input/data"
    config = path / "input/config"
    data.mkdir(parents=True)
    config.mkdir()
    (config / "inputdataconfig.json").write_text(json.dumps({"train": {"TrainingInputMode": mode}}))
    return data


# Its own import takes 4 s of processor time; under sanitizers others read as it does.
SDK = pytest.param("sdk", marks=pytest.mark.plain_build)


@pytest.mark.parametrize("reader", ["cat", "readinto", "mlio", SDK, "tensorflow"])
def test_reader_gets_three_epochs(reader, tmp_path):
    data = make_base(tmp_path)
    epochs = make_epochs()
    with PipeWriter(data, "train", [recordio(payloads) for payloads in epochs]) as writer:
        done, lines = read(reader, data / "train", 3)
    assert done.returncode == 0, done.stderr
    assert writer.left == []
    for epoch, (line, payloads) in enumerate(zip(lines, epochs, strict=True)):
        whole = recordio(payloads)
        records = reader in ("sdk", "tensorflow")
        if records:
            whole = b"".join(struct.pack("<Q", len(p)) + p for p in payloads)
        assert line == {
            "epoch": epoch,
            "bytes": sum(map(len, payloads)) if records else len(recordio(payloads)),
            "records": len(payloads) if records else None,
            "sha256": hashlib.sha256(whole).hexdigest(),
        }


def test_tensorflow_joins_parts_with_nothing_between(tmp_path):
    data = make_base(tmp_path)
    parts = [(1, b"abcde"), (2, b"fg"), (3, b"hij"), (0, b"k")]
    stream = b"".join(
        struct.pack("<II", 0xCED7230A, flag << 29 | len(p)) + p + bytes(-len(p) % 4)
        for flag, p in parts
    )
    with PipeWriter(data, "train", [stream]):
        done, lines = read("tensorflow", data / "train", 1)
    whole = struct.pack("<Q", 10) + b"abcdefghij" + struct.pack("<Q", 1) + b"k"
    assert lines[0]["sha256"] == hashlib.sha256(whole).hexdigest(), done.stderr
    assert lines[0]["records"] == 2


def test_tensorflow_refuses_a_file_mode_channel(tmp_path):
    data = make_base(tmp_path, mode="File")
    done, lines = read("tensorflow", data / "train", 1)
    assert done.returncode != 0 and lines == []
    assert "is not a PipeMode channel" in done.stderr
