# SPDX-License-Identifier: Apache-2.0
"""tests/integration/test_train_bad_input.py - what `penstock train` refuses, of every algorithm: the last
line says what and where, the exit code is 1, and nothing half-written stays.
"""

import json
import os
import re
import subprocess

import pytest
from conftest import clean_env

CSV = "text/csv;label_size=1"
BINARY = ["predictor_type=binary_classifier"]
ALGORITHMS = {
    "linear-learner": BINARY,
    "factorization-machines": [*BINARY, "num_factors=2", "feature_dim=6"],
    "mlp": BINARY,
    "image-classification": ["num_classes=2", "image_shape=1,2,3", "num_layers=8", "num_filters=2"]
    + ["num_training_samples=200"],
    "kmeans": ["k=2"],
    "pca": ["num_components=2"],
}
LABELLED = ("linear-learner", "factorization-machines", "mlp", "image-classification")
OPTIONS = ["--content-type", CSV, "--device", "cpu", "--hp", "mini_batch_size=20"]


def write_rows(path, columns=6, **changes):
    """200 rows of two classes; changes name rows: row_30="7,1,2,...". """
    rows = [",".join(map(str, [k % 2, *((k * 7 + c * c) % 11 for c in range(columns))])) for k in range(200)]
    for row, text in changes.items():
        rows[int(row.removeprefix("row_"))] = text
    path.write_text("\n".join(rows) + "\n")
    return path


@pytest.fixture
def good(tmp_path):
    return write_rows(tmp_path / "good.csv")


def arguments(algorithm, *options):
    args = ["train", "--algorithm", algorithm, *OPTIONS]
    for assignment in ALGORITHMS[algorithm]:
        args += ["--hp", assignment]
    return [*args, *options]


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def refused(run_penstock, args, message, model):
    """One line, whole; a model of an earlier run stays as it was."""
    model.mkdir(exist_ok=True)
    before = contents(model)
    out = run_penstock([*args, "--model-dir", model])
    assert (out.rc, out.stderr) == (1, f"penstock train: {message}\n")
    assert contents(model) == before


# --- data -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "algorithm, channel", [("mlp", "test"), *((name, "validation") for name in ALGORITHMS)]
)
def test_channels_of_other_features(run_penstock, good, tmp_path, algorithm, channel):
    other = write_rows(tmp_path / "other.csv", columns=5)
    message = f"the {channel} channel has 5 features, the training channel 6"
    if algorithm == "factorization-machines":
        message = f"channel {channel}: {other}, record at byte 0: the record has 5 features, the configuration says 6"
    args = arguments(algorithm, "--train", good, f"--{channel}", other)
    refused(run_penstock, args, message, tmp_path / "model")


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_features_that_the_hyperparameters_do_not_say(run_penstock, good, tmp_path, algorithm):
    message = f"channel train: {good}, record at byte 0: the record has 6 features, the configuration says 5"
    hyper = ["--hp", "feature_dim=5"]
    if algorithm == "image-classification":
        message = "the train channel's rows hold 6 values, and image_shape 1,2,4 has 8"
        hyper = ["--hp", "image_shape=1,2,4"]
    args = arguments(algorithm, *hyper, "--train", good)
    refused(run_penstock, args, message, tmp_path / "model")


@pytest.mark.parametrize("channel", ["train", "validation"])
@pytest.mark.parametrize("algorithm", LABELLED)
def test_labels_out_of_range(run_penstock, good, tmp_path, algorithm, channel):
    bad = write_rows(tmp_path / "bad.csv", row_30="7,1,2,3,4,5,6")
    wanted = "0 or 1"
    if algorithm == "image-classification":
        wanted = "a whole number from 0 to 1 (num_classes - 1)"
    message = f"channel {channel}, epoch 0, row 30 (the first row is 0): the label is 7, not {wanted}"
    channels = ["--train", bad] if channel == "train" else ["--train", good, "--validation", bad]
    refused(run_penstock, arguments(algorithm, *channels), message, tmp_path / "model")


@pytest.mark.parametrize("algorithm", ["linear-learner", "mlp", "factorization-machines"])
def test_a_label_of_a_regression_is_a_number(run_penstock, tmp_path, algorithm):
    bad = write_rows(tmp_path / "bad.csv", row_130="inf,1,2,3,4,5,6")
    args = arguments(algorithm, "--hp", "predictor_type=regressor", "--train", bad)
    for switch in ("normalize_data", "normalize_label"):  # else it is looked for in the first rows
        args += ["--hp", f"{switch}=false"] if algorithm != "factorization-machines" else []
    message = "channel train, epoch 0, row 130 (the first row is 0): the label is inf, not a finite number"
    refused(run_penstock, args, message, tmp_path / "model")


def test_a_loss_that_is_no_number_in_a_container(run_penstock, tmp_path):
    """The reason goes to output/failure, and nothing to model."""
    config = tmp_path / "ml/input/config"
    config.mkdir(parents=True)
    (tmp_path / "ml/input/data/train").mkdir(parents=True)
    (tmp_path / "ml/model").mkdir()
    write_rows(tmp_path / "ml/input/data/train/a.csv", row_130="1,1,2,nan,4,5,6")
    for name, value in {
        "hyperparameters": {"predictor_type": "binary_classifier", "normalize_data": "false"},
        "inputdataconfig": {"train": {"TrainingInputMode": "File", "ContentType": CSV}},
        "resourceconfig": {"current_host": "algo-1", "hosts": ["algo-1"]},
    }.items():
        (config / f"{name}.json").write_text(json.dumps(value))
    out = run_penstock(
        ["train", "--base", tmp_path / "ml", "--algorithm", "linear-learner", "--hp", "mini_batch_size=20"]
    )
    message = (
        "the loss of epoch 0 is not a finite number: lower the learning rate, or look for values in the "
        "data that are not finite (the model: "
    )
    assert out.rc == 1 and out.stderr.startswith(f"penstock train: {message}")
    failure = (tmp_path / "ml/output/failure").read_text()
    assert failure in out.stderr and failure.startswith(message)
    assert list((tmp_path / "ml/model").iterdir()) == []
    assert [path.name for path in (tmp_path / "ml/output").iterdir()] == ["failure"]


