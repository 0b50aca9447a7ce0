"""Two versions of one recording, played at the same instant, of which one is heard."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]
FADE_S = 0.02  # in which one goes over into the other: no click, no gap


class Deck:
    """Plays one of several versions of a clip and fades over to another when asked, without a jump in time.

    versions: float32 (frames, channels) each, all of one shape. rate: Hz.
    One thread reads, another one may switch: each changes one number.
    """

    def __init__(self, versions: list[Float32], rate: int) -> None:
        self.versions, self.rate = versions, rate
        self.position = 0  # frames played
        self.wanted = 0  # the version that is asked for
        self._gains = np.array([1.0] + [0.0] * (len(versions) - 1), np.float32)

    @property
    def done(self) -> bool:
        """True once all has been played."""
        return self.position >= len(self.versions[0])

    def switch(self) -> int:
        """Ask for the next version, and return its number."""
        self.wanted = (self.wanted + 1) % len(self.versions)
        return self.wanted

    def seek(self, seconds: float) -> None:
        """Go forward, or back for less than 0."""
        self.position = int(np.clip(self.position + round(seconds * self.rate), 0, len(self.versions[0])))

    def read(self, frames: int) -> Float32:
        """Return the next frames, silence behind the end: float32 (frames, channels)."""
        start, step = self.position, np.float32(1.0 / max(1, round(FADE_S * self.rate)))
        self.position = min(start + frames, len(self.versions[0]))
        out = np.zeros((frames, self.versions[0].shape[1]), np.float32)
        ramp = np.arange(1, frames + 1, dtype=np.float32) * step
        for number, version in enumerate(self.versions):
            gain = self._gains[number]
            gains = np.minimum(gain + ramp, 1.0) if number == self.wanted else np.maximum(gain - ramp, 0.0)
            self._gains[number] = gains[-1] if frames else gain
            part = version[start : self.position]
            out[: len(part)] += gains[: len(part), None] * part
        return out
