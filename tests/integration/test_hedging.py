# SPDX-License-Identifier: Apache-2.0
"""tests/integration/test_hedging.py - a second request for a part that is slow: whatever the two bring, and
in whatever order, the bytes are right, and none of them counts as a retry."""

import hashlib
import random
import subprocess
import threading
import time

import pytest
from conftest import clean_env
from digest import DRIVER, csv_rows, digest, expected_digest
from test_hostile_server import (
    BODY,
    SIZE,
    TEXT,
    error_document,
    good,
    head,
    hostile,  # noqa: F401
    part,
    reset,
    stream,
)
from test_tls import pki  # noqa: F401

BACKENDS = ["uring", "epoll"]
HALF = SIZE // 2


class Race:
    """The first GET runs `first(race, sock)` and the second, the hedge, `second(race, sock, first, last)`.
    Each is told when the other has gone some way by `asked` (the second was) and `go`."""

    def __init__(self, first, second):
        self.first, self.second = first, second
        self.asked, self.go = threading.Event(), threading.Event()

    def __call__(self, server, sock, first, last):
        if len(server.gets) == 1:
            return self.first(self, sock)
        if len(server.gets) == 2:
            self.asked.set()
            return self.second(self, sock, first, last)
        return good(server, sock, first, last)


def silent(race, sock):
    race.go.wait(10)


def half(race, sock):
    sock.sendall(part(0, SIZE - 1) + BODY[:HALF])
    race.go.wait(10)


def trickle(race, sock):
    sock.sendall(part(0, SIZE - 1) + BODY[:100])
    for i in range(100, 400):
        if race.go.wait(0.02):
            break
        sock.sendall(BODY[i : i + 1])


def half_then_rest(race, sock):
    """Goes on as soon as the other request has come."""
    sock.sendall(part(0, SIZE - 1) + BODY[:HALF])
    race.asked.wait(10)
    sock.sendall(BODY[HALF:])
    return True


def half_then_more(race, sock):
    """Brings some more before the other one answers, and then stops for good."""
    sock.sendall(part(0, SIZE - 1) + BODY[:HALF])
    race.asked.wait(10)
    sock.sendall(BODY[HALF : HALF + 5000])
    time.sleep(0.3)
    race.go.set()
    time.sleep(5)


def half_then_reset(race, sock):
    sock.sendall(part(0, SIZE - 1) + BODY[:HALF])
    race.asked.wait(10)
    reset(sock)
    sock.close()
    time.sleep(0.3)
    race.go.set()


def answer_rest(race, sock, first, last):
    sock.sendall(part(first, last) + BODY[first : last + 1])
    race.go.set()
    return True


def answer_when_told(race, sock, first, last):
    race.go.wait(10)
    return answer_rest(race, sock, first, last)


def run(hostile, first, second, io, **job):  # noqa: F811
    server = hostile(Race(first, second))
    result = stream(server, hedging=True, io=io, transport="direct", **job).ok()
    assert result["digest"] == expected_digest(csv_rows(TEXT))
    assert result["retries"] == 0
    return server, result


@pytest.mark.parametrize("first,io", [(silent, "uring"), (half, "uring"), (half, "epoll"), (trickle, "epoll")])
def test_the_hedge_takes_the_part_over(hostile, io, first):  # noqa: F811
    server, result = run(hostile, first, answer_rest, io)
    assert (result["hedges"], result["hedge_wins"], len(server.gets)) == (1, 1, 2)
    assert result["bytes"] == SIZE


@pytest.mark.parametrize("io", BACKENDS)
def test_bytes_that_both_brought_are_used_once(hostile, io):  # noqa: F811
    server, result = run(hostile, half_then_more, answer_when_told, io)
    assert (result["hedges"], result["hedge_wins"]) == (1, 1)
    assert result["refetched"] == HALF + 5000 - server.gets[1][0]
    assert result["bytes"] == SIZE


@pytest.mark.parametrize("io", BACKENDS)
def test_the_first_finishes_while_the_hedge_waits(hostile, io):  # noqa: F811
    server, result = run(hostile, half_then_rest, lambda race, *_: race.go.wait(1), io)
    assert (result["hedges"], result["hedge_wins"], len(server.gets)) == (1, 0, 2)
    assert result["bytes"] == SIZE


@pytest.mark.parametrize("io", BACKENDS)
def test_both_at_once(hostile, io):  # noqa: F811
    """Who wins is chance."""
    server, result = run(hostile, half_then_rest, answer_rest, io)
    assert (result["hedges"], len(server.gets)) == (1, 2)
    assert result["bytes"] == SIZE


@pytest.mark.parametrize("io", BACKENDS)
def test_the_first_fails_while_the_hedge_waits(hostile, io):  # noqa: F811
    """The hedge is the attempt then: nothing is asked for a third time."""
    server, result = run(hostile, half_then_reset, answer_when_told, io)
    assert (result["hedges"], len(server.gets)) == (1, 2)


def send(*parts):
    def script(race, sock, first, last):
        for each in parts:
            sock.sendall(each(first, last))
        race.go.set()

    return script


