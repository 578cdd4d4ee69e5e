# SPDX-License-Identifier: Apache-2.0
"""tests/integration/test_hostile_server.py - answers no sane server gives: the rows stay right, or an
error says why."""

import re
import socket
import struct
import threading
import time
from email.utils import formatdate

import pytest
from digest import csv_rows, digest, expected_digest

TEXT = "".join(f"{i % 10},{i},{i * 0.5}\n" for i in range(3000))
BODY = TEXT.encode()
SIZE = len(BODY)
LIST = (
    "<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>k.csv</Key>"
    f'<ETag>"e1"</ETag><Size>{SIZE}</Size></Contents></ListBucketResult>'
).encode()
WAYS = [(io, transport) for io in ("uring", "epoll") for transport in ("direct", "curl")]


class Server:
    """Answers the listing itself and leaves each ranged GET to `script(server, sock, first, last)`, which
    returns whether the connection is kept. `gets` lists the ranges asked for, `requests` their heads.
    `tls` is an ssl.SSLContext; `ciphers` lists what each connection of a GET has agreed on."""

    def __init__(self, script, tls=None):
        self.script, self.gets, self.requests = script, [], []
        self.tls, self.ciphers = tls, []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.env = {
            "AWS_ENDPOINT_URL": f"http{'s' if tls else ''}://127.0.0.1:{self.listener.getsockname()[1]}",
            "AWS_REGION": "us-east-1",
        }
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock):
        pending = b""
        try:
            if self.tls:
                sock = self.tls.wrap_socket(sock, server_side=True)
            while True:
                while b"\r\n\r\n" not in pending:
                    more = sock.recv(65536)
                    if not more:
                        return
                    pending += more
                request, pending = pending.split(b"\r\n\r\n", 1)
                if b"list-type" in request:
                    sock.sendall(head(200, len(LIST)) + LIST)
                    continue
                asked = re.search(rb"bytes=(\d+)-(\d+)", request)
                first, last = map(int, asked.groups()) if asked else (0, SIZE - 1)
                self.requests.append(request)
                self.gets.append((first, last))
                if self.tls:
                    self.ciphers.append(sock.cipher()[0])
                if not self.script(self, sock, first, last):
                    return
        except OSError:
            pass
        finally:
            sock.close()

    def close(self):
        stop_listening(self.listener)


def stop_listening(listener):
    """Wakes the thread that accepts, too: its call would be made again after a signal, then of whatever
    has the descriptor's number by now, and take connections away from the next test's server."""
    if listener.fileno() >= 0:
        listener.shutdown(socket.SHUT_RDWR)
    listener.close()


