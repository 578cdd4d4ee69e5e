# SPDX-License-Identifier: Apache-2.0
"""tests/integration/test_train_custom.py - `penstock train --algorithm custom`: the worked example as
its users compile it, against a plain loop in NumPy; libraries that fail in every way end the run with
what they say.
"""

import contextlib
import json
import re
import shutil
import subprocess

import numpy
import pytest
from conftest import REPO, free_port, started

CSV = ["--content-type", "text/csv;label_size=1"]
EXAMPLE = REPO / "trainer/example_custom.c"
COMPILER = shutil.which("cc") or shutil.which("gcc")


def compile_library(path, source, *options):
    args = [COMPILER, "-O1", "-Wall", "-Werror", "-shared", "-fPIC", f"-I{REPO}/trainer", *options]
    subprocess.run([*args, "-o", path, source, "-lm"], check=True)
    return path


@pytest.fixture(scope="module")
def example(tmp_path_factory):
    return compile_library(tmp_path_factory.mktemp("custom") / "poisson.so", EXAMPLE)


@pytest.fixture
def counts(tmp_path):
    """500 rows in two objects of a bucket: a count, and three features it depends on."""
    draw = numpy.random.default_rng(8)
    x = numpy.round(draw.uniform(-1, 1, (500, 3)), 4).astype("float32")
    y = draw.poisson(numpy.exp(x @ [0.5, -0.3, 0.8] + 0.2))
    bucket = tmp_path / "s3/bucket"
    bucket.mkdir(parents=True)
    for part in range(2):
        rows = range(part * 250, part * 250 + 250)
        lines = [",".join([str(y[i]), *(f"{v:.4f}" for v in x[i])]) + "\n" for i in rows]
        (bucket / f"part-{part}").write_text("".join(lines))
    return bucket, x, y


def command(library, *options):
    return ["train", "--algorithm", "custom", "--hp", f"library={library}", *CSV, *options]


def descend(x, y, rate, epochs, rows):
    """What the example does, in double."""
    w, b = numpy.zeros(3), 0.0
    for _ in range(epochs):
        loss = 0.0
        for at in range(0, len(x), rows):
            part, label = x[at : at + rows].astype("float64"), y[at : at + rows]
            z = part @ w + b
            loss += (numpy.exp(z) - label * z).sum()
            residual = numpy.exp(z) - label
            w, b = w - rate * part.T @ residual / len(part), b - rate * residual.mean()
    return w, b, loss / len(x)


def test_the_example_learns_what_numpy_learns(run_penstock, s3_server, example, counts, tmp_path):
    bucket, x, y = counts
    server = s3_server(bucket.parent)
    files = {}
    (tmp_path / "s3").mkdir(exist_ok=True)
    (tmp_path / "s3/model.onnx").touch()  # of an earlier run, of another algorithm
    for name, source, device in (("file", bucket, "cpu"), ("s3", "s3://bucket/", "delayed")):
        args = command(example, "--train", source, "--test", source, "--device", device)
        args += ["--hp", "epochs=6", "--hp", "mini_batch_size=64", "--hp", "learning_rate=0.2"]
        out = run_penstock([*args, "--model-dir", tmp_path / name], env=server.env).ok()
        files[name] = (tmp_path / name / "model.safetensors").read_bytes()
    assert files["file"] == files["s3"] and not (tmp_path / "s3/model.onnx").exists()
    w, b, loss = descend(x, y, 0.2, 6, 64)
    with numpy.load(tmp_path / "s3/model.npz") as model:
        assert numpy.abs(model["weights"] - w).max() < 1e-5 and abs(model["bias"][0] - b) < 1e-5
    said = re.findall(r"epoch=\S+, train \S+_objective <loss>=(\S+)", out.stdout)
    assert len(said) == 6 and abs(float(said[-1]) - loss) < 1e-5
    assert re.search(r"#quality_metric: host=\S+, test mean_log_likelihood <score>=-0\.", out.stdout)
    config = json.loads((tmp_path / "s3/config.json").read_text())
    assert config["hyperparameters"]["model"] == "poisson-regression"
    assert config["hyperparameters"]["learning_rate"] == "0.2"
    assert config["prediction"] == "exp(x @ weights + bias), x raw features"


