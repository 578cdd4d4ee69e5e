#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""bench/accuracy.py - what models learn of Fashion-MNIST, from three seeds.

    make bench-accuracy

Packs the pictures of Debian's dataset-fashion-mnist, serves them with `penstock serve`, and trains
linear-learner, mlp and image-classification from there with seeds 1, 2 and 3: S3, ring, device. Prints
accuracy on the 10,000 test pictures, seconds and CPU seconds, and fails where a seed is below what is
asked for. About five CPU minutes.
"""

import argparse
import re
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from serving import Server

DATA = Path("/usr/share/datasets/fashion-mnist")
SEEDS = (1, 2, 3)

# name: accuracy asked for, options
CLASSES = ["predictor_type=multiclass_classifier", "num_classes=10"]
MODELS = {
    "linear-learner": (0.835, [*CLASSES, "epochs=5", "learning_rate=0.002"]),
    "mlp": (
        0.865,
        [*CLASSES, "hidden_layers=256", "epochs=2"],
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


def accuracy(args, url, algorithm, hyperparameters, seed):
    command = [args.build / "penstock", "train", "--algorithm", algorithm, "--device", args.device, "--quiet"]
    command += ["--train", "s3://train/", "--test", "s3://test/", "--anonymous", "--endpoint-url", url]
    command += ["--shuffle-seed", seed]
    if algorithm != "linear-learner":  # begins with zeros
        command += ["--hp", f"seed={seed}"]
    for assignment in hyperparameters:
        command += ["--hp", assignment]
    return float(re.search(r"test multiclass_accuracy <score>=(\S+)", run(command))[1])


def measure(args, url):
    """Whether every seed of every model is as good as is asked for."""
    good = True
    for algorithm in args.model or MODELS:
        least, hyperparameters = MODELS[algorithm]
        for seed in args.seed or SEEDS:
            before_s, begun_s = children_s(), time.monotonic()
            score = accuracy(args, url, algorithm, hyperparameters, seed)
            used_s, took_s = children_s() - before_s, time.monotonic() - begun_s
            good = good and score >= least
            verdict = "" if score >= least else f"  BELOW {least}"
            print(f"{algorithm:22} seed {seed}  {score:.4f}  {took_s:6.1f} s  {used_s:6.1f} CPU s{verdict}", flush=True)
    return good


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--build", type=Path, required=True, help="build directory, e.g. build/release")
    parser.add_argument("--model", choices=MODELS, action="append", help="only this one")
    parser.add_argument("--seed", type=int, action="append", help="only this one")
    parser.add_argument("--device", default="cpu", help="as of penstock train (cpu)")
    args = parser.parse_args()
    if not DATA.is_dir():
        sys.exit("bench/accuracy.py: install dataset-fashion-mnist (make deps)")
    with tempfile.TemporaryDirectory() as name:
        root = Path(name) / "s3"
        root.mkdir()
        pack(args.build / "penstock", root)
        server = Server(args.build / "penstock", root, Path(name))
        begun_s = time.monotonic()
        try:
            good = measure(args, server.url)
        finally:
            server.stop()
        print(f"{time.monotonic() - begun_s:.0f} s in all, on device {args.device}")
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
