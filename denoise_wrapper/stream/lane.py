"""One backend at one caller's rate: resample, gather hops, clean, resample back, in time with the input."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from denoise_wrapper.backends.base import Backend, State
from denoise_wrapper.errors import ConfigError
from denoise_wrapper.stream.gate import Gate
from denoise_wrapper.stream.resample import Resampler, max_lag
from denoise_wrapper.stream.settings import Settings

if TYPE_CHECKING:
    from denoise_wrapper.files.watch import Watch

Float32 = NDArray[np.float32]
Cleaned = tuple[Float32, Float32]  # (channels, n * hop) samples and (channels, n) probabilities of speech


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

    voice: probabilities (channels, hops) of the hops that were completed last.
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

    @property
    def work(self) -> tuple[Backend, float]:
        """The backend, and the least gain that it is told."""
        return self._backend, self._min_gain

    @property
    def state(self) -> State:
        """The memory of the backend."""
        return self._state

    def takes_hops(self, count: int) -> bool:
        """Whether the work of the backend is all there is to do with count frames: whole hops at its rate, no gate."""
        return self._whole and count > 0 == count % self._hop and not self._filled and not self._skip

    def clean(self, block: Float32 | None) -> Cleaned | None:
        """What the backend makes of a block (channels, n * hop): that and the voice."""
        return None if block is None else self._state.process(block, self._min_gain)

    def gather(self, frames: Float32) -> Float32 | None:
        """Take frames (n, channels): the hops that are whole with them, (channels, m * hop), to be cleaned and given
        to `finish`; None if there is none. The rest waits."""
        if self._to_backend is not None:
            frames = self._to_backend.process(frames)
        count, hop, filled = len(frames), self._hop, self._filled
        hops, rest = divmod(filled + count, hop)
        used = count - rest  # frames of whole hops
        block = None
        if hops:
            if filled:
                block = np.empty((self.channels, hops * hop), np.float32)
                block[:, :filled] = self._waiting[:, :filled]
                block[:, filled:] = frames[:used].T
            elif self.channels == 1:
                block = frames[:used].reshape(1, -1)
            else:
                block = np.ascontiguousarray(frames[:used].T)
            self._waiting[:, :rest] = frames[used:].T
        else:
            self._waiting[:, filled:rest] = frames.T
        self._filled = rest
        return block

    def finish(self, done: Cleaned | None) -> Float32:
        """The frames (m, channels) that are ready, of a block as it was cleaned: gated, at the caller's rate, and
        without what is before the beginning of the signal; the voice is noted."""
        if done is None:
            self.voice = self.voice[:, :0]
            return np.empty((0, self.channels), np.float32)
        block, self.voice = done
        if self._gate is not None:
            self._gate.mute(block, self.voice)
        skip = min(self._skip, block.shape[1])
        self._skip -= skip
        ready = (block[:, skip:] if skip else block).T
        return ready if self._to_caller is None else self._to_caller.process(ready)


def make_gate(backend: Backend, settings: Settings) -> Gate | None:
    """The gate that settings ask for. Raises ConfigError if the backend tells no speech."""
    if settings.vad_threshold is None:
        return None
    if not backend.has_vad:
        raise ConfigError(f"{backend.name} tells no probability of speech; leave vad_threshold away, or use rnnoise")
    return Gate.of(settings.vad_threshold, settings.vad_hold, backend)
