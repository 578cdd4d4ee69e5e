#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""bench/transport.py - what it costs to move an object store's bytes into memory.

Reads the same objects with the library (direct and curl transport, io_uring and epoll), with a bare
receive loop into the same kind of ring (the floor) and with other clients (as penstock bench rivals
does), interleaved, from `penstock serve` and nginx on loopback, plain and over TLS. Prints medians of GiB/s, CPU seconds of
the client per GiB, system calls per MiB, bytes copied by the library per body byte and allocations
per part in steady state; then what is required of the library, as medians of the ratios within a
round. `make bench-transport` runs it. Exits with 1 when an origin or a client fails.
"""

import argparse
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from transport_origins import CannotStart, Origins

REPO = Path(__file__).resolve().parents[1]
KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
OBJECTS = 4
OURS = ["direct, uring", "direct, epoll", "curl, uring", "curl, epoll"]
# What is required: the CPU of one line against another's; over which parts and schemes.
REQUIRED = [
    ("direct, uring", "floor", 1.15, "http", [8 * MIB]),
    ("direct, epoll", "floor", 1.30, "http", [8 * MIB]),
    ("direct, uring", "curl, uring", 0.70, "http", [8 * MIB]),
    ("direct, epoll", "curl, epoll", 0.70, "http", [8 * MIB]),
    ("direct, uring", "curl, uring", 0.50, "http", [256 * KIB]),
    ("direct, epoll", "curl, epoll", 0.50, "http", [256 * KIB]),
    ("direct, uring", "curl, uring", 0.80, "https", None),
    ("direct, epoll", "curl, epoll", 0.80, "https", None),
]


def part_name(part_bytes):
    if part_bytes is None:
        return "its own"
    return f"{part_bytes // MIB} MiB" if part_bytes >= MIB else f"{part_bytes // KIB} KiB"


class Failed(Exception):
    """A measurement could not be made; the text says why."""


class Bench:
    def __init__(self, args, origins):
        self.args, self.origins = args, origins
        self.rows = {}  # (scheme, origin, part or None, name) -> one dict per round
        self.notes = set()

    def passes(self, origin):
        """TLS takes longer: half as much of it says as much."""
        return self.args.passes if origin.scheme == "http" else max(self.args.passes // 2, 1)

    def ask(self, program, origin, *words, **env):
        """What a command of penstock bench has measured, of one repeat."""
        args = [self.args.build / program, "bench", *words, "--repeats", 1, "--quiet", "--json", "-"]
        done = subprocess.run([str(a) for a in args], env=self.origins.environment(origin, **env),
                              capture_output=True, text=True)
        if done.returncode != 0:
            raise Failed(f"{words[0]} from {origin.name} over {origin.scheme}: {done.stderr.strip()}")
        return json.loads(done.stdout)

    def measure_ours(self, origin, counted):
        """The transports and the floor, in all part sizes."""
        said = self.ask("bench/penstock-counted", origin, "transport", "s3://bench/", "--anonymous",
                        "--endpoint-url", origin.endpoint, "--part-sizes",
                        ",".join(map(str, self.args.parts)), "--connections",
                        self.args.connections, "--memory-limit", f"{self.args.ring}MiB", "--seconds",
                        self.args.seconds, "--warmup-s", self.args.seconds / 2,
                        **({"PERF_COUNT_SYSCALLS": "1"} if counted else {}))
        for variant in said["variants"]:
            if variant["repeats"]:
                name = variant["name"].rpartition(", ")[0]
                self.keep(origin, variant["part_bytes"], name, variant["repeats"][0]["figures"])

    def measure_rivals(self, origin):
        """Each variant's figures, and what is said of those that cannot take part."""
        said = self.ask("penstock", origin, "rivals", "s3://bench/", "--python",
                        self.args.peer_python, "--rivals", "s5cmd,boto3,s3torchconnector",
                        "--epochs", self.passes(origin), "--dir", self.origins.dir)
        self.notes.update(f"{note} ({origin.scheme} from {origin.name})" for note in said["notes"])
        return {variant["name"]: variant["repeats"][0]["figures"] for variant in said["variants"][2:]
                if variant["repeats"]}

    def keep(self, origin, part_bytes, name, figures):
        fields = {"rate": "gib_per_s", "cpu": "cpu_s_per_gib", "copied": "copied_per_byte",
                  "allocations": "allocations_per_part", "syscalls": "calls_per_mib"}
        row = {field: figures[name] for field, name in fields.items()
               if figures[name] is not None}
        self.rows.setdefault((origin.scheme, origin.name, part_bytes, name), []).append(row)

    def round(self, number):
        # Round 0 warms up; system calls are counted in it, for that costs time.
        for origin in self.origins.all:
            self.measure_ours(origin, number == 0)
            for name, figures in (self.measure_rivals(origin) if self.args.peers else {}).items():
                self.keep(origin, None, name, figures)

    # ---- what is printed ----

    def median(self, key, field):
        rows = self.rows[key]
        values = [row[field] for row in (rows[:1] if field == "syscalls" else rows[1:] or rows)
                  if field in row]
        return statistics.median(values) if values else None

    def ratio(self, key, other):
        pairs = list(zip(self.rows[key], self.rows[other]))
        return statistics.median(a["cpu"] / b["cpu"] for a, b in (pairs[1:] or pairs))

    def print_table(self):
        def cell(value, form):
            return "-" if value is None else format(value, form)

        last = None
        for key in sorted(self.rows, key=lambda k: (k[0], k[1], -(k[2] or 0))):
            scheme, origin, part_bytes, name = key
            if (scheme, origin) != last:
                last = (scheme, origin)
                print(f"\n{scheme} from {'penstock serve' if origin == 'serve' else origin}\n"
                      f"  {'part':8} {'client':24} {'GiB/s':>6} {'CPU-s/GiB':>10} {'/floor':>7} "
                      f"{'calls/MiB':>10} {'copied':>8} {'allocs/part':>12}")
            floor = (scheme, origin, part_bytes or max(self.args.parts), "floor")
            print(f"  {part_name(part_bytes):8} {name:24} {self.median(key, 'rate'):6.2f} "
                  f"{self.median(key, 'cpu'):10.3f} {self.ratio(key, floor):7.2f} "
                  f"{cell(self.median(key, 'syscalls'), '10.2f'):>10} "
                  f"{cell(self.median(key, 'copied'), '8.4f'):>8} "
                  f"{cell(self.median(key, 'allocations'), '12.3f'):>12}")

    def check(self, what, value, most):
        print(f"  {'holds ' if value <= most else 'MISSED'} {what}: {value:.3f} <= {most:.2f}")

    def print_required(self):
        print("\nrequired (CPU ratios are medians of the ratios within a round)")
        for origin in self.origins.all:
            for name, against, most, scheme, parts in REQUIRED:
                for part_bytes in parts or self.args.parts:
                    key = (origin.scheme, origin.name, part_bytes)
                    if scheme == origin.scheme and part_bytes in self.args.parts:
                        self.check(f"{scheme} {origin.name} {part_name(part_bytes)}: CPU of "
                                   f"{name} / {against}",
                                   self.ratio((*key, name), (*key, against)), most)
        direct = [k for k in self.rows if k[3].startswith("direct")]
        for scheme in self.args.schemes:
            keys = [k for k in direct if k[0] == scheme]
            if scheme == "http":
                self.check("http: most bytes copied per body byte, any part size",
                           max(self.median(k, "copied") for k in keys), 0.01)
            self.check(f"{scheme}: most allocations per part, any part size",
                       max(self.median(k, "allocations") or 0 for k in keys), 0)
        for key in [k for k in self.rows if k[2] is None]:
            ours = [(*key[:2], max(self.args.parts), name) for name in OURS if "direct" in name]
            where = f"{key[0]} {key[1]}: direct, the worse backend / {key[3]}"
            self.check(f"{where}, CPU",
                       max(self.median(k, "cpu") for k in ours) / self.median(key, "cpu"), 1)
            self.check(f"{where}, time",
                       self.median(key, "rate") / min(self.median(k, "rate") for k in ours), 1)

    def run(self):
        for number in range(self.args.rounds + 1):
            self.round(number)
            if sys.stderr.isatty():
                print(f"\rround {number} of {self.args.rounds} ", end="", file=sys.stderr, flush=True)
        self.print_table()
        self.print_required()
        print("", *sorted(self.notes), sep="\n")


