"""Chunks as C reads them: plain arrays, and what C calls their types."""

from __future__ import annotations

import numpy as np

from denoise_wrapper.arguments import shown, whole
from denoise_wrapper.audio import NUMBERS, Array, as_array
from denoise_wrapper.errors import AudioError, ConfigError


def check_step(step: object) -> int:
    """Return the step of chunks, in frames, as an int. Raises ConfigError unless it is 1 or more."""
    frames = whole(step)
    if frames is None or frames < 1:
        raise ConfigError(f"step is a number of frames, 1 or more, not {shown(step)}")
    return frames


def plain(chunk: object, channels: int, step: int = 1) -> tuple[Array, int]:
    """Return a chunk as C reads it, and the number of its type; the chunk itself if it is so.

    That is of the machine's byte order, frame after frame, aligned.
    chunk: (frames,) of one channel, or (frames, channels). step: frames of which it must hold a whole number.
    Raises AudioError that says what to do.
    """
    if type(chunk) is np.ndarray:
        number, shape, flags = NUMBERS.get(chunk.dtype), chunk.shape, chunk.flags
        fits = (len(shape) == 1 and channels == 1) or (len(shape) == 2 and shape[1] == channels)
        if number is not None and fits and flags.c_contiguous and flags.aligned and shape[0] % step == 0:
            return chunk, number
    samples = as_array(chunk, channels)
    if len(samples) % step:
        raise AudioError(f"this stream was opened for chunks of a multiple of {step} frames, not of {len(samples)}")
    samples = np.require(samples, samples.dtype.newbyteorder("="), ["C", "A"])
    return samples, NUMBERS[samples.dtype]
