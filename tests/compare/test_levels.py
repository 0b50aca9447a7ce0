"""Levels of cleaned clips: in pauses, of the speech, in all; right on what is made to be known, and on recordings."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import soundfile
from require import require
from sets import RATE, Float64, noise, voice

require("soxr", reason="metrics need their packages: pip install 'denoise-wrapper[metrics]'")

from denoise_wrapper import Denoiser  # noqa: E402
from denoise_wrapper.compare.measure.levels import (  # noqa: E402
    GONE_DB,
    MOST_GAIN_DB,
    SILENT_DB,
    STEP,
    levels,
    loudness_db,
    speech_and_pauses,
)
from denoise_wrapper.compare.measure.metrics import to_rate  # noqa: E402
from denoise_wrapper.compare.measure.speech import speech_labels  # noqa: E402

KNOWN = ("PAUSES", "SPEECH", "RMS")


def levels_of(estimate: Float64, source: Float64, clean: Float64 | None, rate: int = RATE) -> dict[str, float]:
    values, reasons = levels(estimate, source, clean, rate)
    assert reasons == {}
    return values


def level_db(signal: Float64) -> float:
    return 10.0 * math.log10(float(np.mean(signal**2)))


@pytest.mark.parametrize("rate", [RATE, 44100, 48000])
@pytest.mark.parametrize("snr_db", [-5.0, 0.0, 20.0])
def test_noise_is_as_loud_in_pauses_as_it_is_and_the_speech_is_kept(snr_db: float, rate: int) -> None:
    clean = voice(6.0, rate)
    added = noise(clean, snr_db)
    measured = levels_of(clean + added, clean + added, clean, rate)
    audible = to_rate(added, rate)  # what of it is below 8 kHz
    assert measured["PAUSES"] == pytest.approx(level_db(audible), abs=0.5)
    assert measured["SPEECH"] == pytest.approx(0.0, abs=0.1)
    assert measured["RMS"] == pytest.approx(level_db(to_rate(clean, rate) + audible), abs=0.2)


@pytest.mark.parametrize("gain_db", [-30.0, -6.0, 4.0])
@pytest.mark.parametrize("has_reference", [True, False])
def test_a_gain_is_in_every_level(gain_db: float, has_reference: bool) -> None:
    clean = voice(6.0)
    noisy = clean + noise(clean, 5.0)
    reference = clean if has_reference else None
    before, after = (levels_of(signal, noisy, reference) for signal in (noisy, 10.0 ** (gain_db / 20.0) * noisy))
    for name in KNOWN:
        assert after[name] - before[name] == pytest.approx(gain_db, abs=1e-6)


def test_a_clean_clip_keeps_its_speech_and_its_own_pauses() -> None:
    clean = voice(6.0) + 1e-4 * np.random.default_rng(7).standard_normal(6 * RATE)
    measured = levels_of(clean, clean + noise(clean, 0.0), clean)
    assert measured["SPEECH"] == pytest.approx(0.0, abs=1e-9)
    assert measured["PAUSES"] == pytest.approx(-80.0, abs=1.0)


@pytest.mark.parametrize("late", [-16, 5, 32])
def test_a_delay_of_two_milliseconds_costs_no_speech(late: int) -> None:
    clean = voice(6.0)
    measured = levels_of(np.roll(clean + noise(clean, 10.0), late), clean, clean)
    assert measured["SPEECH"] == pytest.approx(0.0, abs=0.15)


def test_noise_alone_holds_hardly_any_speech() -> None:
    clean = voice(6.0)
    assert levels_of(noise(clean, 0.0), clean + noise(clean, 0.0), clean)["SPEECH"] < -15.0


def test_speech_that_is_taken_away_is_gone() -> None:
    clean = voice(6.0)
    left = 1e-6 * np.random.default_rng(8).standard_normal(len(clean))
    measured = levels_of(left, clean, clean)
    assert measured["SPEECH"] == GONE_DB
    assert measured["PAUSES"] == SILENT_DB


def test_the_first_tenth_of_a_second_after_a_word_is_no_pause() -> None:
    clean = np.concatenate([np.zeros(RATE), voice(0.28), np.zeros(RATE)])  # a syllable
    speech, pauses = speech_and_pauses(clean, RATE, clean=True)
    (spoken,) = np.flatnonzero(np.diff(speech, prepend=False)).reshape(1, 2)
    free = np.flatnonzero(~pauses)
    assert (free[0], free[-1] + 1) == (spoken[0] - 5, spoken[1] + 10)
    assert len(free) == free[-1] + 1 - free[0]


def test_without_a_reference_noise_and_speech_are_told_about_right() -> None:
    clean = voice(6.0)
    added = noise(clean, 5.0)
    noisy = clean + added
    measured = levels_of(noisy, noisy, None)
    assert measured["SPEECH"] == 0.0
    assert measured["PAUSES"] == pytest.approx(level_db(added), abs=1.0)
    cleaned = levels_of(0.5 * clean + 0.1 * added, noisy, None)
    assert cleaned["SPEECH"] == pytest.approx(-6.0, abs=0.3)
    assert cleaned["PAUSES"] == pytest.approx(level_db(added) - 20.0, abs=1.0)


def test_without_a_reference_noise_holds_no_speech() -> None:
    hiss = 0.1 * np.random.default_rng(9).standard_normal(4 * RATE)
    values, reasons = levels(0.1 * hiss, hiss, None, RATE)
    assert reasons == {"SPEECH": "without a reference, no speech can be told from the noise"}
    assert values["PAUSES"] == pytest.approx(-40.0, abs=1.0)


def silence(signal: Float64) -> Float64:
    return np.zeros(len(signal))


@pytest.mark.parametrize("has_reference", [True, False])
def test_a_silent_result_has_no_levels(has_reference: bool) -> None:
    clean = voice()
    values, reasons = levels(silence(clean), clean, clean if has_reference else None, RATE)
    assert reasons == dict.fromkeys(KNOWN, "the clip is silent")
    assert all(math.isnan(values[name]) for name in KNOWN)


@pytest.mark.parametrize("has_reference", [True, False])
def test_what_is_made_of_silence_is_all_in_pauses(has_reference: bool) -> None:
    hiss = 0.01 * np.random.default_rng(9).standard_normal(RATE)
    source = silence(hiss)
    values, reasons = levels(hiss, source, source if has_reference else None, RATE)
    assert values["PAUSES"] == values["RMS"] == pytest.approx(-40.0, abs=0.5)
    assert reasons == {"SPEECH": "the reference is silent" if has_reference else "the noisy clip is silent"}


def test_a_clip_without_pauses_has_a_speech_level_only() -> None:
    time = np.arange(2 * RATE) / RATE
    clean = 0.1 * (np.sin(2.0 * np.pi * 300.0 * time) + np.sin(2.0 * np.pi * 1100.0 * time))
    values, reasons = levels(0.5 * clean, clean, clean, RATE)
    assert values["SPEECH"] == pytest.approx(-6.02, abs=0.01)
    assert reasons == {"PAUSES": "0.1 s of pauses are needed, and there are 0 s"}


@pytest.mark.parametrize("count", [0, 1, STEP - 1, STEP, 8 * STEP])
@pytest.mark.parametrize("has_reference", [True, False])
def test_a_clip_that_is_too_short_has_reasons(count: int, has_reference: bool) -> None:
    clean = voice()[2000 : 2000 + count]
    noisy = clean + 0.01 * np.random.default_rng(2).standard_normal(count)
    values, reasons = levels(noisy, noisy, clean if has_reference else None, RATE)
    assert all(math.isnan(values[name]) == (name in reasons) for name in KNOWN)
    assert {"PAUSES", "SPEECH"} <= set(reasons)
    assert loudness_db(noisy, clean, RATE, clean=has_reference) == 0.0


@pytest.mark.parametrize("seconds", [0.0, 0.05, 1.0, 5.9, 9.0])
@pytest.mark.parametrize("has_reference", [True, False])
def test_a_result_of_another_length_is_judged_as_far_as_it_goes(seconds: float, has_reference: bool) -> None:
    clean = voice(6.0)
    noisy = clean + noise(clean, 10.0)
    longer = np.pad(0.5 * noisy, (0, 3 * RATE))[: round(seconds * RATE)]
    values, reasons = levels(longer, noisy, clean if has_reference else None, RATE)
    assert all(math.isnan(values[name]) == (name in reasons) for name in KNOWN)
    if seconds > 0.5:
        assert values["SPEECH"] == pytest.approx(-6.0, abs=0.6)
        assert values["PAUSES"] == pytest.approx(level_db(noise(clean, 10.0)) - 6.0, abs=1.0)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_what_is_not_finite_has_reasons(bad: float) -> None:
    clean = voice()
    broken = clean.copy()
    broken[100:120] = bad
    values, reasons = levels(broken, clean, clean, RATE)
    assert set(reasons) == set(KNOWN)
    values, reasons = levels(clean, clean, broken, RATE)
    assert set(reasons) == {"PAUSES", "SPEECH"}
    assert all("the reference holds samples that are not finite" in reason for reason in reasons.values())
    assert math.isfinite(values["RMS"])


def test_the_gain_to_one_loudness_takes_back_what_was_changed() -> None:
    clean = voice(6.0)
    noisy = clean + noise(clean, 5.0)
    assert loudness_db(0.25 * noisy, clean, RATE) == pytest.approx(12.04, abs=0.05)
    assert loudness_db(2.0 * clean, noisy, RATE, clean=False) == pytest.approx(-6.02, abs=0.3)
    assert loudness_db(clean, clean, RATE) == pytest.approx(0.0, abs=1e-9)
    assert loudness_db(1e-3 * noisy, clean, RATE) == MOST_GAIN_DB
    assert loudness_db(1e3 * noisy, clean, RATE) == -MOST_GAIN_DB
    assert loudness_db(silence(clean), clean, RATE) == 0.0


def test_recordings_have_the_levels_that_were_mixed(shared: Path) -> None:
    clips = json.loads((shared / "dev" / "manifest.json").read_text())["clips"]
    right, guessed, quiet = [], [], []
    for clip in clips:
        clean, noisy = (
            to_rate(*soundfile.read(shared / "dev" / part / f"{clip['id']}.flac")) for part in ("clean", "noisy")
        )
        measured = levels_of(noisy, noisy, clean)
        speech, pauses = speech_and_pauses(clean, RATE, clean=True)
        added = (noisy - clean)[: len(pauses) * STEP].reshape(-1, STEP)[pauses]
        assert measured["PAUSES"] == pytest.approx(level_db(added), abs=0.5)
        assert measured["SPEECH"] == pytest.approx(0.0, abs=0.1)
        assert levels_of(0.5 * noisy, noisy, clean)["SPEECH"] == pytest.approx(-6.02, abs=0.1)
        loud, still = speech_and_pauses(noisy, RATE, clean=False)
        right += [speech[loud].mean(), (~speech_labels(clean))[still].mean()]
        guessed.append(levels_of(0.5 * clean, noisy, None)["SPEECH"] + 6.02)
        quiet.append(levels_of(noisy, noisy, None)["PAUSES"] - measured["PAUSES"])
    assert np.mean(right[::2]) > 0.96
    assert np.mean(right[1::2]) > 0.97
    assert np.median(np.abs(guessed)) < 0.3
    assert np.mean(quiet) == pytest.approx(-4.0, abs=0.5)


def test_the_shipped_denoiser_takes_noise_and_keeps_speech(shared: Path) -> None:
    clean, rate = soundfile.read(shared / "dev" / "clean" / "22.flac")
    noisy, _ = soundfile.read(shared / "dev" / "noisy" / "22.flac")
    before, after = (levels_of(signal, noisy, clean, rate) for signal in (noisy, Denoiser().filter(noisy, rate)))
    assert after["PAUSES"] < before["PAUSES"] - 10.0
    assert -6.0 < after["SPEECH"] < 0.5
