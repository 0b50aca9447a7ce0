"""A real server in a process of its own, and clients of it."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from websockets.sync.client import ClientConnection

NOISY = Path(__file__).resolve().parents[2] / "examples" / "noisy.wav"


class Answer(NamedTuple):
    """Of HTTP."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def reason(self) -> str:
        """The word for why it was refused."""
        return str(json.loads(self.body)["error"]["reason"])


class Served:
    """A server that runs. port: where. spool: its folder for uploads."""

    def __init__(self, process: subprocess.Popen[str], url: str, spool: Path) -> None:
        self.process, self.url, self.spool = process, url, spool
        self.port = int(url.rstrip("/").rsplit(":", 1)[1])
        self.said: list[str] = []

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        """Make a request. headers: with _ for -."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            names = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, body, names)
            response = connection.getresponse()
            answer = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, answer, response.read())
        finally:
            connection.close()

    def metric(self, name: str) -> float:
        """The value of a line of /metrics, by its name and labels."""
        lines = self.ask("GET", "/metrics").body.decode().splitlines()
        return next((float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(f"{name} ")), 0.0)

    def connect(self, **options: Any) -> ClientConnection:
        """Open a WebSocket."""
        from websockets.sync.client import connect

        options = {"compression": None, "max_size": None, "proxy": None} | options
        return connect(f"ws://127.0.0.1:{self.port}/v1/stream", **options)

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Ask for the end and wait for it; returns the exit code."""
        self.process.send_signal(number)
        code = self.process.wait(20)
        self.said += self.process.stderr.read().splitlines() if self.process.stderr else []
        return code


@contextlib.contextmanager
def serving(*options: str, key: str | None = None, spool: Path | None = None, before: str = "") -> Iterator[Served]:
    """Run `denoise-wrapper serve` at a port that is free.

    key: that clients have to show. spool: the folder for uploads; None for one of its own. before: Python that the
    process runs first.
    """
    with tempfile.TemporaryDirectory() as folder:
        spool = Path(folder) if spool is None else spool
        words = ["serve", "--port", "0", "--spool", str(spool), "--threads", "2", *options]
        environment = {**os.environ} | ({} if key is None else {"DENOISE_WRAPPER_API_KEY": key})
        program = f"{before}\nfrom denoise_wrapper.cli.main import run\nrun()"
        process = subprocess.Popen(
            [sys.executable, "-c", program, "--no-config", *words], env=environment, stderr=subprocess.PIPE, text=True
        )
        try:
            assert process.stderr is not None
            line = process.stderr.readline()
            assert line.startswith("serving at "), line
            yield Served(process, line.split()[2], spool)
        finally:
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(20)
                except subprocess.TimeoutExpired:
                    process.kill()
            process.wait()
            if process.stderr is not None:
                process.stderr.close()


def start(socket: ClientConnection, **asked: Any) -> dict[str, Any]:
    """Begin a stream; returns what the server says of it."""
    return command(socket, type="start", **({"sample_rate": 48000} | asked))


def command(socket: ClientConnection, **words: Any) -> dict[str, Any]:
    """Send a command, and return the answer in words."""
    socket.send(json.dumps(words))
    return dict(json.loads(socket.recv(timeout=20)))


def stream_all(socket: ClientConnection, samples: NDArray[Any], chunk: int) -> NDArray[Any]:
    """Send samples in chunks of so many frames, and return all that comes, the tail too."""
    cleaned = []
    for at in range(0, len(samples), chunk):
        socket.send(samples[at : at + chunk].tobytes())
        cleaned.append(socket.recv(timeout=20))
    socket.send(json.dumps({"type": "flush"}))
    cleaned.append(socket.recv(timeout=20))
    assert json.loads(socket.recv(timeout=20))["type"] == "flushed"
    data = b"".join(each for each in cleaned if isinstance(each, bytes))
    return np.frombuffer(data, samples.dtype).reshape(-1, *samples.shape[1:])


def until(condition: Any, seconds: float = 10.0) -> None:
    """Wait until a condition is true, which it has to become."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not become true"
        time.sleep(0.02)
