# SPDX-License-Identifier: Apache-2.0
"""tests/integration/test_jsonl.py - JSON Lines that Python's json writes, from a stream, as rows; and
penstock cat --decode, which shows them."""

import csv
import io
import json
import math
import random
import subprocess

import numpy
import pytest
from conftest import clean_env


def decode(penstock, uri, content_type, *args, env=None):
    command = [str(penstock), "cat", "--decode", "--content-type", content_type, str(uri), *args]
    return subprocess.run(command, env=clean_env(env or {}), capture_output=True, timeout=60)


def rows(done):
    assert (done.returncode, done.stderr) == (0, b"")
    return list(csv.reader(io.StringIO(done.stdout.decode(), newline="")))


def number(draw):
    kind = draw.randrange(6)
    if kind == 0:
        return draw.randrange(-300, 300)
    if kind == 1:
        return draw.random() * 10 ** draw.randrange(-40, 38)
    if kind == 2:
        return float(numpy.float32(draw.uniform(-1, 1)))
    if kind == 3:
        return draw.choice([math.nan, math.inf, -math.inf, True, False, 10**30, -0.0])
    return round(draw.uniform(-1, 1), 6)


def text(draw):
    alphabet = 'abc "\\/\n\t\r\0\x7fäß€\u2028𝄞'
    return "".join(draw.choice(alphabet) for _ in range(draw.randrange(40)))


def record(draw):
    members = {
        "id": draw.randrange(10**12),
        "pixels": [[number(draw) for _ in range(5)] for _ in range(4)],
        "nested": {"x": number(draw), "other": [{}, [], None, {"x": 7}]},
        "label": number(draw),
        "w": draw.random(),
        "source": text(draw),
    }
    names = list(members)
    if draw.randrange(3) == 0:
        draw.shuffle(names)
    return {name: members[name] for name in names}


def same(text, value):
    """Shortest texts of float32 against the number that json.loads gives."""
    with numpy.errstate(over="ignore"):
        got, wanted = numpy.float32(text), numpy.float32(value)
    return (numpy.isnan(got) and numpy.isnan(wanted)) or got == wanted


def test_records_of_python_as_rows(penstock, s3_server, tmp_path):
    draw = random.Random(5)
    (tmp_path / "data").mkdir()
    written = []
    for part in range(3):
        separators = draw.choice([(", ", ": "), (",", ":")])
        lines = []
        for _ in range(400):
            written.append(record(draw))
            ascii_only = draw.randrange(2) == 0
            lines.append(json.dumps(written[-1], separators=separators, ensure_ascii=ascii_only))
        ends = draw.choice(["\n", "\r\n"])
        (tmp_path / f"data/part-{part}.jsonl").write_bytes((ends.join(lines) + ends).encode())
    content_type = "application/jsonlines;features=nested.x,pixels;label=label;weight=w;text=source,id"
    env = s3_server(tmp_path).env
    done = decode(penstock, "s3://data/", content_type, env=env)
    found = rows(done)
    assert len(found) == len(written)
    for row, line in zip(found, written):
        line = json.loads(json.dumps(line))
        flat = [x for inner in line["pixels"] for x in inner]
        expected = [line["label"], line["w"], line["nested"]["x"], *flat]
        assert len(row) == len(expected) + 2
        assert all(same(a, b) for a, b in zip(row, expected)), (row, line)
        assert row[-2:] == [line["source"], str(line["id"])]


def test_missing_members_and_bad_lines(penstock, tmp_path):
    path = tmp_path / "lines"
    path.write_text('{"a":1,"b":2}\n{"b":3}\n\n{"a":null,"b":4}\n{"a":1,}\n{"b":5,"a":6}')
    assert rows(decode(penstock, path, "application/x-ndjson;features=a,b", "--rows", "1")) == [["1", "2"]]
    done = decode(penstock, path, "application/x-ndjson;features=a,b")
    assert done.returncode == 1 and done.stdout == b"1,2\n"
    assert b"lines, record at byte 14: the line has no a; missing=nan lets it" in done.stderr
    content_type = "jsonlines;features=a,b;missing=nan"
    done = decode(penstock, path, content_type, "--bad-records", "warn")
    assert done.returncode == 0 and b"record at byte 40: byte 7 of the line" in done.stderr
    found = rows(decode(penstock, path, content_type, "--bad-records", "skip"))
    assert found == [["1", "2"], ["nan", "3"], ["nan", "4"], ["6", "5"]]


def test_sparse_tensors_as_libsvm(penstock, tmp_path):
    path = tmp_path / "lines"
    draw = random.Random(6)
    expected = []
    with path.open("w") as lines:
        for _ in range(300):
            keys = draw.sample(range(1000), draw.randrange(1, 30))
            values = [round(draw.uniform(-9, 9), 3) for _ in keys]
            label = draw.randrange(2)
            tensor = {"keys": keys, "values": values, "shape": [1000]}
            lines.write(json.dumps({"data": {"features": tensor}, "label": label}) + "\n")
            entries = [f"{k}:{numpy.format_float_positional(numpy.float32(v), trim='-')}" for k, v in zip(keys, values)]
            expected.append(" ".join([str(label), *entries]))
    done = decode(penstock, path, "jsonlines")
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.decode().splitlines() == expected


def test_decode_shows_csv_as_it_is(penstock, tmp_path):
    path = tmp_path / "table"
    path.write_text("1,0.5,-2\n0,,1e30\n")
    assert decode(penstock, path, "text/csv;label_size=1").stdout == b"1,0.5,-2\n0,nan,1e30\n"


@pytest.mark.parametrize(
    "args, cause",
    [
        (["--decode"], b"--decode needs a --content-type"),
        (["--content-type", "text/csv"], b"--content-type, --rows, --bad-records and --state go with --decode"),
        (["--rows", "3"], b"go with --decode"),
        (["--decode", "--content-type", "text/csv", "--rows", "0"], b"--rows"),
    ],
)
def test_options_that_do_not_go_together(penstock, tmp_path, args, cause):
    done = subprocess.run([str(penstock), "cat", str(tmp_path), *args], env=clean_env({}), capture_output=True)
    assert done.returncode == 2 and cause in done.stderr


def test_no_reader_and_bad_content_types(penstock, tmp_path):
    path = tmp_path / "lines"
    path.write_text("[1,2]\n" * 100000)
    done = decode(penstock, path, "jsonlines;features")
    assert done.returncode == 1 and b"parameter without '='" in done.stderr
    command = f"{penstock} cat --decode --content-type jsonlines {path} | head -1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], env=clean_env({}), capture_output=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (141, b"1,2\n", b"")
