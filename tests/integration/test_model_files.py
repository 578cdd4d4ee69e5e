# SPDX-License-Identifier: Apache-2.0
"""tests/integration/test_model_files.py - the files of `penstock train`, opened with numpy and the
safetensors package: the same arrays, and the predictions that the run itself scored.
"""

import json
import re
import zipfile

import numpy
import pytest
from safetensors import safe_open

ROWS, DIM = 600, 5


def write_csv(path, labels, features):
    table = numpy.column_stack([labels, features])
    numpy.savetxt(path, table, delimiter=",", fmt="%.9g")
    return numpy.loadtxt(path, delimiter=",", dtype="float32", ndmin=2)


def make_data(kind):
    """Labels and features with very different scales, so that folding the scaling matters."""
    draw = numpy.random.default_rng(11)
    features = draw.normal(size=(ROWS, DIM)) * [1, 10, 100, 0.01, 1] + [0, 50, -300, 1, 0]
    features[:, 4] = 3.0  # constant
    standard = (features - features.mean(0)) / numpy.where(features.std(0) > 0, features.std(0), 1)
    score = standard @ [1.0, -2.0, 0.5, 1.5, 0.0]
    if kind == "regressor":
        return 1000 + 50 * score + draw.normal(size=ROWS), features
    if kind == "binary_classifier":
        return (score + 0.3 * draw.normal(size=ROWS) > 0).astype(int), features
    return numpy.digitize(score, [-1.5, 1.5]), features


def train(run_penstock, tmp_path, kind, *options):
    labels, features = make_data(kind)
    table = write_csv(tmp_path / "data.csv", labels, features)
    out = run_penstock(
        ["train", "--algorithm", "linear-learner", "--train", tmp_path / "data.csv"]
        + ["--test", tmp_path / "data.csv", "--content-type", "text/csv;label_size=1"]
        + ["--hp", f"predictor_type={kind}", "--hp", "epochs=40", "--hp", "mini_batch_size=50"]
        + ["--hp", "learning_rate=0.01", "--device", "cpu", "--model-dir", tmp_path / "model"]
        + list(options)
    ).ok()
    return table[:, 0], table[:, 1:], out.stdout


def printed_score(stdout):
    """What the run says of its final model on the test channel."""
    return float(re.findall(r"#quality_metric: host=\S+, test (?:mse|\w+_accuracy) <\w+>=(\S+)", stdout)[-1])


CASES = {
    "regressor": [],
    "binary_classifier": [],
    "multiclass_classifier": ["--hp", "num_classes=3"],
}


@pytest.mark.parametrize("kind", CASES)
def test_other_programs_read_the_model_and_predict_the_same(run_penstock, tmp_path, kind):
    labels, features, stdout = train(run_penstock, tmp_path, kind, *CASES[kind])
    model = tmp_path / "model"
    outputs = 3 if kind == "multiclass_classifier" else 1

    with safe_open(model / "model.safetensors", "numpy") as file:
        metadata = file.metadata()
        arrays = {name: file.get_tensor(name) for name in file.keys()}
    with numpy.load(model / "model.npz") as npz:
        assert sorted(npz.files) == ["bias", "weights"] == sorted(arrays)
        for name in npz.files:
            assert npz[name].dtype == numpy.float32
            assert npz[name].tobytes() == arrays[name].tobytes()
    assert arrays["weights"].shape == (DIM, outputs)
    assert arrays["bias"].shape == (outputs,)
    assert zipfile.ZipFile(model / "model.npz").testzip() is None  # its checksums
    assert metadata["predictor_type"] == kind
    assert metadata["prediction"].endswith("x raw features")

    scores = features.astype("float64") @ arrays["weights"] + arrays["bias"]
    if kind == "regressor":
        score = numpy.mean((scores[:, 0] - labels) ** 2)
        assert score == pytest.approx(printed_score(stdout), rel=1e-3)
        assert score < 2.0  # the noise has variance 1
    else:
        predicted = scores[:, 0] > 0 if outputs == 1 else scores.argmax(axis=1)
        score = numpy.mean(predicted == labels)
        assert score == pytest.approx(printed_score(stdout), abs=1.5 / ROWS)
        assert score > 0.9

    config = json.loads((model / "config.json").read_text())
    assert config["predictor_type"] == kind
    assert config["feature_dim"] == DIM and config["outputs"] == outputs
    assert config["hyperparameters"]["mini_batch_size"] == 50
    assert config["training"] == {"device": "cpu", "epochs": 40, "rows": ROWS}
    assert config["prediction"] == metadata["prediction"]
    for channel in ("train", "test"):
        assert f"{channel}_loss" in config["scores"]
        assert any(re.fullmatch(rf"{channel}_(mse|\w+_accuracy)", name) for name in config["scores"])
    assert sorted(p.name for p in model.iterdir()) == [
        "config.json",
        "model.npz",
        "model.onnx",
        "model.safetensors",
    ]


def test_without_scaling_the_weights_are_those_of_raw_features(run_penstock, tmp_path):
    draw = numpy.random.default_rng(5)
    features = draw.normal(size=(400, 3))
    table = write_csv(tmp_path / "a.csv", features @ [1.0, 2.0, -1.0] + 0.5, features)
    run_penstock(
        ["train", "--algorithm", "linear-learner", "--train", tmp_path / "a.csv"]
        + ["--content-type", "csv", "--hp", "predictor_type=regressor", "--hp", "optimizer=sgd"]
        + ["--hp", "normalize_data=false", "--hp", "normalize_label=false", "--hp", "epochs=60"]
        + ["--hp", "mini_batch_size=100", "--hp", "use_lr_scheduler=false"]
        + ["--device", "cpu", "--model-dir", tmp_path / "model"]
    ).ok()
    with numpy.load(tmp_path / "model/model.npz") as model:
        best, *_ = numpy.linalg.lstsq(
            numpy.column_stack([table[:, 1:], numpy.ones(400)]), table[:, 0], rcond=None
        )
        assert model["weights"][:, 0] == pytest.approx(best[:3], abs=1e-3)
        assert model["bias"] == pytest.approx(best[3:], abs=1e-3)
