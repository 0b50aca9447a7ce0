"""Streams under asyncio: many at once, each as it would be alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from denoise_wrapper import AudioError, Denoiser

STREAMS = 100


def noise(seed: int, frames: int = 4800) -> NDArray[np.int16]:
    return (3000 * np.random.default_rng(seed).standard_normal(frames)).astype(np.int16)


async def microphone(samples: NDArray[Any], size: int = 480) -> AsyncIterator[bytes]:
    for start in range(0, len(samples), size):
        await asyncio.sleep(0)
        yield samples[start : start + size].tobytes()


def alone(samples: NDArray[np.int16]) -> bytes:
    stream = Denoiser().stream(48000)
    return stream.process(samples).tobytes() + stream.flush().tobytes()


def test_a_hundred_streams_at_once_give_what_each_gives_alone() -> None:
    denoiser = Denoiser()

    async def one(seed: int) -> bytes:
        return b"".join([part async for part in denoiser.astream(microphone(noise(seed)), 48000, dtype="int16")])

    async def all_of_them() -> list[bytes]:
        return await asyncio.gather(*map(one, range(STREAMS)))

    results = asyncio.run(all_of_them())
    for seed in range(0, STREAMS, 9):
        assert results[seed] == alone(noise(seed))
    assert len({len(result) for result in results}) == 1


@pytest.mark.parametrize("frames", [100, 48000])
def test_chunks_of_a_plain_list_are_taken_too_also_long_ones(frames: int) -> None:
    samples = noise(3, 48000)
    chunks = [samples[start : start + frames] for start in range(0, len(samples), frames)]

    async def run() -> list[NDArray[np.int16]]:
        return [part async for part in Denoiser().astream(chunks, 48000)]

    parts = asyncio.run(run())
    assert [len(part) for part in parts[:-1]] == [len(chunk) for chunk in chunks]
    assert np.concatenate(parts).tobytes() == alone(samples)


def test_an_error_comes_out_where_the_signal_is_gone_through() -> None:
    async def run() -> None:
        async for _ in Denoiser().astream([b"\0\0\0"], 48000, dtype="int16"):
            pass

    with pytest.raises(AudioError, match="3 bytes"):
        asyncio.run(run())
