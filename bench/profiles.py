#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""bench/profiles.py - penstock bench beside servers whose rate and latency are known.

    make bench-profiles

`penstock serve` is given a rate and a latency: 10 Gbit/s at 1, 30 and 100 ms, throttled, slower
beyond so many connections; `penstock bench read` has to measure them, within 5 %. What `bench sweep`
recommends, run again, has to bring what its best cell brought within 5 %, with no more than 1.25
times the best cell's connections. And what a delay of 20 ms every ten steps of `bench train` does has
to show as the stall that it is. Where bench says that a rate is coarse, it is measured for as long as
bench advises. Lines begin with "holds" or "MISSED". On a machine with two cores,
busy with other work, 10 Gbit/s are near what server and client together can do.
"""

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

MIB = 1 << 20
GIB = 1 << 30
RATES = (  # name, options of the server, of bench read, GB/s
    ("10 Gbit/s, 1 ms", ("--rate-total-mbps", 10000, "--latency-ms", 1), (), 1.25),
    ("10 Gbit/s, 30 ms", ("--rate-total-mbps", 10000, "--latency-ms", 30), (), 1.25),
    ("10 Gbit/s, 100 ms", ("--rate-total-mbps", 10000, "--latency-ms", 100), (), 1.25),
    ("1 Gbit/s, 30 ms", ("--rate-total-mbps", 1000, "--latency-ms", 30), (), 0.125),
    ("200 Mbit/s for each of 8 connections", ("--rate-mbps", 200),
     ("--connections", 8, "--part-size", "1MiB"), 0.2),
    ("2 Gbit/s, slower beyond 8, with 16 connections",
     ("--rate-total-mbps", 2000, "--slow-beyond", 8),
     ("--connections", 16, "--part-size", "1MiB"), 0.125),
)
LATENCIES_MS = (1, 30, 100)
SWEEPS = (  # name, options of the server, grid
    ("10 Gbit/s, 1 ms", ("--rate-total-mbps", 10000, "--latency-ms", 1), "1,2,4,8,16,32x8MiB,2MiB"),
    ("10 Gbit/s, 30 ms", ("--rate-total-mbps", 10000, "--latency-ms", 30),
     "2,4,8,16,32,64x8MiB,4MiB"),
    ("10 Gbit/s, 100 ms", ("--rate-total-mbps", 10000, "--latency-ms", 100),
     "4,8,16,32,64,128x8MiB"),
    ("500 Mbit/s a connection, 4 Gbit/s in all", ("--rate-total-mbps", 4000, "--rate-mbps", 500),
     "1,2,4,8,16,32x4MiB,1MiB"),
    ("the same, slower beyond 12",
     ("--rate-total-mbps", 4000, "--rate-mbps", 500, "--slow-beyond", 12),
     "1,2,4,8,16,32x4MiB,1MiB"),
)


class Bench:
    def __init__(self, args, work):
        self.args, self.work = args, work
        self.root = work / "root"
        (self.root / "data").mkdir(parents=True)
        first = self.root / "data/object-00"
        first.write_bytes(os.urandom(64 * MIB))
        for number in range(1, 64):  # 4 GiB of which 64 MiB are stored
            (self.root / f"data/object-{number:02}").symlink_to(first.name)
        self.missed = self.required = 0

    def judge(self, holds, text):
        self.required += 1
        self.missed += not holds
        print(f"  {'holds ' if holds else 'MISSED'}  {text}", flush=True)

    def serve(self, *options):
        port_file = self.work / "port"
        port_file.unlink(missing_ok=True)
        command = [self.args.penstock, "serve", "--anonymous", "--port", 0, "--port-file", port_file,
                   *options, self.root]
        server = subprocess.Popen([str(word) for word in command],
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while not port_file.exists():
            if server.poll() is not None:
                sys.exit("profiles.py: penstock serve did not start")
            time.sleep(0.01)
        self.endpoint = f"http://127.0.0.1:{int(port_file.read_text())}"
        return server

    def run(self, command, *words):
        """What --json holds of a command, of the server's objects unless it names others."""
        out = self.work / "bench.json"
        where = [] if command == "train" else ["s3://data/", "--anonymous", "--endpoint-url", self.endpoint]
        done = subprocess.run([str(word) for word in (self.args.penstock, "bench", command, *where,
                               *words, "--quiet", "--json", out)], capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(f"profiles.py: bench {command}: {done.stderr}")
        return json.loads(out.read_text())


def figures_of(result, name):
    return [repeat["figures"][name] for repeat in result["variants"][0]["repeats"]]


def spread(values, unit):
    return f"{statistics.median(values):.4g} {unit} ({min(values):.4g} to {max(values):.4g})"


def read_for(bench, words, seconds):
    return bench.run("read", *words, "--seconds", seconds, "--warmup-s", 1.5, "--repeats",
                     bench.args.repeats)


def advised_seconds(result):
    """What bench's note says of rates that are coarse: ten times as long as a request takes."""
    return math.ceil(10 * statistics.median(figures_of(result, "request_p50_s")))


def measure_rates(bench):
    print(f"\nrates, {bench.args.repeats} repeats of {bench.args.seconds} s:")
    for name, options, words, gb_per_s in RATES:
        server = bench.serve(*options)
        result = read_for(bench, words, bench.args.seconds)
        advised_s = advised_seconds(result)
        if advised_s > bench.args.seconds:
            result = read_for(bench, words, advised_s)
        rates = figures_of(result, "gb_per_s")
        server.terminate()
        server.wait()
        off = statistics.median(rates) / gb_per_s - 1
        bench.judge(abs(off) <= 0.05, f"{name}: {spread(rates, 'GB/s')} of {gb_per_s}: {off:+.1%}; "
                    f"limited by {result['variants'][0]['limit']}")


def measure_latencies(bench):
    """Of requests that wait for no other: one connection, small parts."""
    print("\nlatency, to the first byte of a request, and of the stream behind a listing:")
    for latency_ms in LATENCIES_MS:
        server = bench.serve("--latency-ms", latency_ms)
        result = bench.run("read", "--connections", 1, "--part-size", "64KiB", "--seconds", 2,
                           "--warmup-s", 0, "--repeats", 3)
        server.terminate()
        server.wait()
        p50_ms = 1e3 * result["variants"][0]["summary"]["request_first_byte_p50_s"]["median"]
        first_ms = 1e3 * statistics.median(figures_of(result, "first_byte_s"))
        most_ms = max(0.05 * latency_ms, 0.5)
        bench.judge(0 <= p50_ms - latency_ms <= most_ms,
                    f"{latency_ms} ms: p50 {p50_ms:.2f} ms, within {most_ms:.1f} ms; "
                    f"first byte {first_ms:.1f} ms, of {2 * latency_ms}")


def measure_sweeps(bench):
    print("\nwhat a sweep recommends, run again:")
    for name, options, grid in SWEEPS:
        server = bench.serve(*options)
        began = time.monotonic()
        result = bench.run("sweep", "--grid", grid, "--seconds", 1.5)
        took_s = time.monotonic() - began
        again = bench.run("read", *result["recommended"].split(), "--seconds", 2, "--repeats", 5)
        server.terminate()
        server.wait()
        cells = [(cell["summary"]["received_gib_per_s"]["median"], cell["connections"])
                 for cell in result["variants"]]
        best, best_connections = max(cells)
        rate = statistics.median(figures_of(again, "received_gib_per_s"))
        connections = int(result["recommended"].split()[1])
        axes = [axis.count(",") + 1 for axis in grid.split("x")]
        text = (f"{name}: {result['recommended']}: {rate * GIB / 1e9:.4g} GB/s, "
                f"{rate / best - 1:+.1%} of the best ({best_connections} connections); "
                f"{len(cells)} of {axes[0] * axes[1]} cells in {took_s:.0f} s; met {result['met']}")
        bench.judge(rate >= 0.95 * best and connections <= 1.25 * best_connections, text)


def measure_stall(bench):
    print("\na delay of 20 ms every ten steps:")
    rows = bench.work / "rows"
    rows.mkdir()
    (rows / "rows.csv").write_text(("0.25," * 39 + "0.5\n") * 40_000)
    for step_ms, idle_ms in ((5, 15), (10, 10), (15, 5)):
        stalls = figures_of(bench.run("train", rows, "--content-type", "text/csv", "--batch-size", 20,
                                      "--step-ms", step_ms, "--inject-ms", 20, "--inject-every", 10,
                                      "--seconds", 4, "--repeats", 5, "--memory-limit", "16MiB"),
                            "device_stall_percent")
        truth = 100 * idle_ms / (10 * step_ms + idle_ms)
        off = statistics.median(stalls) / truth - 1
        bench.judge(abs(off) <= 0.05,
                    f"steps of {step_ms} ms: stall {spread(stalls, '%')} of {truth:.4g}: {off:+.1%}")


MEASURES = {"rates": measure_rates, "latencies": measure_latencies, "sweeps": measure_sweeps,
            "stall": measure_stall}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--build", type=Path, default=Path("build/release"))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--only", choices=MEASURES, action="append", help="default: all")
    args = parser.parse_args()
    args.penstock = args.build / "penstock"
    print(f"{len(os.sched_getaffinity(0))} CPUs, load {os.getloadavg()[0]:.1f} before this began")
    with tempfile.TemporaryDirectory(dir="/dev/shm") as directory:
        bench = Bench(args, Path(directory))
        for name in args.only or MEASURES:
            MEASURES[name](bench)
    print(f"\n{bench.required} required, {bench.missed} missed")


if __name__ == "__main__":
    main()
