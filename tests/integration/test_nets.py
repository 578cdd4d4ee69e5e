# SPDX-License-Identifier: Apache-2.0
"""tests/integration/test_nets.py - `penstock train` with mlp and image-classification, and ONNX
files of these and of linear-learner: valid, and the same predictions from NumPy, from ONNX's
reference evaluator and from the run itself.
"""

import json
import re

import numpy
import onnx
import pytest
from onnx.reference import ReferenceEvaluator
from PIL import Image
from predict import dense, relu, residual_network

CSV = ["--content-type", "text/csv;label_size=1"]
CLASSES = ["--hp", "predictor_type=multiclass_classifier", "--hp", "num_classes=3"]
ROWS, DIM = 600, 5


def write_csv(path, labels, features):
    numpy.savetxt(path, numpy.column_stack([labels, features]), delimiter=",", fmt="%.9g")
    table = numpy.loadtxt(path, delimiter=",", dtype="float32", ndmin=2)
    return table[:, 0], table[:, 1:]


def rings(kind):
    """What no linear model can tell apart: classes, or values, by the distance from the middle."""
    draw = numpy.random.default_rng(8)
    features = draw.normal(size=(ROWS, DIM))
    square = (features[:, :2] ** 2).sum(axis=1)
    features = features * [1, 10, 100, 0.1, 1] + [0, 30, -200, 1, 5]  # scales to be learnt
    if kind == "regressor":
        return 100 + 20 * square, features
    return numpy.digitize(square, [1.2] if kind == "binary_classifier" else [0.8, 2.2]), features


def train(run_penstock, algorithm, data, model, *options):
    out = run_penstock(
        ["train", "--algorithm", algorithm, "--train", data, "--test", data, *CSV]
        + ["--device", "cpu", "--model-dir", model, *options],
        timeout=120,
    ).ok()
    return out.stdout


def test_score(stdout):
    name = "mse|binary_classification_accuracy|multiclass_accuracy"
    return float(re.search(rf"#quality_metric: host=\S+, test (?:{name}) <\w+>=(\S+)", stdout)[1])


test_score.__test__ = False


def evaluate(path, name, rows):
    """{output: array} of a checked model."""
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    names = [output.name for output in model.graph.output]
    assert [i.name for i in model.graph.input] == [name]
    return dict(zip(names, ReferenceEvaluator(model).run(None, {name: rows})))


def close(got, want):
    """Equal to 1e-6 of the largest value: what float32 leaves."""
    return numpy.abs(got - want).max() <= 2e-6 * max(1.0, numpy.abs(want).max())


def check_outputs(kind, got, scores, labels, stdout):
    """The graph's outputs against scores from NumPy and what the run printed."""
    if kind == "regressor":
        assert list(got) == ["prediction"] and close(got["prediction"], scores)
        error = numpy.mean((got["prediction"][:, 0].astype("float64") - labels) ** 2)
        assert error == pytest.approx(test_score(stdout), rel=1e-3)
        return
    binary = kind == "binary_classifier"
    assert list(got) == (
        ["score", "probability", "label"] if binary else ["scores", "probabilities", "label"]
    )
    assert close(got["score" if binary else "scores"], scores)
    if binary:
        want, probability = scores[:, 0] > 0, 1 / (1 + numpy.exp(-scores))
    else:
        e = numpy.exp(scores - scores.max(axis=1, keepdims=True))
        want, probability = scores.argmax(axis=1), e / e.sum(axis=1, keepdims=True)
    assert close(got["probability" if binary else "probabilities"], probability)
    label = got["label"].reshape(-1)
    assert label.dtype == numpy.int64 and numpy.mean(label != want) <= 1 / ROWS
    assert numpy.mean(label == labels) == pytest.approx(test_score(stdout), abs=1.5 / ROWS)


KINDS = {
    "regressor": [],
    "binary_classifier": [],
    "multiclass_classifier": ["--hp", "num_classes=3"],
}


@pytest.mark.parametrize("kind", KINDS)
def test_linear_learner_is_written_as_onnx(run_penstock, tmp_path, kind):
    labels, features = write_csv(tmp_path / "a.csv", *rings(kind))
    options = ["--hp", f"predictor_type={kind}", *KINDS[kind], "--hp", "epochs=3"]
    stdout = train(run_penstock, "linear-learner", tmp_path / "a.csv", tmp_path / "m", *options)
    model = numpy.load(tmp_path / "m/model.npz")
    scores = features.astype("float64") @ model["weights"] + model["bias"]
    got = evaluate(tmp_path / "m/model.onnx", "features", features)
    check_outputs(kind, got, scores, labels, stdout)


