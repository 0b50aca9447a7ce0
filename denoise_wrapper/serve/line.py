"""A WebSocket of uvicorn's with a short way for samples: binary messages go straight to the session, and back.

ASGI's way costs several times what cleaning 10 ms does: a parser of generators, a queue, a task that is woken for each
message. What is none of whole binary messages still goes that way, in its order.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

try:
    from websockets.speedups import apply_mask
except ImportError:  # no wheel for this platform
    from websockets.utils import apply_mask

LINE = "denoise.line"  # in the extensions of the scope
HELLO_S = 10.0  # for a connection that does not say what it wants, and for the last words
MESSAGE_BYTES = 1 << 20  # of a message, at most
TEXT, BINARY = 0x81, 0x82  # first bytes of messages that are whole
MASKED, FINAL, CONTROL = 0x80, 0x80, 0x08  # bits of the two bytes at the head


class Session(Protocol):
    """Who takes samples."""

    def take(self, messages: Sequence[bytes]) -> int:
        """Take binary messages; returns how many, if the next one is none to be cleaned."""

    def go_on(self) -> None:
        """Hear that there is room again for what is sent."""


class Line(WebSocketsSansIOProtocol):
    """One connection. Binary messages are taken by the session that `hand_to` names, while it waits in `receive`."""

    _session: Session | None = None
    _listens = _held = False  # the session waits; reading is held by it
    _cuts = _fragments = False  # messages are cut here, not in uvicorn; the parts of one are coming
    _needs = 0  # bytes of the message whose beginning waits in _rest

    def __init__(self, *args: Any, **names: Any) -> None:
        super().__init__(*args, **names)
        self._rest = bytearray()

    def hand_to(self, session: Session | None) -> None:
        """Give binary messages to a session from now on, or to nobody."""
        self._session = session

    @property
    def is_full(self) -> bool:
        """True while the client does not read what is sent."""
        return not self.writable.is_set()

    def write(self, kind: int, messages: Iterable[bytes]) -> None:
        """Send messages of one kind, TEXT or BINARY, at once; nothing once the connection ends."""
        if not (self.close_sent or self.disconnected or self.transport.is_closing()):
            self.transport.write(b"".join(part for data in messages for part in (_head(kind, len(data)), data)))

    def hold(self, is_held: bool) -> None:
        """Read nothing more from the client, or go on."""
        if is_held == self._held:
            return
        self._held = is_held
        if is_held:
            self.transport.pause_reading()
        elif not self.read_paused:
            self.transport.resume_reading()

    async def receive(self) -> Any:
        self._listens = True
        try:
            message = await super().receive()
        finally:
            self._listens = False
        if self._held:
            self.transport.pause_reading()  # uvicorn goes on once its queue is empty
        return message

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._session is not None:
            self._session.go_on()

    def data_received(self, data: bytes) -> None:
        if not self._cuts:
            super().data_received(data)
            # What follows is cut here, unless some of it has come with the request, and uvicorn is amid a message.
            self._cuts = self.handshake_initiated and data.endswith(b"\r\n\r\n")
            return
        if self._rest:
            self._rest += data
            if len(self._rest) < self._needs:
                return
            data = bytes(self._rest)
            self._rest.clear()
        self._cut(data)

    def _cut(self, data: bytes) -> None:
        at, messages = 0, list[bytes]()
        while at < len(data):
            begin, length = _body(data, at)
            if length > MESSAGE_BYTES:  # or none of the protocol: uvicorn finds the words for it
                self._cuts = False
                break
            end = begin + length
            if end > len(data):
                self._needs = end - at
                break
            if data[at] == BINARY and self._listens and not self._fragments and self.queue.empty():
                messages.append(apply_mask(data[begin:end], data[begin - 4 : begin]))
            else:
                self._give(messages)
                messages = []
                if not data[at] & CONTROL:
                    self._fragments = not data[at] & FINAL
                super().data_received(data[at:end])
            at = end
        self._give(messages)
        if at < len(data):
            if self._cuts:
                self._rest += data[at:]
            else:
                super().data_received(data[at:])

    def _give(self, messages: Sequence[bytes]) -> None:
        """Give messages to the session, and those that it does not take to uvicorn, from whom it gets them too."""
        if not messages:
            return
        taken = 0 if self._session is None else self._session.take(messages)
        for message in messages[taken:]:
            self.curr_msg_data_type, self.frames = "bytes", [message]
            self.send_receive_event_to_app()

    async def run_asgi(self) -> None:
        extensions: Any = self.scope["extensions"]
        extensions[LINE] = self
        await super().run_asgi()
        self.loop.call_later(HELLO_S, self.transport.abort)  # who does not read the last of it is not waited for


def _body(data: bytes, at: int) -> tuple[int, int]:
    """Where the body of the message begins whose head is at `at`, and its length.

    What is not masked is longer than any message; a head that is not there as a whole has its body behind the data.
    """
    if len(data) < at + 2:
        return at + 6, 0
    length = data[at + 1] ^ MASKED
    if length < 126:
        return at + 6, length
    if length > 127:
        return at, MESSAGE_BYTES + 1
    size = 2 if length == 126 else 8
    begin = at + 2 + size + 4
    if len(data) < begin:
        return begin, 0
    return begin, int.from_bytes(data[at + 2 : at + 2 + size])


def _head(kind: int, length: int) -> bytes:
    if length < 126:
        return bytes((kind, length))
    if length < 1 << 16:
        return bytes((kind, 126)) + length.to_bytes(2)
    return bytes((kind, 127)) + length.to_bytes(8)
