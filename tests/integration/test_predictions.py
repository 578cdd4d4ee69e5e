# SPDX-License-Identifier: Apache-2.0
"""tests/integration/test_predictions.py - the model files of every algorithm, opened by the safetensors
package, NumPy, ONNX's reference evaluator and PyTorch: what they predict from raw features is, to
1e-6, what the run itself computed, on all rows of a test channel and on single ones.
"""

import io
import json
import subprocess
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy
import onnx
import predict
import pytest
from onnx.reference import ReferenceEvaluator
from safetensors.numpy import load_file
from sdk import write_numpy_to_dense_tensor

# Of the formulas and the files: what computes them runs under sanitizers in other tests.
pytestmark = pytest.mark.plain_build

TORCH_PREDICT = Path(__file__).resolve().parents[1] / "drivers" / "torch_predict.py"
SITE_PACKAGES = Path(numpy.__file__).resolve().parents[1]
ROWS, DIM = 400, 5
SINGLES = 3
TO_LEARN = ["mini_batch_size=50", "epochs=4"]
PREDICTORS = {
    "regressor": ["predictor_type=regressor"],
    "binary": ["predictor_type=binary_classifier"],
    "multi": ["predictor_type=multiclass_classifier", "num_classes=3"],
}
FACTORS = ["num_factors=3", f"feature_dim={DIM}", "linear_lr=0.1", "factors_lr=0.1"]
LAYERS = ["hidden_layers=12,7", "learning_rate=0.01"]
IMAGE = ["num_classes=3", "image_shape=3,9,11", "num_layers=8", "num_filters=4", "optimizer=adam"]
IMAGE += [f"num_training_samples={ROWS}", "learning_rate=0.01"]


# --- data -----------------------------------------------------------------------------------------


def make_features(seed, scaled):
    """Columns of very different scales, so that folding the scaling in matters; or of one."""
    x = numpy.random.default_rng(seed).normal(size=(ROWS, DIM))
    return (x * [1, 10, 100, 0.1, 3] + [0, 50, -300, 1, 7] if scaled else x).astype("float32")


def make_pictures(seed):
    draw = numpy.random.default_rng(seed)
    x = draw.integers(0, 60, (ROWS, 3, 9, 11))
    for image, label in zip(x, draw.integers(0, 3, ROWS)):
        image[:, :, draw.integers(1, 10) if label == 1 else 3] = [[200], [120], [80]]
        image[:, draw.integers(1, 8) if label == 2 else 3] = [[200], [120], [80]]
    return x.astype("float32")


def make_labels(kind, x):
    x = x.reshape(len(x), -1)
    standard = (x - x.mean(axis=0)) / x.std(axis=0)
    score = standard[:, 0] - 2 * standard[:, 1] + 0.5 * standard[:, 2]
    if not kind:
        return numpy.zeros(len(x))
    if kind == "regressor":
        return 1000 + 50 * score
    return numpy.digitize(score, [0] if kind == "binary" else [-1, 1]) + 0.0


# --- what the run prints as its objective, from predictions ---------------------------------------


def mean_square(prediction, labels, x, arrays):
    return numpy.mean((prediction.reshape(-1) - labels) ** 2)


def logistic(scores, labels, x, arrays):
    return numpy.mean(numpy.logaddexp(0, numpy.where(labels > 0, -1, 1) * scores.reshape(-1)))


def softmax(scores, labels, x, arrays):
    top = scores.max(axis=1)
    sums = numpy.log(numpy.exp(scores - top[:, None]).sum(axis=1)) + top
    return numpy.mean(sums - scores[numpy.arange(len(scores)), labels.astype(int)])


def nearest(distances, labels, x, arrays):
    return distances.min(axis=1).mean()


def unexplained(projections, labels, x, arrays):
    return ((x - arrays["mean"].astype("float64")) ** 2).sum(axis=1).mean() - (
        projections**2
    ).sum(axis=1).mean()


