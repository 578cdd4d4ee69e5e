# SPDX-License-Identifier: Apache-2.0
"""tests/integration/test_verify.py - objects are compared with the checksums that S3 keeps of them."""

import base64
import hashlib
import http.server
import os
import random
import re
import ssl
import threading
import zlib

import pytest
from digest import digest
from test_tls import make_certificate

PLAIN = "application/octet-stream"
WAYS = [(io, transport) for io in ("uring", "epoll") for transport in ("direct", "curl")]
# Name of the header, polynomial (mirrored), bits.
KINDS = {
    "crc32": (0xEDB88320, 32),
    "crc32c": (0x82F63B78, 32),
    "crc64nvme": (0x9A6C9329AC4BC9B5, 64),
}
KIB = 1024


def checksum(kind, data):
    """By the definition, with a table, as S3 writes it."""
    polynomial, bits = KINDS[kind]
    table = []
    for i in range(256):
        for _ in range(8):
            i = i >> 1 ^ polynomial if i & 1 else i >> 1
        table.append(i)
    state = ones = (1 << bits) - 1
    for byte in data:
        state = state >> 8 ^ table[(state ^ byte) & 255]
    return base64.b64encode((state ^ ones).to_bytes(bits // 8, "big")).decode()


def random_bytes(seed, size):
    return random.Random(seed).randbytes(size)


def sha256(*texts):
    return hashlib.sha256(b"".join(texts)).hexdigest()


def flipped(data, at):
    return data[:at] + bytes([data[at] ^ 4]) + data[at + 1 :]


def stream(server, uri="s3://data", **job):
    env = server.env | job.pop("extra", {})
    return digest(uri=uri, type=PLAIN, env=env, part_kib=64, connections=4, **job)


# ---- penstock serve ----------------------------------------------------------------------------------

SMALL = [random_bytes(i, 1 + 137 * i * i) for i in range(20)]  # one part each, the first included
LONG = [random_bytes(100 + i, 300 * KIB + i) for i in range(3)]


@pytest.fixture
def bucket(tmp_path):
    """A directory to serve: 20 objects of one part each, then 3 of five."""
    (tmp_path / "data").mkdir()
    for i, data in enumerate(SMALL):
        (tmp_path / f"data/a{i:03}").write_bytes(data)
    for i, data in enumerate(LONG):
        (tmp_path / f"data/b{i:03}").write_bytes(data)
    return tmp_path


def rot(path, at):
    """A bit flips on the server's disk: neither size nor times of the file tell."""
    stat = path.stat()
    path.write_bytes(flipped(path.read_bytes(), at))
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


@pytest.mark.parametrize("kind", KINDS)
def test_serve_tells_what_boto3_tells(s3_server, tmp_path, kind):
    (tmp_path / "data").mkdir()
    client = s3_server(tmp_path, "--checksum", kind).client()
    field = "Checksum" + kind.upper()
    body = random_bytes(5, 100 * KIB)
    want = {field: checksum(kind, body)}
    if kind == "crc32":
        assert want[field] == base64.b64encode(zlib.crc32(body).to_bytes(4, "big")).decode()
    client.put_object(Bucket="data", Key="k", Body=body, **want)
    told = client.get_object(Bucket="data", Key="k", ChecksumMode="ENABLED")
    assert told["Body"].read() == body  # boto3 compares
    assert told[field] == want[field]
    assert told["ChecksumType"] == "FULL_OBJECT"
    assert client.head_object(Bucket="data", Key="k", ChecksumMode="ENABLED")[field] == want[field]
    for span in ("bytes=0-99", f"bytes=0-{len(body) - 1}"):
        assert field not in client.get_object(
            Bucket="data", Key="k", ChecksumMode="ENABLED", Range=span
        )


def test_serve_checks_uploads(s3_server, tmp_path):
    (tmp_path / "data").mkdir()
    client = s3_server(tmp_path).client()
    for kind in KINDS:
        with pytest.raises(client.exceptions.ClientError) as error:
            wrong = {"Checksum" + kind.upper(): checksum(kind, b"other")}
            client.put_object(Bucket="data", Key="k", Body=b"body", **wrong)
        assert error.value.response["Error"]["Code"] == "BadDigest"
    assert "Contents" not in client.list_objects_v2(Bucket="data")
    client.put_object(Bucket="data", Key="k", Body=b"body", ChecksumAlgorithm="CRC32")


def test_serve_without_checksums(s3_server, bucket):
    server = s3_server(bucket, "--checksum", "none")
    assert stream(server).ok()["unverified"] == 23
    result = stream(server, verify="always")
    assert result["result"] == "PENSTOCK_E_ARGUMENT"
    assert "s3://data/a000 has no checksum to verify it with; copy it" in result["message"]
    result = stream(server, uri="s3://data/b", verify="always")
    assert result["result"] == "PENSTOCK_E_ARGUMENT"
    assert result["bytes"] <= 5 * 64 * KIB * 3 and result["key"] == "b000"


@pytest.mark.parametrize("io,transport", WAYS)
@pytest.mark.parametrize("verify", ["auto", "always", "off"])
def test_every_object_is_verified(s3_server, bucket, io, transport, verify):
    server = s3_server(bucket, "--checksum", list(KINDS)[WAYS.index((io, transport)) % 3])
    result = stream(server, io=io, transport=transport, verify=verify, epochs=2).ok()
    assert result["sha256_digest"] == sha256(*SMALL, *LONG, *SMALL, *LONG)
    small, everything = sum(map(len, SMALL)), sum(map(len, SMALL + LONG))
    counted = {key: result[key] for key in ("verified", "unverified", "verified_bytes", "heads")}
    want = {
        "auto": dict(verified=40, unverified=6, verified_bytes=2 * small, heads=0),
        "always": dict(verified=46, unverified=0, verified_bytes=2 * everything, heads=6),
        "off": dict(verified=0, unverified=0, verified_bytes=0, heads=0),
    }[verify]
    assert counted == want
    assert result["retries"] == 0


@pytest.mark.parametrize("transport", ["direct", "curl"])
def test_verified_over_tls(s3_server, bucket, tmp_path, transport):
    key, crt = make_certificate(tmp_path, "good", "IP:127.0.0.1")
    server = s3_server(bucket, "--tls-key", key, "--tls-cert", crt, scheme="https")
    job = dict(transport=transport, verify="always", extra={"AWS_CA_BUNDLE": str(crt)})
    result = stream(server, **job).ok()
    assert result["sha256_digest"] == sha256(*SMALL, *LONG)
    assert result["verified"] == 23
    rot(bucket / "data/b001", 200 * KIB)
    assert stream(server, **job)["result"] == "PENSTOCK_E_CORRUPT"


@pytest.mark.parametrize("io,transport", WAYS)
def test_trouble_makes_no_object_corrupt(s3_server, bucket, io, transport):
    """Parts that are resumed, asked for twice and fetched out of order are summed once each."""
    faults = ["cut=3000,every=5", "reset=20000,every=7", "status=503,every=11"]
    faults += ["stall=700,after=9000,every=40"]
    server = s3_server(bucket, *(word for fault in faults for word in ("--fault", fault)))
    job = dict(io=io, transport=transport, verify="always", epochs=6, io_threads=2)
    result = stream(server, **job).ok()
    assert result["sha256_digest"] == sha256(*((SMALL + LONG) * 6))
    assert (result["verified"], result["unverified"]) == (6 * 23, 0)
    assert result["retries"] > 20
    assert "do not have its checksum" not in result.stderr


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("io,transport", WAYS)
def test_flip_fault_is_caught(s3_server, bucket, tmp_path, io, transport, tls):
    options, extra = [], {}
    if tls:
        key, crt = make_certificate(tmp_path, "good", "IP:127.0.0.1")
        options, extra = ["--tls-key", key, "--tls-cert", crt], {"AWS_CA_BUNDLE": str(crt)}
    flips = [f"flip={at},key={key},times=1" for at, key in ((0, "a001"), (40000, "a019"))]
    options += [word for flip in flips for word in ("--fault", flip)]
    job = dict(io=io, transport=transport, extra=extra)
    server = s3_server(bucket, *options, scheme="https" if tls else "http")
    result = stream(server, uri="s3://data/a", **job).ok()
    assert result["sha256_digest"] == sha256(*SMALL)
    assert (result["verified"], result["retries"]) == (20, 2)
    server = s3_server(bucket, *options, "--fault", "flip=1000,key=b002,every=3,times=1",
                       scheme="https" if tls else "http")
    result = stream(server, verify="always", **job)
    assert (result["result"], result["key"]) == ("PENSTOCK_E_CORRUPT", "b002")


@pytest.mark.parametrize("io,transport", WAYS)
@pytest.mark.parametrize("key,at,verify", [("a013", 5000, "auto"), ("b001", 299 * KIB, "always")])
def test_rotten_object_is_named(s3_server, bucket, io, transport, key, at, verify):
    server = s3_server(bucket)
    path = bucket / "data" / key
    want = checksum("crc64nvme", path.read_bytes())
    assert stream(server, verify="always").ok()["verified"] == 23
    rot(path, at)
    have = checksum("crc64nvme", path.read_bytes())
    result = stream(server, io=io, transport=transport, verify=verify)
    assert result["result"] == "PENSTOCK_E_CORRUPT"
    assert (result["bucket"], result["key"]) == ("data", key)
    assert f"s3://data/{key} is corrupt" in result["message"]
    assert f"have the CRC64NVME checksum {have}" in result["message"]
    assert f"S3 keeps {want}" in result["message"]
    # An object of one part was fetched twice, and not one byte of it was delivered.
    assert ("also when they are fetched again" in result["message"]) == (key == "a013")
    assert result["retries"] == (key == "a013")


def test_rotten_object_passes_only_when_told_to(s3_server, bucket):
    server = s3_server(bucket)
    stream(server, verify="always").ok()
    rot(bucket / "data/b001", 7)
    rotten = sha256(*SMALL, LONG[0], flipped(LONG[1], 7), LONG[2])
    for verify in ("auto", "off"):  # auto has no checksum of an object of several parts
        assert stream(server, verify=verify).ok()["sha256_digest"] == rotten
    rot(bucket / "data/a003", 7)
    assert stream(server, verify="off").ok()["result"] == "PENSTOCK_END"
    assert stream(server, verify="auto")["key"] == "a003"


def test_unknown_wish_is_refused(run_penstock):
    done = run_penstock(["cat", "--verify=sometimes", "file:///nowhere"])
    assert done.rc != 0
    assert 'verify is "sometimes": use auto, always or off' in done.stderr


def test_cat_verifies(run_penstock, s3_server, bucket):
    server = s3_server(bucket)
    args = ["cat", "s3://data/b", "--verify=always", "--part-size=64KiB"]
    run_penstock(args, env=server.env).ok()
    rot(bucket / "data/b002", 1)
    done = run_penstock(args, env=server.env)
    assert done.rc == 1
    assert "s3://data/b002 is corrupt" in done.stderr


# ---- an origin that tells whatever a test wants ----------------------------------------------------


class Origin:
    """Objects {key: (bytes, {header: value})} of any bucket. `spoil(key, first, body)` may change what
    a GET sends, `head_status(key, nth)` the status of the nth HEAD. Ranged answers have headers too if
    `ranged_headers` is set."""

    def __init__(self, objects, spoil=None, head_status=None, ranged_headers=False):
        origin = self
        self.requests = []

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *words):
                pass

            def answer(self, status, body, headers=None, length=None):
                self.send_response(status)
                for name, value in (headers or {}).items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body) if length is None else length))
                self.end_headers()
                if self.command == "GET":
                    self.wfile.write(body)

            def do_HEAD(self):
                key = self.path.split("/", 2)[2]
                mode = self.headers.get("x-amz-checksum-mode")
                origin.requests.append(("HEAD", key, self.headers.get("Range"), mode))
                nth = sum(r[:2] == ("HEAD", key) for r in origin.requests)
                status = head_status(key, nth) if head_status else 200
                body, headers = objects[key]
                # Some servers announce the length of an error document that HEAD does not have.
                self.answer(status, b"", headers if status == 200 else {}, len(body))

            def do_GET(self):
                if "list-type" in self.path:
                    contents = "".join(
                        f"<Contents><Key>{key}</Key><ETag>&quot;e&quot;</ETag>"
                        f"<Size>{len(objects[key][0])}</Size></Contents>"
                        for key in sorted(objects)
                    )
                    listing = f"<ListBucketResult><IsTruncated>false</IsTruncated>{contents}</ListBucketResult>"
                    self.answer(200, listing.encode())
                    return
                key = self.path.split("/", 2)[2]
                span = self.headers.get("Range")
                mode = self.headers.get("x-amz-checksum-mode")
                origin.requests.append(("GET", key, span, mode))
                data, headers = objects[key]
                headers = headers | {"ETag": '"e"'}
                if not span:
                    body = data if not spoil else spoil(key, 0, data)
                    self.answer(200, body, headers)
                    return
                first, last = map(int, re.fullmatch(r"bytes=(\d+)-(\d+)", span).groups())
                body = data[first : last + 1]
                body = body if not spoil else spoil(key, first, body)
                headers = headers if ranged_headers else {}
                where = {"Content-Range": f"bytes {first}-{last}/{len(data)}"}
                self.answer(206, body, headers | where)

        class Server(http.server.ThreadingHTTPServer):
            request_queue_size = 128

        self.server = Server(("127.0.0.1", 0), Handler)
        self.env = {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.server.server_port}",
            "AWS_REGION": "us-east-1",
        }
        self.server.handle_error = lambda *words: None  # a reader that hangs up is its own affair
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def over_tls(self, key, crt):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(crt, key)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.env["AWS_ENDPOINT_URL"] = self.env["AWS_ENDPOINT_URL"].replace("http:", "https:")
        self.env["AWS_CA_BUNDLE"] = str(crt)


