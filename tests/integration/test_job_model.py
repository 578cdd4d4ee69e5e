# SPDX-License-Identifier: Apache-2.0
"""tests/integration/test_job_model.py - what a job may say, compared with AWS's own model of the API.

botocore carries the model that AWS's clients check requests by: shapes, fields, lengths, patterns,
enumerations. It is walked here, so that each field and limit is the service's and not ours.
"""

import json
import os
import random
import re
import string
import subprocess
from pathlib import Path

import botocore.session
import pytest
from botocore.validate import ParamValidator

REPO = Path(__file__).resolve().parents[2]
DRIVER = Path(os.environ.get("JOB_CHECK") or REPO / "build/release/tests/drivers/job_check")
S3 = "InputDataConfig[0].DataSource.S3DataSource"


@pytest.fixture(scope="module")
def model():
    return botocore.session.Session().get_service_model("sagemaker")


def verdicts(jobs):
    """What penstock says of each job: "ok" or a message."""
    lines = "".join(json.dumps(job) + "\n" for job in jobs)
    env = {k: v for k, v in os.environ.items() if not k.startswith("PENSTOCK_")}
    done = subprocess.run([DRIVER], input=lines, capture_output=True, text=True, check=True, timeout=60, env=env)
    said = done.stdout.splitlines()
    assert len(said) == len(jobs)
    return said


def verdict(job):
    return verdicts([job])[0]


def small(**channel):
    """A job of one channel, with fields set, or left out if None."""
    whole = {"ChannelName": "a", "DataSource": {"S3DataSource": s3()}, **channel}
    return {
        "AlgorithmSpecification": {"TrainingInputMode": "Pipe"},
        "InputDataConfig": [{k: v for k, v in whole.items() if v is not None}],
        "ResourceConfig": {
            "InstanceGroups": [
                {"InstanceGroupName": name, "InstanceType": "ml.m5.large", "InstanceCount": 1} for name in "abcde"
            ]
        },
    }


def s3(**more):
    whole = {"S3DataType": "S3Prefix", "S3Uri": "s3://bucket/key", **more}
    if whole["S3DataType"] == "AugmentedManifestFile":
        whole.setdefault("AttributeNames", ["x"])
    return whole


def sourced(**more):
    return small(DataSource={"S3DataSource": s3(**more)})


# A good value for each field of a channel; None for those that are refused with an explanation.
CHANNEL = {
    "ChannelName": "a",
    "DataSource": {"S3DataSource": s3()},
    "ContentType": "text/csv",
    "CompressionType": "Gzip",
    "RecordWrapperType": "RecordIO",
    "InputMode": "File",
    "ShuffleConfig": {"Seed": 1},
}
SOURCE = {"S3DataSource": s3(), "FileSystemDataSource": None, "DatasetSource": None}
S3_SOURCE = {
    "S3DataType": "S3Prefix",
    "S3Uri": "s3://bucket/",
    "S3DataDistributionType": "ShardedByS3Key",
    "AttributeNames": ["x"],
    "InstanceGroupNames": ["a"],
    "ModelAccessConfig": {"AcceptEula": True},
    "HubAccessConfig": {"HubContentArn": "x"},
}


def test_every_field_of_the_model_is_known(model):
    for shape, known in (("Channel", CHANNEL), ("DataSource", SOURCE), ("S3DataSource", S3_SOURCE)):
        assert set(model.shape_for(shape).members) == set(known)
    assert list(model.shape_for("ShuffleConfig").members) == ["Seed"]
    assert set(model.shape_for("CheckpointConfig").members) == {"S3Uri", "LocalPath"}
    for name, value in CHANNEL.items():
        assert verdict(small(**{name: value})) == "ok", name
    for name, value in S3_SOURCE.items():
        kind = "AugmentedManifestFile" if name == "AttributeNames" else "S3Prefix"
        assert verdict(sourced(**{"S3DataType": kind, name: value})) == "ok", name
    for name, value in SOURCE.items():
        if value is None:
            said = verdict(small(DataSource={name: {}}))
            assert f"InputDataConfig[0].DataSource.{name}: " in said and "no such field" not in said


