"""Many streams in one call: what each gives alone."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from every_backend import ALL, PAIRS, V02, called, opened
from fakes import FAKES
from numpy.typing import NDArray

from denoise_wrapper import AudioError, ConfigError, Denoiser, Stream, process_many
from denoise_wrapper.backends import load_backend
from denoise_wrapper.backends.base import Backend
from denoise_wrapper.backends.dtln import DTLNBackend
from denoise_wrapper.backends.rnnoise import RNNoiseBackend
from denoise_wrapper.stream.settings import Settings

Array = NDArray[Any]


@pytest.fixture(params=ALL, ids=called)
def backend(request: pytest.FixtureRequest) -> Backend:
    return opened(request)


def signals(count: int, frames: int, channels: int = 1) -> list[Array]:
    """Noise that comes and goes, each time and channel otherwise."""
    rng = np.random.default_rng(7)
    swell = np.abs(np.sin(np.arange(frames) / 3000 + rng.uniform(0, 6, (count, channels, 1))))
    noise = 0.2 * rng.standard_normal((count, channels, frames)) * swell
    made = noise.transpose(0, 2, 1).astype(np.float32)
    return [each[:, 0] if channels == 1 else each for each in made]


def assert_same(backend: Backend, made: Array, wanted: Array) -> None:
    assert (made.dtype, made.shape) == (wanted.dtype, wanted.shape)
    if isinstance(backend, DTLNBackend) and backend.runtime == "onnxruntime":  # which may sum in another order then
        np.testing.assert_allclose(made.astype(float), wanted.astype(float), atol=1e-5)
    else:
        np.testing.assert_array_equal(made, wanted)


@pytest.mark.parametrize("count", [2, 5, 17])
@pytest.mark.parametrize("hops", [1, 3])
def test_streams_together_give_what_each_gives_alone(backend: Backend, count: int, hops: int) -> None:
    size = hops * backend.hop
    inputs = signals(count, 12 * size)
    together, alone = ([Stream(backend) for _ in inputs] for _ in range(2))
    for start in range(0, 12 * size, size):
        chunks = [signal[start : start + size] for signal in inputs]
        for stream, twin, chunk, made in zip(together, alone, chunks, process_many(together, chunks), strict=True):
            assert_same(backend, made, twin.process(chunk))
            assert_same(backend, stream.vad, twin.vad)
    for stream, twin in zip(together, alone, strict=True):
        assert_same(backend, stream.flush(), twin.flush())


def test_streams_of_all_kinds_go_together() -> None:
    """Backends, rates, channels, types, settings, latencies and chunk lengths are mixed; some streams switch."""
    backends = [load_backend("rnnoise"), load_backend("rnnoise-classic"), V02, FAKES[0], FAKES[1], FAKES[2]]
    kinds = [
        {"backend": each, "sample_rate": rate, "channels": channels, "settings": settings, "latency": latency}
        for each in backends
        for rate, channels, settings, latency in (
            (48000, 1, Settings(), None), (48000, 2, Settings(), 5000), (16000, 1, Settings(), None),
            (44100, 3, Settings(atten_lim_db=12), 6000), (48000, 1, Settings(mix=0.5), 4000),
            (48000, 1, Settings(atten_lim_db=12), None),
        )
    ]  # fmt: skip
    kinds.append({"backend": backends[0], "sample_rate": 48000, "settings": Settings(vad_threshold=0.5)})
    together, alone = ([Stream(**kind) for kind in kinds] for _ in range(2))  # type: ignore[arg-type]
    rng = np.random.default_rng(5)
    types = [np.int16, np.int32, np.float32, np.float64]
    for turn in range(30):
        if turn == 10:
            for streams in (together, alone):
                streams[1].switch(backends[1])
                streams[9].switch(FAKES[0])
        chunks = []
        for index, stream in enumerate(together):
            frames = stream.sample_rate // 100 if index % 3 else int(rng.integers(0, 3000))
            chunk = 0.2 * rng.standard_normal((frames, stream.channels))
            kind = types[(index + turn // 8) % 4]
            chunks.append((chunk * 30000).astype(kind) if np.dtype(kind).kind == "i" else chunk.astype(kind))
        for twin, chunk, made in zip(alone, chunks, process_many(together, chunks), strict=True):
            wanted = twin.process(chunk)
            assert made.dtype == wanted.dtype
            np.testing.assert_array_equal(made, wanted)


def test_a_pair_for_one_channel_gives_its_answers_one_by_one() -> None:
    inputs = signals(3, 1280)
    together, alone = ([Stream(PAIRS[0]) for _ in inputs] for _ in range(2))
    for twin, signal, made in zip(alone, inputs, process_many(together, inputs), strict=True):
        np.testing.assert_array_equal(made, twin.process(signal))


class Counting:
    """A backend that notes how many signals came to it at once."""

    def __init__(self, inner: RNNoiseBackend) -> None:
        self.inner, self.counts = inner, list[int]()
        self.name, self.sample_rate, self.hop, self.delay = inner.name, inner.sample_rate, inner.hop, inner.delay
        self.has_vad = inner.has_vad

    def new_state(self, channels: int) -> Any:
        return self.inner.new_state(channels)

    def process_many(self, states: Sequence[Any], blocks: Sequence[Any], min_gain: float) -> list[Any]:
        self.counts.append(len(states))
        return self.inner.process_many(states, blocks, min_gain)


def test_streams_of_a_backend_make_one_call() -> None:
    backend = Counting(RNNoiseBackend())
    streams = [Stream(backend, channels=1 + index % 2) for index in range(6)]
    for _ in range(5):
        process_many(streams, [np.zeros((480, stream.channels), np.int16) for stream in streams])
    assert backend.counts == [6] * 5


@pytest.mark.parametrize("bad", [np.nan, "shape", "type", "kind"])
def test_a_bad_chunk_is_named_and_leaves_all_streams_as_they_were(backend: Backend, bad: Any) -> None:
    size = backend.hop
    inputs = signals(4, 20 * size)
    streams = [Stream(backend) for _ in inputs]
    for start in range(0, 10 * size, size):
        process_many(streams, [signal[start : start + size] for signal in inputs])
    twins = copy.deepcopy(streams)
    chunks: list[Any] = [signal[10 * size : 11 * size].copy() for signal in inputs]
    good = list(chunks)
    spoilt = {"shape": np.zeros((size, 2)), "type": np.zeros(size, np.uint8), "kind": b"1234"}
    if isinstance(bad, str):
        chunks[2] = spoilt[bad]
    else:
        chunks[2] = chunks[2].copy()
        chunks[2][5] = bad
    with pytest.raises(AudioError, match=r"streams\[2\]: ") as caught:
        process_many(streams, chunks)
    if not isinstance(bad, str):
        assert f"frame {10 * size + 5}" in str(caught.value)
    for made, wanted in zip(process_many(streams, good), process_many(twins, good), strict=True):
        np.testing.assert_array_equal(made, wanted)


def test_what_cannot_go_together_is_refused() -> None:
    stream, other, chunk = Denoiser().stream(), Denoiser().stream(), np.zeros(480, np.float32)
    assert process_many([], []) == []
    with pytest.raises(ConfigError, match="2 streams came, and 1 chunk"):
        process_many([stream, other], [chunk])
    with pytest.raises(ConfigError, match="twice"):
        process_many([stream, stream], [chunk, chunk])
    with pytest.raises(ConfigError, match=r"streams\[1\] is a Stream, not Denoiser"):
        process_many([stream, Denoiser()], [chunk, chunk])  # type: ignore[list-item]


def test_states_refuse_together_what_is_not_finite_and_stay_as_they_were(backend: Backend) -> None:
    if not hasattr(backend, "process_many"):
        pytest.skip("it has no call for many")
    blocks = [signal[None, :] for signal in signals(3, 10 * backend.hop)]
    states = [backend.new_state(1) for _ in blocks]
    backend.process_many(states, blocks)
    twins = copy.deepcopy(states)
    broken = [block.copy() for block in blocks]
    broken[1][0, backend.hop + 3] = np.nan
    with pytest.raises(AudioError):
        backend.process_many(states, broken)
    for state, twin, block in zip(states, twins, blocks, strict=True):
        np.testing.assert_array_equal(state.process(block)[0], twin.process(block)[0])
