# SPDX-License-Identifier: Apache-2.0
"""tests/integration/test_checkpoint.py - runs that are killed, stopped, or find their checkpoints
damaged, end with the bytes of a run that nothing happened to; others are refused by name.
"""

import random
import shutil
import signal
import time

import numpy
import pytest
from conftest import started
from csv_rows import write_rows
from safetensors import safe_open

COMMON = ["--content-type", "text/csv;label_size=1", "--device", "cpu", "--quiet"]
ALGORITHMS = {
    "linear-learner": ["predictor_type=binary_classifier", "mini_batch_size=20", "epochs=4"],
    "factorization-machines": [
        "predictor_type=binary_classifier",
        "num_factors=4",
        "feature_dim=6",
        "mini_batch_size=20",
        "epochs=4",
    ],
    "kmeans": ["k=3", "feature_dim=6", "mini_batch_size=20", "epochs=4"],
    "pca": ["num_components=2", "feature_dim=6", "mini_batch_size=5"],
    "mlp": [
        "predictor_type=binary_classifier",
        "hidden_layers=8,4",
        "dropout=0.2",
        "mini_batch_size=20",
        "epochs=4",
    ],
    # The six values of a row are a picture of 2 x 3 pixels.
    "image-classification": [
        "num_classes=2",
        "image_shape=1,2,3",
        "num_training_samples=3870",
        "num_layers=8",
        "num_filters=2",
        "optimizer=adam",
        "mini_batch_size=20",
        "epochs=2",
    ],
}
# Killed on the delayed device, too.
DELAYED = ("linear-learner", "factorization-machines", "kmeans", "pca", "mlp")
STOPPING = ["early_stopping_patience=2", "early_stopping_tolerance=0.001", "num_models=2"]


@pytest.fixture
def rows(tmp_path):
    return write_rows(tmp_path / "rows", 1, 5, 700)


def command(where, *options, algorithm="linear-learner", hyper=()):
    args = ["train", "--algorithm", algorithm, "--train", where, *COMMON]
    for assignment in [*ALGORITHMS[algorithm], *hyper]:
        args += ["--hp", assignment]
    return args + ["--shuffle-seed", "3", *options]


def model_of(folder):
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert {"model.safetensors", "model.npz", "config.json"} <= set(files)
    return files


def wait_for(process, folder, count, suffix=".safetensors"):
    """Waits until checkpoints have been written since `folder` was looked at. False: it ended."""
    seen = set()
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and len(seen) < count:
        seen |= {p.name for p in folder.glob("*" + suffix)} if folder.exists() else set()
        if process.poll() is not None:
            return False
        time.sleep(0.002)
    return True


# --- SIGKILL --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "algorithm, source, device",
    [("linear-learner", "s3", "cpu"), *((name, "file", "cpu") for name in ALGORITHMS)]
    + [pytest.param(name, "file", "delayed", marks=pytest.mark.plain_build) for name in DELAYED],
)
def test_a_killed_run_goes_on_with_the_same_bytes(
    penstock, run_penstock, rows, s3_server, tmp_path, algorithm, source, device
):
    env, where = {}, rows
    if source == "s3":
        env, where = s3_server(rows.parent).env, "s3://rows/part"
    options = ["--validation", where, "--validation-sample", "0-0.2", "--shuffle-rows", "100"]
    options += ["--last-batch", "drop" if algorithm == "linear-learner" else "keep"]
    options += ["--device", device]
    hyper = STOPPING if algorithm == "linear-learner" else []
    known = {"algorithm": algorithm, "hyper": hyper}
    run_penstock(command(where, *options, "--model-dir", tmp_path / "whole", **known), env=env).ok()
    checkpoints = tmp_path / "checkpoints"
    args = command(where, *options, "--model-dir", tmp_path / "model", **known)
    args += ["--checkpoint-dir", checkpoints, "--checkpoint-every", "7"]
    draw = random.Random(algorithm + source + device)
    kills = 0
    for _ in range(20):
        before = len(list(checkpoints.glob("*.safetensors"))) if checkpoints.exists() else 0
        with started([penstock, *args], env) as process:
            if wait_for(process, checkpoints, before + 2):
                time.sleep(draw.uniform(0, 0.05))
            killed = process.poll() is None
        if killed:
            kills += 1
        else:  # it was faster than this test: from the beginning
            shutil.rmtree(checkpoints)
            kills = 0
        if kills == 3:
            break
    assert kills == 3  # one after the other
    again = run_penstock(args, env=env).ok()
    assert model_of(tmp_path / "model") == model_of(tmp_path / "whole")
    assert not list(checkpoints.glob("*.sagemaker-ignore")), again.stderr
    assert len(list(checkpoints.iterdir())) == 5


