# SPDX-License-Identifier: Apache-2.0
"""tests/integration/test_train_pca.py - `penstock train --algorithm pca`: components as scikit-learn
finds them, and the checksum that shows that no record was lost or repeated, in every mode.
"""

import io
import json
import re

import numpy
import pytest
from pipe_writer import PipeWriter
from sdk import write_numpy_to_dense_tensor

RECORDIO = "application/x-recordio-protobuf"
SEEN = r"^#data_metric: host=\S+, records=(\d+), checksum=([0-9a-f]{16})$"


def make_rows(count=1500, dim=20):
    draw = numpy.random.default_rng(5)
    scale = 1.4 ** -numpy.arange(dim)
    return (draw.normal(size=(count, dim)) * scale @ draw.normal(size=(dim, dim)) + 7).astype("float32")


def as_recordio(rows, labels=None):
    out = io.BytesIO()
    write_numpy_to_dense_tensor(out, rows, labels)
    return out.getvalue()


def mix(z):
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        z = (z ^ (z >> numpy.uint64(shift))) * numpy.uint64(factor)
    return z ^ (z >> numpy.uint64(31))


def checksum(rows):
    """As penstock-train(1) describes it."""
    bits = numpy.ascontiguousarray(rows).view(numpy.uint32).astype(numpy.uint64)
    columns = numpy.arange(1, rows.shape[1] + 1, dtype=numpy.uint64)
    key = mix(columns * numpy.uint64(0x9E3779B97F4A7C15))
    return f"{int(mix((bits * key).sum(axis=1)).sum()):016x}"


def seen(out):
    rows, sum_ = re.search(SEEN, out.stdout, re.M).groups()
    return int(rows), sum_


def command(*options):
    return ["train", "--algorithm", "pca", "--device", "cpu", "--hp", "num_components=6", *options]


def load(model):
    with numpy.load(model / "model.npz") as arrays:
        return dict(arrays)


@pytest.fixture
def shards(tmp_path):
    """A bucket with 1,500 rows in six objects, and the rows."""
    rows = make_rows()
    bucket = tmp_path / "s3/bucket"
    bucket.mkdir(parents=True)
    for part in range(6):
        (bucket / f"part-{part}").write_bytes(as_recordio(rows[part * 250 : part * 250 + 250]))
    return bucket, rows


@pytest.mark.plain_build
def test_components_are_scikit_learns(run_penstock, shards, tmp_path):
    from sklearn.decomposition import PCA

    bucket, rows = shards
    out = run_penstock(command("--train", bucket, "--test", bucket, "--model-dir", tmp_path / "m")).ok()
    expected = PCA(6, svd_solver="full").fit(rows.astype("float64"))
    model = load(tmp_path / "m")
    assert numpy.abs(model["explained_variance_ratio"] - expected.explained_variance_ratio_).max() < 1e-5
    assert numpy.abs((model["components"] * expected.components_).sum(axis=1)).min() > 1 - 1e-5
    assert numpy.allclose(model["singular_values"], expected.singular_values_, rtol=1e-5)
    assert numpy.allclose(model["explained_variance"], expected.explained_variance_, rtol=1e-5)
    assert numpy.allclose(model["mean"], expected.mean_, atol=1e-5)
    error = (rows - expected.inverse_transform(expected.transform(rows))).astype("float64")
    mse = (error**2).sum(axis=1).mean()
    for pattern in (
        r"#quality_metric: host=\S+, epoch=\S+, train \S+_objective <loss>=(\S+)",
        r"#quality_metric: host=\S+, test reconstruction_mse_objective <loss>=(\S+)",
    ):
        assert abs(float(re.search(pattern, out.stdout)[1]) - mse) < 1e-4 * mse
    ratio = float(re.search(r"test explained_variance_ratio <score>=(\S+)", out.stdout)[1])
    assert abs(ratio - expected.explained_variance_ratio_.sum()) < 1e-5
    config = json.loads((tmp_path / "m/config.json").read_text())
    assert config["algorithm"] == "pca" and config["num_components"] == 6
    assert config["hyperparameters"]["checksum"] == checksum(rows)
    assert config["hyperparameters"]["subtract_mean"] is True


