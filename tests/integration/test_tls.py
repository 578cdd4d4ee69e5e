# SPDX-License-Identifier: Apache-2.0
"""tests/integration/test_tls.py - streams over TLS: the same bytes, and only from whom we trust."""

import subprocess

import pytest
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


def test_unknown_host_is_named(served, pki):
    server = served()
    env = server.env | {"AWS_ENDPOINT_URL": "http://no-such-host.invalid:9"}
    result = stream(server, env=env, transport="direct", timeout=170)
    assert result["result"] == "PENSTOCK_E_NETWORK"
    assert "no-such-host.invalid" in result["message"]
