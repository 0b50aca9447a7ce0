"""Object storage on the loopback: S3 as moto's server emulates it, and a proxy before it that is slow and fails."""

from __future__ import annotations

import contextlib
import http.client
import random
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType

ERROR = b"<?xml version='1.0'?><Error><Code>InternalError</Code><Message>An internal error.</Message></Error>"
HOP_BY_HOP = {"connection", "transfer-encoding", "keep-alive", "content-length"}


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


@contextlib.contextmanager
def moto_server() -> Iterator[int]:
    """Run moto's server in a process of its own; yields its port."""
    port = free_port()
    words = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            deadline = time.monotonic() + 120
            while True:
                try:
                    socket.create_connection(("127.0.0.1", port), 1).close()
                    break
                except OSError:
                    if process.poll() is not None or time.monotonic() > deadline:
                        raise
                    time.sleep(0.1)
            yield port
        finally:
            process.kill()


class Proxy:
    """Passes requests on to a port of this machine; of each so many fail with 500, and all are late.

    failing: share of the requests, drawn with a seed. delay_s: before each. seen, failed: requests so far.
    answer: a status and a body that all get in place of an answer; None for none.
    """

    def __init__(self, port: int, failing: float = 0.0, delay_s: float = 0.0) -> None:
        self._to, self._failing, self._delay_s = port, failing, delay_s
        self._rng, self._lock = random.Random(3), threading.Lock()
        self.seen = self.failed = 0
        self.answer: tuple[int, bytes] | None = None
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                proxy._pass(self)

            do_PUT = do_POST = do_HEAD = do_DELETE = do_GET

            def log_message(self, *_: object) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> Proxy:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _pass(self, request: BaseHTTPRequestHandler) -> None:
        body = self._body(request)
        time.sleep(self._delay_s)
        with self._lock:
            self.seen += 1
            fails = self._rng.random() < self._failing
            self.failed += fails
        if fails or self.answer is not None:
            status, words = self.answer or (500, ERROR)
            self._reply(request, status, [("Content-Type", "application/xml")], words)
            return
        connection = http.client.HTTPConnection("127.0.0.1", self._to, timeout=60)
        headers = {name: value for name, value in request.headers.items() if name.lower() not in HOP_BY_HOP}
        connection.request(request.command, request.path, body, headers)
        response = connection.getresponse()
        kept = [(name, value) for name, value in response.getheaders() if name.lower() not in HOP_BY_HOP]
        data = response.read()
        if request.command == "HEAD":
            kept.append(("Content-Length", response.getheader("Content-Length") or "0"))
        self._reply(request, response.status, kept, data)
        connection.close()

    def _reply(self, request: BaseHTTPRequestHandler, status: int, headers: list[tuple[str, str]], data: bytes) -> None:
        request.send_response_only(status)
        for name, value in headers:
            request.send_header(name, value)
        if not any(name == "Content-Length" for name, _ in headers):
            request.send_header("Content-Length", str(len(data)))
        request.end_headers()
        if request.command != "HEAD":
            request.wfile.write(data)

    def _body(self, request: BaseHTTPRequestHandler) -> bytes | None:
        """The body of a request, whole: its chunks joined, if it comes in chunks."""
        if "chunked" in request.headers.get("Transfer-Encoding", ""):
            parts = []
            while size := int(request.rfile.readline().split(b";")[0], 16):
                parts.append(request.rfile.read(size))
                request.rfile.readline()
            request.rfile.readline()
            return b"".join(parts)
        return request.rfile.read(int(request.headers.get("Content-Length") or 0)) or None
