# SPDX-License-Identifier: Apache-2.0
"""tests/integration/test_train_ranks.py - several ranks train one model: the same one as one rank,
of all rows, through checkpoints, signals and failures of one of them.
"""

import contextlib
import json
import os
import random
import shutil
import signal
import threading
import time

import numpy
import pytest
from conftest import free_port, started
from csv_rows import write_rows
from pipe_writer import PipeWriter
from safetensors.numpy import load_file
from sdk import write_numpy_to_dense_tensor

COMMON = ["--content-type", "text/csv;label_size=1", "--device", "cpu"]
PREDICTOR = ["predictor_type=binary_classifier", "mini_batch_size=20", "epochs=3"]
ALGORITHMS = {
    "linear-learner": PREDICTOR + ["num_models=2"],
    "mlp": PREDICTOR + ["hidden_layers=8,4", "dropout=0.2"],
    "factorization-machines": PREDICTOR + ["num_factors=4", "feature_dim=6"],
    "kmeans": ["k=3", "feature_dim=6", "mini_batch_size=20", "epochs=2"],
    "pca": ["num_components=2", "feature_dim=6", "mini_batch_size=20"],
}
# Sums in other orders, carried from step to step; factorization-machines exchange rows instead.
HOSTS = ["algo-1", "algo-2"]
TOLERANCE = {"factorization-machines": 0.0}


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    base = tmp_path_factory.mktemp("ranks")
    return write_rows(base / "train", 1, 4, 300), write_rows(base / "validation", 2, 1, 300)


def command(penstock, rows, algorithm, *options):
    words = [penstock, "train", "--algorithm", algorithm, *COMMON, "--train", rows[0], "--validation", rows[1]]
    for assignment in ALGORITHMS[algorithm]:
        words += ["--hp", assignment]
    return [str(word) for word in [*words, *options]]


class Ranks:
    """Processes that train together; each has its own command."""

    def __init__(self, commands):
        self.port = free_port(60000)
        self.all = [
            started([*words, "--ranks", str(len(commands)), "--rank", str(rank), "--master", f"127.0.0.1:{self.port}"])
            for rank, words in enumerate(commands)
        ]
        self.processes = [one.__enter__() for one in self.all]

    def __enter__(self):
        return self

    def __exit__(self, *how):
        for one in self.all:
            one.__exit__(*how)

    def wait(self, timeout=60):
        """Return codes, and what each said on both streams."""
        said = [process.communicate(timeout=timeout) for process in self.processes]
        return [process.returncode for process in self.processes], said


def train(penstock, rows, algorithm, count, model, *options):
    words = command(penstock, rows, algorithm, "--model-dir", model, *options)
    with Ranks([words] * count) as ranks:
        codes, said = ranks.wait()
    assert codes == [0] * count, said
    return said


def one_rank(run_penstock, penstock, rows, algorithm, model, *options):
    out = run_penstock(command(penstock, rows, algorithm, "--model-dir", model, *options)[1:]).ok()
    return out.stdout


def arrays_of(model):
    return load_file(str(model / "model.safetensors"))


def quality(text):
    """Names and values of the metric lines that tell how good the model is."""
    lines = [line for line in text.splitlines() if line.startswith("#quality_metric")]
    return [(line.rsplit("=", 1)[0], float(line.rsplit("=", 1)[1])) for line in lines]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_any_number_of_ranks_makes_the_same_model(run_penstock, penstock, rows, tmp_path, algorithm):
    alone = one_rank(run_penstock, penstock, rows, algorithm, tmp_path / "one")
    expected = arrays_of(tmp_path / "one")
    for count in (2, 4):
        said = train(penstock, rows, algorithm, count, tmp_path / str(count))
        assert all(out == "" for out, _ in said[1:])  # rank 0 speaks for all
        got = arrays_of(tmp_path / str(count))
        assert got.keys() == expected.keys()
        for name, array in expected.items():
            tolerance = TOLERANCE.get(algorithm, 1e-5 * (1.0 + numpy.abs(array).max()))
            assert numpy.abs(got[name] - array).max() <= tolerance, (count, name)
        for (name, a), (other, b) in zip(quality(alone), quality(said[0][0]), strict=True):
            assert name == other and a == pytest.approx(b, rel=1e-5, abs=1e-6)
        if algorithm == "pca":  # every record exactly once
            seen = [line for line in alone.splitlines() if "checksum=" in line]
            assert seen and seen == [line for line in said[0][0].splitlines() if "checksum=" in line]


