# SPDX-License-Identifier: Apache-2.0
"""tests/integration/network.py - hosts in network namespaces, with addresses, names and links of their own.

    with Network() as network: subprocess.run([*network.within("h0"), "ping", "algo-2"])
"""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

HOSTS = ["algo-1", "algo-2", "algo-3"]
FOR_NAMES = Path("/etc/netns")  # ip netns exec puts what lies here in place of /etc's


def ip(*words):
    subprocess.run(["ip", *map(str, words)], check=True, capture_output=True, timeout=20)


def address(number):
    return f"10.77.0.{number + 10}"


class Network:
    """A bridge in a namespace of the server, and a namespace for each of HOSTS, joined by veth pairs."""

    def __init__(self):
        self.tag = f"ps{os.getpid() % 100000}"
        self.made = []

    def name(self, what):
        return f"{self.tag}{what}"

    def add(self, what):
        ip("netns", "add", self.name(what))
        self.made.append(self.name(what))
        ip("-n", self.name(what), "link", "set", "lo", "up")

    def __enter__(self):
        if os.geteuid() != 0 or not shutil.which("ip"):
            pytest.skip("needs root and iproute2 for network namespaces")
        try:
            self.add("s")
            server = self.name("s")
            ip("-n", server, "link", "add", "br0", "type", "bridge")
            ip("-n", server, "addr", "add", "10.77.0.1/24", "dev", "br0")
            ip("-n", server, "link", "set", "br0", "up")
            for number in range(len(HOSTS)):
                host = self.name(f"h{number}")
                self.add(f"h{number}")
                ip("-n", server, "link", "add", f"v{number}", "type", "veth",
                   "peer", "name", "eth0", "netns", host)  # fmt: skip
                ip("-n", server, "link", "set", f"v{number}", "master", "br0", "up")
                ip("-n", host, "addr", "add", f"{address(number)}/24", "dev", "eth0")
                ip("-n", host, "link", "set", "eth0", "up")
                names = FOR_NAMES / host
                names.mkdir(parents=True)
                lines = [f"{address(i)} {name} {self.name(f'h{i}')}\n" for i, name in enumerate(HOSTS)]
                (names / "hosts").write_text("".join(["127.0.0.1 localhost\n", *lines]))
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for name in self.made:
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)
            shutil.rmtree(FOR_NAMES / name, ignore_errors=True)

    def cut(self, number):
        """From now on nothing gets to or from the host, and nobody is told."""
        ip("-n", self.name("s"), "link", "set", f"v{number}", "nomaster")

    def mislead(self, number):
        """The host's default route goes to where none of the others is, from an address of its own."""
        host = self.name(f"h{number}")
        ip("-n", host, "link", "add", "away", "type", "bridge")
        ip("-n", host, "addr", "add", "10.99.0.1/24", "dev", "away")
        ip("-n", host, "link", "set", "away", "up")
        ip("-n", host, "route", "add", "default", "dev", "away")

    def within(self, what):
        return ["ip", "netns", "exec", self.name(what)]

    def named(self, what):
        """As within, and the host knows its name, by which engines tell hosts apart."""
        return [*self.within(what), "unshare", "--uts", "sh", "-c", 'hostname $0; exec "$@"', self.name(what)]
