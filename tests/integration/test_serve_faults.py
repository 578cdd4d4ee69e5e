# SPDX-License-Identifier: Apache-2.0
"""tests/integration/test_serve_faults.py - `penstock serve` as a program: faults on purpose, TLS,
latency, rate, log, start and stop."""

import calendar
import http.client
import os
import signal
import socket
import subprocess
import threading
import time
from email.utils import parsedate_to_datetime

import pytest
from botocore.exceptions import ClientError
from serve_client import BODY, ask, client_for, listed, put_file, refused, signed_headers
from serve_client import root, s3, server  # fixtures


# ---- faults ----


def statuses(server, count, **arguments):
    """Status of `count` ranged GETs of "data", one after the other."""
    s3 = server.client()
    seen = []
    for _ in range(count):
        try:
            got = s3.get_object(Bucket="b", Key="data", Range="bytes=0-9", **arguments)
            got["Body"].read()
            seen.append(got["ResponseMetadata"]["HTTPStatusCode"])
        except ClientError as error:
            seen.append(error.response["ResponseMetadata"]["HTTPStatusCode"])
    return seen


def test_fault_status(s3_server, root):
    server = s3_server(root, "--fault", "status=503,code=SlowDown,every=3,times=2,retry-after=7")
    assert statuses(server, 10) == [206, 206, 503, 206, 206, 503, 206, 206, 206, 206]
    server = s3_server(root, "--fault", "status=500,key=dat", "--fault", "status=503,key=emp")
    s3 = server.client()
    assert refused(s3.get_object, Bucket="b", Key="data")[:2] == (500, "InternalError")
    assert refused(s3.get_object, Bucket="b", Key="empty")[:2] == (503, "SlowDown")
    assert s3.head_object(Bucket="b", Key="data")["ContentLength"] == len(BODY)
    assert s3.list_objects_v2(Bucket="b")["KeyCount"] == 2


def test_fault_status_carries_retry_after(s3_server, root):
    server = s3_server(root, "--fault", "status=503,retry-after=7")
    assert ask(server, "GET", "/b/data")[0].headers["Retry-After"] == "7"


def test_fault_by_chance_is_the_same_in_every_run(s3_server, root):
    def run(*options):
        return statuses(s3_server(root, "--fault", "status=503,prob=0.25", *options), 80)

    one, two, other = run("--seed", "7"), run("--seed", "7"), run("--seed", "8")
    assert one == two != other
    assert 8 <= one.count(503) <= 36 and 8 <= other.count(503) <= 36
    assert set(statuses(s3_server(root, "--fault", "status=503,prob=1"), 5)) == {503}
    assert set(statuses(s3_server(root, "--fault", "status=503,prob=0"), 20)) == {206}


def test_fault_delay_and_trickle(s3_server, root):
    server = s3_server(root, "--fault", "delay=300,every=2")
    begin = time.monotonic()
    assert ask(server, "GET", "/b/data", {"Range": "bytes=5-9"})[1] == BODY[5:10]
    middle = time.monotonic()
    assert ask(server, "GET", "/b/data", {"Range": "bytes=5-9"})[1] == BODY[5:10]
    assert time.monotonic() - middle >= 0.3 > 0.3 * (middle - begin)
    assert [line.split("\t")[7] for line in server.log()] == ["-", "delay"]

    server = s3_server(root, "--fault", "trickle=100")
    begin = time.monotonic()
    assert ask(server, "GET", "/b/data", {"Range": "bytes=0-49"})[1] == BODY[:50]
    assert time.monotonic() - begin >= 0.4  # 10 bytes each 100 ms, the first at once


def test_fault_redirect_says_where(s3_server, root):
    fault = "status=301,code=PermanentRedirect,region=eu-west-1,location=http://127.0.0.1:9/x"
    response, body = ask(s3_server(root, "--fault", fault), "GET", "/b/data")
    assert response.status == 301
    assert response.headers["x-amz-bucket-region"] == "eu-west-1"
    assert response.headers["Location"] == "http://127.0.0.1:9/x"
    assert b"<Code>PermanentRedirect</Code>" in body and b"<Region>eu-west-1</Region>" in body


def test_fault_etag(s3_server, root):
    server = s3_server(root, "--fault", "etag,every=2")
    etags = [ask(server, "GET", "/b/data")[0].headers["ETag"] for _ in range(4)]
    assert etags[0] == etags[2] != etags[1] == etags[3]


