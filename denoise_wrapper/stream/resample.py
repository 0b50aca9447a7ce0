"""Change of sampling rate: the filters, shared by all lanes; and whole clips.

The filter is in the engine. It is linear phase, flat to 0.45 of the lower rate and 100 dB down at half of it, like
soxr's "HQ"; but each frame comes out as soon as the 64 periods of the lower rate after it are there, where soxr, which
works by Fourier transform, holds back 20 to 180 ms.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from denoise_wrapper._native import ffi, lib
from denoise_wrapper.errors import AudioError

Float32 = NDArray[np.float32]


def resample(frames: Float32, in_rate: int, out_rate: int) -> Float32:
    """Bring a whole clip (n, channels) to another rate: (ceil(n * out_rate / in_rate), channels), in time with it."""
    ratio = ratio_of(in_rate, out_rate)
    reach = lib.dn_ratio_reach(ratio)
    line = np.zeros((frames.shape[1], reach + len(frames) + reach + 1), np.float32)  # silence before and after
    line[:, reach : reach + len(frames)] = frames.T
    resampled = np.empty((len(line), -(-len(frames) * out_rate // in_rate)), np.float32)
    for source, target in zip(line, resampled, strict=True):
        samples, room = ffi.from_buffer("float[]", source), ffi.from_buffer("float[]", target)
        status = lib.dn_resample(ratio, samples, -reach, len(source), room, 0, len(target))
        assert status == lib.DN_OK, f"dn_resample answered {status}"
    return resampled.T


class Resampler:
    """A change of rate for a signal that comes in chunks: as if it were one, and late by a constant.

    latency: frames of the new rate by which what comes out is late.
    """

    def __init__(self, in_rate: int, out_rate: int, channels: int) -> None:
        self._rates, self._ratio = (in_rate, out_rate), ratio_of(in_rate, out_rate)
        self._reach = int(lib.dn_ratio_reach(self._ratio))
        self.latency = -(-(self._reach + 1) * out_rate // in_rate)
        self._taken = 0  # frames that came, in all
        # The frames that are still needed, after a silence that the first outputs are made of.
        self._line = np.zeros((channels, 2 * (self._reach + 1 + -(-in_rate // out_rate))), np.float32)

    def process(self, frames: Float32) -> Float32:
        """Resample the next frames (n, channels): the share of the new rate that is due by then, (m, channels)."""
        in_rate, out_rate = self._rates
        line = np.ascontiguousarray(np.concatenate([self._line, frames.T], axis=1))
        taken = self._taken + len(frames)
        first, end = self._taken * out_rate // in_rate, taken * out_rate // in_rate
        resampled = np.empty((len(line), end - first), np.float32)
        # Some seconds of silence before the signal, so that the engine's numbers of outputs are not below zero.
        ahead = -(-self.latency // out_rate)
        start = taken - line.shape[1] + ahead * in_rate
        for source, target in zip(line, resampled, strict=True):
            samples, room = ffi.from_buffer("float[]", source), ffi.from_buffer("float[]", target)
            begin = first - self.latency + ahead * out_rate
            status = lib.dn_resample(self._ratio, samples, start, len(source), room, begin, len(target))
            assert status == lib.DN_OK, f"dn_resample answered {status}"
        self._line, self._taken = line[:, -self._line.shape[1] :], taken
        return resampled.T


def max_lag(in_rate: int, out_rate: int) -> int:
    """Return the most by which the resampled frames are behind those that came, in frames at in_rate."""
    return int(lib.dn_ratio_reach(ratio_of(in_rate, out_rate)))


@functools.lru_cache(maxsize=64)
def ratio_of(in_rate: int, out_rate: int) -> Any:
    """Return the filters that lead from one rate to another, a dn_ratio that all streams share.

    Raises AudioError for rates too far apart.
    """
    out = ffi.new("dn_ratio **")
    status = lib.dn_ratio_create(in_rate, out_rate, out)
    if status == lib.DN_NO_MEMORY:
        raise MemoryError(f"no memory for the filters from {in_rate} to {out_rate} Hz")
    if status != lib.DN_OK:
        raise AudioError(f"{in_rate} Hz cannot be resampled to {out_rate} Hz; they may be 1000 times apart at most")
    return ffi.gc(out[0], lib.dn_ratio_destroy)