# --- signals --------------------------------------------------------------------------------------


@pytest.mark.parametrize("number, rc", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("phase", ["training", "validation"])
def test_a_signal_leaves_a_checkpoint(penstock, run_penstock, tmp_path, phase, number, rc):
    large = write_rows(tmp_path / "large", 1, 3, 6000)
    small = write_rows(tmp_path / "small", 2, 2, 60)
    where, held_out = (large, small) if phase == "training" else (small, large)
    options = ["--validation", held_out, "--model-dir"]
    run_penstock(command(where, *options, tmp_path / "whole")).ok()
    checkpoints = tmp_path / "checkpoints"
    args = command(where, *options, tmp_path / "model")
    args += ["--checkpoint-dir", checkpoints]
    stopped = 0
    for _ in range(20):
        with started([penstock, *args]) as process:
            process.stdout.readline()  # the first epoch is over
            process.send_signal(number)
            process.send_signal(number)  # timeout(1) and launchers send it to the group as well
            sent = time.monotonic()
            _, stderr = process.communicate(timeout=30)
            if process.returncode == 0:
                shutil.rmtree(checkpoints)
                continue
            assert time.monotonic() - sent < 5
            assert process.returncode == rc
            assert "a checkpoint is in" in stderr, stderr
            assert not list(checkpoints.glob("*.sagemaker-ignore"))
            stopped += 1
            break
    assert stopped == 1
    run_penstock(args).ok()
    assert model_of(tmp_path / "model") == model_of(tmp_path / "whole")


# --- damage ---------------------------------------------------------------------------------------


def test_damaged_checkpoints_are_passed_over(run_penstock, rows, tmp_path):
    checkpoints = tmp_path / "checkpoints"
    options = ["--checkpoint-dir", checkpoints, "--checkpoint-every", "40", "--keep", "3"]
    run_penstock(command(rows, *options, "--model-dir", tmp_path / "whole")).ok()
    newest = sorted(checkpoints.iterdir(), reverse=True)
    assert len(newest) == 3
    whole = newest[0].read_bytes()
    newest[0].write_bytes(whole[:-100])
    changed = bytearray(newest[1].read_bytes())
    changed[changed.index(b"\\\"epoch\\\":") + 10] ^= 1
    newest[1].write_bytes(changed)
    args = [a for a in command(rows, *options, "--model-dir", tmp_path / "model") if a != "--quiet"]
    out = run_penstock(args).ok().stdout
    for path in newest[:2]:
        assert f"warning: the checkpoint {path} is passed over" in out
    assert f"goes on from {newest[2]}" in out
    assert model_of(tmp_path / "model") == model_of(tmp_path / "whole")


def test_a_checkpoint_opens_elsewhere(run_penstock, rows, tmp_path):
    run_penstock(command(rows, "--checkpoint-dir", tmp_path / "checkpoints")).ok()
    (path,) = (tmp_path / "checkpoints").iterdir()
    with safe_open(path, "numpy") as file:
        metadata = file.metadata()
        steps = file.get_tensor("steps").view("<u8")
    assert metadata["algorithm"] == "linear-learner" and metadata["hp.mini_batch_size"] == "20"
    assert '"penstock_state":1' in metadata["state.train"]
    assert steps[0] == 4 * -(-sum(700 + 37 * i for i in range(5)) // 20)


# --- refusals -------------------------------------------------------------------------------------


def test_other_runs_are_refused_by_name(run_penstock, rows, tmp_path):
    options = ["--checkpoint-dir", tmp_path / "checkpoints", "--checkpoint-every", "300"]
    run_penstock(command(rows, *options)).ok()
    cases = [
        (command(rows, *options, algorithm="factorization-machines"), "algorithm = 'linear-learner'"),
        (command(rows, *options, hyper=["learning_rate=0.5"]), "hp.learning_rate = 'auto'"),
        (command(rows, *options, hyper=["mini_batch_size=30"]), "hp.mini_batch_size = '20'"),
        (command(rows, *options, "--shuffle-seed", "4", hyper=["epochs=9"]), "seed \"3\""),
    ]
    for args, words in cases:
        out = run_penstock(args)
        assert out.rc == 1 and words in out.stderr, out.stderr
    longer = run_penstock(command(rows, *options, hyper=["epochs=6"])).ok().stdout
    assert "epoch=4" in longer and "epoch=5" in longer and "epoch=3" not in longer


def test_changed_data_are_refused(run_penstock, rows, tmp_path):
    options = ["--checkpoint-dir", tmp_path / "checkpoints"]
    run_penstock(command(rows, *options)).ok()
    (rows / "part-9.csv").write_text("1,1,2,3,4,5,6\n")
    out = run_penstock(command(rows, *options, hyper=["epochs=5"]))
    assert out.rc == 1 and "field data" in out.stderr, out.stderr
    run_penstock(command(rows, *options, "--changed-data", hyper=["epochs=5"])).ok()


def test_checkpoint_options_are_checked(run_penstock, rows, tmp_path):
    for options, words in [
        (["--checkpoint-every", "5m"], "checkpoint-every"),
        (["--checkpoint-every", "s"], "checkpoint-every"),
        (["--keep", "0"], "keep"),
    ]:
        out = run_penstock(command(rows, *options))
        assert out.rc == 2 and words in out.stderr
    (tmp_path / "file").write_text("")
    out = run_penstock(command(rows, "--checkpoint-dir", tmp_path / "file"))
    assert out.rc == 1 and "is not a directory" in out.stderr


# --- what is not finite ---------------------------------------------------------------------------


@pytest.mark.plain_build
@pytest.mark.parametrize(
    "algorithm, hyper",
    [
        ("linear-learner", ["normalize_data=false"]),  # so that the first rows are not looked into
        ("mlp", ["normalize_data=false"]),
        ("factorization-machines", []),
    ],
)
def test_what_is_not_finite_is_not_kept(run_penstock, rows, tmp_path, algorithm, hyper):
    """A value in the data spoils the model: the checkpoints before stay, and are gone on from."""
    path = rows / "part-3.csv"
    good = path.read_text()
    lines = good.splitlines()
    lines[400] = "1,nan" + ",1" * 5
    path.write_text("\n".join(lines) + "\n")
    checkpoints = tmp_path / "checkpoints"
    options = ["--checkpoint-dir", checkpoints, "--checkpoint-every", "7", "--device", "delayed"]
    options += ["--model-dir", tmp_path / "model"]
    args = command(rows, *options, algorithm=algorithm, hyper=hyper)
    args.remove("--quiet")
    out = run_penstock(args)
    assert out.rc == 1 and "the loss of epoch 0 is not a finite number: lower the learning rate" in out.stderr
    assert "warning: no checkpoint was written: the model's array " in out.stdout
    assert list((tmp_path / "model").iterdir()) == []
    left = {path.name for path in checkpoints.iterdir()}
    again = run_penstock(args)
    assert again.rc == 1 and f"goes on from {max(checkpoints.iterdir())}" in again.stdout
    assert {path.name for path in checkpoints.iterdir()} == left and len(left) == 5
    path.write_text(good)
    run_penstock([*args, "--changed-data"]).ok()
    with numpy.load(tmp_path / "model/model.npz") as model:
        assert all(numpy.isfinite(model[name]).all() for name in model)


def test_a_last_step_that_overflows_is_an_error(run_penstock, tmp_path):
    """Its loss is that of the weights before it."""
    (tmp_path / "a.csv").write_text("1,3e38\n" * 10)
    args = ["train", "--algorithm", "linear-learner", "--train", tmp_path / "a.csv", *COMMON]
    for assignment in ("predictor_type=regressor", "loss=absolute_loss", "optimizer=sgd", "epochs=1"):
        args += ["--hp", assignment]
    for assignment in ("normalize_data=false", "normalize_label=false", "learning_rate=10"):
        args += ["--hp", assignment]
    out = run_penstock([*args, "--model-dir", tmp_path / "m", "--checkpoint-dir", tmp_path / "c"])
    assert out.rc == 1
    assert "penstock train: the model's array weights holds values that are not finite numbers: " in out.stderr
    assert list((tmp_path / "m").iterdir()) == list((tmp_path / "c").iterdir()) == []