def test_every_mode_sees_every_record_once(run_penstock, penstock, s3_server, shards, tmp_path):
    """Pipe, File, FIFO and S3 give the same bits; another order the same rows."""
    bucket, rows = shards
    whole = b"".join(path.read_bytes() for path in sorted(bucket.iterdir()))
    server = s3_server(bucket.parent, "--fault", "status=503,code=SlowDown,every=4")
    want = (1500, checksum(rows))
    models = {}
    s3 = "s3://bucket/part"
    fifos = tmp_path / "fifos"
    fifos.mkdir()
    for name, source, options in (
        ("file", bucket, ()),
        ("s3", s3, ("--connections", "3", "--decode-threads", "2")),
        ("delayed", bucket, ("--device", "delayed")),
        ("fifo", f"pipe://{fifos}/train", ()),
        ("shuffled", s3, ("--shuffle-seed", "9", "--shuffle-rows", "400")),
    ):
        args = command("--train", source, "--model-dir", tmp_path / name, *options)
        if name == "fifo":
            with PipeWriter(fifos, "train", [whole], 997):
                out = run_penstock(args).ok()
        else:
            out = run_penstock(args, env=server.env).ok()
        assert seen(out) == want, name
        models[name] = (tmp_path / name / "model.safetensors").read_bytes()
    assert models["file"] == models["s3"] == models["fifo"] == models["delayed"]
    a, b = load(tmp_path / "file"), load(tmp_path / "shuffled")
    assert numpy.allclose(a["components"], b["components"], atol=1e-4)
    # Shards share the rows: their checksums add up.
    sums = []
    for shard in range(4):
        out = run_penstock(command("--train", bucket, "--shard", f"{shard}/4")).ok()
        sums.append(seen(out))
    assert sum(n for n, _ in sums) == 1500
    assert f"{sum(int(s, 16) for _, s in sums) % 2**64:016x}" == want[1]
    # penstock run feeds it through SageMaker's FIFOs, from S3.
    args = ["run", "--base", tmp_path / "ml", "--channel", f"train={s3};content_type={RECORDIO}"]
    args += ["--hyperparameter", "num_components=6", "--", penstock, "train", "--algorithm", "pca"]
    out = run_penstock([*args, "--device", "cpu"], env=server.env).ok()
    assert seen(out) == want
    assert (tmp_path / "ml/model/model.safetensors").read_bytes() == models["file"]


def test_a_repeated_or_a_lost_record_shows(run_penstock, shards, tmp_path):
    bucket, rows = shards
    data = (bucket / "part-0").read_bytes()
    length = len(data) // 250
    (bucket / "part-0").write_bytes(data[:length] + data[:length] + data[2 * length :])
    assert seen(run_penstock(command("--train", bucket)).ok()) != (1500, checksum(rows))
    (bucket / "part-0").write_bytes(data[length:])
    assert seen(run_penstock(command("--train", bucket)).ok())[0] == 1499


def test_labels_are_passed_over_and_csv_needs_none(run_penstock, tmp_path):
    rows = make_rows(300, 8)
    labelled = tmp_path / "labelled.rec"
    labelled.write_bytes(as_recordio(rows, numpy.arange(300, dtype="float32")))
    bare = tmp_path / "bare.csv"
    bare.write_text("".join(",".join(f"{x:.9g}" for x in row) + "\n" for row in rows))
    first = run_penstock(command("--train", labelled, "--model-dir", tmp_path / "a")).ok()
    second = run_penstock(
        command("--train", bare, "--content-type", "text/csv;label_size=0", "--model-dir", tmp_path / "b")
    ).ok()
    assert seen(first) == seen(second) == (300, checksum(rows))
    assert (tmp_path / "a/model.npz").read_bytes() == (tmp_path / "b/model.npz").read_bytes()


