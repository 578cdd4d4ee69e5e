# SPDX-License-Identifier: Apache-2.0
"""tests/integration/test_serve.py - what `penstock serve` answers: listings, objects, conditions,
signatures, uploads. Asked by boto3, a client by other people with a signer of its own."""

import datetime
import http.client
import os
import re
import time
import xml.etree.ElementTree as ElementTree
from urllib.parse import unquote_plus

import botocore.auth
import pytest
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from serve_client import (
    ACCESS_KEY,
    BODY,
    SECRET_KEY,
    ask,
    client_for,
    listed,
    put_file,
    refused,
    root,  # a fixture, as are the next two
    s3,
    server,
    signed_headers,
)

NS = "{http://s3.amazonaws.com/doc/2006-03-01/}"

ODD_KEYS = [
    "a b",
    "a+b",
    "a%20b",
    "a%2Fb",
    "a?b=c&d",
    "a#b",
    "a\nb",
    "a\tb",
    "<&>\"'",
    "(*'!)~_-.",
    "z/ü/é",
    "z/\U0001f30a",
    "z/日本",
    "z/a.b/c",
    "z-a",
    "zz",
    "..a/b..",
    "Z",
]


# ---- listings ----


def test_pages_of_three_hold_every_odd_key_in_byte_order(root, s3):
    for n, key in enumerate(ODD_KEYS):
        put_file(root, "b", key, b"x" * n)
    keys, _, pages = listed(s3, PaginationConfig={"PageSize": 3})
    assert keys == sorted([*ODD_KEYS, "data", "empty"], key=lambda key: key.encode())
    assert [page["KeyCount"] for page in pages] == [3] * 6 + [2]
    assert [page["IsTruncated"] for page in pages] == [True] * 6 + [False]
    for item in (item for page in pages for item in page["Contents"]):
        head = s3.head_object(Bucket="b", Key=item["Key"])
        assert (head["ContentLength"], head["ETag"]) == (item["Size"], item["ETag"]), item["Key"]
        assert s3.get_object(Bucket="b", Key=item["Key"])["Body"].read() == (
            root / "b" / item["Key"]
        ).read_bytes()
        assert re.fullmatch(r'"[0-9a-f]{32}"', item["ETag"])
        assert item["StorageClass"] == "STANDARD"


def test_listing_without_encoding_is_xml_with_references(root, server):
    put_file(root, "b", "a\n<&>")
    _, body = ask(server, "GET", "/b?list-type=2&max-keys=1")
    assert b"<Key>a&#xA;&lt;&amp;&gt;</Key>" in body
    assert ElementTree.fromstring(body).findtext(f"{NS}Contents/{NS}Key") == "a\n<&>"


def test_encoded_listing_has_plus_for_space_and_keeps_slashes(root, server):
    put_file(root, "b", "p q/r+s%")
    _, body = ask(server, "GET", "/b?list-type=2&encoding-type=url&prefix=p%20q")
    assert b"<Key>p+q/r%2Bs%25</Key>" in body
    assert b"<Prefix>p+q</Prefix>" in body
    key = ElementTree.fromstring(body).findtext(f"{NS}Contents/{NS}Key")
    assert unquote_plus(key) == "p q/r+s%"


@pytest.mark.parametrize("page_size", [1, 2, 1000])
def test_delimiter_rolls_up_common_prefixes(root, s3, page_size):
    for key in ("d/1", "d/2", "d/e/3", "d-", "d0", "x/y/z"):
        put_file(root, "b", key)
    keys, prefixes, pages = listed(
        s3, Delimiter="/", PaginationConfig={"PageSize": page_size}
    )
    assert (keys, prefixes) == (["d-", "d0", "data", "empty"], ["d/", "x/"])
    assert sum(page["KeyCount"] for page in pages) == 6
    keys, prefixes, _ = listed(
        s3, Delimiter="/", Prefix="d/", PaginationConfig={"PageSize": page_size}
    )
    assert (keys, prefixes) == (["d/1", "d/2"], ["d/e/"])


