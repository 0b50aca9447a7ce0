"""A live signal under asyncio."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Iterable
from typing import TYPE_CHECKING, Any

from denoise_wrapper.stream.raw import is_raw

if TYPE_CHECKING:
    from denoise_wrapper.stream.stream import Stream

LONG_S = 0.1  # of audio; a chunk that holds more is cleaned in a thread, so that the loop goes on meanwhile


async def stream_chunks(stream: Stream, chunks: AsyncIterable[Any] | Iterable[Any], width: int) -> AsyncIterator[Any]:
    """Clean chunks as they come, each as `Stream.process` does, and at the end what `Stream.flush` returns.

    stream: fresh; it is fresh again afterwards, also if the caller stops early. width: bytes of a frame of raw chunks.
    """
    import asyncio  # here, as it is slow to load

    try:
        async for chunk in _each(chunks):
            frames = memoryview(chunk).nbytes // width if is_raw(chunk) else len(chunk)
            if frames > LONG_S * stream.sample_rate:
                yield await asyncio.to_thread(stream.process, chunk)
            else:
                yield stream.process(chunk)
        yield stream.flush()
    finally:
        stream.reset()


async def _each(chunks: AsyncIterable[Any] | Iterable[Any]) -> AsyncIterator[Any]:
    import asyncio

    if isinstance(chunks, AsyncIterable):
        async for chunk in chunks:
            yield chunk
    else:
        for chunk in chunks:
            yield chunk
            await asyncio.sleep(0)  # others have their turn
