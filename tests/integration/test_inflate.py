# SPDX-License-Identifier: Apache-2.0
"""tests/integration/test_inflate.py - compressed objects, made by Python's gzip, lz4 and zstandard:
the bytes and the models are those of the objects before they were compressed."""

import gzip
import hashlib
import io
import json
import subprocess

import lz4.frame
import numpy
import pytest
import zstandard
from conftest import clean_env
from digest import digest


def gzip_members(data, parts=1, level=6):
    """Members back to back, as `cat a.gz b.gz` makes, the last one empty."""
    cuts = [len(data) * i // parts for i in range(parts + 1)]
    members = [gzip.compress(data[a:b], level, mtime=0) for a, b in zip(cuts, cuts[1:])]
    return b"".join(members) + gzip.compress(b"", mtime=0)


def gzip_named(data):
    out = io.BytesIO()
    with gzip.GzipFile("part.csv", "wb", 9, out) as stream:
        stream.write(data)
    return out.getvalue() + bytes(512)


def lz4_frames(data, **options):
    return lz4.frame.compress(data[:1000], **options) + lz4.frame.compress(data[1000:], **options)


def zstd_frames(data):
    coder = zstandard.ZstdCompressor(level=3, write_checksum=True)
    skippable = bytes.fromhex("5a2a4d18") + (7).to_bytes(4, "little") + b"ignored"
    stream = coder.compressobj()  # no size in the head, a window instead
    return coder.compress(data[:1000]) + skippable + stream.compress(data[1000:]) + stream.flush()


# extension: how an object is made
WAYS = {
    "gz": gzip_members,
    "members.gz": lambda data: gzip_members(data, 5, 1),
    "stored.gzip": lambda data: gzip_members(data, 1, 0),
    "named.gz": gzip_named,
    "lz4": lz4_frames,
    "checked.lz4": lambda data: lz4_frames(data, content_checksum=True, block_checksum=True),
    "large.lz4": lambda data: lz4_frames(
        data, block_size=lz4.frame.BLOCKSIZE_MAX4MB, block_linked=False
    ),
    "zst": zstd_frames,
    "csv": lambda data: data,
}
CODEC = {"gz": "gzip", "gzip": "gzip", "lz4": "lz4", "zst": "zstd", "csv": "none"}


def inflate(way, data):
    """What Python finds in it."""
    codec = CODEC[way.rpartition(".")[2]]
    if codec == "gzip":
        return gzip.decompress(data)
    if codec == "lz4":
        first, used = lz4.frame.decompress(data, return_bytes_read=True)
        return first + lz4.frame.decompress(data[used:])
    if codec == "zstd":
        reader = zstandard.ZstdDecompressor().stream_reader(data, read_across_frames=True)
        return reader.read()
    return data


def make_bucket(root, sizes):
    """One object of each size in each way; returns the contents in key order."""
    draw = numpy.random.default_rng(3)
    objects = {}
    (root / "data").mkdir(parents=True)
    for way, compress in WAYS.items():
        for number, size in enumerate(sizes):
            text = draw.integers(0, 10, size, dtype=numpy.uint8) + ord("0")
            text[:: 1 + number * 7] = draw.integers(0, 256, len(text[:: 1 + number * 7]))
            objects[f"{number}.{way}"] = text.tobytes()
            (root / "data" / f"{number}.{way}").write_bytes(compress(text.tobytes()))
    return [objects[key] for key in sorted(objects)]


@pytest.fixture(scope="module")
def bucket(tmp_path_factory):
    root = tmp_path_factory.mktemp("inflate")
    return root, make_bucket(root, [0, 1, 999, 3_000_000])


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def cat(penstock, env, *args):
    command = [str(word) for word in (penstock, "cat", *args)]
    return subprocess.run(command, env=clean_env(env), capture_output=True, timeout=60)


@pytest.mark.parametrize("transport", ["direct", "curl"])
def test_cat_auto_from_s3(penstock, s3_server, bucket, transport):
    root, contents = bucket
    env = s3_server(root).env | {"PENSTOCK_TRANSPORT": transport}
    for options in ([], ["--part-size", "64KiB", "--memory-limit", "16MiB"]):
        done = cat(penstock, env, "s3://data/", "--decompress", "auto", *options)
        assert done.returncode == 0, done.stderr
        assert sha256(done.stdout) == sha256(b"".join(contents))


@pytest.mark.parametrize("way", WAYS)
def test_cat_by_name_and_not_at_all(penstock, tmp_path, way):
    contents = b"1,2,3\n" * 60_000
    (tmp_path / "object").write_bytes(WAYS[way](contents))
    codec = CODEC[way.rpartition(".")[2]]
    done = cat(penstock, None, tmp_path / "object", "--decompress", codec, "--epochs", "3")
    assert done.returncode == 0, done.stderr
    assert done.stdout == contents * 3
    done = cat(penstock, None, tmp_path / "object", "--decompress", "auto")  # no extension
    assert done.stdout == WAYS[way](contents) or way == "named.gz"  # which holds the time


def test_faults_and_epochs_leave_no_trace(penstock, s3_server, bucket):
    root, contents = bucket
    env = s3_server(root, "--fault", "cut=70000,every=3", "--fault", "status=503,every=5").env
    done = cat(penstock, env, "s3://data/", "--decompress", "auto", "--epochs", "2")
    assert done.returncode == 0, done.stderr
    assert sha256(done.stdout) == sha256(b"".join(contents) * 2)


@pytest.mark.parametrize(
    "way, cut, cause",
    [
        ("members.gz", -1, "gzip member 6: truncated: the object ends inside its trailer"),
        ("gz", 5, "gzip member 1: truncated: the object ends inside its head"),
        ("lz4", -2, "lz4 frame 2: truncated: the object ends inside it"),
        ("zst", -3, "zstd frame 3: truncated: the object ends inside it"),
    ],
)
def test_a_truncated_object_is_an_error(penstock, s3_server, tmp_path, way, cut, cause):
    """What came before it is written, whole; nothing after it is."""
    root = tmp_path / "root"
    (root / "data").mkdir(parents=True)
    first, second = b"1,2,3\n" * 70_000, b"4,5,6\n" * 80_000
    (root / "data/0").write_bytes(WAYS[way](first))
    (root / "data/1").write_bytes(WAYS[way](second)[:cut])
    (root / "data/2").write_bytes(WAYS[way](first))
    codec = CODEC[way.rpartition(".")[2]]
    done = cat(penstock, s3_server(root).env, "s3://data/", "--decompress", codec)
    assert done.returncode == 1
    assert done.stdout.startswith(first) and (first + second).startswith(done.stdout)
    assert len(done.stdout) < len(first + second)
    assert cause in done.stderr.decode() and "s3://data/1" in done.stderr.decode()


def test_a_wrong_checksum_is_an_error_that_names_the_member(penstock, tmp_path):
    members = [gzip.compress(b"%d\n" % i * 9999, mtime=0) for i in range(4)]
    members[2] = members[2][:-8] + bytes([members[2][-8] ^ 1]) + members[2][-7:]
    (tmp_path / "x.gz").write_bytes(b"".join(members))
    done = cat(penstock, None, tmp_path / "x.gz", "--decompress", "auto")
    assert done.returncode == 1
    assert f"at compressed byte {len(members[0] + members[1])}: gzip member 3: CRC-32 differs" in (
        done.stderr.decode()
    )
    assert (b"0\n" * 9999 + b"1\n" * 9999) == done.stdout[: 4 * 9999]


@pytest.mark.parametrize("shards", [1, 3])
def test_what_manifests_name_is_inflated_and_their_values_are_not(
    penstock, s3_server, bucket, shards
):
    root, _ = bucket
    env = s3_server(root).env
    lines, expected = [], [b""] * shards
    for line in range(30):
        way = list(WAYS)[line % 9]
        number = line % 4
        plain = inflate(way, (root / f"data/{number}.{way}").read_bytes())
        lines.append(json.dumps({"id": line, "x-ref": f"s3://data/{number}.{way}", "end": "."}))
        expected[line % shards] += b"%d" % line + plain + b"."
    (root / "lists").mkdir(exist_ok=True)
    (root / "lists/lines").write_text("\n".join(lines) + "\n")
    options = ["--data-type", "augmented-manifest", "--attributes", "id,x-ref,end"]
    options += ["--decompress", "auto", "--epochs", "3"]
    for shard in range(shards):
        done = cat(penstock, env, "s3://lists/lines", *options, "--shard", f"{shard}/{shards}")
        assert done.returncode == 0, done.stderr
        assert done.stdout == expected[shard] * 3


def test_a_manifest_of_compressed_objects(penstock, s3_server, bucket):
    root, _ = bucket
    names = ["2.gz", "0.members.gz", "3.zst", "1.lz4", "0.csv"]
    (root / "lists").mkdir(exist_ok=True)
    (root / "lists/m").write_text(json.dumps([{"prefix": "s3://data/"}, *names]))
    options = ["--data-type", "manifest", "--decompress", "auto", "--epochs", "2"]
    done = cat(penstock, s3_server(root).env, "s3://lists/m", *options)
    assert done.returncode == 0, done.stderr
    whole = b"".join(
        inflate(name.partition(".")[2], (root / "data" / name).read_bytes()) for name in names
    )
    assert done.stdout == whole * 2


@pytest.mark.plain_build
@pytest.mark.parametrize("codec", ["gzip", "lz4", "zstd"])
def test_memory_stays_within_the_limit(tmp_path, codec):
    """What a few hundred KB hold is 200 MiB."""
    compress = {
        "gzip": gzip.compress,
        "lz4": lz4.frame.compress,
        "zstd": zstandard.ZstdCompressor().compress,
    }[codec]
    (tmp_path / "object").write_bytes(compress(bytes(200 << 20)))
    result = digest(
        uri=tmp_path,
        type="application/octet-stream",
        compression=codec,
        epochs=2,
        memory_mib=32,
        stall_ms=300,
    ).ok()
    assert result["ring_bytes"] <= 32 << 20
    assert result["rss_kib"] <= (32 + 32) << 10


def test_a_window_that_does_not_fit_is_refused(penstock, tmp_path):
    parameters = zstandard.ZstdCompressionParameters(window_log=24)
    coder = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    (tmp_path / "x.zst").write_bytes(coder.compress(b"1,2\n" * 1000) + coder.flush())
    options = [tmp_path / "x.zst", "--decompress", "auto", "--memory-limit"]
    done = cat(penstock, None, *options, "16MiB")
    assert done.returncode == 1
    assert b"its window is larger than this memory limit allows: raise" in done.stderr
    assert cat(penstock, None, *options, "128MiB").stdout == b"1,2\n" * 1000


def test_usage_errors(penstock):
    done = cat(penstock, None, "/nowhere", "--decompress", "bzip2")
    assert done.returncode == 1
    assert b'compression is "bzip2": use none, gzip, lz4, zstd or auto' in done.stderr


@pytest.mark.parametrize("kind", ["text/csv;label_size=1", "application/x-recordio-protobuf"])
def test_records_of_every_codec_are_the_same(s3_server, tmp_path, kind, run_penstock):
    draw = numpy.random.default_rng(8)
    root, plain = tmp_path / "root", tmp_path / "plain"
    plain.mkdir()
    for number in range(5):
        rows = draw.integers(0, 256, (400 * number + 1, 40))
        text = "".join(",".join(map(str, row)) + "\n" for row in rows)
        (plain / f"{number}.csv").write_text(text)
    if "csv" not in kind:
        rows, packed = tmp_path / "rows.csv", tmp_path / "packed"
        rows.write_text("".join(file.read_text() for file in sorted(plain.iterdir())))
        run_penstock(["pack", "--csv", str(rows), "--output", str(packed), "--shards", "5"]).ok()
        plain = packed
    make_codecs(root, plain)
    env = s3_server(root).env
    expected = digest(uri=plain, type=kind, epochs=3, shuffle=6).ok()
    for codec in ("gzip", "lz4", "zstd"):
        for memory_mib in (64, 16):
            got = digest(
                env=env,
                uri=f"s3://{codec}/",
                type=kind,
                epochs=3,
                shuffle=6,
                compression=codec,
                memory_mib=memory_mib,
                rows=50,
            ).ok()
            assert got["digest"] == expected["digest"] and got.epochs == expected.epochs
            assert got["rows"] == expected["rows"]


def make_codecs(root, plain):
    for codec, compress in (("gzip", gzip_members), ("lz4", lz4_frames), ("zstd", zstd_frames)):
        (root / codec).mkdir(parents=True)
        for file in plain.iterdir():
            (root / codec / file.name).write_bytes(compress(file.read_bytes()))


def test_the_model_of_compressed_objects_is_the_same(run_penstock, tmp_path):
    draw = numpy.random.default_rng(4)
    models = []
    plain = tmp_path / "plain"
    plain.mkdir()
    for number in range(3):
        x = draw.normal(size=(500, 6))
        y = x @ numpy.arange(6) + draw.normal(size=500) / 10
        text = "".join(f"{b:.5f}," + ",".join(f"{v:.5f}" for v in a) + "\n" for a, b in zip(x, y))
        (plain / f"{number}.csv").write_text(text)
    (tmp_path / "zipped").mkdir()
    for file, way in zip(sorted(plain.iterdir()), ("members.gz", "lz4", "zst")):
        (tmp_path / "zipped" / f"{file.name}.{way}").write_bytes(WAYS[way](file.read_bytes()))
    for where in (plain, tmp_path / "zipped"):
        model = tmp_path / f"model-{where.name}"
        words = ["train", "--algorithm", "linear-learner", "--train", where, "--device", "cpu"]
        words += ["--content-type", "text/csv;label_size=1", "--compression", "auto"]
        words += ["--hp", "predictor_type=regressor", "--hp", "epochs=3", "--model-dir", model]
        words += ["--hp", "mini_batch_size=100"]
        run_penstock([str(word) for word in words]).ok()
        models.append((model / "model.safetensors").read_bytes())
    assert models[0] == models[1]
