# SPDX-License-Identifier: Apache-2.0
"""tests/integration/test_train_linear.py - linear-learner beyond its defaults, through `penstock
train`: the closed form, scikit-learn, several models, weights, losses, early stopping, sparse rows.
"""

import json
import re

import numpy
import pytest

CSV = ["--content-type", "text/csv;label_size=1"]


def write(path, labels, features):
    numpy.savetxt(path, numpy.column_stack([labels, features]), "%.9g", delimiter=",")
    return path


def learn(run_penstock, model, train, *options, content_type=CSV, **hyper):
    args = ["train", "--algorithm", "linear-learner", "--train", train, *content_type]
    args += ["--device", "cpu", "--model-dir", model]
    for name, value in hyper.items():
        args += ["--hp", f"{name}={value}"]
    out = run_penstock([*args, *options]).ok().stdout
    with numpy.load(model / "model.npz") as arrays:
        return arrays["weights"].astype("float64"), arrays["bias"].astype("float64"), out


def quality(out, channel, name):
    return float(re.search(rf"#quality_metric: host=\S+, {channel} {name} <\w+>=(\S+)", out)[1])


def draw_regression(rows, seed=1):
    draw = numpy.random.default_rng(seed)
    x = draw.normal(size=(rows, 5)) * [1, 10, 0.1, 3, 1] + [0, 5, 1, -2, 0]
    return x, x @ [2, 0.3, -4, 0, 1] + 7 + draw.normal(0, 0.5, rows)


# --- known optima ---------------------------------------------------------------------------------


@pytest.mark.parametrize("wd", [0, 0.5])
def test_regression_ends_at_the_closed_form(run_penstock, tmp_path, wd):
    x, y = draw_regression(2000)
    data = write(tmp_path / "a.csv", y, x)
    weights, bias, out = learn(
        run_penstock,
        tmp_path / "model",
        data,
        "--test",
        data,
        predictor_type="regressor",
        optimizer="sgd",
        use_lr_scheduler="false",
        epochs=200,
        mini_batch_size=2000,
        wd=wd,
    )
    scaled = (x - x.mean(0)) / x.std(0)
    target = (y - y.mean()) / y.std()
    left = 2 / len(y) * scaled.T @ scaled + wd * numpy.eye(5)
    want = numpy.linalg.solve(left, 2 / len(y) * scaled.T @ target) * y.std() / x.std(0)
    assert numpy.abs(weights[:, 0] / want - 1).max() < 1e-4
    assert abs(bias[0] - (y.mean() - x.mean(0) @ want)) < 1e-3
    error = x @ weights[:, 0] + bias[0] - y
    assert quality(out, "test", "mse") == pytest.approx(numpy.mean(error**2), rel=1e-4)
    assert quality(out, "test", "absolute_loss") == pytest.approx(numpy.abs(error).mean(), rel=1e-4)


@pytest.mark.plain_build
def test_breast_cancer_is_told_as_by_scikit_learn(run_penstock, tmp_path):
    from sklearn.datasets import load_breast_cancer
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    x, y = load_breast_cancer(return_X_y=True)
    train, test = write(tmp_path / "a.csv", y[:455], x[:455]), write(tmp_path / "b.csv", y[455:], x[455:])
    scaler = StandardScaler().fit(x[:455])
    reference = LogisticRegression().fit(scaler.transform(x[:455]), y[:455])
    want = reference.score(scaler.transform(x[455:]), y[455:])
    for seed in (1, 2, 3):
        hyper = {"predictor_type": "binary_classifier", "epochs": 60, "mini_batch_size": 32}
        options = ["--test", test, "--shuffle-seed", seed, "--shuffle-rows", 455]
        weights, bias, out = learn(
            run_penstock, tmp_path / str(seed), train, *options, learning_rate=0.01, wd=0.002, **hyper
        )
        got = quality(out, "test", "binary_classification_accuracy")
        print(f"seed {seed}: accuracy {got:.4f}, scikit-learn {want:.4f}")
        assert got >= want - 0.01
        assert quality(out, "test", "precision") > 0.95 and quality(out, "test", "recall") > 0.95
        same = ((x[455:] @ weights[:, 0] + bias[0] > 0) == y[455:]).mean()
        assert same == pytest.approx(got, abs=0.5 / 114)


@pytest.mark.plain_build
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_fashion_is_learnt_in_any_order(run_penstock, fashion, tmp_path, seed):
    options = ["--test", fashion.test, "--shuffle-seed", seed, "--shuffle-rows", 4000]
    out = learn(
        run_penstock,
        tmp_path / "model",
        fashion.train,
        *options,
        content_type=[],
        predictor_type="multiclass_classifier",
        num_classes=10,
        learning_rate=0.002,
        epochs=6,
    )[2]
    accuracy = quality(out, "test", "multiclass_accuracy")
    print(f"seed {seed}: accuracy {accuracy}")
    assert accuracy >= 0.835
    assert accuracy < quality(out, "test", "multiclass_top_k_accuracy_3") < 1


