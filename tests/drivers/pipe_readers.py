#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""tests/drivers/pipe_readers.py - read epochs of a Pipe mode channel as others do.

    pipe_readers.py READER PREFIX EPOCHS      reads the FIFOs PREFIX_0, PREFIX_1, ...

READER is one of
    cat         the program cat
    readinto    a script of one's own: AWS's pipe_bring_your_own example, 16 MiB at a time
    sdk         read_recordio of the SageMaker Python SDK itself
    tensorflow  what sagemaker-tensorflow's PipeModeDataset does with RecordIO
    mlio        what ml-io's SageMakerPipe does: a non-blocking open, and select with 60 s

Prints one line of JSON an epoch: {"epoch", "bytes", "records", "sha256"}. For readers of bytes the
hash is of all bytes and "records" is null; for readers of records it is of each payload with its
length, a little-endian u64, before it, and "bytes" counts payloads.
"""

import contextlib
import errno
import fcntl
import hashlib
import io
import json
import os
import select
import stat
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

MAGIC = 0xCED7230A


def report(epoch, chunks, are_records):
    digest = hashlib.sha256()
    count = total = 0
    for chunk in chunks:
        if are_records:
            digest.update(struct.pack("<Q", len(chunk)))
        digest.update(chunk)
        count += 1
        total += len(chunk)
    line = {"epoch": epoch, "bytes": total, "records": count if are_records else None}
    print(json.dumps({**line, "sha256": digest.hexdigest()}), flush=True)


def wait_until_there(path):
    """As the examples do: they look ten times a second."""
    while not (os.path.exists(path) and stat.S_ISFIFO(os.stat(path).st_mode)):
        time.sleep(0.1)


# --- bytes ----------------------------------------------------------------------------------------


def read_with_cat(prefix, epoch):
    wait_until_there(f"{prefix}_{epoch}")
    with subprocess.Popen(["cat", f"{prefix}_{epoch}"], stdout=subprocess.PIPE) as cat:
        while chunk := cat.stdout.read(1 << 20):
            yield chunk
    if cat.returncode != 0:
        sys.exit(f"cat ended with {cat.returncode}")


def read_into(prefix, epoch):
    wait_until_there(f"{prefix}_{epoch}")
    buffer = bytearray(16 << 20)
    with open(f"{prefix}_{epoch}", "rb", buffering=0) as fifo:
        while count := fifo.readinto(buffer):
            yield memoryview(buffer)[:count]


class Mlio:
    """The stream of ml-io's sagemaker_pipe_input_stream, one for each epoch."""

    TIMEOUT_S = 60
    CHUNK_BYTES = 32 << 20

    def __init__(self, prefix, epoch):
        for attempt in (1, 2, 3):
            try:
                flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
                self.fd = os.open(f"{prefix}_{epoch}", flags)
                break
            except OSError:
                if attempt == 3:
                    raise
                time.sleep(1)
        self.wait()

    def wait(self):
        readable, _, _ = select.select([self.fd], [], [], self.TIMEOUT_S)
        if not readable:
            raise TimeoutError("the SageMaker pipe channel timed out")

    def read(self):
        for attempt in (1, 2, 3):
            try:
                return os.read(self.fd, self.CHUNK_BYTES)
            except OSError as refused:
                if refused.errno != errno.EAGAIN or attempt == 3:
                    raise
            if attempt == 1:
                os.sched_yield()
            else:
                self.wait()

    def chunks(self):
        while chunk := self.read():
            yield chunk
        os.close(self.fd)


# --- records --------------------------------------------------------------------------------------


def read_with_sdk(prefix, epoch):
    with contextlib.redirect_stdout(io.StringIO()):  # it greets
        from sagemaker.serializer_utils import read_recordio

    wait_until_there(f"{prefix}_{epoch}")
    with open(f"{prefix}_{epoch}", "rb") as fifo:
        yield from read_recordio(fifo)


class PipeState:
    """Which FIFO is next, in a file under a lock, as PipeStateManager keeps it."""

    def __init__(self, directory, channel):
        self.lock = Path(directory, f".{channel}-pipe_mode-lock")
        self.state = Path(directory, f".{channel}-pipe_mode-state")
        with self.locked():
            if not self.state.exists():
                self.state.write_text("0")

    @contextlib.contextmanager
    def locked(self):
        with open(self.lock, "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def index(self):
        return int(self.state.read_text())

    def increment(self):
        with self.locked():
            self.state.write_text(str(int(self.state.read_text()) + 1))


class PipeModeDataset:
    """Refuses what the constructor refuses; each iterator opens a FIFO at once, and counts it."""

    CREATION_TIMEOUT_S = 120
    READ_BYTES = 64 << 10

    def __init__(self, prefix, state_directory):
        self.directory, self.channel = os.path.split(prefix)
        config_file = Path(self.directory).parent / "config" / "inputdataconfig.json"
        config = json.loads(config_file.read_text())
        if self.channel not in config:
            raise ValueError(f"Channel {self.channel} not found in Channels")
        if config[self.channel].get("TrainingInputMode") != "Pipe":
            raise ValueError(f"Channel {self.channel} is not a PipeMode channel")
        self.state = PipeState(state_directory, self.channel)

    def __iter__(self):
        path = f"{self.directory}/{self.channel}_{self.state.index()}"
        pause = 0
        while not os.path.exists(path):
            if pause >= self.CREATION_TIMEOUT_S:
                raise FileNotFoundError(path)
            pause += 1
            time.sleep(pause)
        fd = os.open(path, os.O_RDONLY)
        self.state.increment()
        return self.records(fd)

    def read(self, fd, count):
        """Up to `count` bytes: less only at the end, as it does."""
        parts = []
        while count:
            part = os.read(fd, min(count, self.READ_BYTES))
            if not part:
                break
            parts.append(part)
            count -= len(part)
        return b"".join(parts)

    def records(self, fd):
        record = b""
        while head := self.read(fd, 8):
            magic, word = struct.unpack("<II", head)
            if magic != MAGIC:
                raise RuntimeError(f"Invalid magic number: {magic}")
            size = word & ((1 << 29) - 1)
            record += self.read(fd, size)
            self.read(fd, -size % 4)
            if word >> 29 in (1, 2):
                continue
            yield record
            record = b""
        os.close(fd)


def main(reader, prefix, epochs):
    with tempfile.TemporaryDirectory() as state:
        dataset = PipeModeDataset(prefix, state) if reader == "tensorflow" else None
        ways = {
            "cat": lambda epoch: (read_with_cat(prefix, epoch), False),
            "readinto": lambda epoch: (read_into(prefix, epoch), False),
            "mlio": lambda epoch: (Mlio(prefix, epoch).chunks(), False),
            "sdk": lambda epoch: (read_with_sdk(prefix, epoch), True),
            "tensorflow": lambda epoch: (iter(dataset), True),
        }
        for epoch in range(int(epochs)):
            report(epoch, *ways[reader](epoch))


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])
