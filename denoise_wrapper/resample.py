"""Streaming change of sampling rate by soxr: the same samples whatever the chunks, and able to be pickled."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]

QUALITY = "HQ"  # linear phase, flat to 0.45 of the lower rate, errors below -110 dB
PIECE = 4096  # frames handed to soxr at a time: given tens of thousands, it may hold back some that are ready
SPAN_S = 2  # seconds of input that one soxr stream takes before the next one follows


class Resampler:
    """Takes frames at one rate and gives them at another, in time with the input, as soon as soxr lets go of them.

    soxr cannot be copied. So that this can, the input is kept, and a fresh soxr stream takes over every SPAN_S
    seconds, warmed up on the last part of what the one before it heard; a copy is brought up to date by hearing
    what is kept. The takeovers happen at fixed places of the signal, and differ from no takeover by rounding alone.
    The number of frames given depends on nothing but the number taken.
    """

    def __init__(self, in_rate: int, out_rate: int, channels: int) -> None:
        self._in_rate, self._out_rate, self._channels = in_rate, out_rate, channels
        self._warm_up = warm_up(in_rate, out_rate)
        self._heard = np.zeros((self._warm_up + SPAN_S * in_rate, channels), np.float32)
        self._begin(0)

    def process(self, frames: Float32) -> Float32:
        """Take frames (n, channels) and give those that are ready, (m, channels)."""
        given = []
        while len(frames):
            if self._filled == len(self._heard):
                given.append(self._take_over())
            room = len(self._heard) - self._filled
            given.append(self._hear(frames[:room]))
            frames = frames[room:]
        return _joined(given, self._channels)

    def _begin(self, skip: int) -> None:
        """A fresh soxr stream, of which the first frames are skipped."""
        self._soxr = _soxr_stream(self._in_rate, self._out_rate, self._channels)
        self._filled = 0  # frames kept, of those it heard
        self._made = 0  # frames it gave, the skipped ones too
        self._skip = skip

    def _take_over(self) -> Float32:
        """Let a fresh soxr stream follow the present one; returns what it is ahead, if it is."""
        last = self._heard[-self._warm_up :].copy()
        self._begin(self._made - SPAN_S * self._out_rate)
        return self._hear(last)

    def _hear(self, frames: Float32) -> Float32:
        """Keep frames and pass them through soxr, as many as there is room for."""
        return _joined([self._give(frames[at : at + PIECE]) for at in range(0, len(frames), PIECE)], self._channels)

    def _give(self, frames: Float32) -> Float32:
        end = self._filled + len(frames)
        self._heard[self._filled : end] = frames
        self._filled = end
        ready: Float32 = self._soxr.resample_chunk(frames)
        self._made += len(ready)
        if self._skip:
            skipped = min(self._skip, len(ready))
            self._skip -= skipped
            ready = ready[skipped:]
        return ready

    def __getstate__(self) -> dict[str, Any]:
        rates = (self._in_rate, self._out_rate, self._channels)
        return {"rates": rates, "heard": self._heard[: self._filled].copy(), "skip": self._skip}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(*state["rates"])  # type: ignore[misc]
        heard = state["heard"]
        self._hear(heard)
        self._skip = state["skip"]


def _joined(parts: list[Float32], channels: int) -> Float32:
    if len(parts) == 1:
        return parts[0]
    return np.concatenate(parts) if parts else np.empty((0, channels), np.float32)


def _soxr_stream(in_rate: int, out_rate: int, channels: int) -> Any:
    import soxr

    return soxr.ResampleStream(in_rate, out_rate, channels, dtype="float32", quality=QUALITY)


@functools.lru_cache(maxsize=256)
def max_lag(in_rate: int, out_rate: int) -> float:
    """The most by which the frames given may be behind those taken, in seconds; at most 0.5 ms too much.

    Measured by sending silence in short steps through all that one soxr stream ever hears: until the lag shows its
    pattern, which settles how long the warm-up is, and then on to the end of the span.
    """
    soxr, step = _soxr_stream(in_rate, out_rate, 1), max(1, in_rate // 2000)
    silence = np.zeros(step, np.float32)
    taken, given, lag = 0, 0, 0.0
    while taken < SPAN_S * in_rate + _warm_up_for(lag, in_rate):
        # Just before the end of this step, only what came until its beginning has been given.
        taken += step
        lag = max(lag, taken / in_rate - given / out_rate)
        given += len(soxr.resample_chunk(silence))
    return lag


def warm_up(in_rate: int, out_rate: int) -> int:
    """Frames after which a fresh soxr stream gives what one that heard all would give."""
    return _warm_up_for(max_lag(in_rate, out_rate), in_rate)


def _warm_up_for(lag: float, in_rate: int) -> int:
    # Half of a filter is never longer than the lag; another lag for what is not yet given when the stream takes over.
    return math.ceil(3 * lag * in_rate)
