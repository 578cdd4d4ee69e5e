# SPDX-License-Identifier: Apache-2.0
"""tests/integration/test_credentials.py - where keys come from, against services of our own on loopback.

Which keys were chosen is read from the answer of `penstock serve` to a key that it does not know; botocore,
given the same environment and files, has to choose the same.
"""

import base64
import datetime
import hashlib
import http.server
import json
import re
import subprocess
import threading
import time
import urllib.parse
from pathlib import Path

import botocore.session
import numpy
import pytest
from conftest import ACCESS_KEY, REPO, SECRET_KEY, clean_env

ROLE = "arn:aws:iam::123456789012:role/reader"


def iso(seconds):
    end = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=seconds)
    return end.strftime("%Y-%m-%dT%H:%M:%SZ")


class Fake(http.server.ThreadingHTTPServer):
    """STS, container endpoint and instance metadata in one. `calls` are (method, path, headers, body)."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.calls = []
        self.lifetime_s = 3600
        self.key = None  # (access key, secret) to give instead of one that tells the source
        self.fail = {}  # path -> status
        self.pause_s = 0  # before each answer
        self.throttle = 0  # how many more times STS asks for patience
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def keys(self, source):
        access, secret = self.key or (f"AKIA{source.upper()}", "HUSHSECRET")
        return access, secret, f"HUSHTOKEN{len(self.calls)}", iso(self.lifetime_s)


class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def answer(self, text, status=200):
        data = text.encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def answer_json(self, source, token="Token"):
        access, secret, session, end = self.server.keys(source)
        keys = {"AccessKeyId": access, "SecretAccessKey": secret, token: session, "Expiration": end}
        self.answer(json.dumps(keys | {"Code": "Success", "Type": "AWS-HMAC"}))

    def handle_any(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        self.server.calls.append((self.command, self.path, dict(self.headers), body))
        time.sleep(self.server.pause_s)
        if self.path in self.server.fail:
            self.answer("<Error><Code>Nope</Code></Error>", self.server.fail[self.path])
        elif self.path == "/latest/api/token" and self.command == "PUT":
            self.answer("imds-token")
        elif self.path.startswith("/latest/"):
            if self.headers.get("X-aws-ec2-metadata-token") != "imds-token":
                self.answer("", 401)
            elif self.path.endswith("security-credentials/"):
                self.answer("my-role")
            elif self.path.endswith("security-credentials/my-role"):
                self.answer_json("instance")
            else:
                self.answer("", 404)
        elif self.path == "/container":
            self.answer_json("container")
        elif self.path == "/" and self.command == "POST":
            self.sts(urllib.parse.parse_qs(body))
        else:
            self.answer("", 404)

    do_GET = do_PUT = do_POST = handle_any

    def sts(self, form):
        if self.server.throttle:
            self.server.throttle -= 1
            self.answer("<ErrorResponse><Error><Code>Throttling</Code></Error></ErrorResponse>", 400)
            return
        action = form["Action"][0]
        source = {"AssumeRole": "role", "AssumeRoleWithWebIdentity": "web"}[action]
        access, secret, token, end = self.server.keys(source)
        self.answer(
            f'<{action}Response xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><{action}Result>'
            f"<AssumedRoleUser><Arn>a</Arn><AssumedRoleId>b</AssumedRoleId></AssumedRoleUser>"
            f"<Credentials><AccessKeyId>{access}</AccessKeyId><SecretAccessKey>{secret}</SecretAccessKey>"
            f"<SessionToken>{token}</SessionToken><Expiration>{end}</Expiration></Credentials>"
            f"</{action}Result></{action}Response>"
        )


@pytest.fixture
def fake():
    server = Fake()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def bucket(tmp_path_factory):
    root = tmp_path_factory.mktemp("credentials")
    (root / "data").mkdir()
    data = numpy.random.default_rng(3).bytes(3_000_000)
    (root / "data/one").write_bytes(data)
    return root, data


class World:
    """An environment and a home directory, for penstock and for botocore."""

    def __init__(self, tmp_path, fake, config="", credentials="", **env):
        (tmp_path / "config").write_text(config)
        (tmp_path / "credentials").write_text(credentials)
        self.env = {
            "AWS_CONFIG_FILE": str(tmp_path / "config"),
            "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "credentials"),
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL_STS": fake.url,
            "AWS_EC2_METADATA_SERVICE_ENDPOINT": fake.url,
            "AWS_EC2_METADATA_DISABLED": "false",
        } | env

    def botocore_key(self, monkeypatch):
        for name in list(clean_env()):
            if name.startswith("AWS_"):
                monkeypatch.delenv(name, raising=False)
        for name, value in self.env.items():
            monkeypatch.setenv(name, value)
        return botocore.session.Session().get_credentials().get_frozen_credentials().access_key


def penstock_key(run_penstock, server, world):
    """The access key that penstock signs with; and nothing secret in what it says."""
    env = world.env | {"AWS_ENDPOINT_URL_S3": server.endpoint}
    done = run_penstock(["cat", "--verbose", "s3://data/"], env=env)
    assert done.rc == 1
    assert "HUSH" not in done.stderr
    found = re.search(r"access key (\w+) \(from (.*?)\) is unknown", done.stderr)
    assert found, done.stderr
    return found[1]


def token_file(tmp_path, text="web-token\n"):
    (tmp_path / "token").write_text(text)
    return str(tmp_path / "token")


PROCESS = (
    """credential_process = echo '{"Version": 1, "AccessKeyId": "AKIAPROCESS", "SecretAccessKey": "HUSH"}'\n"""
)
BASE = "[profile base]\naws_access_key_id = AKIABASE\naws_secret_access_key = HUSH\n"
STATIC = "aws_access_key_id = AKIASTATIC\naws_secret_access_key = HUSH\n"

CASES = {
    "environment first": (
        "AKIAENV",
        dict(
            config="[default]\n" + STATIC,
            AWS_ACCESS_KEY_ID="AKIAENV",
            AWS_SECRET_ACCESS_KEY="HUSH",
            AWS_ROLE_ARN=ROLE,
            AWS_WEB_IDENTITY_TOKEN_FILE="TOKEN",
        ),
    ),
    "profile keys": ("AKIASTATIC", dict(credentials="[default]\n" + STATIC)),
    "role by source_profile": (
        "AKIAROLE",
        dict(config=BASE + f"[default]\nrole_arn = {ROLE}\nsource_profile = base\n"),
    ),
    "role before the profile's keys": (
        "AKIAROLE",
        dict(config=BASE + f"[default]\n{STATIC}role_arn = {ROLE}\nsource_profile = base\n"),
    ),
    "role of a role": (
        "AKIAROLE",
        dict(
            config=BASE
            + f"[profile middle]\nrole_arn = {ROLE}\nsource_profile = base\n"
            + f"[default]\nrole_arn = {ROLE}2\nsource_profile = middle\n"
        ),
    ),
    "role of its own keys": (
        "AKIAROLE",
        dict(config=f"[default]\n{STATIC}role_arn = {ROLE}\nsource_profile = default\n"),
    ),
    "role by credential_source": (
        "AKIAROLE",
        dict(config=f"[default]\nrole_arn = {ROLE}\ncredential_source = Ec2InstanceMetadata\n"),
    ),
    "web identity of the profile": (
        "AKIAWEB",
        dict(config=f"[default]\nrole_arn = {ROLE}\nweb_identity_token_file = TOKEN\n"),
    ),
    "web identity before the profile's keys": (
        "AKIAWEB",
        dict(
            config="[default]\n" + STATIC,
            AWS_ROLE_ARN=ROLE,
            AWS_WEB_IDENTITY_TOKEN_FILE="TOKEN",
        ),
    ),
    "process": ("AKIAPROCESS", dict(config="[default]\n" + PROCESS)),
    "process before keys of the config file": (
        "AKIAPROCESS",
        dict(config="[default]\n" + STATIC + PROCESS),
    ),
    "process after keys of the credentials file": (
        "AKIASTATIC",
        dict(config="[default]\n" + PROCESS, credentials="[default]\n" + STATIC),
    ),
    "process before the container": (
        "AKIAPROCESS",
        dict(config="[default]\n" + PROCESS, AWS_CONTAINER_CREDENTIALS_FULL_URI="URL/container"),
    ),
    "container": ("AKIACONTAINER", dict(AWS_CONTAINER_CREDENTIALS_FULL_URI="URL/container")),
    "container, with a profile that has no keys": (
        "AKIACONTAINER",
        dict(
            config="[default]\nregion = us-east-1\n",
            AWS_CONTAINER_CREDENTIALS_FULL_URI="URL/container",
        ),
    ),
    "instance last": ("AKIAINSTANCE", dict()),
    "named profile, and an instance": (
        "AKIAINSTANCE",
        dict(config="[profile bare]\nregion = us-east-1\n", AWS_PROFILE="bare"),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_same_choice_as_botocore(
    run_penstock, s3_server, bucket, fake, tmp_path, monkeypatch, name
):
    key, how = CASES[name]
    places = {"TOKEN": token_file(tmp_path), "URL": fake.url}

    def fill(text):
        for word, value in places.items():
            text = text.replace(word, value)
        return text

    how = {
        option: value if option.startswith("AWS_ROLE") else fill(value)
        for option, value in how.items()
    }
    world = World(tmp_path, fake, **how)
    assert penstock_key(run_penstock, s3_server(bucket[0]), world) == key
    assert world.botocore_key(monkeypatch) == key


def test_what_services_are_asked(run_penstock, s3_server, bucket, fake, tmp_path, monkeypatch):
    """A signed form for a role, an unsigned one for a web identity, the token of the file each time."""
    server = s3_server(bucket[0])
    config = BASE + (
        f"[default]\nrole_arn = {ROLE}\nsource_profile = base\nexternal_id = e/1\n"
        "role_session_name = me\nduration_seconds = 900\nregion = eu-west-1\n"
    )
    world = World(tmp_path, fake, config=config)
    penstock_key(run_penstock, server, world)
    method, _, headers, body = fake.calls[-1]
    assert method == "POST"
    assert urllib.parse.parse_qs(body) == {
        "Action": ["AssumeRole"],
        "Version": ["2011-06-15"],
        "RoleArn": [ROLE],
        "RoleSessionName": ["me"],
        "ExternalId": ["e/1"],
        "DurationSeconds": ["900"],
    }
    assert signature_is_right(headers, body, "AKIABASE", "HUSH", "us-east-1")
    # The region is that of the environment, which goes before the profile's.
    world.botocore_key(monkeypatch)
    assert "/us-east-1/sts/aws4_request" in fake.calls[-1][2]["Authorization"]

    world = World(
        tmp_path, fake, AWS_ROLE_ARN=ROLE, AWS_WEB_IDENTITY_TOKEN_FILE=token_file(tmp_path)
    )
    penstock_key(run_penstock, server, world)
    _, _, headers, body = fake.calls[-1]
    form = urllib.parse.parse_qs(body)
    assert form["WebIdentityToken"] == ["web-token"] and form["RoleArn"] == [ROLE]
    assert form["RoleSessionName"][0].startswith("penstock-")
    assert "Authorization" not in headers

    world = World(
        tmp_path,
        fake,
        AWS_CONTAINER_CREDENTIALS_FULL_URI=fake.url + "/container",
        AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE=token_file(tmp_path, "HUSH pod\n"),
        AWS_CONTAINER_AUTHORIZATION_TOKEN="not this one",
    )
    penstock_key(run_penstock, server, world)
    assert fake.calls[-1][2]["Authorization"] == "HUSH pod"


@pytest.mark.plain_build
def test_a_second_that_ends_while_a_request_is_signed(run_penstock, s3_server, bucket, fake, tmp_path):
    """Its date and its signature are of the same moment, whenever the clock is looked at."""
    config = BASE + f"[default]\nrole_arn = {ROLE}\nsource_profile = base\n"
    clock = REPO / "build/release/tests/hasty_clock.so"
    world = World(tmp_path, fake, config=config, LD_PRELOAD=str(clock))
    penstock_key(run_penstock, s3_server(bucket[0]), world)
    _, _, headers, body = fake.calls[-1]
    assert signature_is_right(headers, body, "AKIABASE", "HUSH", "us-east-1")


def signature_is_right(headers, body, access_key, secret, region):
    """botocore signs the same request and gets the same signature."""
    import botocore.auth
    import botocore.awsrequest
    import botocore.credentials

    class Then(botocore.auth.SigV4Auth):
        def add_auth(self, request):
            request.context["timestamp"] = headers["X-Amz-Date"]
            request.headers["Authorization"] = self._inject_signature_to_request_value(request)

        def _inject_signature_to_request_value(self, request):
            canonical = self.canonical_request(request)
            to_sign = self.string_to_sign(request, canonical)
            return self.signature(to_sign, request)

    request = botocore.awsrequest.AWSRequest("POST", f"http://{headers['Host']}/", data=body)
    request.headers["Host"] = headers["Host"]
    request.headers["Content-Type"] = headers["Content-Type"]
    request.headers["X-Amz-Date"] = headers["X-Amz-Date"]
    keys = botocore.credentials.Credentials(access_key, secret)
    Then(keys, "sts", region).add_auth(request)
    return headers["Authorization"].endswith("Signature=" + request.headers["Authorization"])


BAD = {
    "profile that is not there": (
        dict(AWS_PROFILE="absent"),
        "there is no profile 'absent'",
    ),
    "source that is not there": (
        dict(config=f"[default]\nrole_arn = {ROLE}\nsource_profile = absent\n"),
        "there is no profile 'absent', which is the source_profile of 'default'",
    ),
    "circle": (
        dict(
            config=f"[profile a]\nrole_arn = {ROLE}\nsource_profile = default\n"
            f"[default]\nrole_arn = {ROLE}\nsource_profile = a\n"
        ),
        "or a circle",
    ),
    "no source": (dict(config=f"[default]\nrole_arn = {ROLE}\n"), "neither source_profile"),
    "second factor": (
        dict(config=f"[default]\nrole_arn = {ROLE}\nsource_profile = a\nmfa_serial = m\n"),
        "needs a second factor",
    ),
    "sso": (dict(config="[default]\nsso_session = s\n"), "by sso_session, which is not supported"),
    "role refused": (
        dict(config=BASE + f"[default]\nrole_arn = {ROLE}\nsource_profile = base\n", fail="/"),
        f"gives no keys for role {ROLE}: HTTP status 403 Nope",
    ),
    "container refused": (
        dict(AWS_CONTAINER_CREDENTIALS_FULL_URI="URL/HUSH", fail="/HUSH"),
        "answers with HTTP status 403",
    ),
    "container elsewhere": (
        dict(AWS_CONTAINER_CREDENTIALS_FULL_URI="http://example.com/HUSH?HUSH"),
        "it must be https, or http to a loopback address",
    ),
    "container at a name like an address": (
        dict(AWS_CONTAINER_CREDENTIALS_FULL_URI="http://127.0.0.1.example.com/"),
        "it must be https, or http to a loopback address",
    ),
    "container behind a user name": (
        dict(AWS_CONTAINER_CREDENTIALS_FULL_URI="http://127.0.0.1:80@example.com/"),
        "it must be https, or http to a loopback address",
    ),
    "token with a line break": (
        dict(
            AWS_CONTAINER_CREDENTIALS_FULL_URI="URL/container",
            AWS_CONTAINER_AUTHORIZATION_TOKEN="HUSH\r\nX: y",
        ),
        "holds a line break",
    ),
    "no web identity": (
        dict(AWS_ROLE_ARN=ROLE, AWS_WEB_IDENTITY_TOKEN_FILE="/nowhere/token"),
        "cannot read the web identity token /nowhere/token: No such file",
    ),
    "process that fails": (
        dict(config="[default]\ncredential_process = exit 7\n"),
        "the credential_process of profile 'default' failed with exit code 7",
    ),
    "process of another version": (
        dict(config="""[default]\ncredential_process = echo '{"Version": 2}'\n"""),
        'did not print a JSON object with "Version": 1',
    ),
    "process without keys": (
        dict(config="""[default]\ncredential_process = echo '{"Version": 1}'\n"""),
        "gave no AccessKeyId and SecretAccessKey",
    ),
    "process with a line break in the token": (
        dict(
            config="[default]\ncredential_process = printf '%s' "
            """'{"Version": 1, "AccessKeyId": "A", "SecretAccessKey": "B", """
            """"SessionToken": "HUSH\\r\\nX-Evil: 1"}'\n"""
        ),
        "the session token of the credential_process of profile 'default' holds a line break",
    ),
    "instance without a role": (
        dict(fail="/latest/meta-data/iam/security-credentials/", status=404),
        "the instance has no role",
    ),
    "no instance": (
        dict(AWS_EC2_METADATA_SERVICE_ENDPOINT="http://127.0.0.1:9"),
        "the instance metadata service http://127.0.0.1:9 does not answer",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_errors_say_who_failed(run_penstock, s3_server, bucket, fake, tmp_path, name):
    how, words = BAD[name]
    how = {k: v.replace("URL", fake.url) if isinstance(v, str) else v for k, v in how.items()}
    status = how.pop("status", 403)
    if "fail" in how:
        fake.fail[how.pop("fail")] = status
    world = World(tmp_path, fake, **how)
    env = world.env | {"AWS_ENDPOINT_URL_S3": s3_server(bucket[0]).endpoint}
    done = run_penstock(["cat", "--verbose", "s3://data/"], env=env)
    assert done.rc == 1
    assert words in done.stderr, done.stderr
    assert "HUSH" not in done.stderr


def read(penstock, env, *options):
    command = [str(word) for word in (penstock, "cat", "--verbose", *options, "s3://data/")]
    return subprocess.run(command, env=clean_env(env), capture_output=True, timeout=60)


@pytest.mark.parametrize("transport", ["direct", "curl"])
def test_renewed_ahead_of_their_end(penstock, s3_server, bucket, fake, tmp_path, transport):
    """Keys that live for 2 s, a stream that takes 3 s: new ones come in time, and nothing fails."""
    root, data = bucket
    server = s3_server(root, "--session-token", "*", "--rate-mbps", "8")
    fake.lifetime_s = 2
    fake.key = (ACCESS_KEY, SECRET_KEY)
    world = World(tmp_path, fake, AWS_CONTAINER_CREDENTIALS_FULL_URI=fake.url + "/container")
    env = world.env | {"AWS_ENDPOINT_URL_S3": server.endpoint, "PENSTOCK_TRANSPORT": transport}
    done = read(penstock, env, "--connections", "1", "--part-size", "256KiB")
    assert done.returncode == 0, done.stderr
    assert hashlib.sha256(done.stdout).digest() == hashlib.sha256(data).digest()
    assert done.stderr.count(b"new credentials from the container's") >= 2
    assert b"0 retries" in done.stderr
    assert b"HUSH" not in done.stderr and base64.b64encode(b"HUSH") not in done.stderr


@pytest.mark.parametrize("transport", ["direct", "curl"])
@pytest.mark.parametrize("op", ["get", "list"])
def test_refused_keys_are_renewed_once(penstock, s3_server, bucket, fake, tmp_path, transport, op):
    root, data = bucket
    fault = f"status=400,code=ExpiredToken,times=1,op={op}"
    server = s3_server(root, "--session-token", "*", "--fault", fault)
    fake.key = (ACCESS_KEY, SECRET_KEY)
    world = World(tmp_path, fake, AWS_CONTAINER_CREDENTIALS_FULL_URI=fake.url + "/container")
    env = world.env | {"AWS_ENDPOINT_URL_S3": server.endpoint, "PENSTOCK_TRANSPORT": transport}
    done = read(penstock, env)
    assert done.returncode == 0, done.stderr
    assert done.stdout == data
    assert len(fake.calls) == 2


def test_keys_that_stay_expired_are_reported(penstock, s3_server, bucket, fake, tmp_path):
    server = s3_server(bucket[0], "--fault", "status=400,code=ExpiredToken")
    config = "[default]\n" + STATIC.replace("AKIASTATIC", ACCESS_KEY).replace("HUSH", SECRET_KEY)
    world = World(tmp_path, fake, config=config)
    done = read(penstock, world.env | {"AWS_ENDPOINT_URL_S3": server.endpoint})
    assert done.returncode == 1
    assert b"are no longer valid: renew them" in done.stderr
    assert SECRET_KEY.encode() not in done.stderr


def test_failed_renewal_keeps_the_old_keys(penstock, s3_server, bucket, fake, tmp_path):
    root, data = bucket
    server = s3_server(root, "--session-token", "*", "--rate-mbps", "12")
    fake.lifetime_s = 2
    fake.key = (ACCESS_KEY, SECRET_KEY)
    world = World(tmp_path, fake, AWS_CONTAINER_CREDENTIALS_FULL_URI=fake.url + "/container")
    timer = threading.Timer(0.5, lambda: fake.fail.update({"/container": 400}))
    timer.start()
    env = world.env | {"AWS_ENDPOINT_URL_S3": server.endpoint}
    done = read(penstock, env, "--connections", "1", "--part-size", "256KiB")
    timer.cancel()
    assert done.returncode == 0, done.stderr
    assert done.stdout == data
    assert b"cannot renew the credentials: the container's" in done.stderr


def test_throttled_service_is_asked_again(run_penstock, s3_server, bucket, fake, tmp_path):
    fake.throttle = 1
    world = World(
        tmp_path, fake, AWS_ROLE_ARN=ROLE, AWS_WEB_IDENTITY_TOKEN_FILE=token_file(tmp_path)
    )
    assert penstock_key(run_penstock, s3_server(bucket[0]), world) == "AKIAWEB"
    assert len(fake.calls) == 2


def test_web_identity_token_that_rotates(penstock, s3_server, bucket, fake, tmp_path):
    root, data = bucket
    server = s3_server(root, "--session-token", "*", "--rate-mbps", "8")
    fake.lifetime_s = 2
    fake.key = (ACCESS_KEY, SECRET_KEY)
    path = token_file(tmp_path, "first")
    world = World(tmp_path, fake, AWS_ROLE_ARN=ROLE, AWS_WEB_IDENTITY_TOKEN_FILE=path)
    timer = threading.Timer(0.5, lambda: token_file(tmp_path, "second"))
    timer.start()
    env = world.env | {"AWS_ENDPOINT_URL_S3": server.endpoint}
    done = read(penstock, env, "--connections", "1", "--part-size", "256KiB")
    timer.cancel()
    assert done.returncode == 0, done.stderr
    assert done.stdout == data
    tokens = [urllib.parse.parse_qs(body)["WebIdentityToken"] for _, _, _, body in fake.calls]
    assert tokens[0] == ["first"] and tokens[-1] == ["second"]


def test_expired_keys_of_an_instance_still_count(penstock, s3_server, bucket, fake, tmp_path):
    """In an outage the service hands out its last keys: they are used, and it is left in peace."""
    root, data = bucket
    server = s3_server(root, "--session-token", "*", "--rate-mbps", "8")
    fake.lifetime_s = -60
    fake.key = (ACCESS_KEY, SECRET_KEY)
    env = World(tmp_path, fake).env | {"AWS_ENDPOINT_URL_S3": server.endpoint}
    done = read(penstock, env, "--connections", "1", "--part-size", "256KiB")
    assert done.returncode == 0, done.stderr
    assert done.stdout == data
    assert len(fake.calls) == 3


def is_gone(pid):
    """Ended, though nobody may have asked for its exit code yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


@pytest.mark.parametrize("closes", ["", "exec >&-;"])
def test_end_does_not_wait_for_a_hanging_process(
    penstock, s3_server, bucket, fake, tmp_path, closes
):
    root, data = bucket
    server = s3_server(root, "--session-token", "*", "--rate-mbps", "8")
    script, pid = tmp_path / "keys.sh", tmp_path / "pid"
    keys = {"Version": 1, "AccessKeyId": ACCESS_KEY, "SecretAccessKey": SECRET_KEY}
    keys |= {"SessionToken": "HUSH", "Expiration": iso(2)}
    script.write_text(
        f"if [ -e {tmp_path}/again ]; then echo $$ > {pid}; {closes} sleep 50; fi\n"
        f"touch {tmp_path}/again\ncat <<END\n{json.dumps(keys)}\nEND\n"
    )
    config = f"[default]\ncredential_process = exec sh {script}\n"
    env = World(tmp_path, fake, config=config).env | {"AWS_ENDPOINT_URL_S3": server.endpoint}
    begun = time.monotonic()
    done = read(penstock, env, "--connections", "1", "--part-size", "256KiB")
    assert time.monotonic() - begun < 30
    assert done.returncode == 0, done.stderr
    assert done.stdout == data
    assert is_gone(int(pid.read_text()))
