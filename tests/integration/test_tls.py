# SPDX-License-Identifier: Apache-2.0
"""tests/integration/test_tls.py - streams over TLS: the same bytes, and only from whom we trust."""

import ssl
import subprocess

import pytest
import test_hostile_server as hostile
from conftest import clean_env
from digest import csv_rows, digest, expected_digest

WAYS = [(io, transport) for io in ("uring", "epoll") for transport in ("direct", "curl")]
TEXT = "".join(f"{i % 10},{i},{i * 0.25}\n" for i in range(60_000))


def make_certificate(directory, name, names, days=2):
    """A self-signed certificate, which is its own authority."""
    key, crt = directory / f"{name}.key", directory / f"{name}.crt"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    command += ["-nodes", "-keyout", key, "-out", crt, "-days", str(days), "-subj", f"/CN={name}"]
    command += ["-addext", f"subjectAltName={names}"]
    subprocess.run([str(w) for w in command], env=clean_env(), check=True, capture_output=True)
    return key, crt


@pytest.fixture(scope="module")
def pki(tmp_path_factory):
    directory = tmp_path_factory.mktemp("pki")
    return {
        "good": make_certificate(directory, "good", "IP:127.0.0.1,DNS:localhost"),
        "other": make_certificate(directory, "other", "IP:127.0.0.9,DNS:elsewhere.example"),
    }


@pytest.fixture
def served(s3_server, pki, tmp_path):
    """served(name, *options) -> a TLS server of one bucket that shows certificate `name`."""
    (tmp_path / "data").mkdir()
    for i in range(3):
        (tmp_path / f"data/{i}.csv").write_text(TEXT)

    def start(name="good", *options):
        key, crt = pki[name]
        return s3_server(tmp_path, "--tls-key", key, "--tls-cert", crt, *options, scheme="https")

    return start


def stream(server, **job):
    job.setdefault("env", server.env)
    return digest(uri="s3://data", type="text/csv", part_kib=64, **job)


@pytest.mark.parametrize("io,transport", WAYS)
@pytest.mark.parametrize("variable", ["AWS_CA_BUNDLE", "SSL_CERT_FILE"])
def test_trusted_server_gives_the_same_rows(served, pki, io, transport, variable):
    server = served()
    env = server.env | {variable: pki["good"][1]}
    result = stream(server, env=env, io=io, transport=transport).ok()
    assert result["digest"] == expected_digest(csv_rows(TEXT * 3))
    assert result["retries"] == 0


@pytest.mark.parametrize("io,transport", WAYS)
def test_faults_over_tls_do_not_change_the_rows(served, pki, io, transport):
    faults = ["status=503,code=SlowDown,every=7", "cut=5000,every=4", "badrange,every=6"]
    server = served("good", *(word for fault in faults for word in ("--fault", fault)))
    env = server.env | {"AWS_CA_BUNDLE": pki["good"][1]}
    result = stream(server, env=env, io=io, transport=transport).ok()
    assert result["digest"] == expected_digest(csv_rows(TEXT * 3))
    assert result["retries"] > 0


@pytest.mark.parametrize("transport", ["direct", "curl"])
def test_untrusted_server_is_refused(served, transport):
    result = stream(served(), transport=transport)
    assert result["result"] == "PENSTOCK_E_NETWORK"
    assert "certificate" in result["message"] and "AWS_CA_BUNDLE" in result["message"]
    assert result["attempts"] == 1


@pytest.mark.parametrize("transport", ["direct", "curl"])
def test_certificate_of_another_host_is_refused(served, pki, transport):
    server = served("other")
    env = server.env | {"AWS_CA_BUNDLE": pki["other"][1]}
    result = stream(server, env=env, transport=transport)
    assert result["result"] == "PENSTOCK_E_NETWORK"
    assert "certificate" in result["message"]


@pytest.mark.parametrize("transport", ["direct", "curl"])
def test_unreadable_ca_bundle_is_named(served, tmp_path, transport):
    server = served()
    env = server.env | {"AWS_CA_BUNDLE": tmp_path / "none.pem"}
    result = stream(server, env=env, transport=transport)
    assert result["result"] in ("PENSTOCK_E_NETWORK", "PENSTOCK_E_ARGUMENT")
    assert "none.pem" in result["message"]