def test_latency_is_spread(s3_server, root):
    """By the median and the 99th percentile that were asked for, and the same in every run."""
    server = s3_server(root, "--latency-ms", "4", "--latency-p99-ms", "40")
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    waits = []
    for _ in range(120):
        begin = time.monotonic()
        ask(server, "GET", "/b/data", {"Range": "bytes=0-0"}, connection=connection)
        waits.append(time.monotonic() - begin)
    assert sum(wait < 0.002 for wait in waits) < 60  # never much less than asked for
    assert sum(wait >= 0.004 for wait in waits) >= 45
    assert 1 <= sum(wait >= 0.020 for wait in waits)


def fetch_at_once(server, count, size, host="127.0.0.1", key="data"):
    """Seconds that `count` connections take for `size` bytes each."""

    def fetch():
        connection = http.client.HTTPConnection(host, server.port, timeout=60)
        headers = signed_headers(server, "GET", f"/b/{key}", {"Range": f"bytes=0-{size - 1}"})
        headers["Host"] = f"127.0.0.1:{server.port}"  # as signed
        connection.request("GET", f"/b/{key}", headers=headers)
        assert connection.getresponse().read() == (BODY * 5)[:size]

    threads = [threading.Thread(target=fetch) for _ in range(count)]
    begin = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.monotonic() - begin


def test_rate_of_all_connections(s3_server, root):
    server = s3_server(root, "--rate-total-mbps", "8")  # 1 MB a second
    # 64 KiB each are on their way at once; the rest has to wait.
    assert fetch_at_once(server, 1, 300_000) >= 0.20
    assert fetch_at_once(server, 3, 300_000) >= 0.70


def test_slower_beyond_some_connections(s3_server, root):
    server = s3_server(root, "--rate-total-mbps", "8", "--slow-beyond", "2")
    assert fetch_at_once(server, 4, 200_000) >= 0.90  # 0.8 MB at 0.5 MB/s, less 4 x 64 KiB


def test_several_hosts_at_one_port(s3_server, root):
    options = ["--host", "127.0.0.1", "--host", "127.0.0.2=4", "--dead-host", "127.0.0.3"]
    server = s3_server(root, *options)
    put_file(root, "b", "big", BODY * 5)
    assert fetch_at_once(server, 1, 1_500_000, key="big") < 60
    # 0.5 MB a second, but for what the kernel lets go at once
    assert fetch_at_once(server, 1, 1_500_000, host="127.0.0.2", key="big") >= 1.5
    with pytest.raises(TimeoutError):
        socket.create_connection(("127.0.0.3", server.port), timeout=0.5)
    server.stop()


def test_hosts_are_checked(run_penstock, root):
    for words, why in (
        (["--host", "10.0.0.1"], "is no loopback address"),
        (["--host", "127.0.0.2=x"], "takes a number"),
        (["--host", "127.0.0.1"] * 9, "can be given 8 times"),
    ):
        done = run_penstock(["serve", "--port", "0", *words, root])
        assert done.rc != 0 and why in done.stderr


def test_fault_counts_only_what_it_applies_to(s3_server, root):
    server = s3_server(root, "--fault", "status=503,every=2")
    s3 = server.client()
    s3.get_object(Bucket="b", Key="data")["Body"].read()
    assert refused(s3.get_object, Bucket="b", Key="missing")[0] == 404
    s3.head_object(Bucket="b", Key="data")
    s3.list_objects_v2(Bucket="b")
    assert refused(s3.get_object, Bucket="b", Key="data")[0] == 503


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("cut", [0, 1, 1000, 299_999])
def test_fault_cut_ends_the_body_early(s3_server, root, certificate, scheme, cut):
    tls = certificate.options if scheme == "https" else []
    server = s3_server(root, "--fault", f"cut={cut},every=2", *tls, scheme=scheme)
    s3 = client_for(server, verify=certificate.cert)
    assert s3.get_object(Bucket="b", Key="data")["Body"].read() == BODY
    got = s3.get_object(Bucket="b", Key="data")
    assert got["ContentLength"] == len(BODY)
    data = b""
    with pytest.raises(Exception) as caught:
        while True:
            piece = got["Body"].read(100)
            assert piece, "the body ended as if it were whole"
            data += piece
    assert not isinstance(caught.value, AssertionError)
    assert BODY.startswith(data) and len(data) <= cut
    again = client_for(server, verify=certificate.cert)  # urllib3 may keep the dead connection
    assert again.get_object(Bucket="b", Key="data")["Body"].read() == BODY


