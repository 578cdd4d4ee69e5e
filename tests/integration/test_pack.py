# SPDX-License-Identifier: Apache-2.0
"""tests/integration/test_pack.py - `penstock pack` against the SageMaker SDK and NumPy, byte for byte."""

import gzip
import io
import os
import signal
import struct
import subprocess
import time

import numpy
import pytest
import scipy.sparse
from conftest import FASHION, clean_env
from digest import digest, expected_digest
from sagemaker.amazon.amazon_estimator import _build_shards
from sdk import Record, write_numpy_to_dense_tensor, write_spmatrix_to_sparse_tensor

DRAW = numpy.random.default_rng(5)


def sdk(features, labels=None):
    out = io.BytesIO()
    write_numpy_to_dense_tensor(out, features, labels)
    return out.getvalue()


def shards(directory, suffix="pbr"):
    return [path.read_bytes() for path in sorted(directory.glob(f"*.{suffix}"))]


def integers(kind, shape):
    info = numpy.iinfo(kind)
    return DRAW.integers(info.min, info.max, shape, dtype=kind, endpoint=True)


CASES = {
    "float32": (DRAW.normal(size=(50, 7)).astype("float32"), DRAW.normal(size=50).astype("float32")),
    "float64": (DRAW.normal(size=(50, 7)), DRAW.normal(size=50)),
    "int64": (DRAW.integers(-(2**31), 2**31, (50, 7)), DRAW.integers(-5, 5, 50)),
    "no-labels": (DRAW.normal(size=(9, 3)).astype("float32"), None),
    "mixed": (DRAW.normal(size=(50, 40)).astype("float32"), DRAW.integers(0, 300, 50)),
    "one-column": (DRAW.normal(size=(50, 1)).astype("float32"), DRAW.normal(size=50)),
    "lengths-of-two-bytes": (DRAW.normal(size=(5, 784)).astype("float32"), numpy.arange(5.0)),
    "lengths-of-three-bytes": (DRAW.normal(size=(3, 5000)).astype("float32"), numpy.arange(3.0)),
    "special-values": (
        numpy.array([[numpy.nan, numpy.inf], [-numpy.inf, -0.0], [1e-45, 3.4e38]], "float32"),
        numpy.array([0, -1, 1]),
    ),
    "magic-in-payload": (numpy.full((2, 2), -1804698880.0, "float32"), None),
}


@pytest.mark.parametrize("name", CASES)
def test_bytes_equal_the_sdk(run_penstock, tmp_path, name):
    features, labels = CASES[name]
    numpy.save(tmp_path / "x.npy", features)
    args = ["pack", "--features", tmp_path / "x.npy", "--output", tmp_path / "out"]
    if labels is not None:
        numpy.save(tmp_path / "y.npy", labels)
        args += ["--labels", tmp_path / "y.npy"]
    run_penstock(args).ok()
    assert shards(tmp_path / "out") == [sdk(features, labels)]


@pytest.mark.parametrize("count", [1, 3, 7, 50])
def test_shards_are_cut_and_named_as_by_the_sdk(run_penstock, tmp_path, count):
    features, labels = CASES["float32"]
    numpy.savez(tmp_path / "xy.npz", x=features, y=labels)
    run_penstock(
        ["pack", "--features", f"{tmp_path}/xy.npz:x", "--labels", f"{tmp_path}/xy.npz:y.npy"]
        + ["--shards", count, "--output", tmp_path / "out"]
    ).ok()
    want = [sdk(f, y) for f, y in zip(_build_shards(count, features), _build_shards(count, labels))]
    names = [f"matrix_{str(i).zfill(len(str(count)))}.pbr" for i in range(count)]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == names
    assert shards(tmp_path / "out") == want


