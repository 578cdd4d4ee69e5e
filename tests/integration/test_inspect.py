# SPDX-License-Identifier: Apache-2.0
"""tests/integration/test_inspect.py - penstock inspect: numbers as numpy has them, every problem."""

import gzip
import io
import json
import struct
import zlib

import numpy
import pytest
from sdk import write_numpy_to_dense_tensor

MAGIC = 0xCED7230A


def records(features, labels):
    out = io.BytesIO()
    write_numpy_to_dense_tensor(out, features.astype("float32"), labels.astype("float32"))
    return out.getvalue()


def frame(payload, flag=0):
    head = struct.pack("<II", MAGIC, flag << 29 | len(payload))
    return head + payload + b"\0" * (-len(payload) % 4)


def table(rows, seed=3):
    draw = numpy.random.default_rng(seed)
    return draw.normal(size=(rows, 7)).astype("float32"), draw.integers(0, 3, rows)


def csv(features, labels):
    lines = (",".join(map(repr, [int(y), *map(float, x)])) for x, y in zip(features, labels))
    return ("\n".join(lines) + "\n").encode()


@pytest.fixture
def inspect(run_penstock, tmp_path):
    """inspect({name: bytes}, *options, rc) -> the JSON object."""

    def run_it(objects, *options, rc=0, env=None, uri=None):
        for name, data in objects.items():
            (tmp_path / name).write_bytes(data)
        done = run_penstock(["inspect", uri or tmp_path, "--json", *options], env=env)
        assert done.rc == rc, done.stdout + done.stderr
        return json.loads(done.stdout)

    return run_it


def problems(said):
    return {p["problem"]: p["count"] for p in said["problems"]}


def example(said, problem):
    (found,) = (p for p in said["problems"] if p["problem"] == problem)
    return found["examples"][0]


def check_numbers(said, features, labels):
    assert (said["feature_dim"], said["label_dim"]) == (7, 1)
    assert said["records"] == len(labels)
    got, (label,) = said["features"], said["labels"]
    assert got["count"] == features.size and got["nan"] == got["inf"] == 0
    assert got["min"] == pytest.approx(features.min(), rel=1e-7)
    assert got["max"] == pytest.approx(features.max(), rel=1e-7)
    assert got["mean"] == pytest.approx(features.astype("float64").mean(), rel=1e-6)
    values, counts = numpy.unique(labels, return_counts=True)
    assert label["distinct"] == len(values)
    assert sorted((v["value"], v["records"]) for v in label["values"]) == list(zip(values, counts))
    assert label["mean"] == pytest.approx(labels.mean(), rel=1e-9)
    assert len(said["rows"]) == 5
    for row, x, y in zip(said["rows"], features, labels):
        assert row["labels"] == [y]
        assert numpy.array_equal(numpy.float32(row["features"]), x)


@pytest.mark.parametrize("write", [records, csv])
@pytest.mark.parametrize("squeeze", [bytes, gzip.compress])
def test_numbers_as_numpy_has_them(inspect, write, squeeze):
    features, labels = table(600)
    parts = [slice(0, 200), slice(200, 390), slice(390, 600)]
    objects = {f"p{i}": squeeze(write(features[p], labels[p])) for i, p in enumerate(parts)}
    said = inspect(objects, "--objects")
    kind = "application/x-recordio-protobuf" if write == records else "text/csv;label_size=1"
    assert said["content_type"] == kind
    assert said["compression"] == ("none" if squeeze == bytes else "gzip")
    check_numbers(said, features, labels)
    sizes = [len(data) for data in objects.values()]
    objects = said["objects"]
    assert [o["bytes"] for o in objects["list"]] == sizes
    assert (objects["count"], objects["bytes"], objects["empty"]) == (3, sum(sizes), 0)
    middle = (objects["smallest"], objects["median"], objects["largest"])
    assert middle == tuple(sorted(sizes))