# --- several models -------------------------------------------------------------------------------


def test_the_best_of_several_models_is_kept(run_penstock, tmp_path):
    x, y = draw_regression(1000)
    data = write(tmp_path / "a.csv", y, x)
    held_out = write(tmp_path / "b.csv", *draw_regression(300, seed=2)[::-1])
    hyper = {"predictor_type": "regressor", "epochs": 3, "mini_batch_size": 20}
    options = ["--validation", held_out, "--test", held_out]
    losses = {}
    for models in (1, 7):
        model = tmp_path / str(models)
        weights, bias, out = learn(
            run_penstock, model, data, *options, learning_rate=0.0005, num_models=models, **hyper
        )
        losses[models] = quality(out, "validation", "mse")
        assert quality(out, "test", "mse") == losses[models]
        hx, hy = draw_regression(300, seed=2)
        assert numpy.mean((hx @ weights[:, 0] + bias[0] - hy) ** 2) == pytest.approx(losses[models], rel=1e-3)
    assert losses[7] < 0.5 * losses[1]
    config = json.loads((tmp_path / "7" / "config.json").read_text())["hyperparameters"]
    assert config["num_models"] == 7 and config["best_model"] in (4, 6)  # 10 and 10^1.5 times
    assert config["learning_rate"] == pytest.approx(0.0005 * 10 ** (config["best_model"] // 2 / 2))


def test_training_ends_when_nothing_improves(run_penstock, tmp_path):
    x, y = draw_regression(400)
    data = write(tmp_path / "a.csv", y, x)
    hyper = {"predictor_type": "regressor", "epochs": 500, "mini_batch_size": 20, "learning_rate": 0.05}
    out = learn(run_penstock, tmp_path / "model", data, early_stopping_patience=3, **hyper)[2]
    ended = int(re.search(r"training ends early, after epoch (\d+) of 500", out)[1])
    losses = [float(v) for v in re.findall(r"train mse_objective <loss>=(\S+)", out)]
    assert len(losses) == ended < 100
    best, since = numpy.inf, 0
    for loss in losses:
        assert since < 3
        best, since = (loss, 0) if loss < best * 0.999 else (best, since + 1)
    assert since == 3


# --- weights and losses ---------------------------------------------------------------------------


def test_rows_of_weight_0_teach_nothing(run_penstock, tmp_path):
    draw = numpy.random.default_rng(4)
    x = draw.normal(size=(600, 3))
    y = (x[:, 0] > 0).astype(int)
    wrong = draw.random(600) < 0.6
    lines = [
        json.dumps({"x": list(a), "y": int(b ^ w), "w": 0.0 if w else 1.0}) for a, b, w in zip(x, y, wrong)
    ]
    data = tmp_path / "a.jsonl"
    data.write_text("\n".join(lines) + "\n")
    test = write(tmp_path / "test.csv", y, x)
    right = {}
    for weight in (";weight=w", ""):
        kind = ["--content-type", f"application/jsonlines;features=x;label=y{weight}"]
        out = learn(
            run_penstock,
            tmp_path / "model",
            data,
            *["--test", test, "--test-content-type", CSV[1]],
            content_type=kind,
            predictor_type="binary_classifier",
            mini_batch_size=50,
            learning_rate=0.05,
        )[2]
        right[weight] = quality(out, "test", "binary_classification_accuracy")
    assert right[";weight=w"] > 0.95 and right[""] < 0.5


def test_balanced_weights_find_the_rare_class(run_penstock, tmp_path):
    draw = numpy.random.default_rng(6)
    y = (draw.random(2000) < 0.05).astype(int)
    data = write(tmp_path / "a.csv", y, draw.normal(size=(2000, 2)) + 1.5 * y[:, None])
    common = {"mini_batch_size": 100, "learning_rate": 0.02}
    recall = {}
    for mult in ("1.0", "balanced"):
        out = learn(
            run_penstock,
            tmp_path / "model",
            data,
            "--test",
            data,
            predictor_type="binary_classifier",
            positive_example_weight_mult=mult,
            **common,
        )[2]
        recall[mult] = quality(out, "test", "recall")
        assert 0 < quality(out, "test", "binary_f_1.000") < 1
    assert recall["balanced"] > 0.75 > 0.6 > recall["1.0"]
    found = {}
    for balance in ("false", "true"):
        weights, bias, _ = learn(
            run_penstock,
            tmp_path / "model",
            data,
            predictor_type="multiclass_classifier",
            num_classes=2,
            balance_multiclass_weights=balance,
            **common,
        )
        x = numpy.loadtxt(data, delimiter=",")[:, 1:]
        found[balance] = ((x @ weights + bias).argmax(1) == 1)[y == 1].mean()
    assert found["true"] > 0.75 > 0.6 > found["false"]


def test_losses_are_minimised(run_penstock, tmp_path):
    """Quantiles are where they should be, and outliers move robust losses less."""
    draw = numpy.random.default_rng(8)
    x = draw.normal(size=(3000, 2))
    clean = x @ [3, -1] + 2
    y = clean + draw.normal(0, 0.3, 3000)
    y[:300] += 40
    mixed = draw.permutation(numpy.column_stack([y, x]))
    data = write(tmp_path / "a.csv", mixed[:, 0], mixed[:, 1:])
    common = {"predictor_type": "regressor", "mini_batch_size": 100, "learning_rate": 0.02, "epochs": 30}
    off = {}
    for loss in ("squared_loss", "absolute_loss", "huber_loss", "eps_insensitive_absolute_loss"):
        weights, bias, out = learn(run_penstock, tmp_path / "model", data, loss=loss, **common)
        off[loss] = numpy.abs(x @ weights[:, 0] + bias[0] - clean).mean()
        name = "mse" if loss == "squared_loss" else loss
        assert f"train {name}_objective <loss>=" in out
    assert off["squared_loss"] > 3
    assert all(off[loss] < 0.3 for loss in off if loss != "squared_loss")
    x, y = draw_regression(3000)
    write(data, y, x)
    weights, bias, _ = learn(
        run_penstock, tmp_path / "model", data, loss="quantile_loss", quantile=0.8, **common
    )
    assert (y < x @ weights[:, 0] + bias[0]).mean() == pytest.approx(0.8, abs=0.03)


def test_hinge_loss_separates(run_penstock, tmp_path):
    draw = numpy.random.default_rng(9)
    x = draw.normal(size=(500, 2))
    data = write(tmp_path / "a.csv", (x[:, 0] + x[:, 1] > 0.3).astype(int), x)
    out = learn(
        run_penstock,
        tmp_path / "model",
        data,
        "--test",
        data,
        predictor_type="binary_classifier",
        loss="hinge_loss",
        mini_batch_size=20,
        learning_rate=0.05,
    )[2]
    assert quality(out, "test", "binary_classification_accuracy") > 0.97
    assert quality(out, "test", "hinge_loss_objective") < 0.1


# --- sparse rows ----------------------------------------------------------------------------------


def test_sparse_rows_give_the_model_of_the_same_rows_dense(run_penstock, s3_server, tmp_path):
    from sklearn.datasets import dump_svmlight_file

    draw = numpy.random.default_rng(10)
    x = draw.normal(size=(800, 30)) * (draw.random((800, 30)) < 0.2)
    x = numpy.round(x, 4)
    y = (x @ draw.normal(size=30) > 0).astype(int)
    dense = write(tmp_path / "a.csv", y, x)
    (tmp_path / "svm").mkdir()
    dump_svmlight_file(x, y, str(tmp_path / "svm" / "a.svm"))
    svm = ["--content-type", "text/libsvm;index_base=0"]
    hyper = {
        "predictor_type": "binary_classifier",
        "feature_dim": 30,
        "mini_batch_size": 100,
        "epochs": 5,
        "learning_rate": 0.01,
        "num_models": 2,
    }
    common = {**hyper, "normalize_data": "false"}
    one, one_bias, _ = learn(run_penstock, tmp_path / "dense", dense, **common)
    two, two_bias, _ = learn(run_penstock, tmp_path / "two", tmp_path / "svm", content_type=svm, **common)
    assert numpy.abs(one - two).max() < 1e-5 and numpy.abs(one_bias - two_bias).max() < 1e-5
    scaled = tmp_path / "scaled"
    out = learn(
        run_penstock, scaled, tmp_path / "svm", "--test", tmp_path / "svm", content_type=svm, **hyper
    )[2]
    assert quality(out, "test", "binary_classification_accuracy") > 0.9
    env = s3_server(tmp_path).env
    args = ["train", "--algorithm", "linear-learner", "--train", "s3://svm/", *svm, "--device", "delayed"]
    args += ["--model-dir", tmp_path / "delayed"]
    for name, value in hyper.items():
        args += ["--hp", f"{name}={value}"]
    run_penstock(args, env=env).ok()
    first = (scaled / "model.safetensors").read_bytes()
    assert (tmp_path / "delayed" / "model.safetensors").read_bytes() == first
