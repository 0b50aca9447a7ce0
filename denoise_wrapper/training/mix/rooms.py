"""Rooms: what they do to a voice, and the part of it that a denoiser should keep."""

from __future__ import annotations

import numpy as np
import scipy.signal
from numpy.typing import NDArray

Float32 = NDArray[np.float32]


def simulate_room(rng: np.random.Generator, rate: int) -> Float32:
    """A made-up impulse response, direct sound first and 1: early echoes, then noise that decays.

    The reverberation time is 0.15 to 0.8 s, shorter at high frequencies, and the direct sound -2 to 14 dB above the
    rest. float32 (n,).
    """
    decay_s = rng.uniform(0.15, 0.8)
    length = int(decay_s * 0.8 * rate)
    time = np.arange(length, dtype=np.float32) / rate
    late = rng.standard_normal(length, np.float32) * np.exp(-6.9 * time / decay_s)
    dull = scipy.signal.lfilter([0.4], [1.0, -0.6], late)
    bright = np.exp(-6.9 * time / (decay_s * rng.uniform(0.3, 0.8)))
    tail = (dull + (late - dull) * bright).astype(np.float32)
    start = int(rng.uniform(0.002, 0.015) * rate)
    tail[:start] = 0.0
    for _ in range(int(rng.integers(3, 12))):  # walls, floor, ceiling
        delay_s = rng.uniform(0.001, 0.03)
        tail[min(int(delay_s * rate), length - 1)] += rng.choice((-1.0, 1.0)) * 10.0 * np.exp(-delay_s / 0.02)
    direct_db = rng.uniform(-2.0, 14.0)
    tail *= 10.0 ** (-direct_db / 20.0) / max(float(np.sqrt(np.sum(tail**2))), 1e-6)
    tail[0] = 1.0
    return tail


def early_part(response: Float32, rate: int, early_ms: float) -> Float32:
    """The direct sound and the reflections within early_ms, faded out over 10 ms more."""
    keep, fade = int(early_ms * rate / 1000.0), rate // 100
    early = response[: keep + fade].copy()
    ramp = np.linspace(1.0, 0.0, fade, endpoint=False, dtype=np.float32)
    early[keep:] *= ramp[: max(0, len(early) - keep)]
    return early
