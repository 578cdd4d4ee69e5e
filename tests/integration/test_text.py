# SPDX-License-Identifier: Apache-2.0
"""tests/integration/test_text.py - CSV and libsvm: the rows of a stream beside what Python's csv module, and a few
lines of Python, make of the same files."""

import csv
import random
import struct

import numpy
import pytest
from digest import digest


class Reader:
    """Takes arrays off what stream_digest dumped."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, dtype, count):
        array = numpy.frombuffer(self.data, dtype, count, self.at)
        self.at += array.nbytes
        return array


def rows_of(path, weighted=False, grouped=False, sparse=False, text_dim=0):
    """A dict for each row: x, y, w, g, entries, texts."""
    reader, rows = Reader(path.read_bytes()), []
    while reader.at < len(reader.data):
        count, row_bytes, label_dim = reader.take("uint32", 3)
        x = reader.take("float32", count * (row_bytes // 4)).reshape(count, -1)
        y = reader.take("float32", count * label_dim).reshape(count, label_dim)
        batch = [dict(x=x[i].tolist(), y=y[i].tolist()) for i in range(count)]
        for row, weight in zip(batch, reader.take("float32", count) if weighted else []):
            row["w"] = float(weight)
        for row, group in zip(batch, reader.take("uint64", count) if grouped else []):
            row["g"] = int(group)
        if sparse:
            ends = reader.take("uint32", count + 1)
            columns, values = reader.take("uint32", ends[-1]), reader.take("float32", ends[-1])
            for row, start, end in zip(batch, ends, ends[1:]):
                row["entries"] = list(zip(columns[start:end].tolist(), values[start:end].tolist()))
        if text_dim:
            ends = reader.take("uint32", count * text_dim + 1)
            text = reader.take("uint8", ends[-1]).tobytes()
            texts = [text[a:b].decode() for a, b in zip(ends, ends[1:])]
            for i, row in enumerate(batch):
                row["texts"] = texts[i * text_dim : (i + 1) * text_dim]
        rows += batch
    return rows


def single(text):
    """As float32, by way of the correctly rounded double where that is safe: at most 9 digits."""
    return float(numpy.float32(text))


WORDS = ["", "a", "b c", 'say "x"', "comma, tab\there", "two\nlines", '12" x', "\u00e4\u00f6", "semi;colon|pipe"]
COLOURS = ["red", "green", "dark blue"]


def write_tables(directory, names, **dialect):
    """Three files of rows: id, weight, colour, text, two numbers, label."""
    generator, rows = random.Random(11), []
    directory.mkdir(exist_ok=True)
    for number in range(3):
        table = [
            [
                row,
                generator.choice(["1", "0.5"]),
                generator.choice(COLOURS),
                generator.choice(WORDS),
                generator.choice(["", f"{generator.uniform(-9, 9):.6g}"]),
                f"{generator.uniform(-1, 1):.5e}",
                generator.randrange(2),
            ]
            for row in range(400)
        ]
        with open(directory / f"{number}.csv", "w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, **dialect)
            writer.writerow(names)
            writer.writerows(table)
        with open(directory / f"{number}.csv", newline="", encoding="utf-8") as file:
            rows += list(csv.reader(file, **dialect | dict(quoting=csv.QUOTE_MINIMAL)))[1:]
    return rows


@pytest.mark.parametrize(
    "parameters, dialect",
    [
        ("", dict()),
        ("delimiter=tab", dict(delimiter="\t", quoting=csv.QUOTE_ALL)),
        ('delimiter=";"', dict(delimiter=";", lineterminator="\n")),
        ("delimiter=pipe", dict(delimiter="|", quoting=csv.QUOTE_NONNUMERIC)),
    ],
)
def test_csv_columns_by_name_equal_those_of_pythons_csv_module(tmp_path, parameters, dialect):
    names = ["id", "weight", "colour", "some text", "a", "b", "y"]
    rows = write_tables(tmp_path / "in", names, **dialect)
    content_type = (
        "text/csv;header=present;label_columns=y;weight_column=weight;columns=\"b,colour,a\";"
        f"text_columns=\"some text,id\";cat.colour=dark blue|green|red;{parameters}"
    )
    job = dict(uri=tmp_path / "in", type=content_type, rows=64)
    digest(**job, dump=tmp_path / "rows").ok()
    got = rows_of(tmp_path / "rows", weighted=True, text_dim=2)
    assert len(got) == len(rows) == 1200
    order = ["dark blue", "green", "red"]
    for row, want in zip(got, rows):
        identity, weight, colour, text, a, b, y = want
        x = [single(b), float(order.index(colour)), single(a) if a else float("nan")]
        numpy.testing.assert_array_equal(row["x"], x)
        assert (row["y"], row["w"]) == ([float(y)], float(weight))
        assert row["texts"] == [text, identity]
    digests = {digest(**job, decode=threads).ok()["digest"] for threads in (1, 2, 4)}
    assert len(digests) == 1


def test_csv_objects_whose_headers_differ_are_not_mixed_up(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in/0.csv").write_text("a,y\n1,2\n")
    (tmp_path / "in/1.csv").write_text("y,a\n1,2\n")
    result = digest(uri=tmp_path / "in", type="text/csv;header=present;label_columns=y")
    assert result.rc == 1
    assert "the header's column 0 is 'y', not 'a' as in the channel's first object" in result["message"]
    assert "1.csv" in result["message"]


def read_libsvm(text, base):
    """Rows as rows_of gives them."""
    for line in text.splitlines():
        words = line.split("#")[0].split()
        if not words:
            continue
        label, _, weight = words[0].partition(":")
        row = dict(x=[], y=[float(label)], w=float(weight or 1), g=int(words[1][4:]))
        pairs = [word.partition(":") for word in words[2:]]
        row["entries"] = [(int(i) - base, single(v) if colon else 1.0) for i, colon, v in pairs]
        yield row


@pytest.mark.parametrize("base", [0, 1])
def test_libsvm_rows_equal_those_of_plain_python(tmp_path, base):
    generator, expected = random.Random(base), []
    (tmp_path / "in").mkdir()
    for number in range(3):
        lines = ["# a comment", ""]
        for row in range(500):
            entries = [
                f"{i}:{generator.uniform(-1, 1):.6g}" if generator.random() < 0.98 else f"{i}"
                for i in sorted(generator.sample(range(base, 3000), generator.randrange(40)))
            ]
            head = f"{generator.randrange(5)}:{generator.choice([0.5, 2])} qid:{row // 20}"
            lines.append(" ".join([head, *entries]) + generator.choice(["", " ", " # end", "\r"]))
        text = "\n".join(lines)
        (tmp_path / f"in/{number}.svm").write_text(text, newline="")
        expected += read_libsvm(text, base)
    job = dict(uri=tmp_path / "in", type=f"text/libsvm;index_base={base}", rows=128)
    digest(**job, dump=tmp_path / "rows").ok()
    assert rows_of(tmp_path / "rows", weighted=True, grouped=True, sparse=True) == expected
    digests = {digest(**job, decode=threads).ok()["digest"] for threads in (1, 2, 4)}
    assert len(digests) == 1
