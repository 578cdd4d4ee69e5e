# SPDX-License-Identifier: Apache-2.0
"""tests/integration/test_train_cuda.py - training on a GPU, or where there is none on one that the CPU
emulates: the same models as on the cpu, the same bits with graphs and after a checkpoint, and nothing
allocated or copied from pageable memory once the stream is under way.
"""

import json

import numpy
import pytest
from csv_rows import write_rows
from safetensors.numpy import load_file
from test_train_ranks import ALGORITHMS, checkpointed, command, keep_up_to, same_bytes

# Of weights after some hundred steps, whose sums have other orders.
TOLERANCE = 1e-4


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    base = tmp_path_factory.mktemp("cuda")
    return write_rows(base / "train", 1, 2, 200), write_rows(base / "validation", 2, 1, 100)


def check_near(got, expected):
    got, expected = (load_file(model / "model.safetensors") for model in (got, expected))
    assert got.keys() == expected.keys()
    for name, array in expected.items():
        assert numpy.abs(got[name] - array).max() <= TOLERANCE * (1.0 + numpy.abs(array).max()), name


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_the_model_is_that_of_the_cpu(run_penstock, penstock, rows, tmp_path, cuda_env, algorithm):
    measured = tmp_path / "measured.json"
    for model, env, options in (
        ("cpu", {}, ()),
        ("cuda", cuda_env, ("--device", "cuda", "--metrics-json", measured)),
        ("graphs", cuda_env | {"PENSTOCK_CUDA_GRAPHS": "on"}, ("--device", "cuda")),
    ):
        words = command(penstock, rows, algorithm, "--model-dir", tmp_path / model, *options)
        out = run_penstock(words[1:], env=env).ok().stdout
        assert f"device: {'cpu' if model == 'cpu' else 'cuda'} (" in out
    check_near(tmp_path / "cuda", tmp_path / "cpu")
    assert same_bytes(tmp_path, "cuda", "graphs")
    feed = json.loads(measured.read_text())["feed"]
    assert feed["batches"] > 20 and feed["late_allocations"] == feed["late_pageable_copies"] == 0


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_checkpoint_goes_on_with_the_same_bytes(run_penstock, penstock, rows, tmp_path, cuda_env, algorithm):
    """On the cpu, too: what it makes of the rest is near."""
    words = checkpointed(penstock, rows, algorithm, tmp_path, "whole", "--device", "cuda")
    run_penstock(words[1:], env=cuda_env).ok()
    for part, device in ((0.7, "cuda"), (0.3, "cuda"), (0.5, "cpu")):
        keep_up_to(tmp_path / "checkpoints", part)
        words = checkpointed(penstock, rows, algorithm, tmp_path, device, "--device", device)
        assert "checkpoint: goes on from" in run_penstock(words[1:], env=cuda_env).ok().stdout
        assert device == "cpu" or same_bytes(tmp_path, "whole", device)
    check_near(tmp_path / "cpu", tmp_path / "whole")


@pytest.mark.parametrize("graphs", ("off", "on"))
@pytest.mark.parametrize("algorithm", ("linear-learner", "factorization-machines"))
def test_a_gpu_that_is_lost_ends_the_run(run_penstock, penstock, rows, tmp_path, cuda_env, algorithm, graphs):
    """At its first operation, and later: the call is named, and no model is left behind."""
    if not cuda_env:
        pytest.skip("emulated CUDA alone can be made to fail")
    for operation in (1, 2, 9, 30, 99, 150, 500):
        env = cuda_env | {"EMULATED_CUDA_FAIL": str(operation), "PENSTOCK_CUDA_GRAPHS": graphs}
        model = tmp_path / str(operation)
        words = command(penstock, rows, algorithm, "--model-dir", model, "--device", "cuda")
        out = run_penstock(words[1:], env=env)
        assert out.rc == 1 and "(CUDA error 719)" in out.stderr, (operation, out.stderr)
        assert not (model / "model.safetensors").exists()


@pytest.mark.plain_build
def test_products_of_cublas_are_those_of_our_kernel(run_penstock, penstock, rows, tmp_path, cuda_env):
    """Where the GPU is emulated, so is cuBLAS: of matrices in column order."""
    fake = {"LD_LIBRARY_PATH": str(penstock.parent / "tests/fake_cublas")} if cuda_env else {}
    for model, env in (("own", {"PENSTOCK_CUBLAS": "off"}), ("cublas", {"PENSTOCK_CUBLAS": "on"} | fake)):
        words = command(penstock, rows, "mlp", "--model-dir", tmp_path / model, "--device", "cuda")
        out = run_penstock(words[1:], env=cuda_env | env).ok().stdout
        assert (", own kernels)" if model == "own" else ", cuBLAS 1") in out
    check_near(tmp_path / "cublas", tmp_path / "own")
