"""`WS /v1/stream`: a live signal. Every message of the client gets its answer, in order, before the next one is read.

Binary messages that came while another one was being answered are cleaned as one, and answered each. Little piles up
here: who sends more than is answered, or does not read, fills the buffers of the connection alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from denoise_wrapper.audio import LOUDEST
from denoise_wrapper.backends import known_names, load_backend
from denoise_wrapper.denoiser import Denoiser
from denoise_wrapper.errors import AudioError, ConfigError, DenoiseError
from denoise_wrapper.serve.doors import PROTOCOL
from denoise_wrapper.serve.line import BINARY, LINE, TEXT, Line
from denoise_wrapper.wording import listed

if TYPE_CHECKING:
    from collections.abc import Callable

    from denoise_wrapper.serve.desk import Desk
    from denoise_wrapper.serve.pump import Seat
    from denoise_wrapper.stream.stream import Stream

TOGETHER = 1 << 16  # bytes of messages that may wait here, and are cleaned at once
MAX_RATE, MAX_CHANNELS, MAX_LATENCY_S = 192_000, 8, 2.0  # of a stream, that one client may ask for
DTYPES: dict[str, np.dtype[Any]] = {"int16": np.dtype("<i2"), "float32": np.dtype("<f4")}
STRENGTH = ("preset", "atten_lim_db", "mix")
SPEECH_S = 0.1  # between two messages about speech
CLOSE_S = 1.0  # for the last words to a client that may not read
BAD_DATA, REFUSED, RESTART = 1007, 1008, 1012  # codes of closing


class ProtocolError(Exception):
    """A message that is none of this protocol; the connection ends. code: of closing."""

    def __init__(self, message: str, code: int = REFUSED) -> None:
        super().__init__(message)
        self.code = code


@dataclass(eq=False)
class Session:
    """One connection. heard: when the client was last there, of the clock. cut: why it is ended from here, or None."""

    desk: Desk
    socket: WebSocket
    task: asyncio.Task[Any]
    began: float
    heard: float
    cut: str | None = None
    seat: Seat | None = None
    dtype: np.dtype[Any] = DTYPES["int16"]
    width: int = 0  # bytes of a frame
    wants_speech: bool = False
    spoke: float = 0.0
    waiting: list[bytes] = field(default_factory=list)  # binary messages that are to be cleaned
    came: float = 0.0  # when the first of them did, of the clock that counts finer
    since: float = 0.0  # likewise, of what is being cleaned
    cleaning: list[int] = field(default_factory=list)  # bytes of each message that is being cleaned
    error: BaseException | None = None  # that cleaning ended in
    quiet: asyncio.Future[None] | None = None  # for the time when nothing waits and nothing is cleaned

    @property
    def line(self) -> Line:
        """The connection, for samples, which pass by ASGI."""
        line: Line = self.socket.scope["extensions"][LINE]
        return line

    async def run(self) -> None:
        """Serve until one of both sides ends it."""
        offered = self.socket.scope.get("subprotocols", [])
        code, words = 1000, None
        self.line.hand_to(self)
        try:
            await self.socket.accept(PROTOCOL if PROTOCOL in offered else None)
            while True:
                message = await self.socket.receive()
                self.heard = time.monotonic()
                if message["type"] == "websocket.disconnect":
                    return
                if (data := message.get("bytes")) is None:
                    await self._settled()
                    await self._command(message.get("text") or "")
                elif not self.take([data]):
                    await self._settled()
                    await self._refuse(data)
                self.heard = time.monotonic()
        except WebSocketDisconnect:
            return
        except ProtocolError as error:
            code, words = error.code, {"type": "error", "message": str(error)}
            self.desk.metrics.rejections.labels("protocol").inc()
        except asyncio.CancelledError:
            if self.error is not None:
                raise self.error from None
            if self.cut is None:
                raise
            code, words = (RESTART if self.cut == "stop" else REFUSED), None
            if self.cut == "stop":
                with contextlib.suppress(Exception):
                    await asyncio.wait_for(self._end(), self.desk.limits.grace_s / 2)
            else:
                words = {"type": "error", "message": self.cut}
        finally:
            self.line.hand_to(None)
            self.line.hold(False)
            if self.seat is not None:
                self.seat.close()
        await self._close(code, words)

    async def _close(self, code: int, words: dict[str, Any] | None) -> None:
        with contextlib.suppress(Exception):
            async with asyncio.timeout(CLOSE_S):
                if words is not None:
                    await self._say(words)
                if self.socket.application_state is WebSocketState.CONNECTED:
                    await self.socket.close(code, "" if words is None else str(words.get("message", ""))[:100])

    async def _end(self) -> None:
        """Give what was asked for already, and the tail, as the server stops."""
        self.line.hand_to(None)
        await self._settled()
        if self.seat is None:
            return
        tail = await self.seat.call(_flushed)
        await self._send(tail)
        await self._say({"type": "end", "message": "the server stops; this was the tail", "frames": self._frames(tail)})

    def take(self, messages: Sequence[bytes]) -> int:
        """Clean binary messages and answer each, after those that came before. Returns how many are to be cleaned."""
        count = 0
        with contextlib.suppress(ProtocolError, AudioError):
            for data in messages:
                self._check(data)
                count += 1
        if count == 0:
            return 0
        if not self.waiting:
            self.came = time.perf_counter()
        self.waiting += messages[:count]
        if not self.line.is_full:
            self.heard = time.monotonic()
        if not self.cleaning:
            self.go_on()
        elif sum(map(len, self.waiting)) > TOGETHER:
            self.line.hold(True)
        return count

    def go_on(self) -> None:
        """Clean what waits, once the client reads."""
        if self.cleaning or not self.waiting or self.line.is_full or self.seat is None:
            return
        data = self.waiting[0] if len(self.waiting) == 1 else b"".join(self.waiting)
        self.cleaning, self.waiting, self.since = [len(each) for each in self.waiting], [], self.came
        chunk, channels = np.frombuffer(data, self.dtype), self.seat.stream.channels
        self.seat.process(chunk if channels == 1 else chunk.reshape(-1, channels), self._cleaned)
        self.line.hold(False)

    def _cleaned(self, chunk: Any, error: BaseException | None) -> None:
        sizes, self.cleaning = self.cleaning, []
        if error is None:
            self._answer(chunk.tobytes(), sizes)
        else:
            self.error = error
            self.task.cancel()
            self.waiting = []
        if self.waiting:
            self.go_on()
        elif self.quiet is not None and not self.quiet.done():
            self.quiet.set_result(None)

    def _answer(self, data: bytes, sizes: list[int]) -> None:
        """Send a binary message for each of those sizes."""
        at, messages = 0, []
        for size in sizes:
            messages.append(data[at : at + size])
            at += size
        self.line.write(BINARY, messages)
        self.desk.metrics.chunk.add(time.perf_counter() - self.since)
        if self.wants_speech and self.heard - self.spoke >= SPEECH_S and len(speech := self._seated().stream.vad):
            self.spoke = self.heard
            words = {"type": "speech", "probability": round(float(speech.max()), 3)}
            self.line.write(TEXT, [json.dumps(words).encode()])

    async def _command(self, text: str) -> None:
        try:
            command = json.loads(text)
            kind = command.pop("type")
        except (ValueError, TypeError, AttributeError, KeyError, RecursionError) as error:
            raise ProtocolError(
                'a text message is an object of JSON with its type, as in {"type": "flush"}', BAD_DATA
            ) from error
        commands: dict[str, Callable[..., Any]] = {
            "start": self._start, "switch": self._switch, "limit": self._limit, "flush": self._flush,
        }  # fmt: skip
        if not isinstance(kind, str) or kind not in commands:
            raise ProtocolError(f"the type of a message is {listed(commands)}, not {str(kind)[:40]!r}")
        try:
            await commands[kind](command)
        except DenoiseError as error:
            if self.seat is None:
                raise ProtocolError(str(error)) from error
            await self._say({"type": "error", "message": str(error)})

    async def _start(self, asked: dict[str, Any]) -> None:
        if self.seat is not None:
            raise ProtocolError("the stream has started already; open another connection for another one")
        kind = asked.pop("dtype", "int16")
        if not isinstance(kind, str) or kind not in DTYPES:
            raise ProtocolError(f"dtype is {listed(DTYPES)}, not {str(kind)[:40]!r}")
        self.dtype = DTYPES[kind]
        self.wants_speech = asked.pop("speech", False) is True
        stream = await asyncio.to_thread(_open, asked)
        self.width = self.dtype.itemsize * stream.channels
        self.seat = self.desk.pump.open(stream)
        await self._say(
            {"type": "started", "dtype": kind, "sample_rate": stream.sample_rate, "channels": stream.channels}
            | self._facts(stream)
        )

    async def _switch(self, asked: dict[str, Any]) -> None:
        name = asked.pop("backend", None)
        _none_left(asked, "switch", ("backend",))
        seat = self._seated()
        backend = await asyncio.to_thread(load_backend, _known(name))
        await seat.call(lambda stream: stream.switch(backend))
        await self._say({"type": "switched"} | self._facts(seat.stream))

    async def _limit(self, asked: dict[str, Any]) -> None:
        most = asked.pop("atten_lim_db", None)
        _none_left(asked, "limit", ("atten_lim_db",))
        seat = self._seated()
        await seat.call(lambda stream: stream.limit(most))
        await self._say({"type": "limited"} | self._facts(seat.stream))

    async def _flush(self, asked: dict[str, Any]) -> None:
        _none_left(asked, "flush", ())
        tail = await self._seated().call(_flushed)
        await self._send(tail)
        await self._say({"type": "flushed", "frames": self._frames(tail)})

    def _seated(self) -> Seat:
        if self.seat is None:
            raise ProtocolError('a stream begins with {"type": "start", "sample_rate": 48000}')
        return self.seat

    def _facts(self, stream: Stream) -> dict[str, Any]:
        backend = stream.backend
        return {
            "backend": backend.name,
            "latency": stream.latency,
            "latency_ms": round(1e3 * stream.latency_seconds, 3),
            "atten_lim_db": stream.settings.atten_lim_db,
            "has_vad": backend.has_vad,
        }

    def _frames(self, tail: bytes) -> int:
        return len(tail) // self.width

    def _check(self, data: bytes) -> None:
        """Raise ProtocolError or AudioError for a binary message that cannot be cleaned."""
        if self.seat is None:
            self._seated()  # which says so
        if len(data) % self.width:
            raise ProtocolError(f"{len(data)} bytes are not a whole number of frames of {self.width} bytes", BAD_DATA)
        if self.dtype.kind == "f" and not (np.abs(np.frombuffer(data, self.dtype)) <= LOUDEST).all():
            raise AudioError("the chunk holds samples that are NaN, infinite or absurdly loud; it was left out")

    async def _refuse(self, data: bytes) -> None:
        """Say what is wrong with a binary message. Raises ProtocolError if that ends the connection."""
        try:
            self._check(data)
        except AudioError as error:
            await self._say({"type": "error", "message": str(error)})

    async def _settled(self) -> None:
        """Wait until all that was taken is answered."""
        while self.cleaning or self.waiting:
            self.quiet = asyncio.get_running_loop().create_future()
            await self.quiet

    async def _send(self, data: bytes) -> None:
        await self.socket.send({"type": "websocket.send", "bytes": data})

    async def _say(self, words: dict[str, Any]) -> None:
        await self.socket.send({"type": "websocket.send", "text": json.dumps(words)})


def _flushed(stream: Stream) -> bytes:
    tail: bytes = stream.flush().tobytes()
    return tail


def _open(asked: dict[str, Any]) -> Stream:
    """Open the stream that a client asks for. Raises DenoiseError."""
    rate, channels = asked.pop("sample_rate", None), asked.pop("channels", 1)
    latency, backend = asked.pop("latency", None), asked.pop("backend", "rnnoise")
    strength = {name: asked.pop(name) for name in STRENGTH if name in asked}
    names = ("sample_rate", "channels", "dtype", "latency", "backend", *STRENGTH, "speech")
    _none_left(asked, "start", names)
    denoiser = Denoiser(_known(backend), **strength)
    if rate is None:
        raise ConfigError("sample_rate is wanted, in Hz, as in 48000")
    if (isinstance(rate, int) and rate > MAX_RATE) or (isinstance(channels, int) and channels > MAX_CHANNELS):
        raise ConfigError(f"a stream has {MAX_RATE} Hz and {MAX_CHANNELS} channels at most, not {rate} and {channels}")
    if isinstance(latency, int | float) and isinstance(rate, int) and latency > MAX_LATENCY_S * rate:
        raise ConfigError(f"latency is {MAX_LATENCY_S:g} s at most, which are {MAX_LATENCY_S * rate:.0f} frames")
    return denoiser.stream(rate, channels, latency)


def _known(name: object) -> str:
    """Return the name of a backend. Raises ConfigError for something else, ModelError for an unknown name."""
    if not isinstance(name, str):
        raise ConfigError(f"backend is a name, such as {known_names()[0]}, not {str(name)[:40]!r}")
    return name


def _none_left(asked: dict[str, Any], kind: str, names: tuple[str, ...]) -> None:
    if asked:
        raise ConfigError(
            f"{kind} takes {listed(names) if names else 'nothing'}, and not {str(next(iter(asked)))[:40]!r}"
        )
