"""`POST /v1/denoise`: a file comes, is written to the disk, cleaned as `filter` does it, and sent back."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import PurePosixPath
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import quote

from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse

from denoise_wrapper.denoiser import Denoiser
from denoise_wrapper.errors import ConfigError, DenoiseError
from denoise_wrapper.files.formats import Wishes
from denoise_wrapper.files.watch import Watch
from denoise_wrapper.presets import strength
from denoise_wrapper.serve.limits import RefusalError, client_of
from denoise_wrapper.serve.spool import Place, room
from denoise_wrapper.stream.settings import Settings
from denoise_wrapper.wording import listed

if TYPE_CHECKING:
    from starlette.types import Message, Receive, Scope, Send

    from denoise_wrapper.serve.desk import Desk

WRITTEN = 1 << 20  # bytes that are written to the disk at a time
SLOWEST = 4096  # bytes a second that a client sends at least, after the first seconds
DRAINED, DRAIN_S = 8 << 20, 2.0  # bytes and seconds of a body that is refused
HEADERS = 6  # of a part of a form
NAMES = ("backend", "preset", "atten_lim_db", "mix", "format")
# First bytes of a result -> its type and suffix; "?" stands for any byte.
_KINDS = (
    (b"RIFF????WAVE", "audio/wav", ".wav"), (b"RF64????WAVE", "audio/wav", ".wav"), (b"fLaC", "audio/flac", ".flac"),
    (b"OggS", "audio/ogg", ".ogg"), (b"ID3", "audio/mpeg", ".mp3"), (b"\xff\xfb", "audio/mpeg", ".mp3"),
    (b"\xff\xf3", "audio/mpeg", ".mp3"), (b"FORM????AIF", "audio/aiff", ".aiff"), (b"????ftypM4A", "audio/mp4", ".m4a"),
    (b"????ftyp", "video/mp4", ".mp4"), (b"\x1aE\xdf\xa3", "video/x-matroska", ".mkv"),
    (b"caff", "audio/x-caf", ".caf"), (b".snd", "audio/basic", ".au"),
)  # fmt: skip


class Uploads:
    """The endpoint, as an application of ASGI."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request, desk = Request(scope, receive), self._desk
        client = client_of(scope.get("client"))
        length = request.headers.get("content-length", "")
        if length.isdigit() and int(length) > desk.limits.max_upload:
            await _drain(receive)
            raise self._too_large()
        here: Place | None = None
        try:
            with desk.counts.one("uploads", client), desk.spool.place() as place:
                desk.metrics.opened.labels("upload").inc()
                here = place
                denoiser, form = await asyncio.to_thread(_asked, request)
                name = await self._receive(request, place)
                if not place.size:
                    raise RefusalError(HTTPStatus.BAD_REQUEST, "nothing came: send an audio file as the body", "audio")
                if form is not None:
                    place.target = place.target.with_suffix(form)
                if await self._clean(denoiser, place, receive):
                    await self._respond(place, name, scope, receive, send)
        except ClientDisconnect:
            return
        except RefusalError as error:
            if error.reason != "slow" and (here is None or not here.whole):
                await _drain(receive)
            raise

    async def _receive(self, request: Request, place: Place) -> str:
        """Write the body, or the part of it called file, to the disk. Returns the name that it had, or ""."""
        kind, options = parse_options_header(request.headers.get("content-type", ""))
        form = Form(options.get(b"boundary", b"")) if kind == b"multipart/form-data" else None
        buffer = bytearray()
        with room(), open(place.source, "wb", buffering=0) as file:
            async for data in self._chunks(request, place):
                buffer += data if form is None else form.feed(data)
                if len(buffer) >= WRITTEN:
                    await asyncio.to_thread(_write, file, bytes(buffer))
                    buffer.clear()
            await asyncio.to_thread(_write, file, bytes(buffer))
        if form is not None:
            form.check()
        return request.query_params.get("name", "") if form is None else form.name

    async def _chunks(self, request: Request, place: Place) -> AsyncIterator[bytes]:
        """Chunks of the body, while it is neither too large nor too slow."""
        limits, began, chunks = self._desk.limits, time.monotonic(), request.stream()
        while True:
            try:
                data = await asyncio.wait_for(anext(chunks, None), limits.idle_s)
            except TimeoutError as error:
                raise _too_slow() from error
            if data is None:
                place.whole = True
                return
            place.grow(len(data))
            if place.size > limits.max_upload:
                raise self._too_large()
            if data and place.size < SLOWEST * (time.monotonic() - began - limits.idle_s):
                raise _too_slow()
            yield data

    async def _clean(self, denoiser: Denoiser, place: Place, receive: Receive) -> bool:
        """Clean in a thread. False if the client has left, which ends it."""
        left = False

        def look(*_: int) -> None:
            if left:
                raise ClientDisconnect
            place.look()

        def work() -> None:
            begin, watch = time.perf_counter(), Watch(look)
            with room():
                denoiser._transform(place.source, place.target, False, watch, Wishes())
            desk.metrics.audio.labels("file").inc(watch.seconds)
            desk.metrics.work.labels("file").inc(time.perf_counter() - begin)

        desk = self._desk
        working = asyncio.get_running_loop().run_in_executor(desk.workers, work)
        leaving = asyncio.ensure_future(_left(receive))
        try:
            await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
            left = not working.done()
            await asyncio.shield(working)  # also of who has left: it ends at the next block
        except ClientDisconnect:
            return False
        except DenoiseError as error:
            raise RefusalError(HTTPStatus.UNPROCESSABLE_ENTITY, _in_words(error, place), "audio") from error
        except asyncio.CancelledError:
            left = True
            await asyncio.wait({working})
            working.exception()  # that it was given up is no news
            raise
        finally:
            leaving.cancel()
        return True

    async def _respond(self, place: Place, name: str, scope: Scope, receive: Receive, send: Send) -> None:
        with open(place.target, "rb") as file:
            kind, suffix = kind_of(file.read(16))

        async def patiently(message: Message) -> None:
            try:
                async with asyncio.timeout(self._desk.limits.idle_s):  # until the connection takes it
                    await send(message)
            except TimeoutError as error:
                raise ClientDisconnect from error

        headers = {"Content-Disposition": f"attachment; filename*=UTF-8''{quote(result_name(name, suffix), safe='')}"}
        response = FileResponse(place.target, media_type=kind, headers=headers)
        try:
            await response({**scope, "headers": []}, receive, patiently)  # all of it, whatever ranges were asked for
        except ClientDisconnect:
            self._desk.metrics.rejections.labels("slow").inc()

    def _too_large(self) -> RefusalError:
        return RefusalError(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            f"the file has more than {self._desk.limits.max_upload} bytes; --max-upload of the server lets more in",
            "size",
        )