def raw_body(server, target, closing=False):
    """Bytes of the body until the peer ends the connection, and the error that ended it."""
    own = socket.create_connection(("127.0.0.1", server.port), timeout=30)
    lines = [f"GET {target} HTTP/1.1"]
    headers = {"Host": f"127.0.0.1:{server.port}", **signed_headers(server, "GET", target)}
    lines += [f"{name}: {value}" for name, value in headers.items()]
    if closing:
        lines.append("Connection: close")
    own.sendall("\r\n".join([*lines, "", ""]).encode())
    data, error = b"", None
    try:
        while piece := own.recv(65536):
            data += piece
    except ConnectionResetError as reset:
        error = reset
    own.close()
    return data.partition(b"\r\n\r\n"), error


def test_fault_cut_delivers_the_bytes_before_it(s3_server, root):
    server = s3_server(root, "--fault", "cut=123456")
    (head, _, body), error = raw_body(server, "/b/data")
    assert b"Content-Length: 300000" in head
    assert body == BODY[:123456]
    assert error is None


def test_fault_reset_ends_with_a_reset(s3_server, root):
    server = s3_server(root, "--fault", "reset=1000")
    (_, _, body), error = raw_body(server, "/b/data")
    assert BODY[:1000].startswith(body)
    assert isinstance(error, ConnectionResetError)


def test_fault_stall_pauses_and_goes_on(s3_server, root):
    server = s3_server(root, "--fault", "stall=700,after=1000,every=2", "--threads", "1")
    s3, other = server.client(), server.client()
    s3.get_object(Bucket="b", Key="empty")["Body"].read()  # counts, being a GET
    began = time.monotonic()
    stalled = s3.get_object(Bucket="b", Key="data")
    assert stalled["Body"].read(1000) == BODY[:1000]
    assert other.head_object(Bucket="b", Key="data")["ContentLength"] == len(BODY)
    assert stalled["Body"].read() == BODY[1000:]
    assert time.monotonic() - began >= 0.7


def test_fault_badrange_and_full(s3_server, root):
    server = s3_server(
        root, "--fault", "badrange,key=data", "--fault", "full,key=two,every=2"
    )
    put_file(root, "b", "two", BODY)
    s3 = server.client()
    got = s3.get_object(Bucket="b", Key="data", Range="bytes=100-199")
    assert got["ContentRange"] == "bytes 101-200/300000"
    assert got["Body"].read() == BODY[100:200]
    assert s3.get_object(Bucket="b", Key="data")["Body"].read() == BODY
    seen = [s3.get_object(Bucket="b", Key="two", Range="bytes=9-9") for _ in range(2)]
    assert [got["ResponseMetadata"]["HTTPStatusCode"] for got in seen] == [206, 200]
    assert "ContentRange" not in seen[1]
    assert seen[1]["Body"].read() == BODY


def test_fault_short_and_extra_bodies(s3_server, root):
    server = s3_server(root, "--fault", "short=4,times=1", "--fault", "extra=3,times=1,from=2")
    got, body = ask(server, "GET", "/b/data", {"Range": "bytes=0-9"})
    assert (got.status, got.headers["Content-Range"]) == (206, f"bytes 0-9/{len(BODY)}")
    assert (got.headers["Content-Length"], body) == ("6", BODY[:6])
    (head, _, body), _ = raw_body(server, "/b/data", closing=True)
    assert f"Content-Length: {len(BODY)}\r\n".encode() in head and body == BODY + b"xxx"


def test_fault_chunk_breaks_the_chunks_in_the_middle(s3_server, root):
    (head, _, body), _ = raw_body(s3_server(root, "--fault", "chunk"), "/b/data", closing=True)
    assert b"Transfer-Encoding: chunked" in head
    assert b"\r\nzz\r\n" in body and BODY[:1000] in body


def test_fault_changed_lasts(s3_server, root):
    server = s3_server(root, "--fault", "changed,from=2")
    s3 = server.client()
    etag = s3.get_object(Bucket="b", Key="data")["ETag"]
    assert refused(s3.get_object, Bucket="b", Key="data", IfMatch=etag)[0] == 412
    new = s3.head_object(Bucket="b", Key="data")["ETag"]
    assert new != etag
    assert s3.get_object(Bucket="b", Key="data", IfMatch=new)["Body"].read() == BODY
    assert [line.split("\t")[7] for line in server.log()] == ["-", "changed", "changed", "changed"]


def test_fault_of_one_credential(s3_server, root):
    spec = "status=400,code=ExpiredToken,from=2,credential="
    server = s3_server(root, "--session-token", "*", "--fault", f"{spec}one", "--fault", f"{spec}two")
    first, second = (client_for(server, aws_session_token=token) for token in ("one", "three"))
    first.get_object(Bucket="b", Key="data")
    assert refused(first.get_object, Bucket="b", Key="data")[:2] == (400, "ExpiredToken")
    for _ in range(3):
        second.get_object(Bucket="b", Key="data")


