# SPDX-License-Identifier: Apache-2.0
"""tests/integration/test_record_rows.py - recordio-protobuf of every kind, packed and by the SDK's
protobuf, through a stream: `penstock cat --decode` against the arrays."""

import struct

import numpy
import pytest
import scipy.sparse
from sdk import Record

DRAW = numpy.random.default_rng(11)
TYPE = "application/x-recordio-protobuf"


@pytest.fixture
def rows(run_penstock):
    """Lines that the decoder makes of a directory."""

    def decode(directory, parameters=""):
        done = run_penstock(["cat", "--decode", "--content-type", TYPE + parameters, directory])
        return done.ok().stdout.splitlines()

    return decode


def numbers(lines):
    return numpy.array([[float(field) for field in line.split(",")] for line in lines])


def write(path, records):
    out = b""
    for record in records:
        body = record.SerializeToString()
        out += struct.pack("<II", 0xCED7230A, len(body)) + body + b"\0" * (-len(body) % 4)
    path.mkdir()
    (path / "a.pbr").write_bytes(out)


def pack(run_penstock, directory, **arrays):
    """features=..., labels=..., or several: features_a=..., as penstock pack writes them."""
    args = ["pack", "--output", directory / "out", "--shards", 2]
    for name, array in arrays.items():
        option, _, own = name.partition("_")
        file = directory / f"{name}.np{'z' if scipy.sparse.issparse(array) else 'y'}"
        if scipy.sparse.issparse(array):
            scipy.sparse.save_npz(file, array)
        else:
            numpy.save(file, array)
        args += [f"--{option}", f"{own}={file}" if own else file]
    run_penstock(args).ok()
    return directory / "out"


def matrix(rows, cols):
    array = DRAW.integers(1, 1000, (rows, cols)) * (DRAW.random((rows, cols)) < 0.1)
    array[3] = 0
    return scipy.sparse.csr_matrix(array.astype("float32"))


def test_sparse_rows_are_the_matrix(run_penstock, rows, tmp_path):
    x, y = matrix(500, 300), DRAW.integers(0, 9, 500)
    out = pack(run_penstock, tmp_path, features=x, labels=y)
    want = []
    for i in range(500):
        row = x[i]
        entries = [f"{k}:{v:g}" for k, v in zip(row.indices, row.data)]
        want.append(" ".join([str(y[i]), *entries]))
    assert rows(out) == want
    assert (numbers(rows(out, ";layout=dense")) == numpy.hstack([y[:, None], x.toarray()])).all()


@pytest.mark.parametrize("kind", ["float64", "int32", "uint8"])
def test_types_keep_their_values(run_penstock, rows, tmp_path, kind):
    info = {"int32": (-(2**31), 2**31 - 1), "uint8": (0, 255)}
    x = DRAW.normal(size=(300, 7)) if kind == "float64" else None
    if x is None:
        x = DRAW.integers(*info[kind], (300, 7), dtype="int64", endpoint=True)
    out = pack(run_penstock, tmp_path, features=x, labels=numpy.arange(300.0))
    got = numbers(rows(out, f";type={kind}"))
    assert (got == numpy.hstack([numpy.arange(300)[:, None], x])).all()


def test_several_features_labels_and_weights_by_name(run_penstock, rows, tmp_path):
    a, b = DRAW.integers(0, 9999, (400, 3)), DRAW.integers(0, 9, (400, 5)).astype("float32")
    y, w = DRAW.integers(0, 9, (400, 2)), DRAW.integers(1, 5, 400)
    out = pack(run_penstock, tmp_path, features_a=a, features_b=b, labels_y=y, labels_w=w)
    got = numbers(rows(out, ';features="b,a";label=y;weight=w'))
    assert (got == numpy.hstack([y, w[:, None], b, a])).all()
    assert (numbers(rows(out, ";features=a;label=y")) == numpy.hstack([y, a])).all()


def test_texts_beside_numbers(rows, tmp_path):
    records = []
    for i in range(50):
        record = Record()
        record.features["image"].bytes.value.append(b"jpeg %d" % i)
        record.features["image"].bytes.content_type = "image/jpeg"
        record.features["values"].float32_tensor.values.extend([i, 0.5])
        record.label["values"].int32_tensor.values.append(i % 3)
        records.append(record)
    write(tmp_path / "in", records)
    got = rows(tmp_path / "in", ";text=image")
    assert got == [f'{i % 3},{i},0.5,"jpeg {i}"' for i in range(50)]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_framed_rows_are_the_decoders(run_penstock, rows, tmp_path, dtype):
    x = DRAW.normal(size=(3000, 29)).astype(dtype)
    out = pack(run_penstock, tmp_path, features=x, labels=numpy.arange(3000.0))
    got = numbers(rows(out, ";framed=true"))
    assert (got[:, 1:].astype(dtype) == x).all()
    plain = numbers(rows(out))
    assert (got.astype("float32") == plain.astype("float32")).all()
    said = run_penstock(["inspect", "--content-type", TYPE + ";framed=true", out]).ok().stdout
    assert "min 0, max 2999, mean 1499.5" in said


def test_vectors_of_spark_may_be_mixed(rows, tmp_path):
    x = matrix(60, 20).toarray()
    records = []
    for i, row in enumerate(x):
        record = Record()
        tensor = record.features["values"].float64_tensor
        tensor.shape.append(20)
        if i % 3 == 0:
            tensor.keys.extend(numpy.flatnonzero(row))
        tensor.values.extend(row[row != 0] if i % 3 == 0 else row)
        record.label["values"].float32_tensor.values.append(i)
        records.append(record)
    write(tmp_path / "in", records)
    want = numpy.hstack([numpy.arange(60)[:, None], x])
    assert (numbers(rows(tmp_path / "in", ";layout=dense")) == want).all()
    entries = [" ".join(f"{k}:{row[k]:g}" for k in numpy.flatnonzero(row)) for row in x]
    assert rows(tmp_path / "in") == [f"{i} {e}".strip() for i, e in enumerate(entries)]
