"""`WS /v1/stream`: a live signal. Every message of the client gets its answer, in order, before the next one is read.

Binary messages that came while another one was being answered are cleaned as one, and answered each. Nothing piles up
here: who sends more than is answered, or does not read, fills the buffers of the connection alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from denoise_wrapper.audio import LOUDEST
from denoise_wrapper.backends import known_names, load_backend
from denoise_wrapper.denoiser import Denoiser
from denoise_wrapper.errors import AudioError, ConfigError, DenoiseError
from denoise_wrapper.serve.doors import PROTOCOL
from denoise_wrapper.wording import listed

if TYPE_CHECKING:
    from collections.abc import Callable

    from denoise_wrapper.serve.desk import Desk
    from denoise_wrapper.serve.pump import Seat
    from denoise_wrapper.stream.stream import Stream

MESSAGE_BYTES = 1 << 20  # of a message, at most
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
    wants_speech: bool = False
    spoke: float = 0.0
    unsent: list[bytes] = field(default_factory=list)  # answers that the connection has not taken yet
    waits: asyncio.Future[Any] | None = None  # for a chunk that is being cleaned
    sizes: list[int] = field(default_factory=list)  # of the messages that it came in, bytes

    async def run(self) -> None:
        """Serve until one of both sides ends it."""
        offered = self.socket.scope.get("subprotocols", [])
        await self.socket.accept(PROTOCOL if PROTOCOL in offered else None)
        code, words = 1000, None
        try:
            while True:
                message = await self.socket.receive()
                self.heard = time.monotonic()
                if message["type"] == "websocket.disconnect":
                    return
                if (data := message.get("bytes")) is not None:
                    await self._chunks(data, message.get("sizes", [len(data)]))
                else:
                    await self._command(message.get("text") or "")
                self.heard = time.monotonic()
        except WebSocketDisconnect:
            return
        except ProtocolError as error:
            code, words = error.code, {"type": "error", "message": str(error)}
            self.desk.metrics.rejections.labels("protocol").inc()
        except asyncio.CancelledError:
            if self.cut is None:
                raise
            code, words = (RESTART if self.cut == "stop" else REFUSED), None
            if self.cut == "stop":
                with contextlib.suppress(Exception):
                    await asyncio.wait_for(self._end(), self.desk.limits.grace_s / 2)
            else:
                words = {"type": "error", "message": self.cut}
        finally:
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
        await self._send_all()
        if self.seat is None:
            return
        if self.waits is not None:
            await self._answer((await self.waits).tobytes(), self.sizes)
        tail = await self.seat.call(_flushed)
        await self._send(tail)
        await self._say({"type": "end", "message": "the server stops; this was the tail", "frames": self._frames(tail)})

    async def _chunks(self, data: bytes, sizes: list[int]) -> None:
        """Answer binary messages, one or several that came meanwhile. sizes: bytes of each."""
        seat = self._seated()
        arrived = time.perf_counter()
        try:
            chunk = self._unpacked(data, sizes, seat.stream)
        except AudioError as error:
            if len(sizes) == 1:
                await self._say({"type": "error", "message": str(error)})
                return
            for end, size in zip(np.cumsum(sizes).tolist(), sizes, strict=True):
                await self._chunks(data[end - size : end], [size])
            return
        self.waits, self.sizes = seat.process(chunk), sizes
        cleaned = await asyncio.shield(self.waits)  # a stop in the midst still gets it
        self.waits = None
        self.desk.metrics.chunk.observe(time.perf_counter() - arrived)
        await self._answer(cleaned.tobytes(), sizes)
        if self.wants_speech and self.heard - self.spoke >= SPEECH_S and len(seat.speech):
            self.spoke = self.heard
            await self._say({"type": "speech", "probability": round(float(seat.speech.max()), 3)})

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
        return len(tail) // (self.dtype.itemsize * self._seated().stream.channels)

    def _unpacked(self, data: bytes, sizes: list[int], stream: Stream) -> np.ndarray[Any, Any]:
        width = self.dtype.itemsize * stream.channels
        odd = next((size for size in sizes if size % width), None)
        if odd is not None:
            raise ProtocolError(f"{odd} bytes are not a whole number of frames of {width} bytes", BAD_DATA)
        chunk = np.frombuffer(data, self.dtype)
        if self.dtype.kind == "f" and not (np.abs(chunk) <= LOUDEST).all():
            raise AudioError("the chunk holds samples that are NaN, infinite or absurdly loud; it was left out")
        return chunk if stream.channels == 1 else chunk.reshape(-1, stream.channels)

    async def _send(self, data: bytes) -> None:
        await self._answer(data, [len(data)])

    async def _answer(self, data: bytes, sizes: list[int]) -> None:
        """Send a binary message for each of those sizes."""
        ends = np.cumsum(sizes).tolist() if len(sizes) > 1 else sizes
        self.unsent = [data[end - size : end] for end, size in zip(ends, sizes, strict=True)]
        await self._send_all()

    async def _send_all(self) -> None:
        while self.unsent:
            await self.socket.send({"type": "websocket.send", "bytes": self.unsent[0]})
            self.unsent.pop(0)

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
