"""Two denoisers in a row: the first one's answer guides an enhancer, which sees the signal, too, and blends both."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from denoise_wrapper.backends.base import (
    Float32,
    Loaded,
    check_block,
    check_blocks,
    check_channels,
    remember,
    split_channels,
)
from denoise_wrapper.backends.engine import EngineState, ModelSource, called, process_behind, together
from denoise_wrapper.backends.enhancer import EnhancerBackend
from denoise_wrapper.errors import ModelError

GUIDES = ("rnnoise", "rnnoise-classic", "enhancer-live")


def enhancer_backend(model: ModelSource | None = None, name: str = "enhancer") -> EnhancerBackend | GuidedBackend:
    """The backend of an enhancer, guided or not as its file says.

    model: path or bytes of a .dnnw that `train enhancer` or `convert` wrote; None for NAME.dnnw in models/. name: the
    backend's name. Raises FileError, ModelError or ConfigError.
    """
    enhancer = EnhancerBackend(model, name)
    return GuidedBackend(enhancer, called(model)) if enhancer.is_guided else enhancer


class GuidedBackend(Loaded):
    """A denoiser and an enhancer that it guides: full band, 48 kHz, hops of 10 ms, late by both (by 1440 samples).

    Immutable, shared by threads and streams. The enhancer sees the signal and the guide's answer, and chooses for each
    bin below 4 kHz and each band above how much of either there is in what comes out. min_gain is the original's share
    of that, bin by bin. The probability of speech is the mean of both.

    enhancer: one whose model is guided, and names its guide, one of GUIDES. model: that model, as messages name it.
    Pickles as `EnhancerBackend` does. Raises ModelError for another guide.
    """

    kind = "guided"
    title = "guided enhancer"
    has_vad = True

    def __init__(self, enhancer: EnhancerBackend, model: str) -> None:
        from denoise_wrapper.backends import load_backend

        self.name, self.shipped, self.options = enhancer.name, enhancer.shipped, {}
        self.enhancer = enhancer
        guide = self.metadata.get("guide")
        if guide not in GUIDES:
            raise ModelError(f"the model {model} names {guide!r} as its guide; known are {', '.join(GUIDES)}")
        self.guide: Any = load_backend(guide)
        self.sample_rate: int = self.guide.sample_rate
        self.hop: int = self.guide.hop
        self.delay: int = self.guide.delay + self.enhancer.delay
        remember(self)

    @property
    def data(self) -> bytes:
        """The enhancer's model file, bit for bit."""
        return self.enhancer.data

    @property
    def files(self) -> tuple[bytes, ...]:
        """The model files of both, bit for bit."""
        return self.guide.data, self.enhancer.data

    @property
    def isa(self) -> str:
        """The instruction set in use."""
        return self.enhancer.isa

    @property
    def metadata(self) -> dict[str, Any]:
        """Name, licence and origin of the enhancer's weights, and its guide."""
        return self.enhancer.metadata

    def new_state(self, channels: int) -> GuidedState:
        """Memory for one signal of so many channels, from silence."""
        return GuidedState(self, channels)

    def process_many(
        self, states: Sequence[GuidedState], blocks: Sequence[Float32], min_gain: float = 0.0
    ) -> list[tuple[Float32, Float32]]:
        """Clean a block of as many hops with each state: see `base.Backend`."""
        channels = [state.channels for state in states]
        frames = check_blocks(channels, blocks, self.hop)
        held = np.concatenate([state.held for state in states])
        guides, enhancers = together([state.guide for state in states]), together([state.enhancer for state in states])
        answers = process_behind(guides, enhancers, np.concatenate(blocks), frames, held, min_gain)
        for state, part in zip(states, np.split(held, np.cumsum(channels)[:-1]), strict=True):
            state.held = part
        return split_channels(blocks, *answers)

    def __repr__(self) -> str:
        return f"<GuidedBackend {self.name!r} of {self.guide} and {self.enhancer}>"


class GuidedState:
    """The memory of one signal: that of both, and as much of the signal as the guide is late by."""

    def __init__(self, backend: GuidedBackend, channels: int) -> None:
        self._backend, self.channels = backend, check_channels(channels)
        self.guide: EngineState = backend.guide.new_state(channels)
        self.enhancer = backend.enhancer.new_state(channels)
        self._silence()

    def _silence(self) -> None:
        self.held = np.zeros((self.channels, self._backend.guide.delay), np.float32)

    def reset(self) -> None:
        """Go back to silence, as fresh."""
        self.guide.reset()
        self.enhancer.reset()
        self._silence()

    def process(self, block: Float32, min_gain: float = 0.0) -> tuple[Float32, Float32]:
        """Clean whole hops: see `base.State`."""
        frames = check_block(block, self.channels, self._backend.hop)
        return process_behind(self.guide.pointers, self.enhancer.pointers, block, frames, self.held, min_gain)

    def restore(self, saved: tuple[Any, ...]) -> None:
        """Go on from there: what a pickle holds of it."""
        guide, enhancer, held = saved
        self.held = held.copy()
        self.guide.restore(guide)
        self.enhancer.restore(enhancer)

    def __reduce__(self) -> tuple[Any, ...]:
        from denoise_wrapper.backends import restore_state

        return restore_state, (
            self._backend,
            self.channels,
            (self.guide.saved(), self.enhancer.saved(), self.held),
        )
