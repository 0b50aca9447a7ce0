"""The voice gate: closes where the network hears no speech."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from denoise_wrapper._native import ffi, lib
from denoise_wrapper.backends.base import Backend
from denoise_wrapper.errors import ConfigError
from denoise_wrapper.stream.settings import Settings

Float32 = NDArray[np.float32]


class Gate:
    """Open from the first hop that holds speech, on any channel, until some hops after the last one.

    threshold: 0 to 1, the probability from which a hop is speech; may be changed. hold: hops for which it stays open
    after speech. memory: the dn_gate, which the engine moves on; a lane
    has a copy of its own.
    """

    def __init__(self, threshold: float, hold: int) -> None:
        self.memory = ffi.new("dn_gate *", {"threshold": threshold, "hold": hold, "since": hold + 1, "gain": 0})

    @classmethod
    def of(cls, threshold: float, hold_s: float, backend: Backend) -> Gate:
        """Make a gate that stays open for at least hold_s seconds after the last speech came out of a backend."""
        hold = hold_s * backend.sample_rate + backend.delay
        return cls(threshold, math.ceil(round(hold / backend.hop, 6)))

    @property
    def threshold(self) -> float:
        """Probability from which a hop is speech, 0 to 1."""
        probability: float = self.memory.threshold
        return probability

    @threshold.setter
    def threshold(self, probability: float) -> None:
        self.memory.threshold = probability

    def follow(self, before: Any, hops_per_hop: float) -> None:
        """Take over how open another gate is. before: its dn_gate. hops_per_hop: the length of its hops in ours."""
        self.memory.since = min(round(before.since * hops_per_hop), self.memory.hold + 1)
        self.memory.gain = before.gain

    def open(self, voice: Float32) -> NDArray[np.bool_]:
        """Tell for each hop if the gate is open, and move on. voice: float32 (channels, hops), probabilities."""
        voice = np.ascontiguousarray(voice, np.float32)
        gains = np.empty(voice.shape[1], np.float32)
        source, target = ffi.from_buffer("float[]", voice), ffi.from_buffer("float[]", gains)
        lib.dn_gate_run(self.memory, source, *voice.shape, target)
        return gains.astype(np.bool_)

    def __getstate__(self) -> dict[str, float]:
        return {name: getattr(self.memory, name) for name in ("threshold", "hold", "since", "gain")}

    def __setstate__(self, saved: dict[str, float]) -> None:
        self.memory = ffi.new("dn_gate *", saved)


def make_gate(backend: Backend, settings: Settings) -> Gate | None:
    """Make the gate that settings ask for. Raises ConfigError if the backend gives no probability of speech."""
    if settings.vad_threshold is None:
        return None
    if not backend.has_vad:
        raise ConfigError(f"{backend.name} gives no probability of speech; leave vad_threshold out, or use rnnoise")
    return Gate.of(settings.vad_threshold, settings.vad_hold, backend)


class Cutter:
    """Cuts the frames out of a clip for which the gate is closed.

    What it cuts is what a stream with that gate silences: a frame goes by the hop whose cleaned samples it comes from.
    sample_rate: Hz, of the frames. position: of the first frame to come, below zero if they are late; what is before
    the beginning is cut out.
    """

    def __init__(self, gate: Gate, backend: Backend, sample_rate: int, position: int = 0) -> None:
        self._gate = gate
        self._delay, self._hop, self._ratio = backend.delay, backend.hop, backend.sample_rate / sample_rate
        self._open = np.zeros(0, np.bool_)  # of the hops from self._first on
        self._first = 0
        self._position = position

    def cut(self, frames: NDArray[Any], voice: Float32) -> NDArray[Any]:
        """Keep, of frames that follow those before, what the gate lets through.

        voice: float32 (channels, hops), the probabilities of the hops that were completed since the last call.
        """
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