def test_required_fields_are_those_of_the_model(model):
    for name in CHANNEL:
        said = verdict(small(**{name: None}))
        if name in model.shape_for("Channel").required_members:
            assert said == f"job: InputDataConfig[0].{name}: is missing"
        else:
            assert said == "ok"
    for name in model.shape_for("S3DataSource").required_members:
        source = s3()
        del source[name]
        assert verdict(small(DataSource={"S3DataSource": source})) == f"job: {S3}.{name}: is missing"
    assert verdict(small(ShuffleConfig={})) == "job: InputDataConfig[0].ShuffleConfig.Seed: is missing"


def test_misspelt_fields_are_named(model):
    """Each field with a letter doubled, dropped or of the other case: none is passed over."""
    random.seed(4)
    for shape, build, path in (
        ("Channel", lambda f: small(**f), "InputDataConfig[0]"),
        ("S3DataSource", lambda f: sourced(**f), S3),
    ):
        for name in model.shape_for(shape).members:
            at = random.randrange(1, len(name))
            for wrong in (name[:at] + name[at - 1 :], name[:at] + name[at + 1 :], name[0].lower() + name[1:]):
                if wrong in model.shape_for(shape).members:
                    continue
                said = verdict(build({wrong: "x"}))
                assert f"{path}.{wrong}: there is no such field (is it to be {name}?)" in said


def test_other_fields_of_a_job_are_accepted(model):
    """All that CreateTrainingJob takes and DescribeTrainingJob tells, with values of any kind."""
    read = {
        *("AlgorithmSpecification", "InputDataConfig", "ResourceConfig", "CheckpointConfig"),
        *("TrainingJobName", "TrainingJobArn", "HyperParameters", "Environment"),
    }
    names = set(model.shape_for("CreateTrainingJobRequest").members)
    names |= set(model.shape_for("DescribeTrainingJobResponse").members)
    assert read <= names
    jobs = [{**small(), name: value} for name in sorted(names - read) for value in ({"x": [1.5]}, "x", None, [])]
    assert set(verdicts(jobs)) == {"ok"}
    resources = [
        {**small(), "ResourceConfig": {"InstanceCount": 1, name: "x"}}
        for name in model.shape_for("ResourceConfig").members
        if name not in ("InstanceCount", "InstanceGroups", "SelectedInstanceCount")
    ]
    assert set(verdicts(resources)) == {"ok"}


def test_enumerations_are_those_of_the_model(model):
    def enum(shape):
        return model.shape_for(shape).enum

    for mode in enum("TrainingInputMode"):
        assert verdict(small(InputMode=mode)) == "ok"
        assert verdict({**small(), "AlgorithmSpecification": {"TrainingInputMode": mode}}) == "ok"
    for value in enum("CompressionType"):
        assert verdict(small(CompressionType=value)) == "ok"
    for value in enum("RecordWrapper"):
        assert verdict(small(RecordWrapperType=value)) == "ok"
    for value in enum("S3DataDistribution"):
        assert verdict(sourced(S3DataDistributionType=value)) == "ok"
    for value in enum("S3DataType"):
        said = verdict(sourced(S3DataType=value))
        assert said == "ok" or (value == "Converse" and f"{S3}.S3DataType: Converse" in said)
    for wrong in (small(InputMode="x"), small(CompressionType="x"), small(RecordWrapperType="x")):
        assert "which is none of" in verdict(wrong)


def length(shape):
    return shape.metadata.get("min", 0), shape.metadata.get("max")


