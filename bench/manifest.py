#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""bench/manifest.py - how many small references of an augmented manifest stream in a second, in order.

    bench/manifest.py [--build build/release] [--refs 20000] [--bytes 4096] [--latency-ms 0 20]

Makes the objects, serves them with `penstock serve` and reads them with `penstock cat`: by prefix, by
manifest, by augmented manifest, and that twice over, when nothing is asked for its size any more.
One line for each: references a second, and CPU seconds of the reader for 1,000 of them.
"""

import argparse
import json
import os
import resource
import subprocess
import tempfile
import time
from pathlib import Path

ENV = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "x", "AWS_REGION": "us-east-1"}


def make_data(root, refs, size):
    objects = root / "data" / "o"
    objects.mkdir(parents=True)
    names = [f"{number:07d}" for number in range(refs)]
    for name in names:
        (objects / name).write_bytes(os.urandom(size))
    manifest = [{"prefix": "s3://data/o/"}, *names]
    (root / "data/m.json").write_text(json.dumps(manifest))
    lines = [json.dumps({"class": "1", "source-ref": f"s3://data/o/{name}"}) for name in names]
    (root / "data/a.jsonl").write_text("\n".join(lines))


def measure(program, env, name, refs, *args):
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    command = [program, "cat", *args]
    subprocess.run(command, env=os.environ | env, stdout=subprocess.DEVNULL, check=True)
    seconds, after = time.monotonic() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(f"{name:24s} {refs / seconds:8.0f} references/s {1000 * cpu / refs:8.4f} CPU-s/1000")


def run(program, root, refs, latency_ms):
    port_file = root / f"port-{latency_ms}"
    serve = [program, "serve", "--port", "0", "--port-file", port_file, "--secret-key", "x"]
    serve += ["--latency-ms", str(latency_ms), root]
    with subprocess.Popen([str(w) for w in serve], stdout=subprocess.DEVNULL) as server:
        try:
            while not port_file.exists() or not port_file.read_text().strip():
                time.sleep(0.01)
            env = ENV | {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{port_file.read_text().strip()}"}
            augmented = ["s3://data/a.jsonl", "--data-type", "augmented-manifest"]
            augmented += ["--attributes", "class,source-ref"]
            print(f"answers after {latency_ms} ms:")
            measure(program, env, "prefix", refs, "s3://data/o/")
            measure(program, env, "manifest", refs, "s3://data/m.json", "--data-type", "manifest")
            measure(program, env, "augmented manifest", refs, *augmented)
            measure(program, env, "the same, 2 epochs", 2 * refs, *augmented, "--epochs", "2")
        finally:
            server.terminate()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--build", default="build/release", help="where the program is")
    parser.add_argument("--refs", type=int, default=20_000)
    parser.add_argument("--bytes", type=int, default=4096, help="of each object")
    parser.add_argument("--latency-ms", type=int, nargs="+", default=[0, 20])
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        make_data(root, args.refs, args.bytes)
        for latency_ms in args.latency_ms:
            run(f"{args.build}/penstock", root, args.refs, latency_ms)


if __name__ == "__main__":
    main()
