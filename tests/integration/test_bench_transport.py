# SPDX-License-Identifier: Apache-2.0
"""tests/integration/test_bench_transport.py - `make bench-transport` in small: that it measures what
it says, not how fast anything is."""

import json
import re
import sys

import pytest
from conftest import REPO, run

pytestmark = pytest.mark.plain_build

CLIENTS = ["floor", "direct, uring", "direct, epoll", "curl, uring", "curl, epoll"]


def bench(penstock, *options):
    return run([sys.executable, REPO / "bench/transport.py", "--build", penstock.parent, "--rounds",
                "0", "--ring", "16", "--connections", "4", "--origins", "serve", *options])


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_every_client_has_its_line(penstock, scheme):
    said = bench(penstock, "--mib", "16", "--passes", "1", "--seconds", "0.15",
                 "--parts", "65536", "1048576", "--schemes", scheme, "--peer-python", sys.executable).ok().stdout
    assert f"{scheme} from penstock serve" in said
    for part in ("64 KiB", "1 MiB"):
        lines = [line for line in said.splitlines() if line.startswith(f"  {part} ")]
        assert [line[11:35].strip() for line in lines] == CLIENTS
        for line in lines:
            rate, cpu = line[35:].split()[:2]
            assert float(rate) > 0 and float(cpu) > 0
    assert re.search(r"its own +boto3 [\d.]+ ", said)
    assert re.search(rf"(holds |MISSED) {scheme} serve 1 MiB|{scheme}: most allocations", said)


def test_counts_copies_and_allocations(penstock):
    said = bench(penstock, "--mib", "32", "--seconds", "0.4", "--parts", "262144", "--schemes",
                 "http", "--no-peers").ok().stdout
    copied = {line[11:35].strip(): line.split()[-2:] for line in said.splitlines()
              if line.startswith("  256 KiB ")}
    assert float(copied["curl, epoll"][0]) == pytest.approx(1, abs=0.01)
    assert 0 < float(copied["direct, epoll"][0]) < 0.01
    # "-": new connections were opened to the end, so that there was no steady state.
    for client, allocations in ((name, line[1]) for name, line in copied.items()):
        if allocations == "-":
            continue
        if client.startswith("curl"):
            assert float(allocations) > 1  # libcurl allocates for every transfer
        else:
            assert float(allocations) < 0.5


def test_a_server_of_its_own_and_a_kernel_without_io_uring(run_penstock, seccomp_deny, penstock, tmp_path):
    """`penstock bench transport` needs neither source tree nor server."""
    out = tmp_path / "out.json"
    done = run([seccomp_deny, "EPERM", "--", penstock, "bench", "transport", "--seconds", "1",
                "--warmup-s", "0", "--repeats", "1", "--part-sizes", "1MiB", "--dir", tmp_path,
                "--json", out]).ok()
    variants = json.loads(out.read_text())["variants"]
    assert [v["name"] for v in variants if v["repeats"]] == [
        "floor, 1 MiB", "direct, epoll, 1 MiB", "curl, epoll, 1 MiB"]
    assert "direct, uring: " in done.stdout and "curl, uring: " in done.stdout
    for variant in variants:
        for repeat in variant["repeats"]:
            assert repeat["figures"]["gb_per_s"] > 0 and repeat["figures"]["cpu_s_per_gib"] > 0
    assert [path.name for path in tmp_path.iterdir()] == ["out.json"]


def test_bad_input(run_penstock, s3_server, tmp_path):
    (tmp_path / "data").mkdir()
    for words, rc, why in (
        ([tmp_path], 1, "transport reads from S3"),
        (["s3://data/"], 1, "empty"),
        (["--part-sizes", "1MiB,4KiB"], 2, "--part-sizes is"),
        (["--io", "uring"], 2, "transport measures --seconds"),
        (["--epochs", "3"], 2, "transport measures --seconds"),
        (["--dir", tmp_path / "absent"], 1, "cannot make a directory in"),
    ):
        done = run_penstock(["bench", "transport", *words], env=s3_server(tmp_path).env)
        assert (done.rc, why in done.stderr) == (rc, True), (words, done.stderr)


def test_an_origin_that_does_not_start_is_an_error(penstock, tmp_path):
    done = bench(penstock, "--build", tmp_path, "--mib", "4", "--no-peers")
    assert done.rc == 1
    assert str(tmp_path / "penstock") in done.stderr
