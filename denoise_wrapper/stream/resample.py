"""Change of sampling rate: the same samples whatever the chunks, in time with the input, able to be pickled.

The filter is in the engine. It is linear phase, flat to 0.45 of the lower rate and 100 dB down at half of it, like
soxr's "HQ"; but each frame is given as soon as the 64 periods of the lower rate after it are there, where soxr, which
works by Fourier transform, holds back 20 to 180 ms.
"""

from __future__ import annotations

import functools
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from denoise_wrapper._native import ffi, lib
from denoise_wrapper.errors import AudioError

Float32 = NDArray[np.float32]


class Resampler:
    """Takes frames at one rate and gives them at another, in time with the input, as soon as they can be told.

    After n frames taken, ceil((n - reach) * out_rate / in_rate) are given, and so those up to `max_lag` before.
    """

    def __init__(self, in_rate: int, out_rate: int, channels: int) -> None:
        self._rates = (in_rate, out_rate)
        reach = _reach(in_rate, out_rate)
        self._kept = np.zeros((channels, reach), np.float32)  # of the input: what frames to come are made of
        self._start = -reach  # number of the first frame kept; before the beginning there is silence
        self._next = 0  # number of the next frame to give

    def process(self, frames: Float32) -> Float32:
        """Take frames (n, channels), any n, and give those that are ready, (m, channels)."""
        (in_rate, out_rate), reach = self._rates, _reach(*self._rates)
        taken = np.concatenate([self._kept, frames.T], axis=1)
        ready = -(-(self._start + taken.shape[1] - reach) * out_rate // in_rate)
        given = np.empty((len(taken), max(0, ready - self._next)), np.float32)
        _resample(_ratio(in_rate, out_rate), taken, self._start, given, self._next)
        self._next += given.shape[1]
        first = self._next * in_rate // out_rate - reach + 1
        self._kept = taken[:, first - self._start :].copy()
        self._start = first
        return given.T


def resample(frames: Float32, in_rate: int, out_rate: int) -> Float32:
    """A whole clip (n, channels) at another rate: (ceil(n * out_rate / in_rate), channels)."""
    count = -(-len(frames) * out_rate // in_rate)
    resampler = Resampler(in_rate, out_rate, frames.shape[1])
    rest = np.zeros((_reach(in_rate, out_rate) + 1, frames.shape[1]), np.float32)
    return np.concatenate([resampler.process(frames), resampler.process(rest)])[:count]


def max_lag(in_rate: int, out_rate: int) -> Fraction:
    """The most by which the frames given are behind those taken, in seconds."""
    return Fraction(_reach(in_rate, out_rate), in_rate)


def _resample(ratio: Any, taken: Float32, start: int, given: Float32, first: int) -> None:
    """Make output frames number first and on, (channels, m), of input frames number start and on, (channels, n)."""
    for source, target in zip(taken, given, strict=True):
        samples, room = ffi.from_buffer("float[]", source), ffi.from_buffer("float[]", target)
        status = lib.dn_resample(ratio, samples, start, len(source), room, first, len(target))
        assert status == lib.DN_OK, f"dn_resample answered {status}"


@functools.lru_cache(maxsize=256)
def _reach(in_rate: int, out_rate: int) -> int:
    """Frames at in_rate, before and after its own place, that a frame at out_rate is made of."""
    reach: int = lib.dn_ratio_reach(_ratio(in_rate, out_rate))
    return reach


@functools.lru_cache(maxsize=64)
def _ratio(in_rate: int, out_rate: int) -> Any:
    """The filters that lead from one rate to another, shared by all streams."""
    out = ffi.new("dn_ratio **")
    status = lib.dn_ratio_create(in_rate, out_rate, out)
    if status == lib.DN_NO_MEMORY:
        raise MemoryError(f"no memory for the filters from {in_rate} to {out_rate} Hz")
    if status != lib.DN_OK:
        raise AudioError(f"{in_rate} Hz cannot be resampled to {out_rate} Hz; they may be 1000 times apart at most")
    return ffi.gc(out[0], lib.dn_ratio_destroy)