# --- models ---------------------------------------------------------------------------------------


@dataclass
class Case:
    """An algorithm with hyperparameters; predictor(arrays, features) gives what objective takes."""

    algorithm: str
    hyper: list
    predictor: object
    objective: object
    kind: str = ""  # of labels
    onnx_input: str = ""
    activation: str = "relu"

    def features(self, seed):
        if self.algorithm == "image-classification":
            return make_pictures(seed)
        return make_features(seed, scaled=self.algorithm in ("linear-learner", "mlp", "kmeans"))

    def train_labels(self, x):
        return make_labels(self.kind, x)

    def test_labels(self, x):
        """A regressor's are 0: its loss is then the square of what it predicts."""
        return numpy.zeros(len(x)) if self.kind == "regressor" else make_labels(self.kind, x)


def supervised(algorithm, hyper, predictor, **more):
    for kind, objective in (("regressor", mean_square), ("binary", logistic), ("multi", softmax)):
        options = [*PREDICTORS[kind], *TO_LEARN, *hyper]
        yield kind, Case(algorithm, options, predictor, objective, kind, **more)


def make_cases():
    for kind, case in supervised("linear-learner", ["learning_rate=0.1"], predict.linear, onnx_input="features"):
        yield f"linear-{kind}", case
    for kind, case in supervised(
        "factorization-machines", FACTORS, predict.factorization_machine, onnx_input="features"
    ):
        if kind != "multi":  # which is none of its predictor types
            yield f"fm-{kind}", case
    for kind, case in supervised("mlp", LAYERS, predict.dense, onnx_input="features"):
        yield f"mlp-{kind}", case
    tanh = partial(predict.dense, activation=numpy.tanh)
    hyper = [*LAYERS, *TO_LEARN, *PREDICTORS["binary"], "activation=tanh"]
    yield "mlp-tanh", Case("mlp", hyper, tanh, logistic, "binary", "features", "tanh")
    hyper = [*IMAGE, *TO_LEARN]
    network = predict.residual_network
    yield "image", Case("image-classification", hyper, network, softmax, "multi", "image")
    hyper = ["k=4", f"feature_dim={DIM}", *TO_LEARN]
    yield "kmeans", Case("kmeans", hyper, predict.distances, nearest, onnx_input="features")
    hyper = ["num_components=2", f"feature_dim={DIM}", "mini_batch_size=50"]
    yield "pca", Case("pca", hyper, predict.projections, unexplained, onnx_input="features")


CASES = dict(make_cases())


def write(path, labels, x):
    out = io.BytesIO()
    write_numpy_to_dense_tensor(out, x.reshape(len(x), -1), labels.astype("float32"))
    path.write_bytes(out.getvalue())
    return path


class Trained:
    """A model, and test(x, labels): the objective that the run itself computes for these rows."""

    def __init__(self, run_penstock, case, work):
        self.run_penstock = run_penstock
        self.work = work
        self.args = ["train", "--algorithm", case.algorithm, "--device", "cpu", "--quiet"]
        for assignment in case.hyper:
            self.args += ["--hp", assignment]
        x = case.features(1)
        self.args += ["--train", write(work / "train", case.train_labels(x), x)]
        # Runs after the first one have nothing to train: they go on from its end.
        self.args += ["--checkpoint-dir", work / "checkpoints", "--model-dir", work / "model"]
        self.x = case.features(2)
        self.labels = case.test_labels(self.x)
        self.loss = self.test(self.x, self.labels)
        self.safetensors = load_file(work / "model/model.safetensors")
        with numpy.load(work / "model/model.npz") as npz:
            self.npz = dict(npz)

    def test(self, x, labels):
        self.run_penstock([*self.args, "--test", write(self.work / "test", labels, x)]).ok()
        return json.loads((self.work / "model/config.json").read_text())["scores"]["test_loss"]


