"""aiortc: a call between two peers, cleaned where it is received and where it is sent."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from agents import clip, ratio_db, walk

from denoise_wrapper import Denoiser

FRAME, RATE = 960, 48000
BYPASS = (60, 90)  # frames of 20 ms that are passed as they are


@pytest.fixture(scope="module")
def call(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return walk("aiortc", tmp_path_factory.mktemp("call"), noisy=clip(3.0), bypass=BYPASS)


def test_what_is_received_is_cleaned_as_filter_does_it(call: dict[str, Any]) -> None:
    received, cleaned, latency = call["received"], call["cleaned"], int(call["latency"])
    assert len(received) > 2 * RATE
    assert latency == Denoiser().latency(RATE)
    wanted = Denoiser().filter(received, RATE)
    begin, end = (FRAME * number for number in BYPASS)
    fade = RATE // 50
    in_time = cleaned[latency:]  # the rest has come too
    assert 0 <= len(in_time) - len(received) < FRAME
    assert not in_time[len(received) :].any()
    np.testing.assert_array_equal(in_time[: begin - latency], wanted[: begin - latency])
    np.testing.assert_array_equal(in_time[end + fade : len(wanted)], wanted[end + fade :])
    middle = slice(begin + fade - latency, end - latency)
    np.testing.assert_array_equal(in_time[middle], received[middle])  # without a jump in time
    assert np.sum(wanted[middle].astype(float) ** 2) < 0.9 * np.sum(received[middle].astype(float) ** 2)


def test_time_stamps_go_on_to_the_end_of_the_rest(call: dict[str, Any]) -> None:
    stamps, samples = call["stamps"].T
    assert set(samples) == {FRAME}
    assert set(np.diff(stamps)) == {FRAME}


def test_what_is_sent_arrives_clean(call: dict[str, Any]) -> None:
    noisy, heard = clip(3.0), call["heard"][:, 0].astype(np.float64)
    wanted = Denoiser().filter(noisy, RATE).astype(np.float64)
    product = np.fft.irfft(np.fft.rfft(heard, 1 << 19) * np.conj(np.fft.rfft(wanted, 1 << 19)))
    at = int(product[: 1 << 18].argmax())
    part = heard[at : at + RATE * 2]
    scale = np.dot(part, wanted[: len(part)]) / np.dot(part, part)
    # Opus at 96 kbit/s is what makes the difference.
    assert ratio_db(wanted[: len(part)], scale * part) > ratio_db(wanted[: len(part)], noisy[: len(part)]) + 6