@dataclass
class Form:
    """A form with a part called file, taken apart as it comes.

    boundary: between its parts. name: of the file that was sent.
    """

    boundary: bytes
    name: str = ""
    found: bool = False
    _inside: bool = False
    _data: list[bytes] = field(default_factory=list)
    _header: list[bytes] = field(default_factory=lambda: [b"", b""])
    _part: dict[bytes, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.boundary:
            raise RefusalError(HTTPStatus.BAD_REQUEST, "multipart/form-data without its boundary", "form")
        calls: Any = {
            "on_part_begin": self._begin,
            "on_header_field": lambda data, start, end: self._add(0, data[start:end]),
            "on_header_value": lambda data, start, end: self._add(1, data[start:end]),
            "on_header_end": self._header_end,
            "on_headers_finished": self._headers_finished,
            "on_part_data": lambda data, start, end: self._data.append(data[start:end]) if self._inside else None,
        }
        self._parser = MultipartParser(self.boundary, calls)

    def feed(self, data: bytes) -> bytes:
        """Take the next bytes of the form; returns what of the file was in them. Raises RefusalError."""
        try:
            self._parser.write(data)
        except MultipartParseError as error:
            raise RefusalError(HTTPStatus.BAD_REQUEST, f"the form is damaged: {error}", "form") from error
        content = b"".join(self._data)
        self._data.clear()
        return content

    def check(self) -> None:
        """Raise RefusalError if there was no file."""
        if not self.found:
            raise RefusalError(HTTPStatus.BAD_REQUEST, "the form has no file: send it as the part 'file'", "form")

    def _begin(self) -> None:
        self._part, self._inside = {}, False
        self._header = [b"", b""]

    def _add(self, which: int, data: bytes) -> None:
        self._header[which] += data
        if len(self._header[which]) > 8192:
            raise RefusalError(HTTPStatus.BAD_REQUEST, "a header of a part of the form is too long", "form")

    def _header_end(self) -> None:
        self._part[self._header[0].lower()] = self._header[1]
        self._header = [b"", b""]
        if len(self._part) > HEADERS:  # which would fill the memory
            raise RefusalError(HTTPStatus.BAD_REQUEST, "a part of the form has too many headers", "form")

    def _headers_finished(self) -> None:
        _, options = parse_options_header(self._part.get(b"content-disposition", b""))
        self._inside = options.get(b"name") == b"file" and not self.found
        if self._inside:
            self.found, self.name = True, options.get(b"filename", b"").decode("utf-8", "replace")


def kind_of(head: bytes) -> tuple[str, str]:
    """Return the media type and the suffix of a file that begins so."""
    for pattern, kind, suffix in _KINDS:
        if len(head) >= len(pattern) and all(p in (b, 63) for p, b in zip(pattern, head, strict=False)):
            return kind, suffix
    return "application/octet-stream", ""


def result_name(name: str, suffix: str) -> str:
    """Name the result of a file after it; suffix: of the result."""
    plain = PurePosixPath("".join(c for c in name.replace("\\", "/") if c.isprintable())[-200:])
    stem = plain.stem.strip(". ") or "audio"
    return f"{stem}_denoised{suffix or plain.suffix}"


def _asked(request: Request) -> tuple[Denoiser, str | None]:
    """Return the denoiser, and the suffix of the format, that a request asks for. Raises RefusalError."""
    query = request.query_params
    try:
        unknown = [name for name in query if name not in (*NAMES, "name")]
        if unknown:
            raise ConfigError(f"the query takes {listed(NAMES)}, and not {unknown[0][:40]!r}")
        number = {name: _number(name, query[name]) for name in ("atten_lim_db", "mix") if name in query}
        Settings(*strength(query.get("preset"), number.get("atten_lim_db"), number.get("mix")))
        form = query.get("format")
        if form is not None and not (form.isalnum() and form.isascii() and len(form) < 8):
            raise ConfigError(f"format is a suffix, such as flac, not {form[:40]!r}")
        denoiser = Denoiser(
            query.get("backend", "rnnoise"),
            preset=query.get("preset"),  # type: ignore[arg-type]
            atten_lim_db=number.get("atten_lim_db"),
            mix=number.get("mix"),
        )
    except DenoiseError as error:
        raise RefusalError(HTTPStatus.BAD_REQUEST, str(error), "query") from error
    return denoiser, None if form is None else f".{form.lower()}"


def _number(name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise ConfigError(f"{name} is a number, not {text[:40]!r}") from error


def _too_slow() -> RefusalError:
    return RefusalError(
        HTTPStatus.REQUEST_TIMEOUT, f"the body came too slowly: {SLOWEST} bytes a second are wanted", "slow"
    )


def _write(file: IO[bytes], data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[file.write(rest) :]


async def _drain(receive: Receive) -> None:
    """Let some more of a body come, and forget it: who is cut off while it sends may never read why."""
    size = 0
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(DRAIN_S):
            while size < DRAINED:
                message = await receive()
                size += len(message.get("body", b""))
                if message["type"] == "http.disconnect" or not message.get("more_body", False):
                    return


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _in_words(error: DenoiseError, place: Place) -> str:
    """The words of an error, without the folders of this machine."""
    words = str(error)
    for path in (place.target, place.source):
        words = words.replace(str(path), "the file")
    return words.replace(str(place.folder), "the file")
