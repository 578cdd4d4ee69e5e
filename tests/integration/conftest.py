# SPDX-License-Identifier: Apache-2.0
"""tests/integration/conftest.py - fixtures shared by the integration tests.

    penstock      path of the program under test ($PENSTOCK_BIN, or build/release/penstock)
    run_penstock  run_penstock(args, env=None, timeout=60) -> Result(rc, stdout, stderr)
    s3_server     s3_server(directory, *options) -> S3Server: `penstock serve` on a free port
    fashion       Fashion-MNIST packed once: .train (16 shards, 60,000 rows), .test (10,000 rows)
    radosgw       a real S3 server (Ceph) on loopback, with a boto3 client

Programs see none of the caller's AWS_*, PENSTOCK_* and SSL_CERT_* variables and no profile files:
what a test needs it passes, usually as server.env. Nothing leaves 127.0.0.1.
"""

import fcntl
import os
import shutil
import signal
import socket
import subprocess
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[2]
FASHION = Path("/usr/share/datasets/fashion-mnist")
ACCESS_KEY = "AKIDEXAMPLE"
SECRET_KEY = "wJalrXUtnFEMIEXAMPLEKEY"


def pytest_configure(config):
    config.addinivalue_line(
        "markers",
        "plain_build: not run under sanitizers: measures memory or time, or mostly waits and shows them "
        "nothing that other tests do not",
    )


@dataclass
class Result:
    """What a program did. `rc` is negative when a signal ended it."""

    args: list
    rc: int
    stdout: str
    stderr: str

    def ok(self):
        """Itself, when the program succeeded; else the test fails and shows what it said."""
        if self.rc != 0:
            pytest.fail(f"exit code {self.rc}: {' '.join(self.args)}\n{self.stdout}{self.stderr}")
        return self


def clean_env(extra=None):
    """The environment for a program under test: the caller's, less all that could steer it."""
    steers = ("AWS_", "PENSTOCK_", "SSL_CERT_")
    env = {k: v for k, v in os.environ.items() if not k.startswith(steers)}
    for proxy in ("http_proxy", "https_proxy", "all_proxy", "HTTPS_PROXY", "ALL_PROXY"):
        env.pop(proxy, None)
    env.update(
        AWS_SHARED_CREDENTIALS_FILE="/dev/null",
        AWS_CONFIG_FILE="/dev/null",
        AWS_EC2_METADATA_DISABLED="true",
        # ThreadSanitizer does not see how OpenBLAS's threads wait for each other.
        OPENBLAS_NUM_THREADS="1" if "build/thread/" in os.environ.get("PENSTOCK_BIN", "") else "2",
    )
    env.update({k: str(v) for k, v in (extra or {}).items()})
    return env


def s3_env(endpoint, access_key=ACCESS_KEY, secret_key=SECRET_KEY):
    return {
        "AWS_ACCESS_KEY_ID": access_key,
        "AWS_SECRET_ACCESS_KEY": secret_key,
        "AWS_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": endpoint,
    }


def s3_client(endpoint, access_key=ACCESS_KEY, secret_key=SECRET_KEY):
    """A boto3 client: path style, one attempt, so that a test sees the server's first answer."""
    import boto3
    from botocore.config import Config

    return boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id=access_key,
        aws_secret_access_key=secret_key,
        config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}),
    )


def run(args, env=None, timeout=60, cwd=None, stdin=None):
    args = [str(a) for a in args]
    try:
        done = subprocess.run(
            args,
            env=clean_env(env),
            timeout=timeout,
            cwd=cwd,
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            errors="replace",
        )
    except subprocess.TimeoutExpired as late:
        said = "".join(
            part.decode(errors="replace") for part in (late.stdout, late.stderr) if part is not None
        )
        pytest.fail(f"still running after {timeout} s: {' '.join(args)}\n{said}")
    return Result(args, done.returncode, done.stdout, done.stderr)


@contextmanager
def started(words, env=None, **how):
    """A program that runs meanwhile, as a Popen; it is killed if it outlives the block."""
    streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = subprocess.Popen(
        [str(word) for word in words], env=clean_env(env), **{**streams, "text": True, **how}
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="session")
def penstock():
    path = Path(os.environ.get("PENSTOCK_BIN") or REPO / "build/release/penstock")
    if not path.exists():
        pytest.fail(f"{path} does not exist: run make, or set PENSTOCK_BIN")
    return path.resolve()


@pytest.fixture(scope="session")
def run_penstock(penstock):
    """run_penstock(["pack", ...], env=server.env).ok().stdout"""

    def run_it(args, env=None, timeout=60, cwd=None, stdin=None):
        return run([penstock, *args], env, timeout, cwd, stdin)

    return run_it


@pytest.fixture(scope="session")
def seccomp_deny():
    """Path of the helper: [seccomp_deny, "EPERM", "--", *command] runs without io_uring."""
    path = REPO / "build/release/tests/seccomp_deny"
    if not path.exists():
        pytest.fail(f"{path} does not exist: run make unit")
    return path


