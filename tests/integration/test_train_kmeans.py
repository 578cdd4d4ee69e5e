# SPDX-License-Identifier: Apache-2.0
"""tests/integration/test_train_kmeans.py - `penstock train --algorithm kmeans`: clusters like
scikit-learn's, the same ones in every mode, SageMaker's metric lines, labels passed over.
"""

import io
import json
import re

import numpy
import pytest
from pipe_writer import PipeWriter
from sdk import write_numpy_to_dense_tensor

# The developer guide's pattern of test:msd, verbatim.
MSD = r"#quality_metric: host=\S+, test msd <loss>=(\S+)"
SSD = r"#quality_metric: host=\S+, test ssd <loss>=(\S+)"


def make_rows(count=1200, dim=8, groups=6):
    draw = numpy.random.default_rng(11)
    corners = draw.normal(size=(groups, dim)) * 6
    return (corners[draw.integers(0, groups, count)] + draw.normal(size=(count, dim)) + 40).astype("float32")


def as_recordio(rows, labels=None):
    out = io.BytesIO()
    write_numpy_to_dense_tensor(out, rows, labels)
    return out.getvalue()


def command(*options):
    return ["train", "--algorithm", "kmeans", "--device", "cpu", "--hp", "k=6", *options]


def centroids(model):
    with numpy.load(model / "model.npz") as arrays:
        return arrays["centroids"]


def msd(rows, centres):
    return ((rows[:, None].astype("float64") - centres[None]) ** 2).sum(axis=2).min(axis=1).mean()


@pytest.fixture
def shards(tmp_path):
    """A bucket with 1,200 rows in four objects, labels in them, and the rows."""
    rows = make_rows()
    bucket = tmp_path / "s3/bucket"
    bucket.mkdir(parents=True)
    labels = numpy.arange(1200, dtype="float32")
    for part in range(4):
        span = slice(part * 300, part * 300 + 300)
        (bucket / f"part-{part}").write_bytes(as_recordio(rows[span], labels[span]))
    return bucket, rows


@pytest.mark.plain_build
def test_clusters_are_scikit_learns(run_penstock, shards, tmp_path):
    from sklearn.cluster import KMeans

    bucket, rows = shards
    model = tmp_path / "m"
    options = ["--hp", "epochs=4", "--hp", "mini_batch_size=200", "--hp", 'eval_metrics=["msd","ssd"]']
    out = run_penstock(command("--train", bucket, "--test", bucket, "--model-dir", model, *options)).ok()
    expected = KMeans(6, n_init=10, random_state=0).fit(rows)
    got = centroids(model)
    said = float(re.search(MSD, out.stdout)[1])
    assert abs(said - msd(rows, got)) < 1e-5 * said
    assert said <= 1.01 * expected.inertia_ / 1200
    assert abs(float(re.search(SSD, out.stdout)[1]) - 1200 * said) < 1e-6 * 1200 * said
    assert len(re.findall(r"epoch=\S+, train \S+_objective <loss>=(\S+)", out.stdout)) == 4
    config = json.loads((model / "config.json").read_text())
    assert config["k"] == 6 and config["hyperparameters"]["extra_center_factor"] == 10
    assert abs(config["scores"]["test_msd"] - said) < 1e-6 * said
    # The sentence in config.json, as Python.
    assert "argmin(((x - centroids) ** 2).sum(axis=1))" in config["prediction"]
    labels = numpy.array([((x - got) ** 2).sum(axis=1).argmin() for x in rows])
    same = numpy.zeros((6, 6), int)
    numpy.add.at(same, (labels, expected.labels_), 1)
    assert same.max(axis=1).sum() >= 1190


