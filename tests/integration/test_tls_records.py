# SPDX-License-Identifier: Apache-2.0
"""tests/integration/test_tls_records.py - records of TLS 1.3 of any kind give the same rows; those that
were tampered with, left out or cut off between the server and us are noticed and asked for again."""

import ctypes
import socket
import ssl
import threading

import pytest
import test_hostile_server as hostile
from digest import csv_rows, digest, expected_digest
from test_tls import context_of, pki  # noqa: F401 (a fixture)

IOS = ["uring", "epoll"]
TEXT = "".join(f"{i % 10},{i},{i * 0.5}\n" for i in range(20_000))
BODY = TEXT.encode()
ROWS = expected_digest(csv_rows(TEXT))
LIBSSL = ctypes.CDLL("libssl.so.3")


def head_of(first, last):
    return hostile.part(first, last, total=len(BODY))


@pytest.fixture
def origin(pki, monkeypatch):  # noqa: F811
    """origin(script, context=None) -> a server of one object, TEXT, over TLS."""
    listing = hostile.LIST.replace(b"%d</Size>" % hostile.SIZE, b"%d</Size>" % len(BODY))
    monkeypatch.setattr(hostile, "LIST", listing)
    servers = []

    def start(script, context=None):
        servers.append(hostile.Server(script, tls=context or context_of(pki)))
        servers[-1].env["AWS_CA_BUNDLE"] = pki["good"][1]
        return servers[-1]

    yield start
    for server in servers:
        server.close()


def stream(server, **job):
    job = dict(connections=1, part_kib=128, anonymous=1, no_hedging=1, transport="direct") | job
    return digest(uri="s3://bucket/", type="text/csv", env=server.env, **job)


# --- any kind of records ----------------------------------------------------------------------------


def ssl_of(sock):
    """libssl's SSL behind a socket: CPython's own object holds a weak reference, then the pointer."""
    at = id(sock._sslobj) + object.__basicsize__ + ctypes.sizeof(ctypes.c_void_p)
    pointer = ctypes.c_void_p.from_address(at)
    assert LIBSSL.SSL_version(pointer) in (0x303, 0x304)
    return pointer


def in_records_of(size):
    def script(server, sock, first, last):
        answer = head_of(first, last) + BODY[first : last + 1]
        few = answer[: 300 * size]
        for at in range(0, len(few), size):
            sock.sendall(few[at : at + size])
        sock.sendall(answer[len(few) :])
        return True

    return script


def padded(server, sock, first, last):
    LIBSSL.SSL_set_block_padding(ssl_of(sock), ctypes.c_size_t(5000))
    return in_records_of(200)(server, sock, first, last)


def with_tickets(server, sock, first, last):
    answer = head_of(first, last) + BODY[first : last + 1]
    for at in range(0, len(answer), 30_000):
        assert LIBSSL.SSL_new_session_ticket(ssl_of(sock)) == 1
        sock.sendall(answer[at : at + 30_000])
    return True


def with_new_keys(server, sock, first, last):
    """KeyUpdates; with every second one the client's keys are to be updated, too."""
    answer = head_of(first, last) + BODY[first : last + 1]
    for i, at in enumerate(range(0, len(answer), 20_000)):
        assert LIBSSL.SSL_key_update(ssl_of(sock), i % 2) == 1
        sock.sendall(answer[at : at + 20_000])
    return True


KINDS = {
    "whole": in_records_of(16384),
    "of-1-byte": in_records_of(1),
    "of-1000-bytes": in_records_of(1000),
    "padded": padded,
    "tickets": with_tickets,
    "new-keys": with_new_keys,
}


@pytest.mark.parametrize("io", IOS)
@pytest.mark.parametrize("kind", KINDS)
def test_rows_are_the_same_in_any_records(origin, kind, io):
    server = origin(KINDS[kind])
    result = stream(server, io=io, epochs=2).ok()
    assert result.epochs == [ROWS] * 2
    assert result["retries"] == 0


@pytest.mark.parametrize("io", IOS)
@pytest.mark.parametrize("suite", ["AES_128_GCM_SHA256", "AES_256_GCM_SHA384", "CHACHA20_POLY1305_SHA256"])
def test_rows_are_the_same_with_any_cipher(origin, pki, io, suite):  # noqa: F811
    context = context_of(pki)
    pointer = ctypes.c_void_p.from_address(id(context) + object.__basicsize__)
    assert LIBSSL.SSL_CTX_set_ciphersuites(pointer, f"TLS_{suite}".encode()) == 1
    server = origin(in_records_of(16384), context)
    assert stream(server, io=io).ok()["digest"] == ROWS
    assert set(server.ciphers) == {f"TLS_{suite}"}


@pytest.mark.parametrize("reader", ["own", "openssl"])
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_rows_are_the_same_whoever_reads(origin, pki, reader, version):  # noqa: F811
    context = context_of(pki)
    context.maximum_version = version
    server = origin(in_records_of(16384), context)
    server.env["PENSTOCK_TLS_RECORDS"] = reader
    assert stream(server).ok()["digest"] == ROWS


