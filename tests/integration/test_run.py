# SPDX-License-Identifier: Apache-2.0
"""tests/integration/test_run.py - penstock run: exact epochs for readers that
nobody here wrote, and a job that ends as it should, whatever goes wrong."""

import hashlib
import json
import os
import shutil
import signal
import stat
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy
import pytest
from conftest import clean_env
from run_fixtures import data, shell, start, wrap  # noqa: F401

READERS = Path(__file__).resolve().parents[1] / "drivers" / "pipe_readers.py"


def unwrap(stream):
    """The records of a RecordIO stream, heads and pads and all."""
    records, at = [], 0
    while at < len(stream):
        end = at + 8 + (struct.unpack_from("<I", stream, at + 4)[0] + 3) // 4 * 4
        records.append(stream[at:end])
        at = end
    return records


def reader(name, base, channel, epochs):
    prefix = base / "input/data" / channel
    return ["--", sys.executable, READERS, name, prefix, epochs]


# --- what readers find ----------------------------------------------------------------------------


# Its own import takes 4 s of processor time; under sanitizers others read as it does.
SDK = pytest.param("sdk", marks=pytest.mark.plain_build)


@pytest.mark.parametrize("io", ["uring", "epoll"])
@pytest.mark.parametrize("name", ["cat", "readinto", SDK, "tensorflow", "mlio"])
def test_readers_of_others_get_exact_epochs(start, s3_server, data, tmp_path, name, io):
    root, rec, _ = data
    server = s3_server(root)
    run = start(
        server.env,
        *("--channel", "train=s3://data/rec/;content_type=application/x-recordio", "--io", io),
        *reader(name, tmp_path / "ml0", "train", 3),
    )
    assert run.end() == 0, run.err()
    lines = [json.loads(line) for line in run.out.splitlines()]
    whole = b"".join(rec)
    if name in ("cat", "readinto", "mlio"):
        expected = hashlib.sha256(whole).hexdigest()
    else:
        digest, at = hashlib.sha256(), 0
        while at < len(whole):
            (size,) = struct.unpack_from("<I", whole, at + 4)
            digest.update(struct.pack("<Q", size) + whole[at + 8 : at + 8 + size])
            at += 8 + (size + 3) // 4 * 4
        expected = digest.hexdigest()
    assert [line["sha256"] for line in lines] == [expected] * 3


READ_ALL = """
import hashlib, os, sys
base, channel, epochs = sys.argv[1], sys.argv[2], int(sys.argv[3])
for epoch in range(epochs):
    with open(f"{base}/input/data/{channel}_{epoch}", "rb", buffering=0) as fifo:
        content = b""
        while piece := fifo.read(1 << 20):
            content += piece
    print(len(content), hashlib.sha256(content).hexdigest(), flush=True)
"""


def read_all(base, channel, epochs=1):
    return ["--", sys.executable, "-c", READ_ALL, base, channel, epochs]


def told(content):
    return f"{len(content)} {hashlib.sha256(content).hexdigest()}"


@pytest.mark.parametrize("options", [[], ["--no-vmsplice"], ["--memory-limit", "16MiB"]])
@pytest.mark.parametrize("wrapper", [False, True])
def test_raw_and_wrapped(start, s3_server, data, tmp_path, wrapper, options):
    root, _, raw = data
    channel = "train=s3://data/raw/" + (";wrap=recordio" if wrapper else "")
    run = start(
        s3_server(root).env,
        *("--channel", channel, "--status", *options),
        *read_all(tmp_path / "ml0", "train", 3),
    )
    assert run.end() == 0, run.err()
    content = b"".join(map(wrap, raw) if wrapper else raw)
    assert run.out.decode().split("\n")[:-1] == [told(content)] * 3
    status = json.loads((tmp_path / "ml0/input/data/train_1.status").read_text())
    assert status["complete"] and status["bytes"] == len(content)
    assert status["objects"] == len(raw)
    assert status.get("records") == (len(raw) if wrapper else None)