def test_from_s3_in_a_sample(inspect, s3_server, tmp_path_factory):
    """Spans are of up to 1 MiB: a sample of 1 byte is one of them, and a record is cut by its end."""
    root = tmp_path_factory.mktemp("s3")
    (root / "data").mkdir()
    features, labels = table(40_000)
    (root / "data/a").write_bytes(records(features, labels))
    env = s3_server(root).env
    said = inspect({}, "--all", env=env, uri="s3://data/")
    check_numbers(said, features, labels)
    said = inspect({}, "--sample", "1", "--rows", "2", env=env, uri="s3://data/")
    assert 0 < said["read"]["bytes"] < (root / "data/a").stat().st_size
    assert 0 < said["records"] < 40_000 and said["read"]["objects"] == 0
    assert len(said["rows"]) == 2


def test_many_labels_have_no_list(inspect):
    features, _ = table(50)
    (label,) = inspect({"a": records(features, numpy.arange(50))})["labels"]
    assert label["distinct"] is None and "values" not in label
    (label,) = inspect({"a": records(features, numpy.arange(50) % 2 + 0.5)})["labels"]
    assert label["distinct"] == 2 and "values" not in label


def test_recordio_of_images(inspect):
    image = b"\xff\xd8\xff\xe0" + b"j" * 997
    data = frame(image) + frame(image[:500], 1) + frame(image[500:], 3) + frame(b"xyz")
    said = inspect({"a": data})
    assert (said["format"], said["content_type"]) == ("recordio", "application/octet-stream")
    want = {"in_parts": 1, "bytes": 2005, "smallest": 3, "largest": 1001, "format": "jpeg"}
    assert said["records"] == 3 and said["payloads"] == want


def masked_crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def numpy_file():
    out = io.BytesIO()
    numpy.save(out, numpy.arange(6))
    return out.getvalue()


LENGTH = struct.pack("<Q", 5)
KINDS = {
    "tfrecord": LENGTH
    + struct.pack("<I", masked_crc32c(LENGTH))
    + b"hello"
    + struct.pack("<I", masked_crc32c(b"hello")),
    "parquet": b"PAR1" + bytes(40),
    "npy": numpy_file(),
    "zip": b"PK\x03\x04" + bytes(30),
    "png": b"\x89PNG\r\n\x1a\n" + bytes(20),
    "jpeg": b"\xff\xd8\xff\xe0" + bytes(20),
    "idx": struct.pack(">HBBI", 0, 8, 1, 3) + b"abc",
    "json-lines": b'{"a": 1}\n{"a": 2}\n',
    "json": b'[{"a": 1},\n 2]\n',
    "libsvm": b"1 1:0.5 7:2\n0 3:1\n",
    "text": b"hello,\nworld\n",
    "binary": bytes(range(256)),
}


TYPES = {
    "tfrecord": "application/x-tfrecord",
    "parquet": "application/x-parquet",
    "png": "application/x-image;image_shape=3,224,224",
    "jpeg": "application/x-image;image_shape=3,224,224",
    "json-lines": "application/jsonlines;features=a",
    "libsvm": "text/libsvm",
}


@pytest.mark.parametrize("kind", KINDS)
def test_kinds(inspect, kind):
    said = inspect({"a": KINDS[kind]})
    assert (said["format"], said["content_type"]) == (
        kind,
        TYPES.get(kind, "application/octet-stream"),
    )


def test_json_lines_by_what_the_first_one_has(inspect):
    lines = [
        {"id": "x1", "a": 1, "b": [0.5, 2], "y": 1, "x;y": 7, "meta": {"a": 1}, "n": None},
        {"y": 0, "b": [1, 1], "a": 3, "id": "\x1b[2J\u00e4"},
    ]
    data = "".join(json.dumps(line) + "\n" for line in lines).encode()
    said = inspect({"a": data})
    assert said["content_type"] == "application/jsonlines;features=a,b;label=y;text=id"
    assert (said["records"], said["feature_dim"], said["label_dim"]) == (2, 3, 1)
    assert (said["text_dim"], said["text_bytes"]) == (1, 8)
    assert said["rows"] == ['1,1,0.5,2,"x1"', '0,3,1,1,".[2J\u00e4"']
    assert (said["features"]["min"], said["features"]["max"]) == (0.5, 3)
    said = inspect({"a": b"[1,2]\n[3,4]\n[5,6,7]\n"}, rc=3)
    assert said["records"] == 2 and problems(said) == {"other_shape": 1}
    said = inspect({"a": b'{"data": {"features": {"values": [1]}}}\n'})
    assert said["content_type"] == "application/jsonlines" and said["feature_dim"] == 1


