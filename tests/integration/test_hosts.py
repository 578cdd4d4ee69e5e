# SPDX-License-Identifier: Apache-2.0
"""tests/integration/test_hosts.py - three hosts with addresses of their own, in network namespaces,
share a channel over a real link: every object reaches one of them, in each epoch."""

import struct
import subprocess
import sys
import time

import numpy
import pytest
from conftest import ACCESS_KEY, SECRET_KEY, clean_env, s3_env
from network import HOSTS, Network

# `penstock serve` listens on loopback alone, as it should: this passes the hosts' connections on.
FORWARD = """
import socket, sys, threading
def copy(source, to):
    try:
        while piece := source.recv(1 << 16):
            to.sendall(piece)
        to.shutdown(socket.SHUT_WR)
    except OSError:
        pass
listener = socket.create_server(("10.77.0.1", 0))
with open(sys.argv[2], "w") as file:
    print(listener.getsockname()[1], file=file)
while True:
    host, _ = listener.accept()
    server = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
    for pair in ((host, server), (server, host)):
        threading.Thread(target=copy, args=pair, daemon=True).start()
"""


def wait_for_port(process, path):
    deadline = time.monotonic() + 20
    while not (path.exists() and path.read_text().endswith("\n")):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    return int(path.read_text())


def records_of(stream):
    at = 0
    while at < len(stream):
        (size,) = struct.unpack_from("<I", stream, at + 4)
        yield stream[at + 8 : at + 8 + size]
        at += 8 + (size + 3) // 4 * 4


@pytest.mark.plain_build
def test_three_hosts_share_a_channel(penstock, tmp_path):
    draw = numpy.random.default_rng(1)
    contents = [draw.bytes(int(size)) for size in draw.integers(1000, 300_000, 30)]
    (tmp_path / "root/data").mkdir(parents=True)
    for number, content in enumerate(contents):
        (tmp_path / f"root/data/{number:03}").write_bytes(content)
    with Network() as network:
        port_file = tmp_path / "port"
        serve = [penstock, "serve", "--port", "0", "--port-file", port_file]
        serve += ["--access-key", ACCESS_KEY, "--secret-key", SECRET_KEY, tmp_path / "root"]
        background = []

        def begin(*words):
            command = [str(w) for w in [*network.within("s"), *words]]
            process = subprocess.Popen(command, env=clean_env(), stderr=subprocess.DEVNULL)
            background.append(process)
            return process

        try:
            port = wait_for_port(begin(*serve), port_file)
            forward = begin(sys.executable, "-c", FORWARD, port, tmp_path / "forward")
            env = s3_env(f"http://10.77.0.1:{wait_for_port(forward, tmp_path / 'forward')}")
            runs = []
            for number, host in enumerate(HOSTS):
                base = tmp_path / host
                fifo = base / "input/data/train"
                run = [penstock, "run", "--base", base, "--hosts", ",".join(HOSTS)]
                run += ["--current-host", host, "--channel"]
                run += ["train=s3://data/;sharded;shuffle=3;wrap=recordio", "--", "sh", "-c"]
                run += [f"cat {fifo}_0 > {base}/0; cat {fifo}_1 > {base}/1"]
                runs.append(
                    subprocess.Popen(
                        [str(w) for w in [*network.within(f"h{number}"), *run]],
                        env=clean_env(env),
                        stdin=subprocess.DEVNULL,
                        stderr=subprocess.PIPE,
                    )
                )
            for run in runs:
                said = run.communicate(timeout=60)[1]
                assert run.returncode == 0, said
        finally:
            for process in background:
                process.kill()
                process.wait()
    shares = [
        [list(records_of((tmp_path / host / str(epoch)).read_bytes())) for host in HOSTS]
        for epoch in range(2)
    ]
    for epoch in shares:
        assert [len(share) for share in epoch] == [10, 10, 10]
        assert sorted(sum(epoch, [])) == sorted(contents)
    assert shares[0] != shares[1]
