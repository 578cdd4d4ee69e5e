# SPDX-License-Identifier: Apache-2.0
"""tests/integration/serve_client.py - asking `penstock serve`, by boto3 or over a bare connection.

Requests that boto3 does not make are signed by botocore, never by our own signer."""

import hashlib
import http.client

import boto3
import botocore.auth
import pytest
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

ACCESS_KEY = "AKIDEXAMPLE"
SECRET_KEY = "wJalrXUtnFEMIEXAMPLEKEY"
BODY = bytes((7 * i + (i >> 8)) & 255 for i in range(300_000))


def put_file(root, bucket, key, data=b""):
    path = root / bucket / key
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def refused(call, **arguments):
    """Status, code and the whole <Error> of a call that must fail."""
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    response = caught.value.response
    status = response["ResponseMetadata"]["HTTPStatusCode"]
    return status, response["Error"]["Code"], response["Error"]


def client_for(server, **changes):
    options = {
        "endpoint_url": server.endpoint,
        "region_name": "us-east-1",
        "aws_access_key_id": ACCESS_KEY,
        "aws_secret_access_key": SECRET_KEY,
        "config": Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}),
    }
    return boto3.client("s3", **{**options, **changes})


def signed_headers(server, method, target, headers=None, body=b""):
    """Headers that sign a request, by botocore, for requests that boto3 does not make."""
    request = AWSRequest(method, server.endpoint + target, headers=headers or {}, data=body)
    request.headers["x-amz-content-sha256"] = hashlib.sha256(body).hexdigest()
    request.context["payload_signing_enabled"] = True
    botocore.auth.S3SigV4Auth(Credentials(ACCESS_KEY, SECRET_KEY), "s3", "us-east-1").add_auth(
        request
    )
    return dict(request.headers.items())


def ask(server, method, target, headers=None, body=b"", connection=None):
    """One signed request over a bare connection: (response, body)."""
    own = connection or http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    signed = signed_headers(server, method, target, headers, body)
    own.request(method, target, body=body or None, headers=signed)
    response = own.getresponse()
    data = response.read()
    if connection is None:
        own.close()
    return response, data


def listed(s3, **arguments):
    """Every page of a listing: (keys, common prefixes, pages)."""
    pages = list(s3.get_paginator("list_objects_v2").paginate(Bucket="b", **arguments))
    keys = [item["Key"] for page in pages for item in page.get("Contents", [])]
    prefixes = [item["Prefix"] for page in pages for item in page.get("CommonPrefixes", [])]
    return keys, prefixes, pages


@pytest.fixture
def root(tmp_path):
    """A directory with bucket "b", which holds "data" and the empty object "empty"."""
    put_file(tmp_path / "root", "b", "data", BODY)
    put_file(tmp_path / "root", "b", "empty")
    return tmp_path / "root"


@pytest.fixture
def server(s3_server, root):
    return s3_server(root)


@pytest.fixture
def s3(server):
    return server.client()
