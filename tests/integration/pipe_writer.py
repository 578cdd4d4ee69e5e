# SPDX-License-Identifier: Apache-2.0
"""tests/integration/pipe_writer.py - FIFOs of a Pipe mode channel, written by plain Python.

    with PipeWriter(directory, "train", [b"epoch 0", b"epoch 1"]) as writer: ...
    writer.left      epochs that the reader left early
"""

import errno
import os
import threading


class PipeWriter:
    """Writes epochs[n] through DIRECTORY/CHANNEL_n. FIFO n + 1 is there before n ends; there is one
    more than there are epochs, as with SageMaker, which does not know how many are wanted."""

    def __init__(self, directory, channel, epochs, write_bytes=100_000):
        self.prefix = f"{directory}/{channel}"
        self.epochs = epochs
        self.write_bytes = write_bytes
        self.left = []
        self.done = []
        os.mkfifo(self._path(0))
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _path(self, epoch):
        return f"{self.prefix}_{epoch}"

    def _write(self, fd, data):
        view = memoryview(data)
        while view:
            view = view[os.write(fd, view[: self.write_bytes]) :]

    def _run(self):
        for epoch, data in enumerate(self.epochs):
            fd = os.open(self._path(epoch), os.O_WRONLY)
            try:
                self._write(fd, data)
            except OSError as refused:
                if refused.errno != errno.EPIPE:
                    raise
                self.left.append(epoch)
            os.mkfifo(self._path(epoch + 1))
            os.close(fd)
            os.unlink(self._path(epoch))
            self.done.append(epoch)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        # A writer that still waits for its reader gets one.
        while self._thread.is_alive():
            for epoch in range(len(self.epochs)):
                try:
                    os.close(os.open(self._path(epoch), os.O_RDONLY | os.O_NONBLOCK))
                except FileNotFoundError:
                    pass
            self._thread.join(0.05)