def test_wrong_hyperparameters_are_named(run_penstock, example, counts, tmp_path):
    bucket = counts[0]
    model = tmp_path / "m"
    for options, rc, message in (
        (["--hp", "momentum=1"], 1, "init of poisson-regression failed: hyperparameter 'momentum'"),
        (["--hp", "learning_rate=fast"], 1, "learning_rate: 'fast' is not a positive number"),
        (["--hp", "epochs=many"], 2, "hyperparameter epochs: 'many' is not a whole number"),
        (["--hp", "a=1", "--hp", "a=2"], 2, "hyperparameter a is given twice"),
        (["--hp", "library="], 2, "hyperparameter library: a text of 1 to"),
    ):
        out = run_penstock(command(example, "--train", bucket, "--model-dir", model, *options))
        assert out.rc == rc and message in out.stderr, options
    out = run_penstock(["train", "--algorithm", "custom", "--train", bucket, *CSV])
    assert out.rc == 2 and "hyperparameter library is required" in out.stderr
    bare = ["--content-type", "text/csv;label_size=0"]
    out = run_penstock([*command(example, "--train", bucket), *bare])
    assert out.rc == 1 and "the train channel has no labels, which " in out.stderr


def test_training_goes_on_from_a_checkpoint(run_penstock, example, counts, tmp_path):
    args = command(example, "--train", counts[0], "--hp", "mini_batch_size=64")
    kept = [*args, "--checkpoint-dir", tmp_path / "kept"]
    run_penstock([*kept, "--hp", "epochs=2"]).ok()
    out = run_penstock([*kept, "--hp", "epochs=4", "--model-dir", tmp_path / "a"]).ok()
    assert "epoch 3/4" in out.stdout and "epoch 2/4" not in out.stdout
    run_penstock([*args, "--hp", "epochs=4", "--model-dir", tmp_path / "b"]).ok()
    a, b = ((tmp_path / name / "model.safetensors").read_bytes() for name in "ab")
    assert a == b
    out = run_penstock([*kept, "--hp", "epochs=5", "--hp", "learning_rate=0.3"])
    assert out.rc == 1 and "library's hyperparameter" in out.stderr


def in_ranks(penstock, words, count):
    """Return codes of so many ranks, and what each said on both streams."""
    master = f"127.0.0.1:{free_port(60000)}"
    with contextlib.ExitStack() as stack:
        ranks = [
            stack.enter_context(
                started([penstock, *words, "--ranks", count, "--rank", rank, "--master", master])
            )
            for rank in range(count)
        ]
        said = [rank.communicate(timeout=60) for rank in ranks]
    return [rank.returncode for rank in ranks], said


def test_ranks_learn_what_one_does(run_penstock, penstock, example, counts, tmp_path):
    words = command(example, "--train", counts[0], "--validation", counts[0])
    words += ["--hp", "mini_batch_size=30", "--hp", "epochs=3"]
    alone = run_penstock([*words, "--model-dir", tmp_path / "one"]).ok().stdout
    codes, said = in_ranks(penstock, [*words, "--model-dir", tmp_path / "many"], 3)
    assert codes == [0, 0, 0], said
    with numpy.load(tmp_path / "one/model.npz") as one, numpy.load(tmp_path / "many/model.npz") as many:
        for name in ("weights", "bias"):
            assert numpy.abs(one[name] - many[name]).max() < 1e-5
    losses = [re.findall(r"epoch=\S+, \w+ \S+_objective <loss>=(\S+)", text) for text in (alone, said[0][0])]
    assert len(losses[0]) == len(losses[1]) >= 3
    for a, b in zip(*losses):
        assert abs(float(a) - float(b)) < 1e-5


# --- libraries that fail ----------------------------------------------------------------------------

