# SPDX-License-Identifier: Apache-2.0
"""tests/integration/test_bench.py - penstock bench: figures against what a server was told to do, the
stage that limits, what is written, cmp, and how it fails.

Rates are judged only where the server's own limit makes them.
"""

import copy
import csv
import json
import os
import pty
import re
import signal
import socket
import subprocess
import time
import urllib.request
import xml.etree.ElementTree

import numpy
import pytest
from bench_fixtures import bench  # noqa: F401
from conftest import REPO, clean_env, started

SHORT = ["--seconds", "0.5", "--warmup-s", "0.15", "--repeats", "2"]
SMALL_PARTS = ["--part-size", "128KiB", "--memory-limit", "64MiB"]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Buckets bytes (16 MiB in 4 objects) and csv, and a place for files."""
    root = tmp_path_factory.mktemp("bench")
    draw = numpy.random.default_rng(3)
    for bucket in ("bytes", "csv", "empty"):
        (root / bucket).mkdir()
    for number in range(4):
        (root / "bytes" / f"part-{number}").write_bytes(draw.bytes(4 << 20))
    line = ",".join(f"{value:.7f}" for value in draw.random(40))
    for number in range(4):
        (root / "csv" / f"rows-{number}.csv").write_text((f"{number},{line}\n") * 10_000)
    return root


def median(result, figure, variant=0):
    return result["variants"][variant]["summary"][figure]["median"]


# ---- the truth ----


@pytest.mark.plain_build
@pytest.mark.parametrize("latency_ms, connections", [(1, 8), (30, 16), (100, 32)])
def test_rate_and_latency_are_the_servers(bench, s3_server, data, latency_ms, connections):
    """Up to five runs, for a busy machine takes from any of them."""
    server = s3_server(data, "--rate-total-mbps", "160", "--latency-ms", latency_ms)
    for _ in range(5):
        _, result = bench("read", "s3://bytes/", "--connections", connections, *SMALL_PARTS,
                          "--seconds", "1.1", "--warmup-s", "0.5", "--repeats", "1", env=server.env)
        figures = result["variants"][0]["repeats"][0]["figures"]
        if figures["gb_per_s"] == pytest.approx(0.020, rel=0.05):
            break
    assert figures["gb_per_s"] == pytest.approx(0.020, rel=0.05)
    assert figures["gib_per_s"] == pytest.approx(figures["gb_per_s"] * 1e9 / 2**30)
    assert figures["window_median_gib_per_s"] == pytest.approx(0.0186, rel=0.1)
    assert figures["request_first_byte_p50_s"] >= latency_ms / 1000
    assert figures["first_object_s"] <= figures["first_connection_s"]
    assert figures["first_connection_s"] + latency_ms / 1000 <= figures["first_byte_s"]
    assert figures["stall_percent"] > 90
    assert figures["connections"] <= connections + figures["hedges"] < figures["get_requests"]


def test_percentiles_are_those_of_the_servers_delays(bench, s3_server, data):
    server = s3_server(data, "--latency-ms", "20", "--latency-p99-ms", "80")
    _, result = bench("read", "s3://bytes/", "--connections", "16", "--part-size", "64KiB",
                      *SHORT, env=server.env)
    histogram = result["variants"][0]["latency_ns"]["first_byte"]
    times = sorted(least / 1e9 for least, count in histogram for _ in range(count))
    for name, share in (("p50", 0.5), ("p90", 0.9), ("p99", 0.99)):
        exact = times[min(len(times) - 1, int(numpy.ceil(share * len(times))) - 1)]
        assert median(result, f"request_first_byte_{name}_s") == pytest.approx(exact, rel=0.02)
    assert median(result, "request_first_byte_p50_s") >= 0.018
    assert median(result, "request_first_byte_p99_s") >= 0.06


# ---- the limit ----


def limit_of(said):
    return said.splitlines()[-1].removeprefix("limited by: ").split(":")[0]


def test_the_network_is_named(bench, s3_server, data):
    server = s3_server(data, "--rate-mbps", "40")
    said, _ = bench("read", "s3://bytes/", "--connections", "4", "--part-size", "1MiB", *SHORT,
                    env=server.env)
    assert limit_of(said) == "network"
    assert re.search(r"^note: a request takes 0\.\d+ s: rates are coarse; use --seconds \d,", said, re.M)


def test_the_server_is_named_for_its_latency_and_its_refusals(bench, s3_server, data):
    slow = s3_server(data, "--latency-ms", "120")
    said, _ = bench("read", "s3://bytes/", "--connections", "4", *SMALL_PARTS, *SHORT, env=slow.env)
    assert limit_of(said) == "server"
    busy = s3_server(data, "--latency-ms", "30", "--fault", "status=503,code=SlowDown,every=4")
    said, result = bench("read", "s3://bytes/", *SMALL_PARTS, *SHORT, env=busy.env)
    assert limit_of(said) == "server"
    figures = result["variants"][0]["repeats"][0]["figures"]
    assert figures["retries_throttled"] == figures["retries"] > 0


def test_the_consumer_is_named(bench, data):
    said, result = bench("read", data / "bytes", "--consume-rate", "10MB", "--memory-limit",
                         "16MiB", *SHORT)
    assert limit_of(said) == "consumer"
    assert median(result, "gb_per_s") < 0.03
    assert median(result, "wait_room_percent") > 50


def test_the_decoder_is_named(bench, data):
    said, result = bench("decode", data / "csv", "--content-type", "text/csv", "--decode-threads",
                         "1", "--memory-limit", "64MiB", *SHORT)
    assert limit_of(said) == "decoder"
    assert median(result, "cpu_decode_s_per_gib") > median(result, "cpu_frame_s_per_gib")
    assert median(result, "records_per_s") > 0


@pytest.mark.plain_build
def test_the_cpu_is_named(bench, data):
    said, _ = bench("read", data / "bytes", "--io", "epoll", "--memory-limit", "64MiB", *SHORT)
    assert limit_of(said) == "CPU"


# ---- an emulated device ----


def test_a_device_waits_for_what_is_held_back(bench, data):
    """10 steps of 5 ms, one of which comes 150 ms later: 145 of 195 ms are idle, or more on a busy
    machine (exactly: tests/unit/test_bench_device.c)."""
    said, result = bench("train", data / "csv", "--content-type", "text/csv", "--batch-size", "20",
                         "--step-ms", "5", "--inject-ms", "150", "--inject-every", "10",
                         "--memory-limit", "16MiB", *SHORT)
    assert median(result, "device_stall_percent") > 65
    assert limit_of(said) == "consumer" and "unofficial" in said
    for repeat in result["variants"][0]["repeats"]:
        figures = repeat["figures"]
        assert figures["au_percent"] + figures["device_stall_percent"] == pytest.approx(100)
        assert figures["stall_percent"] < 50 and figures["steps_per_s"] < 60
        assert figures["headroom"] == pytest.approx(figures["steps_per_s"] * 0.005)


MODEL = ["--content-type", "text/csv;label_size=1", "--model", "linear-learner", "--hp",
         "predictor_type=regressor", "--batch-size", "500", "--memory-limit", "16MiB"]


@pytest.mark.parametrize("device", ["cpu", "delayed"])
def test_a_real_model_is_trained(bench, data, device):
    said, result = bench("train", data / "csv", *MODEL, "--device", device, *SHORT)
    assert f"device: {device}" in said and "headroom" in said
    assert result["environment"]["device"].startswith(f"device: {device}")
    for repeat in result["variants"][0]["repeats"]:
        figures = repeat["figures"]
        assert figures["first_batch_s"] <= figures["first_on_device_s"] <= figures["first_step_s"]
        assert figures["headroom"] * figures["replay_steps_per_s"] == pytest.approx(
            figures["steps_per_s"])
        assert figures["records_per_s"] > 0 and figures["device_bytes"] > 0
        assert figures["au_percent"] + figures["device_stall_percent"] == pytest.approx(100)
        # Copies to a device are from registered memory.
        assert (figures["pinned_bytes"] > 100_000) == (device == "delayed")


def test_a_real_model_waits_for_what_is_held_back(bench, data):
    _, result = bench("train", data / "csv", *MODEL, "--device", "cpu", "--inject-ms", "100",
                      "--inject-every", "2", *SHORT)
    assert median(result, "device_stall_percent") > 90 and median(result, "headroom") < 0.5
    assert median(result, "stall_percent") < 50  # the host did not wait for the stream


# ---- what is written ----


@pytest.mark.plain_build
def test_all_wait_for_the_network(bench, s3_server, data):
    """Each for the one before it."""
    server = s3_server(data, "--rate-total-mbps", "160")
    _, result = bench("decode", "s3://csv/", "--content-type", "text/csv", *SHORT, *SMALL_PARTS,
                      env=server.env)
    for figure in ("stall_percent", "wait_chunks_percent", "wait_bytes_percent"):
        assert median(result, figure) > 60, figure
    assert max(median(result, f"wait_{what}_percent") for what in ("room", "slot", "decoders")) < 20


def test_every_kind_of_output(run_penstock, s3_server, data, tmp_path):
    import jsonschema

    server = s3_server(data, "--rate-total-mbps", "160")
    names = ["out.json", "out.csv", "out.raw", "out.html", "out.prom"]
    paths = [tmp_path / name for name in names]
    options = [word for pair in zip(["--json", "--csv", "--raw", "--report", "--metrics"], paths)
               for word in pair]
    for _ in range(2):
        done = run_penstock(["bench", "decode", "s3://csv/", "--content-type", "text/csv", *SHORT,
                             *SMALL_PARTS, "--label", 'a "label" <&>', "--cache", "warm",
                             "--require", "first_batch<60s,gib_per_s>0.001,retries<1", *options],
                            env=server.env).ok()
    assert "caches: warm" in done.stdout
    result = json.loads(paths[0].read_text())
    schema = json.loads((REPO / "bench/bench.schema.json").read_text())
    jsonschema.validate(result, schema)
    for spoil in (lambda r: r.pop("environment"), lambda r: r.update(schema="penstock-bench/2"),
                  lambda r: r.update(surprise=1), lambda r: r["variants"][0].update(limit="moon"),
                  lambda r: r["variants"][0]["repeats"][0]["figures"].update(gib_per_s="1"),
                  lambda r: r["variants"][0]["latency_ns"]["part"].append([-1, 1])):
        bad = copy.deepcopy(result)
        spoil(bad)
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(bad, schema)
    assert result["label"] == 'a "label" <&>' and result["environment"]["version"]
    with open(paths[1], newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 4 and [row["repeat"] for row in rows] == ["1", "2"] * 2
    assert rows[0]["label"] == 'a "label" <&>' and float(rows[3]["gib_per_s"]) > 0
    ticks = list(csv.DictReader(paths[2].read_text().splitlines()))
    assert len(ticks) > 8 and {tick["repeat"] for tick in ticks} == {"1", "2"}
    page = paths[3].read_text()
    assert "http:" not in page and "https:" not in page and "&lt;&amp;&gt;" in page
    body = page[page.index("<body>"):page.index("</html>")]
    plots = {svg.get("id"): svg for svg in xml.etree.ElementTree.fromstring(body).iter("svg")}
    assert set(plots) == {"throughput", "latency", "stages"}
    for plot in plots.values():
        assert len(list(plot.iter("polyline"))) + len(list(plot.iter("rect"))) >= 3
    lines = [line for line in paths[4].read_text().splitlines() if line[0] != "#"]
    assert any(line.startswith('penstock_bench_gib_per_s{command="decode",variant="decode",'
                               'label="a \\"label\\" <&>"} ') for line in lines)


def test_whole_passes_tell_the_first_and_the_last_done(bench, s3_server, data):
    server = s3_server(data, "--rate-total-mbps", "400")
    _, result = bench("read", "s3://bytes/", "--epochs", "1", "--repeats", "1", env=server.env)
    figures = result["variants"][0]["repeats"][0]["figures"]
    assert figures["bytes"] == 16 << 20
    assert figures["first_done_s"] < figures["last_done_s"]
    assert figures["gb_per_s"] * figures["measured_s"] * 1e9 == pytest.approx(16 << 20)


def test_start_compares_pipe_file_and_fifo(bench, s3_server, data, tmp_path):
    server = s3_server(data, "--rate-total-mbps", "400", "--latency-ms", "10")
    said, result = bench("start", "s3://csv/", "--content-type", "text/csv", "--repeats", "2",
                         "--dir", tmp_path, "--batch-size", "100", env=server.env)
    pipe, file, fifo = (variant["summary"] for variant in result["variants"])
    assert [variant["name"] for variant in result["variants"]] == ["pipe", "file", "fifo"]
    assert pipe["first_batch_s"]["median"] < file["download_s"]["median"]
    assert file["download_s"]["median"] < file["first_batch_s"]["median"]
    assert pipe["first_object_s"]["min"] >= 0.01 and "all is downloaded" in said
    for figure in ("first_byte_s", "first_record_s", "first_batch_s"):
        assert 0.01 < fifo[figure]["median"] < file["download_s"]["median"]
    assert 0.01 <= fifo["first_object_s"]["min"] <= fifo["first_connection_s"]["min"]
    said, step = bench("start", "s3://csv/", "--repeats", "1", "--dir", tmp_path, *MODEL,
                       env=server.env)
    assert "first batch on device" in said and len(step["variants"]) == 3
    for number in range(3):
        assert (median(step, "first_batch_s", number) <= median(step, "first_on_device_s", number)
                <= median(step, "first_step_s", number))
    _, alone = bench("start", "s3://csv/", "--modes", "pipe", "--repeats", "1", env=server.env)
    assert [variant["name"] for variant in alone["variants"]] == ["pipe"]
    assert [entry for entry in os.listdir(tmp_path) if entry.startswith("penstock-bench")] == []


def test_a_sweep_has_a_grid(bench, s3_server, data, tmp_path):
    """What it finds: tests/integration/test_bench_truth.py."""
    server = s3_server(data, "--rate-total-mbps", "160")
    page = tmp_path / "sweep.html"
    said, result = bench("sweep", "s3://bytes/", "--grid", "1,4x128KiB,1MiB", "--seconds", "0.2",
                         "--warmup-s", "0.1", "--repeats", "2", "--report", page, env=server.env)
    assert "0.125 MiB" in said and "1 MiB" in said and 'id="grid"' in page.read_text()
    assert f"recommended: {result['recommended']}\n" in said
    assert re.fullmatch(r"--connections [14] --part-size (128|1024)KiB", result["recommended"])


@pytest.mark.plain_build
def test_values_of_an_option_in_turn(bench, s3_server, data):
    """Eight connections carry twice what four do, and --vary is sure of it."""
    server = s3_server(data, "--rate-mbps", "20")
    said, result = bench("read", "s3://bytes/", "--vary", "connections=4,8", *SMALL_PARTS,
                         "--seconds", "0.25", "--warmup-s", "0.1", "--repeats", "5", env=server.env)
    four, eight = result["variants"]
    assert (four["name"], eight["name"]) == ("connections=4", "connections=8")
    assert (four["connections"], len(eight["repeats"])) == (4, 5)
    rates = [v["summary"]["gib_per_s"]["median"] for v in (four, eight)]
    assert rates[1] / rates[0] == pytest.approx(2, rel=0.25)
    assert "99 % confidence" in said and "connections=8 is limited by: " in said


@pytest.mark.plain_build
def test_a_fifo_beside_bare_copies(bench, tmp_path):
    said, result = bench("fifo", "--bytes", "24MiB", "--repeats", "1", "--dir", tmp_path)
    names = [variant["name"] for variant in result["variants"]]
    assert names[:4] == ["memory, vmsplice", "memory, write", "stream in memory, pages",
                         "stream in memory, copied"] and len(names) == 8
    for number, name in enumerate(names):
        assert name in said and median(result, "gb_per_s", number) > 0
        assert median(result, "bytes", number) == (24 << 20) * (1 if number < 4 else 4)
    assert os.listdir(tmp_path) == ["bench.json"]


@pytest.mark.plain_build
def test_decoders_beside_their_references(run_penstock):
    """Of one round, so that nothing is said of speed."""
    done = run_penstock(["bench", "formats", "image", "--rounds", "1"]).ok()
    assert done.stdout.startswith("== image: ") and "libjpeg" in done.stdout
    assert "holds " in done.stdout or "MISSED" in done.stdout
    for words, why in ((["flac"], "there is no format 'flac'"), (["--rounds", "0"], "--rounds is 1"),
                       (["--json", "-"], "it takes --rounds N alone")):
        refused = run_penstock(["bench", "formats", *words])
        assert refused.rc == 2 and why in refused.stderr and refused.stdout == ""


# ---- cmp ----


@pytest.fixture(scope="module")
def measured(run_penstock, data):
    path = data / "measured.json"
    run_penstock(["bench", "read", data / "bytes", "--bytes", "200MB", "--warmup-s", "0",
                  "--memory-limit", "16MiB", "--repeats", "5", "--quiet", "--json", path]).ok()
    return json.loads(path.read_text())


def with_rates(result, rates):
    other = copy.deepcopy(result)
    for repeat, rate in zip(other["variants"][0]["repeats"], rates):
        repeat["figures"] = {"gib_per_s": rate, "cpu_s_per_gib": 1 / rate}
    return other


@pytest.mark.parametrize("rates, rc, verdict", [
    ([1.00, 1.02, 0.98, 1.01, 0.99], 0, "no change"),
    ([0.99, 1.03, 1.00, 0.97, 1.01], 0, "no change"),
    ([0.90, 0.92, 0.88, 0.91, 0.89], 1, "changed for the worse"),
    ([1.10, 1.12, 1.08, 1.11, 1.09], 0, "changed for the better"),
    ([0.90, 0.92], 0, "too few repeats to tell"),
])
def test_cmp_tells_a_change_from_noise(run_penstock, measured, tmp_path, rates, rc, verdict):
    a, b = tmp_path / "a.json", tmp_path / "b.json"
    before = with_rates(measured, [1.00, 1.02, 0.98, 1.01, 0.99])
    after = with_rates(measured, rates)
    after["variants"][0]["repeats"] = after["variants"][0]["repeats"][:len(rates)]
    a.write_text(json.dumps(before))
    b.write_text(json.dumps(after))
    done = run_penstock(["bench", "cmp", a, b])
    assert (done.rc, done.stdout.splitlines()[-1]) == (rc, verdict), done.stdout
    assert run_penstock(["bench", "cmp", a, b]).stdout == done.stdout


def test_cmp_of_a_run_with_itself_and_of_no_runs(run_penstock, measured, tmp_path):
    whole = tmp_path / "whole.json"
    whole.write_text(json.dumps(measured))
    same = run_penstock(["bench", "cmp", whole, whole, "--all"]).ok()
    assert same.stdout.splitlines()[-1] == "no change"
    for text, word in (("{", "bad.json"), ("{}", "no file of penstock bench"), (None, "bad.json")):
        bad = tmp_path / "bad.json"
        bad.unlink(missing_ok=True)
        if text is not None:
            bad.write_text(text)
        done = run_penstock(["bench", "cmp", whole, bad])
        assert done.rc == 1 and word in done.stderr


def test_metrics_can_be_asked_for_meanwhile(penstock, data, tmp_path):
    words = [penstock, "bench", "read", data / "bytes", "--seconds", "30", "--memory-limit", "16MiB",
             "--metrics", ":0"]
    with started(words) as process:
        said = process.stderr.readline()
        url = f"http://127.0.0.1:{said.rsplit(None, 1)[1]}/metrics"
        received = []
        for _ in range(2):
            time.sleep(0.5)
            with urllib.request.urlopen(url, timeout=10) as answer:
                assert answer.headers["Content-Type"] == "text/plain; version=0.0.4"
                lines = dict(line.split() for line in answer.read().decode().splitlines()
                             if line[0] != "#")
            received.append(float(lines['penstock_bytes_received_total{channel="bench"}']))
        assert 0 < received[0] < received[1]
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
    assert process.returncode == 130


# ---- how it fails ----


def test_bad_input(run_penstock, s3_server, data, tmp_path):
    env = s3_server(data).env
    for words, rc, word in (
        (["read", "s3://empty/"], 1, "channel bench is empty"),
        (["read", "s3://absent/"], 1, "absent"),
        (["read", "s3://bytes/", "--shard", "5/9"], 1, "no object in this shard"),
        (["read", "s3://bytes/", "--require", "speed<2s"], 2, "there is no figure 'speed'"),
        (["read", "s3://bytes/", "--require", "first_batch<2GiB"], 2, "needs a number"),
        (["read", "s3://bytes/", "--require", "first_batch=2s"], 2, "has no < or >"),
        (["read", "s3://bytes/", "--report", tmp_path / "no/such.html"], 1, "cannot write"),
        (["decode", "s3://csv/"], 2, "decode needs --content-type"),
        (["train", "s3://csv/"], 2, "train needs --workload, --step-ms or --model"),
        (["train", "s3://csv/", *MODEL, "--step-ms", "5"], 2, "--model needs --content-type"),
        (["train", "s3://csv/", "--model", "linear-learner"], 2, "--model needs --content-type"),
        (["train", "s3://csv/", *MODEL[:2], "--model", "bert"], 2, "there is no model 'bert'"),
        (["train", "s3://csv/", *MODEL, "--hp", "epoch=3"], 2, "epoch"),
        (["train", "s3://csv/", *MODEL, "--device", "tpu"], 1, "tpu"),
        (["train", "s3://csv/", "--step-ms", "5", "--step-bytes", "1MB", "--device", "cpu"], 2, "are of --model"),
        (["read", "s3://csv/", "--model", "linear-learner"], 2, "--model is train's and start's"),
        (["train", "s3://bytes/", *MODEL], 1, "part-0"),
        (["train", "s3://csv/", "--workload", "bert"], 2, "is not unet3d, resnet50 or cosmoflow"),
        (["read", "s3://csv/", "--step-ms", "5"], 2, "are train's"),
        (["decode", "s3://bytes/", "--content-type", "text/csv"], 1, "part-0"),
        (["sweep", "s3://bytes/", "--grid", "8,4x1MiB"], 1, "--grid"),
        (["start", "s3://csv/", "--modes", "pipe,tape"], 2, "--modes is"),
        (["read", "s3://csv/", "--vary", "io=uring"], 2, "--vary is"),
        (["read", "s3://csv/", "--vary", "connections=4,many"], 2, "--vary is"),
        (["read", "s3://csv/", "--metrics", "nowhere:80"], 1, "is not [IPv4 ADDRESS]:PORT"),
        (["start", "s3://absent/", "--modes", "fifo"], 1, "NoSuchBucket"),
        (["fifo", "s3://csv/"], 2, "fifo makes its own data"),
        (["fifo", "--dir", tmp_path / "absent"], 1, "cannot make a directory in"),
        (["read"], 2, "no URI"),
        (["fly", "s3://bytes/"], 2, "there is no command 'fly'"),
    ):
        done = run_penstock(["bench", *words], env=env)
        assert (done.rc, word in done.stderr) == (rc, True), (words, done.stderr)
    done = run_penstock(["bench", "read", data / "bytes", "--bytes", "200MB", "--warmup-s", "0",
                         "--repeats", "1", "--require", "gib_per_s>1e9,records_per_s>1"])
    assert done.rc == 1 and "not met: gib_per_s>1e9: gib_per_s is" in done.stderr
    assert "records_per_s was not measured" in done.stderr and "limited by" in done.stdout


@pytest.fixture
def nowhere():
    """The environment of an endpoint that refuses connections."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    return {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}", "AWS_ACCESS_KEY_ID": "a",
            "AWS_SECRET_ACCESS_KEY": "b"}