@pytest.fixture(scope="module")
def trained(run_penstock, tmp_path_factory):
    """trained(name) -> Trained, once."""
    models = {}

    def train(name):
        if name not in models:
            models[name] = Trained(run_penstock, CASES[name], tmp_path_factory.mktemp(name))
        return models[name]

    return train


# --- tests ----------------------------------------------------------------------------------------


def assert_close(got, want, scale):
    assert numpy.abs(got - want).max() <= 1e-6 * scale


@pytest.mark.parametrize("name", CASES)
def test_arrays_predict_what_the_run_computed(trained, name):
    model, case = trained(name), CASES[name]
    assert set(model.npz) == set(model.safetensors)
    for array in model.npz:
        assert model.npz[array].tobytes() == model.safetensors[array].tobytes()
    predictions = case.predictor(model.safetensors, model.x)
    want = case.objective(predictions, model.labels, model.x, model.npz)
    assert_close(model.loss, want, want)
    for row in range(SINGLES):
        one = slice(row, row + 1)
        got = model.test(model.x[one], model.labels[one])
        want = case.objective(predictions[one], model.labels[one], model.x[one], model.npz)
        assert_close(got, want, max(want, numpy.abs(predictions[one]).max(), 1))


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.onnx_input])
def test_onnx_predicts_what_the_arrays_do(trained, name):
    model, case = trained(name), CASES[name]
    graph = onnx.load(model.work / "model/model.onnx")
    onnx.checker.check_model(graph, full_check=True)
    got = ReferenceEvaluator(graph).run(None, {case.onnx_input: model.x})
    want = case.predictor(model.npz, model.x)
    assert_close(got[0].reshape(want.shape), want, numpy.abs(want).max())
    further = {output.name: array for output, array in zip(graph.graph.output[1:], got[1:])}
    assert_further_outputs(case, further, want)


def assert_further_outputs(case, got, want):
    """What a graph gives besides scores, projections or distances."""
    if case.algorithm == "kmeans":
        assert sorted(got) == ["closest_cluster", "distance_to_cluster"]
        assert numpy.array_equal(got["closest_cluster"], want.argmin(axis=1))
        assert_close(got["distance_to_cluster"], want.min(axis=1) ** 0.5, want.max() ** 0.5)
    elif case.kind == "binary":
        assert sorted(got) == ["label", "probability"]
        assert_close(got["probability"].reshape(want.shape), 1 / (1 + numpy.exp(-want)), 1)
        assert numpy.array_equal(got["label"].reshape(want.shape), want > 0)
    else:
        assert sorted(got) == (["label", "probabilities"] if case.kind == "multi" else [])


def torch_python():
    """An interpreter that has PyTorch, Debian's as a rule, which knows nothing of our environment."""
    for python in (sys.executable, "/usr/bin/python3"):
        if subprocess.run([python, TORCH_PREDICT, SITE_PACKAGES], capture_output=True, check=False).returncode == 0:
            return python
    return None


def test_torch_predicts_what_the_arrays_do(trained, tmp_path):
    python = torch_python()
    if not python:
        pytest.skip("no Python that has PyTorch (python3-torch of Debian)")
    jobs, wanted = [], []
    for name, case in CASES.items():
        model = trained(name)
        numpy.save(tmp_path / f"{name}.x.npy", model.x)
        paths = (model.work / "model/model.safetensors", tmp_path / f"{name}.x.npy", tmp_path / f"{name}.npy")
        jobs.append([case.algorithm, case.activation, *map(str, paths)])
        wanted.append(case.predictor(model.npz, model.x))
    (tmp_path / "jobs.json").write_text(json.dumps(jobs))
    subprocess.run([python, TORCH_PREDICT, SITE_PACKAGES, tmp_path / "jobs.json"], check=True, timeout=120)
    for job, want in zip(jobs, wanted):
        assert_close(numpy.load(job[-1]), want, numpy.abs(want).max())
