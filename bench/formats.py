#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""bench/formats.py - the decoders beside the libraries they replace, and beside other readers.

Runs `penstock bench formats` with all its references, and the programs bench/perf_stage.c and
bench/perf_pipe.c, each of which measures its references in the same process, in turns; then, where
they are installed, pyarrow, polars and simplejpeg beside `penstock bench decode` on the same files: CPU seconds of the reading process per GB, one thread
each, in turns, medians. Last comes what is required of the decoders, and which of it was missed.
`make bench-formats` runs it. Exits with 1 when a program fails.
"""

import argparse
import json
import os
import random
import re
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

REPO = Path(__file__).resolve().parents[1]
PROGRAMS = [["penstock-beside", "bench", "formats"], ["perf_stage"], ["perf_pipe"]]
REQUIRED = re.compile(r"^\s*(holds|MISSED)\s+(.*)$")

# Prints the CPU seconds that reading argv[2] took, the import left out.
PEERS = {
    "pyarrow": """
import sys, time, pyarrow as pa, pyarrow.csv as csv
names = [str(i) for i in range(int(sys.argv[3]))]
start = time.process_time()
csv.read_csv(sys.argv[2], csv.ReadOptions(use_threads=False, column_names=names),
             convert_options=csv.ConvertOptions(column_types={n: pa.float32() for n in names}))
""",
    "polars": """
import sys, time, os
os.environ["POLARS_MAX_THREADS"] = "1"
import polars as pl
start = time.process_time()
pl.read_csv(sys.argv[2], has_header=False,
            schema={f"c{i}": pl.Float32 for i in range(int(sys.argv[3]))})
""",
    "simplejpeg": """
import sys, time, pathlib, simplejpeg
files = sorted(pathlib.Path(sys.argv[2]).iterdir())
start = time.process_time()
for file in files:
    picture = simplejpeg.decode_jpeg(file.read_bytes())
    top, left = (picture.shape[0] - 224) // 2, (picture.shape[1] - 224) // 2
    picture[top : top + 224, left : left + 224].copy()
""",
}


class Failed(Exception):
    """A measurement could not be made; the text says why."""


def run_program(command, required):
    """Shows what a program prints, and keeps its lines of what is required."""
    name = command[0].name
    print(f"== {name}", flush=True)
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    for line in process.stdout:
        print(line, end="", flush=True)
        if line.startswith("== "):
            name = line.split()[1].rstrip(":")
        if found := REQUIRED.match(line):
            required.append((found[1], f"{name}: {found[2]}"))
    if process.wait() != 0:
        raise Failed(f"{name} failed")
    print()


def csv_file(path, text_of, rows=40_000, columns=100):
    chance = random.Random(1)
    lines = [",".join(text_of(chance) for _ in range(columns)) for _ in range(rows // 20)]
    path.write_text("\n".join(lines * 20) + "\n")
    return columns


def jpeg_files(folder, count=300):
    """Pictures with the frequencies of photographs: noise at every scale, the coarse ones strong."""
    from PIL import Image

    folder.mkdir()
    for i in range(8):
        chance = random.Random(i)
        picture = Image.new("RGB", (500, 375))
        for scale in (125, 25, 5, 1):
            size = (500 // scale, 375 // scale)
            noise = Image.frombytes("RGB", size, chance.randbytes(size[0] * size[1] * 3))
            weight = scale / (scale + 8)
            picture = Image.blend(picture, noise.resize((500, 375), Image.BICUBIC), weight)
        picture.save(folder / "0000.jpg", quality=90)
        one = (folder / "0000.jpg").read_bytes()
        for k in range(i, count, 8):
            (folder / f"{k:04}.jpg").write_bytes(one)
    return 0


def ours(program, path, content_type):
    done = subprocess.run(
        [program, "bench", "decode", path, "--content-type", content_type, "--decode-threads", "1",
         "--epochs", "1", "--warmup-s", "0", "--repeats", "1", "--json", "-", "--quiet"],
        capture_output=True, text=True)
    if done.returncode != 0:
        raise Failed(f"penstock bench decode: {done.stderr.strip()}")
    figures = json.loads(done.stdout)["variants"][0]["repeats"][0]["figures"]
    return figures["cpu_s_per_gib"] / (1 << 30) * 1e9


def peer(python, name, path, columns):
    code = PEERS[name] + "\nprint(time.process_time() - start)"
    done = subprocess.run([python, "-c", code, name, path, str(columns)], capture_output=True,
                          text=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    if "ModuleNotFoundError" in done.stderr:
        return None
    if done.returncode != 0:
        raise Failed(f"{name}: {done.stderr.strip().splitlines()[-1]}")
    size = sum(f.stat().st_size for f in (path.iterdir() if path.is_dir() else [path]))
    return float(done.stdout) * 1e9 / size


def beside_peers(args, what, path, columns, content_type, names):
    rows = {}
    for _ in range(args.rounds):
        rows.setdefault("penstock", []).append(ours(args.build / "penstock", path, content_type))
        for name in names:
            rows.setdefault(name, []).append(peer(args.peer_python, name, path, columns))
    base = statistics.median(rows["penstock"])
    print(f"\n{what:28} CPU-s/GB   /penstock")
    for name, seconds in rows.items():
        if None in seconds:
            print(f"  {name:26} is not installed (pip install {name})")
        else:
            middle = statistics.median(seconds)
            print(f"  {name:26} {middle:8.2f} {middle / base:11.2f}")


def measure_peers(args):
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        folder = Path(folder)
        path = folder / "numbers.csv"
        for what, text_of in (("CSV, whole numbers", lambda c: str(c.randrange(256))),
                              ("CSV, %.6f", lambda c: f"{c.random():.6f}")):
            columns = csv_file(path, text_of)
            beside_peers(args, what, path, columns, "text/csv;label_size=1", ["pyarrow", "polars"])
        path.unlink()
        try:
            jpeg_files(folder / "pictures")
        except ImportError:
            print("\npictures are not measured (pip install pillow)")
            return
        beside_peers(args, "JPEG 500x375, middle 224x224", folder / "pictures", 0,
                     "application/x-image;image_shape=3,224,224;crop=center", ["simplejpeg"])


def main():
    parser = argparse.ArgumentParser(description="The decoders beside other libraries.")
    parser.add_argument("--build", type=Path, default=REPO / "build/release",
                        help="where the programs were built (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="with peers (default: %(default)s)")
    parser.add_argument("--no-peers", action="store_true", help="only the libraries in the programs")
    parser.add_argument("--peer-python", default=str(REPO / "build/venv/bin/python"),
                        metavar="PROGRAM", help="Python that has the peers (default: %(default)s)")
    args = parser.parse_args()
    required = []
    try:
        for name, *words in PROGRAMS:
            run_program([args.build / "bench" / name, *words], required)
        if not args.no_peers:
            if not Path(args.peer_python).exists():
                args.peer_python = sys.executable
            measure_peers(args)
    except Failed as failure:
        sys.exit(f"formats.py: {failure}")
    missed = [text for verdict, text in required if verdict == "MISSED"]
    print(f"\n{len(required)} ratios required, {len(missed)} missed")
    for text in missed:
        print(f"  {text}")


if __name__ == "__main__":
    main()