@pytest.fixture
def origin():
    origins = []

    def start(objects, **ways):
        origins.append(Origin(objects, **ways))
        return origins[-1]

    yield start
    for one in origins:
        one.server.shutdown()
        one.server.server_close()


def keeps(kind, data, suffix=""):
    """An object as S3 keeps it."""
    return data, {f"x-amz-checksum-{kind}": checksum(kind, data) + suffix}


def anonymous(server, **job):
    return stream(server, uri="s3://bucket", anonymous=1, **job)


class Once:
    """Flips a bit of one object, in the first GET that has it."""

    def __init__(self, key, at, times=1):
        self.key, self.at, self.left, self.lock = key, at, times, threading.Lock()

    def __call__(self, key, first, body):
        with self.lock:
            if key != self.key or not first <= self.at < first + len(body) or self.left == 0:
                return body
            self.left -= 1
        return flipped(body, self.at - first)


FIRST = keeps("crc64nvme", b"0" * 100)


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("io,transport", WAYS)
def test_bit_flipped_on_the_way_is_mended(origin, tmp_path, io, transport, tls):
    objects = {"a": FIRST} | {f"k{i}": keeps("crc32c", random_bytes(i, 60 * KIB)) for i in range(6)}
    server = origin(objects, spoil=Once("k3", 59 * KIB))
    if tls:
        server.over_tls(*make_certificate(tmp_path, "good", "IP:127.0.0.1"))
    result = anonymous(server, io=io, transport=transport).ok()
    assert result["sha256_digest"] == sha256(*(objects[key][0] for key in sorted(objects)))
    assert (result["verified"], result["retries"]) == (7, 1)
    assert "s3://bucket/k3 came with bytes that do not have its checksum" in result.stderr
    assert all(span is None and mode == "ENABLED" for _, _, span, mode in server.requests)


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("io,transport", WAYS)
def test_bit_flipped_in_a_long_object_is_an_error(origin, tmp_path, io, transport, tls):
    objects = {"a": FIRST, "k": keeps("crc32", random_bytes(1, 400 * KIB))}
    server = origin(objects, spoil=Once("k", 399 * KIB))
    if tls:
        server.over_tls(*make_certificate(tmp_path, "good", "IP:127.0.0.1"))
    result = anonymous(server, io=io, transport=transport, verify="always")
    assert result["result"] == "PENSTOCK_E_CORRUPT"
    assert result["key"] == "k"
    assert ("HEAD", "k", None, "ENABLED") in server.requests


