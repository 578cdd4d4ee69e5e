# SPDX-License-Identifier: Apache-2.0
"""tests/integration/test_stream_s3.py - Streams from `penstock serve`: order, both I/O backends, memory, faults, and what errors say."""

import io
import os
import re
import signal
import subprocess
import time

import numpy
import pytest
from conftest import clean_env
from digest import DRIVER, digest, expected_digest
from sdk import write_numpy_to_dense_tensor

SHARDS, ROWS, DIM = 12, 700, 50
RECORDIO = "application/x-recordio-protobuf"


def recordio(features, labels):
    """Bytes as the SageMaker SDK writes them."""
    out = io.BytesIO()
    write_numpy_to_dense_tensor(out, features.astype("float32"), labels.astype("float32"))
    return out.getvalue()


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A bucket `data` of recordio shards, and the digest of its rows in key order."""
    root = tmp_path_factory.mktemp("served")
    (root / "data").mkdir()
    draw = numpy.random.default_rng(7)
    rows = []
    for shard in range(SHARDS):
        features = draw.normal(size=(ROWS, DIM)).astype("float32")
        labels = draw.integers(0, 10, ROWS).astype("float32")
        (root / "data" / f"part_{shard:03d}.pbr").write_bytes(recordio(features, labels))
        rows.append(numpy.hstack([features, labels[:, None]]))
    root.joinpath("digest").write_text(expected_digest(numpy.vstack(rows)))
    return root


def want(data):
    return (data / "digest").read_text()


SETTINGS = [
    dict(),
    dict(connections=1, part_kib=64),
    dict(connections=64, part_kib=64, decode=4, io_threads=3),
    dict(memory_mib=16, rows=37, decode=1),
    dict(memory_mib=16, rows=1, decode=2, part_kib=100),
]
WAYS = [(io, transport) for io in ("uring", "epoll") for transport in ("direct", "curl")]


@pytest.fixture(params=WAYS, ids="-".join)
def way(request):
    """One of the four ways bytes can come."""
    return dict(zip(("io", "transport"), request.param))


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_every_setting_gives_the_same_rows(s3_server, data, settings, way):
    server = s3_server(data)
    result = digest(uri="s3://data/part_", type=RECORDIO, env=server.env, **settings, **way).ok()
    assert result["digest"] == want(data)
    assert result["rows"] == SHARDS * ROWS
    assert result["io"] == way["io"]


@pytest.mark.parametrize("refusal", ["EPERM", "ENOSYS"])
@pytest.mark.parametrize("source", ["s3", "file"])
def test_without_io_uring_epoll_takes_over_and_says_why(s3_server, data, seccomp_deny, refusal, source):
    env = s3_server(data).env if source == "s3" else {}
    uri = "s3://data" if source == "s3" else data / "data"
    result = digest(uri=uri, type=RECORDIO, env=env, wrapper=[seccomp_deny, refusal, "--"]).ok()
    assert result["digest"] == want(data)
    assert result["io"] == "epoll"
    assert {"EPERM": "not permitted", "ENOSYS": "not implemented"}[refusal] in result["reason"]


def test_io_uring_demanded_and_refused_is_an_error(data, seccomp_deny):
    wrapper = [seccomp_deny, "EPERM", "--"]
    result = digest(uri=data / "data", type=RECORDIO, wrapper=wrapper, env={"PENSTOCK_IO": "uring"})
    assert result["result"] == "PENSTOCK_E_SYSTEM"
    assert "PENSTOCK_IO=epoll" in result["message"]


def test_environment_chooses_the_backend(data):
    for name in ("uring", "epoll"):
        assert digest(uri=data / "data", type=RECORDIO, env={"PENSTOCK_IO": name}).ok()["io"] == name


def test_shards_of_the_key_list_partition_the_rows(s3_server, data):
    server = s3_server(data)
    rows = [
        digest(uri="s3://data", type=RECORDIO, shard=f"{h}/5", shuffle=3, env=server.env).ok()["rows"]
        for h in range(5)
    ]
    assert sum(rows) == SHARDS * ROWS
    assert rows == [ROWS * len(range(h, SHARDS, 5)) for h in range(5)]


def test_shuffle_is_new_each_epoch_and_the_same_each_run(s3_server, data):
    server = s3_server(data)
    runs = [
        digest(uri="s3://data", type=RECORDIO, shuffle=9, epochs=3, env=server.env, io=name).ok()
        for name in ("uring", "epoll")
    ]
    assert runs[0].epochs == runs[1].epochs
    assert len(set(runs[0].epochs)) == 3
    files = digest(uri=data / "data", type=RECORDIO, shuffle=9, epochs=3).ok()
    assert files.epochs == runs[0].epochs


def test_first_get_follows_the_first_page(s3_server, tmp_path):
    bucket = tmp_path / "many"
    bucket.mkdir()
    for i in range(2500):
        (bucket / f"{i:05d}.csv").write_text(f"{i % 10},{i}\n")
    server = s3_server(tmp_path, "--latency-ms", 200)
    job = [DRIVER, "uri=s3://many", "type=text/csv", "rows=1", "connections=64", "epochs=1"]
    subprocess.run([str(word) for word in job], env=clean_env(server.env), check=True, timeout=60)
    requests = server.log()
    first_get = next(i for i, line in enumerate(requests) if "list-type" not in line)
    last_list = max(i for i, line in enumerate(requests) if "list-type" in line)
    assert first_get < last_list, "the first GET waited for the whole listing"


def test_one_request_a_part_and_one_list_a_page(s3_server, data):
    server = s3_server(data)
    result = digest(uri="s3://data", type=RECORDIO, env=server.env, no_hedging=1).ok()
    assert (result["lists"], result["gets"], result["retries"]) == (1, SHARDS, 0)
    assert len(server.log()) == 1 + SHARDS


# --- faults: the output must be identical ---------------------------------------------------------


FAULTS = {
    "slow-down": (["status=503,code=SlowDown,every=4"], {}),
    "internal-error": (["status=500,code=InternalError,every=5"], {}),
    "short-bodies": (["cut=20000,every=2"], {}),
    "cut-at-once": (["cut=0,every=3"], {}),
    "wrong-range": (["badrange,every=3"], {}),
    "whole-object-for-a-range": (["full,every=3"], dict(part_kib=64)),
    "stalls": (["stall=300,every=4"], {}),
    "all-of-them": (["status=503,code=SlowDown,every=7", "cut=5000,every=5", "badrange,every=6"], {}),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_do_not_change_the_rows(s3_server, data, fault, way):
    specs, settings = FAULTS[fault]
    server = s3_server(data, *(word for spec in specs for word in ("--fault", spec)))
    job = dict(uri="s3://data", type=RECORDIO, part_kib=64) | settings | way
    result = digest(env=server.env, **job).ok()
    assert result["digest"] == want(data)
    if fault != "stalls":
        assert result["retries"] > 0


def test_a_cut_body_resumes_from_the_byte_reached(s3_server, data, way):
    server = s3_server(data, "--fault", "cut=50000,times=1")
    result = digest(uri="s3://data/part_000", type=RECORDIO, env=server.env, **way).ok()
    size = (data / "data/part_000.pbr").stat().st_size
    ranges = [line for line in server.log() if "part_000" in line and "list-type" not in line]
    assert len(ranges) == 2
    assert f"bytes=50000-{size - 1}" in ranges[1]
    assert result["bytes"] == size and result["retries"] == 1


@pytest.mark.parametrize("transport", ["direct", pytest.param("curl", marks=pytest.mark.plain_build)])
def test_503_for_ever_ends_in_an_error_after_ten_attempts(s3_server, data, transport):
    server = s3_server(data, "--fault", "status=500,code=InternalError,every=1,key=part_003")
    job = dict(uri="s3://data", type=RECORDIO, transport=transport)
    result = digest(env=server.env, timeout=180, **job)
    assert result["result"] == "PENSTOCK_E_HTTP"
    assert (result["http_status"], result["s3_code"], result["attempts"]) == (500, "InternalError", 10)
    assert result["key"] == "part_003.pbr" and result["bucket"] == "data" and result["offset"] == 0
    assert result["remote_ip"] == "127.0.0.1" and result["request_id"]
    # Every full batch before the failing object was delivered.
    assert result["rows"] == 3 * ROWS // 1000 * 1000


def start(job, server):
    """The driver, running; its standard output is to be read with communicate()."""
    return subprocess.Popen(
        [str(word) for word in job],
        env=clean_env(server.env),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


def wait_for(condition, timeout=30):
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


# --- bad input: what, where ------------------------------------------------------------------------


def serve_files(s3_server, tmp_path, **files):
    bucket = tmp_path / "bad"
    bucket.mkdir()
    for name, content in files.items():
        (bucket / name.replace("_dot_", ".")).write_bytes(content)
    return s3_server(tmp_path)


def good(rows=30, dim=4):
    return recordio(numpy.arange(rows * dim).reshape(rows, dim), numpy.zeros(rows))


def test_wrong_secret_missing_key_and_missing_bucket(s3_server, data):
    server = s3_server(data)
    wrong = digest(uri="s3://data", type=RECORDIO, env=server.env | {"AWS_SECRET_ACCESS_KEY": "x" * 40})
    assert (wrong["result"], wrong["s3_code"]) == ("PENSTOCK_E_DENIED", "SignatureDoesNotMatch")
    missing = digest(uri="s3://nowhere/x", type=RECORDIO, env=server.env)
    assert (missing["result"], missing["s3_code"]) == ("PENSTOCK_E_NOT_FOUND", "NoSuchBucket")
    empty = digest(uri="s3://data/nothing-here", type=RECORDIO, env=server.env)
    assert empty["result"] == "PENSTOCK_E_EMPTY"
    assert "s3://data/nothing-here" in empty["message"]


def test_no_credentials_at_all(s3_server, data):
    server = s3_server(data)
    env = {k: v for k, v in server.env.items() if not k.startswith("AWS_") or "KEY" not in k}
    result = digest(uri="s3://data", type=RECORDIO, env=env)
    assert result["result"] == "PENSTOCK_E_CREDENTIALS"
    assert "AWS_ACCESS_KEY_ID" in result["message"]


def test_unreadable_credentials_file_is_named(s3_server, data, tmp_path):
    server = s3_server(data)
    path = tmp_path / "credentials"
    path.mkdir()  # unreadable for root, too
    env = {k: v for k, v in server.env.items() if "KEY" not in k}
    env["AWS_SHARED_CREDENTIALS_FILE"] = str(path)
    result = digest(uri="s3://data", type=RECORDIO, env=env)
    assert result["result"] == "PENSTOCK_E_CREDENTIALS"
    assert str(path) in result["message"]


def test_profile_file_works(s3_server, data, tmp_path):
    server = s3_server(data)
    path = tmp_path / "credentials"
    keys = (server.env["AWS_ACCESS_KEY_ID"], server.env["AWS_SECRET_ACCESS_KEY"])
    path.write_text("[work]\naws_access_key_id = %s\naws_secret_access_key = %s\n" % keys)
    env = {k: v for k, v in server.env.items() if "KEY" not in k}
    env |= {"AWS_SHARED_CREDENTIALS_FILE": str(path), "AWS_PROFILE": "work"}
    assert digest(uri="s3://data", type=RECORDIO, env=env).ok()["digest"] == want(data)


def test_object_deleted_after_the_listing(s3_server, tmp_path):
    """The second epoch lists nothing anew, and the object is gone."""
    server = serve_files(s3_server, tmp_path, a_dot_pbr=good(), b_dot_pbr=good())
    job = [DRIVER, "uri=s3://bad", f"type={RECORDIO}", "epochs=0", "rows=5", "memory_mib=16"]
    running = start(job, server)
    wait_for(lambda: any("b.pbr" in line for line in server.log()))
    (tmp_path / "bad/b.pbr").unlink()
    out, _ = running.communicate(timeout=60)
    assert "result=PENSTOCK_E_NOT_FOUND" in out
    assert "key=b.pbr" in out and "s3_code=NoSuchKey" in out


@pytest.mark.parametrize("transport", ["direct", "curl"])
def test_object_replaced_mid_epoch(s3_server, tmp_path, transport):
    """Many small parts and a stalled reader: the object changes while most of it is still to come."""
    rows = 60_000
    content = good(rows, 100)
    server = serve_files(s3_server, tmp_path, a_dot_pbr=content)
    job = [DRIVER, "uri=s3://bad", f"type={RECORDIO}", "memory_mib=16", "part_kib=64", "rows=100"]
    server.env["PENSTOCK_TRANSPORT"] = transport
    running = start([*job, "stall_ms=3000"], server)
    wait_for(lambda: len(server.log()) > 20)
    time.sleep(0.5)  # until the ring is full: then the rest must be asked for after the change
    server.client().put_object(Bucket="bad", Key="a.pbr", Body=content)
    out, _ = running.communicate(timeout=60)
    said = dict(line.partition("=")[::2] for line in out.splitlines())
    assert said["result"] == "PENSTOCK_E_CHANGED"
    # The 412 does not tell what is there now; the GET without If-Match after it does.
    assert said["http_status"] == "206" and said["key"] == "a.pbr"
    etags = re.search(r'listed with ETag "([^"]+)" and has "([^"]+)"', said["message"])
    assert etags and etags[1] != etags[2]
    assert 0 < int(said["rows"]) < rows and int(said["offset"]) > 0


BAD = {
    "truncated": (good()[:-10], RECORDIO, "truncated", 29),
    "bad-magic": (good() + b"\0" * 64, RECORDIO, "magic", 30),
    "feature-count": (good() + good(dim=5), RECORDIO, "features", 30),
    "text": (b"1,2,3\n0,4,5\n1,abc,7\n", "text/csv", "'abc'", 2),
    "field-count": (b"1,2,3\n0,4\n", "text/csv", "2 fields", 1),
    "label-size": (b"1,2,3\n", "text/csv;label_size=3", "label_size=3", 0),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_records_name_object_and_offset(s3_server, tmp_path, name):
    content, content_type, words, good_rows = BAD[name]
    server = serve_files(s3_server, tmp_path, x_dot_bin=content)
    result = digest(uri="s3://bad", type=content_type, rows=1, env=server.env)
    assert result["result"] == "PENSTOCK_E_FORMAT"
    assert words in result["message"] and "s3://bad/x.bin" in result["message"]
    assert (result["bucket"], result["key"]) == ("bad", "x.bin")
    assert result["rows"] == good_rows
    if name in ("truncated", "bad-magic", "feature-count"):
        record = len(good()) // 30
        assert result["offset"] == good_rows * record
    if name in ("text", "field-count"):
        assert result["offset"] == content.index(content.split(b"\n")[good_rows])


@pytest.mark.parametrize("settings", [dict(decode=1), dict(decode=4), dict(decode=4, part_kib=64)], ids=str)
def test_the_earliest_bad_record_is_reported(s3_server, tmp_path, settings):
    lines = [f"{i % 10},{i},{i}" for i in range(200_000)]
    for bad in (150_000, 123_456, 199_999):
        lines[bad] = "0,x,0"
    text = "\n".join(lines)
    server = serve_files(s3_server, tmp_path, a_dot_csv=text.encode())
    result = digest(uri="s3://bad", type="text/csv", rows=1000, env=server.env, **settings)
    assert result["result"] == "PENSTOCK_E_FORMAT"
    assert result["offset"] == len("\n".join(lines[:123_456])) + 1
    assert result["rows"] == 123_000


# --- memory, stop ----------------------------------------------------------------------------------


@pytest.mark.plain_build
def test_memory_stays_within_the_limit_with_a_stalled_consumer(s3_server, data):
    server = s3_server(data)
    job = dict(uri="s3://data", type=RECORDIO, epochs=200, memory_mib=32, rows=100, stall_ms=2000)
    result = digest(env=server.env, **job).ok()
    assert result["rows"] == SHARDS * ROWS * 200
    assert result["rss_kib"] <= (32 + 64) << 10
    assert result["ring_bytes"] + result["slot_bytes"] <= 32 << 20


@pytest.mark.plain_build
def test_memory_stays_within_the_limit_over_4_gib(s3_server, tmp_path):
    """64 keys of 64 MiB each: one file under 64 names."""
    bucket = tmp_path / "big"
    bucket.mkdir()
    block = recordio(numpy.ones((64, 4000)), numpy.zeros(64))
    with open(bucket / "000.pbr", "wb") as out:
        for _ in range((64 << 20) // len(block)):
            out.write(block)
    size = (bucket / "000.pbr").stat().st_size
    for i in range(1, 65):
        os.link(bucket / "000.pbr", bucket / f"{i:03d}.pbr")
    server = s3_server(tmp_path)
    result = digest(uri="s3://big", type=RECORDIO, memory_mib=128, env=server.env, timeout=300).ok()
    assert result["bytes"] == 65 * size > 4 << 30
    assert result["carried"] > 0
    assert result["rss_kib"] <= (128 + 64) << 10


def test_a_signal_ends_a_waiting_stream_within_a_second(s3_server, data, way):
    server = s3_server(data, "--fault", "stall=30000,every=1")
    server.env["PENSTOCK_TRANSPORT"] = way["transport"]
    running = start([DRIVER, "uri=s3://data", f"type={RECORDIO}", f"io={way['io']}"], server)
    wait_for(lambda: any("part_" in line for line in server.log()))
    begin = time.monotonic()
    running.send_signal(signal.SIGINT)
    out, _ = running.communicate(timeout=60)
    took = time.monotonic() - begin
    assert "result=PENSTOCK_E_STOPPED" in out
    assert took < 5, "a second is the promise; a busy machine gets five"