class S3Server:
    """A running `penstock serve`. Buckets are the first-level directories of `directory`."""

    def __init__(self, penstock, directory, options, work, access_key, secret_key, scheme):
        work.mkdir(parents=True)
        self.directory = Path(directory)
        self._log = work / "requests.log"
        self._port_file = work / "port"
        self._stderr = work / "stderr"
        command = [penstock, "serve", "--port", "0", "--port-file", self._port_file]
        command += ["--log", self._log]
        if access_key is None:
            command += ["--anonymous"]
        else:
            command += ["--access-key", access_key, "--secret-key", secret_key]
        command += [*options, self.directory]
        with open(self._stderr, "wb") as stderr:
            self._process = subprocess.Popen(
                [str(a) for a in command],
                env=clean_env(),
                stdin=subprocess.DEVNULL,
                stdout=stderr,
                stderr=stderr,
            )
        try:
            self.port = self._wait_for_port()
        except BaseException:
            self._process.kill()
            self._process.wait()
            raise
        self.endpoint = f"{scheme}://127.0.0.1:{self.port}"
        self.env = s3_env(self.endpoint, access_key or ACCESS_KEY, secret_key)

    def _wait_for_port(self):
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                break
            try:
                text = self._port_file.read_text()
            except FileNotFoundError:
                text = ""
            if text.endswith("\n"):
                return int(text)
            time.sleep(0.02)
        pytest.fail(f"penstock serve did not start (rc {self._process.poll()}):\n{self.stderr()}")

    @property
    def pid(self):
        return self._process.pid

    def client(self):
        return s3_client(
            self.endpoint, self.env["AWS_ACCESS_KEY_ID"], self.env["AWS_SECRET_ACCESS_KEY"]
        )

    def log(self):
        """The requests served so far, one line each."""
        return self._log.read_text().splitlines() if self._log.exists() else []

    def stderr(self):
        return self._stderr.read_text(errors="replace")

    def stop(self, signum=signal.SIGTERM, timeout=10):
        """Ends the server and returns its exit code."""
        if self._process.poll() is None:
            self._process.send_signal(signum)
        try:
            return self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            pytest.fail(f"penstock serve ignored signal {signum} for {timeout} s")


@pytest.fixture
def s3_server(penstock, tmp_path):
    """s3_server(directory, "--fault", "...", access_key=..., secret_key=..., scheme="http").
    access_key=None serves unsigned requests. Ended with the test."""
    servers = []

    def start(directory, *options, access_key=ACCESS_KEY, secret_key=SECRET_KEY, scheme="http"):
        work = tmp_path / f"serve{len(servers)}"
        server = S3Server(penstock, directory, options, work, access_key, secret_key, scheme)
        servers.append(server)
        return server

    yield start
    for server in servers:
        if server._process.poll() is None:
            server._process.kill()
        server._process.wait()


@pytest.fixture(scope="session")
def cuda_env(penstock):
    """For the GPU of this machine, or for one that the CPU emulates (tests/cuda/emulator.h)."""
    plugin = penstock.parent / "tests/emulated_cuda.so"
    if Path("/dev/nvidiactl").exists() and (penstock.parent / "libpenstock_cuda.so").exists():
        return {}
    if not plugin.exists():
        pytest.skip("no GPU, and none can be emulated here")
    return {"PENSTOCK_CUDA_PLUGIN": str(plugin), "PENSTOCK_CUBLAS": "off"}


@dataclass
class Fashion:
    root: Path  # holds one directory each, so that it can be served: bucket "train", bucket "test"
    train: Path
    test: Path
    content_type: str = "application/x-recordio-protobuf"


@pytest.fixture(scope="session")
def fashion(penstock):
    """Packed by the program under test under build/test-data, and again when it was rebuilt."""
    root = REPO / "build/test-data/fashion"
    stamp = root.with_suffix(".packed")
    root.parent.mkdir(parents=True, exist_ok=True)
    with open(root.with_suffix(".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        built = f"{penstock} {penstock.stat().st_mtime_ns}"
        if not stamp.exists() or stamp.read_text() != built:
            shutil.rmtree(root, ignore_errors=True)
            for name, stem, shards in (("train", "train", 16), ("test", "t10k", 1)):
                pack = [penstock, "pack", "--output", root / name]
                pack += ["--features", FASHION / f"{stem}-images-idx3-ubyte.gz"]
                pack += ["--labels", FASHION / f"{stem}-labels-idx1-ubyte.gz"]
                run([*pack, "--shards", shards, "--scale", 255], timeout=120).ok()
            stamp.write_text(built)
    return Fashion(root, root / "train", root / "test")


@dataclass
class Radosgw:
    endpoint: str
    env: dict

    def client(self):
        return s3_client(self.endpoint)


def free_port(below):
    """A port that nothing listens on; radosgw-loopback needs one with room above it."""
    for _ in range(200):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        if port < below:
            return port
        port = 10000 + port % (below - 10000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue
    pytest.fail("no free port")


@pytest.fixture(scope="session")
def radosgw(tmp_path_factory):
    if shutil.which("radosgw") is None:
        pytest.skip("radosgw is not installed: make test-deps")
    state = tmp_path_factory.mktemp("radosgw")
    script = str(REPO / "tests/radosgw-loopback")
    port = free_port(below=40000)
    started = subprocess.run(
        [script, "start", str(state), str(port)],
        env=clean_env(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
    )
    try:
        if started.returncode != 0:
            pytest.fail(f"radosgw did not start:\n{started.stdout}{started.stderr}")
        endpoint = f"http://127.0.0.1:{port}"
        yield Radosgw(endpoint, s3_env(endpoint))
    finally:
        subprocess.run([script, "stop", str(state)], check=False, timeout=60)
