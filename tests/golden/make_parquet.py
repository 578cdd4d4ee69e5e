#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""tests/golden/make_parquet.py - small Parquet files by pyarrow, for tests/unit/test_parquet.c and the
fuzzer.

    build/venv/bin/python tests/golden/make_parquet.py

Rewrites tests/golden/parquet/NAME.parquet and NAME.rows, which is what application/x-parquet with
label_size=0 makes of it: u32 rows, u32 columns, float32[rows][columns] (NaN where there is none), and
of each row each text, in its length as u32 and its bytes. Rewrites tests/fuzz/corpus/fuzz_parquet: two
bytes (see tests/fuzz/fuzz_parquet.c) and such a file.

The files hold pyarrow's version; their rows depend on nothing but this file.
"""

import itertools
import struct
from pathlib import Path

import numpy
import pyarrow
from pyarrow import parquet

GOLDEN = Path(__file__).resolve().parent / "parquet"
CORPUS = Path(__file__).resolve().parents[1] / "fuzz/corpus/fuzz_parquet"
ROWS = 40


def column(kind, values, nulls=0.0, seed=1):
    mask = numpy.random.default_rng(seed).random(len(values)) < nulls
    return pyarrow.array(values, kind, mask=mask)


def numbers(rows, nulls):
    random = numpy.random.default_rng(7)
    return pyarrow.table(
        {
            "flag": column(pyarrow.bool_(), random.integers(0, 2, rows).astype(bool).tolist(), nulls, 1),
            "i32": column(pyarrow.int32(), random.integers(-(2**31), 2**31, rows).tolist(), nulls, 2),
            "u64": column(pyarrow.uint64(), (random.integers(0, 2**63, rows) * 2.0).tolist(), nulls, 3),
            "few": column(pyarrow.int64(), random.integers(-2, 3, rows).tolist(), nulls, 4),
            "f32": column(pyarrow.float32(), random.normal(size=rows).tolist(), nulls, 5),
            "f64": column(pyarrow.float64(), random.normal(size=rows).tolist(), nulls, 6),
        }
    )


def texts(rows, nulls):
    words = ["", "a", "longer than the others", "Grüße"]
    return pyarrow.table(
        {
            "n": column(pyarrow.float32(), [i / 8 for i in range(rows)]),
            "t": column(pyarrow.string(), [words[i * i % 4] for i in range(rows)], nulls, 1),
            "b": column(pyarrow.binary(3), [bytes([i, 0, i]) for i in range(rows)], nulls, 2),
            "u": column(pyarrow.string(), [f"{i:0{i}}" for i in range(rows)], nulls, 3),
        }
    )


def long(rows):
    """Rows for several stripes, in pages that end anywhere in them."""
    random = numpy.random.default_rng(9)
    return pyarrow.table(
        {
            "few": column(pyarrow.int64(), random.integers(-2, 3, rows).tolist(), 0.1, 1),
            "i32": column(pyarrow.int32(), [i // 7 for i in range(rows)]),
            "f32": column(pyarrow.float32(), [i % 50 / 8 for i in range(rows)], 0.02, 2),
            "flag": column(pyarrow.bool_(), [i % 3 == 0 for i in range(rows)]),
        }
    )


FILES = {
    "plain": (numbers(ROWS, 0), {"compression": "none", "use_dictionary": False}),
    "snappy": (numbers(ROWS, 0.2), {"compression": "snappy", "row_group_size": 17, "data_page_size": 40}),
    "gzip": (numbers(ROWS, 0.3), {"compression": "gzip", "data_page_version": "2.0"}),
    "zstd": (numbers(ROWS, 0), {"compression": "zstd", "write_page_checksum": True, "row_group_size": 30}),
    "lz4": (numbers(ROWS, 0.9), {"compression": "lz4", "data_page_size": 20, "write_batch_size": 9}),
    "delta": (
        numbers(ROWS, 0.1).select(["i32", "few"]),
        {"use_dictionary": False, "column_encoding": dict.fromkeys(["i32", "few"], "DELTA_BINARY_PACKED")},
    ),
    "split": (
        numbers(ROWS, 0.1).select(["i32", "f32", "f64"]),
        {
            "use_dictionary": False,
            "data_page_version": "2.0",
            "column_encoding": dict.fromkeys(["i32", "f32", "f64"], "BYTE_STREAM_SPLIT"),
        },
    ),
    "texts": (texts(ROWS, 0.2), {"compression": "snappy", "data_page_size": 60, "write_batch_size": 8}),
    "text_lengths": (
        texts(ROWS, 0).select(["n", "t", "u"]),
        {
            "compression": "none",
            "use_dictionary": False,
            "column_encoding": {"t": "DELTA_LENGTH_BYTE_ARRAY", "u": "PLAIN"},
        },
    ),
    "empty": (numbers(0, 0), {}),
    "long": (
        long(1500),
        {
            "compression": "snappy",
            "use_dictionary": ["few", "f32"],
            "row_group_size": 1100,
            "data_page_size": 250,
            "write_batch_size": 61,
        },
    ),
}


def is_text(name):
    return name in ("t", "b", "u")


def rows_of(table):
    features = [
        numpy.array([numpy.nan if v is None else v for v in table[name].to_pylist()]).astype("<f4")
        for name in table.column_names
        if not is_text(name)
    ]
    words = [table[name].to_pylist() for name in table.column_names if is_text(name)]
    out = struct.pack("<II", table.num_rows, len(features)) + numpy.column_stack(features).tobytes()
    for row in zip(*words):
        for word in row:
            data = word.encode() if isinstance(word, str) else word or b""
            out += struct.pack("<I", len(data)) + data
    return out


FOUND = ("no_name",)  # by the fuzzer

for directory in (GOLDEN, CORPUS):
    directory.mkdir(parents=True, exist_ok=True)
    for old in directory.iterdir():
        if old.name not in FOUND:
            old.unlink()
for (name, (table, options)), step in zip(FILES.items(), itertools.count()):
    table = table.replace_schema_metadata(None)
    path = GOLDEN / f"{name}.parquet"
    parquet.write_table(table, path, store_schema=False, write_statistics=False, **options)
    path.with_suffix(".rows").write_bytes(rows_of(table))
    (CORPUS / name).write_bytes(bytes([step % 4 + 8 * (name == "long"), step]) + path.read_bytes())
stream = ("lz4", "empty", "gzip")
(CORPUS / "stream").write_bytes(bytes([4, 0]) + b"".join((GOLDEN / f"{n}.parquet").read_bytes() for n in stream))
