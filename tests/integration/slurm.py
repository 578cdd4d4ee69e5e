# SPDX-License-Identifier: Apache-2.0
"""tests/integration/slurm.py - a Slurm cluster: a controller, and a node on each host of a network.

    with Slurm(network, directory) as cluster:
        subprocess.run(cluster.srun(2, "hostname"), env=cluster.env)
"""

import contextlib
import shutil
import subprocess
import time

import pytest
from conftest import clean_env, started
from network import HOSTS, address

CONFIGURATION = """ClusterName=test
SlurmctldHost={controller}(10.77.0.1)
AuthType=auth/none
CredType=cred/none
SlurmUser=root
StateSaveLocation={base}/state
SlurmdSpoolDir={base}/spool-%n
SlurmctldPidFile={base}/slurmctld.pid
SlurmdPidFile={base}/slurmd-%n.pid
ProctrackType=proctrack/pgid
TaskPlugin=task/none
ReturnToService=2
PartitionName=all Nodes=ALL Default=YES
"""


class Slurm:
    def __init__(self, network, base):
        if not shutil.which("slurmd"):
            pytest.skip("no Slurm (slurmd, slurmctld and slurm-client of Debian)")
        self.network, self.base = network, base
        self.env = {"SLURM_CONF": str(base / "slurm.conf")}
        self.running = contextlib.ExitStack()

    def begin(self, what, *words):
        log = self.running.enter_context(open(self.base / f"{what}.log", "w"))
        command = [*self.network.named(what), *words]
        self.running.enter_context(started(command, env=self.env, stdout=log, stderr=log))

    def __enter__(self):
        names = [self.network.name(f"h{number}") for number in range(len(HOSTS))]
        for folder in ("state", *(f"spool-{name}" for name in names)):
            (self.base / folder).mkdir(parents=True)
        lines = [f"NodeName={name} NodeAddr={address(i)}\n" for i, name in enumerate(names)]
        text = CONFIGURATION.format(base=self.base, controller=self.network.name("s"))
        (self.base / "slurm.conf").write_text(text + "".join(lines))
        (self.base / "cgroup.conf").write_text("CgroupPlugin=cgroup/v1\n")  # not used, but loaded
        with contextlib.ExitStack() as on_failure:
            on_failure.callback(self.running.close)
            self.begin("s", "slurmctld", "-D", "-c")
            for number, name in enumerate(names):
                self.begin(f"h{number}", "slurmd", "-D", "-N", name)
            self.wait_idle()
            on_failure.pop_all()
        return self

    def wait_idle(self):
        ask = [*self.network.named("s"), "sinfo", "--noheader", "--format=%t %D"]
        deadline = time.monotonic() + 60
        while True:
            done = subprocess.run(ask, env=clean_env(self.env), capture_output=True, text=True)
            if done.stdout.split() == ["idle", str(len(HOSTS))]:
                return
            logs = "".join(path.read_text() for path in self.base.glob("*.log"))
            assert time.monotonic() < deadline, done.stdout + done.stderr + logs
            time.sleep(0.1)

    def __exit__(self, *_):
        """What watched a job stays behind where there is no controller that it could tell of the end."""
        with self.running:
            self.wait_idle()

    def srun(self, nodes, *words):
        """Of a process on each of so many nodes."""
        return [*self.network.named("h0"), "srun", f"--nodes={nodes}", f"--ntasks={nodes}", *words]
