# SPDX-License-Identifier: Apache-2.0
"""tests/integration/test_first_keys.py - keys that take their time: the stream opens at once, and waits."""

import hashlib
import json
import subprocess
import time

import pytest
from conftest import ACCESS_KEY, SECRET_KEY, clean_env
from digest import DRIVER, digest
from test_credentials import World, bucket, fake  # noqa: F401


@pytest.mark.parametrize("end", ["", "; exit 7"])
def test_opening_does_not_wait_for_keys(s3_server, bucket, fake, tmp_path, end):  # noqa: F811
    """Those of a program that takes three seconds: they, or the error, come while the stream is read."""
    root, data = bucket
    keys = json.dumps({"Version": 1, "AccessKeyId": ACCESS_KEY, "SecretAccessKey": SECRET_KEY})
    config = f"[default]\ncredential_process = sh -c 'sleep 3; echo $0{end}' '{keys}'\n"
    server = s3_server(root)
    env = World(tmp_path, fake, config=config).env | {"AWS_ENDPOINT_URL_S3": server.endpoint}
    result = digest(uri="s3://data/", type="application/octet-stream", env=env)
    assert result["opened_ms"] < 2000
    if not end:
        assert result.ok()["sha256_digest"] == hashlib.sha256(data).hexdigest()
    else:
        assert result["result"] == "PENSTOCK_E_CREDENTIALS"
        assert "the credential_process of profile 'default' failed with exit code 7" in result["message"]
        assert server.log() == []


def test_a_stream_that_waits_for_keys_can_be_stopped(s3_server, bucket, fake, tmp_path):  # noqa: F811
    fake.pause_s = 2
    world = World(tmp_path, fake, AWS_CONTAINER_CREDENTIALS_FULL_URI=fake.url + "/container")
    env = world.env | {"AWS_ENDPOINT_URL_S3": s3_server(bucket[0]).endpoint}
    job = [DRIVER, "uri=s3://data/", "type=application/octet-stream"]
    running = subprocess.Popen(job, env=clean_env(env), stdout=subprocess.PIPE, text=True)
    while not fake.calls:
        time.sleep(0.05)
    running.terminate()
    out, _ = running.communicate(timeout=15)
    assert "result=PENSTOCK_E_STOPPED" in out
