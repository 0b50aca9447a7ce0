"""Segments of speech: found by threshold, hysteresis, pauses and lengths, and written in the forms people use."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
import soundfile

from denoise_wrapper import ConfigError, Denoiser
from denoise_wrapper.cli import main as cli
from denoise_wrapper.segments import FORMS, Segment, file_segments, find_segments, format_segments

HOP_S = 0.01
PLAIN = {"min_speech_s": 0.0, "min_pause_s": 0.0, "pad_s": 0.0}
NOISY = Path(__file__).resolve().parents[1] / "examples/noisy.wav"


def bounds(voice: list[float], **settings: float) -> list[tuple[float, float]]:
    return [(each.start, each.end) for each in find_segments(voice, HOP_S, **{**PLAIN, **settings})]


def test_speech_begins_at_the_threshold_and_ends_below_it_by_the_hysteresis() -> None:
    voice = [0.0, 0.49, 0.5, 0.4, 0.36, 0.34, 0.4, 0.9]
    assert bounds(voice) == [(0.02, 0.05), (0.07, 0.08)]
    assert bounds(voice, hysteresis=0.0) == [(0.02, 0.03), (0.07, 0.08)]
    assert bounds(voice, threshold=0.95) == []


def test_short_pauses_are_bridged_and_short_speech_is_left_out_after_that() -> None:
    voice = [1.0] * 4 + [0.0] * 5 + [1.0] * 4 + [0.0] * 20 + [1.0] * 4
    assert bounds(voice) == [(0.0, 0.04), (0.09, 0.13), (0.33, 0.37)]
    assert bounds(voice, min_pause_s=0.06) == [(0.0, 0.13), (0.33, 0.37)]
    assert bounds(voice, min_pause_s=0.06, min_speech_s=0.1) == [(0.0, 0.13)]


def test_padding_stays_within_the_file_and_off_the_next_segment() -> None:
    voice = [0.0] * 2 + [1.0] * 4 + [0.0] * 6 + [1.0] * 4 + [0.0]
    assert bounds(voice, pad_s=0.05) == [(0.0, 0.09), (0.09, 0.17)]
    assert bounds(voice, pad_s=0.01) == [(0.01, 0.07), (0.11, 0.17)]


def test_of_several_channels_the_loudest_voice_counts() -> None:
    voice = np.zeros((10, 2))
    voice[2:4, 0] = voice[6:8, 1] = 1.0
    assert [(each.start, each.end) for each in find_segments(voice, HOP_S, **PLAIN)] == [(0.02, 0.04), (0.06, 0.08)]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"threshold": 1.5}, "threshold is 0 to 1"),
        ({"hysteresis": 0.6}, "hysteresis is 0 to 0.5"),
        ({"min_pause_s": -1.0}, "min_pause_s is 0 or more"),
        ({"pad_s": float("nan")}, "pad_s is 0 or more"),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, float], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        find_segments([0.5], HOP_S, **settings)


SEGMENTS = [Segment(0.5, 1.25, 0.9), Segment(3601.0, 3662.5, 0.75)]


def test_each_form_is_what_its_readers_expect() -> None:
    texts = {form: format_segments(SEGMENTS, form, "my talk.flac") for form in FORMS}
    assert json.loads(texts["json"])["segments"][0] == {"start": 0.5, "end": 1.25, "probability": 0.9}
    rows = list(csv.DictReader(io.StringIO(texts["csv"])))
    assert [float(row["end"]) for row in rows] == [1.25, 3662.5]
    assert texts["rttm"].splitlines()[0].split() == "SPEAKER my_talk 1 0.500 0.750 <NA> <NA> speech <NA> <NA>".split()
    assert re.fullmatch(
        r"1\n00:00:00,500 --> 00:00:01,250\nspeech\n\n2\n01:00:01,000 --> 01:01:02,500\nspeech\n", texts["srt"]
    )
    assert texts["audacity"].splitlines()[1].split("\t") == ["3601.000000", "3662.500000", "speech"]


def test_a_file_has_the_segments_of_its_samples() -> None:
    samples, rate = soundfile.read(NOISY)
    denoiser = Denoiser()
    times, voice = denoiser.speech_probability(samples, rate)
    assert file_segments(denoiser, NOISY) == find_segments(voice, float(times[1]))
    assert file_segments(denoiser, NOISY)


def test_a_backend_without_probabilities_is_refused() -> None:
    with pytest.raises(ConfigError, match="dtln-16k gives no probability of speech"):
        file_segments(Denoiser("dtln-16k"), NOISY)


@pytest.mark.parametrize("suffix", [".json", ".csv", ".rttm", ".srt", ".txt"])
def test_the_command_writes_the_form_that_the_suffix_says(
    tmp_path: Path, suffix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / f"talk{suffix}"
    form = {".txt": "audacity"}.get(suffix, suffix[1:])
    assert cli.main(["segments", str(NOISY), "-o", str(target)]) == 0
    assert re.fullmatch(rf".* -> {target}: 1 segment, \d\.\d s of speech\n", capsys.readouterr().err)
    assert target.read_text() == format_segments(file_segments(Denoiser(), NOISY), form, str(NOISY))
    assert cli.main(["segments", str(NOISY), "-o", str(target)]) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert cli.main(["segments", str(NOISY), "--to", form]) == 0
    assert capsys.readouterr().out == target.read_text()
    assert cli.main(["segments", str(NOISY), "-o", str(tmp_path / "talk.xyz")]) == 2
    assert "its suffix says no form" in capsys.readouterr().err
