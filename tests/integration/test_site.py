# SPDX-License-Identifier: Apache-2.0
"""tests/integration/test_site.py - where a bucket is and what time it is there: learnt from the answers of a
server that checks signatures by botocore's signer."""

import datetime
import re
import threading
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from unittest import mock
from urllib.parse import parse_qsl, urlsplit

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from conftest import ACCESS_KEY, SECRET_KEY, s3_env
from digest import csv_rows, digest, expected_digest

TEXT = "".join(f"{i % 10},{i},{i * 0.5}\n" for i in range(9000))
BODY = TEXT.encode()
DIGEST = expected_digest(csv_rows(TEXT))
KEYS = [f"d/{i}.csv" for i in range(3)]
WAYS = [(io, transport) for io in ("uring", "epoll") for transport in ("direct", "curl")]
UTC = datetime.timezone.utc


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *args):
        pass

    def send_response(self, code, message=None):
        self.send_response_only(code, message)

    def answer(self, status, body=b"", **fields):
        self.send_response(status)
        if self.server.site.tells_time:
            self.send_header("Date", format_datetime(self.server.site.now(), usegmt=True))
        self.send_header("Content-Length", str(len(body)))
        for name, value in fields.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def fail(self, status, code, **fields):
        site = self.server.site
        site.failures.append((self.kind(), status, code))
        self.answer(status, f"<Error><Code>{code}</Code></Error>".encode(), **fields)

    def kind(self):
        return "LIST" if "list-type" in self.path else self.command

    def check(self):
        """Refuses the request, and says so, unless it is signed for the place and the time here."""
        site = self.server.site
        given = self.headers["Authorization"]
        scope = re.search(r"Credential=([^/]+)/(\d+)/([^/]+)/s3/aws4_request", given)
        names = re.search(r"SignedHeaders=([^,]+)", given).group(1).split(";")
        region = scope.group(3)
        if site.redirect(self, region):
            return False
        when = datetime.datetime.strptime(self.headers["x-amz-date"], "%Y%m%dT%H%M%SZ")
        if abs(when.replace(tzinfo=UTC) - site.now()) > datetime.timedelta(minutes=15):
            self.fail(403, "RequestTimeTooSkewed")
            return False
        url = urlsplit(f"http://{self.headers['Host']}{self.path}")
        request = AWSRequest(
            method=self.command,
            url=f"{url.scheme}://{url.netloc}{url.path}",
            params=dict(parse_qsl(url.query, keep_blank_values=True)),
            headers={name: self.headers[name] for name in names if name != "host"},
        )
        signer = S3SigV4Auth(Credentials(ACCESS_KEY, SECRET_KEY), "s3", region)
        with mock.patch("botocore.auth.get_current_datetime", lambda: when):
            signer.add_auth(request)
        if request.headers["Authorization"] != given:
            site.wrong.append((given, request.headers["Authorization"]))
            self.fail(403, "SignatureDoesNotMatch")
            return False
        return True

    def do_GET(self):
        site = self.server.site
        with site.lock:
            site.requests.append((self.kind(), self.headers["Host"]))
        if not self.check():
            return
        if self.kind() == "LIST":
            entries = "".join(
                f'<Contents><Key>{key}</Key><ETag>"e"</ETag><Size>{len(BODY)}</Size></Contents>'
                for key in KEYS
            )
            page = f"<ListBucketResult><IsTruncated>false</IsTruncated>{entries}</ListBucketResult>"
            self.answer(200, page.encode())
            return
        asked = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers["Range"])
        first, last = map(int, asked.groups())
        where = f"bytes {first}-{last}/{len(BODY)}"
        self.answer(206, BODY[first : last + 1], Content_Range=where, ETag='"e"')


class Site:
    """The server and how it behaves. `redirect(handler, region)` answers and returns True to refuse."""

    def __init__(self):
        self.clock_offset = datetime.timedelta()
        self.tells_time = True
        self.redirect = lambda handler, region: False
        self.requests, self.failures, self.wrong = [], [], []
        self.lock = threading.Lock()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.server.site = self
        self.port = self.server.server_port
        self.env = s3_env(f"http://127.0.0.1:{self.port}")
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def now(self):
        return datetime.datetime.now(UTC) + self.clock_offset

    def region_is(self, name, status=301, code="PermanentRedirect", only=None, header=True):
        """Requests for other regions are turned away; only those of a kind, if one is named."""

        def redirect(handler, region):
            if region == name or (only and handler.kind() != only):
                return False
            handler.fail(status, code, **({"x_amz_bucket_region": name} if header else {}))
            return True

        self.redirect = redirect


