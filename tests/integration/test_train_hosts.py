# SPDX-License-Identifier: Apache-2.0
"""tests/integration/test_train_hosts.py - ranks on hosts of their own, in network namespaces: by the
names of a training job's resourceconfig.json, by a real torchrun, mpirun and Slurm; and a cable is cut.
"""

import contextlib
import json
import os
import subprocess
import sys
import time

import pytest
from conftest import clean_env, started
from network import HOSTS, Network, address
from slurm import Slurm
from test_train_engines import check_model, command, expected, rows  # noqa: F401 (fixtures)
from test_train_ranks import endless

RANKS = 2
# mpirun's way to another host: HOST COMMAND... as network.named.
REMOTE_SHELL = """#!/bin/sh
host=$1; shift
exec ip netns exec $host unshare --uts sh -c "hostname $host; $*"
"""


@pytest.fixture
def network():
    with Network() as made:
        yield made


def run_all(commands, env=None, timeout=60):
    """At once. What each said on both streams; all have to end well."""
    with contextlib.ExitStack() as running:
        processes = [running.enter_context(started(words, env=env)) for words in commands]
        said = [process.communicate(timeout=timeout) for process in processes]
    assert [process.returncode for process in processes] == [0] * len(commands), said
    return said


def by_hand(network, words, rank, *options):
    place = ["--rank", rank, "--ranks", RANKS, "--master", f"{address(0)}:7011", *options]
    return [*network.within(f"h{rank}"), *words, *place]


def make_container(base, rows, rank):  # noqa: F811
    config = base / "input/config"
    config.mkdir(parents=True)
    (base / "input/data/train").mkdir(parents=True)
    (base / "input/data/train/rows.csv").write_bytes(rows.read_bytes())
    channel = {"TrainingInputMode": "File", "ContentType": "text/csv;label_size=1", "S3DistributionType": "FullyReplicated"}
    resources = {"current_host": HOSTS[rank], "hosts": HOSTS[:RANKS], "network_interface_name": "eth0"}
    hyper = {"predictor_type": "regressor", "mini_batch_size": "20", "epochs": "2"}
    for name, value in (("inputdataconfig", {"train": channel}), ("resourceconfig", resources), ("hyperparameters", hyper)):
        (config / f"{name}.json").write_text(json.dumps(value))


def test_hosts_of_a_training_job_meet_by_their_names(penstock, rows, expected, network, tmp_path):  # noqa: F811
    """Nothing is given but what SageMaker gives."""
    for rank in range(RANKS):
        make_container(tmp_path / HOSTS[rank], rows, rank)
    said = run_all([
        [*network.within(f"h{rank}"), penstock, "train", "--base", tmp_path / HOSTS[rank], "--device", "cpu"]
        for rank in range(RANKS)
    ])
    assert all("at algo-1:" in err for _, err in said)
    check_model(tmp_path / "algo-1/model", expected)
    assert not (tmp_path / "algo-2/model").exists()


def test_a_cut_cable_is_found_out_on_both_sides(penstock, rows, network, tmp_path):  # noqa: F811
    """No end of a connection and no error is ever seen: only silence."""
    checkpoints = tmp_path / "checkpoints"
    words = endless(command(penstock, rows, tmp_path / "model"))
    words += ["--checkpoint-dir", checkpoints, "--checkpoint-every", "10"]
    with contextlib.ExitStack() as running:
        processes = [
            running.enter_context(started(by_hand(network, words, rank, "--rank-timeout", "2"))) for rank in range(RANKS)
        ]
        deadline = time.monotonic() + 30
        while not (checkpoints.exists() and list(checkpoints.iterdir())):
            assert time.monotonic() < deadline and all(process.poll() is None for process in processes)
            time.sleep(0.02)
        network.cut(1)
        said = [process.communicate(timeout=30) for process in processes]
    assert [process.returncode for process in processes] == [1, 1]
    for rank in range(RANKS):
        assert f"rank {1 - rank} of {RANKS}" in said[rank][1] and "has been silent for 2 s" in said[rank][1]


@pytest.mark.plain_build
def test_torchrun_on_two_hosts(penstock, rows, expected, network, tmp_path):  # noqa: F811
    """--no_python is known to every torchrun, --no-python from PyTorch 2 on; without --redirects and
    --tee Debian's, of 1.13, fails under its own Python, 3.11."""
    launcher = ["/usr/bin/python3", "-m", "torch.distributed.run"]
    if subprocess.run([*launcher, "--help"], capture_output=True, check=False).returncode != 0:
        pytest.skip("no torchrun (python3-torch of Debian)")
    launcher += ["--nnodes", RANKS, "--nproc_per_node", 1, "--master_addr", address(0), "--master_port", 29500]
    launcher += ["--redirects", 1, "--tee", 1, "--log_dir", tmp_path / "log"]
    words = ["--no_python", *command(penstock, rows, tmp_path / "model")]
    said = run_all([[*network.within(f"h{rank}"), *launcher, "--node_rank", rank, *words] for rank in range(RANKS)])
    assert f"at {address(0)}:29501" in said[1][1]
    check_model(tmp_path / "model", expected)


@pytest.mark.plain_build
@pytest.mark.parametrize("group", ("auto", "tcp"))
@pytest.mark.parametrize("misled", (False, True))
def test_mpirun_on_two_hosts(penstock, rows, expected, network, tmp_path, group, misled):  # noqa: F811
    """Without a route to anywhere else, and where rank 0's default route leads away from the others."""
    if misled:
        network.mislead(0)
    shell = tmp_path / "shell"
    shell.write_text(REMOTE_SHELL)
    shell.chmod(0o755)
    hosts = [network.name(f"h{rank}") for rank in range(RANKS)]
    launch = ["mpirun", "-n", RANKS, "--host", ",".join(hosts), "--mca", "plm_rsh_agent", shell]
    launch += ["--mca", "btl", "self,tcp", "-x", "PENSTOCK_GROUP"]
    env = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1", "PENSTOCK_GROUP": group}
    env["HOME"] = os.environ.get("HOME", str(tmp_path))
    [(_, err)] = run_all([[*network.named("h0"), *launch, *command(penstock, rows, tmp_path / "model")]], env=env)
    assert ("group: mpi (Open MPI v" if group == "auto" else "group: tcp") in err
    check_model(tmp_path / "model", expected)


@pytest.mark.plain_build
def test_srun_on_two_hosts(penstock, rows, expected, network, tmp_path):  # noqa: F811
    with Slurm(network, tmp_path / "slurm") as cluster:
        srun = cluster.srun(RANKS, *command(penstock, rows, tmp_path / "model"))
        [(_, err)] = run_all([srun], env=cluster.env)
    assert f"ranks: 1 of 2 (Slurm: SLURM_PROCID, SLURM_NTASKS), meeting at {network.name('h0')}:" in err
    check_model(tmp_path / "model", expected)