def test_name_is_verified_and_resolved(served, pki):
    server = served()
    env = server.env | {
        "AWS_CA_BUNDLE": pki["good"][1],
        "AWS_ENDPOINT_URL": f"https://localhost:{server.port}",
    }
    result = stream(server, env=env, transport="direct").ok()
    assert result["digest"] == expected_digest(csv_rows(TEXT * 3))


@pytest.mark.plain_build
def test_unknown_host_is_named(served, pki):
    server = served()
    env = server.env | {"AWS_ENDPOINT_URL": "http://no-such-host.invalid:9"}
    result = stream(server, env=env, transport="direct", timeout=170)
    assert result["result"] == "PENSTOCK_E_NETWORK"
    assert "no-such-host.invalid" in result["message"]


# --- sessions ---------------------------------------------------------------------------------------


def context_of(pki):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    key, crt = pki["good"]
    context.load_cert_chain(crt, key)
    return context


@pytest.fixture
def scripted(pki):
    """scripted(script, tls=context) -> the result of a stream from such a server, over TLS."""
    servers = []

    def run(script, tls=None, **job):
        server = hostile.Server(script, tls=tls or context_of(pki))
        servers.append(server)
        server.env["AWS_CA_BUNDLE"] = pki["good"][1]
        return server, hostile.stream(server, transport="direct", **job)

    yield run
    for server in servers:
        server.close()


ROWS = expected_digest(csv_rows(hostile.TEXT))


def answer_and_close(server, sock, first, last):
    sock.sendall(hostile.part(first, last, "Connection: close") + hostile.BODY[first : last + 1])
    return False


def cut(server, sock, first, last):
    """Half of what is left, and no good-bye: OpenSSL thinks ill of such a session."""
    if last - first < 2000:
        return answer_and_close(server, sock, first, last)
    sock.sendall(hostile.part(first, last) + hostile.BODY[first : (first + last) // 2])
    return False


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("script", [answer_and_close, cut])
def test_sessions_are_resumed(scripted, pki, version, script):
    context = context_of(pki)
    context.maximum_version = version
    _, result = scripted(script, tls=context, epochs=20, io_threads=1)
    assert result.ok()["rows"] == 20 * 3000
    assert result["handshakes"] >= 20
    assert result["resumed"] >= 0.95 * (result["handshakes"] - 1)


def test_sessions_are_resumed_by_several_connections(scripted):
    """Before the first ticket has come each of them shakes hands in full."""
    _, result = scripted(answer_and_close, epochs=60, io_threads=1, connections=4)
    assert result.ok()["handshakes"] == 60
    assert result["resumed"] >= 0.95 * (60 - 4)


def test_aes_128_comes_first(scripted, pki):
    context = context_of(pki)
    context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
    server, result = scripted(hostile.good, tls=context)
    assert result.ok()["digest"] == ROWS
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    older, result = scripted(hostile.good, tls=context)
    assert result.ok()["digest"] == ROWS
    assert set(server.ciphers + older.ciphers) == {
        "TLS_AES_128_GCM_SHA256",
        "ECDHE-ECDSA-AES128-GCM-SHA256",
    }


@pytest.mark.parametrize("io", ["uring", "epoll"])
def test_bytes_after_a_body_do_not_reach_the_next_answer(scripted, io):
    """In the same record as the body's end, so that they are decrypted before the next request."""

    def script(server, sock, first, last):
        evil = hostile.part(first, last) + b"9,9,9\n" * (hostile.SIZE // 6)
        sock.sendall(hostile.part(first, last) + hostile.BODY[first : last + 1] + evil)
        return True

    _, result = scripted(script, io=io, epochs=3)
    assert result.ok()["retries"] == 0
    assert result.epochs == [ROWS] * 3


@pytest.mark.parametrize("io", ["uring", "epoll"])
def test_the_status_of_a_cut_error_document_counts(scripted, io):
    """No good-bye: OpenSSL calls that an error, and the answer is known all the same."""

    def script(server, sock, first, last):
        sock.sendall(hostile.head(403, 5000) + hostile.error_document("AccessDenied"))
        return False

    server, result = scripted(script, io=io)
    assert (result["result"], result["http_status"]) == ("PENSTOCK_E_DENIED", 403)
    assert len(server.gets) == 1