def test_an_unknown_reader_is_named(origin):
    server = origin(in_records_of(16384))
    server.env["PENSTOCK_TLS_RECORDS"] = "mine"
    result = stream(server)
    assert result["result"] == "PENSTOCK_E_ARGUMENT"
    assert "PENSTOCK_TLS_RECORDS" in result["message"]


def test_a_renegotiation_is_declined(origin, pki):  # noqa: F811
    """TLS 1.2: asked for in the midst of a body, which goes on."""
    context = context_of(pki)
    context.maximum_version = ssl.TLSVersion.TLSv1_2

    def script(server, sock, first, last):
        answer = head_of(first, last) + BODY[first : last + 1]
        sock.sendall(answer[:50_000])
        assert LIBSSL.SSL_renegotiate(ssl_of(sock)) == 1
        sock.sendall(answer[50_000:])  # behind a HelloRequest
        return True

    result = stream(origin(script, context)).ok()
    assert result["digest"] == ROWS


@pytest.mark.parametrize("host,name", [("localhost", "localhost"), ("127.0.0.1", None)])
def test_the_name_is_indicated_and_an_address_is_not(origin, pki, host, name):  # noqa: F811
    names = []
    context = context_of(pki)
    context.sni_callback = lambda sock, asked, its: names.append(asked)
    server = origin(in_records_of(16384), context)
    server.env["AWS_ENDPOINT_URL"] = server.env["AWS_ENDPOINT_URL"].replace("127.0.0.1", host)
    assert stream(server).ok()["digest"] == ROWS
    assert names and set(names) == {name}


# --- a man in the middle ----------------------------------------------------------------------------


class Middle:
    """Passes bytes on between the client and `server`. Of the server's large records, counted from 1
    over all connections, that of number `which` goes through `tamper`; if that leaves it cut off, or
    None, so is the connection."""

    def __init__(self, server, which, tamper):
        self.which, self.tamper, self.seen = which, tamper, 0
        self.port = int(server.env["AWS_ENDPOINT_URL"].rpartition(":")[2])
        self.listener = socket.create_server(("127.0.0.1", 0))
        here = self.listener.getsockname()[1]
        self.env = server.env | {"AWS_ENDPOINT_URL": f"https://127.0.0.1:{here}"}
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self.port))
            for run in (self._requests, self._answers):
                threading.Thread(target=run, args=(client, server), daemon=True).start()

    def _requests(self, client, server):
        try:
            while more := client.recv(65536):
                server.sendall(more)
            server.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def _answers(self, client, server):
        with client, server, server.makefile("rb") as source:
            try:
                while len(header := source.read(5)) == 5:
                    record = header + source.read(int.from_bytes(header[3:], "big"))
                    if header[0] == 23 and len(record) > 10_000:
                        self.seen += 1
                        if self.seen == self.which:
                            record = self.tamper(record)
                    client.sendall(record or b"")
                    if record is None or 0 < len(record) < 5 + int.from_bytes(header[3:], "big"):
                        client.shutdown(socket.SHUT_RDWR)
                        return
            except OSError:
                pass

    def close(self):
        hostile.stop_listening(self.listener)


def flip(at):
    def tamper(record):
        at_byte = at % len(record)
        return record[:at_byte] + bytes([record[at_byte] ^ 0x20]) + record[at_byte + 1 :]

    return tamper


MAC = "bad record mac"
TAMPERINGS = {  # what becomes of the record, and what the warning says
    "type": (flip(0), "bad record type"),
    "version": (flip(2), "wrong version number"),
    "text": (flip(5000), MAC),
    "last-text": (flip(-18), MAC),
    "tag": (flip(-1), MAC),
    "left-out": (lambda record: b"", MAC),
    "twice": (lambda record: record + record, "record"),
    "cut-before": (lambda record: None, "unexpected eof"),
    "cut-within": (lambda record: record[:9000], "unexpected eof"),
    "plain-text": (lambda record: record[:5] + (BODY * 2)[: len(record) - 5], MAC),
    "alert": (lambda record: b"\x15\x03\x03\x00\x02\x01\x00" + record, "bad record type"),  # a good-bye
}


@pytest.fixture
def through(origin):
    """through(which, tamper) -> a man in the middle before a good server, and that."""
    middles = []

    def start(which, tamper):
        server = origin(in_records_of(16384))
        middles.append(Middle(server, which, tamper))
        return middles[-1], server

    yield start
    for middle in middles:
        middle.close()


@pytest.mark.parametrize("io", IOS)
@pytest.mark.parametrize("which", [1, 5])
@pytest.mark.parametrize("name", TAMPERINGS)
def test_tampered_records_are_asked_for_again(through, name, which, io):
    tamper, word = TAMPERINGS[name]
    middle, server = through(which, tamper)
    result = stream(middle, io=io).ok()
    assert result["digest"] == ROWS
    assert word in result.stderr
    assert result["retries"] >= 1 and result["handshakes"] >= 2
    # From the byte reached: what was authentic before is not asked for again.
    assert any(first % (128 << 10) > 0 for first, _ in server.gets) == (which > 1 or name == "twice")
