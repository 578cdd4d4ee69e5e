#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""tests/golden/make_golden.py - what the sagemaker SDK writes, for tests/unit/test_record.c.

    build/venv/bin/python tests/golden/make_golden.py    rewrites tests/golden/sdk_records.bin

One file, cases one after the other; integers are little-endian uint32:

    name        32 bytes, padded with zeros
    rows, feature_dim, label_dim, frames_bytes
    frames      as the SDK wrote them
    values      float32: rows x (features, labels), of sparse cases too

Needs sagemaker 2 (version 3 can no longer write records), numpy and scipy: tests/requirements.txt.
The output depends on nothing but this file.
"""

import io
import struct
from pathlib import Path

import numpy
import scipy.sparse
from sagemaker.amazon.record_pb2 import Record
from sagemaker.serializer_utils import (
    _write_feature_tensor,
    _write_recordio,
    write_numpy_to_dense_tensor,
    write_spmatrix_to_sparse_tensor,
)

OUTPUT = Path(__file__).resolve().parent / "sdk_records.bin"
SHORT = {numpy.float32: "f32", numpy.float64: "f64", numpy.int64: "int"}
RESOLVED = {numpy.float32: "Float32", numpy.float64: "Float64", numpy.int64: "Int32"}
# The lengths of lengths change at 29..32 (float32) and 15, 16 (float64).
SIZES = {
    numpy.float32: (1, 2, 7, 28, 29, 30, 31, 32, 33, 784),
    numpy.float64: (1, 7, 14, 15, 16, 17, 28, 29, 30, 31, 32, 33, 784),
    numpy.int64: (1, 7, 28, 29, 30, 31, 32, 33, 784),
}


def make_array(random, dtype, rows, columns):
    if dtype is not numpy.int64:
        return random.normal(scale=100, size=(rows, columns)).astype(dtype)
    if columns == 784:  # pixels: varints of one and two bytes
        return random.integers(0, 256, size=(rows, columns)) * random.integers(0, 2, size=(rows, columns))
    bits = random.integers(1, 32, size=(rows, columns))
    return random.integers(-(1 << 31), 1 << 31, size=(rows, columns)) >> bits


def make_labels(random, dtype, rows):
    if dtype is numpy.int64:
        return random.integers(0, 300, size=rows)
    return random.normal(size=rows).astype(dtype)


def as_float32(array):
    with numpy.errstate(over="ignore"):
        return numpy.asarray(array).astype("<f4")


def dense(array, labels=None):
    """(frames, values) by the SDK's own writer."""
    file = io.BytesIO()
    write_numpy_to_dense_tensor(file, array, labels)
    rows = as_float32(array)
    if labels is not None:
        rows = numpy.hstack([rows, as_float32(labels).reshape(-1, 1)])
    return file.getvalue(), rows


def dense_vectors(array, labels):
    """The same for vector labels, which the SDK's protobuf and framing can write."""
    file = io.BytesIO()
    for features, vector in zip(array, labels):
        record = Record()
        _write_feature_tensor(RESOLVED[array.dtype.type], record, features)
        tensor = getattr(record.label["values"], RESOLVED[labels.dtype.type].lower() + "_tensor")
        tensor.values.extend(vector)
        _write_recordio(file, record.SerializeToString())
    return file.getvalue(), numpy.hstack([as_float32(array), as_float32(labels)])


def sparse(array, dtype, labels=numpy.ones(1, numpy.float32)):
    """The same by the SDK's sparse writer; the values as a dense array."""
    array = numpy.asarray(array).astype(dtype) + dtype(0)  # no -0, which a sparse array drops
    if labels is not None:
        labels = numpy.resize(labels, len(array))
    file = io.BytesIO()
    write_spmatrix_to_sparse_tensor(file, scipy.sparse.csr_matrix(array), labels)
    rows = as_float32(array)
    if labels is not None:
        rows = numpy.hstack([rows, as_float32(labels).reshape(-1, 1)])
    return file.getvalue(), rows


def varint(value):
    out = b""
    while value > 127:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


def field(number, payload):
    return varint(number << 3 | 2) + varint(len(payload)) + payload


def spark(values, keys, shape, label):
    """A record as sagemaker-spark's ProtobufConverter writes it, encoded here by hand: the shape
    always; keys of a matrix in column order; the label in front of the features here."""
    packed = numpy.asarray(values, "<f8").tobytes()
    tensor = field(1, packed)
    if keys is not None:
        tensor += field(2, b"".join(map(varint, keys)))
    tensor += field(3, b"".join(map(varint, shape)))
    record = field(2, field(1, b"values") + field(2, field(2, field(1, struct.pack("<f", label)))))
    record += field(1, field(1, b"values") + field(2, field(3, tensor)))
    return struct.pack("<II", 0xCED7230A, len(record)) + record + bytes(-len(record) % 4)


