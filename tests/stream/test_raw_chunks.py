"""Chunks of bytes: what arrays give, as bytes, and no guess of what they hold."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from denoise_wrapper import AudioError, Denoiser, Stream, aligned


def noise(frames: int, channels: int, dtype: str) -> NDArray[Any]:
    samples = 3000 * np.random.default_rng(5).standard_normal((frames, channels))
    samples = samples[:, 0] if channels == 1 else samples
    return samples.astype(dtype) if dtype.startswith("i") else (samples / 32768).astype(dtype)


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
@pytest.mark.parametrize(("dtype", "channels"), [("int16", 1), ("float32", 2), ("int32", 3)])
def test_bytes_give_what_arrays_give(kind: Any, dtype: str, channels: int) -> None:
    samples = noise(5000, channels, dtype)
    arrays, raw = (Denoiser().stream(44100, channels, dtype=dtype) for _ in range(2))
    for start in range(0, len(samples), 777):
        chunk = samples[start : start + 777]
        cleaned = raw.process(kind(chunk.tobytes()))
        assert type(cleaned) is (bytearray if kind is bytearray else bytes)
        assert cleaned == arrays.process(chunk).tobytes()
    assert raw.flush() == arrays.flush().tobytes()


def test_a_stream_of_bytes_goes_on_from_a_pickle_and_takes_arrays_too() -> None:
    samples = noise(2000, 1, "int16")
    stream = Denoiser().stream(48000, dtype="int16")
    stream.process(samples[:1000].tobytes())
    other: Stream = pickle.loads(pickle.dumps(stream))
    assert other.process(samples[1000:].tobytes()) == stream.process(samples[1000:]).tobytes()
    assert isinstance(stream.flush(), np.ndarray)
    assert isinstance(other.flush(), bytes)


def test_aligned_bytes_are_in_time_and_as_long() -> None:
    samples = noise(3001, 2, "int16")
    chunks = [samples[start : start + 500].tobytes() for start in range(0, len(samples), 500)]
    cleaned = b"".join(aligned(Denoiser().stream(48000, 2, dtype="int16"), chunks))  # type: ignore[arg-type]
    assert cleaned == Denoiser().filter(samples, 48000).tobytes()


@pytest.mark.parametrize(
    ("dtype", "chunk", "words"),
    [
        (None, b"\0\0", r"name it when the stream is opened, as in stream\(48000, dtype='int16'\)"),
        ("int16", b"\0", "1 bytes are not a whole number of frames"),
        ("float32", b"\0" * 6, "6 bytes are not a whole number of frames of 1 x 4 bytes"),
    ],
)
def test_bytes_that_say_too_little_are_refused_with_the_cure(dtype: str | None, chunk: bytes, words: str) -> None:
    with pytest.raises(AudioError, match=words):
        Denoiser().stream(48000, dtype=dtype).process(chunk)