FAULTY = r"""
#include <penstock_model.h>
#include <stdio.h>
static int calls;
static int say(char *error, size_t bytes) { snprintf(error, bytes, "it is %s", "broken"); return 1; }
static int init(const struct penstock_model_setup *s, void **m, char *e, size_t n)
{ (void)s; *m = &calls; return FAULT == 1 ? say(e, n) : 0; }
static int step(void *m, const struct penstock_model_batch *b, void *s, char *e, size_t n)
{ (void)m; (void)b; (void)s; calls++;
  if (FAULT == 3 && calls == 2) { for (size_t i = 0; i < n; i++) e[i] = 'x'; return 1; }
  return FAULT == 2 && calls == 3 ? say(e, n) : 0; }
static int eval(void *m, const struct penstock_model_batch *b, void *s, char *e, size_t n)
{ (void)m; (void)b; (void)s; (void)e; (void)n; return FAULT == 4; }
static int results(void *m, enum penstock_model_pass p, struct penstock_model_results *r, char *e, size_t n)
{ (void)m; (void)p; r->loss = FAULT == 5 ? 0.0 / 0.0 : 1.0; return FAULT == 6 ? say(e, n) : 0; }
static int save(void *m, penstock_model_put_fn put, void *c, char *e, size_t n)
{ const uint64_t shape[] = {1}; const float one = 1; (void)m;
  if (FAULT == 7) return say(e, n);
  if (put(c, FAULT == 8 ? "no name" : "a", PENSTOCK_MODEL_FLOAT32, 1, shape, &one)) return -1;
  return put(c, FAULT == 9 ? "a" : "b", PENSTOCK_MODEL_FLOAT32, 1, shape, &one); }
static void end(void *m) { (void)m; }
static const struct penstock_model_ops ops = {PENSTOCK_MODEL_ABI + (FAULT == 10), PENSTOCK_MODEL_DENSE,
    "faulty", "some_objective", 0, init, FAULT == 11 ? 0 : step, eval, results, save, 0, end};
const struct penstock_model_ops *penstock_model(void) { return FAULT == 12 ? 0 : &ops; }
"""


@pytest.mark.parametrize(
    "fault, message",
    [
        (1, "init of faulty failed: it is broken"),
        (2, "step of faulty failed: it is broken"),
        (3, "step of faulty failed: xxxx"),
        (4, "eval of faulty failed: it does not say why"),
        (5, "the loss of epoch 0 is not a finite number"),
        (6, "results of faulty failed: it is broken"),
        (7, "save of faulty failed: it is broken"),
        (8, "save of faulty failed: an array's name is not of 1 to 40 letters"),
        (9, "save of faulty failed: two arrays have the same name"),
        (10, "was compiled with version 3 of penstock_model.h; this program has version 2"),
        (11, "lacks a callback"),
        (12, "gives no penstock_model"),
    ],
)
def test_a_failing_callback_ends_the_run_with_its_text(run_penstock, counts, tmp_path, fault, message):
    (tmp_path / "faulty.c").write_text(FAULTY)
    library = compile_library(tmp_path / "faulty.so", tmp_path / "faulty.c", f"-DFAULT={fault}")
    args = command(library, "--train", counts[0], "--test", counts[0], "--hp", "mini_batch_size=50")
    device = "delayed" if fault % 2 else "cpu"
    out = run_penstock([*args, "--device", device, "--model-dir", tmp_path / "m"])
    assert out.rc == 1 and message in out.stderr
    assert out.stderr.count("\n") == 1
    assert list((tmp_path / "m").iterdir()) == []


def test_a_library_for_one_rank_is_refused_in_several(penstock, counts, tmp_path):
    (tmp_path / "faulty.c").write_text(FAULTY)
    library = compile_library(tmp_path / "faulty.so", tmp_path / "faulty.c", "-DFAULT=0")
    words = command(library, "--train", counts[0], "--hp", "mini_batch_size=50", "--model-dir", tmp_path / "m")
    codes, said = in_ranks(penstock, words, 2)
    assert codes == [1, 1]
    assert any("is a model for one rank, and this run has 2" in error for _, error in said)


def test_what_is_no_library_is_named(run_penstock, counts, tmp_path):
    out = run_penstock(command("/nonexistent.so", "--train", counts[0]))
    assert out.rc == 1 and "hyperparameter library: /nonexistent.so" in out.stderr
    text = tmp_path / "text.so"
    text.write_text("no library")
    out = run_penstock(command(text, "--train", counts[0]))
    assert out.rc == 1 and "hyperparameter library: " in out.stderr and "text.so" in out.stderr


def test_the_header_compiles_alone(tmp_path):
    header = REPO / "trainer/penstock_model.h"
    for args in (["-std=c99", "-x", "c"], ["-std=c++17", "-x", "c++"]):
        subprocess.run(
            [COMPILER, *args, "-pedantic", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", header], check=True
        )
