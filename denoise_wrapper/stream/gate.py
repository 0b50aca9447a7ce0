"""The voice gate: closes where the network hears no speech."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from denoise_wrapper.backends.base import Backend

Float32 = NDArray[np.float32]


class Gate:
    """Open from the first hop that holds speech, on any channel, until some hops after the last one.

    threshold: 0 to 1, the probability from which a hop is speech; may be changed. hold: hops for which it stays open
    after speech.
    """

    def __init__(self, threshold: float, hold: int) -> None:
        self.threshold, self._hold = threshold, hold
        self._since = hold + 1  # hops since the last one with speech
        self._gain = np.float32(0)  # of the last hop

    @classmethod
    def of(cls, threshold: float, hold_s: float, backend: Backend) -> Gate:
        """A gate that stays open for at least hold_s seconds after the last speech came out of a backend."""
        hold = hold_s * backend.sample_rate + backend.delay
        return cls(threshold, math.ceil(round(hold / backend.hop, 6)))

    def go_on_from(self, before: Gate, hops_per_hop: float) -> None:
        """Be as open as another gate is, whose hops are so many of this one's long."""
        self._since = min(round(before._since * hops_per_hop), self._hold + 1)
        self._gain = before._gain

    def open(self, voice: Float32) -> NDArray[np.bool_]:
        """Whether it is open in each hop. voice: probabilities (channels, hops)."""
        hops = voice.shape[1]
        index = np.arange(hops)
        speech = voice.max(axis=0, initial=0) >= self.threshold
        last = np.maximum.accumulate(np.where(speech, index, -1 - self._since))
        since: NDArray[np.int64] = index - last
        if hops:
            self._since = min(int(since[-1]), self._hold + 1)
        return since <= self._hold

    def mute(self, block: Float32, voice: Float32) -> None:
        """Fade the hops where it is closed to silence, in place; opening and closing take one hop.

        block: (channels, hops * hop), as it comes from the backend: late by the backend's delay, so that the gate
        opens that much before the speech that opened it. voice: probabilities (channels, hops).
        """
        gains = np.empty(voice.shape[1] + 1, np.float32)
        gains[0] = self._gain
        gains[1:] = self.open(voice)
        self._gain = gains[-1]
        if gains.all():
            return
        hop = block.shape[1] // max(1, voice.shape[1])
        ramp = np.arange(1, hop + 1, dtype=np.float32) / np.float32(hop)
        steps = gains[:-1, None] + (gains[1:] - gains[:-1])[:, None] * ramp
        block *= steps.reshape(-1)


class Cutter:
    """Cuts the frames out of a clip for which the gate is closed.

    What it cuts is what Gate.mute silences: a frame goes by the hop whose cleaned samples it comes from.
    sample_rate: Hz, of the frames. position: of the first frame to come, below
    zero if they are late; what is before the beginning is cut out.
    """

    def __init__(self, gate: Gate, backend: Backend, sample_rate: int, position: int = 0) -> None:
        self._gate = gate
        self._delay, self._hop, self._ratio = backend.delay, backend.hop, backend.sample_rate / sample_rate
        self._open = np.zeros(0, np.bool_)  # of the hops from self._first on
        self._first = 0
        self._position = position

    def cut(self, frames: NDArray[Any], voice: Float32) -> NDArray[Any]:
        """The frames to keep, of those that follow the ones before. voice: probabilities of the hops heard since."""
        self._open = np.concatenate([self._open, self._gate.open(voice)])
        at = np.arange(self._position, self._position + len(frames))
        begun = at >= 0
        hops = ((at[begun] * self._ratio + self._delay) // self._hop).astype(np.int64) - self._first
        self._position += len(frames)
        kept: NDArray[Any] = frames[begun][self._open[hops]]
        if len(hops):
            self._first += int(hops[-1])
            self._open = self._open[hops[-1] :]
        return kept
