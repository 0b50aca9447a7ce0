"""All that the doors of one server share: limits, counters, the pump, the spool, and who is there."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from denoise_wrapper.machine import cores
from denoise_wrapper.serve.limits import CLOSE_S, Counts, Limits, Rates, client_of
from denoise_wrapper.serve.metrics import Metrics
from denoise_wrapper.serve.pump import Pump
from denoise_wrapper.serve.sessions import Session

if TYPE_CHECKING:
    from starlette.websockets import WebSocket

    from denoise_wrapper.serve.spool import Spool

LOOK_S = 1.0  # between two looks at who is silent
NICE = 10  # of threads that clean files: live streams come first


class Desk:
    """Shared parts of a server. limits: its bounds. spool: for uploads. threads: that clean; 0 for one per core."""

    def __init__(self, limits: Limits, spool: Spool, threads: int = 0) -> None:
        count = threads or cores()
        self.limits, self.spool = limits, spool
        self.metrics, self.counts, self.rates = Metrics(), Counts(limits), Rates(limits.per_minute)
        self.pump = Pump(count, self.metrics.live)
        self.metrics.watch(self.pump, self.counts)
        self.workers = ThreadPoolExecutor(count, "denoise-file", _be_nice)
        self.stopping = False
        self.sessions: set[Session] = set()

    async def stream(self, socket: WebSocket) -> None:
        """Serve a WebSocket."""
        with self.counts.one("streams", client_of(socket.scope.get("client"))):
            self.metrics.opened.labels("stream").inc()
            task = asyncio.current_task()
            assert task is not None
            session = Session(self, socket, task, time.monotonic(), time.monotonic())
            self.sessions.add(session)
            try:
                await session.run()
            finally:
                self.sessions.discard(session)

    async def sweep(self) -> None:
        """End the streams of clients that are silent, or do not read, or have been there for too long."""
        while True:
            await asyncio.sleep(LOOK_S)
            now, limits = time.monotonic(), self.limits
            for session in list(self.sessions):
                if session.cut is None and now - session.heard > limits.idle_s:
                    self._cut(session, f"nothing came, or nothing was read, for {limits.idle_s:g} s")
                elif session.cut is None and now - session.began > limits.stream_s:
                    self._cut(session, f"a stream may last {limits.stream_s:g} s; open another one")

    async def stop(self) -> None:
        """Give all streams their tail and end them, within the time of grace but for what closing needs of it."""
        self.stopping = True
        for session in list(self.sessions):
            session.cut = "stop"
            session.task.cancel()
        deadline = time.monotonic() + max(self.limits.grace_s / 2, self.limits.grace_s - CLOSE_S)
        while (self.sessions or self.counts.open["uploads"]) and time.monotonic() < deadline:
            await asyncio.sleep(0.02)

    def close(self) -> None:
        """End the threads."""
        self.pump.stop()
        self.workers.shutdown(wait=True, cancel_futures=True)

    def _cut(self, session: Any, why: str) -> None:
        session.cut = why
        self.metrics.rejections.labels("idle").inc()
        session.task.cancel()


def _be_nice() -> None:
    """Let the threads of live streams go first, where the system has that for single threads."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)
