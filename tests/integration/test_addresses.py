# SPDX-License-Identifier: Apache-2.0
"""tests/integration/test_addresses.py - a host with several addresses: connections are spread over them, a
dead one is found out once, a slow one gets less; and what a consumer's pause does to connections."""

import collections
import hashlib
import random
from concurrent.futures import ThreadPoolExecutor

import pytest
from conftest import REPO
from digest import digest

KIB = 1024
PLAIN = "application/octet-stream"
OBJECT = random.Random(1).randbytes(24 << 20)
BACKENDS = ["uring", "epoll"]
NAME = "storage.test"


@pytest.fixture(scope="module")
def bucket(tmp_path_factory):
    root = tmp_path_factory.mktemp("addresses")
    (root / "data").mkdir()
    (root / "data/object").write_bytes(OBJECT)
    return root


class Host:
    """NAME, with a server of its own at each address, all at one port. `options` are each server's;
    None is an address where nobody answers."""

    def __init__(self, s3_server, bucket, tmp_path, options):
        self.servers, self.tried, port = {}, tmp_path / "tried", 0
        for address, words in options.items():
            dead = words is None
            alive = "127.0.0.9" if dead else address  # there has to be one
            words = ["--host", alive] + (["--dead-host", address] if dead else words)
            server = s3_server(bucket, *words, "--port", port)
            port = server.port
            if not dead:
                self.servers[address] = server
        self.env = server.env | {
            "AWS_ENDPOINT_URL": f"http://{NAME}:{port}",
            "LD_PRELOAD": REPO / "build/release/tests/many_addresses.so",
            "MANY_ADDRESSES": " ".join([NAME, *options]),
            "MANY_ADDRESSES_LOG": self.tried,
        }

    def read(self, epochs=1, **job):
        result = digest(uri="s3://data", type=PLAIN, transport="direct", env=self.env, epochs=epochs, **job).ok()
        assert result["sha256_digest"] == hashlib.sha256(OBJECT * epochs).hexdigest()
        assert result["retries"] == 0
        return result

    def gets(self, address):
        """The client's port of each GET of the object."""
        lines = [line.split("\t") for line in self.servers[address].log()]
        return [line[8] for line in lines if line[2].startswith("/data/object")]

    def connections(self):
        return {address: len(set(self.gets(address))) for address in self.servers}

    def tries(self):
        return collections.Counter(self.tried.read_text().split())


@pytest.fixture
def host(s3_server, bucket, tmp_path):
    return lambda options: Host(s3_server, bucket, tmp_path, options)


# A sanitizer has to be the first library of a program.
@pytest.mark.plain_build
@pytest.mark.parametrize("io", BACKENDS)
def test_connections_are_spread_over_the_addresses(host, io):
    """Parts are so small that no address is judged by its rate."""
    many = host({f"127.0.0.{i}": ["--latency-ms", 20] for i in (2, 3, 4)})
    many.read(io=io, connections=12, part_kib=128, no_hedging=1)
    assert many.connections() == {"127.0.0.2": 4, "127.0.0.3": 4, "127.0.0.4": 4}


@pytest.mark.plain_build
@pytest.mark.parametrize("io", BACKENDS)
def test_a_dead_address_is_found_out_once(host, io):
    """Its share of the first connections goes there; then nobody does, and no attempt is lost."""
    rate = ["--rate-mbps", 16]  # a second and a half for each connection
    many = host({"127.0.0.2": rate, "127.0.0.3": None, "127.0.0.4": rate})
    result = many.read(io=io, connections=9, part_kib=128, no_hedging=1)
    assert many.tries()["127.0.0.3"] == 3
    assert result["part_p99_us"] < 4_000_000  # half a second, and not what a host with one address gets
    assert sum(many.connections().values()) == 9


@pytest.mark.plain_build
@pytest.mark.parametrize("io", BACKENDS)
def test_a_slow_address_gets_less(host, io):
    """What it is like shows in a connection's first part, and is reason enough to close it."""
    fast, slow = ["--rate-mbps", 160], ["--rate-mbps", 12]
    many = host({"127.0.0.2": fast, "127.0.0.3": slow, "127.0.0.4": fast})
    many.read(io=io, connections=6, part_kib=1024, epochs=6, no_hedging=1)
    parts = {address: len(many.gets(address)) for address in many.servers}
    assert parts["127.0.0.3"] == many.connections()["127.0.0.3"] > 0
    assert parts["127.0.0.3"] * 4 < min(parts["127.0.0.2"], parts["127.0.0.4"])


def test_a_pause_of_the_consumer_makes_no_storm_of_connections(s3_server, bucket):
    """Idle ones are dropped before the server would, and opened again for use, not for each part. Without
    hedges, which a busy machine would add to requests and connections."""

    def read(way, server):
        job = dict(part_kib=128, connections=8, memory_mib=32, epochs=5, stall_ms=6000, no_hedging=1)
        io, transport = way
        return digest(uri="s3://data", type=PLAIN, env=server.env, io=io, transport=transport, **job)

    ways = [(io, transport) for io in BACKENDS for transport in ("direct", "curl")]
    servers = [s3_server(bucket) for _ in ways]
    with ThreadPoolExecutor(len(ways)) as pool:
        for way, result in zip(ways, pool.map(read, ways, servers)):
            assert result.ok()["sha256_digest"] == hashlib.sha256(OBJECT * 5).hexdigest(), way
            assert result["gets"] == 5 * len(OBJECT) // (128 * KIB), way
            assert 8 <= result["connections"] <= 16 and result["retries"] == 0, way