def test_sparse_rows(inspect):
    said = inspect({"a": b"1 1:0.5 7:2\n0 3:-1\n"})
    assert (said["records"], said["entries"], said["label_dim"]) == (2, 3, 1)
    assert (said["features"]["count"], said["features"]["min"]) == (3, -1)
    assert said["rows"] == ["1 1:0.5 7:2", "0 3:-1"]


def test_told_types_of_any_shape(inspect, run_penstock, tmp_path):
    """Rows with weights, texts and other types than float32 have a place, too."""
    told = ["--content-type", "jsonlines;features=f;weight=w;text=t"]
    said = inspect({"a": b'{"f": [1, 2], "w": 0.5, "t": "a\\"b"}\n'}, *told)
    assert said["rows"] == ['0.5,1,2,"a""b"'] and said["format"] == "json-lines"
    assert "First rows\n    0.5,1,2" in run_penstock(["inspect", tmp_path, *told]).ok().stdout
    features, labels = table(6)
    told = ["--content-type", "application/x-recordio-protobuf;type=float64"]
    said = inspect({"a": records(features, labels)}, *told)
    assert said["rows"][0]["features"] == pytest.approx(list(map(float, features[0])))
    assert said["features"]["max"] == pytest.approx(float(features.max()))


def test_pictures_in_recordio_and_their_lists(inspect):
    image = b"\xff\xd8\xff\xe0" + b"j" * 997
    plain = struct.pack("<IfQQ", 0, 3.0, 7, 0) + image
    labels = struct.pack("<IfQQff", 2, 0.0, 7, 0, 1.0, 2.0) + image
    said = inspect({"a": frame(plain) + frame(labels)})
    assert said["format"] == "image-recordio" and said["payloads"]["format"] == "jpeg"
    assert said["content_type"] == "application/x-recordio;image_shape=3,224,224"
    said = inspect({"a": b"0\t1.0\tcats/b.jpg\n1\t0.0\tc.jpg\n"})
    assert said["format"] == "lst"
    assert inspect({"a": b"0\t0\n1\t1036\n2\t2080\n"})["format"] == "recordio-index"


def test_a_malformed_record_is_passed_over(inspect):
    features, labels = table(9)
    good = records(features, labels)
    size = len(good) // 9
    bad = frame(b"\xff" * 40)
    said = inspect({"a": good[: 4 * size] + bad + good[4 * size :]}, rc=3)
    assert problems(said) == {"malformed_record": 1}
    assert example(said, "malformed_record")["offset"] == 4 * size
    check_numbers(said, features, labels)


def test_a_broken_frame_ends_its_object_only(inspect):
    features, labels = table(30)
    one, two, three = (records(features[p], labels[p]) for p in (slice(0, 10), slice(10, 20), slice(20, 30)))
    said = inspect({"a": one, "b": two[:-5], "c": three}, rc=3)
    assert problems(said) == {"malformed_record": 1}
    found = example(said, "malformed_record")
    assert found["key"].endswith("/b") and found["offset"] == len(two) // 10 * 9
    keep = [i for i in range(30) if i != 19]
    check_numbers(said, features[keep], labels[keep])


@pytest.mark.parametrize("write", [records, csv])
def test_other_shape(inspect, write):
    features, labels = table(20)
    said = inspect({"a": write(features, labels), "b": write(features[:8, :5], labels[:8])}, rc=3)
    found = problems(said)
    assert found.pop("other_shape") == 8
    assert set(found) <= {"unbalanced_sizes"}
    assert example(said, "other_shape")["offset"] == 0
    check_numbers(said, features, labels)


def test_other_format_and_compression(inspect):
    features, labels = table(20)
    plain = csv(features, labels)
    said = inspect({"a": plain, "b": gzip.compress(plain), "c": b"PAR1" + bytes(500)}, rc=3)
    found = problems(said)
    assert found["other_format"] == 1 and example(said, "other_format")["key"].endswith("/c")
    assert found["mixed_compression"] == 1 and said["records"] == 40