# --- checkpoints ----------------------------------------------------------------------------------


@pytest.mark.plain_build
@pytest.mark.parametrize("other", [name for name in ALGORITHMS if name != "mlp"])
def test_a_checkpoint_of_another_model(run_penstock, good, tmp_path, other):
    checkpoints = tmp_path / "checkpoints"
    kept = ["--train", good, "--checkpoint-dir", checkpoints]
    run_penstock(arguments(other, *kept)).ok()
    before = contents(checkpoints)
    (path,) = checkpoints.iterdir()
    message = (
        f"{path} is of a run with algorithm = '{other}', and this one has 'mlp': set it as it was, or give "
        "another --checkpoint-dir"
    )
    refused(run_penstock, arguments("mlp", *kept), message, tmp_path / "model")
    assert contents(checkpoints) == before


def test_a_checkpoint_of_other_features(run_penstock, good, tmp_path):
    wider = write_rows(tmp_path / "wider.csv", columns=7)
    checkpoints = tmp_path / "checkpoints"
    run_penstock(arguments("mlp", "--train", wider, "--checkpoint-dir", checkpoints)).ok()
    before = contents(checkpoints)
    (path,) = checkpoints.iterdir()
    message = (
        f"{path} is of a run with feature_dim = '7', and this one has '6': set it as it was, or give "
        "another --checkpoint-dir"
    )
    args = arguments("mlp", "--train", good, "--checkpoint-dir", checkpoints)
    refused(run_penstock, args, message, tmp_path / "model")
    assert contents(checkpoints) == before


# --- where the model goes -------------------------------------------------------------------------


def test_a_file_in_the_place_of_the_model_directory(run_penstock, good, tmp_path):
    taken = write_rows(tmp_path / "taken")
    args = arguments("linear-learner", "--train", good, "--model-dir")
    out = run_penstock([*args, taken])
    assert (out.rc, out.stdout, out.stderr) == (1, "", f"penstock train: {taken} is not a directory\n")
    out = run_penstock([*args, taken / "below"])
    assert (out.rc, out.stdout) == (1, "")
    assert out.stderr == f"penstock train: cannot make the directory {taken}/below: Not a directory\n"


@pytest.mark.parametrize("name", ["model.safetensors", "model.npz", "config.json", "model.onnx"])
def test_a_directory_in_the_place_of_a_model_file(run_penstock, good, tmp_path, name):
    """Seen before there is anything to lose, and before another file has its name."""
    path = tmp_path / "model" / name
    path.mkdir(parents=True)
    out = run_penstock(arguments("linear-learner", "--train", good, "--model-dir", path.parent))
    assert (out.rc, out.stdout) == (1, "")
    assert out.stderr == f"penstock train: cannot write {path}: Is a directory\n"
    assert list(path.parent.iterdir()) == [path]


MOUNTED = """
mount $1 "$0"
shift
[ ! -w "$0" ] || echo old >"$0/config.json"
"$@" && rc=0 || rc=$?
ls -A "$0"
[ ! -w "$0" ] || cat "$0"/*
exit $rc
"""


def run_mounted(penstock, model, how, args):
    """Runs penstock where the directory `model` is what mount(8) makes of it, told by `how`, and prints
    what is in it then."""
    if os.geteuid() != 0:
        pytest.skip("needs root to mount")
    return subprocess.run(
        ["unshare", "--mount", "sh", "-ec", MOUNTED, model, how, penstock, *args, "--quiet", "--model-dir", model],
        env=clean_env(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_mounted_read_only_is_refused_before_training(penstock, good, tmp_path):
    model = tmp_path / "model"
    model.mkdir()
    args = arguments("linear-learner", "--train", good)
    done = run_mounted(penstock, model, f"-o bind,ro {model}", args)
    message = f"penstock train: cannot write to the directory {model}: Read-only file system\n"
    assert (done.returncode, done.stdout, done.stderr) == (1, "", message)


@pytest.mark.plain_build
@pytest.mark.parametrize("size_kib", [12, 40])
def test_mounted_and_full_at_the_end(penstock, tmp_path, size_kib):
    """Three times arrays of 16 kB, and a text: none of the files has its name then."""
    wide = write_rows(tmp_path / "wide.csv", columns=4000)
    model = tmp_path / "model"
    model.mkdir()
    args = [*arguments("linear-learner", "--train", wide), "--hp", "epochs=1"]
    done = run_mounted(penstock, model, f"-t tmpfs -o size={size_kib}k none", args)
    message = rf"penstock train: cannot write {re.escape(str(model))}/\w+\.\w+: No space left on device\n"
    assert done.returncode == 1 and re.fullmatch(message, done.stderr), done.stderr
    assert [line for line in done.stdout.splitlines() if line[0] != "#"] == ["config.json", "old"]