def test_hosts_share_a_channel_and_agree_on_its_order(start, s3_server, data, tmp_path):
    root, _, raw = data
    server = s3_server(root)
    wrapped = sorted(map(wrap, raw))
    for shuffle in ("", ";shuffle=11"):
        epochs = [[], []]
        for host in ("algo-1", "algo-2", "algo-3"):
            base = tmp_path / f"{host}{len(shuffle)}"
            fifo = f"{base}/input/data/train"
            run = start(
                server.env,
                *("--hosts", "algo-1,algo-2,algo-3", "--current-host", host),
                *("--channel", f"train=s3://data/raw/;sharded;wrap=recordio{shuffle}"),
                *shell(f"cat {fifo}_0 > {base}/0; cat {fifo}_1 > {base}/1"),
                base=base,
            )
            assert run.end() == 0, run.err()
            for epoch, records in enumerate(epochs):
                records.append(unwrap((base / str(epoch)).read_bytes()))
        for hosts in epochs:
            assert [len(records) for records in hosts] == [2, 2, 2]
            assert sorted(sum(hosts, [])) == wrapped
        assert (epochs[0] == epochs[1]) == (not shuffle)


def test_channels_in_any_order_skipped_and_never_read(start, s3_server, data, tmp_path):
    root, rec, raw = data
    base = tmp_path / "ml0"
    script = """
import sys
base = sys.argv[1]
def read(name, most=-1):
    with open(f"{base}/input/data/{name}", "rb", buffering=0) as fifo:
        content = b""
        while len(content) != most and (piece := fifo.read(1 << 16 if most < 0 else most - len(content))):
            content += piece
    return content
import hashlib
open(f"{base}/input/data/b_0", "rb").close()
print(len(read("a_0", 1000)))
for name in ("b_1", "a_1", "b_4", "a_2"):
    print(name, hashlib.sha256(read(name)).hexdigest())
"""
    run = start(
        s3_server(root).env,
        *("--channel", "a=s3://data/rec/", "--channel", "b=s3://data/raw/"),
        *("--channel", "never=s3://data/raw/part-2", "--verbose"),
        *("--", sys.executable, "-c", script, base),
    )
    assert run.end() == 0, run.err()
    a, b = (hashlib.sha256(b"".join(files)).hexdigest() for files in (rec, raw))
    assert run.out.decode().split("\n")[:-1] == [
        "1000", f"b_1 {b}", f"a_1 {a}", f"b_4 {b}", f"a_2 {a}"
    ]  # fmt: skip
    assert "epoch 4 is opened: skipping 2 before it" in run.err()
    assert not [p for p in (base / "input/data").iterdir() if stat.S_ISFIFO(p.stat().st_mode)]


def test_file_mode_beside_pipe_mode(start, s3_server, data, tmp_path):
    root, rec, raw = data
    (root / "data/holes/dir").mkdir(parents=True, exist_ok=True)
    for name, content in (("_SUCCESS", b""), ("dir/a", b"a"), ("dir/b", b""), ("z", b"")):
        (root / "data/holes" / name).write_bytes(content)
    base = tmp_path / "ml0"
    run = start(
        s3_server(root).env,
        *("--channel", "train=s3://data/rec/", "--channel", "vocab=s3://data/raw;mode=file"),
        *("--channel", "one=s3://data/raw/part-3;mode=file"),
        *("--channel", "holes=s3://data/holes;mode=file", "--verify", "always"),
        *shell(f"cat {base}/input/data/train_0 | wc -c; cat {base}/input/data/vocab/*"),
    )
    assert run.end() == 0, run.err()
    assert run.out == f"{len(b''.join(rec))}\n".encode() + b"".join(raw)
    assert (base / "input/data/one/part-3").read_bytes() == raw[3]
    holes = base / "input/data/holes"
    found = {str(p.relative_to(holes)): p.read_bytes() for p in holes.rglob("*") if p.is_file()}
    assert found == {"_SUCCESS": b"", "dir/a": b"a", "dir/b": b"", "z": b""}
    manifest = json.loads((base / "input/data/vocab-manifest").read_text())
    names = [f"part-{number}" for number in range(len(raw))]
    assert manifest == [{"prefix": "s3://data/raw/"}, *names]
    assert json.loads((base / "input/data/one-manifest").read_text()) == [
        {"prefix": "s3://data/raw/"}, "part-3"
    ]  # fmt: skip
    config = json.loads((base / "input/config/inputdataconfig.json").read_text())
    assert {name: channel["TrainingInputMode"] for name, channel in config.items()} == {
        "train": "Pipe", "vocab": "File", "one": "File", "holes": "File"
    }  # fmt: skip