@pytest.mark.plain_build
def test_an_endpoint_that_is_not_there(run_penstock, nowhere):
    """Refused connections are tried again for a quarter of a minute."""
    done = run_penstock(["bench", "read", "s3://bytes/"], env=nowhere)
    assert (done.rc, done.stdout) == (1, "")
    said = done.stderr.splitlines()[-1]
    assert "listing s3://bytes/ failed after" in said and nowhere["AWS_ENDPOINT_URL"] in said


def test_an_interrupt_while_nothing_comes(penstock, nowhere):
    """There is nothing to tell."""
    with started([penstock, "bench", "read", "s3://bytes/"], nowhere) as process:
        time.sleep(0.7)
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=30)
    assert (process.returncode, said) == (130, "")


def test_progress_is_one_line_on_a_terminal(penstock, data):
    """And a line for each 10 s elsewhere; none with --quiet."""
    words = [penstock, "bench", "read", data / "bytes", "--seconds", "1.5", "--warmup-s", "0",
             "--repeats", "1", "--memory-limit", "16MiB"]

    def stderr_of(*more):
        ours, theirs = pty.openpty()
        subprocess.run([str(word) for word in (*words, *more)], env=clean_env(), check=True,
                       stdout=subprocess.DEVNULL, stderr=theirs, timeout=60)
        os.set_blocking(ours, False)
        os.close(theirs)
        try:
            return os.read(ours, 1 << 16).decode()
        except OSError:
            return ""
        finally:
            os.close(ours)

    shown = re.findall(r"\r(read, repeat 1 of 1: measuring, \d\.\d s, \d+\.\d+ GiB/s, \d+ requests,"
                       r" 0 retries)\033\[K", said := stderr_of())
    assert len(shown) >= 2 and "\n" not in said and said.endswith("\r\033[K")
    assert stderr_of("--quiet") == ""