@pytest.mark.parametrize("transport", ["direct", "curl"])
def test_algorithms_may_change_from_object_to_object(origin, transport):
    kinds = list(KINDS)
    objects = {
        f"k{i:02}": keeps(kinds[i * i % 3], random_bytes(i, (10 if i % 2 else 150) * KIB))
        for i in range(12)
    }
    result = anonymous(origin(objects), transport=transport, verify="always", io_threads=2).ok()
    assert result["sha256_digest"] == sha256(*(objects[key][0] for key in sorted(objects)))
    assert (result["verified"], result["heads"]) == (12, 6)


@pytest.mark.parametrize("transport", ["direct", "curl"])
@pytest.mark.parametrize("size", [50 * KIB, 200 * KIB])
@pytest.mark.parametrize(
    "headers",
    [
        {"x-amz-checksum-crc32": "AAAAAA==-3"},
        {"x-amz-checksum-crc32": "AAAAAA==", "x-amz-checksum-type": "COMPOSITE"},
        {"x-amz-checksum-sha256": "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="},
    ],
    ids=["suffix", "type", "sha256"],
)
def test_other_checksums_are_warned_of_and_counted(origin, transport, size, headers):
    server = origin({"a": FIRST} | {f"k{i}": (random_bytes(i, size), headers) for i in range(2)})
    for verify in ("auto", "always"):
        result = anonymous(server, transport=transport, verify=verify).ok()
        assert (result["verified"], result["unverified"]) == (1, 2)
        assert result.stderr.count("cannot be compared with") == (verify == "always")


