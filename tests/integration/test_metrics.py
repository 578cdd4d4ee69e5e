# SPDX-License-Identifier: Apache-2.0
"""tests/integration/test_metrics.py - --metrics of penstock run, agent and train: asked for while they run."""

import re
import subprocess
import time
import urllib.request

import pytest
from conftest import started
from run_fixtures import data, shell, start  # noqa: F401 (fixtures)

TOTAL = 'penstock_bytes_received_total{channel="train"}'


def values(text):
    for line in text.splitlines():
        assert line.startswith("#") or re.fullmatch(r'[a-z0-9_]+(\{[^}]*\})? [-+.0-9e]+', line), line
    return {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1])
            for line in text.splitlines() if not line.startswith("#")}


def until(get, seconds=20):
    """What `get` returns once it is true."""
    for _ in range(seconds * 50):
        if found := get():
            return found
        time.sleep(0.02)
    pytest.fail("it does not come")


def port_of(run):
    found = until(lambda: re.search(r"metrics at port (\d+)\n", run.err()))
    return f"http://127.0.0.1:{found[1]}/metrics"


def scrape(url):
    with urllib.request.urlopen(url, timeout=10) as answer:
        assert answer.headers["Content-Type"] == "text/plain; version=0.0.4"
        return values(answer.read().decode())


def test_a_run_is_scraped_at_its_port(s3_server, data, start, tmp_path):  # noqa: F811
    root, rec, _ = data
    wanted, go_on = sum(map(len, rec)), tmp_path / "go on"
    run = start(s3_server(root).env, "--channel", "train=s3://data/rec/", "--channel",
                "other=s3://data/raw/;mode=File", "--metrics", ":0",
                *shell('cat "$1/input/data/train_0" >/dev/null; while [ ! -e "$2" ]; do sleep 0.05; done',
                       tmp_path / "ml0", go_on))
    url = port_of(run)
    seen = until(lambda: (now := scrape(url)).get(TOTAL, 0) >= wanted and now)
    assert seen['penstock_get_requests_total{channel="train"}'] >= 5
    assert not any('channel="other"' in name for name in seen)  # its phase is over
    go_on.touch()
    assert run.end() == 0


def test_an_agent_replaces_its_file(s3_server, data, start, tmp_path):  # noqa: F811
    root, _, _ = data
    path = tmp_path / "out.prom"
    agent = start(s3_server(root).env, "--channel", "train=s3://data/rec/", "--metrics", path,
                  verb="agent")
    agent.wait_for(path)
    first = until(lambda: (now := values(path.read_text())).get(TOTAL, 0) > 0 and now)
    with open(agent.wait_for(tmp_path / "ml0/input/data/train_0"), "rb") as fifo:
        taken = len(fifo.read())
    name = 'penstock_bytes_consumed_total{channel="train"}'
    until(lambda: values(path.read_text())[name] >= max(taken, first[name] + 1))
    agent.process.terminate()
    assert agent.end() == 0
    assert values(path.read_text())[name] >= taken and not list(tmp_path.glob("*.new"))


@pytest.fixture
def rows(tmp_path):
    """40,000 rows that a line goes through."""
    path = tmp_path / "rows.csv"
    path.write_text("".join(f"{2 * i % 7},{i % 7}\n" for i in range(40_000)))
    return path


def train_words(penstock, rows, epochs, where):
    return [penstock, "train", "--algorithm", "linear-learner", "--train", rows, "--content-type",
            "text/csv;label_size=1", "--device", "cpu", "--hp", "predictor_type=regressor", "--hp",
            f"epochs={epochs}", "--metrics", where]


def test_a_training_is_scraped(penstock, rows):
    words = train_words(penstock, rows, 100000, ":0")
    with started(words, stdout=subprocess.DEVNULL) as process:
        url = f"http://127.0.0.1:{process.stderr.readline().rsplit(None, 1)[1]}/metrics"
        seen = until(lambda: (now := scrape(url)).get("penstock_train_epoch", 0) >= 2 and now)
        assert seen["penstock_train_rows_total"] >= 80_000 and seen["penstock_train_loss"] >= 0
        assert seen['penstock_records_total{channel="train"}'] >= seen["penstock_train_rows_total"]
        more = until(lambda: (now := scrape(url))["penstock_train_epoch"] > seen["penstock_train_epoch"] and now)
        assert more["penstock_train_rows_total"] > seen["penstock_train_rows_total"]
        process.terminate()
        process.communicate(timeout=30)


def test_a_training_leaves_its_file(run_penstock, penstock, rows, tmp_path):
    path = tmp_path / "train.prom"
    run_penstock(train_words(penstock, rows, 2, path)[1:]).ok()
    left = values(path.read_text())
    assert left["penstock_train_rows_total"] == 80_000 == left['penstock_records_total{channel="train"}']
    done = run_penstock(train_words(penstock, rows, 2, "nowhere:80")[1:])
    assert done.rc == 1 and "is not [IPv4 ADDRESS]:PORT" in done.stderr


@pytest.mark.parametrize("where, why", [
    ("nowhere:80", "is not [IPv4 ADDRESS]:PORT"),
    ("/no/such/place/file", "cannot write /no/such/place/file"),
])
def test_bad_places_end_the_run_before_it_starts(s3_server, data, start, tmp_path, where, why):  # noqa: F811
    run = start(s3_server(data[0]).env, "--channel", "train=s3://data/rec/", "--metrics", where,
                *shell('touch "$1"', tmp_path / "started"))
    assert run.end() == 1 and why in run.err() and not (tmp_path / "started").exists()
