# SPDX-License-Identifier: Apache-2.0
"""tests/integration/test_parquet.py - Parquet files written by pyarrow: every value is the one that
pyarrow reads, rounded to float32 by numpy, or by exact arithmetic where that is not exact."""

import decimal
import functools
import itertools
import struct
import subprocess
from fractions import Fraction

import numpy
import pyarrow
import pytest
from conftest import clean_env
from pyarrow import parquet

ROWS = 1003
CODECS = ("none", "snappy", "gzip", "zstd", "lz4")
NUMBERS = numpy.random.default_rng(5)


def spread(bits, signed):
    """Integers of all sizes, the ends of the range among them."""
    shifts = NUMBERS.integers(0, bits, ROWS)
    values = [int(NUMBERS.integers(0, 2**63)) * 2 % 2**bits >> int(s) for s in shifts]
    least = -(2 ** (bits - 1)) if signed else 0
    values = [v + least if signed and i % 2 else v % 2 ** (bits - signed) for i, v in enumerate(values)]
    values[:4] = [least, least + 2**bits - 1, 0, 1]
    return values


def decimals(digits, scale):
    numbers = [int(NUMBERS.integers(0, 10**18)) ** 3 % 10 ** int(NUMBERS.integers(1, digits + 1)) for _ in range(ROWS)]
    numbers[:3] = [0, 10**digits - 1, -(10**digits) + 1]
    with decimal.localcontext(prec=60):
        return [decimal.Decimal(n if i % 3 else -n).scaleb(-scale) for i, n in enumerate(numbers)]


def texts():
    words = ["", "a", "Grüße", "x" * 300, "tab\tand\nline"]
    return [words[i] for i in NUMBERS.integers(0, len(words), ROWS)]


def cast(values, kind):
    with numpy.errstate(over="ignore"):
        return values.astype(kind)


@functools.cache
def columns():
    """name: (arrow type, values); what only some encodings take is found by trying."""
    doubles = NUMBERS.normal(0, 1, ROWS) * 10.0 ** NUMBERS.integers(-60, 60, ROWS)
    doubles[:5] = [numpy.nan, numpy.inf, -numpy.inf, -0.0, 16777217.0]
    few = NUMBERS.integers(-3, 4, ROWS)
    return {
        "flag": (pyarrow.bool_(), [bool(v) for v in NUMBERS.integers(0, 2, ROWS)]),
        "i8": (pyarrow.int8(), spread(8, True)),
        "u8": (pyarrow.uint8(), spread(8, False)),
        "i16": (pyarrow.int16(), spread(16, True)),
        "u16": (pyarrow.uint16(), spread(16, False)),
        "i32": (pyarrow.int32(), spread(32, True)),
        "u32": (pyarrow.uint32(), spread(32, False)),
        "i64": (pyarrow.int64(), spread(64, True)),
        "u64": (pyarrow.uint64(), spread(64, False)),
        "few": (pyarrow.int64(), [int(v) for v in few]),
        "same": (pyarrow.int32(), [7] * ROWS),
        "f16": (pyarrow.float16(), list(cast(doubles, numpy.float16))),
        "f32": (pyarrow.float32(), list(cast(doubles, numpy.float32))),
        "f64": (pyarrow.float64(), list(doubles)),
        "day": (pyarrow.date32(), spread(31, False)),
        "time": (pyarrow.timestamp("us"), spread(63, False)),
        "d9": (pyarrow.decimal128(9, 4), decimals(9, 4)),
        "d18": (pyarrow.decimal128(18, 11), decimals(18, 11)),
        "d38": (pyarrow.decimal128(38, 20), decimals(38, 20)),
        "text": (pyarrow.string(), texts()),
        "bytes": (pyarrow.binary(5), [v[:5].encode().ljust(5, b".")[:5] for v in texts()]),
    }