def test_prefix_and_start_after(root, s3):
    for key in ("p/a", "p/b", "p/c/d", "pq", "o"):
        put_file(root, "b", key)
    assert listed(s3, Prefix="p")[0] == ["p/a", "p/b", "p/c/d", "pq"]
    assert listed(s3, Prefix="p/")[0] == ["p/a", "p/b", "p/c/d"]
    assert listed(s3, Prefix="p/c")[0] == ["p/c/d"]
    assert listed(s3, Prefix="p/c/d")[0] == ["p/c/d"]
    assert listed(s3, Prefix="p/c/d/")[0] == []
    assert listed(s3, Prefix="p/", StartAfter="p/a")[0] == ["p/b", "p/c/d"]
    assert listed(s3, StartAfter="p/b\x01")[0] == ["p/c/d", "pq"]
    for prefix in ("/", "//", "../", "p/../", "p//", "./"):
        assert listed(s3, Prefix=prefix)[0] == [], prefix


def test_folder_keys_are_listed_and_read(root, s3):
    put_file(root, "b", "dir/.folder")
    put_file(root, "b", "dir/x", b"1")
    put_file(root, "b", ".folder")
    keys, _, pages = listed(s3)
    assert keys == ["data", "dir/", "dir/x", "empty"]
    assert pages[0]["Contents"][1]["Size"] == 0
    assert s3.get_object(Bucket="b", Key="dir/")["Body"].read() == b""
    assert refused(s3.get_object, Bucket="b", Key="dir/.folder")[:2] == (404, "NoSuchKey")


def test_new_listing_sees_changes_and_pages_stay_in_one_snapshot(root, s3):
    for n in range(6):
        put_file(root, "b", f"k{n}")
    first = s3.list_objects_v2(Bucket="b", Prefix="k", MaxKeys=3)
    put_file(root, "b", "k35")
    second = s3.list_objects_v2(
        Bucket="b", Prefix="k", MaxKeys=3, ContinuationToken=first["NextContinuationToken"]
    )
    assert [item["Key"] for item in second["Contents"]] == ["k3", "k4", "k5"]
    assert not second["IsTruncated"]
    assert "k35" in listed(s3, Prefix="k")[0]


def test_pages_never_exceed_a_thousand_keys(root, s3):
    for n in range(1001):
        put_file(root, "b", f"many/{n:04}")
    page = s3.list_objects_v2(Bucket="b", Prefix="many/", MaxKeys=5000)
    assert (page["KeyCount"], page["IsTruncated"]) == (1000, True)
    assert len(listed(s3, Prefix="many/")[0]) == 1001


def test_listing_arguments_are_checked(s3, server):
    assert s3.list_objects_v2(Bucket="b", MaxKeys=0)["KeyCount"] == 0
    assert not s3.list_objects_v2(Bucket="b", MaxKeys=0)["IsTruncated"]
    for query in ("max-keys=x", "max-keys=-1", "encoding-type=latin", "continuation-token=",
                  "continuation-token=%21", "continuation-token=AAAA"):
        response, body = ask(server, "GET", "/b?list-type=2&" + query)
        assert (response.status, b"InvalidArgument" in body) == (400, True), query
    assert ask(server, "GET", "/b")[0].status == 501


def test_buckets_are_the_directories(root, s3, server):
    (root / "other").mkdir()
    put_file(root, ".", "stray", b"x")
    (root / ".hidden").mkdir()
    assert [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]] == ["b", "other"]
    head = s3.head_bucket(Bucket="b")
    assert head["ResponseMetadata"]["HTTPHeaders"]["x-amz-bucket-region"] == "us-east-1"
    assert refused(s3.head_bucket, Bucket="nothere")[0] == 404
    for name in ("stray", ".hidden", "..", "."):
        assert ask(server, "GET", f"/{name}?list-type=2")[0].status == 404, name


# ---- GET and HEAD ----


@pytest.mark.parametrize(
    "header, first, end",
    [
        ("bytes=0-0", 0, 1),
        ("bytes=0-99", 0, 100),
        ("bytes=1000-299999", 1000, 300_000),
        ("bytes=299999-", 299_999, 300_000),
        ("bytes=5-18446744073709551615", 5, 300_000),
        ("bytes=5-99999999999999999999999", 5, 300_000),
        ("bytes=-1", 299_999, 300_000),
        ("bytes=-300000", 0, 300_000),
        ("bytes=-999999999", 0, 300_000),
        ("bytes=131072-262143", 131_072, 262_144),
    ],
)
def test_range_is_served(s3, header, first, end):
    got = s3.get_object(Bucket="b", Key="data", Range=header)
    assert got["ResponseMetadata"]["HTTPStatusCode"] == 206
    assert got["ContentRange"] == f"bytes {first}-{end - 1}/300000"
    assert got["ContentLength"] == end - first
    assert got["Body"].read() == BODY[first:end]
    head = s3.head_object(Bucket="b", Key="data", Range=header)
    assert head["ContentLength"] == end - first


