#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""bench/parquet.py - Parquet files to rows of float32, beside pyarrow.

    make bench-parquet

Both take CPU time of one thread for a file in memory: bench/perf_parquet by the codec and by decode,
which in the pipe are two threads; pyarrow by read_table, and by making of its columns the same
row-major array of float32 (numpy, 4096 rows at a time, the fastest way found), without which there
would be no batch. Medians of interleaved rounds; MB are of float32 rows. "two threads" is what a
second one brings the codec by the clock, which wants two idle processors (1.6 is required there), of
what CPU time says that it can.
"""

import argparse
import io
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import numpy
import pyarrow
from pyarrow import parquet

MB = 1e6


def numbers(rows, columns, kind, nulls=0.0, few=False):
    random = numpy.random.default_rng(1)
    arrays = {}
    for i in range(columns):
        values = random.integers(0, 500, rows) if few else random.normal(size=rows) * 1000
        mask = random.random(rows) < nulls if nulls else None
        arrays[f"c{i}"] = pyarrow.array(values.astype(kind), mask=mask)
    return pyarrow.table(arrays)


FILES = {
    "float64 plain, none": (lambda: numbers(300_000, 50, "f8"), {"compression": "none", "use_dictionary": False}),
    "float32 plain, none": (lambda: numbers(300_000, 50, "f4"), {"compression": "none", "use_dictionary": False}),
    "float64 plain, snappy": (lambda: numbers(300_000, 50, "f8"), {"compression": "snappy", "use_dictionary": False}),
    "float64 nulls, snappy": (lambda: numbers(300_000, 50, "f8", 0.1), {"compression": "snappy", "use_dictionary": False}),
    "int64 dictionary, snappy": (lambda: numbers(300_000, 50, "i8", few=True), {"compression": "snappy"}),
    "int64 dictionary, zstd": (lambda: numbers(300_000, 50, "i8", few=True), {"compression": "zstd"}),
    "int32 delta, none": (
        lambda: numbers(300_000, 50, "i4"),
        {
            "compression": "none",
            "use_dictionary": False,
            "column_encoding": {f"c{i}": "DELTA_BINARY_PACKED" for i in range(50)},
        },
    ),
    "float32 split, zstd": (
        lambda: numbers(300_000, 50, "f4"),
        {
            "compression": "zstd",
            "use_dictionary": False,
            "column_encoding": {f"c{i}": "BYTE_STREAM_SPLIT" for i in range(50)},
        },
    ),
    "float32 of 8 columns, snappy": (lambda: numbers(2_000_000, 8, "f4"), {"compression": "snappy", "use_dictionary": False}),
}


def to_rows(table):
    out = numpy.empty((table.num_rows, table.num_columns), numpy.float32)
    columns = [c.to_numpy() for c in table.columns]
    for at in range(0, table.num_rows, 4096):
        for i, column in enumerate(columns):
            out[at : at + 4096, i] = column[at : at + 4096]
    return out


def pyarrow_seconds(data):
    before = time.thread_time()
    table = parquet.ParquetFile(io.BytesIO(data), pre_buffer=False).read(use_threads=False)
    read = time.thread_time()
    to_rows(table)
    return read - before, time.thread_time() - read


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", default="build/release", type=Path)
    parser.add_argument("--rounds", default=5, type=int)
    options = parser.parse_args()
    pyarrow.set_cpu_count(1)
    pyarrow.set_io_thread_count(1)
    print(f"{'':30} {'codec':>7} {'decode':>7} {'pyarrow':>8} {'+ rows':>7}   MB/s of rows")
    with tempfile.TemporaryDirectory() as work:
        for name, (make, how) in FILES.items():
            path = Path(work) / "file.parquet"
            table = make()
            parquet.write_table(table, path, **how)
            size = table.num_rows * table.num_columns * 4 / MB
            data = path.read_bytes()
            ours, theirs, gains, limits = [], [], [], []
            for _ in range(options.rounds):
                done = subprocess.run(
                    [options.build / "bench/perf_parquet", "application/x-parquet;label_size=0", path],
                    check=True, capture_output=True, text=True,
                )
                rows, _, codec, decode, gain, limit = done.stdout.split()
                gains.append(float(gain))
                limits.append(float(limit))
                assert int(rows) == table.num_rows
                ours.append((float(codec), float(decode)))
                theirs.append(pyarrow_seconds(data))
            codec, decode = (statistics.median(t[i] for t in ours) for i in (0, 1))
            read, rows = (statistics.median(t[i] for t in theirs) for i in (0, 1))
            print(
                f"{name:30} {size / codec:7.0f} {size / decode:7.0f} {size / read:8.0f} {size / (read + rows):7.0f}"
                f"   {(read + rows) / (codec + decode):.2f} x, codec alone {(read + rows) / codec:.2f} x"
                f"   two threads {statistics.median(gains):.2f} x"
                f" of {statistics.median(limits):.2f} x",
                flush=True,
            )


if __name__ == "__main__":
    main()