def interrupted(words, env, when):
    """What a command printed that was interrupted as soon as when() was true."""
    with started(words, env, stderr=subprocess.DEVNULL) as process:
        for _ in range(3000):
            if when() or process.poll() is not None:
                break
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted: what was measured until then\n" in said
    return said


def test_an_interrupted_sweep_recommends_of_what_there_is(penstock, s3_server, data):
    """Each cell lists the objects first: in the third two are done."""
    server = s3_server(data, "--rate-total-mbps", "160")
    said = interrupted([penstock, "bench", "sweep", "s3://bytes/", "--grid", "1x128KiB,256KiB,512KiB",
                        "--seconds", "0.3", "--warmup-s", "0.1"], server.env,
                       lambda: sum("list-type=2" in line for line in server.log()) >= 3)
    assert "0.125 MiB" in said and "0.25 MiB" in said
    assert re.search(r"^recommended: --connections 1 --part-size \d+KiB$", said, re.M)


def test_an_interrupted_start_leaves_no_files(penstock, s3_server, data, tmp_path):
    server = s3_server(data, "--rate-total-mbps", "40")
    said = interrupted([penstock, "bench", "start", "s3://bytes/", "--modes", "pipe,file", "--dir",
                        tmp_path, "--repeats", "1"], server.env,
                       lambda: list(tmp_path.glob("penstock-bench-*/*")))
    assert "first batch" in said
    assert list(tmp_path.glob("penstock-bench*")) == []


def test_an_interrupt_prints_what_there_is(penstock, data, tmp_path):
    out = tmp_path / "bench.json"
    words = [penstock, "bench", "read", data / "bytes", "--seconds", "60", "--warmup-s", "0",
             "--memory-limit", "16MiB", "--json", out]
    with started(words) as process:
        time.sleep(1.5)
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "interrupted: what was measured until then" in said and "limited by: " in said
    result = json.loads(out.read_text())
    assert result["interrupted"] and not result["variants"][0]["repeats"][0]["complete"]
    assert result["variants"][0]["repeats"][0]["figures"]["gib_per_s"] > 0
