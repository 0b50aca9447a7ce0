"""What a server grants: sizes, times, numbers of streams and uploads, requests of one address."""

from __future__ import annotations

import contextlib
import ipaddress
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http import HTTPStatus


class RefusalError(Exception):
    """A request that is refused. status: of HTTP. message: what came, and what to do. reason: a word for the metrics.

    retry_s: seconds after which it may be tried again; None if that would not help.
    """

    def __init__(self, status: HTTPStatus, message: str, reason: str, retry_s: int | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.reason, self.retry_s = status, message, reason, retry_s


CLOSE_S = 2.0  # of the time of grace, for what comes after it: connections are closed, threads end


@dataclass(frozen=True)
class Limits:
    """Bounds of a server.

    max_upload, spool: bytes of one upload, and of all that lies on the disk. uploads, streams: at a time, in all.
    per_client: uploads and streams of one address at a time; per_minute: its requests; 0 for no such bound.
    idle_s: seconds for which a client may be silent, or not read. stream_s: seconds that a stream may last. grace_s:
    seconds in which all is brought to an end when the server stops.
    """

    max_upload: int = 4 << 30
    spool: int = 16 << 30
    uploads: int = 16
    streams: int = 256
    per_client: int = 64
    per_minute: int = 600
    idle_s: float = 30.0
    stream_s: float = 86400.0
    grace_s: float = 10.0


class Counts:
    """Streams and uploads that are open, of all clients and of each."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self.open: Counter[str] = Counter()  # "streams" and "uploads"
        self._of: Counter[str] = Counter()  # of each client

    @contextlib.contextmanager
    def one(self, kind: str, client: str) -> Iterator[None]:
        """Count one more within the block. kind: "streams" or "uploads". Raises RefusalError if there are too many."""
        most, mine = getattr(self._limits, kind), self._limits.per_client
        if self.open[kind] >= most:
            raise RefusalError(
                HTTPStatus.SERVICE_UNAVAILABLE, f"{most} {kind} are open, and no more are taken; try later", "busy", 5
            )
        if mine and self._of[client] >= mine:
            raise RefusalError(
                HTTPStatus.TOO_MANY_REQUESTS,
                f"{mine} streams and uploads of your address are open; end one",
                "client",
                5,
            )
        self.open[kind] += 1
        self._of[client] += 1
        try:
            yield
        finally:
            self.open[kind] -= 1
            self._of[client] -= 1
            self._of += Counter()  # leaves out those at zero


class Rates:
    """Requests of each client: as many at once as a minute has, then evenly.

    per_minute: 0 for no bound. clock: seconds.
    """

    MOST = 10_000  # clients that are remembered

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._most, self._clock = per_minute, clock
        self._left: dict[str, tuple[float, float]] = {}  # requests that are left, and when that was

    def take(self, client: str) -> None:
        """Count a request. Raises RefusalError if there were too many."""
        if not self._most:
            return
        now = self._clock()
        left, then = self._left.pop(client, (float(self._most), now))
        left = min(self._most, left + (now - then) * self._most / 60.0)
        self._left[client] = (max(0.0, left - 1.0), now)
        if len(self._left) > self.MOST:
            del self._left[next(iter(self._left))]  # the one that was heard of longest ago
        if left < 1.0:
            wait = 1 + int((1.0 - left) * 60.0 / self._most)
            raise RefusalError(
                HTTPStatus.TOO_MANY_REQUESTS,
                f"more than {self._most} requests a minute from your address; wait {wait} s",
                "rate",
                wait,
            )


def client_of(address: tuple[str, int] | None) -> str:
    """Return what stands for a client: its address, of IPv6 the network of it, as one machine has all of that."""
    if address is None:
        return ""
    with contextlib.suppress(ValueError):
        ip = ipaddress.ip_address(address[0])
        if ip.version == 6 and ip.ipv4_mapped is None:
            return str(ipaddress.ip_network((ip, 64), strict=False))
    return address[0]