def test_a_clock_that_is_wrong(s3_server, root):
    server = s3_server(root, "--clock-ahead-s", -3600)
    status, code, error = refused(server.client().get_object, Bucket="b", Key="data")
    assert (status, code) == (403, "RequestTimeTooSkewed")
    now = calendar.timegm(time.strptime(error["ServerTime"], "%Y-%m-%dT%H:%M:%SZ"))
    assert abs(now + 3600 - time.time()) < 60
    answer, _ = ask(server, "GET", "/b/data")
    assert abs(parsedate_to_datetime(answer.headers["Date"]).timestamp() + 3600 - time.time()) < 60


def test_fault_of_listings(s3_server, root):
    faults = ["--fault", "status=500,op=list,every=2", "--fault", "cut=50,op=list,every=3"]
    server = s3_server(root, *faults)
    s3 = server.client()
    assert s3.list_objects_v2(Bucket="b")["KeyCount"] == 2
    assert refused(s3.list_objects_v2, Bucket="b")[:2] == (500, "InternalError")
    with pytest.raises(Exception):
        s3.list_objects_v2(Bucket="b")
    assert s3.get_object(Bucket="b", Key="data")["Body"].read() == BODY


@pytest.mark.parametrize(
    "spec", ["", "every=2", "status=200", "status=x", "cut", "cut=-1", "stall=1,cut=2", "full=1",
             "status=503,every=0", "status=503,op=head", "full,op=list", "status=503,colour=red"]
)
def test_unusable_faults_are_refused(run_penstock, root, spec):
    done = run_penstock(["serve", "--port", "0", "--fault", spec, root])
    assert done.rc == 2
    assert "--fault" in done.stderr


# ---- TLS, latency, rate, log, start and stop ----


class Certificate:
    def __init__(self, directory):
        self.cert, self.key = str(directory / "cert.pem"), str(directory / "key.pem")
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
             "-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext",
             "subjectAltName=IP:127.0.0.1,DNS:localhost", "-keyout", self.key, "-out", self.cert],
            check=True,
            capture_output=True,
        )
        self.options = ["--tls-cert", self.cert, "--tls-key", self.key]


@pytest.fixture(scope="session")
def certificate(tmp_path_factory):
    return Certificate(tmp_path_factory.mktemp("tls"))


def test_tls(s3_server, root, certificate):
    server = s3_server(root, *certificate.options, scheme="https")
    put_file(root, "b", "big", BODY * 30)
    s3 = client_for(server, verify=certificate.cert)
    assert s3.get_object(Bucket="b", Key="big")["Body"].read() == BODY * 30
    got = s3.get_object(Bucket="b", Key="big", Range="bytes=290000-310000")
    assert got["Body"].read() == (BODY * 2)[290_000:310_001]
    assert listed(s3)[0] == ["big", "data", "empty"]
    plain = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    with pytest.raises((http.client.HTTPException, ConnectionError)):
        plain.request("GET", "/b/data")
        plain.getresponse()


def test_tls_needs_a_pair(run_penstock, root, certificate, tmp_path):
    assert run_penstock(["serve", "--tls-cert", certificate.cert, root]).rc == 2
    done = run_penstock(["serve", "--port", "0", "--tls-cert", certificate.cert, "--tls-key",
                         tmp_path / "none.pem", root])
    assert (done.rc, "none.pem" in done.stderr) == (1, True)


def test_latency_does_not_serialise_connections(s3_server, root):
    server = s3_server(root, "--latency-ms", "500", "--threads", "1")
    results = []

    def get():
        results.append(server.client().get_object(Bucket="b", Key="data")["Body"].read() == BODY)

    threads = [threading.Thread(target=get) for _ in range(16)]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = time.monotonic() - began
    assert results == [True] * 16
    assert 0.5 <= took < 16 * 0.5 / 2  # one after the other it would take 8 s


def test_rate_is_a_limit(s3_server, root):
    server = s3_server(root, "--rate-mbps", "8")
    put_file(root, "b", "big", BODY * 5)  # 12 megabits
    began = time.monotonic()
    assert server.client().get_object(Bucket="b", Key="big")["Body"].read() == BODY * 5
    assert time.monotonic() - began >= 0.75


