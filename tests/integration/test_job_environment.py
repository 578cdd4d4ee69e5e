# SPDX-License-Identifier: Apache-2.0
"""tests/integration/test_job_environment.py - AWS's own code reads the tree that `penstock run` makes.

ModelTrainer of the SageMaker SDK starts training through drivers, which read /opt/ml/input/config and
tell the program what is there by SM_* variables. The variables that penstock sets are those.
"""

import importlib.util
import json
import re
import sys
from pathlib import Path

import pytest

# A program that writes its environment to a file.
DUMP = "import json, os, sys; json.dump(dict(os.environ), open(sys.argv[1], 'w'))"

JOBS = {
    "one host": {"channels": {"train": {"content_type": "text/csv"}}},
    "three hosts": {
        "name": "three",
        "channels": {"b-x": {"sharded": True}, "a.1": {"mode": "file"}},
        "hosts": 12,
        "current_host": "algo-3",
        "instance_type": "ml.m5.large",
        "hyperparameters": {
            **{"epochs": 5, "rate": 0.1, "flag": True, "text": "x y", "number-like": "1e-3", "list": [1, "a"]},
            **{"quoted": '"q"', "uni": "žluť", "big": 2**62, "none": None, "empty": "", "dashed-name": 1},
        },
        "environment": {"MINE": "x=y"},
    },
    "groups": {
        "channels": {"a": {"groups": ["g1"]}, "b": {"groups": ["g2"]}, "c": {}},
        "groups": {"g1": 1, "g2": 2},
        "current_host": "algo-2",
        "instance_type": "ml.p3.2xlarge",
    },
}


@pytest.fixture
def drivers(monkeypatch):
    """The drivers' module, which is a script of its own, not imported through the SDK's package."""
    package = importlib.util.find_spec("sagemaker")
    path = Path(package.origin).parent / "modules/train/container_drivers/scripts/environment.py"
    monkeypatch.setattr(sys, "path", list(sys.path))
    spec = importlib.util.spec_from_file_location("container_drivers_environment", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def read_exports(path):
    """{name: value} of the file of exports that the drivers write."""
    return dict(re.findall(r"^export ([^=]+)='(.*?)'$", path.read_text(), re.M | re.S))


def decoded(text):
    try:
        return json.loads(text)
    except ValueError:
        return text


@pytest.mark.parametrize("name", JOBS)
def test_variables_are_those_of_model_trainer(name, tmp_path, run_penstock, drivers, monkeypatch):
    job = json.loads(json.dumps(JOBS[name]))
    data = tmp_path / "data.csv"
    data.write_text("1,2\n")
    for channel in job["channels"].values():
        channel["uri"] = str(data)
    (tmp_path / "job.json").write_text(json.dumps(job))
    base = tmp_path / "ml"
    dump = tmp_path / "env.json"
    args = ["run", "--config", tmp_path / "job.json", "--base", base, "--", sys.executable, "-c", DUMP, dump]
    run_penstock([str(arg) for arg in args]).ok()
    ours = json.loads(dump.read_text())

    for constant, value in list(vars(drivers).items()):
        if isinstance(value, str) and value.startswith("/opt/ml"):
            monkeypatch.setattr(drivers, constant, value.replace("/opt/ml", str(base)))
    monkeypatch.setattr(drivers, "log_env_variables", lambda env_vars_dict: None)
    monkeypatch.setenv("TRAINING_JOB_NAME", job.get("name", "penstock"))
    config = base / "input/config"
    theirs_file = tmp_path / "theirs.env"
    drivers.set_env(
        resource_config=json.loads((config / "resourceconfig.json").read_text()),
        input_data_config=json.loads((config / "inputdataconfig.json").read_text()),
        hyperparameters_config=json.loads((config / "hyperparameters.json").read_text()),
        output_file=str(theirs_file),
    )
    theirs = read_exports(theirs_file)

    assert {"SM_CHANNELS", "SM_HPS", "SM_HOSTS", "SM_TRAINING_ENV"} <= set(theirs)
    assert ours["SAGEMAKER_BASE_DIR"] == str(base)
    for variable, value in theirs.items():
        mine, other = decoded(ours[variable]), decoded(value)
        if variable == "SM_CHANNELS":
            assert mine == sorted(other)  # the toolkit's order
        elif variable == "SM_TRAINING_ENV":
            assert mine == {**mine, **other}
        else:
            assert mine == other or (ours[variable] == "" and other is None), variable
