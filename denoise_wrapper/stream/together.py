"""Many streams in one call, so that those of one backend read its weights together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from denoise_wrapper.audio import Array, check_scale
from denoise_wrapper.backends.base import process_together
from denoise_wrapper.errors import AudioError, ConfigError
from denoise_wrapper.stream.alone import alone
from denoise_wrapper.stream.lane import Cleaned, Work
from denoise_wrapper.stream.samples import plain
from denoise_wrapper.stream.stream import Stream


def process_many(streams: Iterable[Stream], chunks: Iterable[Array]) -> list[Array]:
    """Clean the next chunk of each of many streams, in one go: what `[stream.process(chunk) for ...]` gives.

        cleaned = process_many(calls, chunks)  # the next 10 ms of all calls that a server holds

    streams: each once; they may be of different backends, rates, channels and settings. chunks: one for each stream,
    as `Stream.process` takes them. Hops of streams that share a backend go through it in one call, if as many of them
    are ready in each; so give chunks of one length to streams of one kind. The networks then read their weights
    fewer times: sixteen DTLN streams take a third of the time, RNNoise streams about as long as apart. Of RNNoise
    backends the results are those of separate calls, bit for bit; of DTLN ones too as far as has been seen, but ONNX
    Runtime does not promise to sum in the same order when several signals come at once.
    Returns the cleaned chunks, in that order. Raises AudioError that says which stream's chunk is wrong and why; all
    streams are then as if no chunk had come. ConfigError if the streams are not as many as the chunks, or one is
    there twice. DenoiseError if another thread is using one of them.
    """
    streams, chunks = list(streams), list(chunks)
    if len(streams) != len(chunks):
        raise ConfigError(f"each stream takes one chunk: {len(streams)} streams came, and {len(chunks)} chunks")
    for index, stream in enumerate(streams):
        if not isinstance(stream, Stream):
            raise ConfigError(f"streams[{index}] is a Stream, not {type(stream).__name__}")
    if len({id(stream) for stream in streams}) < len(streams):
        raise ConfigError("a stream is there twice; it takes one chunk at a time: join its chunks")
    return alone([stream._turn for stream in streams], _process_all, streams, chunks)


def _process_all(streams: Sequence[Stream], chunks: Sequence[Array]) -> list[Array]:
    accepted, work = [], []
    for index, (stream, chunk) in enumerate(zip(streams, chunks, strict=True)):
        try:
            accepted.append(plain(chunk, stream._channels, stream._step))
            if not stream._scale_known:
                stream._scale_known = check_scale(accepted[-1][0], stream._source)
            work.append(stream._lanes.take(*accepted[-1]))
        except AudioError as error:
            raise AudioError(f"streams[{index}]: {error}") from error
    cleaned = iter(_clean_together([each for lanes in work for each in lanes]))
    results = []
    for stream, chunk, (samples, number), lanes in zip(streams, chunks, accepted, work, strict=True):
        out = np.empty(samples.shape, samples.dtype)
        stream._lanes = stream._lanes.give([next(cleaned) for _ in lanes], out, number)
        stream._like = chunk.dtype, out.ndim
        results.append(out.astype(chunk.dtype, copy=False))
    return results


def _clean_together(work: Sequence[Work]) -> list[Cleaned | None]:
    """Clean the blocks, in one call all that go together; in their order."""
    groups: dict[tuple[int, float, int], list[int]] = {}
    cleaned: list[Cleaned | None] = [None] * len(work)
    for index, (lane, block) in enumerate(work):
        if block is not None:
            groups.setdefault((id(lane.backend), lane.min_gain, block.shape[1]), []).append(index)
    for indexes in groups.values():
        first = work[indexes[0]][0]
        states = [work[index][0].state for index in indexes]
        blocks = [block for index in indexes if (block := work[index][1]) is not None]
        together = process_together(first.backend, states, blocks, first.min_gain)
        for index, result in zip(indexes, together, strict=True):
            cleaned[index] = result
    return cleaned
