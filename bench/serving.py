# SPDX-License-Identifier: Apache-2.0
"""bench/serving.py - `penstock serve` for the benchmarks."""

import subprocess
import sys
import time


class Server:
    """`penstock serve`, unsigned."""

    def __init__(self, penstock, root, work, *options):
        port_file = work / "port"
        port_file.unlink(missing_ok=True)
        command = [penstock, "serve", "--anonymous", "--port", "0", "--port-file", port_file]
        self.process = subprocess.Popen([str(w) for w in (*command, *options, root)])
        while not port_file.exists() or not port_file.read_text().endswith("\n"):
            if self.process.poll() is not None:
                sys.exit(f"{sys.argv[0]}: penstock serve did not start")
            time.sleep(0.01)
        self.port = int(port_file.read_text())
        self.url = f"http://127.0.0.1:{self.port}"

    def stop(self):
        self.process.terminate()
        self.process.wait()
