"""Channels of one call: each comes out, bit for bit, as it does alone, whatever is beside it."""

from __future__ import annotations

import copy

import numpy as np
import pytest
from blobs import random_blob
from numpy.typing import NDArray
from recorded import ISAS

from denoise_wrapper._native import ffi, lib
from denoise_wrapper.backends.native import FRAME
from denoise_wrapper.backends.rnnoise import RNNoiseBackend
from denoise_wrapper.errors import ConfigError

Float32 = NDArray[np.float32]

FRAMES = 40


def make_backend(model: str, isa: str) -> RNNoiseBackend:
    """Load a model below, or skip the test where this processor has not that instruction set."""
    try:
        if model == "random sparse":
            return RNNoiseBackend(random_blob(24, 64, sparse=True, quantised=True), isa=isa)
        if model == "random float":
            return RNNoiseBackend(random_blob(24, 40), isa=isa)
        return RNNoiseBackend(name=model, isa=isa)
    except ConfigError as error:
        pytest.skip(str(error))


def signals(channels: int) -> Float32:
    """Voices and noises that begin and end apart from each other; every fifth channel is silent throughout."""
    rng = np.random.default_rng(7)
    t = np.arange(FRAMES * FRAME) / 48000
    rows = []
    for c in range(channels):
        pitch = 90 + 25 * c
        voice = sum(np.cos(2 * np.pi * k * pitch * t) / k for k in range(1, 20))
        sound = (0.1 * voice if c % 2 else 0) + 0.02 * rng.standard_normal(len(t))
        rows.append(sound * (np.sin(2 * np.pi * (3 + c) * t + c) > -0.4) * (c % 5 != 4))
    return np.array(rows, np.float32)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("model", ["rnnoise", "rnnoise-classic", "random sparse", "random float"])
@pytest.mark.parametrize("channels", [2, 3, 4, 9])
def test_channels_together_equal_channels_apart(model: str, isa: str, channels: int) -> None:
    backend, audio = make_backend(model, isa), signals(channels)
    cleaned, voice = backend.new_state(channels).process(audio)
    for c in range(channels):
        alone, voice_alone = backend.new_state(1).process(audio[c : c + 1])
        assert np.array_equal(cleaned[c], alone[0])
        assert np.array_equal(voice[c], voice_alone[0])


@pytest.mark.parametrize("model", ["rnnoise", "rnnoise-classic"])
def test_streams_that_began_at_other_times_go_on_together(model: str) -> None:
    backend, audio = RNNoiseBackend(name=model), signals(6)
    states = [backend.new_state(1) for _ in audio]
    for c, state in enumerate(states):
        state.process(audio[c : c + 1, : c * FRAME])
    rest = np.stack([audio[c, c * FRAME : (c + FRAMES - 6) * FRAME] for c in range(6)])
    expected = [copy.deepcopy(state).process(rest[c : c + 1])[0][0] for c, state in enumerate(states)]
    cleaned = np.empty_like(rest)
    pointers = ffi.new("dn_state *[]", [state.owned[0] for state in states])
    floats = [ffi.from_buffer("float[]", array) for array in (rest, cleaned)]
    assert lib.dn_process(pointers, 6, *floats, ffi.NULL, FRAMES - 6, 0.0) == lib.DN_OK
    assert np.array_equal(cleaned, np.array(expected))
