"""Streams in pieces, copied, pickled, switched: samples, type and latency stay, whatever is done."""

from __future__ import annotations

import copy
import pickle
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from blobs import random_blob
from every_backend import ENHANCERS, SHIPPED
from fakes import FAKES
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pairs import make_pair

from denoise_wrapper import AudioError, Stream
from denoise_wrapper.audio import MAX_RATE, MIN_RATE
from denoise_wrapper.backends import load_backend
from denoise_wrapper.backends.base import Backend
from denoise_wrapper.backends.dtln import DTLNBackend
from denoise_wrapper.backends.rnnoise import RNNoiseBackend
from denoise_wrapper.stream.lane import least_latency
from denoise_wrapper.stream.settings import Settings

Array = NDArray[Any]

BACKENDS: tuple[Backend, ...] = (
    *(load_backend(name) for name in SHIPPED),
    RNNoiseBackend(random_blob(16, 24, sparse=True, quantised=True), "v0.2"),
    DTLNBackend(make_pair(512, free=False), "dtln-16k"),
    *ENHANCERS,
    *FAKES,
)
VOICED = tuple(backend for backend in BACKENDS if backend.has_vad)
LOUD = [0.0, 1e-40, 1e-27, 1e-6, 0.1, 1.0, 40.0]  # levels of floats
LONGEST_S = 0.15  # of audio between two actions

rates = st.one_of(st.sampled_from([8000, 16000, 32000, 44100, 48000]), st.integers(MIN_RATE, 200_000))
actions = st.lists(
    st.tuples(st.sampled_from(["audio", "audio", "audio", "switch", "reset", "flush"]), st.floats(0, 1)),
    min_size=1,
    max_size=8,
)


@dataclass(frozen=True)
class Kind:
    """Parameters of a stream."""

    first: Backend
    others: tuple[Backend, ...]
    rate: int
    channels: int
    dtype: str
    settings: Settings

    def open(self) -> Stream:
        latency = max(least_latency(backend, self.rate) for backend in (self.first, *self.others))
        return Stream(self.first, self.rate, self.channels, self.settings, latency)


@st.composite
def kinds(draw: st.DrawFn) -> Kind:
    gated = draw(st.booleans())
    among = VOICED if gated else BACKENDS
    return Kind(
        first=draw(st.sampled_from(among)),
        others=tuple(draw(st.lists(st.sampled_from(among), max_size=2))),
        rate=draw(rates),
        channels=draw(st.integers(1, 3)),
        dtype=draw(st.sampled_from(["int16", "int32", "float32", "float64", ">i2", ">f4"])),
        settings=Settings(
            mix=draw(st.sampled_from([1.0, 0.4])),
            atten_lim_db=draw(st.sampled_from([None, 0.0, 12.0])),
            vad_threshold=0.5 if gated else None,
            vad_hold=draw(st.sampled_from([0.0, 0.05])),
            non_finite=draw(st.sampled_from(["raise", "zero"])),
        ),
    )


def audio_of(kind: Kind, share: float, rng: np.random.Generator) -> Array:
    frames = round(share * LONGEST_S * kind.rate)
    noise = rng.standard_normal((frames, kind.channels)) * rng.choice(LOUD)
    dtype = np.dtype(kind.dtype)
    if dtype.kind == "f":
        return noise.astype(dtype)
    limits = np.iinfo(dtype)
    return np.clip(noise * limits.max, limits.min, limits.max).astype(dtype)


def act(stream: Stream, kind: Kind, action: str, share: float) -> Array | None:
    """Anything but audio; what comes out, if something does."""
    if action == "switch" and kind.others:
        stream.switch(kind.others[int(share * 0.999 * len(kind.others))])
    elif action == "reset":
        stream.reset()
    elif action == "flush":
        return stream.flush()
    return None


