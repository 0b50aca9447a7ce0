"""One gain for all channels of a signal, made of what any backend makes of each: the stereo image does not move.

In every bin of a short spectrum, the channels X_c and their cleaned versions Y_c give one complex gain,

    G = sum_c Y_c conj(X_c) / sum_c |X_c|^2,

which comes nearest, in least squares over the channels, to the cleaning of all of them. G X_c replaces Y_c. What is the
same to all channels moves no level and no phase between them. Sound from one place is x_c = a_c s, and for it G X_c is
Y_c itself, so nothing is lost that the backend made of it; and |G X| is never more than |Y|, so that no bin blows up.
The gain of the channels' mean would take one run of the backend instead of one for each channel, but the mean loses
what is in opposite phase, and hears speech of one channel in the noise of all; the least gain would cut off speech in
one channel wherever another has none.
"""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from denoise_wrapper.backends.base import (
    Backend,
    Float32,
    State,
    check_block,
    check_channels,
    process_together,
)

_LEAST = np.float32(1e-30)  # power of a bin below which there is nothing to be turned down


class LinkedBackend:
    """A backend whose channels share their gains. inner: the backend that cleans them, each for itself.

    It is a hop later than that one, as a gain is known when its window of two hops is whole.
    """

    def __init__(self, inner: Backend) -> None:
        self.inner = inner
        self.name, self.sample_rate, self.hop, self.has_vad = inner.name, inner.sample_rate, inner.hop, inner.has_vad
        self.delay = inner.delay + inner.hop
        phase = np.pi * np.arange(2 * inner.hop) / (2 * inner.hop)
        self.window = np.sin(phase).astype(np.float32)  # its square, twice, a hop apart, makes 1

    def new_state(self, channels: int) -> LinkedState:
        """Memory for one signal of so many channels, from silence."""
        return LinkedState(self, channels)

    def process_many(
        self, states: Sequence[LinkedState], blocks: Sequence[Float32], min_gain: float
    ) -> list[tuple[Float32, Float32]]:
        """Clean a block of as many hops with each state: see `base.Backend`."""
        made = process_together(self.inner, [state.inner for state in states], blocks, min_gain)
        return [state.link(block, *each) for state, block, each in zip(states, blocks, made, strict=True)]

    def __reduce__(self) -> tuple[Any, ...]:
        from denoise_wrapper.backends import restore_backend

        return restore_backend, ("linked", self.name, "", self.inner, {})

    def __copy__(self) -> LinkedBackend:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> LinkedBackend:
        return self

    def __repr__(self) -> str:
        return f"LinkedBackend({self.inner!r})"


class LinkedState:
    """The memory of one signal: that of the inner backend, and what is in windows that are not whole yet."""

    def __init__(self, backend: LinkedBackend, channels: int) -> None:
        self._backend, self._channels = backend, check_channels(channels)
        self.reset()

    def reset(self) -> None:
        """Go back to silence, as fresh."""
        backend, hop = self._backend, self._backend.hop
        self.inner: State = backend.inner.new_state(self._channels)
        # The original from where the windows of the cleaned one begin; the last cleaned hop; half a window to be added.
        self._memory = tuple(np.zeros((self._channels, size), np.float32) for size in (backend.delay, hop, hop))

    def process(self, block: Float32, min_gain: float = 0.0) -> tuple[Float32, Float32]:
        """Clean whole hops: see `base.State`."""
        check_block(block, self._channels, self._backend.hop)
        return self.link(block, *self.inner.process(block, min_gain))

    def link(self, block: Float32, cleaned: Float32, voice: Float32) -> tuple[Float32, Float32]:
        """Give the channels of a block one gain. cleaned, voice: what the inner backend made of it."""
        hop, size = self._backend.hop, block.shape[1]
        if size == 0:
            return cleaned, voice
        dry, before, pending = self._memory
        dry = np.concatenate([dry, block], axis=1)
        wet = np.concatenate([before, cleaned], axis=1)
        halves = self._windows(dry[:, : hop + size], wet)
        out = halves[:, :, :hop]
        out[:, 1:] += halves[:, :-1, hop:]
        out[:, 0] += pending
        self._memory = (dry[:, size:].copy(), wet[:, size:].copy(), halves[:, -1, hop:].copy())
        return np.ascontiguousarray(out).reshape(self._channels, size), voice

    def _windows(self, dry: Float32, wet: Float32) -> Float32:
        """Windows of the original under the common gains. dry, wet: (channels, (n + 1) * hop). (channels, n, 2 hops).

        Each number is made by the same sums and products whatever n: real and imaginary parts by themselves, channels
        one after another. NumPy's complex products and sums along an axis round by how many there are.
        """
        window, length = self._backend.window, 2 * self._backend.hop
        x = np.fft.rfft(_overlapping(dry, length) * window).astype(np.complex64)
        y = np.fft.rfft(_overlapping(wet, length) * window).astype(np.complex64)
        power, re, im = (np.zeros(x.shape[1:], np.float32) for _ in range(3))
        for a, b in zip(x, y, strict=True):
            power += a.real * a.real + a.imag * a.imag
            re += b.real * a.real + b.imag * a.imag
            im += b.imag * a.real - b.real * a.imag
        np.maximum(power, _LEAST, out=power)
        re /= power
        im /= power
        linked = np.empty_like(x)
        linked.real = x.real * re - x.imag * im
        linked.imag = x.real * im + x.imag * re
        made: Float32 = np.fft.irfft(linked, length).astype(np.float32) * window
        return made

    def restore(self, saved: tuple[Any, ...]) -> None:
        """Go on from there: what a pickle holds of it."""
        self.inner, *memory = saved
        self._memory = tuple(memory)

    def __reduce__(self) -> tuple[Any, ...]:
        from denoise_wrapper.backends import restore_state

        return restore_state, (self._backend, self._channels, (self.inner, *self._memory))


_known: weakref.WeakValueDictionary[int, LinkedBackend] = weakref.WeakValueDictionary()  # by their inner ones


def linked(backend: Backend) -> LinkedBackend:
    """Return the backend whose channels share their gains; the one of each that lives is shared."""
    if isinstance(backend, LinkedBackend):
        return backend
    there = _known.get(id(backend))  # which holds the inner one, so no other can have its number
    return _known.setdefault(id(backend), LinkedBackend(backend)) if there is None else there


def restored(inner: Backend, name: str) -> LinkedBackend:
    """Return what a pickle names. inner: the backend of one channel. name: what both go by."""
    return linked(inner)


def _overlapping(rows: Float32, length: int) -> Float32:
    """View (channels, (n + 1) * length / 2) as (channels, n, length)."""
    windows: Float32 = sliding_window_view(rows, length, axis=1)[:, :: length // 2]
    return windows