@pytest.fixture
def site():
    one = Site()
    yield one
    one.server.shutdown()
    one.server.server_close()
    assert not one.wrong


def stream(site, io="epoll", transport="direct", **job):
    job = dict(connections=4, part_kib=64, type="text/csv") | job
    return digest(uri="s3://bucket/d/", env=site.env, io=io, transport=transport, **job)


def check_bytes(result, rows=3):
    result.ok()
    assert result["digest"] == expected_digest(csv_rows(TEXT) * rows)


@pytest.mark.parametrize("io, transport", WAYS)
def test_a_region_is_learnt_by_the_listing(site, io, transport):
    site.region_is("eu-west-1")
    check_bytes(stream(site, io, transport))
    assert site.failures == [("LIST", 301, "PermanentRedirect")]


@pytest.mark.parametrize("status, code", [(400, "AuthorizationHeaderMalformed"), (403, "AccessDenied")])
@pytest.mark.parametrize("io, transport", WAYS)
def test_a_region_is_learnt_by_a_get(site, io, transport, status, code):
    site.region_is("eu-west-1", status, code, only="GET")
    result = stream(site, io, transport)
    check_bytes(result)
    assert set(site.failures) == {("GET", status, code)}
    assert len(site.failures) <= 4  # those under way at once
    assert result["retries"] == len(site.failures)


@pytest.mark.parametrize("io, transport", WAYS)
def test_redirects_in_a_circle_are_an_error(site, io, transport):
    def redirect(handler, region):
        other = {"us-east-1": "eu-west-1", "eu-west-1": "us-east-1"}[region]
        if handler.kind() == "GET":
            handler.fail(307, "TemporaryRedirect", x_amz_bucket_region=other)
        return handler.kind() == "GET"

    site.redirect = redirect
    result = stream(site, io, transport, connections=1)
    assert result.rc != 0
    assert "redirects go in a circle: region eu-west-1 at 127.0.0.1" in result["message"]
    assert "names region us-east-1" in result["message"]
    assert len(site.failures) == 2


@pytest.mark.parametrize("io, transport", WAYS)
def test_a_signed_request_goes_to_no_other_host(site, io, transport):
    other = Site()

    def redirect(handler, region):
        if handler.kind() == "GET":
            handler.fail(307, "TemporaryRedirect", Location=f"http://localhost:{other.port}/x")
        return handler.kind() == "GET"

    site.redirect = redirect
    result = stream(site, io, transport)
    other.server.shutdown()
    other.server.server_close()
    assert result.rc != 0
    assert "which is another host: a signed request is not sent there" in result["message"]
    assert other.requests == []


@pytest.mark.parametrize("io, transport", WAYS)
def test_a_location_on_the_same_host_is_followed(site, io, transport):
    other = Site()

    def redirect(handler, region):
        where = f"http://127.0.0.1:{other.port}{handler.path}"
        handler.fail(307, "TemporaryRedirect", Location=where)
        return True

    site.redirect = redirect
    result = stream(site, io, transport)
    other.server.shutdown()
    other.server.server_close()
    check_bytes(result)
    assert len(site.requests) == 1
    assert not other.failures


@pytest.mark.parametrize("hours", [1, -1, 24, -24])
@pytest.mark.parametrize("io, transport", WAYS)
def test_another_clock_is_learnt(site, io, transport, hours):
    site.clock_offset = datetime.timedelta(hours=hours)
    check_bytes(stream(site, io, transport))
    assert site.failures == [("LIST", 403, "RequestTimeTooSkewed")]


@pytest.mark.parametrize("io, transport", WAYS)
def test_a_clock_that_jumps_is_learnt_by_a_get(site, io, transport):
    def redirect(handler, region):
        if handler.kind() == "GET" and not site.clock_offset:
            site.clock_offset = datetime.timedelta(hours=5)
        return False

    site.redirect = redirect
    check_bytes(stream(site, io, transport))
    assert set(site.failures) == {("GET", 403, "RequestTimeTooSkewed")}
    assert len(site.failures) <= 4


def test_a_clock_that_is_not_told_is_an_error(site):
    site.clock_offset, site.tells_time = datetime.timedelta(hours=1), False
    result = stream(site)
    assert result.rc != 0
    assert "clock is wrong" in result["message"]
    assert len(site.failures) == 1
