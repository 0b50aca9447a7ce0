"""A whole signal through a stream, in time with the input: the one place where the latency is cut off."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from denoise_wrapper.audio import Array
from denoise_wrapper.stream.raw import is_raw
from denoise_wrapper.stream.stream import Stream


def aligned(stream: Stream, chunks: Iterable[Array]) -> Iterator[Array]:
    """Clean the chunks of a whole signal, and give as many frames, in time with it.

        for cleaned in aligned(denoiser.stream(44100), chunks):

    stream: fresh; it is flushed at the end, and fresh again. chunks: as `Stream.process` takes them.
    Yields an array for each chunk, shorter while the latency is cut off (perhaps of no frames), and one for the end.
    `stream.vad` is that of the chunk last cleaned. Raises what `Stream.process` raises.
    """
    early = stream.latency
    for cleaned in _and_flushed(stream, chunks):
        width = stream.frame_bytes if is_raw(cleaned) else 1
        cut = min(early, len(cleaned) // width)
        early -= cut
        yield cleaned[cut * width :]


def _and_flushed(stream: Stream, chunks: Iterable[Array]) -> Iterator[Array]:
    for chunk in chunks:
        yield stream.process(chunk)
    yield stream.flush()