@pytest.mark.parametrize("activation", ["relu", "tanh"])
@pytest.mark.parametrize("kind", KINDS)
def test_mlp_learns_what_is_not_linear(run_penstock, tmp_path, kind, activation):
    labels, features = write_csv(tmp_path / "a.csv", *rings(kind))
    options = ["--hp", f"predictor_type={kind}", *KINDS[kind], "--hp", f"activation={activation}"]
    options += ["--hp", "hidden_layers=32,16", "--hp", "mini_batch_size=20", "--hp", "epochs=25"]
    options += ["--hp", "learning_rate=0.01"]
    stdout = train(run_penstock, "mlp", tmp_path / "a.csv", tmp_path / "m", *options)
    model = numpy.load(tmp_path / "m/model.npz")
    scores = dense(model, features, relu if activation == "relu" else numpy.tanh)
    got = evaluate(tmp_path / "m/model.onnx", "features", features)
    check_outputs(kind, got, scores, labels, stdout)
    if kind == "regressor":
        assert test_score(stdout) < 0.1 * labels.var()
    else:
        assert test_score(stdout) > 0.9
    config = json.loads((tmp_path / "m/config.json").read_text())
    assert config["algorithm"] == "mlp" and config["predictor_type"] == kind
    assert config["hyperparameters"]["hidden_layers"] == [32, 16]


# --- pictures -------------------------------------------------------------------------------------


def pictures():
    """Three classes: a bright bar that lies, stands, or a cross of both; where it is does not say."""
    draw = numpy.random.default_rng(4)
    images = draw.integers(0, 60, (600, 9, 11, 3))
    labels = draw.integers(0, 3, 600)
    for image, label in zip(images, labels):
        row, column = draw.integers(1, 8), draw.integers(1, 10)
        if label != 1:
            image[row, :] = [200, 120, 80]
        if label != 0:
            image[:, column] = [200, 120, 80]
    return images.astype("uint8"), labels


def write_pngs(folder, images, labels):
    """A channel of PNG files, with a list of labels; its content type."""
    folder.mkdir()
    for number, image in enumerate(images):
        Image.fromarray(image).save(folder / f"{number:04}.png", compress_level=0)
    lines = [f"{n}\t{label}\t{n:04}.png\n" for n, label in enumerate(labels)]
    folder.with_suffix(".lst").write_text("".join(lines))
    channels = 3 if images.ndim == 4 else 1
    return f"application/x-image;image_shape={channels},9,11;lst={folder.with_suffix('.lst')}"


IMAGE = ["--hp", "num_classes=3", "--hp", "num_training_samples=600", "--hp", "image_shape=3,9,11"]
IMAGE += ["--hp", "num_layers=8", "--hp", "num_filters=4", "--hp", "optimizer=adam"]
IMAGE += ["--hp", "learning_rate=0.01", "--hp", "lr_scheduler_step=6", "--device", "cpu"]


def test_image_classification_learns_and_is_written_as_onnx(run_penstock, tmp_path):
    images, labels = pictures()
    content_type = write_pngs(tmp_path / "png", images, labels)
    arrays = {}
    for name, dtype in (("a", "uint8"), ("b", "float32")):
        out = run_penstock(
            ["train", "--algorithm", "image-classification", "--train", tmp_path / "png"]
            + ["--test", tmp_path / "png", *IMAGE, "--hp", "epochs=8", "--model-dir", tmp_path / name]
            + ["--content-type", f"{content_type};dtype={dtype}"],
            timeout=120,
        ).ok()
        arrays[name] = (tmp_path / name / "model.safetensors").read_bytes()
    assert arrays["a"] == arrays["b"]
    assert test_score(out.stdout) >= 0.9
    model = numpy.load(tmp_path / "a/model.npz")
    planes = images.transpose(0, 3, 1, 2).astype("float32")
    some = planes[:40]
    scores = residual_network(model, some)
    got = evaluate(tmp_path / "a/model.onnx", "image", some)
    assert close(got["scores"], scores)
    assert (got["label"] == scores.argmax(axis=1)).all()
    right = residual_network(model, planes).argmax(axis=1) == labels
    assert right.mean() == pytest.approx(test_score(out.stdout), abs=1.5 / 600)


def test_the_deepest_network_is_written_whole(run_penstock, tmp_path):
    content_type = write_pngs(tmp_path / "png", *(a[:8] for a in pictures()))
    run_penstock(
        ["train", "--algorithm", "image-classification", "--train", tmp_path / "png", *IMAGE]
        + ["--hp", "num_layers=32", "--hp", "num_filters=1", "--hp", "epochs=1"]
        + ["--content-type", content_type, "--model-dir", tmp_path / "m"]
    ).ok()
    with numpy.load(tmp_path / "m/model.npz") as model:
        assert len(model.files) == 2 * (32 + 2) + 2
        assert {f"block_{n}.conv_2.bias" for n in range(1, 16)} < set(model.files)
    planes = pictures()[0][:4].transpose(0, 3, 1, 2).astype("float32")
    evaluate(tmp_path / "m/model.onnx", "image", planes)