@pytest.mark.parametrize("count", (2, 4))
def test_sparse_rows_and_weights_of_ranks(run_penstock, penstock, tmp_path, count):
    draw = random.Random(5)
    data = tmp_path / "data"
    data.mkdir()
    for shard in range(3):
        lines = []
        for _ in range(157):
            columns = sorted(draw.sample(range(40), draw.randint(0, 6)))
            label = draw.randint(0, 1)
            lines.append(f"{label} " + " ".join(f"{c}:{draw.uniform(-1, 1):.3f}" for c in columns) + "\n")
        (data / f"{shard}.libsvm").write_text("".join(lines))
    words = ["train", "--algorithm", "linear-learner", "--train", data, "--content-type", "text/libsvm;index_base=0"]
    words += ["--device", "cpu", "--hp", "feature_dim=40", "--checkpoint-dir", tmp_path / "checkpoints"]
    words = [str(word) for word in words]
    for assignment in PREDICTOR:
        words += ["--hp", assignment]
    one = run_penstock([*words, "--model-dir", str(tmp_path / "one")]).ok()
    shutil.rmtree(tmp_path / "checkpoints")
    with Ranks([[penstock, *words, "--model-dir", str(tmp_path / "many")]] * count) as ranks:
        codes, said = ranks.wait()
    assert codes == [0] * count, said
    expected, got = arrays_of(tmp_path / "one"), arrays_of(tmp_path / "many")
    for name, array in expected.items():
        assert numpy.abs(got[name] - array).max() <= 1e-5
    assert [name for name, _ in quality(one.stdout)] == [name for name, _ in quality(said[0][0])]


def seen_by(text):
    line = [line for line in text.splitlines() if "checksum=" in line]
    assert len(line) == 1
    return line[0].split("records=")[1]


def own_folders(rows, base, count):
    """The objects dealt out to all ranks but the last one, which has none."""
    folders = [base / f"own-{rank}" for rank in range(count)]
    for folder in folders:
        folder.mkdir()
    for no, part in enumerate(sorted(rows[0].iterdir())):
        shutil.copy(part, folders[no % (count - 1)])
    return folders


@pytest.mark.parametrize("count", (2, 5))
@pytest.mark.parametrize("share", ("objects", "own"))
def test_ranks_with_data_of_their_own_see_every_row_once(run_penstock, penstock, rows, tmp_path, share, count):
    """Objects have different numbers of rows; one rank of five, or of own data, has none at all."""
    expected = seen_by(one_rank(run_penstock, penstock, rows, "pca", tmp_path / "one"))
    folders = own_folders(rows, tmp_path, count) if share == "own" else [rows[0]] * count
    validation = [rows[1], *folders[-1:] * (count - 1)] if share == "own" else [rows[1]] * count
    hyper = ["--hp", "mini_batch_size=40", "--share", share, "--model-dir", tmp_path / "many"]
    commands = [command(penstock, data, "pca", *hyper) for data in zip(folders, validation)]
    with Ranks(commands) as ranks:
        codes, said = ranks.wait()
    assert codes == [0] * count, said
    assert seen_by(said[0][0]) == expected


@pytest.mark.parametrize(
    "options",
    (
        ["--share", "objects", "--split-objects", "bytes"],
        ["--share", "objects", "--split-objects", "bytes", "--shuffle-seed", "3"],
        ["--shuffle-seed", "3", "--shuffle-rows", "400"],
    ),
    ids=" ".join,
)
def test_parts_of_objects_and_shuffled_rows_are_seen_once(run_penstock, penstock, tmp_path, options):
    """recordio-protobuf by the SDK's writer: its records are found from any byte."""
    draw = numpy.random.default_rng(9)
    data = tmp_path / "data"
    data.mkdir()
    for shard in range(3):
        features = draw.normal(size=(2000 + 377 * shard, 6)).astype("float32")
        with open(data / f"{shard}.rec", "wb") as out:
            write_numpy_to_dense_tensor(out, features, features[:, 0])
    words = [penstock, "train", "--algorithm", "pca", "--train", data, "--device", "cpu"]
    for assignment in ALGORITHMS["pca"]:
        words += ["--hp", assignment]
    words = [str(word) for word in words]
    expected = seen_by(run_penstock(words[1:]).ok().stdout)
    assert expected.startswith("7131,")
    for count in (2, 4):
        with Ranks([[*words, *options]] * count) as ranks:
            codes, said = ranks.wait()
        assert codes == [0] * count, said
        assert seen_by(said[0][0]) == expected


