# SPDX-License-Identifier: Apache-2.0
"""tests/integration/test_parquet_stream.py - channels of Parquet files: batches that cross files, in
any order, with any number of threads; what is wrong with a file names it."""

import json

import numpy
import pyarrow
import pytest
from digest import digest, expected_digest
from pipe_writer import PipeWriter
from pyarrow import parquet

TYPE = "application/x-parquet"
SIZES = (700, 3, 0, 20011, 1, 9000)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A bucket of files, and their rows as the stream should deliver them."""
    root = tmp_path_factory.mktemp("parquet")
    random = numpy.random.default_rng(11)
    files = []
    (root / "data/in").mkdir(parents=True)
    for number, rows in enumerate(SIZES):
        columns = random.normal(size=(6, rows))
        table = pyarrow.table({f"c{i}": column for i, column in enumerate(columns)})
        codec = ("snappy", "zstd", "none", "gzip", "snappy", "lz4")[number]
        parquet.write_table(table, root / f"data/in/{number}.parquet", row_group_size=4000, compression=codec)
        files.append(numpy.vstack([columns[1:], columns[:1]]).T.astype(numpy.float32))
    return root, files


def test_rows_are_the_same_for_any_threads_and_transport(s3_server, data):
    root, files = data
    env = s3_server(root).env
    expected = expected_digest(numpy.concatenate(files))
    for decode, transport in ((1, "direct"), (2, "direct"), (4, "curl")):
        got = digest(
            uri="s3://data/in/", type=TYPE, rows=512, decode=decode, memory_mib=64, env=env, transport=transport
        ).ok()
        assert (got["digest"], got["rows"]) == (expected, sum(SIZES))
        assert got["batches"] == -(-sum(SIZES) // 512)
    assert digest(uri=root / "data", type=TYPE, rows=7).ok()["digest"] == expected


def test_shuffled_epochs_and_shards(s3_server, data):
    root, files = data
    env = s3_server(root).env
    runs = [
        digest(uri="s3://data", type=TYPE, shuffle=4, epochs=3, decode=n, memory_mib=64, env=env).ok()
        for n in (1, 4)
    ]
    assert runs[0].epochs == runs[1].epochs and len(set(runs[0].epochs)) == 3
    assert runs[0]["rows"] == 3 * sum(SIZES)
    shards = [digest(uri="s3://data", type=TYPE, shard=f"{i}/2", memory_mib=64, env=env).ok() for i in (0, 1)]
    assert [shard["digest"] for shard in shards] == [
        expected_digest(numpy.concatenate(files[i::2])) for i in (0, 1)
    ]


def test_faults_leave_no_trace(s3_server, data):
    root, files = data
    env = s3_server(root, "--fault", "cut=70000,every=3", "--fault", "status=503,every=5").env
    got = digest(uri="s3://data", type=TYPE, part_kib=64, memory_mib=64, env=env).ok()
    assert got["digest"] == expected_digest(numpy.concatenate(files))


def test_a_bad_file_is_named_with_the_place_in_it(s3_server, data, tmp_path):
    root = tmp_path / "buckets"
    bucket = root / "bad"
    bucket.mkdir(parents=True)
    good = (data[0] / "data/in/0.parquet").read_bytes()
    (bucket / "0.parquet").write_bytes(good)
    (bucket / "1.parquet").write_bytes(good[:-100])
    env = s3_server(root).env
    got = digest(uri="s3://bad", type=TYPE, env=env)
    assert (got["result"], got["key"], got["offset"]) == ("PENSTOCK_E_FORMAT", "1.parquet", len(good) - 100)
    assert "s3://bad/1.parquet, at byte" in got["message"]
    assert "truncated: it does not end with PAR1" in got["message"]
    table = pyarrow.table({f"d{i}": [1.0] for i in range(6)})
    parquet.write_table(table, bucket / "1.parquet")
    got = digest(uri="s3://bad", type=TYPE, env=env)
    assert "it has column 'd1' where the channel's first file has 'c1'" in got["message"]


def test_a_file_that_does_not_fit_in_memory_is_refused(tmp_path):
    table = pyarrow.table({f"c{i}": numpy.random.default_rng(i).random(400000) for i in range(6)})
    parquet.write_table(table, tmp_path / "large.parquet")
    got = digest(uri=tmp_path, type=TYPE, memory_mib=16)
    assert got["result"] == "PENSTOCK_E_FORMAT"
    assert "the file is longer than 12582912 bytes, the most that this memory limit allows" in got["message"]
    assert digest(uri=tmp_path, type=TYPE, memory_mib=64).ok()["rows"] == 400000


def test_compression_is_refused(data):
    got = digest(uri=data[0] / "data", type=TYPE, compression="gzip")
    assert "application/x-parquet is compressed inside, where it is at all" in got.stderr + got.get("message", "")


def test_files_back_to_back_through_fifos(data, tmp_path):
    root, files = data
    ways = ({"write_page_index": True}, {"write_statistics": False}, {"data_page_version": "2.0"})
    epochs, expected = [], []
    names = [f"data/in/{i}.parquet" for i in range(len(SIZES))]
    whole = [(root / name).read_bytes() for name in names]
    for way in ways:
        table = parquet.read_table(root / names[0])
        parquet.write_table(table, tmp_path / "way.parquet", **way)
        epochs.append((tmp_path / "way.parquet").read_bytes() + b"".join(whole))
        expected.append(expected_digest(numpy.concatenate([files[0], *files])))
    with PipeWriter(tmp_path, "train", epochs):
        got = digest(uri=f"pipe://{tmp_path}/train", type=TYPE, epochs=3, memory_mib=64).ok()
    assert got.epochs == expected


def test_a_file_inside_a_file_does_not_end_it(data, tmp_path):
    inner = (data[0] / "data/in/4.parquet").read_bytes()
    table = pyarrow.table({"y": [1.0, 2.0], "x": [3.0, 4.0], "blob": [inner, inner + b"PAR1"]})
    parquet.write_table(table, tmp_path / "outer.parquet", compression="none", use_dictionary=False)
    outer = (tmp_path / "outer.parquet").read_bytes()
    assert outer.count(b"PAR1") >= 7
    with PipeWriter(tmp_path, "train", [outer + outer]):
        got = digest(uri=f"pipe://{tmp_path}/train", type=f"{TYPE};columns=x", memory_mib=64).ok()
    assert got["digest"] == expected_digest(numpy.array([[3, 1], [4, 2]] * 2, numpy.float32))


def test_a_fifo_that_ends_in_the_midst_of_a_file_is_an_error(data, tmp_path):
    first, last = ((data[0] / f"data/in/{i}.parquet").read_bytes() for i in (0, 5))
    with PipeWriter(tmp_path, "train", [first + last[:-9]]):
        got = digest(uri=f"pipe://{tmp_path}/train", type=TYPE, memory_mib=64)
    assert (got["result"], got["offset"]) == ("PENSTOCK_E_FORMAT", len(first) + len(last) - 9)
    assert "truncated: it does not end with PAR1" in got["message"]


def test_inspect_counts_rows(run_penstock, data):
    done = run_penstock(["inspect", "--json", "--content-type", TYPE, str(data[0] / "data/in")])
    report = json.loads(done.stdout)  # of files of very different sizes, which it remarks upon
    assert done.rc == 3 and report["records"] == sum(SIZES), report


def test_a_model_of_parquet_is_that_of_csv(run_penstock, tmp_path):
    random = numpy.random.default_rng(3)
    features = random.normal(size=(3000, 5)).astype(numpy.float32)
    labels = (features.sum(axis=1) > 0).astype(numpy.float32)
    table = pyarrow.table({"y": labels} | {f"x{i}": features[:, i] for i in range(5)})
    (tmp_path / "p").mkdir()
    (tmp_path / "c").mkdir()
    parquet.write_table(table, tmp_path / "p/train.parquet", row_group_size=999)
    lines = [",".join(repr(float(v)) for v in (y, *x)) for y, x in zip(labels, features)]
    (tmp_path / "c/train.csv").write_text("\n".join(lines) + "\n")
    models = []
    for uri, kind in ((tmp_path / "p", TYPE), (tmp_path / "c", "text/csv")):
        model = tmp_path / f"{uri.name}.model"
        words = ["train", "--algorithm", "linear-learner", "--train", uri, "--content-type", kind, "--model-dir", model, "--device", "cpu"]
        words += ["--hp", "predictor_type=binary_classifier", "--hp", "epochs=1"]
        run_penstock([str(word) for word in words]).ok()
        models.append((model / "model.safetensors").read_bytes())
    assert models[0] == models[1]
