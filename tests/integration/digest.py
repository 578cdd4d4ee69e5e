# SPDX-License-Identifier: Apache-2.0
"""tests/integration/digest.py - run tests/drivers/stream_digest, and compute its digest independently.

    result = digest(uri="s3://b/p", type="text/csv", env=server.env)   -> Digest, a dict of what it printed
    expected_digest(rows)                                              rows: features, then labels
"""

import os
import subprocess
from pathlib import Path

import numpy
import pytest
from conftest import REPO, clean_env

DRIVER = Path(os.environ.get("STREAM_DIGEST") or REPO / "build/release/tests/drivers/stream_digest")


class Digest(dict):
    """KEY=VALUE lines; numbers are ints. `epochs` lists the digests of the epochs."""

    def __init__(self, done):
        super().__init__()
        self.rc = done.returncode
        self.stderr = done.stderr
        self.epochs = []
        for line in done.stdout.splitlines():
            key, _, value = line.partition("=")
            if key == "epoch_digest":
                self.epochs.append(value)
            elif "digest" in key:
                self[key] = value
            else:
                self[key] = int(value) if value.isdigit() else value

    def ok(self):
        if self.rc != 0:
            pytest.fail(f"{self.get('result')}: {self.get('message')}\n{self.stderr}")
        return self


def digest(env=None, wrapper=(), timeout=120, transport=None, **job):
    """Each argument becomes KEY=VALUE; `uri` may be a list. `wrapper` goes before the command."""
    env = dict(env or {}) | ({"PENSTOCK_TRANSPORT": transport} if transport else {})
    uris = job.pop("uri")
    words = [f"uri={uri}" for uri in ([uris] if isinstance(uris, (str, Path)) else uris)]
    words += [f"{key}={value}" for key, value in job.items()]
    done = subprocess.run(
        [str(word) for word in (*wrapper, DRIVER, *words)],
        env=clean_env(env),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=timeout,
    )
    return Digest(done)


def expected_digest(rows):
    """FNV-1a over the bits of float32s; each row's features, then its labels."""
    value = 0xCBF29CE484222325
    for bits in numpy.asarray(rows, dtype=numpy.float32).ravel().view(numpy.uint32).tolist():
        value = ((value ^ bits) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return f"{value:016x}"


def csv_rows(text):
    """Rows of label-first CSV as the stream delivers them: features, then the label."""
    rows = [[float(field) for field in line.split(",")] for line in text.split()]
    return [row[1:] + row[:1] for row in rows]
