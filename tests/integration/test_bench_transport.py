# SPDX-License-Identifier: Apache-2.0
"""tests/integration/test_bench_transport.py - `make bench-transport` in small: that it measures what
it says, not how fast anything is."""

import re
import sys

import pytest
from conftest import REPO, run

pytestmark = pytest.mark.plain_build

CLIENTS = ["floor", "direct, uring", "direct, epoll", "curl, uring", "curl, epoll"]


def bench(penstock, *options):
    return run([sys.executable, REPO / "bench/transport.py", "--build", penstock.parent, "--rounds",
                "1", "--ring", "16", "--connections", "4", "--origins", "serve", *options])


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_every_client_has_its_line(penstock, scheme):
    said = bench(penstock, "--mib", "16", "--passes", "2", "--parts", "65536", "1048576",
                 "--schemes", scheme, "--peer-python", sys.executable).ok().stdout
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
    said = bench(penstock, "--mib", "128", "--passes", "8", "--parts", "262144", "--schemes",
                 "http", "--no-peers").ok().stdout
    copied = {line[11:35].strip(): line.split()[-2:] for line in said.splitlines()
              if line.startswith("  256 KiB ")}
    assert float(copied["curl, epoll"][0]) == 1
    assert 0 < float(copied["direct, epoll"][0]) < 0.01
    # "-": new connections were opened to the end, so that there was no steady state.
    for client, allocations in ((name, line[1]) for name, line in copied.items()):
        if allocations == "-":
            continue
        if client.startswith("curl"):
            assert float(allocations) > 1  # libcurl allocates for every transfer
        else:
            assert float(allocations) < 0.5


def test_an_origin_that_does_not_start_is_an_error(penstock, tmp_path):
    done = bench(penstock, "--build", tmp_path, "--mib", "4", "--no-peers")
    assert done.rc == 1
    assert str(tmp_path / "penstock") in done.stderr
