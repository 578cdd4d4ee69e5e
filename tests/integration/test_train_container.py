# SPDX-License-Identifier: Apache-2.0
"""tests/integration/test_train_container.py - `penstock train` in SageMaker's place: channels through
FIFOs or as files, hyperparameters and hosts from /opt/ml's files, model and failure to where they
are fetched. The writer of the FIFOs is plain Python, and the model has to be that of files.
"""

import json
import signal
import subprocess
import threading
import time
from contextlib import ExitStack

import numpy
import pytest
from conftest import clean_env
from pipe_writer import PipeWriter
from sdk import write_numpy_to_dense_tensor

MODEL_FILES = ("model.safetensors", "model.npz", "model.onnx", "config.json")
HYPERPARAMETERS = {
    "predictor_type": "multiclass_classifier",
    "num_classes": "4",
    "epochs": "3",
    "mini_batch_size": "50",
    # What SageMaker and its SDK add.
    "_tuning_objective_metric": "x",
    "sagemaker_program": '"train.py"',
    "learning_rate": '"0.01"',
}


def make_rows(seed, count):
    draw = numpy.random.default_rng(seed)
    labels = draw.integers(0, 4, count)
    return labels, numpy.round(numpy.eye(4)[labels] * 3 + draw.normal(size=(count, 4)), 3)


def as_csv(labels, features):
    return "".join(
        ",".join([str(k), *(f"{x:.3f}" for x in row)]) + "\n" for k, row in zip(labels, features)
    ).encode()


def as_recordio(labels, features):
    import io

    out = io.BytesIO()
    write_numpy_to_dense_tensor(out, features.astype("float32"), labels.astype("float32"))
    return out.getvalue()


CSV = ("text/csv;label_size=1", as_csv)
RECORDIO = ("application/x-recordio-protobuf", as_recordio)
TRAIN = make_rows(1, 700)
VALIDATION = make_rows(2, 130)


