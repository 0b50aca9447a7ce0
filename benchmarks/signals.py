"""The clip that all of them clean."""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]


@functools.cache
def clip(seconds: int, rate: int) -> Float32:
    """A buzz of 110 to 180 Hz in noise that swells and fades each second: float32 (seconds * rate,).

    It has a pitch to find, and neither the silent nor the loud case alone: engines skip work in silence.
    """
    at = np.arange(seconds * rate, dtype=np.float64) / rate
    phase = 2 * np.pi * (145 * at + 8 * np.sin(2 * np.pi * 0.7 * at))
    buzz = sum(np.sin(number * phase) / number for number in range(1, 20))
    noise = np.random.default_rng(0).standard_normal(len(at))
    mixed = 0.1 * buzz * (np.sin(2 * np.pi * 0.4 * at) > 0) + 0.2 * (at % 1) * noise
    return mixed.astype(np.float32)


def pieces(audio: Float32, size: int) -> list[Float32]:
    """Cut a signal into whole pieces of so many samples; the rest is not used."""
    return [audio[start : start + size] for start in range(0, len(audio) - size + 1, size)]


def as_int16(audio: Float32) -> NDArray[np.int16]:
    return np.clip(np.rint(audio * 32767), -32768, 32767).astype(np.int16)
