"""The server as a process: its socket, its certificate, slow strangers at the door, and the way it stops."""

from __future__ import annotations

import contextlib
import logging
import signal
import socket
import ssl
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from denoise_wrapper.errors import ConfigError, DenoiseError
from denoise_wrapper.serve.app import make_app
from denoise_wrapper.serve.desk import Desk
from denoise_wrapper.serve.doors import Doors, is_local
from denoise_wrapper.serve.limits import CLOSE_S, Limits
from denoise_wrapper.serve.line import HELLO_S, MESSAGE_BYTES, Line
from denoise_wrapper.serve.spool import open_spool
from denoise_wrapper.signals import patience

SWITCH_S = 0.0005  # after which a thread gives way: the loop and the pump hand each other every chunk
SPARE = 256  # connections beyond those of streams and uploads, for the page and what asks how it goes


def run_server(
    host: str,
    port: int,
    *,
    doors: Doors,
    limits: Limits,
    insecure: bool = False,
    certificate: Path | None = None,
    key_file: Path | None = None,
    spool: Path | None = None,
    threads: int = 0,
    ready: Callable[[str], object] = lambda url: None,
) -> None:
    """Serve until a signal asks for the end.

    host, port: where; port 0 for any that is free. doors: who may come in. insecure: whether others than this machine
    may come without a key. certificate, key_file: of TLS, PEM. spool: the folder for uploads; None for the system's.
    threads: that clean; 0 for one per core. ready: called with the URL once connections are taken.
    Raises ConfigError for settings that do not go together, DenoiseError if the address cannot be had.
    """
    if not is_local(host) and doors.key is None and not insecure:
        raise ConfigError(
            f"host is {host}, which others reach too: give them a key (--api-key, or DENOISE_WRAPPER_API_KEY), or let "
            "anybody in (--insecure)"
        )
    secure = _secure(certificate, key_file)
    many_files()
    sys.setswitchinterval(SWITCH_S)
    logging.getLogger("asyncio").setLevel(logging.ERROR)  # a line for each message to a client that has left
    logging.getLogger("uvicorn.error").addFilter(_is_news)
    with (
        open_spool(spool, limits.spool) as place,
        _bound(host, port) as listening,
        patience(max(limits.grace_s, CLOSE_S)),
    ):
        desk = Desk(limits, place, threads)
        address = listening.getsockname()
        shown = f"[{address[0]}]" if ":" in address[0] else address[0]
        url = f"http{'s' if secure else ''}://{shown}:{address[1]}/"
        config = uvicorn.Config(
            make_app(desk, doors),
            http=Impatient,
            ws=Line,
            ws_max_size=MESSAGE_BYTES,
            ws_per_message_deflate=False,  # noise does not compress, and what inflates is a trap
            lifespan="on",
            log_level="error",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            limit_concurrency=limits.streams + limits.uploads + SPARE,
            timeout_graceful_shutdown=1,  # after the time that the desk gives
            ssl_certfile=certificate,
            ssl_keyfile=key_file,
        )
        try:
            with contextlib.suppress(KeyboardInterrupt):
                Server(config, desk, lambda: ready(url)).run([listening])
        finally:
            desk.close()


class Server(uvicorn.Server):
    """uvicorn's server, which says when it is ready, gives streams their tail, and leaves signals answered."""

    def __init__(self, config: uvicorn.Config, desk: Desk, ready: Callable[[], object]) -> None:
        super().__init__(config)
        self._desk, self._ready = desk, ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()  # nobody new
        await self._desk.stop()
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take the signals that ask to end as a wish to end well, which is no failure."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        numbers = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
        before = {
            number: signal.signal(number, self.handle_exit)
            for number in numbers
            if signal.getsignal(number) != signal.SIG_IGN
        }
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


class Impatient(H11Protocol):
    """uvicorn's HTTP, which leaves those who connect and do not say what they want."""

    _idle = 0  # looks in a row at which nothing was asked for

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._look_later()

    def _look_later(self) -> None:
        self._looking = self.loop.call_later(HELLO_S / 2, self._look)

    def _look(self) -> None:
        if self.transport.get_protocol() is not self:  # a WebSocket by now
            return
        if self.transport.is_closing():  # and has been for a while: who does not read is not waited for
            self.transport.abort()
            return
        busy = self.cycle is not None and not self.cycle.response_complete
        self._idle = 0 if busy else self._idle + 1
        if self._idle >= 2:
            self.transport.close()
        self._look_later()

    def connection_lost(self, exc: Exception | None) -> None:
        self._looking.cancel()
        super().connection_lost(exc)


def _is_news(record: logging.LogRecord) -> bool:
    """False for uvicorn's line about each WebSocket that is refused: strangers would write our log."""
    return "without completing handshake" not in str(record.msg)


def many_files() -> None:
    """Let this process have as many connections as the system lets it."""
    try:
        import resource
    except ImportError:  # Windows
        return
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _secure(certificate: Path | None, key_file: Path | None) -> bool:
    """True for TLS. Raises ConfigError if certificate and key do not go together."""
    if certificate is None and key_file is None:
        return False
    if certificate is None or key_file is None:
        raise ConfigError("TLS needs a certificate and its key: --tls-cert and --tls-key")
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key_file)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(
            f"--tls-cert {certificate} and --tls-key {key_file} cannot be used: {error.strerror or error}; both are "
            "PEM files that belong together"
        ) from error
    return True


@contextlib.contextmanager
def _bound(host: str, port: int) -> Iterator[socket.socket]:
    """A socket at that address. Raises DenoiseError if it cannot be had."""
    try:
        infos = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = infos[0]
        listening = socket.socket(family, kind, protocol)
    except (OSError, UnicodeError) as error:
        raise DenoiseError(f"--host {host} is no address of this machine: {error}") from error
    with listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind(address)
        except (OSError, OverflowError) as error:
            raise DenoiseError(
                f"--host {host} --port {port} cannot be had: {getattr(error, 'strerror', None) or error}; choose "
                "another, or 0 for any port that is free"
            ) from error
        listening.setblocking(False)
        yield listening
