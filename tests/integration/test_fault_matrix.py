# SPDX-License-Identifier: Apache-2.0
"""tests/integration/test_fault_matrix.py - every fault of `penstock serve`, met on both backends and
both transports, plain and over TLS: the bytes are exactly those of the objects, or the error is the one
that says what is wrong. Under sanitizers each fault is met in two ways that have nothing in common, so
that it still meets each backend, each transport, and both schemes."""

import hashlib
import itertools
import random
import re

import pytest
from digest import digest
from test_tls import make_certificate

PLAIN = "application/octet-stream"
KIB = 1024
WAYS = [
    (io, transport, scheme)
    for io in ("uring", "epoll")
    for transport in ("direct", "curl")
    for scheme in ("http", "https")
]
OBJECTS = [random.Random(i).randbytes(200 * KIB + i) for i in range(3)]  # four parts each
SHA256 = hashlib.sha256(b"".join(OBJECTS)).hexdigest()

# The faults after which the bytes are the same, and whether each loses a request: one at a byte that the
# last part of an object does not have loses only some.
NONE, SOME, EACH = range(3)
SAME = {
    "slow-down": ("status=503,code=SlowDown,retry-after=1,from=4,times=1", EACH),
    "internal-error": ("status=500,every=4", EACH),
    "by-chance": ("status=503,prob=0.25,times=4", EACH),
    "reset": ("reset=20000,every=3,times=3", SOME),
    "cut": ("cut=30000,every=3,times=3", SOME),
    "stall": ("stall=100,after=1000,every=3", NONE),
    "slow-first-byte": ("delay=100,every=3", NONE),
    "trickle": ("trickle=200000,every=6", NONE),
    "short-body": ("short=1000,every=4,times=2", EACH),
    "extra-body": ("extra=1000,every=4", NONE),
    "wrong-range": ("badrange,every=4,times=2", EACH),
    "whole-object": ("full,every=4,times=2", NONE),
    "bad-chunking": ("chunk,every=4,times=2", EACH),
}


def in_every_way(names, *choices):
    """Parametrizes a test with `meet` and with the product of `choices`, each a list of values of the
    argument in its place in `names`."""
    cases = []
    for i, values in enumerate(itertools.product(*choices)):
        for w, way in enumerate(WAYS):
            both = w in (i % 4, 7 - i % 4)  # 7 - w differs from w in all three
            marks = () if both else pytest.mark.plain_build
            cases.append(pytest.param(way, *values, marks=marks, id="-".join([*way, *map(str, values)])))
    return pytest.mark.parametrize(["meet", *names.split()], cases, indirect=["meet"])


@pytest.fixture(scope="module")
def pki(tmp_path_factory):
    return make_certificate(tmp_path_factory.mktemp("pki"), "good", "IP:127.0.0.1")


@pytest.fixture(scope="module")
def bucket(tmp_path_factory):
    root = tmp_path_factory.mktemp("served")
    (root / "data").mkdir()
    for i, data in enumerate(OBJECTS):
        (root / f"data/k{i}").write_bytes(data)
    return root


@pytest.fixture
def meet(request, s3_server, bucket, pki):
    """meet(*options, **job) -> server, digest: one of the eight ways to meet a fault."""
    io, transport, scheme = request.param
    key, crt = pki

    def run(*options, env=(), **job):
        tls = ("--tls-key", key, "--tls-cert", crt) if scheme == "https" else ()
        server = s3_server(bucket, *tls, *options, scheme=scheme)
        env = server.env | {"AWS_CA_BUNDLE": crt} | dict(env)
        job = dict(part_kib=64, connections=4) | job
        return server, digest(uri="s3://data", type=PLAIN, env=env, io=io, transport=transport, **job)

    return run


def fired(server, kind):
    """How many requests the fault has met, by the server's own log."""
    return sum(line.split("\t")[7] == kind for line in server.log())