@pytest.mark.parametrize("share, device", (("objects", "cpu"), ("own", "delayed")))
def test_linear_learner_of_data_of_its_own(penstock, rows, tmp_path, share, device):
    """Not the batches of one rank, but a good model, and ends of epochs that all agree on."""
    folders = own_folders(rows, tmp_path, 4) if share == "own" else [rows[0]] * 4
    validation = [rows[1], *folders[-1:] * 3] if share == "own" else [rows[1]] * 4
    more = ["--hp", "epochs=8", "--share", share, "--model-dir", tmp_path / "many", "--device", device]
    with Ranks([command(penstock, data, "linear-learner", *more) for data in zip(folders, validation)]) as ranks:
        codes, said = ranks.wait()
    assert codes == [0] * 4, said
    accuracy = dict(quality(said[0][0]))["#quality_metric: host=algo-1, validation binary_classification_accuracy <score>"]
    assert accuracy > 0.9
    assert sum("completed 100.0 %" in line for line in said[0][0].splitlines()) == 1


# --- checkpoints ---------------------------------------------------------------------------------


def checkpointed(penstock, rows, algorithm, base, model, *options):
    every = ["--checkpoint-dir", base / "checkpoints", "--checkpoint-every", "7", "--keep", "100"]
    return command(penstock, rows, algorithm, "--model-dir", base / model, *every, *options)


def keep_up_to(folder, part):
    """As if the run had been killed there: takes later checkpoints away."""
    names = sorted(folder.iterdir())
    for path in names[max(1, int(len(names) * part)) :]:
        path.unlink()


