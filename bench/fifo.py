#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""bench/fifo.py - Pipe mode, measured: what a FIFO carries, what that costs, how soon it starts.

    make bench-fifo

First penstock bench fifo: one FIFO beside a program that vsplices memory. Then, from `penstock serve` on
loopback: CPU seconds per GiB of `penstock run` with its reader (dd, 1 MiB at a time), with pages and
with copies, beside `curl | dd`; the time between the end of an epoch and the first byte of the next;
and the time from the start of `penstock agent` to a reader's first
byte, with 10 and with 100,000 keys and 30 ms for each request, beside the time that one page of the
listing and one GET take with a plain client. Medians of interleaved rounds.
"""

import argparse
import http.client
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from serving import Server

MIB, GIB = 1 << 20, 1 << 30
LATENCY_MS = 30
KEYS = (10, 100_000)


def cpu_of(command, env=None):
    """CPU seconds of a command and all that it waited for."""
    process = subprocess.Popen([str(w) for w in command], env=env, stdout=subprocess.DEVNULL,
                               stderr=subprocess.PIPE)
    said = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(f"fifo.py: {command}: {said.decode()}")
    return usage.ru_utime + usage.ru_stime


def run_command(args, url, bucket, base, *options, verb="run"):
    return [str(w) for w in (args.penstock, verb, "--anonymous", "--endpoint-url", url, "--base", base,
                             "--channel", f"train=s3://{bucket}/", *options)]


def measure_cost(args, root, work):
    (root / "large").mkdir()
    for number in range(4):
        with open(root / "large" / f"object-{number}", "wb") as file:
            for _ in range(args.mib // 4):
                file.write(os.urandom(MIB))
    server = Server(args.penstock, root, work)
    read = " ".join(f'dd if="$1/input/data/train_{e}" of=/dev/null bs=1M;' for e in range(args.epochs))
    urls = " ".join(f"{server.url}/large/object-{n}" for n in range(4))
    curl = f"for e in $(seq {args.epochs}); do curl -sf {urls} | dd of=/dev/null bs=1M; done"
    # Half the data: what is fetched ahead of the last epoch that is read counts as well.
    ours = run_command(args, server.url, "large", work / "ml", "--memory-limit", "64MiB")
    shell = ["--", "sh", "-c", read, "sh", work / "ml"]
    commands = {"pages": [*ours, *shell], "copies": [*ours, "--no-vmsplice", *shell],
                "curl | dd": ["sh", "-c", curl]}
    costs = {name: [] for name in commands}
    for _ in range(args.rounds):
        for name, command in commands.items():
            costs[name].append(cpu_of(command) / (args.epochs * args.mib / 1024))
    server.stop()
    shutil.rmtree(root / "large")
    print(f"\nCPU of producer and reader, {args.epochs} epochs of {args.mib} MiB from S3 on loopback:")
    for name, seconds in costs.items():
        print(f"  {name:10} {statistics.median(seconds):6.3f} s/GiB ({min(seconds):.3f} .. {max(seconds):.3f})")


def plain_start(port, bucket):
    """One page of the listing, and the first object, by an ordinary client."""
    client = http.client.HTTPConnection("127.0.0.1", port)
    begin = time.monotonic()
    client.request("GET", f"/{bucket}?list-type=2&prefix=")
    client.getresponse().read()
    client.request("GET", f"/{bucket}/000000")
    client.getresponse().read()
    return time.monotonic() - begin


def first_byte(command, fifo):
    """Seconds from the start of an agent to the first byte in a reader that waits for its FIFO."""
    begin = time.monotonic()
    agent = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    while not fifo.exists():
        time.sleep(0.0005)
    fd = os.open(fifo, os.O_RDONLY)
    os.read(fd, 1)
    took = time.monotonic() - begin
    os.close(fd)
    agent.terminate()
    agent.wait()
    return took


def measure_gap(args, root, work):
    """Of 8 MiB epochs, which the ring holds ahead."""
    (root / "epoch").mkdir()
    for number in range(8):
        (root / "epoch" / f"object-{number}").write_bytes(os.urandom(MIB))
    server = Server(args.penstock, root, work, "--latency-ms", LATENCY_MS)
    command = run_command(args, server.url, "epoch", work / "ml", verb="agent")
    agent = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    gaps, ended = [], None
    for epoch in range(4 * args.rounds + 1):
        fifo = work / f"ml/input/data/train_{epoch}"
        while not fifo.exists():
            time.sleep(0.0005)
        with open(fifo, "rb", buffering=0) as stream:
            stream.read(1)
            if ended:
                gaps.append(time.monotonic() - ended)
            while stream.read(MIB):
                pass
        ended = time.monotonic()
    agent.terminate()
    agent.wait()
    server.stop()
    shutil.rmtree(root / "epoch")
    print(f"\nfrom the end of an epoch to the first byte of the next: {statistics.median(gaps) * 1e3:.2f} ms "
          f"({min(gaps) * 1e3:.2f} .. {max(gaps) * 1e3:.2f})")


def measure_start(args, root, work):
    print(f"\nfirst byte in the reader, {LATENCY_MS} ms a request:")
    for keys in KEYS:
        bucket = root / f"keys-{keys}"
        bucket.mkdir()
        for number in range(keys):
            (bucket / f"{number:06}").write_bytes(b"some bytes")
        server = Server(args.penstock, root, work, "--latency-ms", LATENCY_MS)
        command = run_command(args, server.url, bucket.name, work / "ml", verb="agent")
        ours, plain = [], []
        for _ in range(args.rounds):
            plain.append(plain_start(server.port, bucket.name))
            ours.append(first_byte(command, work / "ml/input/data/train_0"))
        server.stop()
        shutil.rmtree(bucket)
        ours_ms, plain_ms = statistics.median(ours) * 1e3, statistics.median(plain) * 1e3
        print(f"  {keys:7} keys: {ours_ms:6.1f} ms; page and GET alone {plain_ms:6.1f} ms; "
              f"{ours_ms - plain_ms:+.1f} ms")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--build", type=Path, default=Path("build/release"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--mib", type=int, default=1024, help="of data")
    args = parser.parse_args()
    args.penstock = args.build / "penstock"
    subprocess.run([args.penstock, "bench", "fifo", "--repeats", str(args.rounds)], check=True)
    with tempfile.TemporaryDirectory(dir="/dev/shm") as directory:
        root, work = Path(directory) / "root", Path(directory) / "work"
        root.mkdir()
        work.mkdir()
        measure_cost(args, root, work)
        measure_gap(args, root, work)
        measure_start(args, root, work)


if __name__ == "__main__":
    main()