@in_every_way("name", SAME)
def test_the_bytes_are_the_same(meet, name):
    spec, lost = SAME[name]
    server, result = meet("--fault", spec, "--seed", 3)
    kind = re.match("[a-z]+", spec)[0]
    assert fired(server, kind) > 0
    assert result.ok()["sha256_digest"] == SHA256
    assert result["bytes"] == sum(map(len, OBJECTS))
    if lost == SOME:
        assert result["retries"] > 0
    if lost == EACH:  # a hedge that meets one is given up, and is no retry
        assert result["retries"] + result["hedges"] >= fired(server, kind)


@in_every_way("")
def test_a_bad_day(meet):
    """Resets, slow-downs and stalls by chance, over six epochs."""
    faults = ["reset=9000,prob=0.1", "status=503,code=SlowDown,prob=0.05", "stall=50,prob=0.03"]
    server, result = meet(*(w for f in faults for w in ("--fault", f)), "--seed", 5, epochs=6)
    assert fired(server, "reset") > 0 and fired(server, "status") > 0
    assert result.ok()["sha256_digest"] == hashlib.sha256(b"".join(OBJECTS * 6)).hexdigest()


# What the whole server does; it costs time, and no attempt.
SLOW = {
    "late-answers": ("--latency-ms", 5, "--latency-p99-ms", 60, "--seed", 3),
    "slow-connections": ("--rate-mbps", 80),
    "a-narrow-link": ("--rate-total-mbps", 100),
    "slower-when-crowded": ("--rate-total-mbps", 200, "--slow-beyond", 2),
}


@in_every_way("name", SLOW)
def test_the_bytes_of_a_slow_server_are_the_same(meet, name):
    _, result = meet(*SLOW[name], connections=8)
    assert result.ok()["sha256_digest"] == SHA256
    assert result["retries"] == 0


@in_every_way("ahead_s", [3000, -3000])
def test_a_clock_that_is_wrong_is_made_up_for(meet, ahead_s):
    server, result = meet("--clock-ahead-s", ahead_s)
    assert result.ok()["sha256_digest"] == SHA256
    assert any("\t403\t" in line for line in server.log())


@in_every_way(
    "spec op",
    ["status=301,code=PermanentRedirect", "status=400,code=AuthorizationHeaderMalformed"],
    ["get", "list"],
)
def test_a_bucket_in_another_region_is_followed(meet, spec, op):
    server, result = meet("--anonymous", "--fault", f"{spec},region=eu-west-1,times=1,op={op}", anonymous=1)
    assert fired(server, "status") == 1
    assert result.ok()["sha256_digest"] == SHA256


@in_every_way("")
def test_a_redirect_to_another_host_is_an_error(meet):
    _, result = meet("--fault", "status=307,code=TemporaryRedirect,location=http://127.0.0.9/k0,key=k0")
    assert (result["result"], result["http_status"]) == ("PENSTOCK_E_HTTP", 307)
    assert result["s3_code"] == "TemporaryRedirect"
    assert (result["bucket"], result["key"]) == ("data", "k0")
    assert "a signed request is not sent there" in result["message"]


@in_every_way("kind", ["changed", "etag"])
def test_an_object_that_changes_is_an_error(meet, kind):
    server, result = meet("--fault", f"{kind},key=k1,from=2", no_hedging=1)
    assert fired(server, kind) > 0
    assert result["result"] == "PENSTOCK_E_CHANGED"
    assert (result["bucket"], result["key"]) == ("data", "k1")
    assert len(set(re.findall("[0-9a-f]{32}", result["message"]))) == 2  # both ETags


@in_every_way("")
def test_a_flipped_bit_of_a_whole_object_is_caught(meet):
    _, result = meet("--fault", "flip=1234,key=k1", part_kib=1024)
    assert result["result"] == "PENSTOCK_E_CORRUPT"
    assert (result["bucket"], result["key"]) == ("data", "k1")


@in_every_way("")
def test_a_credential_that_expires_is_an_error(meet):
    server, result = meet("--fault", "status=400,code=ExpiredToken,credential=AKIDEXAMPLE,from=4")
    assert fired(server, "status") > 0
    assert result["result"] == "PENSTOCK_E_CREDENTIALS"
    assert (result["http_status"], result["s3_code"]) == (400, "ExpiredToken")