def same_bytes(base, a, b):
    name = "model.safetensors"
    return (base / a / name).read_bytes() == (base / b / name).read_bytes()


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_another_number_of_ranks_goes_on(run_penstock, penstock, rows, tmp_path, algorithm):
    """From 2 ranks to 4, to 1, back to 2, each from the middle of what is left."""
    whole = one_rank(run_penstock, penstock, rows, algorithm, tmp_path / "whole")
    with Ranks([checkpointed(penstock, rows, algorithm, tmp_path, "first")] * 2) as ranks:
        codes, said = ranks.wait()
    assert codes == [0, 0], said
    for part, count in ((0.3, 4), (0.5, 1), (0.8, 2)):
        keep_up_to(tmp_path / "checkpoints", part)
        words = checkpointed(penstock, rows, algorithm, tmp_path, "last")
        if count == 1:
            text = run_penstock(words[1:]).ok().stdout
        else:
            with Ranks([words] * count) as ranks:
                codes, said = ranks.wait()
            assert codes == [0] * count, said
            text = said[0][0]
        assert "checkpoint: goes on from" in text
        expected, got = arrays_of(tmp_path / "whole"), arrays_of(tmp_path / "last")
        for name, array in expected.items():
            tolerance = TOLERANCE.get(algorithm, 1e-5 * (1.0 + numpy.abs(array).max()))
            assert numpy.abs(got[name] - array).max() <= tolerance, (count, name)
        for (name, a), (other, b) in zip(quality(whole)[-3:], quality(text)[-3:], strict=True):
            assert name == other and a == pytest.approx(b, rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("share", ("rows", "objects"))
@pytest.mark.parametrize("algorithm", ("linear-learner", "mlp", "kmeans"))
def test_killed_ranks_go_on_with_the_same_bytes(penstock, rows, tmp_path, algorithm, share):
    words = checkpointed(penstock, rows, algorithm, tmp_path, "whole", "--share", share)
    with Ranks([words] * 2) as ranks:
        assert ranks.wait()[0] == [0, 0]
    for part in (0.7, 0.4, 0.2):
        keep_up_to(tmp_path / "checkpoints", part)
        words = checkpointed(penstock, rows, algorithm, tmp_path, "last", "--share", share)
        with Ranks([words] * 2) as ranks:
            codes, said = ranks.wait()
        assert codes == [0, 0], said
        assert "checkpoint: goes on from" in said[0][0]
        assert same_bytes(tmp_path, "whole", "last")
    if share == "objects":
        with Ranks([words] * 4) as ranks:
            codes, said = ranks.wait()
        assert codes == [1] * 4 and "with ranks = '2', and this one has '4'" in said[0][1]


def endless(words):
    return [*words, "--hp", "epochs=1000000"]


def wait_for(path, processes, timeout_s=30):
    end = time.monotonic() + timeout_s
    while not list(path.glob("checkpoint-*")):
        assert time.monotonic() < end and all(p.poll() is None for p in processes)
        time.sleep(0.02)


@pytest.mark.parametrize("count, signalled", ((2, 0), (2, 1), (4, 0), (4, 2), (4, 3)))
def test_a_signal_to_one_rank_ends_all_with_a_checkpoint(penstock, rows, tmp_path, count, signalled):
    """The ranks that are done with the last call together do not break it off for the others."""
    words = checkpointed(penstock, rows, "linear-learner", tmp_path, "model")
    with Ranks([endless(words)] * count) as ranks:
        wait_for(tmp_path / "checkpoints", ranks.processes)
        before = time.monotonic()
        ranks.processes[signalled].send_signal(signal.SIGTERM)
        codes, said = ranks.wait(timeout=20)
        took_s = time.monotonic() - before
    for rank in range(count):
        how = "by signal 15" if rank == signalled else "as another rank was"
        assert codes[rank] == (143 if rank == signalled else 1)
        assert f"stopped {how} before the end; no model was written, but a checkpoint is in" in said[rank][1]
    assert f"a checkpoint is in {tmp_path}/checkpoints" in said[0][1]
    assert took_s < 10
    assert not (tmp_path / "model").exists() or not list((tmp_path / "model").iterdir())


def test_signals_between_epochs_lose_no_batch(penstock, tmp_path):
    """Each rank has one batch of its own in an epoch, and holds the next one in hand most of the time."""
    data = write_rows(tmp_path / "data", 3, 2, rows=12)
    words = checkpointed(penstock, (data, data), "linear-learner", tmp_path, "model", "--share", "objects")
    place = words.index("--validation")
    words = words[:place] + words[place + 2 :] + ["--hp", "mini_batch_size=98", "--hp", "epochs=1500"]
    every = words.index("--checkpoint-every") + 1
    words[every] = "300s"  # those of signals alone
    with Ranks([words] * 2) as ranks:
        codes, said = ranks.wait()
    assert codes == [0, 0], said
    shutil.move(tmp_path / "model", tmp_path / "whole")
    shutil.rmtree(tmp_path / "checkpoints")
    for signalled in (True,) * 6 + (False,):
        with Ranks([words] * 2) as ranks:
            if signalled:
                time.sleep(0.4)
                for process in ranks.processes:
                    process.send_signal(signal.SIGTERM)
            codes, said = ranks.wait()
        assert 143 in codes or codes == [0, 0], said
    assert codes == [0, 0] and same_bytes(tmp_path, "whole", "model")


# --- failures ------------------------------------------------------------------------------------


def test_a_rank_that_is_killed_is_named(penstock, rows, tmp_path):
    words = checkpointed(penstock, rows, "linear-learner", tmp_path, "model", "--hp", "mini_batch_size=30")
    with Ranks([endless(words)] * 3) as ranks:
        wait_for(tmp_path / "checkpoints", ranks.processes)
        ranks.processes[1].kill()
        codes, said = ranks.wait(timeout=20)
    assert codes == [1, -9, 1]
    for rank in (0, 2):
        assert "rank 1 of 3" in said[rank][1] and "has gone" in said[rank][1]


def test_a_rank_that_hangs_is_named(penstock, rows, tmp_path):
    words = checkpointed(penstock, rows, "linear-learner", tmp_path, "model", "--rank-timeout", "2")
    with Ranks([endless(words)] * 2) as ranks:
        wait_for(tmp_path / "checkpoints", ranks.processes)
        ranks.processes[1].send_signal(signal.SIGSTOP)
        out, err = ranks.processes[0].communicate(timeout=30)
        ranks.processes[1].kill()
        ranks.processes[1].communicate()
    assert ranks.processes[0].returncode == 1
    assert "rank 1 of 2" in err and "has been silent for 2 s" in err


def test_a_rank_that_fails_says_why_on_all(penstock, rows, tmp_path):
    """A label out of range, in one row of one rank."""
    data = tmp_path / "data"
    shutil.copytree(rows[0], data)
    lines = (data / "part-2.csv").read_text().splitlines()
    lines[100] = "7" + lines[100][1:]
    (data / "part-2.csv").write_text("\n".join(lines) + "\n")
    with Ranks([command(penstock, (data, rows[1]), "linear-learner")] * 2) as ranks:
        codes, said = ranks.wait()
    assert codes == [1, 1]
    row = 300 + 337 + 100
    whose = row % 20 // 10
    message = f"channel train, epoch 0, row {row} (the first row is 0): the label is 7, not 0 or 1"
    assert said[whose][1].rstrip().endswith(f"penstock train: rank {whose}: {message}")
    assert f"rank {whose} of 2" in said[1 - whose][1] and message in said[1 - whose][1]


def test_ranks_that_are_not_alike_are_refused(penstock, rows):
    words = command(penstock, rows, "linear-learner")
    with Ranks([words, [*words, "--hp", "wd=0.5"]]) as ranks:
        codes, said = ranks.wait()
    assert codes == [1, 1]
    assert "rank 1 has hp.wd = '0.5', and rank 0 has hp.wd = 'auto'" in said[1][1]
    assert "rank 1 has hp.wd" in said[0][1]


@pytest.mark.parametrize(
    "options, why",
    (
        (["--hp", "epochs=5"], "epochs = '5', and rank 0 has epochs = '2'"),
        (["--test", "HERE"], "channel.test = 'rows', and rank 0 has channel.test = 'none'"),
        (["--shuffle-seed", "7"], "shuffle = 'by 7, rows 0', and rank 0 has shuffle = 'none 0, rows 0'"),
    ),
)
def test_ranks_that_do_not_go_as_far_are_refused(penstock, rows, options, why):
    """Or read other channels, or in another order: one of them would wait for ever, or none."""
    words = command(penstock, rows, "kmeans")
    options = [str(rows[1]) if word == "HERE" else word for word in options]
    with Ranks([words, words + options]) as ranks:
        codes, said = ranks.wait()
    assert codes == [1, 1]
    assert all(f"rank 1 has {why}" in err for _, err in said)


def test_ranks_whose_rows_are_not_the_same_end(penstock, rows, tmp_path):
    """Nothing of pca's steps is summed: each would wait for the other in another place."""
    longer = tmp_path / "longer"
    shutil.copytree(rows[0], longer)
    shutil.copy(longer / "part-0.csv", longer / "part-9.csv")
    commands = [command(penstock, (data, rows[1]), "pca") for data in (rows[0], longer)]
    for words in (commands, commands[::-1]):
        with Ranks(words) as ranks:
            codes, said = ranks.wait()
        assert codes == [1, 1]
        assert all("the ranks share the rows of the same data, and theirs are not the same" in e for _, e in said)


@pytest.mark.parametrize("rank", (0, 1))
def test_a_signal_ends_a_rank_that_waits_for_others_to_come(penstock, rows, rank):
    words = command(penstock, rows, "pca", "--ranks", "2", "--rank", rank)
    with started([*words, "--master", f"127.0.0.1:{free_port(60000)}"]) as process:
        time.sleep(1.0)
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=20)
    assert process.returncode == 143
    assert f"rank {rank}: stopped by signal 15 while it waited for the other ranks to come" in err


