# SPDX-License-Identifier: Apache-2.0
"""tests/integration/test_bench_rivals.py - penstock bench rivals: who takes part, what they are given,
and that the figures are of the same bytes. boto3 is real; the programs are stand-ins."""

import json
import os
import shutil
import signal
import sys
import time

import pytest
from conftest import REPO, SECRET_KEY, started

FAKE_S5CMD = """#!/bin/sh
[ "$1" = version ] && { echo v9.8.7-abc; exit 0; }
echo "args: $*" >>"$RECORD"
[ "$AWS_SECRET_ACCESS_KEY" = %s ] && echo "has the secret" >>"$RECORD"
cat >>"$RECORD"
"""
# "Mounts" by links to the server's own files.
FAKE_MOUNT = """#!/bin/sh
[ "$1" = --version ] && { echo mount-s3 1.2.3; exit 0; }
ln -s "$SERVED/$1"/* "$2"
trap 'exit 0' TERM
while :; do sleep 0.05; done
"""
FAILING = """#!/bin/sh
[ "$1" = version ] && { echo v1.0.0; exit 0; }
echo "cannot read with $AWS_SECRET_ACCESS_KEY" >&2
exit 1
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp("rivals")
    (root / "bytes").mkdir()
    for number in range(3):
        (root / "bytes" / f"part {number}").write_bytes(os.urandom((2 << 20) + number))
    return root


def put(directory, name, text):
    directory.mkdir(exist_ok=True)
    path = directory / name
    path.write_text(text)
    path.chmod(0o755)


def rivals(run_penstock, server, tmp_path, *options, path=None, **env):
    out = tmp_path / "out.json"
    scratch = tmp_path / "scratch"
    scratch.mkdir(exist_ok=True)
    done = run_penstock(["bench", "rivals", "s3://bytes/", "--repeats", "2", "--python",
                         sys.executable, "--dir", scratch, "--json", out, *options],
                        env={**server.env, **env, **({"PATH": path} if path else {})}).ok()
    assert os.listdir(scratch) == []
    result = json.loads(out.read_text())
    assert SECRET_KEY not in done.stdout + done.stderr + out.read_text()
    return done.stdout, result


def test_all_read_the_same_bytes(run_penstock, s3_server, data, tmp_path):
    import jsonschema

    server = s3_server(data)
    record = tmp_path / "record"
    put(tmp_path / "bin", "s5cmd", FAKE_S5CMD % SECRET_KEY)
    put(tmp_path / "bin", "mount-s3", FAKE_MOUNT)
    said, result = rivals(run_penstock, server, tmp_path, "--epochs", "2", "--csv",
                          tmp_path / "out.csv", path=f"{tmp_path / 'bin'}:{os.environ['PATH']}",
                          RECORD=record, SERVED=data)
    jsonschema.validate(result, json.loads((REPO / "bench/bench.schema.json").read_text()))
    names = [variant["name"] for variant in result["variants"]]
    assert names[:3] == ["penstock", "penstock, File mode", "s5cmd 9.8.7"]
    assert names[3].startswith("boto3 ") and "mount-s3 1.2.3" in names
    for variant in result["variants"]:
        assert len(variant["repeats"]) == 2
        for repeat in variant["repeats"]:
            figures = repeat["figures"]
            assert figures["bytes"] == 2 * sum(f.stat().st_size for f in (data / "bytes").iterdir())
            assert figures["gb_per_s"] > 0 and figures["cpu_s_per_gib"] >= 0
        assert variant["name"] in said
    assert len((tmp_path / "out.csv").read_text().splitlines()) == 1 + 2 * len(names)
    recorded = record.read_text()
    assert recorded.count("has the secret") == 2 and recorded.count('"s3://bytes/part 2"') == 4
    for line in recorded.splitlines():
        if line.startswith("args: "):
            assert server.env["AWS_ENDPOINT_URL"] in line and SECRET_KEY not in line


def test_those_that_are_absent_or_fail_are_said(run_penstock, s3_server, data, tmp_path):
    put(tmp_path / "bin", "s5cmd", FAILING)
    for tool in ("sh", "cat"):
        (tmp_path / "bin" / tool).symlink_to(shutil.which(tool))
    said, result = rivals(run_penstock, s3_server(data), tmp_path, "--rivals", "s5cmd,mount-s3,fio",
                          path=str(tmp_path / "bin"))
    assert [v["name"] for v in result["variants"] if v["repeats"]] == ["penstock",
                                                                     "penstock, File mode"]
    assert "s5cmd 1.0.0 cannot read this: cannot read with ***" in result["notes"]
    assert "mount-s3 is not installed (github.com/awslabs/mountpoint-s3)" in said
    assert "fio is not installed (apt-get install fio" in said and "boto3" not in said
    said, result = rivals(run_penstock, s3_server(data), tmp_path, "--python", "no-such-python")
    assert len(result["notes"]) == 5 and "s5cmd no-such-python: No such file" in said


SLOW = """#!/bin/sh
[ "$1" = version ] && { echo v1.0.0; exit 0; }
touch "$RECORD"
sleep 60
"""


def test_an_interrupt_ends_the_others_too(penstock, s3_server, data, tmp_path):
    put(tmp_path / "bin", "s5cmd", SLOW)
    record, scratch = tmp_path / "record", tmp_path / "scratch"
    scratch.mkdir()
    words = [penstock, "bench", "rivals", "s3://bytes/", "--rivals", "s5cmd", "--python",
             sys.executable, "--dir", scratch]
    env = {**s3_server(data).env, "RECORD": record, "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}"}
    with started(words, env) as process:
        while not record.exists():
            assert process.poll() is None
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=30)
    assert process.returncode == 130 and "interrupted: " in said and "penstock, File mode" in said
    assert os.listdir(scratch) == []


def test_bad_input(run_penstock, s3_server, data, tmp_path):
    (data / "empty").mkdir(exist_ok=True)
    env = s3_server(data).env
    for words, rc, word in (
        ([data / "bytes"], 1, "one bucket: s3://BUCKET/PREFIX"),
        (["s3://bytes/", "s3://other/"], 1, "one bucket: s3://BUCKET/PREFIX"),
        (["s3://empty/"], 1, "empty"),
        (["s3://bytes/", "--rivals", "warp"], 2, "--rivals is a list of"),
        (["s3://bytes/", "--content-type", "text/csv"], 2, "rivals reads whole objects"),
        (["s3://bytes/", "--dir", tmp_path / "absent"], 1, "cannot make a directory"),
    ):
        done = run_penstock(["bench", "rivals", *words], env=env)
        assert (done.rc, word in done.stderr) == (rc, True), (words, done.stderr)
