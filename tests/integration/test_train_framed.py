# SPDX-License-Identifier: Apache-2.0
"""tests/integration/test_train_framed.py - records that go to the device as they were received: the
model of decoded rows, bit for bit, whatever the records hold and wherever they change.
"""

import io
import json

import numpy
import pytest
from sagemaker.amazon.common import _write_recordio, write_numpy_to_dense_tensor
from sagemaker.amazon.record_pb2 import Record
from test_train_ranks import Ranks

ROWS, DIM, CLASSES, BATCH = 1203, 11, 4, 40
BATCHES = -(-ROWS // BATCH)
SOFTMAX = ["predictor_type=multiclass_classifier", f"num_classes={CLASSES}", "epochs=2"]
MODELS = {
    "linear-learner": [*SOFTMAX, "normalize_data=false"],
    "mlp": SOFTMAX,
    "factorization-machines": ["predictor_type=regressor", "num_factors=3", "epochs=2"],
    "kmeans": [f"k={CLASSES}"],
    "pca": ["num_components=3"],
}


def draw_rows():
    draw = numpy.random.default_rng(8)
    labels = draw.integers(0, CLASSES, ROWS)
    corners = draw.normal(size=(CLASSES, DIM)) * 2
    return corners[labels] + draw.normal(size=(ROWS, DIM)), labels


def write(path, features, labels, dtype="float32", uid_at=None):
    """One object; the record `uid_at` has a uid too, and so is longer than the others."""
    out = io.BytesIO()
    parts = [slice(0, ROWS)] if uid_at is None else [slice(0, uid_at), slice(uid_at + 1, ROWS)]
    for part in parts:
        if out.tell() > 0:
            record = Record(uid="a record that has a name")
            record.features["values"].float32_tensor.values.extend(features[uid_at])
            record.label["values"].float32_tensor.values.append(labels[uid_at])
            _write_recordio(out, record.SerializeToString())
        write_numpy_to_dense_tensor(out, features[part].astype(dtype), labels[part].astype(dtype))
    path.mkdir()
    (path / "a.pbr").write_bytes(out.getvalue())
    return path


@pytest.fixture
def train(run_penstock, tmp_path, cuda_env):
    """Trains, and returns the model's bytes and what was measured."""

    def run(name, data, *options, algorithm="linear-learner", framed=True, device="delayed"):
        args = ["train", "--algorithm", algorithm, "--train", data, "--device", device]
        args += ["--model-dir", tmp_path / name, "--metrics-json", tmp_path / f"{name}.json"]
        for assignment in (f"mini_batch_size={BATCH}", f"feature_dim={DIM}", *MODELS[algorithm]):
            args += ["--hp", assignment]
        env = cuda_env | ({} if framed else {"PENSTOCK_FRAMED": "off"})
        out = run_penstock([*args, *options], env=env).ok()
        said = "the device makes rows of records itself" in out.stdout
        measured = json.loads((tmp_path / f"{name}.json").read_text())
        assert said == (framed and device != "cpu")
        return (tmp_path / name / "model.safetensors").read_bytes(), measured, out.stdout

    return run


# test_train_cuda.py runs under sanitizers.
@pytest.mark.parametrize("device", ["delayed", pytest.param("cuda", marks=pytest.mark.plain_build)])
@pytest.mark.parametrize(
    "algorithm, dtype", [*((name, "float32") for name in MODELS), ("linear-learner", "float64")]
)
def test_the_model_is_that_of_decoded_rows(train, tmp_path, algorithm, dtype, device):
    data = write(tmp_path / "data", *draw_rows(), dtype)
    expected, measured, _ = train("off", data, algorithm=algorithm, framed=False, device=device)
    assert measured["feed"]["batches_framed"] == 0
    framed, measured, _ = train("on", data, "--validation", data, algorithm=algorithm, device=device)
    assert framed == expected
    feed = measured["feed"]
    assert 0 < feed["batches_framed"] < feed["batches"]  # what the head keeps are rows
    assert feed["late_pageable_copies"] == feed["late_allocations"] == 0


@pytest.mark.parametrize("place", [0, 700, ROWS - 1])
def test_a_record_that_is_not_like_the_first_is_no_error(train, tmp_path, place):
    features, labels = draw_rows()
    data = write(tmp_path / "data", features, labels, uid_at=place)
    expected, _, _ = train("cpu", data, device="cpu")
    model, measured, _ = train("on", data)
    assert model == expected
    if place == 700:
        assert 0 < measured["feed"]["batches_framed"] <= 2 * BATCHES - 1


@pytest.mark.parametrize("first", [True, False])
def test_a_checkpoint_does_not_tell_how_rows_came(train, tmp_path, first):
    data = write(tmp_path / "data", *draw_rows())
    expected, _, _ = train("cpu", data, device="cpu")
    checkpoints = tmp_path / "checkpoints"
    options = ["--checkpoint-dir", checkpoints, "--checkpoint-every", "9", "--keep", "50"]
    train("before", data, *options, framed=first)
    for path in sorted(checkpoints.iterdir())[2:]:
        path.unlink()
    model, _, said = train("after", data, *options, framed=not first)
    assert f"goes on from {sorted(checkpoints.iterdir())[1]}" in said
    assert model == expected


def test_a_label_out_of_range_is_named_with_its_row(train, tmp_path):
    features, labels = draw_rows()
    labels[901] = CLASSES
    data = write(tmp_path / "data", features, labels)
    with pytest.raises(pytest.fail.Exception, match="channel train, epoch 0, row 901 .*the label is 4, not"):
        train("bad", data)


def test_ranks_make_rows_of_their_own_records(penstock, tmp_path):
    """Of the last batch, of 3 rows, the second rank has none."""
    data = write(tmp_path / "data", *draw_rows())
    models = {}
    for framed in ("on", "off"):
        words = ["env", f"PENSTOCK_FRAMED={framed}", penstock, "train", "--algorithm", "mlp", "--device", "delayed"]
        words += ["--train", data, "--model-dir", tmp_path / framed]
        words += ["--metrics-json", tmp_path / f"{framed}.json"]
        for assignment in (f"mini_batch_size={BATCH}", f"feature_dim={DIM}", *MODELS["mlp"]):
            words += ["--hp", assignment]
        with Ranks([words, words]) as ranks:
            codes, said = ranks.wait()
        assert codes == [0, 0], said
        measured = json.loads((tmp_path / f"{framed}.json").read_text())
        assert (measured["feed"]["batches_framed"] > 0) == (framed == "on")
        models[framed] = (tmp_path / framed / "model.safetensors").read_bytes()
    assert models["on"] == models["off"]
