# SPDX-License-Identifier: Apache-2.0
"""tests/integration/test_train.py - `penstock train` as a user meets it: the same model from files
and S3 under every setting, metric lines, refusals, interruption, a full disk.
"""

import json
import os
import pty
import re
import signal
import subprocess
import time

import numpy
import pytest
from conftest import clean_env, started

SOFTMAX = ["--hp", "predictor_type=multiclass_classifier", "--hp", "num_classes=10"]
CSV = ["--content-type", "text/csv;label_size=1"]
WEIGHTS = "model.safetensors"


def command(*options):
    return ["train", "--algorithm", "linear-learner", *options]


def write_rows(path, rows):
    path.write_text("".join(",".join(str(field) for field in row) + "\n" for row in rows))
    return path


@pytest.fixture
def digits(tmp_path):
    """1,000 rows of ten separable classes in four objects, label first."""
    draw = numpy.random.default_rng(3)
    labels = draw.integers(0, 10, 1000)
    features = numpy.eye(10)[labels] * 4 + draw.normal(size=(1000, 10))
    folder = tmp_path / "digits"
    folder.mkdir()
    for shard in range(4):
        part = slice(shard * 250, shard * 250 + 250)
        rows = [[k, *numpy.round(x, 3)] for k, x in zip(labels[part], features[part])]
        write_rows(folder / f"part-{shard}.csv", rows)
    return folder


# --- the same model, whatever the way -------------------------------------------------------------


def fashion_run(run_penstock, where, model, *options, epochs=5, env=None):
    out = run_penstock(
        command("--train", f"{where}/train", "--test", f"{where}/test", *SOFTMAX)
        + ["--hp", f"epochs={epochs}", "--hp", "learning_rate=0.002", "--model-dir", model, *options],
        env=env,
        timeout=120,
    ).ok()
    return out.stdout, (model / WEIGHTS).read_bytes()


@pytest.mark.plain_build
def test_fashion_is_learnt(run_penstock, fashion, tmp_path):
    stdout, _ = fashion_run(run_penstock, fashion.root, tmp_path / "model", "--device", "cpu")
    found = re.search(r"#quality_metric: host=\S+, test multiclass_accuracy <score>=(\S+)", stdout)
    assert float(found[1]) >= 0.835


@pytest.mark.plain_build
def test_the_model_is_equal_from_files_and_s3(run_penstock, fashion, s3_server, tmp_path):
    _, first = fashion_run(
        run_penstock, fashion.root, tmp_path / "first", "--device", "cpu", epochs=1
    )
    server = s3_server(fashion.root)
    ways = [
        (fashion.root, ["--decode-threads", "1"]),
        (fashion.root, ["--io", "epoll", "--decode-threads", "4"]),
        (fashion.root, ["--device", "delayed", "--memory-limit", "96MiB"]),
        ("s3:/", ["--io", "epoll", "--decode-threads", "1"]),
        ("s3:/", ["--decode-threads", "4", "--connections", "3", "--part-size", "1MiB"]),
    ]
    for number, (where, options) in enumerate(ways):
        if "delayed" not in options:
            options = [*options, "--device", "cpu"]
        _, weights = fashion_run(
            run_penstock, where, tmp_path / str(number), *options, epochs=1, env=server.env
        )
        assert weights == first, f"{where} {options}"


def test_cuda_device_learns_the_same_within_tolerance(run_penstock, fashion, tmp_path):
    options = command("--train", f"{fashion.root}/train", "--device", "cuda", *SOFTMAX)
    probe = run_penstock([*options, "--hp", "epochs=1"])
    if "device cuda cannot be used" in probe.stderr:
        pytest.skip(probe.stderr.strip())
    models = {}
    for device in ("cpu", "cuda"):
        stdout, _ = fashion_run(
            run_penstock, fashion.root, tmp_path / device, "--device", device
        )
        assert f"device: {device}" in stdout
        with numpy.load(tmp_path / device / "model.npz") as model:
            models[device] = model["weights"]
        accuracy = re.search(r"test multiclass_accuracy <score>=(\S+)", stdout)
        assert float(accuracy[1]) >= 0.835
    difference = numpy.abs(models["cpu"] - models["cuda"]).max()
    assert difference <= 1e-3 * numpy.abs(models["cpu"]).max()