class Stalls:
    """A FIFO whose writer stops in the middle, and keeps it open."""

    def __init__(self, folder, text):
        folder.mkdir()
        self.path = folder / "train_0"
        self.text = text
        self.over = threading.Event()
        os.mkfifo(self.path)
        self.thread = threading.Thread(target=self.write, daemon=True)
        self.thread.start()

    def write(self):
        with contextlib.suppress(BrokenPipeError), open(self.path, "w") as fifo:
            fifo.write(self.text)
            fifo.flush()
            self.over.wait()


def test_signals_end_ranks_of_which_one_waits_for_data(penstock, rows, tmp_path):
    """A service stops every host; the rank without data must not go to a call that is its alone."""
    lines = (rows[0] / "part-0.csv").read_text().splitlines(keepends=True)
    stalled = Stalls(tmp_path / "stalls", "".join(lines[:100]))
    flowing = Stalls(tmp_path / "flows", "".join(lines))
    commands = []
    for folder in ("flows", "stalls"):
        words = command(penstock, (f"pipe://{tmp_path}/{folder}/train", rows[1]), "pca")
        place = words.index("--validation")
        every = ["--checkpoint-dir", str(tmp_path / "checkpoints"), "--checkpoint-every", "1"]
        commands.append(words[:place] + words[place + 2 :] + every)
    with Ranks(commands) as ranks:
        wait_for(tmp_path / "checkpoints", ranks.processes)
        time.sleep(0.5)
        for process in ranks.processes:
            process.send_signal(signal.SIGTERM)
        codes, said = ranks.wait(timeout=30)
    stalled.over.set()
    flowing.over.set()
    assert codes == [143, 143], said
    assert all("stopped by a signal while it waited for data" in err for _, err in said), said


