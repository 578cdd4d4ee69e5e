# SPDX-License-Identifier: Apache-2.0
"""tests/integration/test_cat.py - penstock cat: exact bytes in order, and how it ends."""

import hashlib
import signal
import subprocess
import time

import numpy
import pytest
from conftest import clean_env, started

SIZES = [1, 700_001, 0, 5_000_000, 65_536, 3, 2_100_000, 17, 333_333]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A bucket `data`, and its bytes in key order."""
    root = tmp_path_factory.mktemp("cat")
    (root / "data").mkdir()
    draw = numpy.random.default_rng(11)
    whole = []
    for number, size in enumerate(SIZES):
        whole.append(draw.bytes(size))
        (root / "data" / f"part-{number:02d}").write_bytes(whole[-1])
    return root, whole


def cat(penstock, env, *args, **how):
    command = [str(word) for word in (penstock, "cat", *args)]
    return subprocess.run(command, env=clean_env(env), capture_output=True, timeout=60, **how)


@pytest.mark.parametrize("transport", ["direct", "curl"])
@pytest.mark.parametrize("io", ["uring", "epoll"])
def test_bytes_in_order(penstock, s3_server, data, io, transport):
    root, whole = data
    env = s3_server(root).env | {"PENSTOCK_TRANSPORT": transport}
    for options in ([], ["--part-size", "64KiB", "--memory-limit", "16MiB", "--connections", "40"]):
        done = cat(penstock, env, "s3://data/", "--io", io, *options)
        assert (done.returncode, done.stderr) == (0, b"")
        assert hashlib.sha256(done.stdout).digest() == hashlib.sha256(b"".join(whole)).digest()


@pytest.mark.parametrize("transport", ["direct", "curl"])
def test_headers_for_buckets_of_others_are_signed(penstock, s3_server, data, transport):
    """The server checks the signature over whatever was signed: both transports send all of it."""
    root, whole = data
    env = s3_server(root).env | {"PENSTOCK_TRANSPORT": transport}
    options = ["--requester-pays", "--expected-bucket-owner", "123456789012"]
    done = cat(penstock, env, "s3://data/", *options)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout == b"".join(whole)
    done = cat(penstock, env, "s3://data/", "--expected-bucket-owner", "me")
    assert done.returncode == 1 and b"'me' is no account" in done.stderr


def test_files_epochs_and_several_uris(penstock, data):
    root, whole = data
    one, two = root / "data/part-03", root / "data/part-00"
    done = cat(penstock, None, one, two, "--epochs", "3")
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout == (whole[3] + whole[0]) * 3


def test_shards_and_shuffle_cover_everything_once(penstock, data):
    root, whole = data
    shards = [
        cat(penstock, None, root / "data", "--shard", f"{h}/3", "--shuffle-seed", "5").stdout
        for h in range(3)
    ]
    assert sum(map(len, shards)) == sum(SIZES)
    left = b"".join(shards)
    for part in whole:
        assert left.count(part) if len(part) > 3 else True
    straight = cat(penstock, None, root / "data", "--shuffle-seed", "5").stdout
    assert len(straight) == sum(SIZES) and straight != b"".join(whole)


def test_faults_leave_no_trace_in_the_bytes(penstock, s3_server, data):
    root, whole = data
    faults = ["status=503,code=SlowDown,every=5,times=3", "cut=70000,every=4", "reset=1000,every=7"]
    server = s3_server(root, *(word for fault in faults for word in ("--fault", fault)))
    done = cat(penstock, server.env, "s3://data/", "--part-size", "300KiB", "--verbose")
    assert done.returncode == 0, done.stderr
    assert done.stdout == b"".join(whole)
    assert b"Trying again" in done.stderr
    assert f"8 objects, {sum(SIZES)} bytes".encode() in done.stderr


def test_a_proxy_is_used_unless_the_host_is_excepted(penstock, s3_server, data):
    root, whole = data
    server = s3_server(root)
    dead = server.env | {"http_proxy": "http://127.0.0.1:9"}
    for no_proxy in ("127.0.0.1", "10.0.0.0/8, 127.0.0.0/8", "*"):
        done = cat(penstock, dead | {"no_proxy": no_proxy}, "s3://data/part-03")
        assert (done.returncode, done.stdout) == (0, whole[3]), done.stderr


def test_missing_bucket_and_wrong_words(penstock, s3_server, data):
    root, _ = data
    server = s3_server(root)
    missing = cat(penstock, server.env, "s3://absent/x")
    assert (missing.returncode, missing.stdout) == (1, b"")
    assert b"absent" in missing.stderr and missing.stderr.startswith(b"penstock cat: ")
    empty = cat(penstock, server.env, "s3://data/nothing-begins-so")
    assert empty.returncode == 1 and b"no object with data" in empty.stderr
    for words in ([], ["--epochs", "0", "x"], ["--memory-limit", "x", "x"], ["--nonsense"]):
        wrong = cat(penstock, server.env, *words)
        assert wrong.returncode == 2
        assert b"Try 'penstock cat --help'." in wrong.stderr


def test_reader_that_goes_away(penstock, data):
    root, whole = data
    with started([penstock, "cat", root / "data", "--epochs", "1000"], text=False) as process:
        assert process.stdout.read(700_002) == whole[0] + whole[1]
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(20) == 128 + signal.SIGPIPE


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_signal_while_the_reader_sleeps(penstock, data, signum):
    root, _ = data
    with started([penstock, "cat", root / "data", "--epochs", "1000"], text=False) as process:
        process.stdout.read(1)
        time.sleep(0.2)  # the pipe is full: it hangs in write
        process.send_signal(signum)
        assert process.wait(20) == 128 + signum
        assert process.stderr.read() == b""


def test_full_disk(penstock, data):
    root, _ = data
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [penstock, "cat", root / "data"], env=clean_env(), stdout=full, stderr=subprocess.PIPE
        )
    assert done.returncode == 1
    assert b"cannot write to standard output: No space left on device" in done.stderr


# --- going on -------------------------------------------------------------------------------------


@pytest.mark.parametrize("source", ["file", "s3"])
def test_decoded_rows_go_on_from_a_state(run_penstock, s3_server, tmp_path, source):
    folder = tmp_path / "root/rows"
    folder.mkdir(parents=True)
    for shard in range(3):
        lines = (f"{shard},{row},{row * shard}\n" for row in range(20 + shard))
        (folder / f"part-{shard}").write_text("".join(lines))
    env = s3_server(folder.parent).env if source == "s3" else {}
    where = "s3://rows/part" if source == "s3" else folder
    state = tmp_path / "state"
    args = ["cat", where, "--decode", "--content-type", "text/csv", "--shuffle-seed", "2"]
    whole = run_penstock([*args, "--epochs", "2"], env=env).ok().stdout
    text = ""
    for _ in range(-(-126 // 11) + 1):
        out = run_penstock([*args, "--epochs", "2", "--rows", "11", "--state", state], env=env).ok()
        text += out.stdout
    assert out.stdout == "" and text == whole
    assert len(state.read_bytes()) <= 4096
    other = run_penstock([*args[:-1], "3", "--state", state], env=env)
    assert other.rc == 1 and 'seed "2"' in other.stderr
    (folder / "part-1").write_text("1,2,3\n")
    args += ["--epochs", "3", "--state", state]
    changed = run_penstock(args, env=env)
    assert changed.rc == 1 and "field data" in changed.stderr
    assert run_penstock([*args, "--changed-data"], env=env).ok().stdout.count("\n") == 43
    assert run_penstock(["cat", where, "--state", state], env=env).rc == 2
