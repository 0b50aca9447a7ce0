"""Streams through a library that keeps their memory to itself: made and thrown away, never copied or pickled."""

from __future__ import annotations

from typing import Any, NoReturn, Protocol

import numpy as np

from denoise_wrapper.backends.base import Float32, check_block, check_channels, refuse_bad_sample
from denoise_wrapper.errors import DenoiseError


class OpaqueBackend(Protocol):
    """A backend whose library makes the memory of one channel, and cleans hops with it."""

    name: str
    hop: int
    delay: int
    loudest: float  # greatest sample that it takes, full scale being 1
    instead: str  # advice to those who want copies

    def new_memory(self) -> Any:
        """Memory of one channel from silence, which frees itself."""
        ...

    def clean_channel(self, memory: Any, samples: Float32, voice: Float32) -> None:
        """Clean the hops of one channel in place.

        samples: float32 (n * hop,), full scale +-1. voice: float32 (n,), for the speech probabilities; zeros.
        """
        ...


class OpaqueState:
    """The memory of one signal in a library. delay: in place of the backend's."""

    def __init__(self, backend: OpaqueBackend, channels: int, delay: int | None = None) -> None:
        self._backend, self._channels = backend, check_channels(channels)
        self._delay = backend.delay if delay is None else delay
        self.reset()

    def reset(self) -> None:
        """Go back to silence, as fresh."""
        self._memories = [self._backend.new_memory() for _ in range(self._channels)]
        self._dry = np.zeros((self._channels, self._delay), np.float32)

    def process(self, block: Float32, min_gain: float = 0.0) -> tuple[Float32, Float32]:
        """Clean whole hops: see `base.State`. The late original is mixed in where the library has no least gain."""
        hops, (channels, samples) = check_block(block, self._channels, self._backend.hop), block.shape
        if not np.abs(block).max(initial=0.0) <= self._backend.loudest:
            refuse_bad_sample(block, self._backend.loudest)
        cleaned = block.copy()
        voice = np.zeros((channels, hops), np.float32)
        for channel, memory in enumerate(self._memories):
            self._backend.clean_channel(memory, cleaned[channel], voice[channel])
        dry = np.concatenate([self._dry, block], axis=1)
        self._dry = dry[:, samples:].copy()
        if min_gain > 0:
            cleaned *= np.float32(1 - min_gain)
            cleaned += dry[:, :samples] * np.float32(min_gain)
        return cleaned, voice

    def __reduce__(self) -> NoReturn:
        raise DenoiseError(
            f"a stream through {self._backend.name} cannot be copied or pickled, as its library keeps the memory to "
            f"itself; {self._backend.instead}"
        )