def test_every_mode_gives_the_same_clusters(run_penstock, s3_server, shards, tmp_path):
    bucket, rows = shards
    server = s3_server(bucket.parent)
    whole = b"".join(path.read_bytes() for path in sorted(bucket.iterdir()))
    bare = tmp_path / "bare.csv"
    bare.write_text("".join(",".join(f"{x:.9g}" for x in row) + "\n" for row in rows))
    fifos = tmp_path / "fifos"
    fifos.mkdir()
    models = {}
    for name, source, options in (
        ("file", bucket, ()),
        ("s3", "s3://bucket/part", ("--connections", "3", "--decode-threads", "2")),
        ("delayed", bucket, ("--device", "delayed")),
        ("fifo", f"pipe://{fifos}/train", ()),
        ("no labels", bare, ("--content-type", "text/csv;label_size=0")),
        ("seed", bucket, ("--hp", "seed=1")),
    ):
        args = command("--train", source, "--model-dir", tmp_path / name, *options)
        args += ["--hp", "epochs=2", "--hp", "mini_batch_size=256", "--hp", "half_life_time_size=600"]
        if name == "fifo":
            with PipeWriter(fifos, "train", [whole, whole], 997):
                run_penstock(args).ok()
        else:
            run_penstock(args, env=server.env).ok()
        models[name] = (tmp_path / name / "model.safetensors").read_bytes()
    assert all(models[name] == models["file"] for name in models if name != "seed")
    assert models["seed"] != models["file"]


def test_training_goes_on_from_a_checkpoint(run_penstock, shards, tmp_path):
    """From the merged centres, and from the first epoch's end: with the same bits."""
    args = command("--train", shards[0], "--hp", "mini_batch_size=256")
    for done in (1, 2):
        kept = [*args, "--checkpoint-dir", tmp_path / f"kept{done}"]
        run_penstock([*kept, "--hp", f"epochs={done}"]).ok()
        run_penstock([*kept, "--hp", "epochs=4", "--model-dir", tmp_path / f"a{done}"]).ok()
    run_penstock([*args, "--hp", "epochs=4", "--model-dir", tmp_path / "b"]).ok()
    files = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("a1", "a2", "b")]
    assert files[0] == files[1] == files[2]


@pytest.mark.parametrize(
    "options, message",
    [
        (["--hp", "k=0"], "hyperparameter k: '0' is not a whole number from 1"),
        (["--hp", "init_method=best"], "init_method: 'best' is none of: random, kmeans++"),
        (["--hp", "eval_metrics=mse"], "eval_metrics: 'mse' is none of: msd, ssd"),
        (["--hp", "epoch=2"], "'epoch' is unknown: the nearest name is 'epochs'"),
    ],
)
def test_wrong_hyperparameters_are_named(run_penstock, shards, options, message):
    out = run_penstock(command("--train", shards[0], *options))
    assert out.rc == 2 and message in out.stderr
    out = run_penstock(["train", "--algorithm", "kmeans", "--train", shards[0]])
    assert out.rc == 2 and "hyperparameter k is required" in out.stderr


def test_too_few_rows_are_an_error(run_penstock, shards):
    out = run_penstock(command("--train", shards[0], "--hp", "k=1201"))
    assert out.rc == 1
    assert "k: 1201 clusters need as many first rows, and there are 1200" in out.stderr


@pytest.mark.plain_build
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_fashion_is_clustered_as_well_as_by_scikit_learn(run_penstock, fashion, s3_server, seed):
    """KMeans(10) of scikit-learn has 31.9999 on the training rows and 31.8803 on the test rows."""
    server = s3_server(fashion.root)
    args = ["train", "--algorithm", "kmeans", "--train", "s3://train/", "--test", "s3://test/"]
    args += ["--hp", "k=10", "--hp", "epochs=4", "--hp", f"seed={seed}", "--device", "cpu"]
    out = run_penstock(args, env=server.env, timeout=120).ok()
    train = re.findall(r"#quality_metric: host=\S+, epoch=\S+, train \S+_objective <loss>=(\S+)", out.stdout)
    assert float(train[-1]) <= 1.01 * 31.9999
    assert float(re.search(MSD, out.stdout)[1]) <= 1.01 * 31.8803