def test_log_has_a_line_for_every_request(server, s3):
    etag = s3.head_object(Bucket="b", Key="data")["ETag"]
    s3.get_object(Bucket="b", Key="data", Range="bytes=5-9", IfMatch=etag)["Body"].read()
    assert refused(s3.get_object, Bucket="b", Key="a b?")[0] == 404
    lines = [line.split("\t") for line in server.log()]
    assert [line[1:4] for line in lines] == [
        ["HEAD", "/b/data", "-"],
        ["GET", "/b/data", "bytes=5-9"],
        ["GET", "/b/a%20b%3F", "-"],
    ]
    assert [line[4] for line in lines] == ["200", "206", "404"]
    assert [line[5] for line in lines[:2]] == ["0", "5"]
    assert lines[1][6] == etag
    assert float(lines[0][0]) <= float(lines[1][0]) <= time.time()
    assert len({line[8] for line in lines}) == 1, "the connection was not kept open"


def test_one_connection_takes_many_requests(server):
    own = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    for target in ("/b/data", "/b/nope", "/b?list-type=2", "/nope", "/b/empty", "/b/data?acl"):
        response, _ = ask(server, "GET", target, connection=own)
        assert response.headers.get("Connection", "").lower() != "close", target
    assert ask(server, "PUT", "/b/new", body=b"x" * 100_000, connection=own)[0].status == 200
    assert ask(server, "DELETE", "/b/new", connection=own)[0].status == 204
    assert ask(server, "GET", "/b/data", connection=own)[1] == BODY
    own.close()
    assert len({line.split("\t")[8] for line in server.log()}) == 1


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_signal_ends_it_with_0_whatever_is_under_way(s3_server, root, signum):
    server = s3_server(root, "--fault", "stall=3600000,after=10", "--latency-ms", "1")
    put_file(root, "b", "big", BODY * 100)
    idle = socket.create_connection(("127.0.0.1", server.port))
    stalled = server.client().get_object(Bucket="b", Key="big")
    assert stalled["Body"].read(10) == BODY[:10]
    began = time.monotonic()
    assert server.stop(signum) == 0
    assert time.monotonic() - began < 5
    idle.close()


def test_first_line_and_port_file(penstock, root, tmp_path):
    port_file = tmp_path / "port"
    process = subprocess.Popen(
        [penstock, "serve", "--port", "0", "--port-file", port_file, root],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        line = process.stdout.readline()
        port = int(port_file.read_text())
        assert line == f"penstock serve: http://127.0.0.1:{port} (1 bucket, signed requests only)\n"
        assert sorted(os.listdir(tmp_path)) == ["port", "root"]
    finally:
        process.terminate()
        assert process.wait(10) == 0


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.1", "::", "example.com", ""])
def test_hosts_other_than_loopback_are_refused(run_penstock, root, host):
    done = run_penstock(["serve", "--port", "0", "--host", host, root])
    assert done.rc in (1, 2)
    assert "loopback" in done.stderr


def test_what_cannot_be_served_is_said(run_penstock, root, server, tmp_path):
    done = run_penstock(["serve", "--port", "0", tmp_path / "none"])
    assert (done.rc, "none" in done.stderr) == (1, True)
    done = run_penstock(["serve", "--port", str(server.port), root])
    assert (done.rc, str(server.port) in done.stderr) == (1, True)
    assert run_penstock(["serve"]).rc == 2
    assert run_penstock(["serve", "--port", "65536", root]).rc == 2
    assert run_penstock(["serve", "--nonsense", root]).rc == 2
    assert "--fault" in run_penstock(["serve", "--help"]).ok().stdout


def test_malformed_requests_do_no_harm(server, s3):
    for request in (
        b"\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET /b/%zz HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET b/data HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /b/data HTTP/1.1\r\nHost: x\r\nAuthorization: AWS4-HMAC-SHA256 " + b"=," * 2000
        + b"\r\n\r\n",
        b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03" + bytes(range(256)),
        b"GET /b/data HTTP/1.1\r\n" + b"X-A: b\r\n" * 400 + b"\r\n",
    ):
        own = socket.create_connection(("127.0.0.1", server.port), timeout=30)
        own.sendall(request)
        own.shutdown(socket.SHUT_WR)
        try:
            while own.recv(65536):
                pass
        except ConnectionResetError:
            pass
        own.close()
    assert s3.get_object(Bucket="b", Key="data")["Body"].read() == BODY


def test_many_connections_at_once(server):
    """More than one thread's share, all signed, none mixed up with another."""
    wrong = []

    def get(n):
        own = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        for i in range(20):
            first = (n * 7919 + i * 104_729) % 290_000
            _, data = ask(server, "GET", "/b/data", {"Range": f"bytes={first}-{first + 9999}"},
                          connection=own)
            if data != BODY[first : first + 10_000]:
                wrong.append((n, i))
        own.close()

    threads = [threading.Thread(target=get, args=(n,)) for n in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert len(server.log()) == 24 * 20
