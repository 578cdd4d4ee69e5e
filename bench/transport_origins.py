# SPDX-License-Identifier: Apache-2.0
"""bench/transport_origins.py - servers on loopback that hold the bucket `bench`, for transport.py.

`penstock serve` answers as S3 does. nginx sends the same files, and a listing that was written
beforehand; it looks at no signature. Both have the same certificate.
"""

import os
import shutil
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

ACCESS_KEY, SECRET_KEY = "AKIDEXAMPLE", "wJalrXUtnFEMIEXAMPLEKEY"
BLOCK_BYTES = 1 << 20

NGINX = """
worker_processes 2;
pid {dir}/nginx.pid;
daemon off;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    sendfile on;
    tcp_nopush on;
    keepalive_requests 1000000;
    client_body_temp_path {dir}/nginx-1; proxy_temp_path {dir}/nginx-2;
    fastcgi_temp_path {dir}/nginx-3; uwsgi_temp_path {dir}/nginx-4; scgi_temp_path {dir}/nginx-5;
    server {{
        listen 127.0.0.1:{port};
        listen 127.0.0.1:{tls_port} ssl;
        ssl_protocols TLSv1.3;
        ssl_certificate {dir}/cert.pem;
        ssl_certificate_key {dir}/key.pem;
        root {dir}/data;
        location = /bench {{ default_type application/xml; alias {dir}/listing.xml; }}
        location = /bench/ {{ default_type application/xml; alias {dir}/listing.xml; }}
    }}
}}
"""


class CannotStart(Exception):
    """An origin did not start; the text says why."""


@dataclass
class Origin:
    name: str
    scheme: str
    port: int

    @property
    def endpoint(self):
        return f"{self.scheme}://127.0.0.1:{self.port}"


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def accepts(port):
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


class Origins:
    """Makes objects, certificate and servers in a directory; `stop` ends the servers."""

    def __init__(self, directory, penstock, object_count, object_bytes):
        self.dir, self.penstock = Path(directory), penstock
        self.object_bytes = object_bytes
        self.keys = [f"object-{i:04}" for i in range(object_count)]
        self.certificate = self.dir / "cert.pem"
        self.all, self.processes = [], []
        self.make_objects()
        self.make_certificate()

    def make_objects(self):
        bucket = self.dir / "data" / "bench"
        bucket.mkdir(parents=True)
        block = os.urandom(BLOCK_BYTES)
        contents = ""
        for key in self.keys:
            with (bucket / key).open("wb") as out:
                for at in range(0, self.object_bytes, BLOCK_BYTES):
                    out.write(block[: self.object_bytes - at])
            st = (bucket / key).stat()
            etag = escape(f'"{int(st.st_mtime):x}-{st.st_size:x}"')  # as nginx makes them
            contents += (
                f"<Contents><Key>{key}</Key><ETag>{etag}</ETag><Size>{st.st_size}</Size>"
                "<LastModified>2026-01-01T00:00:00.000Z</LastModified></Contents>"
            )
        (self.dir / "listing.xml").write_text(
            '<?xml version="1.0" encoding="UTF-8"?>'
            '<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>bench</Name>'
            f"<Prefix></Prefix><KeyCount>{len(self.keys)}</KeyCount><MaxKeys>1000</MaxKeys>"
            f"<IsTruncated>false</IsTruncated>{contents}</ListBucketResult>"
        )

    def make_certificate(self):
        done = subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
             "-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext",
             "subjectAltName=IP:127.0.0.1,DNS:localhost",
             "-keyout", self.dir / "key.pem", "-out", self.certificate],
            capture_output=True, text=True,
        )
        if done.returncode != 0:
            raise CannotStart(f"openssl made no certificate: {done.stderr}")

    def start_process(self, name, args, ready):
        log = self.dir / f"{name}.out"
        try:
            with log.open("wb") as out:
                process = subprocess.Popen(args, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        except OSError as error:
            raise CannotStart(f"{args[0]}: {error.strerror}") from error
        self.processes.append(process)
        for _ in range(400):
            if ready():
                return
            if process.poll() is not None:
                break
            time.sleep(0.025)
        said = log.read_text(errors="replace").strip() or "it said nothing"
        raise CannotStart(f"{name} did not start: {said}")

    def start_serve(self, scheme):
        port_file = self.dir / f"port-{scheme}"
        tls = ["--tls-cert", self.certificate, "--tls-key", self.dir / "key.pem"]
        self.start_process(
            f"serve-{scheme}",
            [self.penstock, "serve", "--port", "0", "--port-file", port_file, "--access-key",
             ACCESS_KEY, "--secret-key", SECRET_KEY, "--anonymous",
             *(tls if scheme == "https" else []), self.dir / "data"],
            lambda: port_file.exists() and port_file.read_text().strip(),
        )
        self.all.append(Origin("serve", scheme, int(port_file.read_text())))

    def start_nginx(self, schemes):
        ports = {"http": free_port(), "https": free_port()}
        conf = self.dir / "nginx.conf"
        conf.write_text(NGINX.format(dir=self.dir, port=ports["http"], tls_port=ports["https"]))
        self.dir.chmod(0o755)  # its workers may be another user's
        self.start_process("nginx", ["nginx", "-c", conf, "-e", self.dir / "nginx.log"],
                           lambda: accepts(ports["http"]))
        self.all += [Origin("nginx", scheme, ports[scheme]) for scheme in schemes]

    def start(self, name, schemes):
        if name == "nginx":
            self.start_nginx(schemes)
        else:
            for scheme in schemes:
                self.start_serve(scheme)

    def environment(self, origin, **extra):
        """What a client of the origin finds in its environment, and nothing else that steers it."""
        steers = ("AWS_", "PENSTOCK_", "SSL_CERT_", "http", "HTTP", "all_proxy", "ALL_PROXY")
        env = {k: v for k, v in os.environ.items() if not k.startswith(steers)}
        env.update(
            AWS_ACCESS_KEY_ID=ACCESS_KEY, AWS_SECRET_ACCESS_KEY=SECRET_KEY, AWS_REGION="us-east-1",
            AWS_ENDPOINT_URL=origin.endpoint, AWS_CA_BUNDLE=str(self.certificate),
            SSL_CERT_FILE=str(self.certificate), AWS_SHARED_CREDENTIALS_FILE="/dev/null",
            AWS_CONFIG_FILE="/dev/null", AWS_EC2_METADATA_DISABLED="true",
        )
        env.update(extra)
        return env

    def stop(self):
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            process.wait()
        shutil.rmtree(self.dir, ignore_errors=True)
