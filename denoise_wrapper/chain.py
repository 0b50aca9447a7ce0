"""One backend at one caller's rate: resample, gather hops, clean, resample back, in time with the input."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from denoise_wrapper.backends.base import Backend
from denoise_wrapper.errors import ConfigError
from denoise_wrapper.gate import Gate
from denoise_wrapper.resample import Resampler, max_lag
from denoise_wrapper.settings import Settings

if TYPE_CHECKING:
    from denoise_wrapper.watch import Watch

Float32 = NDArray[np.float32]


def chain_latency(backend: Backend, sample_rate: int) -> int:
    """The least latency, in frames at sample_rate, with which a chain of this backend never runs dry.

    After n frames the chain has given, in seconds, at least n minus the lag of the resampler in, minus up to hop - 1
    samples that wait for their hop to be whole, minus the backend's delay, minus the lag of the resampler out.
    """
    late = backend.delay + backend.hop - 1
    if sample_rate == backend.sample_rate:
        return late
    lag = max_lag(sample_rate, backend.sample_rate) + max_lag(backend.sample_rate, sample_rate)
    return math.ceil((lag + Fraction(late, backend.sample_rate)) * sample_rate)


class Chain:
    """Takes frames and gives them cleaned and aligned: the n-th frame given belongs to the n-th taken.

    voice: probabilities (channels, hops) of the hops that the last push completed.
    """

    def __init__(self, backend: Backend, sample_rate: int, channels: int, settings: Settings) -> None:
        self.channels = channels
        self.voice: Float32 = np.zeros((channels, 0), np.float32)
        self._backend = backend
        self._state = backend.new_state(channels)
        self._min_gain = settings.min_gain
        self._gate = make_gate(backend, settings) if settings.vad_gate == "mute" else None
        self._hop = backend.hop
        self._waiting = np.zeros((channels, backend.hop), np.float32)  # the beginning of a hop
        self._filled = 0  # samples of it
        self._skip = backend.delay  # of the samples to come, those before the beginning of the signal
        own = sample_rate == backend.sample_rate
        self._to_backend = None if own else Resampler(sample_rate, backend.sample_rate, channels)
        self._to_caller = None if own else Resampler(backend.sample_rate, sample_rate, channels)
        self._whole = own and self._gate is None

    def go_on_from(self, before: Chain) -> None:
        """Hold the gate open as another chain does that hears the same signal."""
        if self._gate is not None and before._gate is not None:
            old, new = before._backend, self._backend
            self._gate.go_on_from(before._gate, old.hop * new.sample_rate / (new.hop * old.sample_rate))

    def watched(self, watch: Watch) -> None:
        """Let watch tell from now on what time the backend and the changes of rate take."""
        self._state = watch.timed("denoising", self._state)
        if self._to_backend is not None:
            self._to_backend = watch.timed("resampling", self._to_backend)
            self._to_caller = watch.timed("resampling", self._to_caller)

    def takes_hops(self, count: int) -> bool:
        """Whether `clean_whole` is all there is to do with count frames: whole hops at the backend's rate, no gate."""
        return self._whole and count > 0 == count % self._hop and not self._filled and not self._skip

    def clean_whole(self, block: Float32) -> Float32:
        """What `push` does, without its work, for a block (channels, n * hop) if `takes_hops`: the same, cleaned."""
        cleaned, self.voice = self._state.process(block, self._min_gain)
        return cleaned

    def push(self, frames: Float32) -> list[Float32]:
        """Take frames (n, channels), and give those that are ready, in pieces (m, channels)."""
        if self._to_backend is not None:
            frames = self._to_backend.process(frames)
        cleaned = self._clean_hops(frames)
        if self._to_caller is not None:
            return [self._to_caller.process(piece) for piece in cleaned]
        return cleaned

    def _clean_hops(self, frames: Float32) -> list[Float32]:
        """Clean the hops that are whole with these frames; the rest waits."""
        count, hop, filled = len(frames), self._hop, self._filled
        done: list[tuple[Float32, Float32]] = []
        start = 0
        if filled:
            start = min(hop - filled, count)
            self._waiting[:, filled : filled + start] = frames[:start].T
            self._filled = filled = filled + start
            if filled == hop:
                done.append(self._state.process(self._waiting, self._min_gain))
                self._filled = 0
        stop = start + (count - start) // hop * hop
        if stop > start:
            whole = frames[start:stop]
            block = whole.reshape(1, -1) if self.channels == 1 else np.ascontiguousarray(whole.T)
            done.append(self._state.process(block, self._min_gain))
        if stop < count:
            self._waiting[:, : count - stop] = frames[stop:].T
            self._filled = count - stop
        return self._finish(done)

    def _finish(self, done: list[tuple[Float32, Float32]]) -> list[Float32]:
        """Note the voice, gate the blocks, and cut off what is before the beginning of the signal."""
        if len(done) == 1:
            self.voice = done[0][1]
        else:
            self.voice = np.concatenate([voice for _, voice in done], axis=1) if done else self.voice[:, :0]
        pieces = []
        for block, voice in done:
            if self._gate is not None:
                self._gate.mute(block, voice)
            skip = min(self._skip, block.shape[1])
            self._skip -= skip
            pieces.append((block[:, skip:] if skip else block).T)
        return pieces


def make_gate(backend: Backend, settings: Settings) -> Gate | None:
    """The gate that settings ask for. Raises ConfigError if the backend tells no speech."""
    if settings.vad_threshold is None:
        return None
    if not backend.has_vad:
        raise ConfigError(f"{backend.name} tells no probability of speech; leave vad_threshold away, or use rnnoise")
    return Gate.of(settings.vad_threshold, settings.vad_hold, backend)