def test_lengths_are_those_of_the_model(model):
    """A value as long as the model allows is good, and one letter more is refused, by its path."""

    def pair(field, place):
        return lambda text: {**small(), field: {text: ""} if place == "name" else {"k": text}}

    def group(text):
        job = small()
        job["ResourceConfig"]["InstanceGroups"][0]["InstanceGroupName"] = text
        return job

    augmented = {"S3DataType": "AugmentedManifestFile"}
    cases = [
        ("ChannelName", lambda t: small(ChannelName=t), "InputDataConfig[0].ChannelName"),
        ("ContentType", lambda t: small(ContentType=t), "InputDataConfig[0].ContentType"),
        ("S3Uri", lambda t: sourced(S3Uri=("s3://bucket/" + t)[: len(t)]), f"{S3}.S3Uri"),
        ("AttributeName", lambda t: sourced(AttributeNames=[t], **augmented), f"{S3}.AttributeNames[0]"),
        ("HyperParameterKey", pair("HyperParameters", "name"), "HyperParameters"),
        ("HyperParameterValue", pair("HyperParameters", "value"), "HyperParameters.k"),
        ("TrainingEnvironmentKey", pair("Environment", "name"), "Environment"),
        ("TrainingEnvironmentValue", pair("Environment", "value"), "Environment.k"),
        ("TrainingJobName", lambda t: {**small(), "TrainingJobName": t}, "TrainingJobName"),
        ("InstanceGroupName", group, "ResourceConfig.InstanceGroups"),
        (
            "TrainingContainerEntrypointString",
            lambda t: {**small(), "AlgorithmSpecification": {"ContainerEntrypoint": [t]}},
            "AlgorithmSpecification.ContainerEntrypoint[0]",
        ),
        (
            "TrainingContainerArgument",
            lambda t: {**small(), "AlgorithmSpecification": {"ContainerArguments": [t]}},
            "AlgorithmSpecification.ContainerArguments[0]",
        ),
    ]
    for shape, build, path in cases:
        least, most = length(model.shape_for(shape))
        assert verdict(build("x" * most)) == "ok", shape
        said = verdict(build("x" * (most + 1)))
        assert said.startswith(path) and f"at most {most} may be" in said, (shape, said)
        if least > 0:
            assert verdict(build("")).startswith(path), shape


def test_counts_are_those_of_the_model(model):
    def channels(count):
        job = small()
        job["InputDataConfig"] = [{**job["InputDataConfig"][0], "ChannelName": f"c{i}"} for i in range(count)]
        return job

    def groups(count):
        group = {"InstanceType": "ml.m5.large", "InstanceCount": 1}
        return {
            **small(),
            "ResourceConfig": {"InstanceGroups": [{**group, "InstanceGroupName": f"g{i}"} for i in range(count)]},
        }

    def names(count):
        return [f"n{i}" for i in range(count)]

    cases = [
        ("InputDataConfig", channels),
        ("AttributeNames", lambda n: sourced(S3DataType="AugmentedManifestFile", AttributeNames=names(n))),
        ("HyperParameters", lambda n: {**small(), "HyperParameters": dict.fromkeys(names(n), "")}),
        ("TrainingEnvironmentMap", lambda n: {**small(), "Environment": dict.fromkeys(names(n), "")}),
        ("InstanceGroups", groups),
        (
            "TrainingContainerEntrypoint",
            lambda n: {**small(), "AlgorithmSpecification": {"ContainerEntrypoint": names(n)}},
        ),
        (
            "TrainingContainerArguments",
            lambda n: {**small(), "AlgorithmSpecification": {"ContainerArguments": names(n)}},
        ),
    ]
    for shape, build in cases:
        most = length(model.shape_for(shape))[1]
        assert verdict(build(most)) == "ok", shape
        assert f"{most + 1}" in verdict(build(most + 1)), shape
    most = length(model.shape_for("InstanceGroupNames"))[1]
    assert verdict(sourced(InstanceGroupNames=list("abcde")[:most])) == "ok"
    assert f"at most {most} may be" in verdict(sourced(InstanceGroupNames=list("abcdea")[: most + 1]))


def test_patterns_are_those_of_the_model(model):
    """Random names: those that the pattern matches are good, and no others."""
    random.seed(7)

    def words(alphabet, count=300):
        return ["".join(random.choices(alphabet, k=random.randrange(1, 6))) for _ in range(count)]

    cases = [
        ("ChannelName", lambda t: small(ChannelName=t), words("aZ09.-_ /é;")),
        ("TrainingJobName", lambda t: {**small(), "TrainingJobName": t}, words("aZ09-_.")),
        ("TrainingEnvironmentKey", lambda t: {**small(), "Environment": {t: ""}}, words("aZ09_-.=")),
    ]
    for shape, build, texts in cases:
        pattern = re.compile(model.shape_for(shape).metadata["pattern"], re.ASCII)
        texts = [text for text in texts if text not in (".", "..")]  # no names for directories
        for text, said in zip(texts, verdicts([build(text) for text in texts]), strict=True):
            assert (said == "ok") == bool(pattern.fullmatch(text)), (shape, text, said)