def test_extensions_that_tell_are_no_problem(inspect):
    features, labels = table(20)
    said = inspect({"a.csv": csv(features, labels), "b.csv.gz": gzip.compress(csv(features, labels))})
    assert said["compression"] == "auto" and said["records"] == 40


@pytest.mark.parametrize("harm", ["truncated", "checksum"])
def test_corrupt_contents(inspect, harm):
    features, labels = table(20)
    whole = gzip.compress(csv(features, labels))
    bad = whole[:-9] if harm == "truncated" else whole[:-8] + struct.pack("<I", zlib.crc32(b"?")) + whole[-4:]
    said = inspect({"a": bad, "b": whole}, rc=3)
    assert problems(said)["corrupt_contents"] == 1
    assert example(said, "corrupt_contents")["key"].endswith("/a") and said["records"] >= 20


def test_csv_headers_and_numbers(inspect):
    features, labels = table(9)
    said = inspect({"a": b"y,a,b,c,d,e,f,g\n" + csv(features, labels)}, rc=3)
    assert problems(said) == {"csv_header": 1} and said["format"] == "csv"
    check_numbers(said, features, labels)


def test_csv_fields_that_are_no_numbers(inspect):
    said = inspect({"a": b"1,2,3\n0,x,4\n1,,nan\n1,inf,5\n"}, rc=3)
    assert problems(said) == {"malformed_record": 1, "not_finite": 2}
    assert example(said, "malformed_record")["offset"] == 6
    got = said["features"]
    assert (got["nan"], got["inf"], got["count"]) == (2, 1, 3)
    assert said["rows"][1]["features"] == [None, None]


def test_csv_delimiter_and_final_newline(inspect):
    said = inspect({"a": b"1;2;3\n4;5;6\n"}, rc=3)
    assert problems(said) == {"csv_delimiter": 1} and said["records"] == 2
    assert said["content_type"] == "text/csv;label_size=1;delimiter=semicolon"
    said = inspect({"a": b"y\ta\n1\t2\n"}, rc=3)
    assert problems(said) == {"csv_delimiter": 1, "csv_header": 1} and said["records"] == 1
    said = inspect({"a": b"1,2,3\n4,5,6"}, rc=3)
    assert problems(said) == {"no_final_newline": 1} and said["records"] == 2
    assert example(said, "no_final_newline")["offset"] == 11


def test_names_and_sizes(inspect):
    rows = {"part-1": 3, "part-2": 3, "part-10": 3}
    said = inspect({name: b"1,2\n" * n for name, n in rows.items()} | {"part-3": b""}, rc=3)
    assert problems(said) == {"empty_objects": 1, "key_order": 1}
    assert example(said, "key_order")["key"].endswith("part-2") and said["objects"]["empty"] == 1
    said = inspect({"part-1": b"1,2\n" * 7}, rc=3)
    assert problems(said) == {"empty_objects": 1, "key_order": 1, "unbalanced_sizes": 1}


def test_only_ten_examples_are_kept(inspect):
    said = inspect({"a": b"1,2\n" + b"1,x\n" * 25}, rc=3)
    (found,) = said["problems"]
    assert found["count"] == 25 and len(found["examples"]) == 10


def test_told_options_and_the_table_for_people(run_penstock, inspect, tmp_path):
    features, labels = table(6)
    said = inspect({"a": csv(features, labels)}, "--content-type", "text/csv;label_size=0")
    assert (said["feature_dim"], said["label_dim"], said["labels"]) == (8, 0, [])
    done = run_penstock(["inspect", tmp_path]).ok()
    for words in ("text/csv;label_size=1", "6, each of 7 features and 1 labels", "none found"):
        assert words in done.stdout


def test_failures(run_penstock, tmp_path):
    done = run_penstock(["inspect", tmp_path / "nothing"])
    assert done.rc == 1 and "nothing" in done.stderr and done.stdout == ""
    assert run_penstock(["inspect"]).rc == 2
    assert run_penstock(["inspect", tmp_path, "--compression", "rar"]).rc == 2
    assert run_penstock(["inspect", tmp_path, "--content-type", "text/html"]).rc == 2