def test_shuffled_order_depends_on_the_seed_alone(run_penstock, digits, tmp_path):
    weights = {}
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        model = tmp_path / name
        run_penstock(
            command("--train", digits, *CSV, *SOFTMAX, "--hp", "epochs=3", "--shuffle-seed", seed)
            + ["--hp", "mini_batch_size=50", "--model-dir", model, "--device", "cpu"]
        ).ok()
        weights[name] = (model / WEIGHTS).read_bytes()
    assert weights["a"] == weights["b"] != weights["c"]


def test_shards_share_the_rows(run_penstock, digits, tmp_path):
    rows = []
    for shard in ("0/3", "1/3", "2/3"):
        metrics = tmp_path / "metrics.json"
        run_penstock(
            command("--train", digits, *CSV, *SOFTMAX, "--hp", "epochs=1", "--shard", shard)
            + ["--validation", digits, "--metrics-json", metrics]
        ).ok()
        epoch = json.loads(metrics.read_text())["epochs"][0]
        rows.append(epoch["train"]["rows"])
        assert epoch["validation"]["rows"] == 1000  # read whole
    assert sum(rows) == 1000 and max(rows) == 500
    empty = run_penstock(command("--train", digits, *CSV, *SOFTMAX, "--shard", "5/6"))
    assert empty.rc == 1
    assert "shard 5 of 6 of the training channel holds no rows" in empty.stderr


# --- what is printed ------------------------------------------------------------------------------

# The patterns of the developer guide, verbatim, with the names that SageMaker gives them.
PATTERNS = {
    "train:objective_loss": r"#quality_metric: host=\S+, epoch=\S+, train \S+_objective <loss>=(\S+)",
    "validation:objective_loss": r"#quality_metric: host=\S+, epoch=\S+, validation \S+_objective <loss>=(\S+)",
    "train:throughput": r"#throughput_metric: host=\S+, train throughput=(\S+) records/second",
    "train:progress": r"#progress_metric: host=\S+, completed (\S+) %",
}
BINARY_ACCURACY = r"#quality_metric: host=\S+, validation binary_classification_accuracy <score>=(\S+)"
MSE = r"#quality_metric: host=\S+, test mse <loss>=(\S+)"


def test_metric_lines_match_sagemakers_patterns(run_penstock, tmp_path):
    draw = numpy.random.default_rng(1)
    x = draw.normal(size=(300, 2))
    binary = write_rows(tmp_path / "binary.csv", [[int(a > b), a, b] for a, b in x])
    real = write_rows(tmp_path / "real.csv", [[3 * a - b + 7, a, b] for a, b in x])
    common = [*CSV, "--hp", "epochs=3", "--hp", "mini_batch_size=10", "--hp", "learning_rate=0.02"]
    out = run_penstock(
        command("--train", binary, "--validation", binary, *common)
        + ["--hp", "predictor_type=binary_classifier", "--quiet"]
    ).ok()
    for name, pattern in PATTERNS.items():
        found = re.findall(pattern, out.stdout)
        assert len(found) == 3, name
        assert all(numpy.isfinite(float(value)) for value in found), name
    assert re.findall(PATTERNS["train:progress"], out.stdout)[-1] == "100.0"
    losses = [float(v) for v in re.findall(PATTERNS["train:objective_loss"], out.stdout)]
    assert losses[0] > losses[1] > losses[2]
    assert float(re.search(BINARY_ACCURACY, out.stdout)[1]) > 0.9
    assert all(line.startswith("#") for line in out.stdout.splitlines())  # --quiet
    metrics = [json.loads(m) for m in re.findall(r"^#metrics (.*)$", out.stdout, re.M)]
    assert [m["Dimensions"]["epoch"] for m in metrics] == ["0", "1", "2"]
    assert metrics[2]["Metrics"]["Total Records Seen"] == {"sum": 900, "count": 1, "min": 900, "max": 900}
    assert metrics[2]["Metrics"]["Max Records Seen Between Resets"]["max"] == 300
    assert metrics[1]["EndTime"] >= metrics[1]["StartTime"] > 1.7e9

    out = run_penstock(
        command("--train", real, "--test", real, *common, "--hp", "predictor_type=regressor")
    ).ok()
    assert float(re.search(MSE, out.stdout)[1]) < 0.5
    lines = out.stdout.splitlines()
    assert lines[0].startswith("device: ")
    assert re.match(r"io: (uring|epoll): .+", lines[1])
    assert sum(bool(re.match(r"epoch [123]/3: 300 rows in ", line)) for line in lines) == 3
    assert "data: first batch after " in out.stdout