def test_seeds_have_64_bits(model):
    assert model.shape_for("Seed").type_name == "long"
    for seed, good in ((2**63 - 1, True), (-(2**63), True), (2**63, False), (1.0, False), ("1", False), (True, False)):
        assert (verdict(small(ShuffleConfig={"Seed": seed})) == "ok") == good, seed


def test_random_jobs_that_pass_are_valid_requests(model):
    """Jobs of random parts, good and bad: whatever penstock accepts, AWS's own validator does too."""
    random.seed(11)
    validator = ParamValidator()
    shape = model.shape_for("Channel")

    def some(name, good, *bad):
        """A field with a good value, more often than not; or with a bad one, or none."""
        value = random.choice(good) if random.random() < 0.9 else random.choice(bad)
        return {name: value} if random.random() < 0.9 else {}

    jobs = []
    for _ in range(2000):
        source = {
            **some("S3DataType", ["S3Prefix", "ManifestFile", "AugmentedManifestFile"], 5, "Prefix"),
            **some("S3Uri", ["s3://bucket/key", "https://bucket.s3.amazonaws.com/k"], "", None, ["s3://b/"]),
            **some("AttributeNames", [[], ["a", "b-ref"]], "a", [1], [""]),
            **some("S3DataDistributionType", ["FullyReplicated", "ShardedByS3Key"], "", {}),
            **some("InstanceGroupNames", [[], ["a"]], ["a", 1], "a"),
        }
        channel = {
            **some("ChannelName", ["a", "b" * 64], "", 7),
            "DataSource": {"S3DataSource": source},
            **some("ContentType", ["a/b", ""], {}, 5),
            **some("CompressionType", ["None", "Gzip"], "gzip", 1),
            **some("InputMode", ["Pipe", "File", "FastFile"], "pipe", {}),
            **some("ShuffleConfig", [{"Seed": 1}, {"Seed": -(2**63)}], {"Seed": "1"}, {}, []),
        }
        if random.random() < 0.1:
            channel["".join(random.choices(string.ascii_letters, k=8))] = 1
        jobs.append({**small(), "InputDataConfig": [channel]})
    passed = [job for job, said in zip(jobs, verdicts(jobs), strict=True) if said == "ok"]
    assert 50 < len(passed) < 1000
    for job in passed:
        report = validator.validate(job["InputDataConfig"][0], shape)
        assert not report.has_errors(), (job, report.generate_report())


@pytest.mark.plain_build
def test_what_the_sdk_writes_is_read():
    """Channels that the SageMaker SDK composes, of every kind that it knows."""
    from sagemaker.inputs import ShuffleConfig, TrainingInput

    uri = "s3://bucket/list"
    inputs = [
        TrainingInput(uri),
        TrainingInput(uri, distribution="ShardedByS3Key", content_type="text/csv", input_mode="File"),
        TrainingInput(uri, input_mode="FastFile", instance_groups=["a", "b"]),
        TrainingInput(uri, compression="Gzip", record_wrapping="RecordIO", shuffle_config=ShuffleConfig(2**62)),
        TrainingInput(uri, s3_data_type="ManifestFile", input_mode="Pipe", hub_access_config={"HubContentArn": "x"}),
        TrainingInput(
            uri,
            s3_data_type="AugmentedManifestFile",
            attribute_names=["source-ref", "label"],
            record_wrapping="RecordIO",
            content_type="application/x-recordio",
            model_access_config={"AcceptEula": True},
        ),
    ]
    jobs = [{**small(), "InputDataConfig": [{"ChannelName": "a", **channel.config}]} for channel in inputs]
    assert verdicts(jobs) == ["ok"] * len(jobs)