def parse_args():
    venv = REPO / "build/venv/bin/python"
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0].partition(" - ")[2])
    parser.add_argument("--build", type=Path, default=REPO / "build/release", metavar="DIR",
                        help="where the programs were built (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="after one to warm up (default: 5)")
    parser.add_argument("--mib", type=int, default=256, help="of objects (default: 256)")
    parser.add_argument("--seconds", type=float, default=1, help="of a measurement (default: 1)")
    parser.add_argument("--passes", type=int, default=8, help="of other clients over the objects (default: 8)")
    parser.add_argument("--ring", type=int, default=128, help="MiB of memory (default: 128)")
    parser.add_argument("--connections", type=int, default=16, help="of the floor (default: 16)")
    parser.add_argument("--parts", type=int, nargs="+", default=[256 * KIB, MIB, 8 * MIB],
                        metavar="BYTES", help="part sizes (default: 256 KiB, 1 MiB, 8 MiB)")
    parser.add_argument("--origins", nargs="+", choices=["serve", "nginx"],
                        default=["serve", "nginx"] if shutil.which("nginx") else ["serve"])
    parser.add_argument("--schemes", nargs="+", choices=["http", "https"],
                        default=["http", "https"])
    parser.add_argument("--no-peers", dest="peers", action="store_false", help="only penstock")
    parser.add_argument("--peer-python", default=str(venv if venv.exists() else sys.executable),
                        metavar="PROGRAM", help="Python that has the peers (default: %(default)s)")
    return parser.parse_args()


def main():
    args = parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    directory = tempfile.mkdtemp(prefix="penstock-bench-",
                                 dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None)
    origins = None
    try:
        origins = Origins(directory, args.build / "penstock", OBJECTS,
                          args.mib * MIB // OBJECTS)
        for name in args.origins:
            origins.start(name, args.schemes)
        if "nginx" not in args.origins:
            print("nginx is not measured (apt-get install nginx-light)")
        Bench(args, origins).run()
    except (CannotStart, Failed) as error:
        print(f"transport.py: {error}", file=sys.stderr)
        return 1
    finally:
        if origins:
            origins.stop()
        shutil.rmtree(directory, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