def test_device_line_says_why_the_cpu_was_taken(run_penstock, digits):
    options = command("--train", digits, *CSV, *SOFTMAX, "--hp", "epochs=1")
    out = run_penstock(options, env={"PENSTOCK_CUDA_PLUGIN": "/nonexistent.so"}).ok()
    device = [line for line in out.stdout.splitlines() if line.startswith("device")]
    assert len(device) == 1
    assert re.fullmatch(r"device: cpu \(OpenBLAS, \d+ threads?\): the CUDA plug-in cannot be .*", device[0])
    out = run_penstock([*options, "--device", "cuda"], env={"PENSTOCK_CUDA_PLUGIN": "/nonexistent.so"})
    assert out.rc == 1
    assert out.stderr.startswith("penstock train: device cuda cannot be used: the CUDA plug-in")


def test_metrics_file_holds_what_was_measured(run_penstock, digits, tmp_path):
    path = tmp_path / "metrics.json"
    run_penstock(
        command("--train", digits, "--test", digits, *CSV, *SOFTMAX, "--hp", "epochs=4")
        + ["--metrics-json", path, "--device", "cpu", "--io", "epoll"]
    ).ok()
    metrics = json.loads(path.read_text())
    assert metrics["device"] == "cpu"
    assert metrics["rows"] == 4000
    assert len(metrics["epochs"]) == 4
    assert metrics["test"]["rows"] == 1000
    assert 0 < metrics["test"]["multiclass_accuracy"] <= 1
    stream = metrics["stream"]
    assert stream["io_backend"] == "epoll"
    assert stream["objects_listed"] == 4
    assert stream["records"] == 4000
    assert 0 < stream["first_batch_s"] <= metrics["seconds"]


