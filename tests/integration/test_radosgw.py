# SPDX-License-Identifier: Apache-2.0
"""tests/integration/test_radosgw.py - streams from a real S3 server (Ceph's radosgw), which verifies signatures strictly."""

import json
import random
import subprocess

import pytest
from conftest import clean_env
from digest import csv_rows, digest, expected_digest

pytestmark = pytest.mark.plain_build  # 15 s of starting it, and nothing that penstock serve does not show

ODD_KEYS = [
    "a b.csv",
    "a+b.csv",
    "a%41b.csv",
    "a%2Fb.csv",
    "q?x=1&y.csv",
    "h#frag.csv",
    "ü/öß.csv",
    "日本.csv",
    "d//e.csv",
    "/lead.csv",
    "./dot/../x.csv",
    "n()*'=&.csv",
    "semi;colon,$@!.csv",
    "~t-_.csv",
    "line\nbreak.csv",
    "back\\slash\"quote.csv",
]


def random_csv(seed, rows=100):
    draw = random.Random(seed)
    return "".join(f"{draw.randrange(10)},{draw.random()!r},{draw.random():.4f}\n" for _ in range(rows))


@pytest.fixture(scope="module")
def bucket(radosgw):
    client = radosgw.client()
    client.create_bucket(Bucket="odd-keys")
    texts = {f"odd/{key}": random_csv(i) for i, key in enumerate(ODD_KEYS)}
    for key, text in texts.items():
        client.put_object(Bucket="odd-keys", Key=key, Body=text.encode())
    for key in ("odd/dir/", "odd/empty.csv"):
        client.put_object(Bucket="odd-keys", Key=key, Body=b"")
    return texts


@pytest.mark.parametrize("io", ["uring", "epoll"])
def test_odd_keys_stream_in_byte_order(radosgw, bucket, io):
    result = digest(uri="s3://odd-keys/odd/", type="text/csv", io=io, env=radosgw.env).ok()
    in_order = "".join(bucket[key] for key in sorted(bucket, key=lambda key: key.encode()))
    assert result["objects_listed"] == len(ODD_KEYS)
    assert result["digest"] == expected_digest(csv_rows(in_order))


def test_references_of_an_augmented_manifest(radosgw, bucket, penstock):
    """Sizes by HEAD, of odd keys and of nothing; and what a missing object's HEAD says."""
    client = radosgw.client()
    names = [*bucket, "odd/empty.csv"]
    lines = [json.dumps({"x-ref": f"s3://odd-keys/{name}", "n": n}) for n, name in enumerate(names)]
    missing = json.dumps({"x-ref": "s3://odd-keys/none", "n": 0})
    options = ["--data-type", "augmented-manifest", "--attributes", "n,x-ref"]
    expected = "".join(f"{n}{bucket.get(name, '')}" for n, name in enumerate(names)).encode()
    for text, returncode in ((lines, 0), ([*lines, missing], 1)):
        client.put_object(Bucket="odd-keys", Key="lines", Body="\n".join(text).encode())
        command = [str(penstock), "cat", "s3://odd-keys/lines", *options]
        done = subprocess.run(command, env=clean_env(radosgw.env), capture_output=True, timeout=60)
        assert (done.returncode, done.stdout) == (returncode, expected), done.stderr
    assert f"line {len(lines) + 1}: ".encode() in done.stderr and b"404" in done.stderr


@pytest.mark.parametrize("key", ODD_KEYS)
def test_each_odd_key_is_found_by_its_own_prefix(radosgw, bucket, key):
    result = digest(uri=f"s3://odd-keys/odd/{key}", type="text/csv", env=radosgw.env).ok()
    assert result["digest"] == expected_digest(csv_rows(bucket[f"odd/{key}"]))


def test_listing_pages_follow_each_other(radosgw):
    client = radosgw.client()
    client.create_bucket(Bucket="many-keys")
    for i in range(1005):
        client.put_object(Bucket="many-keys", Key=f"k/{i:05d}.csv", Body=f"{i % 7},{i}\n".encode())
    result = digest(uri="s3://many-keys/k/", type="text/csv", env=radosgw.env).ok()
    assert result["lists"] == 2
    assert result["digest"] == expected_digest([[i, i % 7] for i in range(1005)])


def test_large_object_in_parts_equals_the_file(radosgw, tmp_path):
    text = "".join(f"{i % 10},{i},{i * 0.5}\n" for i in range(400_000))
    (tmp_path / "large.csv").write_text(text)
    client = radosgw.client()
    client.create_bucket(Bucket="large")
    client.put_object(Bucket="large", Key="large.csv", Body=text.encode())
    want = digest(uri=tmp_path, type="text/csv").ok()
    job = dict(type="text/csv", part_kib=256, connections=7, no_hedging=1)
    got = digest(uri="s3://large", env=radosgw.env, **job).ok()
    assert want["rows"] == 400_000
    assert got["digest"] == want["digest"]
    assert got["gets"] == -(-len(text) // (256 << 10))


def test_wrong_secret_names_the_access_key_but_no_secret(radosgw, bucket):
    env = radosgw.env | {"AWS_SECRET_ACCESS_KEY": "not-the-secret-of-this-key"}
    result = digest(uri="s3://odd-keys/odd/", type="text/csv", env=env)
    assert result["result"] == "PENSTOCK_E_DENIED"
    assert result["s3_code"] == "SignatureDoesNotMatch"
    assert result["http_status"] == 403
    assert "AKIDEXAMPLE" in result["message"]
    assert "not-the-secret" not in result["message"] + result.stderr
    assert result["request_id"]


def test_unknown_access_key_is_refused(radosgw, bucket):
    env = radosgw.env | {"AWS_ACCESS_KEY_ID": "AKIDNOBODY"}
    result = digest(uri="s3://odd-keys/odd/", type="text/csv", env=env)
    assert result["result"] == "PENSTOCK_E_DENIED"
    assert result["s3_code"] == "InvalidAccessKeyId"


def test_missing_bucket_is_named(radosgw):
    result = digest(uri="s3://no-such-bucket/x", type="text/csv", env=radosgw.env)
    assert result["result"] == "PENSTOCK_E_NOT_FOUND"
    assert result["s3_code"] == "NoSuchBucket"
    assert "no-such-bucket" in result["message"]
    assert result["bucket"] == "no-such-bucket"


def test_anonymous_requests_are_not_signed(radosgw, bucket):
    result = digest(uri="s3://odd-keys/odd/", type="text/csv", anonymous=1, env=radosgw.env)
    assert result["result"] == "PENSTOCK_E_DENIED"
    assert result["s3_code"] == "AccessDenied"
