"""Object storage on the loopback, as emulators make it, and a proxy before it that is slow and fails."""

from __future__ import annotations

import base64
import contextlib
import http.client
import os
import random
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from unittest import mock

ERROR = b"<?xml version='1.0'?><Error><Code>InternalError</Code><Message>An internal error.</Message></Error>"
SECRET = "not-a-real-secret-1234"
REFUSAL = {  # what each storage says to a key that has expired
    "s3": (400, b"<Error><Code>ExpiredToken</Code><Message>The provided token has expired.</Message></Error>"),
    "gs": (401, b'{"error": {"code": 401, "message": "Invalid Credentials: the token has expired"}}'),
    "az": (403, b"<?xml version='1.0'?><Error><Code>AuthenticationFailed</Code><Message>Expired.</Message></Error>"),
}  # fmt: skip
HOP_BY_HOP = {"connection", "transfer-encoding", "keep-alive", "content-length"}


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


def wait_for(port: int, host: str = "127.0.0.1") -> None:
    """Wait until something listens at a port."""
    deadline = time.monotonic() + 120
    while True:
        try:
            socket.create_connection((host, port), 1).close()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


@contextlib.contextmanager
def moto_server() -> Iterator[int]:
    """Run moto's server in a process of its own; yields its port."""
    with _server(sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p") as port:
        yield port


@contextlib.contextmanager
def azurite() -> Iterator[int]:
    """Run Azurite, an emulator of Azure's storage, as AZURITE or PATH names it (azurite-blob); yields its port."""
    program = os.environ.get("AZURITE", "azurite-blob")
    with _server(program, "--inMemoryPersistence", "--silent", "--skipApiVersionCheck", "--blobPort") as port:
        yield port


@contextlib.contextmanager
def gcs_server() -> Iterator[int]:
    """Run an emulator of Google's storage, the package gcp-storage-emulator; yields its port."""
    program = [sys.executable, "-m", "gcp_storage_emulator", "start", "-q", "-M", "-H", "127.0.0.1", "--port"]
    with _server(*program) as port:
        yield port


@contextlib.contextmanager
def _server(*words: str) -> Iterator[int]:
    """Run a program with a free port as its last word, until something listens there."""
    port = free_port()
    with subprocess.Popen([*words, str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            wait_for(port)
            yield port
        finally:
            process.kill()


AZURE_KEY = base64.b64encode(b"not a real key").decode()


@contextlib.contextmanager
def bucket(kind: str, **storms: float) -> Iterator[tuple[str, dict[str, str], Proxy]]:
    """Storage of a kind, s3, gs or az, emulated on the loopback, with a bucket in it, behind a proxy.

    storms: of the proxy. Yields the address of the bucket, the environment that leads there, and the proxy.
    """
    server = {"s3": moto_server, "gs": gcs_server, "az": azurite}[kind]
    with (
        mock.patch.dict(os.environ, {"AZURITE_ACCOUNTS": f"testing:{AZURE_KEY}"}),
        server() as port,
        Proxy(port) as proxy,
    ):
        words = environment(kind, proxy.port)
        with mock.patch.dict(os.environ, words):
            import fsspec

            fsspec.filesystem(kind, skip_instance_cache=True).mkdir("corpus")
            proxy.storm(**storms)
            yield f"{kind}://corpus", words, proxy
            fsspec.filesystem(kind).clear_instance_cache()


def environment(kind: str, port: int) -> dict[str, str]:
    """Variables that lead the libraries of a kind of storage to a port of this machine."""
    where = f"http://127.0.0.1:{port}"
    if kind == "s3":
        return {
            "AWS_ACCESS_KEY_ID": "testing-access", "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": where,
        }  # fmt: skip
    if kind == "gs":
        return {"STORAGE_EMULATOR_HOST": where}
    account = f"DefaultEndpointsProtocol=http;AccountName=testing;AccountKey={AZURE_KEY};"
    return {"AZURE_STORAGE_CONNECTION_STRING": f"{account}BlobEndpoint={where}/testing;"}


class Proxy:
    """Passes requests on to a port of this machine; in a storm some fail with 500, and all are late.

    seen, failed: requests so far. answer: a status and a body in place of an answer; None for none. refuses: whom they
    are for, by method and path.
    """

    def __init__(self, port: int) -> None:
        self._to = port
        self.storm()
        self._rng, self._lock = random.Random(3), threading.Lock()
        self.seen = self.failed = 0
        self.answer: tuple[int, bytes] | None = None
        self.refuses: Callable[[str, str], bool] = lambda method, path: True
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

    def storm(self, failing: float = 0.0, delay_s: float = 0.0) -> None:
        """From now on a share of the requests fails, drawn with a seed, and each is passed on so much later."""
        self._failing, self._delay_s = failing, delay_s

    def _pass(self, request: BaseHTTPRequestHandler) -> None:
        body = self._body(request)
        time.sleep(self._delay_s)
        with self._lock:
            self.seen += 1
            fails = self._rng.random() < self._failing
            self.failed += fails
        answer = self.answer if self.refuses(request.command, request.path) else None
        if fails or answer is not None:
            status, words = answer or (500, ERROR)
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
