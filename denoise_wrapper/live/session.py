"""What happens between a microphone and an ear: cleaning, bypass, mute, and what is measured of it."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from denoise_wrapper.errors import DenoiseError

if TYPE_CHECKING:
    from denoise_wrapper.live.record import Recorder
    from denoise_wrapper.stream.stream import Stream

Float32 = NDArray[np.float32]
FADE_S = 0.02  # of bypass and mute
KEPT = 1 << 17  # times of blocks that are remembered: of 10 ms more than twenty minutes
FLOOR_DB = -99.0


@dataclass(frozen=True)
class Times:
    """Time that blocks took, in ms."""

    p50: float
    p99: float
    p999: float
    worst: float


class Session:
    """One live signal. `fill` is called by the sound device's thread, all else by another one.

    stream: cleans. recorder: gets both signals, or None. xruns: times that the device lost samples. error: what went
    wrong in a block, which was then silent; or None.
    """

    def __init__(self, stream: Stream, recorder: Recorder | None = None) -> None:
        self.stream, self.recorder = stream, recorder
        self.clean, self.muted = True, False
        self.blocks = self.xruns = self.frames = 0
        self.last = time.monotonic()  # when a block came
        self.error: DenoiseError | None = None
        self.wishes: deque[Callable[[Stream], object]] = deque()  # done between two blocks
        self._took = np.zeros(KEPT, np.float32)
        self._powers = np.full(2, 1e-12)
        self._share, self._open = 1.0, 1.0
        self._step = 1.0 / max(1, round(FADE_S * stream.sample_rate))
        self.speech = 0.0
        self._room(0)

    def _room(self, frames: int) -> None:
        """Buffers for blocks of so many frames, made before they are needed."""
        channels, latency = self.stream.channels, self.stream.latency
        history = getattr(self, "_history", np.zeros((latency, channels), np.float32))[:latency]
        self._history = np.concatenate([history, np.zeros((frames, channels), np.float32)])
        self._ramp = np.arange(1, frames + 1, dtype=np.float32) * np.float32(self._step)
        self._gain, self._mixed = np.empty((frames, 1), np.float32), np.empty((frames, channels), np.float32)

    def fill(self, heard: Float32, played: Float32 | None, lost: bool) -> None:
        """Clean a block, (frames, channels), into played, if anything plays. Raises nothing."""
        begin = time.perf_counter()
        self.xruns += lost
        try:
            if len(heard) != len(self._ramp):
                self._room(len(heard))
            while self.wishes:
                self.wishes.popleft()(self.stream)
            channels = self.stream.channels
            cleaned = self.stream.process(heard if channels > 1 else heard[:, 0]).reshape(-1, channels)
            if len(vad := self.stream.vad):
                self.speech = float(vad.max())
            dry = self._delayed(heard)
            if self.recorder is not None:
                self.recorder.put(heard, cleaned)
            if played is not None:
                self._mix(dry, cleaned, played)
            powers = np.array([np.vdot(heard, heard), np.vdot(cleaned, cleaned)]) / max(1, heard.size)
            self._powers += min(1.0, len(heard) / (0.3 * self.stream.sample_rate)) * (powers - self._powers)
            self.frames += len(heard)
        except Exception as error:  # which PortAudio would print, and end the stream
            self.error = error if isinstance(error, DenoiseError) else DenoiseError(f"a block failed: {error!r}")
            if played is not None:
                played[:] = 0.0
        self._took[self.blocks % KEPT] = time.perf_counter() - begin
        self.blocks += 1
        self.last = time.monotonic()

    def _delayed(self, heard: Float32) -> Float32:
        """The noisy signal in time with the clean one."""
        frames, latency = len(heard), self.stream.latency
        self._history[latency:] = heard
        self._mixed[:] = self._history[:frames]
        self._history[:latency] = self._history[frames:]
        return self._mixed

    def _mix(self, dry: Float32, cleaned: Float32, played: Float32) -> None:
        """Go over from one to the other, and to silence, without a click."""
        before, self._share = self._share, self._slope(self._share, float(self.clean))
        if before == self._share == 1.0:
            played[:] = cleaned
        else:
            np.subtract(cleaned, dry, out=played)
            played *= self._gain
            played += dry
        self._open = self._slope(self._open, float(not self.muted))
        played *= self._gain

    def _slope(self, now: float, wanted: float) -> float:
        """Fill the gains of this block, on the way from now to wanted; returns where they are at its end."""
        gain = self._gain[:, 0]
        if now == wanted or not len(gain):
            gain[:] = wanted
            return wanted
        np.multiply(self._ramp, 1.0 if wanted > now else -1.0, out=gain)
        gain += now
        np.clip(gain, 0.0, 1.0, out=gain)
        return float(gain[-1])

    @property
    def levels_db(self) -> tuple[float, float]:
        """Levels of what is heard and of what comes of it, dB of full scale, over the last third of a second."""
        before, after = (max(FLOOR_DB, 10.0 * float(np.log10(max(power, 1e-12)))) for power in self._powers)
        return before, after

    def times(self) -> Times:
        """Return the times of the blocks that are remembered."""
        took = 1e3 * self._took[: min(self.blocks, KEPT)]
        if not len(took):
            return Times(0.0, 0.0, 0.0, 0.0)
        p50, p99, p999 = (float(value) for value in np.quantile(took, (0.5, 0.99, 0.999)))
        return Times(p50, p99, p999, float(took.max()))