@pytest.mark.parametrize(
    "options, message",
    [
        (["--hp", "num_components=0"], "num_components: '0' is not a whole number from 1"),
        (["--hp", "extra_components=3"], "extra_components is for algorithm_mode randomized"),
        (["--hp", "algorithm_mode=fast"], "algorithm_mode: 'fast' is none of: regular, randomized"),
        (["--hp", "epochs=2"], "epochs: penstock has no other value than '1'"),
        (["--hp", "component=2"], "'component' is unknown: the nearest name is 'num_components'"),
    ],
)
def test_wrong_hyperparameters_are_named(run_penstock, shards, options, message):
    out = run_penstock(command("--train", shards[0], *options))
    assert out.rc == 2 and message in out.stderr


def test_values_that_are_not_finite_are_named(run_penstock, tmp_path):
    rows = make_rows(50, 8)
    rows[20, 3] = numpy.nan
    (tmp_path / "bad.rec").write_bytes(as_recordio(rows))
    out = run_penstock(command("--train", tmp_path / "bad.rec"))
    assert out.rc == 1 and "feature column 3 holds values that are not finite numbers" in out.stderr


@pytest.mark.plain_build
def test_fashion_through_s3_is_scikit_learns(run_penstock, fashion, s3_server, tmp_path):
    """Ratios as scikit-learn has them, and the randomized mode's subspace close to the best."""
    server = s3_server(fashion.root)
    args = ["train", "--algorithm", "pca", "--train", "s3://train/", "--test", "s3://test/"]
    args += ["--hp", "num_components=50", "--hp", "mini_batch_size=2000", "--device", "cpu"]
    run_penstock([*args, "--model-dir", tmp_path / "m"], env=server.env, timeout=120).ok()
    ratio = load(tmp_path / "m")["explained_variance_ratio"]
    for got, expected in zip(ratio, (0.29039, 0.17755, 0.06019, 0.04957, 0.03848)):
        assert abs(got - expected) < 1e-5  # scikit-learn's, to the digits written down
    assert abs(ratio[:10].sum() - 0.71991) < 1e-5 and abs(ratio.sum() - 0.86269) < 1e-5
    out = run_penstock([*args, "--hp", "algorithm_mode=randomized"], env=server.env, timeout=120).ok()
    explained = float(re.search(r"test explained_variance_ratio <score>=(\S+)", out.stdout)[1])
    assert explained > 0.85  # 0.8617 in regular mode


def test_a_run_that_goes_on_behind_the_pass_finds_the_same(run_penstock, shards, tmp_path):
    """The second run has nothing to train, and finds the components from the checkpoint."""
    bucket, rows = shards
    told = []
    for name in ("a", "b"):
        model = ["--model-dir", tmp_path / name, "--checkpoint-dir", tmp_path / "checkpoints"]
        out = run_penstock(command("--train", bucket, "--test", bucket, *model)).ok()
        told.append((seen(out), re.search(r"test explained_variance_ratio.*", out.stdout)[0]))
    assert told[0] == told[1]
    assert told[0][0] == (len(rows), checksum(rows))
    models = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("a", "b")]
    assert models[0] == models[1]


def test_more_features_than_lapack_takes_are_refused_at_once(run_penstock, tmp_path):
    (tmp_path / "a.pbr").write_bytes(as_recordio(numpy.ones((2, 32767), "float32")))
    options = ["--content-type", RECORDIO, "--memory-limit", "256MiB", "--hp", "mini_batch_size=2"]
    out = run_penstock(command("--train", tmp_path / "a.pbr", *options))
    assert out.rc == 1
    assert "32767 features are too many for algorithm_mode regular, which takes up to 32766" in out.stderr
