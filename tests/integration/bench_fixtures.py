# SPDX-License-Identifier: Apache-2.0
"""tests/integration/bench_fixtures.py - what the tests of `penstock bench` share."""

import json

import pytest


@pytest.fixture
def bench(run_penstock, tmp_path):
    """bench(command, *words, env=...) -> (what it printed, what --json holds)"""

    def run_it(*words, env=None):
        path = tmp_path / "bench.json"
        done = run_penstock(["bench", *words, "--json", path], env=env).ok()
        return done.stdout, json.loads(path.read_text())

    return run_it