def test_options_of_ranks_are_checked(run_penstock, penstock, rows):
    words = command(penstock, rows, "linear-learner")[1:]
    for options, why in (
        (["--rank", "2", "--ranks", "2", "--master", "h:1"], "--rank"),
        (["--rank", "0", "--ranks", "3", "--master", "127.0.0.1:9", "--headroom"], "--headroom"),
        (["--share", "thirds"], "--share: 'thirds' is none of rows, objects, own"),
        (["--rank-timeout", "0"], "--rank-timeout"),
    ):
        out = run_penstock([*words, *options])
        assert out.rc == 2 and why in out.stderr


# --- a container's hosts -------------------------------------------------------------------------


def make_host(base, mode, parts, distribution, rank):
    """A host's /opt/ml; returns the names of the objects it is given."""
    config = base / "input" / "config"
    config.mkdir(parents=True)
    data = base / "input" / "data"
    data.mkdir()
    channel = {"TrainingInputMode": mode, "ContentType": "text/csv;label_size=1", "S3DistributionType": distribution}
    hosts = {"current_host": HOSTS[rank], "hosts": HOSTS}
    hyper = dict(assignment.split("=") for assignment in ALGORITHMS["pca"])
    for name, value in (("inputdataconfig", {"train": channel}), ("resourceconfig", hosts), ("hyperparameters", hyper)):
        (config / f"{name}.json").write_text(json.dumps(value))
    own = [part for no, part in enumerate(parts) if distribution == "FullyReplicated" or no % 2 == rank]
    if mode == "File":
        (data / "train").mkdir()
        for part in own:
            shutil.copy(part, data / "train")
    return own


@pytest.mark.parametrize("mode", ("File", "Pipe"))
@pytest.mark.parametrize("distribution", ("FullyReplicated", "ShardedByS3Key"))
def test_hosts_of_a_container(run_penstock, penstock, rows, tmp_path, distribution, mode):
    """Each host has its own /opt/ml; only rank 0's model is written. They meet at a port that is
    given here, since SageMaker's own is one for all tests."""
    expected = seen_by(one_rank(run_penstock, penstock, rows, "pca", tmp_path / "one"))
    env = {"PENSTOCK_MASTER": f"127.0.0.1:{free_port(60000)}"}
    with contextlib.ExitStack() as running:
        processes = []
        for rank, host in enumerate(HOSTS):
            own = make_host(tmp_path / host, mode, sorted(rows[0].iterdir()), distribution, rank)
            if mode == "Pipe":
                data = tmp_path / host / "input" / "data"
                running.enter_context(PipeWriter(data, "train", [b"".join(part.read_bytes() for part in own)]))
            words = [penstock, "train", "--algorithm", "pca", "--base", str(tmp_path / host), "--device", "cpu"]
            processes.append(running.enter_context(started(words, env=env)))
        said = [process.communicate(timeout=60) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], said
    assert seen_by(said[0][0]) == expected
    assert (tmp_path / "algo-1" / "model" / "model.safetensors").exists()
    assert not (tmp_path / "algo-2" / "model").exists()
    assert "SageMaker" in said[1][1]