@pytest.mark.plain_build
def test_a_silent_source_shows_signs_of_life(start, s3_server, data, tmp_path):
    """The server stands still for 17 s: a reader with a time-out gets a byte meanwhile."""
    root, _, _ = data
    big = root / "data/big"
    big.mkdir(exist_ok=True)
    content = numpy.random.default_rng(9).bytes(24 << 20)
    (big / "a").write_bytes(content)
    server = s3_server(root, "--rate-mbps", "40")
    run = start(
        server.env,
        *("--channel", "train=s3://data/big/", "--memory-limit", "16MiB"),
        *shell("while [ ! -e $1/end ]; do sleep 0.1; done", tmp_path),
    )
    got, stamps = bytearray(), []

    def read():
        with open(run.wait_for(tmp_path / "ml0/input/data/train_0"), "rb", buffering=0) as fifo:
            while piece := fifo.read(1 << 20):
                got.extend(piece)
                stamps.append(time.monotonic())

    thread = threading.Thread(target=read)
    thread.start()
    while len(got) < 1 << 20:
        time.sleep(0.01)
    os.kill(server.pid, signal.SIGSTOP)
    stopped = time.monotonic()
    try:
        while time.monotonic() < stopped + 17.5:
            time.sleep(0.1)
    finally:
        os.kill(server.pid, signal.SIGCONT)
    thread.join(60)
    (tmp_path / "end").touch()
    assert run.end() == 0, run.err()
    assert bytes(got) == content
    assert any(stopped + 14 < stamp < stopped + 17.5 for stamp in stamps)


def test_a_slow_start_is_over_before_the_command_begins(start, s3_server, data, tmp_path):
    """A reader that waits half a second for its first byte, of a source that takes 1.4 s for it."""
    impatient = """
import os, select, sys
fd = os.open(sys.argv[1], os.O_RDONLY | os.O_NONBLOCK)
sys.exit(0 if select.select([fd], [], [], 0.5)[0] and len(os.read(fd, 100)) == 100 else 9)
"""
    run = start(
        s3_server(data[0], "--latency-ms", "700").env,
        *("--channel", "train=s3://data/rec/;shuffle=1"),
        *("--", sys.executable, "-c", impatient, tmp_path / "ml0/input/data/train_0"),
    )
    assert run.end() == 0, run.err()


# --- the job --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "command, code",
    [
        (["sh", "-c", "exit 0"], 0),
        (["sh", "-c", "exit 7"], 7),
        (["sh", "-c", "kill -9 $$"], 128 + 9),
        (["/nowhere/at/all"], 127),
        (["/etc/passwd"], 126),
    ],
)
def test_exit_codes(start, s3_server, data, command, code):
    run = start(s3_server(data[0]).env, "--channel", "train=s3://data/raw/", "--", *command)
    assert run.end() == code
    assert bool(run.err()) == (code > 125 and code != 137)


def test_the_child_sees_a_training_container(start, s3_server, data, tmp_path):
    base = tmp_path / "ml0"
    run = start(
        s3_server(data[0]).env,
        *("--channel", "train=s3://data/raw/;content_type=text/csv;label_size=1;sharded"),
        *("--hyperparameter", "epochs=5", "--hosts", "algo-2,algo-1", "--current-host", "algo-2"),
        *shell('env; ls -l /proc/self/fd; cat "$SAGEMAKER_BASE_DIR/input/config/"*.json'),
    )
    assert run.end() == 0, run.err()
    out = run.out.decode()
    for line in (f"SAGEMAKER_BASE_DIR={base}", "SM_CURRENT_HOST=algo-2", 'SM_HP_EPOCHS=5',
                 f"SM_CHANNEL_TRAIN={base}/input/data/train"):  # fmt: skip
        assert line in out
    assert '"epochs"' in out and '"ShardedByS3Key"' in out and '"text/csv;label_size=1"' in out
    # What it inherits is what penstock did: no socket, no FIFO, no ring.
    inherited = [line.split(" -> ")[1] for line in out.split("\n") if " -> " in line]
    assert len(inherited) == 4, inherited  # and the directory that ls reads