def nulls_of(kind):
    """Which values are null: none, some, long runs, all."""
    if kind == "some":
        return NUMBERS.random(ROWS) < 0.3
    if kind == "runs":
        return numpy.repeat(NUMBERS.random(ROWS // 50 + 1) < 0.5, 50)[:ROWS]
    return numpy.full(ROWS, kind == "all")


def rounded(value):
    """The float32 nearest to a rational number; a tie goes to the even one."""
    if value == 0:
        return numpy.float32(0)
    near = numpy.float32(float(value))  # right, or one off: of those around it take the nearest
    around = [numpy.nextafter(near, numpy.float32(-numpy.inf)), near, numpy.nextafter(near, numpy.float32(numpy.inf))]
    return min(around, key=lambda f: (abs(Fraction(float(f)) - value), f.view(numpy.uint32) & 1))


def expected_numbers(array):
    """What a column should be as float32."""
    if pyarrow.types.is_decimal(array.type):
        return numpy.array(
            [numpy.nan if v is None else rounded(Fraction(v)) for v in array.to_pylist()], numpy.float32
        )
    if pyarrow.types.is_temporal(array.type):
        array = array.cast(pyarrow.int32() if array.type == pyarrow.date32() else pyarrow.int64())
    missing = numpy.array(array.is_null())
    if pyarrow.types.is_boolean(array.type):
        array = array.cast(pyarrow.uint8())
    out = cast(array.fill_null(0).to_numpy(zero_copy_only=False), numpy.float32)
    out[missing] = numpy.nan
    return out


EXPECTED = {}  # by table and name: tables that are used often are kept by table_of


def expected(table, name):
    if (id(table), name) not in EXPECTED:
        array = table[name].combine_chunks()
        values = expected_texts(array) if is_text(array.type) else expected_numbers(array)
        EXPECTED[id(table), name] = table, values
    return EXPECTED[id(table), name][1]


def expected_texts(array):
    values = [v.encode() if isinstance(v, str) else v or b"" for v in array.to_pylist()]
    return [b"" if v is None else v for v in values]


@pytest.fixture(scope="module")
def program(penstock):
    return penstock.parent / "tests/drivers/parquet_rows"


class Bench:
    """Files to read, and what should come of them; all are read by one run of the program."""

    def __init__(self, program, directory):
        self.program = program
        self.directory = directory
        self.jobs = []

    def add(self, table, content_type="application/x-parquet;label_size=0", check=None, **options):
        """A file; False if pyarrow does not write it so."""
        path = self.directory / f"{len(self.jobs)}.parquet"
        try:
            parquet.write_table(table, path, **options)
        except (OSError, NotImplementedError, pyarrow.ArrowException, ValueError):
            return False
        self.jobs.append((content_type, path, table, check, options))
        return True

    def run(self):
        lines = "".join(f"{job[0]}\t{job[1]}\t{job[1]}.rows\n" for job in self.jobs)
        done = subprocess.run(
            [self.program], input=lines, capture_output=True, text=True, timeout=120, env=clean_env()
        )
        assert done.returncode == 0, done.stderr
        answers = done.stdout.splitlines()
        assert len(answers) == len(self.jobs)
        for answer, (content_type, path, table, check, options) in zip(answers, self.jobs):
            about = f"{path.name}: {options}: {answer}"
            word, *numbers = answer.split(" ")
            assert word == "ok", about
            rows, features, labels, texts, weighted = (int(n) for n in numbers)
            assert rows == table.num_rows, about
            data = path.with_name(path.name + ".rows").read_bytes()
            if rows == 0:
                continue
            values = numpy.frombuffer(data, numpy.float32, rows * (features + labels))
            (check or self.compare)(
                table, values.reshape(rows, features + labels), data[values.nbytes :], about
            )

    @staticmethod
    def compare(table, values, more, about):
        numbers = [c for c in table.column_names if not is_text(table[c].type)]
        assert values.shape[1] == len(numbers), about
        for i, name in enumerate(numbers):
            same_bits(values[:, i], expected(table, name), f"{about}: {name}")
        texts = [expected(table, name) for name in table.column_names if is_text(table[name].type)]
        assert more == packed(zip(*texts)), about


def is_text(kind):
    return pyarrow.types.is_string(kind) or pyarrow.types.is_fixed_size_binary(kind) and not pyarrow.types.is_decimal(kind)


def packed(rows):
    """Texts as tests/drive.h keeps them."""
    return b"".join(struct.pack("<I", len(text)) + text for row in rows for text in row)


def same_bits(got, expected, about):
    """NaN is any NaN; all else the same bits, so that -0 is not 0."""
    wrong = (got.view(numpy.uint32) != expected.view(numpy.uint32)) & ~(numpy.isnan(got) & numpy.isnan(expected))
    assert not wrong.any(), f"{about}: row {wrong.argmax()}: {got[wrong][0]!r}, not {expected[wrong][0]!r}"


@functools.cache
def table_of(nulls, names=None, required=False):
    arrays, fields = [], []
    for name, (kind, values) in columns().items():
        if names is None or name in names:
            arrays.append(pyarrow.array(values, kind, mask=nulls_of(nulls)))
            fields.append(pyarrow.field(name, kind, nullable=not required))
    return pyarrow.table(arrays, schema=pyarrow.schema(fields))


@pytest.fixture
def bench(program, tmp_path):
    return Bench(program, tmp_path)


def test_every_type_codec_and_page_version(bench):
    for nulls, codec, version in itertools.product(("none", "some", "runs", "all"), CODECS, ("1.0", "2.0")):
        assert bench.add(
            table_of(nulls),
            compression=codec,
            data_page_version=version,
            row_group_size=400,
            data_page_size=700,
            write_batch_size=64,
            write_page_checksum=codec == "zstd",
            store_decimal_as_integer=version == "2.0",
            use_dictionary=codec != "gzip",
        )
    bench.run()


def test_required_columns_and_row_groups_of_every_size(bench):
    table = table_of("none", required=True)
    for rows, pages in ((1, 1), (7, 2), (64, 100), (255, 3), (256, 1000), (257, 40), (100000, 1000000)):
        assert bench.add(table, row_group_size=rows, data_page_size=pages, write_batch_size=17)
    assert bench.add(table.slice(0, 0))
    assert bench.add(table.slice(0, 1))
    bench.run()


@pytest.mark.parametrize(
    "encoding", ["PLAIN", "RLE", "DELTA_BINARY_PACKED", "DELTA_LENGTH_BYTE_ARRAY", "BYTE_STREAM_SPLIT"]
)
def test_every_encoding(bench, encoding):
    written = set()
    for i, (name, (kind, _)) in enumerate(columns().items()):
        if encoding == "BYTE_STREAM_SPLIT" and is_text(kind):
            continue
        if bench.add(
            table_of(("none", "some", "runs")[i % 3], (name, "few") if is_text(kind) else (name,)),
            data_page_version=("1.0", "2.0")[i % 2],
            column_encoding={name: encoding},
            use_dictionary=False,
            data_page_size=500,
            store_decimal_as_integer=True,
            compression="snappy",
        ):
            written.add(name)
    least = {
        "PLAIN": 21,
        "RLE": 1,
        "DELTA_BINARY_PACKED": 13,
        "DELTA_LENGTH_BYTE_ARRAY": 1,
        "BYTE_STREAM_SPLIT": 16,
    }
    assert len(written) >= least[encoding], written
    bench.run()


def test_columns_by_name(bench):
    table = table_of("some", ("i8", "f32", "text", "d9", "bytes", "i64"))

    def chosen(features, labels, texts, weight=None):
        def check(_, values, more, about):
            for i, name in enumerate(features + labels):
                same_bits(values[:, i], expected(table, name), f"{about} {name}")
            wanted = [[text] for text in expected(table, texts[0])] if weight else []
            if weight:  # in front of each row's text; a null is some NaN
                for value, row in zip(expected(table, weight), wanted):
                    text = packed([row])
                    same_bits(numpy.frombuffer(more[:4], numpy.float32), numpy.array([value]), about)
                    assert more[4 : 4 + len(text)] == text, about
                    more = more[4 + len(text) :]
                assert more == b"", about
            else:
                assert more == packed(zip(*[expected(table, name) for name in texts])), about

        return check

    for parameters, check in {
        "": chosen(["i64", "f32", "d9"], ["i8"], ["text", "bytes"]),
        "label_size=2": chosen(["f32", "d9"], ["i8", "i64"], ["text", "bytes"]),
        "label=i64": chosen(["i8", "f32", "d9"], ["i64"], ["text", "bytes"]),
        'label="d9,f32";text="bytes,text"': chosen(["i8", "i64"], ["d9", "f32"], ["bytes", "text"]),
        'columns="i64,f32"': chosen(["i64", "f32"], ["i8"], []),
        "columns=d9;label=i8;text=bytes;weight=f32": chosen(["d9"], ["i8"], ["bytes"], "f32"),
    }.items():
        assert bench.add(table, f"application/x-parquet;{parameters}", check, row_group_size=300)
    bench.run()


def refusal(program, tmp_path, table, parameters="", **options):
    path = tmp_path / "refused.parquet"
    parquet.write_table(table, path, **options)
    line = f"application/x-parquet;label_size=0;{parameters}\t{path}\t{path}.rows\n"
    done = subprocess.run([program], input=line, capture_output=True, text=True, timeout=60, env=clean_env())
    assert done.returncode == 0 and done.stdout.startswith("error "), done.stdout + done.stderr
    return done.stdout


def test_what_cannot_be_read_is_named(program, tmp_path):
    plain = pyarrow.table({"a": [1, 2], "s": ["x", "y"]})
    nested = pyarrow.table({"a": [1, 2], "b": [[1], [2, 3]], "c": [{"x": 1}, {"x": 2}]})
    for table, parameters, options, cause in (
        (nested, "", {}, "column 'b': it is nested or repeated"),
        (nested, "columns=c", {}, "column 'c': it is nested or repeated"),
        (plain, "columns=z", {}, "it has no column 'z', of 2 that it has"),
        (plain, "columns=s", {}, "column 's': it is BYTE_ARRAY, not a number"),
        (plain, "columns=a;text=a", {}, "column 'a': it is INT64, not text"),
        (plain, 'columns="a,a"', {}, "column 'a': it is chosen twice"),
        (plain, "", {"compression": "brotli"}, "column 'a': it is compressed with Brotli"),
        (
            plain,
            "",
            {"column_encoding": {"s": "DELTA_BYTE_ARRAY"}, "use_dictionary": False},
            "column 's': the encoding DELTA_BYTE_ARRAY is not read here",
        ),
    ):
        assert cause in refusal(program, tmp_path, table, parameters, **options)


def test_nested_columns_may_be_left_out(bench):
    nested = pyarrow.table({"c": [{"x": 1}, {"x": 2}], "a": [1.5, None], "b": [[1], [2, 3]], "d": [3, 4]})

    def check(_, values, more, about):
        assert values.tolist()[0] == [1.5, 3.0] and values[1, 1] == 4.0 and more == b"", about

    assert bench.add(nested, 'application/x-parquet;label_size=0;columns="a,d"', check)
    bench.run()


def test_timestamps_of_96_bits(bench):
    when = ["2026-11-21T13:50:00.123456789", "1969-12-31T23:59:59.999999999", None]
    table = pyarrow.table({"when": pyarrow.array(when).cast(pyarrow.timestamp("ns"))})
    assert bench.add(table, use_deprecated_int96_timestamps=True)
    assert bench.add(table, use_deprecated_int96_timestamps=True, use_dictionary=False)
    bench.run()


def test_wrong_checksum_names_the_page(program, tmp_path):
    path = tmp_path / "damaged.parquet"
    table = pyarrow.table({"a": pyarrow.array(range(1000), pyarrow.int32())})
    parquet.write_table(table, path, write_page_checksum=True, use_dictionary=False, compression="none")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    line = f"application/x-parquet;label_size=0\t{path}\t{path}.rows\n"
    done = subprocess.run([program], input=line, capture_output=True, text=True, timeout=60, env=clean_env())
    assert done.stdout == "error 4 column 'a': a page is corrupt: its CRC-32 differs\n"
