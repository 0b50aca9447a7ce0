"""Backends made for testing: their answers are known, and their rates, hops and delays are unlike."""

from __future__ import annotations

import os
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from denoise_wrapper.errors import AudioError

Float32 = NDArray[np.float32]


@dataclass(frozen=True)
class FakeBackend:
    """A backend whose answers are known: it delays, and turns down by a gain that depends on the level so far.

    gain: the gain of quiet hops. Loud ones (RMS over 0.05) pass, and count as speech.
    memory: 0 to 1, how slowly the level is followed, so that the state matters.
    """

    name: str = "fake"
    sample_rate: int = 48000
    hop: int = 480
    delay: int = 480
    has_vad: bool = True
    gain: float = 0.25
    memory: float = 0.0

    def new_state(self, channels: int) -> FakeState:
        return FakeState(self, channels)


class FakeState:
    def __init__(self, backend: FakeBackend, channels: int) -> None:
        self.backend, self.channels = backend, channels
        self.reset()

    def reset(self) -> None:
        self.late = np.zeros((self.channels, self.backend.delay), np.float32)
        self.level = np.zeros(self.channels, np.float32)

    def process(self, block: Float32, min_gain: float = 0.0) -> tuple[Float32, Float32]:
        assert block.dtype == np.float32
        assert block.flags.c_contiguous
        channels, count = block.shape
        hop = self.backend.hop
        assert channels == self.channels
        assert count % hop == 0
        if not np.isfinite(block).all():
            raise AudioError("not finite")
        voice = np.zeros((channels, count // hop), np.float32)
        gains = np.zeros_like(block)
        for index in range(count // hop):
            part = block[:, index * hop : (index + 1) * hop]
            level = np.sqrt(np.mean(part * part, axis=1))
            self.level = np.float32(self.backend.memory) * self.level + np.float32(1 - self.backend.memory) * level
            voice[:, index] = np.minimum(1, self.level * 10)
            gain = np.where(self.level > 0.05, 1.0, self.backend.gain)
            gains[:, index * hop : (index + 1) * hop] = np.maximum(gain, min_gain)[:, None]
        line = np.concatenate([self.late, block * gains], axis=1)
        self.late = line[:, count:].copy()
        return np.ascontiguousarray(line[:, :count]), voice


@dataclass(frozen=True)
class Faulty(FakeBackend):
    """A backend that fails: it raises, gives back what is no number, or ends the process."""

    how: str = "raise"

    def new_state(self, channels: int) -> FakeState:
        return FaultyState(self, channels)


class FaultyState(FakeState):
    def process(self, block: Float32, min_gain: float = 0.0) -> tuple[Float32, Float32]:
        cleaned, voice = super().process(block, min_gain)
        assert isinstance(self.backend, Faulty)
        if self.backend.how == "raise":
            raise RuntimeError("the network is upside down")
        if self.backend.how == "crash":
            os.abort()
        cleaned[:, 5] = np.nan
        return cleaned, voice


FAKES = (
    FakeBackend("fake-48k", memory=0.5),
    FakeBackend("fake-16k", sample_rate=16000, hop=128, delay=384, has_vad=False, memory=0.9),
    FakeBackend("fake-odd", sample_rate=32000, hop=250, delay=77, memory=0.5),
    FakeBackend("fake-prompt", hop=160, delay=0, memory=0.5),
)
