"""Speech made by formula, for tests that need something to keep and something to remove."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from denoise_wrapper.backends.native import FRAME

Float32 = NDArray[np.float32]


def speechlike(frames: int) -> Float32:
    """Vowels of a gliding pitch, with pauses, in noise, and a stretch of silence."""
    rng = np.random.default_rng(3)
    t = np.arange(frames * FRAME) / 48000
    phase = 2 * np.pi * np.cumsum(130 + 50 * np.sin(2 * np.pi * 0.7 * t)) / 48000
    tone = sum(np.cos(k * phase) / k * np.exp(-(((k * 140 - 600) / 900) ** 2)) for k in range(1, 25))
    speech = 0.25 * tone * (np.sin(2 * np.pi * 2.3 * t) > -0.3) + 0.02 * rng.standard_normal(len(t))
    return (speech * (abs(t - 1.1) > 0.2)).astype(np.float32)