def test_the_jobs_own_entry_point_and_a_failure_of_old(start, s3_server, data, tmp_path):
    job = {
        "TrainingJobName": "own",
        "AlgorithmSpecification": {
            "TrainingImage": "x",
            "TrainingInputMode": "Pipe",
            "ContainerEntrypoint": ["sh", "-c", 'echo "$0 $1 $TRAINING_JOB_NAME"; exit 4'],
            "ContainerArguments": ["one", "two"],
        },
        "InputDataConfig": [
            {
                "ChannelName": "train",
                "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://data/raw"}},
            }
        ],
    }
    (tmp_path / "job.json").write_text(json.dumps(job))
    (tmp_path / "ml0/output").mkdir(parents=True)
    (tmp_path / "ml0/output/failure").write_text("long ago")
    run = start(s3_server(data[0]).env, "--config", tmp_path / "job.json")
    assert (run.end(), run.out) == (4, b"one two own\n"), run.err()
    assert not (tmp_path / "ml0/output/failure").exists()


def test_data_that_cannot_be_read_starts_nothing(start, s3_server, data, tmp_path):
    run = start(
        s3_server(data[0]).env,
        *("--channel", "train=s3://data/nothing/here/"),
        *shell(f"touch {tmp_path}/started"),
    )
    assert run.end() == 1
    assert "channel train is empty" in run.err()
    assert "channel train is empty" in (tmp_path / "ml0/output/failure").read_text()
    assert not (tmp_path / "started").exists()


def test_a_server_that_dies_ends_the_job(start, s3_server, data, tmp_path):
    """The reader gets no end of file: it is told to end, and the failure file says where."""
    root, _, _ = data
    big = root / "data/dies"
    big.mkdir(exist_ok=True)
    for name in "ab":
        (big / name).write_bytes(bytes(12 << 20))
    server = s3_server(root, "--rate-total-mbps", "60")
    script = f"""
import signal, sys, time
def ended(*_):
    print("told to end", flush=True)
    sys.exit(0)
signal.signal(signal.SIGTERM, ended)
with open("{tmp_path}/ml0/input/data/train_0", "rb", buffering=0) as fifo:
    while fifo.read(1 << 16):
        pass
print("end of file", flush=True)
"""
    run = start(
        server.env,
        *("--channel", "train=s3://data/dies/", "--memory-limit", "16MiB", "--status"),
        *("--", sys.executable, "-c", script),
    )
    run.wait_for(tmp_path / "ml0/input/data/train_0")
    time.sleep(1.5)
    server.stop(signal.SIGKILL)
    assert run.end(timeout=150) == 1
    assert run.out == b"told to end\n"
    failure = (tmp_path / "ml0/output/failure").read_text()
    assert "data/dies/" in failure and "byte" in failure and len(failure.encode()) <= 1024
    status = json.loads((tmp_path / "ml0/input/data/train_0.status").read_text())
    assert status["complete"] is False



@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1])
def test_signals_reach_the_child(start, s3_server, data, tmp_path, signum):
    trap = f"trap 'echo got; exit 5' {signum.name[3:]}; touch {tmp_path}/ready; while :; do sleep 0.05; done"
    run = start(s3_server(data[0]).env, "--channel", "train=s3://data/raw/", *shell(trap))
    run.wait_for(tmp_path / "ready")
    run.process.send_signal(signum)
    assert run.end() == 5
    assert run.out == b"got\n"


def test_a_child_that_will_not_end_is_killed(start, s3_server, data, tmp_path):
    stubborn = f"trap '' TERM; touch {tmp_path}/ready; while :; do sleep 0.05; done"
    run = start(
        s3_server(data[0]).env, "--channel", "train=s3://data/raw/", "--grace", "1", *shell(stubborn)
    )
    run.wait_for(tmp_path / "ready")
    run.process.send_signal(signal.SIGTERM)
    assert run.end() == 128 + signal.SIGKILL


def test_the_child_dies_with_penstock(start, s3_server, data, tmp_path):
    """Else it would take the end of the FIFO for the end of the data."""
    run = start(
        s3_server(data[0]).env,
        *("--channel", "train=s3://data/raw/"),
        *shell(f"echo $$ > {tmp_path}/pid; touch {tmp_path}/ready; exec sleep 300"),
    )
    run.wait_for(tmp_path / "ready")
    pid = int((tmp_path / "pid").read_text())
    run.process.kill()
    run.end()
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and Path(f"/proc/{pid}/stat").exists():
        if Path(f"/proc/{pid}/stat").read_text().split(")")[1].split()[0] == "Z":
            break
        time.sleep(0.02)
    else:
        assert not Path(f"/proc/{pid}/stat").exists()


