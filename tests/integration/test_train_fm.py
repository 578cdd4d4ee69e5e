# SPDX-License-Identifier: Apache-2.0
"""tests/integration/test_train_fm.py - factorization-machines through `penstock train`: ratings of
known rank against a NumPy reference, the same model from every format and way, what is written.
"""

import json
import re

import numpy
import pytest
import scipy.sparse
from sdk import write_spmatrix_to_sparse_tensor
from sklearn.datasets import dump_svmlight_file

USERS, ITEMS, RANK = 60, 80, 3
DIM = USERS + ITEMS
RECORD = ["--content-type", "application/x-recordio-protobuf"]
LIBSVM = ["--content-type", "text/libsvm;index_base=0"]
HYPER = {
    "predictor_type": "regressor",
    "feature_dim": DIM,
    "num_factors": 4,
    "epochs": 25,
    "mini_batch_size": 100,
    "linear_lr": 0.02,
    "factors_lr": 0.02,
    "factors_wd": 0.0005,
    "factors_init_sigma": 0.1,
}


def ratings(rows, seed):
    """Ratings of a low rank, with noise of 0.2: users and items, one-hot, and the ratings."""
    truth = numpy.random.default_rng(5)
    user_bias, item_bias = truth.normal(0, 0.5, USERS), truth.normal(0, 0.5, ITEMS)
    user, item = truth.normal(0, 0.7, (USERS, RANK)), truth.normal(0, 0.7, (ITEMS, RANK))
    draw = numpy.random.default_rng(seed)
    u, i = draw.integers(0, USERS, rows), draw.integers(0, ITEMS, rows)
    y = 3.5 + user_bias[u] + item_bias[i] + (user[u] * item[i]).sum(1) + draw.normal(0, 0.2, rows)
    columns = numpy.stack([u, USERS + i], 1).ravel()
    offsets = numpy.arange(0, 2 * rows + 1, 2)
    x = scipy.sparse.csr_matrix(
        (numpy.ones(2 * rows, "float32"), columns, offsets), shape=(rows, DIM)
    )
    return x, y.astype("float32")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """train and test as recordio-protobuf by the SageMaker SDK, and as libsvm by scikit-learn."""
    root = tmp_path_factory.mktemp("ratings")
    for name, rows, seed in (("train", 5000, 1), ("test", 1000, 2)):
        x, y = ratings(rows, seed)
        for kind in ("pbr", "svm"):
            (root / kind / name).mkdir(parents=True)
        for part in range(2):
            half = slice(part * rows // 2, (part + 1) * rows // 2)
            with open(root / "pbr" / name / f"{part}.pbr", "wb") as file:
                write_spmatrix_to_sparse_tensor(file, x[half], y[half])
            dump_svmlight_file(x[half], y[half], str(root / "svm" / name / f"{part}.svm"))
    return root


def command(where, model, *options, **hyper):
    args = ["train", "--algorithm", "factorization-machines", "--train", f"{where}/train"]
    args += ["--test", f"{where}/test", "--model-dir", model]
    for name, value in {**HYPER, **hyper}.items():
        args += ["--hp", f"{name}={value}"] if value is not None else []
    return [*args, *options]


def predict(model, x):
    with numpy.load(model / "model.npz") as arrays:
        bias, linear, factors = (arrays[k].astype("float64") for k in ("bias", "linear", "factors"))
    squares = x.multiply(x) @ factors**2
    return bias + x @ linear + ((x @ factors) ** 2 - squares).sum(1) / 2


def rmse(got, want):
    return float(numpy.sqrt(numpy.mean((got - want) ** 2)))


def quality(stdout, name):
    return float(re.search(rf"#quality_metric: host=\S+, test {name} <\w+>=(\S+)", stdout)[1])


def reference(x, y, seed):
    """The same model by mini-batch Adam on dense gradients, in NumPy and double."""
    draw = numpy.random.default_rng(seed)
    u, i = x.indices[0::2], x.indices[1::2]
    w = [numpy.zeros(1), draw.normal(0, 0.01, DIM), draw.normal(0, 0.1, (DIM, 4))]
    m, v = [numpy.zeros_like(a) for a in w], [numpy.zeros_like(a) for a in w]
    rates, decays, t = (0.1, 0.02, 0.02), (0.01, 0.001, 0.0005), 0
    for _ in range(HYPER["epochs"]):
        for at in range(0, len(y), 100):
            a, b = u[at : at + 100], i[at : at + 100]
            z = w[0] + w[1][a] + w[1][b] + (w[2][a] * w[2][b]).sum(1)
            dz = 2 * (z - y[at : at + 100]) / len(a)
            g = [numpy.array([dz.sum()]), numpy.zeros(DIM), numpy.zeros((DIM, 4))]
            for one, other in ((a, b), (b, a)):
                numpy.add.at(g[1], one, dz)
                numpy.add.at(g[2], one, dz[:, None] * w[2][other])
            t += 1
            for k in range(3):
                step = g[k] + decays[k] * w[k]
                m[k] = 0.9 * m[k] + 0.1 * step
                v[k] = 0.999 * v[k] + 0.001 * step**2
                w[k] -= rates[k] * (m[k] / (1 - 0.9**t)) / (numpy.sqrt(v[k] / (1 - 0.999**t)) + 1e-8)
    return lambda x: w[0] + x @ w[1] + ((x @ w[2]) ** 2 - x.multiply(x) @ w[2] ** 2).sum(1) / 2


def test_ratings_of_low_rank_are_learnt_as_by_numpy(run_penstock, data, tmp_path):
    x, y = ratings(1000, 2)
    for seed in (0, 1, 2):
        model = tmp_path / str(seed)
        out = run_penstock(
            command(data / "pbr", model, *RECORD, "--device", "cpu", "--shuffle-seed", seed, seed=seed)
        ).ok()
        got = quality(out.stdout, "rmse")
        want = rmse(reference(*ratings(5000, 1), seed)(x), y)
        print(f"seed {seed}: rmse {got:.4f}, numpy {want:.4f}, the mean {numpy.std(y):.4f}, noise 0.2")
        assert got <= want + 0.02 and got < 0.3
        assert abs(rmse(predict(model, x), y) - got) <= 1e-5
        assert abs(quality(out.stdout, "mse") - got**2) <= 1e-5
        assert quality(out.stdout, "absolute_loss") < got


def test_the_model_is_equal_from_every_format_and_way(run_penstock, data, s3_server, tmp_path):
    server = s3_server(data)
    first = None
    for number, (where, options) in enumerate(
        [
            (data / "pbr", [*RECORD, "--device", "cpu"]),
            (data / "svm", [*LIBSVM, "--device", "cpu"]),
            (data / "pbr", [*RECORD, "--device", "delayed"]),
            ("s3://pbr", [*RECORD, "--device", "cpu", "--part-size", "1MiB"]),
            ("s3://svm", [*LIBSVM, "--device", "delayed", "--io", "epoll"]),
        ]
    ):
        model = tmp_path / str(number)
        run_penstock(command(where, model, *options, epochs=2), env=server.env).ok()
        weights = (model / "model.safetensors").read_bytes()
        first = first or weights
        assert weights == first, f"{where} {options}"
    config = json.loads((tmp_path / "0" / "config.json").read_text())
    assert config["algorithm"] == "factorization-machines"
    assert config["hyperparameters"]["factors_lr"] == 0.02
    other = tmp_path / "other"
    run_penstock(command(data / "pbr", other, *RECORD, "--device", "cpu", epochs=2, seed=5)).ok()
    assert (other / "model.safetensors").read_bytes() != first


def test_classes_are_learnt_from_dense_rows(run_penstock, tmp_path):
    """The sign of a product of two features: no linear model knows it."""
    draw = numpy.random.default_rng(2)
    for name in ("train", "test"):
        x = draw.normal(size=(2000, 4))
        y = (x[:, 0] * x[:, 1] > 0).astype(int)
        (tmp_path / name).mkdir()
        numpy.savetxt(tmp_path / name / "a.csv", numpy.column_stack([y, x]), "%.6g", delimiter=",")
    out = run_penstock(
        command(
            tmp_path,
            tmp_path / "model",
            "--content-type",
            "text/csv;label_size=1",
            predictor_type="binary_classifier",
            feature_dim=4,
        )
    ).ok()
    accuracy = r"#quality_metric: host=\S+, test binary_classification_accuracy <score>=(\S+)"
    assert float(re.search(accuracy, out.stdout)[1]) > 0.95
    assert quality(out.stdout, "binary_f_1.000") > 0.95
    assert quality(out.stdout, "binary_classification_cross_entropy") < 0.3


@pytest.mark.parametrize(
    "hyper, message",
    [
        ({"feature_dim": None}, "hyperparameter feature_dim is required"),
        ({"num_factors": None}, "hyperparameter num_factors is required"),
        ({"predictor_type": "multiclass_classifier"}, "hyperparameter predictor_type: "),
        ({"bias_init_method": "uniform"}, "hyperparameter bias_init_scale is required with uniform"),
        ({"factor_lr": 1}, "the nearest name is 'factors_lr'"),
    ],
    ids=str,
)
def test_bad_hyperparameters_are_refused(run_penstock, data, tmp_path, hyper, message):
    out = run_penstock(command(data / "pbr", tmp_path / "model", *RECORD, **hyper))
    assert out.rc == 2 and message in out.stderr


def test_columns_and_labels_out_of_range_are_named(run_penstock, tmp_path):
    for name in ("train", "test"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.svm").write_text("1 0:1 3:2\n0 1:1\n" * 10 + "1 140:1\n")
    out = run_penstock(command(tmp_path, tmp_path / "model", *LIBSVM))
    assert out.rc == 1 and "140" in out.stderr
    (tmp_path / "train" / "a.svm").write_text("1 0:1 3:2\n0.5 1:1\n")
    out = run_penstock(
        command(tmp_path, tmp_path / "model", *LIBSVM, predictor_type="binary_classifier")
    )
    assert "row 1 (the first row is 0): the label is 0.5, not 0 or 1" in out.stderr