def spark_rows(arrays, are_sparse):
    """(frames, values) of vectors or matrices, some of them sparse."""
    frames, rows = b"", []
    for i, (array, is_sparse) in enumerate(zip(arrays, are_sparse)):
        flat = array.reshape(-1)
        order = numpy.arange(flat.size).reshape(array.shape).T.reshape(-1)  # by columns
        keys = [int(k) for k in order if flat[k] != 0] if is_sparse else None
        frames += spark(flat if keys is None else flat[keys], keys, array.shape, i)
        rows.append(numpy.append(as_float32(flat), numpy.float32(i)))
    return frames, numpy.array(rows)


def cases():
    """Yields (name, feature_dim, label_dim, frames, values)."""
    random = numpy.random.default_rng(20240607)
    for dtype, sizes in SIZES.items():
        for size in sizes:
            rows = 2 if size == 784 else 3
            array = make_array(random, dtype, rows, size)
            yield (f"{SHORT[dtype]} x{size}", size, 1, *dense(array, make_labels(random, dtype, rows)))
    for dtype in SIZES:
        array = make_array(random, dtype, 4, 5)
        yield f"{SHORT[dtype]} x5 no label", 5, 0, *dense(array)
        for label in SIZES:
            name = f"{SHORT[dtype]} x5 {SHORT[label]} label"
            yield name, 5, 1, *dense(array, make_labels(random, label, 4))
            labels = make_array(random, label, 4, 3)
            yield f"{SHORT[dtype]} x5 {SHORT[label]} labels", 5, 3, *dense_vectors(array, labels)
    special = [0.0, -0.0, numpy.inf, -numpy.inf, numpy.nan, 1e-45, 3.4e38, -1804698880.0, 1e-310]
    wide = special + [1e300, -1e300, 3.4028235677973366e38, 1.00000005960464478]
    yield "f32 special", 9, 0, *dense(numpy.array([special, special], numpy.float32))
    yield "f64 special", 13, 0, *dense(numpy.array([wide, wide], numpy.float64))
    edges = [0, 127, 128, 16383, 16384, 2097151, 2097152, 268435455, 268435456, 2147483647, -1, -2147483648]
    yield "int edges", 12, 0, *dense(numpy.array([edges, edges[::-1]], numpy.int64))
    magic = numpy.full((2, 2), -1804698880.0, numpy.float32)  # its bits are RecordIO's magic
    yield "f32 magic", 2, 0, *dense(magic)
    yield "sparse", 5, 1, *sparse([[0, 1.5, 0, 0, 2.5]], numpy.float32)
    yield "sparse empty row", 5, 1, *sparse([[0, 0, 0, 0, 0]], numpy.float32)
    some = random.normal(size=(6, 300)) * (random.random((6, 300)) < 0.2)
    some[2] = 0
    some[4, 299] = 1
    yield "sparse f32 x300", 300, 1, *sparse(some, numpy.float32)
    yield "sparse f64 x300", 300, 1, *sparse(some, numpy.float64)
    yield "sparse int x300", 300, 1, *sparse(some * 1000, numpy.int64)
    yield "sparse int labels", 300, 1, *sparse(some, numpy.float32, numpy.arange(6) * 50)
    drawn = random.normal(size=(4, 6, 20)) * (random.random((4, 6, 20)) < 0.3) + 0
    yield "spark vectors", 20, 1, *spark_rows(drawn[:, 0], [False] * 4)
    yield "sparse spark vectors", 20, 1, *spark_rows(drawn[:, 1], [True] * 4)
    yield "sparse spark mixed vectors", 20, 1, *spark_rows(drawn[:, 2], [False, True, True, False])
    yield "spark matrices", 120, 1, *spark_rows(drawn, [False] * 4)
    yield "sparse spark matrices", 120, 1, *spark_rows(drawn, [True] * 4)
    yield "sparse no label", 300, 0, *sparse(some, numpy.float32, None)


def main():
    with OUTPUT.open("wb") as out:
        for name, feature_dim, label_dim, frames, values in cases():
            out.write(struct.pack("<32s4I", name.encode(), len(values), feature_dim, label_dim, len(frames)))
            out.write(frames)
            out.write(as_float32(values).tobytes())
    print(f"{OUTPUT}: {OUTPUT.stat().st_size} bytes")


if __name__ == "__main__":
    main()