@pytest.mark.parametrize(
    "header", ["bytes=", "bytes=-", "bytes=9-8", "bytes=a-b", "bytes=1-2,4-5", "lines=0-1", "0-1"]
)
def test_range_that_is_none_is_ignored(s3, header):
    got = s3.get_object(Bucket="b", Key="data", Range=header)
    assert got["ResponseMetadata"]["HTTPStatusCode"] == 200
    assert got["Body"].read() == BODY


@pytest.mark.parametrize(
    "key, header", [("data", "bytes=300000-"), ("data", "bytes=-0"), ("empty", "bytes=0-0"),
                    ("empty", "bytes=0-"), ("empty", "bytes=-5")]
)
def test_range_past_the_end_is_416(s3, key, header):
    status, code, error = refused(s3.get_object, Bucket="b", Key=key, Range=header)
    assert (status, code) == (416, "InvalidRange")
    assert error["RangeRequested"] == header
    assert error["ActualObjectSize"] == ("300000" if key == "data" else "0")


def test_416_tells_the_size_in_content_range(server):
    response, _ = ask(server, "GET", "/b/data", {"Range": "bytes=300000-"})
    assert response.headers["Content-Range"] == "bytes */300000"


def test_head_and_get_describe_the_object_alike(server):
    head, nothing = ask(server, "HEAD", "/b/data")
    got, body = ask(server, "GET", "/b/data")
    assert (nothing, body) == (b"", BODY)
    for name in ("Content-Length", "ETag", "Last-Modified", "Accept-Ranges", "Content-Type"):
        assert head.headers[name] == got.headers[name] is not None, name
    assert head.headers["x-amz-request-id"] != got.headers["x-amz-request-id"]
    assert ask(server, "GET", "/b/empty")[1] == b""


def test_conditions(s3):
    etag = s3.head_object(Bucket="b", Key="data")["ETag"]
    for fine in (etag, etag.strip('"'), "*", f'"other", {etag}'):
        assert s3.get_object(Bucket="b", Key="data", IfMatch=fine)["Body"].read() == BODY
    for wrong in ('"other"', f"W/{etag}", etag[:-2] + '"'):
        status, code, error = refused(s3.get_object, Bucket="b", Key="data", IfMatch=wrong)
        assert (status, code, error["Condition"]) == (412, "PreconditionFailed", "If-Match")
    assert refused(s3.get_object, Bucket="b", Key="data", IfNoneMatch=etag)[0] == 304
    assert s3.get_object(Bucket="b", Key="data", IfNoneMatch='"other"')["Body"].read() == BODY


