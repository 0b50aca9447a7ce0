"""Chunks that come as bytes: samples of a type that was named when the stream was opened."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

from denoise_wrapper.audio import Array, check_type
from denoise_wrapper.errors import AudioError

Raw: TypeAlias = "bytes | bytearray | memoryview"


def is_raw(chunk: object) -> bool:
    """True for an object that holds bytes."""
    return isinstance(chunk, bytes | bytearray | memoryview)


def unpack_chunk(chunk: Raw, dtype: np.dtype[Any] | None, channels: int) -> Array:
    """Return a chunk of bytes as (frames,) if mono, or (frames, channels), not copied.

    Raises AudioError if no dtype was named, or the bytes are not a whole number of frames.
    """
    if dtype is None:
        raise AudioError(
            "a chunk of bytes does not say what it holds; name it when the stream is opened, as in "
            "stream(48000, dtype='int16')"
        )
    view = memoryview(chunk)
    width = dtype.itemsize * channels
    if view.nbytes % width:
        raise AudioError(
            f"{view.nbytes} bytes are not a whole number of frames of {channels} x {dtype.itemsize} bytes; keep the "
            "odd bytes for the next chunk"
        )
    samples = np.frombuffer(view if view.c_contiguous else view.tobytes(), dtype)
    return samples if channels == 1 else samples.reshape(-1, channels)


def check_dtype(dtype: Any) -> np.dtype[Any] | None:
    """Return the type of samples that bytes hold; None if none was named. Raises AudioError for another kind."""
    return None if dtype is None else check_type(dtype)