class Container:
    """A tree as SageMaker makes it. Channels of mode File are written at once."""

    def __init__(self, base):
        self.base = base
        self.data = base / "input/data"
        self.config = base / "input/config"
        self.data.mkdir(parents=True)
        self.config.mkdir()
        self.channels = {}
        self.write("hyperparameters", HYPERPARAMETERS)
        self.write("resourceconfig", {"current_host": "algo-7", "hosts": ["algo-7"]})

    def write(self, name, value):
        (self.config / f"{name}.json").write_text(json.dumps(value))

    def add(self, name, mode, content_type, data=None):
        self.channels[name] = {
            "TrainingInputMode": mode,
            "S3DistributionType": "FullyReplicated",
            "RecordWrapperType": "None",
            **({"ContentType": content_type} if content_type else {}),
        }
        self.write("inputdataconfig", self.channels)
        if mode != "Pipe":
            (self.data / name).mkdir()
            half = data.index(b"\n", len(data) // 2) + 1
            (self.data / name / "part-0").write_bytes(data[:half])
            (self.data / name / "part-1").write_bytes(data[half:])
            (self.data / f"{name}-manifest").write_text("[]")  # seen beside channels; not data

    def models(self):
        return {name: (self.base / "model" / name).read_bytes() for name in MODEL_FILES}

    def failure(self):
        return (self.base / "output/failure").read_text()


@pytest.fixture
def container(tmp_path):
    return Container(tmp_path / "opt/ml")


@pytest.fixture
def model_of_files(run_penstock, tmp_path):
    """The files of a model trained the plain way, on the same bytes."""

    def train(train, validation, content_type, *options):
        (tmp_path / "train.data").write_bytes(train)
        (tmp_path / "validation.data").write_bytes(validation)
        model = tmp_path / "plain"
        hyperparameters = {**HYPERPARAMETERS, "learning_rate": "0.01"}
        args = ["train", "--algorithm", "linear-learner", "--device", "cpu", "--model-dir", model]
        args += ["--train", tmp_path / "train.data", "--validation", tmp_path / "validation.data"]
        args += ["--content-type", content_type, *options]
        for name, value in hyperparameters.items():
            if not name.startswith(("_", "sagemaker_")):
                args += ["--hp", f"{name}={value}"]
        run_penstock(args).ok()
        return {name: (model / name).read_bytes() for name in MODEL_FILES}

    return train


def train(run_penstock, container, *options, by="env", **more):
    env = {"SAGEMAKER_BASE_DIR": container.base} if by == "env" else {}
    base = ["--base", container.base] if by == "option" else []
    return run_penstock(["train", "--device", "cpu", *base, *options], env=env, **more)


# --- the same model -------------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["env", "option"])
@pytest.mark.parametrize("content_type, encode", [CSV, RECORDIO], ids=["csv", "recordio"])
def test_fifos_train_the_model_that_files_train(
    run_penstock, container, model_of_files, content_type, encode, by
):
    train_data, validation_data = encode(*TRAIN), encode(*VALIDATION)
    expected = model_of_files(train_data, validation_data, content_type)
    for name in ("train", "validation"):
        container.add(name, "Pipe", content_type)
    with ExitStack() as writers:
        # More epochs than are wanted, as SageMaker offers.
        for name, data, step in (("train", train_data, 997), ("validation", validation_data, 7)):
            writers.enter_context(PipeWriter(container.data, name, [data] * 5, step))
        out = train(run_penstock, container, by=by).ok()
    assert container.models() == expected
    assert "#quality_metric: host=algo-7, epoch=2, validation multiclass" in out.stdout
    assert not (container.base / "output").exists()


def test_modes_may_be_mixed(run_penstock, container, model_of_files):
    train_data, validation_data = as_csv(*TRAIN), as_csv(*VALIDATION)
    expected = model_of_files(train_data, validation_data, CSV[0])
    container.add("train", "Pipe", CSV[0])
    container.add("validation", "FastFile", None, validation_data)  # its type is that of train
    with PipeWriter(container.data, "train", [train_data] * 3) as writer:
        train(run_penstock, container).ok()
    assert writer.done == [0, 1, 2] and writer.left == []
    assert container.models() == expected


def test_file_mode_needs_no_fifo(run_penstock, container, model_of_files):
    train_data, validation_data = as_csv(*TRAIN), as_csv(*VALIDATION)
    expected = model_of_files(train_data, validation_data, CSV[0])
    container.add("train", "File", CSV[0], train_data)
    container.add("validation", "File", CSV[0], validation_data)
    train(run_penstock, container).ok()
    assert container.models() == expected


def test_command_line_wins(run_penstock, container, tmp_path):
    container.add("train", "Pipe", None)
    data = as_csv(*TRAIN)
    model = tmp_path / "elsewhere"
    with PipeWriter(container.data, "train", [data] * 2):
        out = train(
            run_penstock, container, "--hp", "epochs=1", "--content-type", CSV[0], "--model-dir", model
        ).ok()
    assert (model / "model.npz").exists() and not (container.base / "model").exists()
    assert "epoch=0" in out.stdout and "epoch=1" not in out.stdout


def test_penstock_run_feeds_penstock_train(
    run_penstock, penstock, s3_server, model_of_files, tmp_path
):
    """From S3 through FIFOs into a model: the same one as from files."""
    train_data, validation_data = as_recordio(*TRAIN), as_recordio(*VALIDATION)
    expected = model_of_files(train_data, validation_data, RECORDIO[0])
    bucket = tmp_path / "s3/bucket"
    for name, data in (("train", train_data), ("validation", validation_data)):
        (bucket / name).mkdir(parents=True)
        record = len(data) // (700 if name == "train" else 130)
        for part in range(0, len(data), record * 50):  # all records are of one length
            (bucket / name / f"{part:09}").write_bytes(data[part : part + record * 50])
    base = tmp_path / "ml"
    args = ["run", "--base", base]
    for name in ("train", "validation"):
        args += ["--channel", f"{name}=s3://bucket/{name}/;content_type={RECORDIO[0]}"]
    for name, value in HYPERPARAMETERS.items():
        args += ["--hyperparameter", f"{name}={value}"]
    server = s3_server(tmp_path / "s3")
    run_penstock([*args, "--", penstock, "train", "--device", "cpu"], env=server.env).ok()
    assert {name: (base / "model" / name).read_bytes() for name in MODEL_FILES} == expected


# --- the writer's part ----------------------------------------------------------------------------


def test_training_leaves_what_it_does_not_need(run_penstock, container):
    """The writer offers more epochs; nobody opens them, and training does not wait for them."""
    container.add("train", "Pipe", CSV[0])
    with PipeWriter(container.data, "train", [as_csv(*TRAIN)] * 6) as writer:
        train(run_penstock, container).ok()
        assert writer.done in ([0, 1], [0, 1, 2])
    assert writer.left == [] or min(writer.left) >= 3


def test_each_epoch_is_what_its_fifo_brings(run_penstock, container, tmp_path):
    """Not the same bytes again: SageMaker shuffles them."""
    container.add("train", "Pipe", CSV[0])
    metrics = tmp_path / "metrics.json"
    rows = [as_csv(TRAIN[0][:n], TRAIN[1][:n]) for n in (700, 300, 401)]
    with PipeWriter(container.data, "train", rows):
        train(run_penstock, container, "--metrics-json", metrics).ok()
    counts = [e["train"]["rows"] for e in json.loads(metrics.read_text())["epochs"]]
    assert counts == [700, 300, 401]


@pytest.mark.parametrize("content_type, encode", [CSV, RECORDIO], ids=["csv", "recordio"])
def test_truncated_writer_is_an_error_with_its_place(
    run_penstock, container, content_type, encode
):
    data = encode(*TRAIN)
    cut = data[: len(data) // 2 + 5]
    if encode is as_csv:  # a cut within a number cannot be told: this one leaves columns out
        cut = cut[: cut.rindex(b"\n") + 1 + 8]
    container.add("train", "Pipe", content_type)
    with PipeWriter(container.data, "train", [data, cut]):
        out = train(run_penstock, container)
    assert out.rc == 1
    at = out.stderr.rindex("record at byte ")
    offset = int(out.stderr[at + 15 :].split(":")[0])
    if encode is as_csv:
        start = cut.rindex(b"\n") + 1
    else:
        start = 0
        while start + 8 <= len(cut):
            size = int.from_bytes(cut[start + 4 : start + 8], "little")
            if start + 8 + size + -size % 4 > len(cut):
                break
            start += 8 + size + -size % 4
    assert start <= offset < len(cut)
    assert f"{container.data}/train_1, record at byte" in out.stderr
    assert container.failure() in out.stderr and "train_1" in container.failure()
    assert not (container.base / "model" / "model.npz").exists()


def test_a_writer_that_dies_at_once_is_an_error(run_penstock, container):
    container.add("train", "Pipe", CSV[0])
    with PipeWriter(container.data, "train", [as_csv(*TRAIN), b""]):
        out = train(run_penstock, container)
    assert out.rc == 1
    assert "the train channel ended with no rows" in container.failure()


def test_a_stop_ends_the_wait_for_a_fifo(penstock, container):
    container.add("train", "Pipe", CSV[0])
    env = clean_env({"SAGEMAKER_BASE_DIR": container.base})
    waiting = subprocess.Popen(
        [penstock, "train", "--device", "cpu"],
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    for line in waiting.stdout:  # by now it is opening the stream
        if line.startswith("io:"):
            break
    threading.Thread(target=waiting.stdout.read, daemon=True).start()
    time.sleep(0.05)
    waiting.send_signal(signal.SIGTERM)
    assert waiting.wait(20) == 143
    assert "stopped by signal 15" in waiting.stderr.read()
    assert not (container.base / "output/failure").exists()


# --- checkpoints ----------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["Pipe", "File"])
def test_a_container_goes_on_from_its_checkpoints(
    run_penstock, container, model_of_files, mode, tmp_path
):
    data = {"train": CSV[1](*TRAIN), "validation": CSV[1](*VALIDATION)}
    expected = model_of_files(data["train"], data["validation"], CSV[0])
    checkpoints = container.base / "checkpoints"
    checkpoints.mkdir()
    for name in data:
        container.add(name, mode, CSV[0], data[name])

    def once(epochs):
        container.write("hyperparameters", {**HYPERPARAMETERS, "epochs": str(epochs)})
        with ExitStack() as writers:
            for name in data if mode == "Pipe" else ():
                for left in container.data.glob(f"{name}_*"):
                    left.unlink()
                writers.enter_context(PipeWriter(container.data, name, [data[name]] * 4, 997))
            return train(run_penstock, container, "--checkpoint-every", "5").ok().stdout

    once(2)
    (*_, middle, end) = sorted(checkpoints.iterdir())
    end.unlink()  # as if the run had been killed
    out = once(3)
    assert f"goes on from {middle}: epoch 1, batch 11" in out
    assert "epoch=2" in out and "epoch=0" not in out
    assert container.models() == expected


# --- refusals -------------------------------------------------------------------------------------


def refused(run_penstock, container, part, *options, rc=1):
    out = train(run_penstock, container, *options)
    assert out.rc == rc, out.stderr
    assert part in out.stderr
    if rc == 1:
        assert part in container.failure()


def test_a_file_mode_channel_in_pipe_mode_says_so(run_penstock, container):
    container.add("train", "File", CSV[0], as_csv(*TRAIN))
    container.channels["train"]["TrainingInputMode"] = "Pipe"
    container.write("inputdataconfig", container.channels)
    refused(run_penstock, container, "channel train is a File mode channel: there is no FIFO")


def test_channels_are_checked(run_penstock, container):
    container.write("inputdataconfig", {})
    refused(run_penstock, container, "inputdataconfig.json names no channel train")
    container.add("validation", "Pipe", CSV[0])
    refused(run_penstock, container, "inputdataconfig.json names no channel train")
    container.add("train", "Pipes", CSV[0], b"\n")
    refused(run_penstock, container, "channel train: TrainingInputMode is not Pipe, File or FastFile")
    container.channels = {}
    container.add("train", "Pipe", CSV[0])
    container.channels["train"]["RecordWrapperType"] = "RecordIO"
    container.write("inputdataconfig", container.channels)
    refused(run_penstock, container, "channel train: each of its objects comes wrapped in RecordIO")
    container.channels = {}
    container.add("extra", "Pipe", CSV[0])
    refused(run_penstock, container, "there is no use for channel extra")
    (container.config / "inputdataconfig.json").write_text('{"train": ')
    refused(run_penstock, container, "inputdataconfig.json, line 1: ")
    (container.config / "inputdataconfig.json").write_text("[1]")
    refused(run_penstock, container, "inputdataconfig.json holds no JSON object")
    (container.config / "inputdataconfig.json").unlink()
    refused(run_penstock, container, "inputdataconfig.json does not exist: give the channels")


def test_hyperparameters_are_checked(run_penstock, container):
    container.add("train", "File", CSV[0], as_csv(*TRAIN))
    container.write("hyperparameters", {"predictor_type": "regressor", "epoch": "3"})
    refused(run_penstock, container, "hyperparameters.json: hyperparameter 'epoch' is unknown")
    container.write("hyperparameters", {"predictor_type": 3})
    refused(run_penstock, container, "hyperparameters.json: hyperparameter predictor_type is not a string")
    container.write("hyperparameters", {"predictor_type": "regressor" * 1000})
    refused(run_penstock, container, "hyperparameter 'predictor_type' is too long")
    container.write("hyperparameters", {})
    refused(run_penstock, container, "predictor_type is required")


def test_options_that_do_not_go_together(run_penstock, container, tmp_path):
    container.add("train", "Pipe", CSV[0])
    refused(run_penstock, container, "--validation: without --train URI", "--validation", tmp_path)
    both = ("--train", tmp_path, "--base", container.base)
    refused(run_penstock, container, "--base: the channels are those of --train", *both, rc=2)
    long = run_penstock(["train", "--base", "x" * 5000])
    assert long.rc == 2 and "is no directory's path" in long.stderr
    nowhere = run_penstock(["train", "--base", tmp_path / "nowhere"])
    assert nowhere.rc == 1 and "inputdataconfig.json does not exist" in nowhere.stderr


def test_failure_is_cut_to_what_sagemaker_shows(run_penstock, container):
    name = "ü" * 1500
    container.channels = {name: {"TrainingInputMode": "Pipe"}}
    container.write("inputdataconfig", container.channels)
    out = train(run_penstock, container)
    assert out.rc == 1
    raw = (container.base / "output/failure").read_bytes()
    assert 1020 < len(raw) <= 1024 and raw.decode() in out.stderr
