"""LiveKit: from an AudioSource by a local track to an AudioStream whose noise cancellation is ours."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from agents import clip, walk

from denoise_wrapper import Denoiser

BYPASS = (120, 180)  # frames of 10 ms that are passed as they are
RATE = 24000  # that of an agent's input


@pytest.fixture(scope="module")
def track(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return walk("livekit", tmp_path_factory.mktemp("track"), noisy=clip(3.0), rate=RATE, bypass=BYPASS)


def test_a_stream_is_cleaned_as_filter_does_it(track: dict[str, Any]) -> None:
    received, cleaned, latency = track["received"], track["cleaned"], int(track["latency"])
    assert len(received) > 2.5 * RATE
    assert latency == Denoiser().latency(RATE)
    assert len(cleaned) == len(received) + latency
    wanted, in_time = Denoiser().filter(received, RATE), cleaned[latency:]
    begin, end, fade = BYPASS[0] * RATE // 100, BYPASS[1] * RATE // 100, RATE // 50
    np.testing.assert_array_equal(in_time[: begin - latency], wanted[: begin - latency])
    np.testing.assert_array_equal(in_time[end + fade :], wanted[end + fade :])
    middle = slice(begin + fade - latency, end - latency)
    np.testing.assert_array_equal(in_time[middle], received[middle])  # without a jump in time
    assert np.sum(wanted[middle].astype(float) ** 2) < 0.9 * np.sum(received[middle].astype(float) ** 2)


def test_a_stream_gives_what_the_processor_makes(track: dict[str, Any]) -> None:
    heard = track["heard"]
    assert len(heard) > 2.5 * RATE
    np.testing.assert_array_equal(heard, track["cleaned"][: len(heard)])


def test_frames_tell_the_probability_of_speech(track: dict[str, Any]) -> None:
    probability = track["probability"][10:]
    assert np.isfinite(probability).all()
    assert probability.max() > 0.9
    assert probability.min() < 0.3


def test_rate_and_channels_may_change_within_a_track(track: dict[str, Any]) -> None:
    rates, channels, sizes, late_s = track["changed"].T
    np.testing.assert_array_equal(sizes, rates // 100)
    assert set(zip(rates, channels, strict=True)) == {(48000, 1), (24000, 1), (48000, 2)}
    assert (np.diff(late_s) > -1 / 48000).all()  # never sooner than before
