#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""bench/start.py - time to the first batch, Pipe mode beside File mode, for 1, 10 and 100 GB.

    make bench-start

`penstock bench start` of shards of recordio-protobuf from `penstock serve`, 30 ms a request and 1.6
Gbit/s, which is what 16 to 32 requests at a time get across a region. The server has one shard of 100
MB and serves it under ten, a hundred and a thousand names: none of the data is stored twice. File mode
downloads to a directory, and so only what there is room and patience for (--file-gb). The table that
it prints is the README's. Then it says whether the first batch of 100 GB comes as soon as that of 1 GB.
"""

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

FEATURES, SHARD_BYTES = 784, 100_000_000
SIZES_GB = (1, 10, 100)
GROWTH_MAX = 1.25


def make_shard(penstock, work):
    """A shard of about 100 MB, of rows of zeros and ones: a few blocks of them, over and over, for
    shards are records back to back."""
    row = ",".join(str((7 * i >> 2) % 2) for i in range(FEATURES))
    (work / "rows.csv").write_text(f"1,{row}\n" * 1000)
    out = work / "packed"
    subprocess.run([penstock, "pack", "--csv", work / "rows.csv", "--output", out], check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    block = next(path for path in sorted(out.iterdir()) if path.is_file()).read_bytes()
    return block * (SHARD_BYTES // len(block))


def bench_start(args, endpoint, bucket, mode, repeats):
    out = args.work / "bench.json"
    command = [args.penstock, "bench", "start", f"s3://{bucket}/", "--anonymous", "--endpoint-url",
               endpoint, "--content-type", "application/x-recordio-protobuf", "--modes", mode,
               "--repeats", repeats, "--dir", args.dir, "--quiet", "--json", out]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"start.py: {done.stderr}")
    variant = json.loads(out.read_text())["variants"][0]
    return [repeat["figures"]["first_batch_s"] for repeat in variant["repeats"]]


def measure(args, root):
    shard = make_shard(args.penstock, args.work)
    for size_gb in SIZES_GB:
        bucket = root / f"gb-{size_gb}"
        bucket.mkdir(parents=True)
        (bucket / "part-00000").write_bytes(shard)
        for number in range(1, size_gb * 10**9 // len(shard)):
            (bucket / f"part-{number:05}").symlink_to("part-00000")
    port_file = args.work / "port"
    command = [args.penstock, "serve", "--anonymous", "--port", 0, "--port-file", port_file,
               "--latency-ms", args.latency_ms, "--rate-total-mbps", args.rate_mbps, root]
    server = subprocess.Popen([str(word) for word in command], stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL)
    try:
        while not port_file.exists():
            if server.poll() is not None:
                sys.exit("start.py: penstock serve did not start")
            time.sleep(0.01)
        endpoint = f"http://127.0.0.1:{int(port_file.read_text())}"
        for size_gb in SIZES_GB:
            pipe = bench_start(args, endpoint, f"gb-{size_gb}", "pipe", args.repeats)
            file = None
            if size_gb <= args.file_gb:
                file = bench_start(args, endpoint, f"gb-{size_gb}", "file", 1)[0]
            yield size_gb, pipe, file
    finally:
        server.terminate()
        server.wait()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--build", type=Path, default=Path("build/release"))
    parser.add_argument("--repeats", type=int, default=5, help="of Pipe mode (default: %(default)s)")
    parser.add_argument("--latency-ms", type=int, default=30)
    parser.add_argument("--rate-mbps", type=int, default=1600)
    parser.add_argument("--file-gb", type=float, default=10,
                        help="File mode downloads up to so many GB (default: %(default)s)")
    parser.add_argument("--dir", default=tempfile.gettempdir(), help="where to (default: %(default)s)")
    args = parser.parse_args()
    args.penstock = args.build / "penstock"
    firsts = {}
    with tempfile.TemporaryDirectory(dir="/dev/shm") as directory:
        args.work = Path(directory)
        print(f"time to the first batch, {args.latency_ms} ms a request, {args.rate_mbps} Mbit/s\n\n"
              f"| data | Pipe (least to most) | File |\n|---|---|---|")
        for size_gb, pipe, file in measure(args, args.work / "root"):
            firsts[size_gb] = statistics.median(pipe)
            line_s = size_gb * 8000 / args.rate_mbps
            print(f"| {size_gb} GB | {firsts[size_gb]:.2f} s ({min(pipe):.2f} to {max(pipe):.2f}) | "
                  + (f"{file:.1f} s |" if file else f"over {line_s:.0f} s (not run) |"), flush=True)
        shutil.rmtree(args.work / "root")
    growth = firsts[SIZES_GB[-1]] / firsts[SIZES_GB[0]]
    print(f"\n  {'holds ' if growth <= GROWTH_MAX else 'MISSED'}  first batch of {SIZES_GB[-1]} GB: "
          f"{growth:.2f} times as long as of {SIZES_GB[0]} GB, at most {GROWTH_MAX}")


if __name__ == "__main__":
    main()
