# SPDX-License-Identifier: Apache-2.0
"""tests/integration/run_fixtures.py - what the tests of `penstock run` and `penstock agent` share: data
in S3, and the program in the background."""

import contextlib
import os
import signal
import struct
import subprocess
import time

import numpy
import pytest
from conftest import clean_env

MAGIC = 0xCED7230A


def wrap(payload):
    return struct.pack("<II", MAGIC, len(payload)) + payload + bytes(-len(payload) % 4)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A bucket `data`: rec/ holds RecordIO files, raw/ odd bytes, of which one file is large."""
    root = tmp_path_factory.mktemp("run")
    draw = numpy.random.default_rng(3)
    rec, raw = [], []
    for number in range(5):
        records = [draw.bytes(int(n)) for n in draw.integers(0, 20_000, 40)]
        rec.append(b"".join(map(wrap, records)))
    for size in (1, 70_001, 5_000_003, 17, 300_002, 64):
        raw.append(draw.bytes(size))
    for name, files in (("rec", rec), ("raw", raw)):
        (root / "data" / name).mkdir(parents=True)
        for number, content in enumerate(files):
            (root / "data" / name / f"part-{number}").write_bytes(content)
    return root, rec, raw


class Run:
    """A `penstock run` (or agent) in the background, or to its end."""

    def __init__(self, penstock, base, env, *words, verb="run"):
        self.base = base
        self._err = base.parent / f"{base.name}.err"
        with open(self._err, "wb") as err:
            self.process = subprocess.Popen(
                [str(w) for w in (penstock, verb, "--base", base, *words)],
                env=clean_env(env),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=err,
                start_new_session=True,
            )

    def end(self, timeout=60):
        try:
            self.out = self.process.communicate(timeout=timeout)[0]
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.out = self.process.communicate()[0]
            pytest.fail(f"still running after {timeout} s: {self.err()}")
        return self.process.returncode

    def err(self):
        return self._err.read_text(errors="replace")

    def wait_for(self, path, timeout=20):
        deadline = time.monotonic() + timeout
        while not path.exists():
            if time.monotonic() > deadline or self.process.poll() is not None:
                pytest.fail(f"{path} does not appear: {self.err()}")
            time.sleep(0.01)
        return path


@pytest.fixture
def start(penstock, tmp_path):
    """start(env, *words, verb="run") -> Run, its tree below a directory of its own."""
    runs = []

    def begin(env, *words, verb="run", base=None):
        base = base or tmp_path / f"ml{len(runs)}"
        runs.append(Run(penstock, base, env, *words, verb=verb))
        return runs[-1]

    yield begin
    for run in runs:
        if run.process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(run.process.pid, signal.SIGKILL)
            run.process.communicate()


def shell(text, *args):
    return ["--", "sh", "-c", text, "sh", *args]