def test_cat_tells_what_it_could_not_verify(run_penstock, origin):
    server = origin({"a": FIRST, "k": (b"text", {"x-amz-checksum-crc32": "AAAAAA==-3"})})
    args = ["cat", "s3://bucket", "--anonymous", "--verify"]
    done = run_penstock([*args, "always"], env=server.env).ok()
    assert done.stdout == "0" * 100 + "text"
    assert done.stderr.startswith("penstock cat: 1 objects are not verified")
    assert run_penstock([*args, "auto"], env=server.env).ok().stderr == ""


def test_ranged_answers_are_not_believed(origin):
    """S3 sends the checksum of an uploaded part with a range that happens to be one."""
    wrong = {"x-amz-checksum-crc32": "AAAAAA==", "x-amz-checksum-type": "FULL_OBJECT"}
    server = origin({"a": FIRST, "k": (random_bytes(1, 200 * KIB), wrong)}, ranged_headers=True)
    result = anonymous(server).ok()
    assert (result["verified"], result["unverified"]) == (1, 1)


@pytest.mark.parametrize("io,transport", WAYS)
def test_trouble_with_the_head_request(origin, io, transport):
    objects = {"a": FIRST, "k": keeps("crc64nvme", random_bytes(1, 300 * KIB))}
    job = dict(io=io, transport=transport, verify="always")
    result = anonymous(origin(objects, head_status=lambda key, nth: 503 if nth < 3 else 200), **job)
    assert result.ok()["verified"] == 2
    assert result["heads"] == 3
    result = anonymous(origin(objects, head_status=lambda key, nth: 403), **job)
    assert (result["result"], result["key"]) == ("PENSTOCK_E_DENIED", "k")
    assert result["message"].startswith("HEAD s3://bucket/k failed: HTTP status 403")
    result = anonymous(origin(objects, head_status=lambda key, nth: 404), **job)
    assert (result["result"], result["key"]) == ("PENSTOCK_E_NOT_FOUND", "k")


# ---- a real S3 server without checksums ------------------------------------------------------------


@pytest.mark.plain_build
def test_radosgw_keeps_none(radosgw):
    client = radosgw.client()
    client.create_bucket(Bucket="sums")
    texts = [random_bytes(i, (50 if i else 200) * KIB) for i in range(3)]
    for i, text in enumerate(texts):
        client.put_object(Bucket="sums", Key=f"k{i}", Body=text)
    result = stream(radosgw, uri="s3://sums").ok()
    assert result["sha256_digest"] == sha256(*texts)
    assert (result["verified"], result["unverified"]) == (0, 3)
    result = stream(radosgw, uri="s3://sums", verify="always")
    assert result["result"] == "PENSTOCK_E_ARGUMENT"
    assert "s3://sums/k0 has no checksum" in result["message"]
