# SPDX-License-Identifier: Apache-2.0
"""tests/integration/test_express.py - directory buckets of S3 Express One Zone: sessions, and listings in no
order. That `penstock serve` is right about both is what boto3 is asked for first."""

import hashlib
import re
from concurrent.futures import ThreadPoolExecutor

import boto3
import pytest
from botocore.config import Config
from conftest import ACCESS_KEY, SECRET_KEY
from digest import digest

BUCKET = "base--use1-az4--x-s3"
PLAIN = "application/octet-stream"
WAYS = [("uring", "direct"), ("epoll", "curl")]
TEXTS = {f"train/part-{i:04d}": f"object {i}\n".encode() * (i % 7 + 1) for i in range(1100)}
TEXTS |= {f"train/other-{i}": b"other\n" for i in range(3)} | {"valid/x": b"valid\n"}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("express")
    for key, text in TEXTS.items():
        path = root / BUCKET / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text)
    return root


def sha256(prefix=""):
    keys = sorted((k for k in TEXTS if k.startswith(prefix)), key=str.encode)
    return hashlib.sha256(b"".join(TEXTS[key] for key in keys)).hexdigest()


def sessions(server):
    return sum(line.split("\t")[2].startswith(f"/{BUCKET}?session") for line in server.log())


def stream(server, prefix="", env=(), **job):
    env = server.env | dict(env)
    return digest(uri=f"s3://{BUCKET}/{prefix}", type=PLAIN, env=env, **job)


def boto(server, **config):
    return boto3.client(
        "s3",
        endpoint_url=server.endpoint,
        region_name="us-east-1",
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=SECRET_KEY,
        config=Config(retries={"total_max_attempts": 1}, **config),
    )


def test_the_server_is_one_that_boto3_understands(s3_server, root):
    server = s3_server(root)
    s3 = boto(server)
    pages = list(s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix="train/"))
    keys = [item["Key"] for page in pages for item in page["Contents"]]
    assert len(pages) == 2 and sorted(keys) == sorted(k for k in TEXTS if k.startswith("train/"))
    assert keys != sorted(keys)
    assert s3.get_object(Bucket=BUCKET, Key="valid/x")["Body"].read() == b"valid\n"
    assert sessions(server) == 1
    for arguments in (dict(Prefix="train"), dict(StartAfter="x"), dict(Delimiter="/")):
        with pytest.raises(s3.exceptions.ClientError):
            s3.list_objects_v2(Bucket=BUCKET, **arguments)


@pytest.mark.parametrize("io,transport", WAYS)
@pytest.mark.parametrize("prefix", ["", "train/", "train/part-01", "valid/x"])
def test_keys_come_in_order(s3_server, root, io, transport, prefix):
    """A prefix within a name is one that S3 Express does not know."""
    server = s3_server(root)
    result = stream(server, prefix, io=io, transport=transport).ok()
    assert result["sha256_digest"] == sha256(prefix)
    assert result["retries"] == 0
    assert sessions(server) == 1


def test_shuffled_shards_make_up_the_whole(s3_server, root):
    server = s3_server(root)
    parts = [stream(server, shuffle=3, shard=f"{i}/3").ok() for i in range(3)]
    assert sum(part["objects"] for part in parts) == len(TEXTS)
    assert stream(server, shuffle=3).ok()["sha256_digest"] == stream(server, shuffle=3).ok()["sha256_digest"]


def test_a_session_is_renewed_ahead_of_its_end(s3_server, root):
    """Sessions of 4 s, and a stream of 6 s: none of its requests meets the end of one."""

    def read(way, server):
        return stream(server, io=way[0], transport=way[1], connections=7)

    servers = [s3_server(root, "--session-s", 4, "--latency-ms", 35) for _ in WAYS]
    with ThreadPoolExecutor(len(WAYS)) as pool:
        for server, result in zip(servers, pool.map(read, WAYS, servers)):
            assert result.ok()["sha256_digest"] == sha256()
            assert result["retries"] == 0
            assert sessions(server) >= 2
            assert "new credentials from a session with bucket " + BUCKET in result.stderr
            assert "ASIASESSION" not in result.stderr and "until=" not in result.stderr


@pytest.mark.parametrize("io,transport", WAYS)
def test_a_session_that_is_refused_is_renewed(s3_server, root, io, transport):
    server = s3_server(root, "--fault", "status=400,code=ExpiredToken,from=20,times=1,op=get")
    result = stream(server, io=io, transport=transport).ok()
    assert result["sha256_digest"] == sha256()
    assert result["retries"] >= 1
    assert sessions(server) == 2


@pytest.mark.parametrize("ahead_s,latency_ms", [(3000, 0), (-3000, 600)])
def test_a_wrong_clock_is_learnt_by_the_first_request(s3_server, root, ahead_s, latency_ms):
    """And the end of a session, which is told by the server's clock, is not long past."""
    server = s3_server(root, "--clock-ahead-s", ahead_s, "--latency-ms", latency_ms)
    result = stream(server, "train/other-", connections=1).ok()
    assert result["sha256_digest"] == sha256("train/other-")
    assert sessions(server) == 2  # one of them refused


def test_the_account_can_sign_instead(s3_server, root):
    server = s3_server(root)
    env = {"AWS_S3_DISABLE_EXPRESS_SESSION_AUTH": "true"}
    assert stream(server, env=env).ok()["sha256_digest"] == sha256()
    assert sessions(server) == 0
    result = stream(server, env={"AWS_S3_DISABLE_EXPRESS_SESSION_AUTH": "maybe"})
    assert result["result"] == "PENSTOCK_E_ARGUMENT"
    assert "AWS_S3_DISABLE_EXPRESS_SESSION_AUTH is 'maybe': write true or false" in result["message"]


def test_anonymous_requests_have_no_session(s3_server, root):
    server = s3_server(root, access_key=None)
    assert stream(server, anonymous=1).ok()["sha256_digest"] == sha256()
    assert sessions(server) == 0


def test_a_refused_session_is_explained(s3_server, root):
    result = stream(s3_server(root), env={"AWS_SECRET_ACCESS_KEY": "wrong"})
    assert result["result"] == "PENSTOCK_E_DENIED"
    assert result["bucket"] == BUCKET
    assert re.search(
        f"CreateSession for s3://{BUCKET}/ failed: HTTP status 403 SignatureDoesNotMatch.*"
        f"the secret key does not belong to access key {ACCESS_KEY}",
        result["message"],
    )


def test_a_manifest_may_name_objects_in_a_directory_bucket(s3_server, run_penstock, root):
    keys = ["train/part-0003", "valid/x", "train/part-0001"]
    server = s3_server(root)
    (root / "plain").mkdir(exist_ok=True)
    (root / "plain/list").write_text(
        '[{"prefix": "s3://%s/"}, %s]' % (BUCKET, ", ".join(f'"{key}"' for key in keys))
    )
    done = run_penstock(["cat", "--data-type", "manifest", "s3://plain/list"], env=server.env)
    assert done.ok().stdout == "".join(TEXTS[key].decode() for key in keys)
    assert sessions(server) == 1