LAYOUTS = {
    "fortran": numpy.asfortranarray(CASES["float32"][0]),
    "big-endian": CASES["float32"][0].astype(">f4"),
    "big-endian-doubles": CASES["float64"][0].astype(">f8"),
    "three-dimensions": DRAW.normal(size=(6, 4, 5)).astype("float32"),
    "vector": DRAW.normal(size=11).astype("float32"),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_layouts_of_npy(run_penstock, tmp_path, name):
    array = LAYOUTS[name]
    numpy.save(tmp_path / "x.npy", array)
    run_penstock(["pack", "--features", tmp_path / "x.npy", "--output", tmp_path / "out"]).ok()
    plain = numpy.ascontiguousarray(array).astype(array.dtype.newbyteorder("="))
    assert shards(tmp_path / "out") == [sdk(plain.reshape(len(array), -1))]


@pytest.mark.parametrize("kind", ["u1", "u2", "u4", "u8", "i1", "i2", "i4", "f2"])
def test_other_types_become_float32(run_penstock, tmp_path, kind):
    array = DRAW.normal(size=(20, 3)).astype("f2") if kind == "f2" else integers(kind, (20, 3))
    numpy.save(tmp_path / "x.npy", array)
    run_penstock(["pack", "--features", tmp_path / "x.npy", "--output", tmp_path / "out"]).ok()
    assert shards(tmp_path / "out") == [sdk(array.astype("float32"))]


def test_index_tells_where_each_record_begins(run_penstock, tmp_path):
    features = DRAW.integers(0, 3000, (25, 40))  # records of several lengths
    numpy.save(tmp_path / "x.npy", features)
    out = tmp_path / "out"
    args = ["pack", "--features", tmp_path / "x.npy", "--output", out, "--shards", "3", "--index"]
    run_penstock(args).ok()
    for shard, index in zip(shards(out), shards(out, "idx"), strict=True):
        expected, at = "", 0
        while at < len(shard):
            expected += f"{expected.count(chr(10))}\t{at}\n"
            at += 8 + (struct.unpack_from("<I", shard, at + 4)[0] + 3) // 4 * 4
        assert index.decode() == expected
    assert b"".join(shards(out)) == sdk(features)
    refused = run_penstock([*args, "--format", "csv"])
    assert refused.rc == 2 and "--index is for recordio-protobuf" in refused.stderr


def test_dtype_and_scale(run_penstock, tmp_path):
    array = DRAW.integers(0, 256, (20, 3), dtype="u1")
    numpy.save(tmp_path / "x.npy", array)
    args = ["pack", "--features", tmp_path / "x.npy", "--scale", 255]
    run_penstock([*args, "--dtype", "float64", "--output", tmp_path / "a"]).ok()
    assert shards(tmp_path / "a") == [sdk(array.astype("float64") / 255)]
    run_penstock([*args, "--output", tmp_path / "b"]).ok()
    assert shards(tmp_path / "b") == [sdk(array.astype("float32") / numpy.float32(255))]
    run_penstock([*args[:-2], "--dtype", "int64", "--output", tmp_path / "c"]).ok()
    assert shards(tmp_path / "c") == [sdk(array.astype("int64"))]


def test_compressed_npz_and_gzipped_npy(run_penstock, tmp_path):
    features, labels = CASES["float64"]
    numpy.savez_compressed(tmp_path / "x.npz", only=features)
    with gzip.open(tmp_path / "y.npy.gz", "wb") as out:
        numpy.save(out, labels)
    run_penstock(
        ["pack", "--features", tmp_path / "x.npz", "--labels", tmp_path / "y.npy.gz"]
        + ["--output", tmp_path / "out"]
    ).ok()
    assert shards(tmp_path / "out") == [sdk(features, labels)]


@pytest.mark.plain_build
def test_fashion_mnist_from_idx(fashion):
    """A quarter of the shards: the SDK takes a second for each."""
    images = gzip.decompress((FASHION / "train-images-idx3-ubyte.gz").read_bytes())
    labels = gzip.decompress((FASHION / "train-labels-idx1-ubyte.gz").read_bytes())
    x = numpy.frombuffer(images, "u1", offset=16).reshape(-1, 784).astype("float32")
    y = numpy.frombuffer(labels, "u1", offset=8).astype("float32")
    want = [*zip(_build_shards(16, x), _build_shards(16, y))]
    got = shards(fashion.train)
    assert len(got) == 16 and len({len(shard) for shard in got}) == 1
    for number in (0, 6, 11, 15):
        assert got[number] == sdk(want[number][0] / numpy.float32(255), want[number][1])


def test_csv_output_reads_back_bit_equal(run_penstock, tmp_path):
    features = DRAW.integers(0, 2**32, (300, 5), dtype="u4").view("float32")
    features = numpy.where(numpy.isfinite(features), features, numpy.float32(0.1))
    labels = numpy.arange(300, dtype="float32") - 150
    numpy.save(tmp_path / "x.npy", features)
    numpy.save(tmp_path / "y.npy", labels)
    args = ["pack", "--features", tmp_path / "x.npy", "--labels", tmp_path / "y.npy", "--shards", 2]
    run_penstock([*args, "--format", "csv", "--output", tmp_path / "out"]).ok()
    got = digest(uri=tmp_path / "out", type="text/csv;label_size=1").ok()
    assert got["digest"] == expected_digest(numpy.hstack([features, labels[:, None]]))
    first = (tmp_path / "out/matrix_0.csv").read_text().splitlines()[0]
    assert first.startswith("-150,")


def test_csv_input_to_records(run_penstock, tmp_path):
    (tmp_path / "in.csv").write_text("1,2.5,3\r\n\r\n0,,-1e-3\r\n")
    args = ["pack", "--csv", tmp_path / "in.csv", "--output"]
    run_penstock([*args, tmp_path / "a"]).ok()
    x = numpy.array([[2.5, 3], [numpy.nan, -1e-3]], "float32")
    assert shards(tmp_path / "a") == [sdk(x, numpy.array([1, 0], "float32"))]
    run_penstock([*args, tmp_path / "b", "--label-size", 0]).ok()
    assert shards(tmp_path / "b") == [sdk(numpy.hstack([[[1], [0]], x]).astype("float32"))]


def sparse_sdk(matrix, labels=None):
    out = io.BytesIO()
    write_spmatrix_to_sparse_tensor(out, matrix, labels)
    return out.getvalue()


def some_matrix(dtype, shape=(40, 300)):
    array = (DRAW.normal(size=shape) * 100 * (DRAW.random(shape) < 0.1)).astype(dtype)
    array[3] = 0  # an empty row
    array[5, -1] = 1
    return scipy.sparse.csr_matrix(array)


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64", "int64"])
def test_sparse_bytes_equal_the_sdk(run_penstock, tmp_path, dtype, compressed):
    matrix = some_matrix(dtype)
    labels = DRAW.integers(0, 300, 40)
    scipy.sparse.save_npz(tmp_path / "x.npz", matrix, compressed=compressed)
    numpy.save(tmp_path / "y.npy", labels)
    args = ["pack", "--features", tmp_path / "x.npz", "--output"]
    run_penstock([*args, tmp_path / "a"]).ok()
    assert shards(tmp_path / "a") == [sparse_sdk(matrix)]
    run_penstock([*args, tmp_path / "b", "--labels", tmp_path / "y.npy", "--shards", 3]).ok()
    want = [
        sparse_sdk(x, y) for x, y in zip(_build_shards(3, matrix), _build_shards(3, labels))
    ]
    assert shards(tmp_path / "b") == want


def retyped(matrix, dtype, divisor=1):
    """As astype, which would sort the columns."""
    data = matrix.data.astype(dtype) / numpy.dtype(dtype).type(divisor)
    return scipy.sparse.csr_matrix((data, matrix.indices, matrix.indptr), matrix.shape)


def test_sparse_of_other_types(run_penstock, tmp_path):
    matrix = some_matrix("int8")
    matrix.indices = matrix.indices.astype("int64")
    matrix.indptr = matrix.indptr.astype("int64")
    matrix.indices[: matrix.indptr[1]] = matrix.indices[: matrix.indptr[1]][::-1]  # unsorted
    matrix.data[: matrix.indptr[1]] = matrix.data[: matrix.indptr[1]][::-1]
    scipy.sparse.save_npz(tmp_path / "x.npz", matrix)
    args = ["pack", "--features", tmp_path / "x.npz"]
    run_penstock([*args, "--output", tmp_path / "a"]).ok()
    assert shards(tmp_path / "a") == [sparse_sdk(retyped(matrix, "float32"))]
    run_penstock([*args, "--dtype", "float64", "--scale", 4, "--output", tmp_path / "b"]).ok()
    assert shards(tmp_path / "b") == [sparse_sdk(retyped(matrix, "float64", 4))]


def frames(records):
    out = b""
    for record in records:
        body = record.SerializeToString()
        out += struct.pack("<II", 0xCED7230A, len(body)) + body + b"\0" * (-len(body) % 4)
    return out


def test_several_features_label_vectors_and_weights(run_penstock, tmp_path):
    a, b = DRAW.normal(size=(9, 3)).astype("float32"), DRAW.integers(0, 9000, (9, 2))
    c = some_matrix("float64", (9, 50))
    y, w = DRAW.normal(size=(9, 4)), DRAW.normal(size=9).astype("float32")
    for name, array in {"a": a, "b": b, "y": y, "w": w}.items():
        numpy.save(tmp_path / f"{name}.npy", array)
    scipy.sparse.save_npz(tmp_path / "c=1.npz", c)
    run_penstock(
        ["pack", "--labels", f"{tmp_path}/y.npy", "--features", f"source={tmp_path}/a.npy"]
        + ["--features", f"target={tmp_path}/b.npy", "--labels", f"weight={tmp_path}/w.npy"]
        + ["--features", f"{tmp_path}/c=1.npz", "--output", tmp_path / "out"]
    ).ok()
    got = shards(tmp_path / "out")[0]
    at = 0
    for i in range(9):
        _, size = struct.unpack_from("<II", got, at)
        record = Record.FromString(got[at + 8 : at + 8 + size])
        at += 8 + (size + 3) // 4 * 4
        assert set(record.features) == {"source", "target", "values"}
        assert set(record.label) == {"values", "weight"}
        assert record.features["source"].float32_tensor.values == list(a[i])
        assert record.features["target"].int32_tensor.values == list(b[i])
        tensor = record.features["values"].float64_tensor
        assert (tensor.keys, tensor.values) == (list(c[i].indices), list(c[i].data))
        assert tensor.shape == [50]
        assert record.label["values"].float64_tensor.values == list(y[i])
        assert record.label["weight"].float32_tensor.values == [w[i]]
    assert at == len(got)


def test_a_name_and_label_vectors_equal_the_sdks_protobuf(run_penstock, tmp_path):
    x, y = DRAW.normal(size=(5, 40)).astype("float32"), DRAW.integers(-9, 9, (5, 3))
    numpy.save(tmp_path / "x.npy", x)
    numpy.save(tmp_path / "y.npy", y)
    run_penstock(
        ["pack", "--features", f"pixels={tmp_path}/x.npy", "--labels", f"boxes={tmp_path}/y.npy"]
        + ["--output", tmp_path / "out"]
    ).ok()
    records = []
    for features, labels in zip(x, y):
        record = Record()
        record.features["pixels"].float32_tensor.values.extend(features)
        record.label["boxes"].int32_tensor.values.extend(labels)
        records.append(record)
    assert shards(tmp_path / "out") == [frames(records)]


def npz(tmp_path, **changes):
    matrix = some_matrix("float32", (8, 10))
    members = {"indices": matrix.indices, "indptr": matrix.indptr, "format": b"csr"}
    members |= {"shape": matrix.shape, "data": matrix.data}
    members |= {name: change(members) for name, change in changes.items()}
    numpy.savez(tmp_path / "x.npz", **{k: v for k, v in members.items() if v is not None})


BAD_SPARSE = {
    "by-columns": ({"format": lambda m: b"csc"}, ".tocsr()"),
    "no-indptr": ({"indptr": lambda m: None}, "indptr"),
    "short-indptr": ({"indptr": lambda m: m["indptr"][:-1]}, "do not go together"),
    "falling-indptr": ({"indptr": lambda m: m["indptr"][::-1]}, "entry 0 is wrong"),
    "indptr-beyond": ({"indptr": lambda m: m["indptr"] * 2}, "is wrong"),
    "short-data": ({"data": lambda m: m["data"][:-1]}, "do not go together"),
    "column-beyond": ({"indices": lambda m: m["indices"] + 10}, "is not one of the matrix' 10"),
    "column-below": ({"indices": lambda m: m["indices"] - 10}, "is not one of the matrix' 10"),
    "three-sizes": ({"shape": lambda m: (8, 10, 1)}, "not that of a matrix"),
    "square-data": ({"data": lambda m: m["data"].reshape(1, -1)}, "it is no vector"),
}


@pytest.mark.parametrize("name", BAD_SPARSE)
def test_bad_sparse_matrices_are_named(run_penstock, tmp_path, name):
    changes, words = BAD_SPARSE[name]
    npz(tmp_path, **changes)
    done = run_penstock(["pack", "--features", tmp_path / "x.npz", "--output", tmp_path / "out"])
    assert done.rc == 1
    assert words in done.stderr, done.stderr
    assert not list(tmp_path.glob("out/*"))


def npy(descr="'<f4'", shape="(1, 1)", data=b"\0" * 4, order="False"):
    header = f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header + data


BAD_INPUTS = {
    "not-an-array": (b"hello, world", "none of .npy"),
    "empty": (b"", "empty"),
    "short-data": (npy(data=b"\0" * 3), "announces"),
    "long-data": (npy(data=b"\0" * 5), "announces"),
    "objects": (npy(descr="'|O'", data=b""), "item type"),
    "strings": (npy(descr="'<U4'", data=b""), "item type"),
    "huge-shape": (npy(shape="(4294967296, 4294967296, 4294967296)"), "malformed"),
    "no-shape": (npy(shape="()"), "malformed"),
    "header-cut": (npy()[:20], "cut short"),
    "idx-short": (b"\0\0\x08\1\0\0\0\5abcd", "announces"),
    "idx-type": (b"\0\0\x07\1\0\0\0\0", "not an IDX"),
    "gzip-cut": (gzip.compress(npy())[:-9], "truncated gzip"),
    "gzip-of-nothing": (gzip.compress(b""), "truncated gzip"),
    "zip-cut": (b"PK\3\4" + b"\0" * 40, "malformed"),
}


@pytest.mark.parametrize("name", BAD_INPUTS)
def test_bad_inputs_are_named(run_penstock, tmp_path, name):
    content, words = BAD_INPUTS[name]
    (tmp_path / "x.bin").write_bytes(content)
    done = run_penstock(["pack", "--features", tmp_path / "x.bin", "--output", tmp_path / "out"])
    assert done.rc == 1
    assert words in done.stderr and "x.bin" in done.stderr
    assert not (tmp_path / "out").exists()


def test_disagreements_and_usage_errors(run_penstock, tmp_path):
    numpy.save(tmp_path / "x.npy", numpy.zeros((5, 2), "float32"))
    numpy.save(tmp_path / "y.npy", numpy.zeros(4, "float32"))
    numpy.save(tmp_path / "big.npy", numpy.array([[2**31]]))
    numpy.save(tmp_path / "half.npy", numpy.array([[0.5]]))
    numpy.savez(tmp_path / "xy.npz", a=numpy.zeros((1, 1)), b=numpy.zeros((1, 1)))
    scipy.sparse.save_npz(tmp_path / "s.npz", scipy.sparse.csr_matrix((5, 2)))
    features = ["pack", "--output", tmp_path / "out", "--features"]
    cases = [
        ([*features, tmp_path / "x.npy", "--labels", tmp_path / "y.npy"], 1, "5 rows"),
        ([*features, tmp_path / "x.npy", "--shards", 6], 1, "6 shards"),
        ([*features, tmp_path / "big.npy"], 1, "2147483648 does not fit"),
        ([*features, tmp_path / "half.npy", "--dtype", "int64"], 1, "no 64-bit integer"),
        ([*features, tmp_path / "xy.npz"], 1, "2 members"),
        ([*features, f"{tmp_path}/xy.npz:c"], 1, "a.npy, b.npy"),
        ([*features, tmp_path / "none.npy"], 1, "No such file"),
        ([*features, tmp_path / "x.npy", "--shards", 0], 2, "--shards"),
        ([*features, tmp_path / "x.npy", "--dtype", "int7"], 2, "--dtype"),
        ([*features, tmp_path / "x.npy", "--scale", "0"], 2, "--scale"),
        (["pack", "--output", tmp_path / "out"], 2, "--features or --csv"),
        (["pack", "--nonsense"], 2, "--help"),
        ([*features, tmp_path / "x.npy", "--features", tmp_path / "x.npy"], 2, "need names"),
        ([*features, f"={tmp_path}/x.npy"], 2, "1 to 255 characters"),
        ([*features, tmp_path / "s.npz", "--format", "csv"], 2, "neither sparse rows nor names"),
        ([*features, tmp_path / "x.npy", "--labels", tmp_path / "s.npz"], 1, "only features may"),
    ]
    for args, rc, words in cases:
        done = run_penstock(args)
        assert (done.rc, words in done.stderr) == (rc, True), (args, done)
    assert not any((tmp_path / "out").glob("*")) if (tmp_path / "out").exists() else True


def test_existing_shards_are_kept_without_force(run_penstock, tmp_path):
    numpy.save(tmp_path / "x.npy", numpy.zeros((5, 2), "float32"))
    args = ["pack", "--features", tmp_path / "x.npy", "--output", tmp_path / "out"]
    run_penstock(args).ok()
    (tmp_path / "out/matrix_0.pbr").write_bytes(b"mine")
    done = run_penstock(args)
    assert done.rc == 1 and "--force" in done.stderr
    assert shards(tmp_path / "out") == [b"mine"]
    run_penstock([*args, "--force"]).ok()
    assert shards(tmp_path / "out") != [b"mine"]


def test_force_replaces_the_whole_set_and_nothing_else(run_penstock, tmp_path):
    numpy.save(tmp_path / "x.npy", numpy.zeros((12, 2), "float32"))
    out = tmp_path / "out"
    args = ["pack", "--features", tmp_path / "x.npy", "--output", out, "--shards"]
    run_penstock([*args, 12]).ok()
    others = ["matrix_1.csv", "matrix_x.pbr", "matrix.pbr", "other_1.pbr"]
    for name in others:
        (out / name).write_bytes(b"mine")
    done = run_penstock([*args, 2])  # other names, but the rows would be there twice
    assert done.rc == 1 and "--force" in done.stderr
    run_penstock([*args, 2, "--force"]).ok()
    assert sorted(os.listdir(out)) == sorted(["matrix_0.pbr", "matrix_1.pbr", *others])


def test_a_failure_in_a_late_shard_leaves_no_shard(run_penstock, tmp_path):
    numpy.save(tmp_path / "x.npy", numpy.array([[1], [2], [2**31]]))
    args = ["pack", "--features", tmp_path / "x.npy", "--output", tmp_path / "out", "--shards", 3]
    done = run_penstock(args)
    assert done.rc == 1 and "2147483648 does not fit" in done.stderr
    assert os.listdir(tmp_path / "out") == []


def test_an_interruption_leaves_nothing(penstock, tmp_path):
    out = tmp_path / "out"
    numpy.save(tmp_path / "x.npy", DRAW.standard_normal((20000, 784)))  # float64: seconds
    args = [penstock, "pack", "--features", tmp_path / "x.npy", "--format", "csv", "--output", out]
    done = subprocess.Popen(list(map(str, args)), env=clean_env(), stderr=subprocess.PIPE)
    while not (out.exists() and any(out.iterdir())) and done.poll() is None:
        time.sleep(0.005)
    done.send_signal(signal.SIGINT)
    assert "interrupted" in done.communicate(timeout=60)[1].decode()
    assert done.returncode == 130
    assert os.listdir(out) == []


def test_csv_of_one_column_keeps_missing_values(run_penstock, tmp_path):
    numpy.save(tmp_path / "x.npy", numpy.array([[1], [numpy.nan], [3]], "float32"))
    args = ["pack", "--features", tmp_path / "x.npy", "--format", "csv"]
    run_penstock([*args, "--output", tmp_path / "a"]).ok()
    assert (tmp_path / "a/matrix_0.csv").read_text() == "1\nnan\n3\n"


def test_a_full_disk_leaves_no_half_written_shard(penstock, tmp_path):
    """A limit on file sizes stands in for the disk: the second megabyte is refused."""
    numpy.save(tmp_path / "x.npy", numpy.zeros((1000, 1000), "float32"))
    args = [penstock, "pack", "--features", tmp_path / "x.npy", "--output", tmp_path / "out"]
    done = subprocess.run(
        ["bash", "-c", 'trap "" XFSZ; ulimit -f 1024; "$@"', "bash", *map(str, args)],
        env=clean_env(),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert "cannot write" in done.stderr and "matrix_0.pbr" in done.stderr
    assert os.listdir(tmp_path / "out") == []