def test_progress_line_appears_on_a_terminal_only(penstock, digits):
    args = [penstock, *command("--train", digits, *CSV, *SOFTMAX, "--hp", "mini_batch_size=1")]
    terminal, stderr = pty.openpty()
    done = subprocess.run(
        [str(a) for a in args + ["--hp", "epochs=30"]],
        env=clean_env(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=stderr,
        timeout=60,
        check=True,
    )
    os.close(stderr)
    shown = os.read(terminal, 65536).decode()
    os.close(terminal)
    assert re.search(r"\r\x1b\[Kepoch \d+/30  \d+ rows  \d+ rows/s  [\d.]+ GB/s", shown)
    assert b"\r" not in done.stdout


# --- refusals -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options, message",
    [
        (["--hp", "epoch=3"], "hyperparameter 'epoch' is unknown: the nearest name is 'epochs'"),
        (["--hp", "epochs=many"], "hyperparameter epochs: 'many' is not a whole number from 1"),
        (["--hp", "num_classes=1"], "hyperparameter num_classes: '1' is not a whole number from 2"),
        (["--shard", "3/3"], "--shard: '3/3' is not H/N with H from 0 to N - 1"),
        (["--memory-limit", "lots"], "--memory-limit: 'lots' is not a size such as 64MiB or 1GiB"),
        (["--connections", "0"], "--connections: '0' is not a whole number from 1"),
        (["--sample", "0.5"], "--sample: '0.5' is not FROM-TO with 0 <= FROM < TO <= 1"),
        (["--last-batch", "pad"], "--last-batch: 'pad' is not keep or drop"),
        (["--algorithm", "xgboost"], "--algorithm: 'xgboost' is none of: linear-learner"),
        (["--no-such-option"], "unrecognized option '--no-such-option'"),
        (["stray"], "'stray' is not an option"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_usage_errors_exit_with_2(run_penstock, digits, options, message):
    out = run_penstock(command("--train", digits, *CSV, *SOFTMAX, *options))
    assert out.rc == 2
    assert f"penstock train: {message}" in out.stderr
    assert out.stdout == ""


def test_what_is_missing_is_named(run_penstock):
    for options, message in [
        ([], "--algorithm is required: one of linear-learner"),
        (command(), "--train URI is required"),
        (command("--train", "x"), "hyperparameter predictor_type is required"),
    ]:
        out = run_penstock(options or ["train"])
        assert out.rc == 2 and message in out.stderr


def refused(run_penstock, *options, env=None):
    out = run_penstock(command(*options), env=env)
    assert out.rc == 1
    assert out.stderr.startswith("penstock train: ")
    assert out.stderr.count("\n") == 1
    return out.stderr


def test_a_bad_label_is_named_with_its_row(run_penstock, tmp_path):
    rows = [[i % 10, 0.5, i] for i in range(2500)]
    rows[1234][0] = 10
    data = write_rows(tmp_path / "a.csv", rows)
    said = refused(run_penstock, "--train", data, *CSV, *SOFTMAX)
    assert "channel train, epoch 0, row 1234 (the first row is 0): the label is 10, " in said
    assert "not a whole number from 0 to 9 (num_classes - 1)" in said
    rows[1234][0] = 0.5
    write_rows(data, rows)
    assert "row 1234 (the first row is 0): the label is 0.5" in refused(
        run_penstock, "--train", data, *CSV, *SOFTMAX
    )
    good = write_rows(tmp_path / "good.csv", rows[:1000])
    said = refused(run_penstock, "--train", good, "--validation", data, *CSV, *SOFTMAX)
    assert "channel validation, epoch 0, row 1234" in said


def test_channels_that_do_not_fit_are_refused(run_penstock, digits, tmp_path):
    other = write_rows(tmp_path / "other.csv", [[1, 2, 3], [0, 1, 1]])
    said = refused(run_penstock, "--train", digits, "--test", other, *CSV, *SOFTMAX)
    assert "the test channel has 2 features, the training channel 10" in said
    said = refused(run_penstock, "--train", digits, "--content-type", "text/csv;label_size=0", *SOFTMAX)
    assert "the train channel has no labels" in said
    said = refused(
        run_penstock,
        *("--train", digits, "--validation", digits, *CSV, *SOFTMAX),
        *("--validation-content-type", "text/csv;label_size=0"),
    )
    assert "the validation channel has 11 features" in said
    said = refused(run_penstock, "--train", digits, *CSV, *SOFTMAX, "--hp", "feature_dim=11")
    assert "11" in said and "10" in said


def test_what_a_model_cannot_take_is_said(run_penstock, tmp_path):
    lines = tmp_path / "a.jsonl"
    lines.write_text('{"y": 1, "x": [1, 2], "t": "text"}\n' * 20)
    content_type = "application/jsonlines;label=y;features=x;text=t"
    said = refused(run_penstock, "--train", lines, "--content-type", content_type, *SOFTMAX)
    assert "the train channel holds texts, and linear-learner takes nothing but dense float32" in said


def test_bad_records_are_left_out_and_told(run_penstock, digits, tmp_path):
    want = run_penstock(
        command("--train", digits, *CSV, *SOFTMAX, "--model-dir", tmp_path / "want")
    ).ok()
    assert "were bad" not in want.stderr
    lines = (digits / "part-1.csv").read_text().splitlines()
    lines[100:100] = ["no,number", "1,2,3"]
    (digits / "part-1.csv").write_text("\n".join(lines) + "\n")
    said = refused(run_penstock, "--train", digits, *CSV, *SOFTMAX)
    assert "part-1.csv" in said and "record at byte" in said
    out = run_penstock(
        command("--train", digits, *CSV, *SOFTMAX, "--model-dir", tmp_path / "model")
        + ["--bad-records", "warn", "--metrics-json", tmp_path / "metrics.json"]
    ).ok()
    assert (tmp_path / "model" / WEIGHTS).read_bytes() == (tmp_path / "want" / WEIGHTS).read_bytes()
    stream = json.loads((tmp_path / "metrics.json").read_text())["stream"]
    epochs = stream["records_bad"] // 2
    assert stream["records_bad"] == 2 * epochs >= 2 and stream["records"] == 1000 * epochs
    said = f"warning: {2 * epochs} of {1002 * epochs} records of the train channel were bad and left out"
    assert said in out.stdout + out.stderr
    assert out.stderr.count("is left out: channel train: ") == 2 * epochs
    said = refused(
        run_penstock, "--train", digits, *CSV, *SOFTMAX, "--bad-records", "skip", "--max-bad", "1"
    )
    assert "2 of the epoch's first 352 records are bad, and bad_records_max is 1" in said


def test_samples_split_one_prefix(run_penstock, digits, tmp_path):
    metrics = tmp_path / "metrics.json"
    run_penstock(
        command("--train", digits, "--validation", digits, *CSV, *SOFTMAX, "--hp", "epochs=2")
        + ["--sample", "0-0.8", "--validation-sample", "0.8-1", "--sample-seed", "7"]
        + ["--shuffle-seed", "1", "--shuffle-rows", "500", "--metrics-json", metrics]
    ).ok()
    epochs = json.loads(metrics.read_text())["epochs"]
    for epoch in epochs:
        assert epoch["train"]["rows"] + epoch["validation"]["rows"] == 1000
        assert 150 < epoch["validation"]["rows"] < 250


def test_missing_data_is_named(run_penstock, digits, tmp_path):
    missing = tmp_path / "nothing-here"
    assert str(missing) in refused(run_penstock, "--train", missing, *CSV, *SOFTMAX)
    said = refused(run_penstock, "--train", digits, "--test", missing, *CSV, *SOFTMAX)
    assert str(missing) in said


def test_divergence_is_an_error(run_penstock, digits, tmp_path):
    said = refused(
        run_penstock,
        *("--train", digits, *CSV, *SOFTMAX, "--hp", "optimizer=sgd", "--hp", "learning_rate=1e6"),
        *("--hp", "wd=1000", "--hp", "mini_batch_size=10", "--model-dir", tmp_path / "model"),
    )
    assert "is not a finite number: lower the learning rate" in said and "learning rate 1e+06" in said
    assert list((tmp_path / "model").iterdir()) == []


def test_values_that_are_not_finite_are_named(run_penstock, tmp_path):
    data = write_rows(tmp_path / "a.csv", [[0, 1, 2], [1, 1, "nan"]])
    said = refused(run_penstock, "--train", data, *CSV, *SOFTMAX)
    assert "feature column 1 holds values that are not finite numbers" in said


# --- files that appear whole or not at all --------------------------------------------------------


def test_a_full_disk_is_an_error_and_leaves_nothing(penstock, digits, tmp_path):
    model = tmp_path / "model"
    wide = write_rows(tmp_path / "wide.csv", [[i % 10] + [i * j % 7 for j in range(1000)] for i in range(50)])
    args = [penstock, *command("--train", wide, *CSV, *SOFTMAX, "--hp", "epochs=1")]
    args += ["--model-dir", model]
    done = subprocess.run(
        ["bash", "-c", 'ulimit -f 8; exec "$@"', "bash", *(str(a) for a in args)],
        env=clean_env(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert done.stderr == f"penstock train: cannot write {model}/model.safetensors: File too large\n"
    assert list(model.iterdir()) == []


def test_an_unusable_model_directory_is_refused_before_training(run_penstock, digits, tmp_path):
    taken = write_rows(tmp_path / "taken", [[1]])
    out = run_penstock(command("--train", digits, *CSV, *SOFTMAX, "--model-dir", taken))
    assert out.rc == 1 and out.stdout == ""
    assert out.stderr == f"penstock train: {taken} is not a directory\n"
    out = run_penstock(
        command("--train", digits, *CSV, *SOFTMAX, "--metrics-json", tmp_path / "no/such/file")
    )
    assert out.rc == 1 and out.stdout == ""
    assert "cannot write" in out.stderr and "No such file or directory" in out.stderr


@pytest.mark.parametrize("number, rc", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("source", ["file", "s3"])
def test_a_signal_ends_the_run_and_leaves_nothing(penstock, digits, s3_server, tmp_path, source, number, rc):
    model = tmp_path / "model"
    env, uri = {}, digits
    if source == "s3":
        env, uri = s3_server(digits.parent).env, "s3://digits/part"
    args = [penstock, *command("--train", uri, *CSV, *SOFTMAX, "--hp", "epochs=1000000")]
    with started([*args, "--model-dir", model], env) as process:
        while not process.stdout.readline().startswith("epoch 3/"):
            assert process.poll() is None
        process.send_signal(number)
        sent = time.monotonic()
        _, stderr = process.communicate(timeout=20)
    assert process.returncode == rc
    assert stderr == f"penstock train: stopped by signal {int(number)} before the end; no model was written\n"
    assert list(model.iterdir()) == []
    assert time.monotonic() - sent < 10  # one second, on a machine that is not busy
