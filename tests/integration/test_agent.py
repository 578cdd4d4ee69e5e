# SPDX-License-Identifier: Apache-2.0
"""tests/integration/test_agent.py - penstock agent: FIFOs for readers elsewhere, until told to stop."""

import os
import shutil
import signal
import subprocess
import time

from run_fixtures import data, start  # noqa: F401


def test_agent_fills_fifos_until_told_to_stop(start, s3_server, data, tmp_path):
    root, _, raw = data
    content = b"".join(raw)
    run = start(s3_server(root).env, "--channel", "train=s3://data/raw/", verb="agent")
    fifos = tmp_path / "ml0/input/data"
    # A reader without a network; with nothing of the agent's environment anyway.
    alone = ["unshare", "--net"] if os.geteuid() == 0 and shutil.which("unshare") else []
    for epoch in range(3):
        fifo = run.wait_for(fifos / f"train_{epoch}")
        read = subprocess.run([*alone, "cat", fifo], env={}, capture_output=True, timeout=60)
        assert (read.returncode, read.stdout) == (0, content)
    fd = os.open(run.wait_for(fifos / "train_3"), os.O_RDONLY)
    got = os.read(fd, 1000)
    run.process.send_signal(signal.SIGTERM)
    time.sleep(0.3)
    assert run.process.poll() is None  # an epoch is being read
    while piece := os.read(fd, 1 << 20):
        got += piece
    os.close(fd)
    assert got == content
    assert run.end() == 0, run.err()
    assert not list(fifos.glob("train_*"))


def test_agent_keeps_the_reader_of_a_failed_channel_waiting(start, s3_server, data, tmp_path):
    root, _, raw = data
    env = s3_server(root).env
    run = start(
        env,
        *("--channel", "bad=s3://data/nothing/here/", "--channel", "good=s3://data/raw/"),
        *("--channel", "worse=s3://data/nor/here/", "--grace", "1"),
        verb="agent",
    )
    fifos = tmp_path / "ml0/input/data"
    run.wait_for(tmp_path / "ml0/output/failure")
    assert run.wait_for(fifos / "good_0").read_bytes() == b"".join(raw)
    assert (fifos / "bad_0").exists()
    run.process.send_signal(signal.SIGTERM)
    assert run.end() == 1
    assert "channel bad is empty" in run.err() and "channel worse is empty" in run.err()
