"""The mean of what backends make of a signal: their errors are unlike, and average out where the speech does not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from denoise_wrapper.backends.base import (
    Float32,
    Loaded,
    State,
    check_block,
    check_channels,
    process_together,
    remember,
)
from denoise_wrapper.backends.engine import ModelSource

MEMBERS = ("rnnoise", "enhancer")


class EnsembleBackend(Loaded):
    """The mean of rnnoise and an enhancer, 48 kHz, hops of 10 ms, as late as the later of them.

    Immutable, shared by threads and streams. The probability of speech is the mean of theirs.

    model: path or bytes of an enhancer's model, as `EnhancerBackend` takes it; None for that of `enhancer`.
    name: the backend's name. Pickles as `EnhancerBackend` does. Raises FileError, ModelError or ConfigError.
    """

    kind = "ensemble"
    has_vad = True

    def __init__(self, model: ModelSource | None = None, name: str = "ensemble") -> None:
        from denoise_wrapper.backends import load_backend

        self.name, self.shipped, self.options = name, model is None, {}
        self.members: list[Any] = [
            load_backend(member, own) for member, own in zip(MEMBERS, (None, model), strict=True)
        ]
        first, self.enhancer = self.members
        self.sample_rate: int = first.sample_rate
        self.hop: int = first.hop
        self.delay: int = max(member.delay for member in self.members)
        self.lags = [self.delay - member.delay for member in self.members]
        remember(self)

    @property
    def data(self) -> bytes:
        """The enhancer's model file, bit for bit."""
        data: bytes = self.enhancer.data
        return data

    @property
    def files(self) -> tuple[bytes, ...]:
        """The members' model files, bit for bit."""
        return tuple(member.data for member in self.members)

    @property
    def metadata(self) -> dict[str, Any]:
        """Name, licence and origin of the enhancer's weights, after what goes with them."""
        return {**self.enhancer.metadata, "beside": MEMBERS[0]}

    def new_state(self, channels: int) -> EnsembleState:
        """Memory for one signal of so many channels, from silence."""
        return EnsembleState(self, channels)

    def process_many(
        self, states: Sequence[EnsembleState], blocks: Sequence[Float32], min_gain: float = 0.0
    ) -> list[tuple[Float32, Float32]]:
        """Clean a block of as many hops with each state: see `base.Backend`."""
        made = [
            process_together(member, [state.states[place] for state in states], blocks, min_gain)
            for place, member in enumerate(self.members)
        ]
        return [state.mean(each) for state, *each in zip(states, *made, strict=True)]

    def __repr__(self) -> str:
        return f"<EnsembleBackend {self.name!r} of {self.members}>"


class EnsembleState:
    """The memory of one signal: that of each member, and what those have made that are ahead of the last."""

    def __init__(self, backend: EnsembleBackend, channels: int) -> None:
        self._backend, self._channels = backend, check_channels(channels)
        self.states: list[State] = [member.new_state(channels) for member in backend.members]
        self._silence()

    def _silence(self) -> None:
        self._ahead = [np.zeros((self._channels, lag), np.float32) for lag in self._backend.lags]

    def reset(self) -> None:
        """Go back to silence, as fresh."""
        for state in self.states:
            state.reset()
        self._silence()

    def process(self, block: Float32, min_gain: float = 0.0) -> tuple[Float32, Float32]:
        """Clean whole hops: see `base.State`."""
        check_block(block, self._channels, self._backend.hop)
        return self.mean([state.process(block, min_gain) for state in self.states])

    def mean(self, made: Sequence[tuple[Float32, Float32]]) -> tuple[Float32, Float32]:
        """The mean of what the members have made of a block, each held back by its lag: (cleaned, voice)."""
        share = np.float32(1.0 / len(made))
        cleaned, voice = (np.zeros_like(part) for part in made[0])
        size = cleaned.shape[1]
        for place, (part, probability) in enumerate(made):
            held = np.concatenate([self._ahead[place], part], axis=1)
            self._ahead[place] = held[:, size:].copy()
            cleaned += held[:, :size] * share
            voice += probability * share  # of the latest hop that came, whatever the delay
        return cleaned, voice

    def restore(self, saved: tuple[Any, ...]) -> None:
        """Go on from there: what a pickle holds of it."""
        self.states, self._ahead = saved

    def __reduce__(self) -> tuple[Any, ...]:
        from denoise_wrapper.backends import restore_state

        return restore_state, (self._backend, self._channels, (self.states, self._ahead))