def test_etag_changes_when_the_file_does(root, s3):
    before = s3.head_object(Bucket="b", Key="data")["ETag"]
    assert s3.head_object(Bucket="b", Key="data")["ETag"] == before
    replacement = put_file(root, "b", "new", BODY)
    stat = (root / "b" / "data").stat()
    os.utime(replacement, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    replacement.rename(root / "b" / "data")  # same size, same times
    assert s3.head_object(Bucket="b", Key="data")["ETag"] != before


def test_missing_key_and_bucket_are_named(root, s3):
    put_file(root, "b", "d/x")
    status, code, error = refused(s3.get_object, Bucket="b", Key="no <such> & key")
    assert (status, code, error["Key"]) == (404, "NoSuchKey", "no <such> & key")
    status, code, error = refused(s3.get_object, Bucket="nothere", Key="data")
    assert (status, code, error["BucketName"]) == (404, "NoSuchBucket", "nothere")
    assert refused(s3.list_objects_v2, Bucket="nothere")[:2] == (404, "NoSuchBucket")
    for key in ("data/", "data/x", "/data", "./data", "d/../data", "d/./x", "d//x", "d",
                "d/", "a" * 1024):
        assert refused(s3.get_object, Bucket="b", Key=key)[:2] == (404, "NoSuchKey"), key
    assert refused(s3.get_object, Bucket="b", Key="a" * 1025)[:2] == (400, "KeyTooLongError")


def test_nothing_outside_the_bucket_is_served(root, s3_server, tmp_path):
    server = s3_server(root, "--anonymous")
    s3 = server.client()
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret")
    put_file(root, "other", "o", b"other")
    bucket = root / "b"
    (bucket / "absolute").symlink_to(secret)
    (bucket / "climbing").symlink_to("../other/o")
    (bucket / "up").symlink_to("..")
    (bucket / "inside").symlink_to("data")
    (bucket / "loop").symlink_to("loop")
    os.mkfifo(bucket / "fifo")
    (bucket / "socket-like").mkdir()
    for key in ("absolute", "climbing", "up/other/o", "loop", "fifo", "socket-like", "../other/o"):
        assert refused(s3.get_object, Bucket="b", Key=key)[:2] == (404, "NoSuchKey"), key
    for target in ("/b/%2e%2e/other/o", "/b/../other/o", "/b/..%2Fother/o", "/../secret",
                   "/b%2F..%2Fother/o", "/%2e%2e/secret", "/b/a%00b", "/b/x%2F%2E%2E%2F..%2fo"):
        own = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
        own.request("GET", target)  # unsigned: clients sign other spellings of these
        response = own.getresponse()
        assert response.status in (400, 404), target
        assert b"secret" not in response.read().replace(b"/secret", b"")
        own.close()
    assert s3.get_object(Bucket="b", Key="inside")["Body"].read() == BODY
    assert listed(s3)[0] == ["data", "empty", "inside"]


def test_other_methods_and_subresources(server):
    response, body = ask(server, "POST", "/b/data")
    assert (response.status, b"MethodNotAllowed" in body) == (405, True)
    assert response.headers["Allow"] == "GET, HEAD, PUT, DELETE"
    assert ask(server, "PUT", "/b")[0].status == 405
    assert ask(server, "DELETE", "/b")[0].status == 405
    for target in ("/b/data?acl", "/b/data?partNumber=1", "/b/data?versionId=1", "/b?versioning"):
        response, body = ask(server, "GET", target)
        assert (response.status, b"NotImplemented" in body) == (501, True), target
    assert ask(server, "GET", "/b/data?x-id=GetObject")[1] == BODY


def test_bucket_in_the_host_name(root, server):
    put_file(root, "b", "b/data", b"another")
    host = {"Host": f"b.localhost:{server.port}"}
    own = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    for target, expected in (("/data", BODY), ("/b/data", b"another")):
        request = AWSRequest("GET", f"http://{host['Host']}{target}")
        botocore.auth.S3SigV4Auth(Credentials(ACCESS_KEY, SECRET_KEY), "s3", "us-east-1").add_auth(
            request
        )
        own.request("GET", target, headers={**host, **dict(request.headers.items())})
        assert own.getresponse().read() == expected
    own.close()


# ---- who may come in ----


def test_wrong_secret_key_id_and_region(server):
    wrong = client_for(server, aws_secret_access_key="not it")
    status, code, error = refused(wrong.get_object, Bucket="b", Key="data")
    assert (status, code) == (403, "SignatureDoesNotMatch")
    assert error["CanonicalRequest"].startswith("GET\n/b/data\n\nhost:127.0.0.1:")
    assert SECRET_KEY not in str(error)
    wrong = client_for(server, aws_access_key_id="AKIDOTHER")
    assert refused(wrong.list_objects_v2, Bucket="b")[:2] == (403, "InvalidAccessKeyId")
    wrong = client_for(server, region_name="eu-west-1")
    assert refused(wrong.list_objects_v2, Bucket="b")[:2] == (400, "AuthorizationHeaderMalformed")


@pytest.mark.parametrize("minutes, fine", [(-14, True), (14, True), (-16, False), (16, False)])
def test_clock_may_be_15_minutes_off(server, monkeypatch, minutes, fine):
    class Clock(datetime.datetime):
        @classmethod
        def utcnow(cls):
            return datetime.datetime.now(datetime.timezone.utc).replace(
                tzinfo=None
            ) + datetime.timedelta(minutes=minutes)

    if hasattr(botocore.auth, "get_current_datetime"):
        monkeypatch.setattr(
            botocore.auth, "get_current_datetime", lambda remove_tzinfo=True: Clock.utcnow()
        )
    else:
        monkeypatch.setattr(botocore.auth.datetime, "datetime", Clock)
    s3 = client_for(server)
    if fine:
        assert s3.get_object(Bucket="b", Key="data")["Body"].read() == BODY
        return
    status, code, error = refused(s3.get_object, Bucket="b", Key="data")
    assert (status, code) == (403, "RequestTimeTooSkewed")
    assert error["MaxAllowedSkewMilliseconds"] == "900000"


def test_unsigned_requests(s3_server, root):
    closed, opened = s3_server(root), s3_server(root, "--anonymous")
    for server, status in ((closed, 403), (opened, 200)):
        own = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
        own.request("GET", "/b/data")
        response = own.getresponse()
        assert response.status == status
        assert (b"AccessDenied" in response.read()) == (status == 403)
        assert response.headers["x-amz-request-id"]
        own.close()
    wrong = client_for(opened, aws_secret_access_key="not it")
    assert refused(wrong.get_object, Bucket="b", Key="data")[1] == "SignatureDoesNotMatch"


def test_session_token_is_demanded(s3_server, root):
    server = s3_server(root, "--session-token", "tok+en/==")
    fine = client_for(server, aws_session_token="tok+en/==")
    assert fine.get_object(Bucket="b", Key="data")["Body"].read() == BODY
    for token in (None, "tok"):
        other = client_for(server, aws_session_token=token)
        assert refused(other.get_object, Bucket="b", Key="data")[:2] == (400, "InvalidToken")


# ---- PUT and DELETE ----


def test_put_replaces_bytes_and_etag(root, s3):
    before = s3.head_object(Bucket="b", Key="data")["ETag"]
    etag = s3.put_object(Bucket="b", Key="data", Body=b"new" * 100_000)["ETag"]
    got = s3.get_object(Bucket="b", Key="data")
    assert got["ETag"] == etag != before
    assert got["Body"].read() == b"new" * 100_000
    assert refused(s3.get_object, Bucket="b", Key="data", IfMatch=before)[0] == 412
    s3.put_object(Bucket="b", Key="p/q r/s%", Body=b"deep")
    assert (root / "b/p/q r/s%").read_bytes() == b"deep"
    s3.put_object(Bucket="b", Key="dir/", Body=b"")
    assert "dir/" in listed(s3)[0]
    s3.delete_object(Bucket="b", Key="p/q r/s%")
    s3.delete_object(Bucket="b", Key="never there")
    assert refused(s3.get_object, Bucket="b", Key="p/q r/s%")[0] == 404
    assert refused(s3.put_object, Bucket="nothere", Key="x", Body=b"")[:2] == (404, "NoSuchBucket")


def test_failed_put_leaves_the_object_and_no_file_behind(root, server, s3):
    headers = signed_headers(server, "PUT", "/b/data", body=b"signed body")
    own = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    own.request("PUT", "/b/data", body=b"other bytes", headers=headers)
    response = own.getresponse()
    assert (response.status, b"XAmzContentSHA256Mismatch" in response.read()) == (400, True)
    own.close()
    half = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    half.putrequest("PUT", "/b/data", skip_host=True)
    for name, value in signed_headers(server, "PUT", "/b/data", body=b"z" * 1000).items():
        half.putheader(name, value)
    half.putheader("Host", f"127.0.0.1:{server.port}")
    half.putheader("Content-Length", "1000")
    half.endheaders(b"z" * 10)
    half.close()
    wrong = client_for(server, aws_secret_access_key="not it")
    assert refused(wrong.put_object, Bucket="b", Key="data", Body=b"x")[0] == 403
    assert refused(s3.put_object, Bucket="b", Key="data/x", Body=b"x")[0] in (400, 409)
    assert refused(s3.put_object, Bucket="b", Key="../x", Body=b"x")[0] in (400, 403, 409)
    assert s3.get_object(Bucket="b", Key="data")["Body"].read() == BODY
    deadline = time.monotonic() + 10
    while sorted(os.listdir(root / "b")) != ["data", "empty"] and time.monotonic() < deadline:
        time.sleep(0.02)
    assert sorted(os.listdir(root / "b")) == ["data", "empty"]
    assert sorted(os.listdir(root)) == ["b"]


def test_replaced_object_keeps_serving_readers_of_the_old_one(root, server, s3):
    put_file(root, "b", "big", BODY * 60)
    old = s3.get_object(Bucket="b", Key="big")
    first = old["Body"].read(1000)
    s3.put_object(Bucket="b", Key="big", Body=b"new")
    assert first + old["Body"].read() == BODY * 60
