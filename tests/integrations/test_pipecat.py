"""pipecat: the filter of a transport's input, in a pipeline that runs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from agents import clip, ratio_db, walk

from denoise_wrapper import Denoiser

RATE, SIZE = 16000, 320
BYPASS, LIMIT = (60, 90), 120  # frames of 20 ms
NOISY = clip(4.0, RATE)


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return walk("pipecat", tmp_path_factory.mktemp("pipeline"), noisy=NOISY, rate=RATE, bypass=BYPASS, limit=LIMIT)


def test_a_pipeline_hears_what_filter_gives(pipeline: dict[str, Any]) -> None:
    cleaned, latency = pipeline["cleaned"], int(pipeline["latency"])
    assert latency == Denoiser().latency(RATE)
    assert len(cleaned) == len(NOISY) // SIZE * SIZE + latency
    wanted, in_time, fade = Denoiser().filter(NOISY, RATE), cleaned[latency:], RATE // 50
    begin, end, limited = (SIZE * number for number in (*BYPASS, LIMIT))
    np.testing.assert_array_equal(in_time[: begin - latency], wanted[: begin - latency])
    np.testing.assert_array_equal(in_time[end + fade : limited - latency], wanted[end + fade : limited - latency])
    middle = slice(begin + fade - latency, end - latency)
    np.testing.assert_array_equal(in_time[middle], NOISY[middle])  # without a jump in time


def test_settings_come_by_frames(pipeline: dict[str, Any]) -> None:
    """Those that there are change the sound; others are an error of the pipeline, which goes on."""
    in_time = pipeline["cleaned"][int(pipeline["latency"]) :]
    late = slice(SIZE * LIMIT + RATE // 2, len(in_time))  # when the new limit has faded in
    assert ratio_db(NOISY[late][: len(in_time[late])], in_time[late]) > 30  # 0 dB pass all, there and back to 48 kHz
    assert ratio_db(NOISY[late], Denoiser().filter(NOISY, RATE)[late]) < 20
    assert len(pipeline["errors"]) == 1
    assert "loudness" in pipeline["errors"][0]


def test_the_voice_detector_hears_speech_begin_and_end(pipeline: dict[str, Any]) -> None:
    states = pipeline["states"]
    quiet, speaking = 1, 3
    assert states[5] == quiet
    assert speaking in states
