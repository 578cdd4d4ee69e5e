#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""bench/accuracy.py - what models learn of Fashion-MNIST, from three seeds.

    make bench-accuracy

Packs the pictures of Debian's dataset-fashion-mnist, trains mlp and image-classification on the CPU from
seeds 1, 2 and 3, prints accuracy on the 10,000 test pictures and CPU seconds, and fails where a seed is
below what is asked for. About five CPU minutes.
"""

import argparse
import re
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

DATA = Path("/usr/share/datasets/fashion-mnist")
SEEDS = (1, 2, 3)

# name: accuracy asked for, options
MODELS = {
    "mlp": (
        0.865,
        ["predictor_type=multiclass_classifier", "num_classes=10", "hidden_layers=256", "epochs=2"],
    ),
    "image-classification": (
        0.90,
        ["num_classes=10", "num_training_samples=60000", "image_shape=1,28,28", "num_layers=8"]
        + ["num_filters=8", "optimizer=adam", "learning_rate=0.003", "mini_batch_size=50", "epochs=3"]
        + ["lr_scheduler_step=2", "lr_scheduler_factor=0.15"],
    ),
}


def run(command):
    return subprocess.run(
        [str(word) for word in command], check=True, stdout=subprocess.PIPE, text=True
    ).stdout


def pack(penstock, work):
    for name, stem, shards in (("train", "train", 16), ("test", "t10k", 1)):
        command = [penstock, "pack", "--output", work / name, "--shards", shards, "--scale", 255]
        command += ["--features", DATA / f"{stem}-images-idx3-ubyte.gz"]
        run([*command, "--labels", DATA / f"{stem}-labels-idx1-ubyte.gz"])


def children_s():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def accuracy(penstock, work, algorithm, hyperparameters, seed):
    command = [penstock, "train", "--algorithm", algorithm, "--device", "cpu", "--quiet"]
    command += ["--train", work / "train", "--test", work / "test", "--shuffle-seed", seed]
    for assignment in (*hyperparameters, f"seed={seed}"):
        command += ["--hp", assignment]
    return float(re.search(r"test multiclass_accuracy <score>=(\S+)", run(command))[1])


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--build", type=Path, required=True, help="build directory, e.g. build/release")
    parser.add_argument("--model", choices=MODELS, action="append", help="only this one")
    args = parser.parse_args()
    if not DATA.is_dir():
        sys.exit("bench/accuracy.py: install dataset-fashion-mnist (make deps)")
    good = True
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        pack(args.build / "penstock", work)
        for algorithm in args.model or MODELS:
            least, hyperparameters = MODELS[algorithm]
            for seed in SEEDS:
                before_s = children_s()
                score = accuracy(args.build / "penstock", work, algorithm, hyperparameters, seed)
                used_s = children_s() - before_s
                good = good and score >= least
                verdict = "" if score >= least else f"  BELOW {least}"
                print(f"{algorithm:22} seed {seed}  {score:.4f}  {used_s:6.1f} CPU s{verdict}", flush=True)
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
