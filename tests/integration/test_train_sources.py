# SPDX-License-Identifier: Apache-2.0
"""tests/integration/test_train_sources.py - one set of records, every way to a model: directories, File
and Pipe mode containers and S3, under settings that change who reads and decodes what. The model
files and what the runs print of quality are the same to the last bit.
"""

import io
import json
import re

import numpy
import pytest
from sdk import write_numpy_to_dense_tensor

RECORDIO = "application/x-recordio-protobuf"
CLASSES, DIM = 5, 12
# Objects of odd sizes, of which one is a record: batches begin and end anywhere in them.
CHANNELS = {"train": (211, 97, 400, 1, 166), "validation": (59, 140)}
COMMON = {"mini_batch_size": 37, "epochs": 2}
SOFTMAX = {"predictor_type": "multiclass_classifier", "num_classes": CLASSES}
MODELS = {
    "linear-learner": SOFTMAX,
    "mlp": {**SOFTMAX, "hidden_layers": "16,8", "dropout": 0.2, "seed": 5},
    "kmeans": {"k": CLASSES, "feature_dim": DIM},
}


@pytest.fixture(scope="module")
def bucket(tmp_path_factory):
    """A directory to serve: bucket "data" with the objects of both channels."""
    root = tmp_path_factory.mktemp("sources")
    draw = numpy.random.default_rng(6)
    corners = draw.normal(size=(CLASSES, DIM)) * 2
    for channel, sizes in CHANNELS.items():
        (root / "data" / channel).mkdir(parents=True)
        for number, rows in enumerate(sizes):
            labels = draw.integers(0, CLASSES, rows)
            features = corners[labels] + draw.normal(size=(rows, DIM))
            out = io.BytesIO()
            write_numpy_to_dense_tensor(out, features.astype("float32"), labels.astype("float32"))
            (root / "data" / channel / f"part-{number}.pbr").write_bytes(out.getvalue())
    return root


class Ways:
    """How one model is trained: each way returns (files of the model, quality as it was printed)."""

    def __init__(self, run_penstock, penstock, algorithm, bucket, env, work):
        self.run_penstock = run_penstock
        self.penstock = penstock
        self.algorithm = algorithm
        self.hyperparameters = {k: str(v) for k, v in {**COMMON, **MODELS[algorithm]}.items()}
        self.bucket = bucket
        self.env = env
        self.work = work

    def _result(self, model, stdout):
        quality = re.findall(r"^#quality_metric: host=\S+, (.*)$", stdout, re.M)
        return {path.name: path.read_bytes() for path in model.iterdir()}, quality

    def _train(self):
        return ["train", "--algorithm", self.algorithm, "--device", "cpu"]

    def options(self, name, where, options):
        model = self.work / name
        args = [*self._train(), "--model-dir", model, "--content-type", RECORDIO, *options]
        for channel in CHANNELS:
            args += [f"--{channel}", f"{where}/{channel}/"]
        for assignment in self.hyperparameters.items():
            args += ["--hp", "=".join(assignment)]
        return self._result(model, self.run_penstock(args, env=self.env).ok().stdout)

    def file_container(self, name, options):
        base = self.work / name
        config = base / "input/config"
        config.mkdir(parents=True)
        (base / "input/data").mkdir()
        channel = {"TrainingInputMode": "File", "ContentType": RECORDIO, "RecordWrapperType": "None"}
        for file, value in {
            "inputdataconfig": {c: {**channel, "S3DistributionType": "FullyReplicated"} for c in CHANNELS},
            "hyperparameters": self.hyperparameters,
            "resourceconfig": {"current_host": "algo-1", "hosts": ["algo-1"]},
        }.items():
            (config / f"{file}.json").write_text(json.dumps(value))
        for channel in CHANNELS:
            (base / "input/data" / channel).symlink_to(self.bucket / "data" / channel)
        out = self.run_penstock([*self._train(), "--base", base, *options]).ok()
        return self._result(base / "model", out.stdout)

    def pipe_container(self, name, options, run_options=()):
        base = self.work / name
        args = ["run", "--base", base, *run_options]
        for channel in CHANNELS:
            args += ["--channel", f"{channel}=s3://data/{channel}/;content_type={RECORDIO}"]
        for assignment in self.hyperparameters.items():
            args += ["--hyperparameter", "=".join(assignment)]
        args += ["--", self.penstock, *self._train(), *options]
        return self._result(base / "model", self.run_penstock(args, env=self.env).ok().stdout)


@pytest.mark.parametrize(
    "algorithm",
    ["linear-learner", *(pytest.param(name, marks=pytest.mark.plain_build) for name in ("mlp", "kmeans"))],
)
def test_every_way_gives_the_same_model(
    run_penstock, penstock, s3_server, bucket, tmp_path, algorithm
):
    env = s3_server(bucket).env
    ways = Ways(run_penstock, penstock, algorithm, bucket, env, tmp_path)
    one, four = ("--decode-threads", "1"), ("--decode-threads", "4")
    uring, epoll = ("--io", "uring"), ("--io", "epoll")
    directory = f"file://{bucket}/data"
    expected = ways.options("plain", directory, [*one, *epoll])
    assert set(expected[0]) >= {"model.safetensors", "model.npz", "config.json"}
    assert len([line for line in expected[1] if "validation" in line]) >= 2  # epochs
    assert ways.options("directory", directory, [*four, *uring]) == expected
    s3 = "s3://data"
    assert ways.options("s3", s3, [*one, *uring, "--connections", "3"]) == expected
    assert ways.options("s3-epoll", s3, [*four, *epoll, "--part-size", "1MiB"]) == expected
    assert ways.file_container("file", [*one, *uring]) == expected
    assert ways.file_container("file-epoll", [*four, *epoll]) == expected
    assert ways.pipe_container("pipe", one, uring) == expected
    assert ways.pipe_container("pipe-epoll", four, [*epoll, "--no-vmsplice"]) == expected