def disturb(stream: Stream, kind: Kind, rng: np.random.Generator) -> Stream:
    """Pickle, copy, or offer a chunk that is refused: nothing of it may be audible."""
    choice = rng.integers(8)
    if choice == 0:
        return pickle.loads(pickle.dumps(stream))  # type: ignore[no-any-return]
    if choice == 1:
        return copy.deepcopy(stream)
    if choice == 2:
        with pytest.raises(AudioError):
            stream.process(np.zeros((7, kind.channels + 1), kind.dtype))
    if choice == 3 and kind.settings.non_finite == "raise":
        bad = np.zeros((500, kind.channels), np.float32)
        bad[rng.integers(500), 0] = rng.choice([np.nan, np.inf, -np.inf, 1e6])
        with pytest.raises(AudioError):
            stream.process(bad)
    if choice == 4:
        stream.process(np.zeros((0, kind.channels), kind.dtype))
    return stream


def check_block(made: Array, given_: Array, stream: Stream, kind: Kind) -> None:
    assert made.shape == given_.shape
    assert made.dtype == given_.dtype
    assert np.isfinite(made).all()
    assert stream.vad.ndim == (1 if kind.channels == 1 else 2)
    assert ((stream.vad >= 0) & (stream.vad <= 1)).all()


def play(kind: Kind, script: list[tuple[str, float]], seed: int, in_pieces: bool) -> list[Array]:
    """Play a script, and return what comes out, action by action.

    in_pieces: its audio comes in chunks of chance, with disturbances.
    """
    sound, chance = np.random.default_rng(seed), np.random.default_rng(seed + 1)
    stream = kind.open()
    latency, results = stream.latency, []
    for action, share in script:
        if action != "audio":
            rest = act(stream, kind, action, share)
            results += [] if rest is None else [rest]
            continue
        audio, start = audio_of(kind, share, sound), 0
        made: list[Array] = []
        while start < len(audio) or not made:
            size = int(chance.integers(0, 1 + max(1, len(audio) // 3))) if in_pieces else len(audio)
            piece = audio[start : start + size]
            made.append(stream.process(piece))
            check_block(made[-1], piece, stream, kind)
            start += size
            stream = disturb(stream, kind, chance) if in_pieces else stream
        results.append(np.concatenate(made))
        assert stream.latency == latency
    rest = stream.flush()
    assert len(rest) == latency
    return [*results, rest]


@given(kinds(), actions, st.integers(0, 2**20))
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_pieces_pickles_copies_and_refusals_are_not_heard(
    kind: Kind, script: list[tuple[str, float]], seed: int
) -> None:
    whole, pieces = play(kind, script, seed, False), play(kind, script, seed, True)
    assert len(whole) == len(pieces)
    for one, other in zip(whole, pieces, strict=True):
        np.testing.assert_array_equal(one, other)


@given(kinds(), actions, st.integers(0, 2**20), st.sampled_from(["reset", "flush"]))
@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
def test_whatever_came_before_is_forgotten(kind: Kind, script: list[tuple[str, float]], seed: int, how: str) -> None:
    """A reset or flushed stream is as a fresh one of the backend last asked for, and of the same latency."""
    stream, rng = kind.open(), np.random.default_rng(seed)
    for action, share in script:
        if action == "audio":
            stream.process(audio_of(kind, share, rng))
        else:
            act(stream, kind, action, share)
    getattr(stream, how)()
    fresh = Stream(stream.backend, kind.rate, kind.channels, kind.settings, stream.latency)
    audio = audio_of(kind, 1.0, rng)
    np.testing.assert_array_equal(stream.process(audio), fresh.process(audio))
    np.testing.assert_array_equal(stream.flush(), fresh.flush())


@given(st.integers(MIN_RATE, MAX_RATE), st.sampled_from(BACKENDS))
@settings(max_examples=30, deadline=None)
def test_a_stream_opens_at_every_rate_and_is_as_late_as_it_says(rate: int, backend: Backend) -> None:
    stream = Stream(backend, rate, settings=Settings(atten_lim_db=0.0))
    click = np.zeros(stream.latency + 1000, np.float32)
    click[100] = 0.5
    made = np.concatenate([stream.process(click), stream.flush()])
    assert len(made) == len(click) + stream.latency
    assert abs(int(np.abs(made).argmax()) - 100 - stream.latency) <= 2 + rate // backend.sample_rate
