#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""tests/soak.py - streams for so long that memory which grows shows: `make soak`.

    tests/soak.py [--objects 100000] [--gib 20] [--io uring|epoll] [--transport direct|curl]

Reads that many small objects, then that many GiB of large ones, from `penstock serve`; the files
behind them are few, under many names. Prints resident memory over time. Exits with 1 when the bytes
are not those of the objects, or memory grows by more than 64 MiB after the first fifth of the time.
Not part of `make test`: it takes minutes. Run it with build/venv/bin/python.
"""

import argparse
import hashlib
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent / "integration"))
from conftest import ACCESS_KEY, REPO, SECRET_KEY, S3Server, clean_env  # noqa: E402
from digest import DRIVER  # noqa: E402

KIB, MIB = 1 << 10, 1 << 20
LINKS_MAX = 10_000  # of one file; ext4 allows 65,000
GROWTH_KIB_MAX = 64 * KIB
MEMORY_MIB = 32  # small, so that the ring has gone round early
LINES = 12


def make_objects(bucket, count, size):
    """`count` keys, in groups that share a file. Returns the SHA-256 of all bytes in key order."""
    bucket.mkdir()
    sha = hashlib.sha256()
    for first in range(0, count, LINKS_MAX):
        data = random.Random(first).randbytes(size)
        base = bucket / f"{first:08d}"
        base.write_bytes(data)
        sha.update(data)
        for number in range(first + 1, min(first + LINKS_MAX, count)):
            os.link(base, bucket / f"{number:08d}")
            sha.update(data)
    return sha.hexdigest()


def resident_kib(pid):
    """None when the process has ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return None
    lines = [line for line in status.splitlines() if line.startswith("VmRSS:")]
    return int(lines[0].split()[1]) if lines else None


def watch(process):
    """(seconds, KiB) until the process ends, ten times a second."""
    samples, start = [], time.monotonic()
    while process.poll() is None:
        kib = resident_kib(process.pid)
        if kib is not None:
            samples.append((time.monotonic() - start, kib))
        time.sleep(0.1)
    return samples


def soak(title, root, count, size, args):
    """Returns what is wrong, or None."""
    expected = make_objects(root / "soak", count, size)
    server = S3Server(args.penstock, root, (), root / ".serve", ACCESS_KEY, SECRET_KEY, "http")
    env = server.env | {"PENSTOCK_TRANSPORT": args.transport}
    words = ["uri=s3://soak", "type=application/octet-stream", f"io={args.io}"]
    try:
        with open(root / ".result", "w+", encoding="utf-8") as out:
            process = subprocess.Popen(
                [DRIVER, *words, f"memory_mib={MEMORY_MIB}"], env=clean_env(env), stdout=out
            )
            samples = watch(process)
            out.seek(0)
            result = dict(line.split("=", 1) for line in out.read().splitlines() if "=" in line)
    finally:
        server.stop()
    if not samples:
        return f"{title}: it ended at once: {result.get('message')}"
    seconds = samples[-1][0]
    print(f"{title}: {seconds:.1f} s, {count / seconds:.0f} objects/s, ", end="")
    print(f"{count * size / seconds / (1 << 30):.2f} GiB/s, {args.transport}, {args.io}")
    for moment, kib in samples[:: max(1, len(samples) // LINES)]:
        print(f"  {moment:8.1f} s {kib / KIB:8.1f} MiB")
    warm = max(kib for moment, kib in samples if moment <= seconds / 5)
    growth_kib = max(kib for _, kib in samples) - warm
    print(f"  after the first fifth it grew by {growth_kib / KIB:.1f} MiB", flush=True)
    if process.returncode != 0 or result.get("sha256_digest") != expected:
        return f"{title}: not the objects' bytes: {result.get('message', 'another SHA-256')}"
    if growth_kib > GROWTH_KIB_MAX:
        return f"{title}: resident memory grew by {growth_kib / KIB:.0f} MiB"
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--objects", type=int, default=100_000)
    parser.add_argument("--gib", type=float, default=20)
    parser.add_argument("--io", choices=["uring", "epoll"], default="uring")
    parser.add_argument("--transport", choices=["direct", "curl"], default="direct")
    args = parser.parse_args()
    args.penstock = REPO / "build/release/penstock"
    wrong = []
    for title, count, size in (
        (f"{args.objects} objects of 4 KiB", args.objects, 4 * KIB),
        (f"{args.gib:g} GiB in objects of 64 MiB", int(args.gib * 16), 64 * MIB),
    ):
        with tempfile.TemporaryDirectory(prefix="penstock-soak.") as root:
            fault = soak(title, Path(root), count, size, args) if count else None
        if fault:
            wrong.append(fault)
    for fault in wrong:
        print(f"soak: {fault}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