def head(status, length, *fields):
    lines = [f"HTTP/1.1 {status} X", *fields]
    if length is not None:
        lines.append(f"Content-Length: {length}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def part(first, last, *fields, total=SIZE, shift=0, length=None):
    where = f"Content-Range: bytes {first + shift}-{last + shift}/{total}"
    length = last - first + 1 if length is None else length
    return head(206, length, where, *fields)


def good(server, sock, first, last):
    sock.sendall(part(first, last) + BODY[first : last + 1])
    return True


def first_time(script):
    """The script for the first GET only, then good answers."""

    def run(server, sock, first, last):
        return (script if len(server.gets) == 1 else good)(server, sock, first, last)

    return run


def reset(sock):
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@pytest.fixture
def hostile():
    servers = []

    def start(script):
        servers.append(Server(script))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


def stream(server, hedging=False, **job):
    """One request a part: a busy machine would have more of it where hedges are wanted."""
    job = dict(connections=1, part_kib=64, anonymous=1) | ({} if hedging else {"no_hedging": 1}) | job
    return digest(uri="s3://bucket/", type="text/csv", env=server.env, **job)


# --- strange, but right: no attempt may be lost ----------------------------------------------------


def in_pieces(size, pause=0.0):
    def script(server, sock, first, last):
        answer = part(first, last) + BODY[first : last + 1]
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for at in range(0, len(answer), size):
            sock.sendall(answer[at : at + size])
            time.sleep(pause)
        return True

    return script


def head_split_everywhere(server, sock, first, last):
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    start = part(first, last)
    for at in range(len(start)):
        sock.sendall(start[at : at + 1])
        time.sleep(0.002)
    sock.sendall(BODY[first : last + 1])
    return True


def continue_first(server, sock, first, last):
    sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLink: x\r\n\r\n")
    return good(server, sock, first, last)


def close_each(server, sock, first, last):
    sock.sendall(part(first, last, "Connection: close") + BODY[first : last + 1])
    return False


def close_unannounced(server, sock, first, last):
    """Kept alive by its word, closed by its deed: the next request meets a dead connection."""
    good(server, sock, first, last)
    return False


def http_1_0(server, sock, first, last):
    answer = part(first, last).replace(b"HTTP/1.1", b"HTTP/1.0")
    sock.sendall(answer + BODY[first : last + 1])
    return False


STRANGE = {
    "pieces-of-1000": in_pieces(1000),
    "pieces-of-17": in_pieces(17),
    "head-byte-by-byte": head_split_everywhere,
    "100-continue": continue_first,
    "connection-close": close_each,
    "closed-unannounced": close_unannounced,
    "http-1.0": http_1_0,
    "long-head": lambda s, sock, a, b: sock.sendall(
        part(a, b, *[f"X-Padding-{i}: {'y' * 90}" for i in range(100)]) + BODY[a : b + 1]
    )
    is None,
}


@pytest.mark.parametrize("io,transport", WAYS)
@pytest.mark.parametrize("name", STRANGE)
def test_strange_but_right_answers(hostile, name, io, transport):
    server = hostile(STRANGE[name])
    result = stream(server, io=io, transport=transport).ok()
    assert result["digest"] == expected_digest(csv_rows(TEXT))
    assert result["retries"] == 0


# --- wrong once: tried again, from the byte reached -----------------------------------------------


def cut_at(count, rst=False):
    def script(server, sock, first, last):
        sock.sendall((part(first, last) + BODY[first : last + 1])[:count])
        if rst:
            reset(sock)
        return False

    return script


def answer(data, keep=False):
    def script(server, sock, first, last):
        sock.sendall(data(first, last))
        return keep

    return script


def error_document(code):
    return f"<Error><Code>{code}</Code><Message>m</Message></Error>".encode()


FAILED = error_document("PreconditionFailed")


def chunked(body):
    return f"{len(body):x}\r\n".encode() + body + b"\r\n0\r\n\r\n"


SLOW = error_document("InternalError")
WRONG_ONCE = {
    "closed-before-the-head": cut_at(0),
    "closed-in-the-head": cut_at(20),
    "closed-after-the-head": cut_at(len(part(0, 999))),
    "closed-in-the-body": cut_at(5000),
    "reset-in-the-body": cut_at(5000, rst=True),
    "garbage": answer(lambda a, b: b"SSH-2.0-OpenSSH_9\r\n\r\n"),
    "shifted-range": answer(lambda a, b: part(a, b, shift=1) + BODY[a : b + 1], keep=True),
    "longer-than-asked": answer(lambda a, b: part(a, b, length=b - a + 2) + BODY[a : b + 1] + b"x"),
    "no-range": answer(lambda a, b: head(206, b - a + 1) + BODY[a : b + 1], keep=True),
    "two-lengths": answer(
        lambda a, b: part(a, b, "Content-Length: 3") + BODY[a : b + 1],
    ),
    "500-with-length": answer(lambda a, b: head(500, len(SLOW)) + SLOW, keep=True),
    "500-chunked": answer(
        lambda a, b: head(500, None, "Transfer-Encoding: chunked") + chunked(SLOW), keep=True
    ),
    "500-until-close": answer(lambda a, b: head(500, None, "Connection: close") + SLOW),
    "500-with-a-huge-body": answer(lambda a, b: head(500, 100_000) + SLOW + b" " * 100_000),
    "204": answer(lambda a, b: head(204, None), keep=True),
    "203-with-the-bytes": answer(lambda a, b: head(203, b - a + 1) + BODY[a : b + 1], keep=True),
    "202-with-no-bytes": answer(lambda a, b: head(202, 0), keep=True),
    "500-without-body": answer(lambda a, b: head(500, 0), keep=True),
}


@pytest.mark.parametrize("io,transport", WAYS)
@pytest.mark.parametrize("name", WRONG_ONCE)
def test_wrong_once_is_tried_again(hostile, name, io, transport):
    server = hostile(first_time(WRONG_ONCE[name]))
    result = stream(server, io=io, transport=transport).ok()
    assert result["digest"] == expected_digest(csv_rows(TEXT))
    if name == "closed-in-the-body":
        assert 0 < server.gets[1][0] <= 5000, "resumed from the byte reached"
    # libcurl takes the last of two lengths, and may meet its own connection's end after a huge body.
    if transport == "direct" or name not in ("two-lengths", "500-with-a-huge-body"):
        assert result["retries"] == 1


@pytest.mark.parametrize("body", [SLOW, chunked(SLOW)])
def test_bytes_after_an_error_document_end_the_connection(hostile, body):
    """What came of them is dropped, so that what follows them would be read in mid answer."""
    fields = [] if body == SLOW else ["Transfer-Encoding: chunked"]
    start = head(500, None if fields else len(body), *fields) + body + b"HTTP/1.1 206 Part"
    for io in ("uring", "epoll"):
        server = hostile(first_time(answer(lambda a, b: start, keep=True)))
        result = stream(server, io=io, transport="direct").ok()
        assert result["digest"] == expected_digest(csv_rows(TEXT))
        assert (result["retries"], result["connections"]) == (1, 2)


def test_interim_answers_without_end_are_not_waited_out(hostile):
    def script(server, sock, first, last):
        sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n" * 40)
        return good(server, sock, first, last)

    result = stream(hostile(first_time(script)), transport="direct").ok()
    assert result["digest"] == expected_digest(csv_rows(TEXT))
    assert result["retries"] == 1


def test_a_bad_head_is_no_answer(hostile):
    """The connection carried an error before, whose words are not those of the second answer."""
    scripts = [
        answer(lambda a, b: head(503, len(SLOW)) + SLOW, keep=True),
        answer(lambda a, b: head(404, 5, "Content-Length: 5", "x-amz-request-id: R9") + b"12345"),
    ]

    def script(server, sock, first, last):
        return scripts[min(len(server.gets), 2) - 1](server, sock, first, last)

    result = stream(hostile(script), transport="direct")
    assert result["result"] == "PENSTOCK_E_NETWORK" and result["http_status"] == 0
    assert "not HTTP/1.1" in result["message"]


def test_bytes_after_a_body_do_not_reach_the_next_answer(hostile):
    def script(server, sock, first, last):
        good(server, sock, first, last)
        sock.sendall(b"HTTP/1.1 206 x\r\nContent-Length: 5\r\n\r\nEVIL\n")
        return True

    for io in ("uring", "epoll"):
        result = stream(hostile(script), io=io, transport="direct").ok()
        assert result["digest"] == expected_digest(csv_rows(TEXT))


# --- wrong for good ---------------------------------------------------------------------------------


@pytest.mark.parametrize("transport", ["direct", "curl"])
def test_another_size_is_a_changed_object(hostile, transport):
    server = hostile(answer(lambda a, b: part(a, b, total=SIZE + 1) + BODY[a : b + 1]))
    result = stream(server, transport=transport)
    assert result["result"] == "PENSTOCK_E_CHANGED"
    assert f"listed with {SIZE} bytes and has {SIZE + 1}" in result["message"]
    assert len(server.gets) == 1


@pytest.mark.parametrize("transport", ["direct", "curl"])
@pytest.mark.parametrize(
    "status,code,rc",
    [
        (403, "AccessDenied", "PENSTOCK_E_DENIED"),
        (404, "NoSuchKey", "PENSTOCK_E_NOT_FOUND"),
        (400, "InvalidArgument", "PENSTOCK_E_HTTP"),
    ],
)
def test_final_answers_are_not_repeated(hostile, transport, status, code, rc):
    body = error_document(code)
    fields = ("Transfer-Encoding: chunked", "x-amz-request-id: R77")
    server = hostile(answer(lambda a, b: head(status, None, *fields) + chunked(body), keep=True))
    result = stream(server, transport=transport)
    assert (result["result"], result["http_status"], result["s3_code"]) == (rc, status, code)
    assert (result["request_id"], result["key"], result["attempts"]) == ("R77", "k.csv", 1)
    assert len(server.gets) == 1


@pytest.mark.parametrize("transport", ["direct", "curl"])
def test_a_failed_precondition_names_both_etags(hostile, transport):
    """S3's 412 does not tell what is there now: one GET without If-Match does."""

    def script(server, sock, first, last):
        if b"If-Match" in server.requests[-1]:
            sock.sendall(head(412, None, "Transfer-Encoding: chunked") + chunked(FAILED))
        else:
            sock.sendall(part(first, last, 'ETag: "e2"') + BODY[first : last + 1])
        return True

    server = hostile(script)
    result = stream(server, transport=transport)
    assert result["result"] == "PENSTOCK_E_CHANGED" and result["rows"] == 0
    assert '"e1"' in result["message"] and '"e2"' in result["message"]
    assert result["key"] == "k.csv" and len(server.gets) == 2


@pytest.mark.parametrize("transport", ["direct", "curl"])
def test_a_failed_precondition_for_good(hostile, transport):
    body = head(412, None, "Transfer-Encoding: chunked") + chunked(FAILED)
    server = hostile(answer(lambda a, b: body, keep=True))
    result = stream(server, transport=transport)
    assert (result["result"], result["http_status"]) == ("PENSTOCK_E_CHANGED", 412)
    assert len(server.gets) == 2


@pytest.mark.parametrize("etag", ["", 'ETag: "e1"'])
def test_unpinned_bytes_need_the_listed_etag(hostile, etag):
    """A server that says 412 once and then sends an answer: without the listed tag none of it is used."""

    def script(server, sock, first, last):
        if len(server.gets) == 1:
            sock.sendall(head(412, 0))
        else:
            fields = [etag] if etag else []
            sock.sendall(part(first, last, *fields) + BODY[first : last + 1])
        return True

    result = stream(hostile(script), transport="direct")
    if etag:
        assert result.ok()["digest"] == expected_digest(csv_rows(TEXT))
    else:
        assert (result["result"], result["rows"]) == ("PENSTOCK_E_CHANGED", 0)
        assert 'not the listed "e1"' in result["message"]


@pytest.mark.parametrize("transport", ["direct", "curl"])
def test_another_etag_is_a_changed_object(hostile, transport):
    """Of a server that does not heed If-Match."""

    def script(server, sock, first, last):
        etag = "e1" if len(server.gets) == 1 else "e2"
        sock.sendall(part(first, last, f'ETag: "{etag}"') + BODY[first : (first + last) // 2])
        return False

    result = stream(hostile(script), transport=transport)
    assert result["result"] == "PENSTOCK_E_CHANGED"
    assert 'listed with ETag "e1" and has "e2"' in result["message"]
    assert result["offset"] > 0


@pytest.mark.parametrize("transport", ["direct", "curl"])
@pytest.mark.parametrize("dated", [False, True])
def test_retry_after_is_heeded(hostile, transport, dated):
    """The answer's word counts, not our own back-off of 50 ms at most. A date has whole seconds."""
    asked = []

    def script(server, sock, first, last):
        asked.append(time.monotonic())
        if len(asked) > 1:
            return good(server, sock, first, last)
        after = formatdate(time.time() + 3, usegmt=True) if dated else "2"
        sock.sendall(head(503, 0, f"Retry-After: {after}"))
        return True

    result = stream(hostile(script), transport=transport).ok()
    assert result["digest"] == expected_digest(csv_rows(TEXT))
    assert asked[1] - asked[0] > 0.9


@pytest.mark.plain_build
@pytest.mark.parametrize("transport", ["direct", "curl"])
def test_nobody_listens_any_more(hostile, transport):
    def script(server, sock, first, last):
        server.close()
        return False

    result = stream(hostile(script), transport=transport)
    assert result["result"] == "PENSTOCK_E_NETWORK"
    assert result["attempts"] == 10
    assert "k.csv" in result["message"]