def test_mlp_takes_bytes_and_the_seed_decides(run_penstock, tmp_path):
    """The same numbers as bytes and as float32 give the same model; another seed another one."""
    images, labels = pictures()
    content_type = write_pngs(tmp_path / "png", images[..., 0], labels)
    models = []
    for dtype, seed in (("uint8", 3), ("float32", 3), ("uint8", 4)):
        folder = tmp_path / f"{dtype}{seed}"
        run_penstock(
            ["train", "--algorithm", "mlp", "--train", tmp_path / "png", *CLASSES, "--hp", "epochs=2"]
            + ["--content-type", f"{content_type};dtype={dtype}", "--hp", f"seed={seed}"]
            + ["--hp", "dropout=0.2", "--device", "cpu", "--model-dir", folder]
        ).ok()
        models.append((folder / "model.safetensors").read_bytes())
    assert models[0] == models[1] != models[2]
    out = run_penstock(
        ["train", "--algorithm", "mlp", "--train", tmp_path / "png", "--test", tmp_path / "png"]
        + ["--content-type", content_type, *CLASSES, "--hp", "epochs=1"]
        + ["--test-content-type", f"{content_type};dtype=float32"]
    )
    assert out.rc == 1
    assert "the test channel's features are float32, the training channel's uint8" in out.stderr


# --- refusals -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "algorithm, options, what",
    [
        ("mlp", [*CLASSES, "--hp", "hidden_layers=5,"], "hyperparameter hidden_layers: '5,' is not one to 8 whole numbers from 1 to 65536 with commas between"),
        ("mlp", [*CLASSES, "--hp", "hidden_layers=1,2,3,4"], "hidden_layers: give the sizes of 1 to 3 layers"),
        ("mlp", [*CLASSES, "--hp", "hidden_layer=5"], "the nearest name is 'hidden_layers'"),
        ("mlp", [*CLASSES, "--hp", "dropout=1"], "dropout: '1' is not a number from 0 to 0.95"),
        ("image-classification", IMAGE[2:], "num_classes is required"),
        ("image-classification", [*IMAGE, "--hp", "num_layers=18"], "num_layers: 18 is none of 8, 14, 20, 26, 32"),
        ("image-classification", [*IMAGE, "--hp", "image_shape=9,11"], "image_shape is required: channels,height,width"),
        ("image-classification", IMAGE, "the train channel's rows hold 5 values, and image_shape 3,9,11 has 297"),
    ],
)
def test_what_does_not_fit_is_refused(run_penstock, tmp_path, algorithm, options, what):
    write_csv(tmp_path / "a.csv", *rings("multiclass_classifier"))
    out = run_penstock(
        ["train", "--algorithm", algorithm, "--train", tmp_path / "a.csv", *CSV, *options]
    )
    assert out.rc in (1, 2) and what in out.stderr


def test_labels_have_to_fit(run_penstock, tmp_path):
    labels, features = rings("multiclass_classifier")
    write_csv(tmp_path / "a.csv", labels + 1, features)
    out = run_penstock(
        ["train", "--algorithm", "mlp", "--train", tmp_path / "a.csv", *CSV, *CLASSES]
    )
    assert out.rc == 1 and "is 3, not a whole number from 0 to 2 (num_classes - 1)" in out.stderr


# --- accuracy -------------------------------------------------------------------------------------


@pytest.mark.plain_build
def test_fashion_is_learnt_by_an_mlp_from_three_seeds(run_penstock, fashion):
    for seed in (1, 2, 3):
        out = run_penstock(
            ["train", "--algorithm", "mlp", "--train", fashion.train, "--test", fashion.test]
            + ["--hp", "predictor_type=multiclass_classifier", "--hp", "num_classes=10"]
            + ["--hp", "epochs=2", "--hp", f"seed={seed}", "--shuffle-seed", seed, "--device", "cpu"],
            timeout=120,
        ).ok()
        assert test_score(out.stdout) >= 0.865


@pytest.mark.plain_build
def test_fashion_is_learnt_by_a_residual_network(run_penstock, fashion):
    """A third of the pictures, once: bench/accuracy.py has all of them, three times."""
    parts = sorted(fashion.train.iterdir())[:5]
    out = run_penstock(
        ["train", "--algorithm", "image-classification", "--test", fashion.test, "--device", "cpu"]
        + [word for part in parts for word in ("--train", part)]
        + ["--hp", "num_classes=10", "--hp", "image_shape=1,28,28", "--hp", "num_layers=8"]
        + ["--hp", "num_filters=8", "--hp", "optimizer=adam", "--hp", "mini_batch_size=50"]
        + ["--hp", "epochs=1"],
        timeout=300,
    ).ok()
    assert test_score(out.stdout) >= 0.8
