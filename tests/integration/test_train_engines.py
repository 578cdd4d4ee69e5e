# SPDX-License-Identifier: Apache-2.0
"""tests/integration/test_train_engines.py - ranks as engines launch them: with nothing but their
variables, and by a real mpirun.
"""

import contextlib
import os
import subprocess

import numpy
import pytest
from conftest import clean_env, free_port, started
from safetensors.numpy import load_file

RANKS = 2
SLURM_PORT_FIRST = 15000


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    draw = numpy.random.default_rng(3)
    path = tmp_path_factory.mktemp("engines") / "rows.csv"
    features = numpy.round(draw.normal(size=(400, 5)), 3)
    path.write_text("".join(f"{x.sum():.3f}," + ",".join(map(str, x)) + "\n" for x in features))
    return path


def command(penstock, rows, model):
    words = [penstock, "train", "--algorithm", "linear-learner", "--train", rows, "--device", "cpu"]
    words += ["--content-type", "text/csv;label_size=1", "--model-dir", model]
    for assignment in ("predictor_type=regressor", "mini_batch_size=20", "epochs=2"):
        words += ["--hp", assignment]
    return [str(word) for word in words]


@pytest.fixture(scope="module")
def expected(penstock, rows, tmp_path_factory):
    """Of one rank; a launcher of one process says so as well."""
    model = tmp_path_factory.mktemp("alone")
    env = clean_env({"RANK": "0", "WORLD_SIZE": "1"})
    subprocess.run(command(penstock, rows, model), env=env, check=True, capture_output=True, timeout=60)
    return load_file(model / "model.safetensors")


def check_model(model, expected):
    got = load_file(model / "model.safetensors")
    assert got.keys() == expected.keys()
    for name, array in expected.items():
        assert numpy.abs(got[name] - array).max() <= 1e-5 * (1.0 + numpy.abs(array).max()), name


def torchrun(rank, port):
    place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port - 1), "TORCHELASTIC_RUN_ID": "a run"}
    return {"RANK": str(rank), "WORLD_SIZE": str(RANKS), "LOCAL_RANK": str(rank), "LOCAL_WORLD_SIZE": str(RANKS), **place}


def slurm(rank, port):
    """Where they meet is of the job and the step: the port is this step's of job 0."""
    step = {"SLURM_JOB_ID": "0", "SLURM_STEP_ID": str(port - SLURM_PORT_FIRST), "SLURM_STEP_NODELIST": "127.0.0.[1,3-4]"}
    return {"SLURM_PROCID": str(rank), "SLURM_NTASKS": str(RANKS), "SLURM_LOCALID": str(rank), **step}


def kubernetes(rank, port):
    return {"JOB_COMPLETION_INDEX": str(rank), "PENSTOCK_RANKS": str(RANKS), "PENSTOCK_MASTER": f"127.0.0.1:{port}"}


@pytest.mark.parametrize("engine", (torchrun, slurm, kubernetes))
def test_ranks_with_the_variables_of_an_engine(penstock, rows, tmp_path, expected, engine):
    port = next(port for port in iter(lambda: free_port(29999), None) if port > SLURM_PORT_FIRST)
    with contextlib.ExitStack() as running:
        processes = [
            running.enter_context(started(command(penstock, rows, tmp_path), env=engine(rank, port)))
            for rank in range(RANKS)
        ]
        said = [process.communicate(timeout=60) for process in processes]
    assert [process.returncode for process in processes] == [0] * RANKS, said
    assert f"at 127.0.0.1:{port}" in said[1][1]
    check_model(tmp_path, expected)


@pytest.mark.plain_build
@pytest.mark.parametrize("group", ("auto", "tcp"))
def test_ranks_of_mpirun(penstock, rows, tmp_path, expected, group):
    """Nothing is said of where they meet. Open MPI was not built for sanitizers."""
    launch = ["mpirun", "--oversubscribe", "-n", str(RANKS), "--mca", "plm", "isolated", "--mca", "btl", "self,vader"]
    env = clean_env({"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1", "PENSTOCK_GROUP": group})
    env["HOME"] = os.environ.get("HOME", str(tmp_path))
    out = subprocess.run([*launch, *command(penstock, rows, tmp_path)], env=env, capture_output=True, text=True, timeout=60)
    assert out.returncode == 0, out.stderr
    assert ("group: mpi (Open MPI v" if group == "auto" else "group: tcp") in out.stderr
    check_model(tmp_path, expected)