USELESS = {
    "503": send(lambda a, b: head(503, 10) + b"<Error></E"),
    "403": send(lambda a, b: head(403, len(error_document("X"))) + error_document("X")),
    "wrong range": send(lambda a, b: part(a, b, shift=1) + BODY[a : b + 1]),
    "whole object": send(lambda a, b: head(200, SIZE) + BODY),
    "another etag": send(lambda a, b: part(a, b, 'ETag: "e2"') + b"x" * (b - a + 1)),
    "another size": send(lambda a, b: part(a, b, total=SIZE + 1) + b"x" * (b - a + 1)),
    "412": send(lambda a, b: head(412, 0)),
    "garbage": send(lambda a, b: b"SSH-2.0-OpenSSH_9.2\r\n"),
    "nothing": send(),
}


@pytest.mark.parametrize("name,io", [(name, BACKENDS[i % 2]) for i, name in enumerate(USELESS)])
def test_a_useless_hedge_is_dropped_and_the_first_goes_on(hostile, io, name):  # noqa: F811
    def first(race, sock):
        sock.sendall(part(0, SIZE - 1) + BODY[:HALF])
        race.go.wait(10)
        time.sleep(0.2)  # until the answer is known to be useless
        sock.sendall(BODY[HALF:])
        return True

    _, result = run(hostile, first, USELESS[name], io)
    # The part may be found slow once more before its rest has come.
    assert result["hedges"] >= 1 and result["hedge_wins"] < result["hedges"]


def test_no_hedging_waits(hostile):  # noqa: F811
    def first(race, sock):
        sock.sendall(part(0, SIZE - 1) + BODY[:HALF])
        time.sleep(3)
        sock.sendall(BODY[HALF:])

    server = hostile(Race(first, answer_rest))
    result = stream(server, transport="direct").ok()
    assert result["digest"] == expected_digest(csv_rows(TEXT))
    assert (result["hedges"], len(server.gets)) == (0, 1)


@pytest.mark.parametrize("first,io", [(silent, "epoll"), (half, "uring"), (half, "epoll")])
def test_a_stream_stopped_with_both_under_way_ends_at_once(hostile, io, first):  # noqa: F811
    race = Race(first, lambda race, *_: race.go.wait(10))
    server = hostile(race)
    job = [DRIVER, "uri=s3://bucket/", "type=text/csv", "anonymous=1", f"io={io}"]
    env = clean_env(server.env | {"PENSTOCK_TRANSPORT": "direct"})
    running = subprocess.Popen(job, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert race.asked.wait(30)
    running.terminate()
    out, err = running.communicate(timeout=10)
    race.go.set()
    assert "result=PENSTOCK_E_STOPPED" in out, err
    assert "hedges=1" in out.splitlines()


# --- the faults that a stream has to bear -----------------------------------------------------------

# The first given of those that would fail one request does; a little more than 10 %, 5 % and 1 %.
RHYTHM = [
    "stall=5000,after=30000,every=97",
    "status=503,code=SlowDown,every=19",
    "reset=100000,every=9",
]
CHANCE = [
    "stall=5000,after=30000,prob=0.01",
    "status=503,code=SlowDown,prob=0.05",
    "reset=100000,prob=0.1",
]


def fired(server, kind):
    return sum(line.split("\t")[7] == kind for line in server.log())


@pytest.mark.parametrize(
    "io,scheme,faults",
    [
        ("uring", "http", RHYTHM),
        ("epoll", "http", CHANCE),
        ("epoll", "https", RHYTHM),
        ("uring", "https", CHANCE),
    ],
    ids=["uring-http-rhythm", "epoll-http-chance", "epoll-https-rhythm", "uring-https-chance"],
)
def test_resets_and_slow_down_and_stalls(s3_server, tmp_path, pki, io, scheme, faults):  # noqa: F811
    data = tmp_path / "root/data"
    data.mkdir(parents=True)
    content = random.Random(7).randbytes(48 << 20)
    (data / "object").write_bytes(content)
    key, crt = pki["good"]
    tls = ["--tls-key", key, "--tls-cert", crt] if scheme == "https" else []
    faults = [word for fault in faults for word in ("--fault", fault)]
    server = s3_server(tmp_path / "root", *faults, "--seed", 3, *tls, scheme=scheme)
    result = digest(
        uri="s3://data",
        type="application/octet-stream",
        part_kib=128,
        io=io,
        transport="direct",
        env=server.env | {"AWS_CA_BUNDLE": crt},
    ).ok()
    assert result["sha256_digest"] == hashlib.sha256(content).hexdigest()
    assert result["retries"] > 50
    assert fired(server, "stall") >= 3
    if "release" in DRIVER.parts:  # a sanitizer on a busy machine makes everything slow, and a stall usual
        assert result["hedges"] >= 1
        assert result["part_p99_us"] < 4_000_000  # nobody waited for the end of a stall
    # 2 %, and what was on its way when a race was decided.
    assert result["refetched"] < len(content) // 50 + (512 << 10)