def test_as_process_1_it_waits_for_orphans(start, s3_server, data, tmp_path, penstock):
    if os.geteuid() != 0 or not shutil.which("unshare"):
        pytest.skip("needs root and unshare for a PID namespace")
    orphan = f"(sleep 0.2 & ) ; (sleep 0.2 & ); sleep 1; ps -eo stat= | grep -c Z > {tmp_path}/zombies"
    done = subprocess.run(
        ["unshare", "--pid", "--fork", "--mount-proc", penstock, "run", "--base", tmp_path / "ml"]
        + ["--channel", "train=s3://data/raw/", "--", "sh", "-c", orphan + "; exit 3"],
        env=clean_env(s3_server(data[0]).env),
        capture_output=True,
        timeout=60,
    )
    assert done.returncode == 3, done.stderr
    assert (tmp_path / "zombies").read_text() == "0\n"


READ_ONLY_ROOT = """
mount --bind "$0" "$0"
mount -o remount,bind,ro /
exec "$@"
"""


@pytest.mark.plain_build
def test_without_privileges(s3_server, data, tmp_path, penstock, seccomp_deny):
    """Not root, no capability, no io_uring, and a root file system that is read-only but for the base.
    """
    if os.geteuid() != 0:
        pytest.skip("needs root to become somebody else")
    base = Path("/tmp") / f"penstock-nobody-{os.getpid()}"
    base.mkdir()
    os.chown(base, 65534, 65534)
    binary = base / "penstock"
    shutil.copy(penstock, binary)
    for path in (base, binary):
        path.chmod(0o755)
    shutil.copy(seccomp_deny, base / "deny")
    try:
        done = subprocess.run(
            ["unshare", "--mount", "sh", "-ec", READ_ONLY_ROOT, base]
            + ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--bounding-set=-all"]
            + ["--no-new-privs", base / "deny", "EPERM", "--", binary, "run", "--base", base / "ml"]
            + ["--channel", "train=s3://data/raw/", "--", "sh", "-c"]
            + [f"! touch /x /tmp/x && cat {base}/ml/input/data/train_0 {base}/ml/input/data/train_1"],
            env=clean_env(s3_server(data[0]).env),
            capture_output=True,
            timeout=60,
            cwd="/",
        )
        assert done.returncode == 0, done.stderr
        assert done.stderr.count(b"Read-only file system") == done.stderr.count(b"\n") == 2
        assert done.stdout == b"".join(data[2]) * 2
    finally:
        shutil.rmtree(base, ignore_errors=True)


def test_dry_run_prints_the_plan(start, s3_server, data, tmp_path):
    _, _, raw = data
    lines = [{"a-ref": f"s3://data/raw/part-{n}", "b": 10**n} for n in range(3)]
    (data[0] / "data/lines").write_text("\n".join(map(json.dumps, lines)))
    run = start(
        s3_server(data[0]).env,
        *("--dry-run", "--hosts", "algo-1,algo-2", "--current-host", "algo-1"),
        *("--channel", "train=s3://data/raw/;sharded"),
        *("--channel", "lines=s3://data/lines;type=augmented;attributes=a-ref,b;sharded"),
    )
    assert run.end() == 0, run.err()
    out, of_lines = run.out.decode().split("lines: ")
    assert f"share 0: 4 objects, {len(raw[0]) + 1 + len(raw[2]) + 3} bytes" in of_lines
    assert f"share 1: 2 objects, {len(raw[1]) + 2} bytes" in of_lines
    assert f"{len(raw)} objects, {sum(map(len, raw))} bytes" in out
    for share in range(2):
        part = raw[share::2]
        assert f"share {share}: {len(part)} objects, {sum(map(len, part))} bytes" in out
    assert not (tmp_path / "ml0").exists()


@pytest.mark.parametrize(
    "words, said",
    [
        (["--channel", "train"], "train"),
        (["--channel", "train=s3://data/"], "no command is given"),
        (["--grace", "x", "--channel", "train=s3://data/", "--", "true"], "--grace: 'x'"),
        (["--nonsense"], "unrecognized option"),
        (["--hyperparameter", "a", "--", "true"], "is not NAME=VALUE"),
        (["--config", "/nowhere.json", "--", "true"], "/nowhere.json"),
        (["--channel", "a=s3://data/", "--channel", "a_1=s3://data/;mode=file", "--", "true"], "a_1"),
    ],
)
def test_usage_errors(start, words, said):
    run = start(None, *words)
    assert run.end() in (1, 2)
    assert said in run.err()
    assert len(run.err()) < 1000
