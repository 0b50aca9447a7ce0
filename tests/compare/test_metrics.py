"""The metrics: the same numbers as elsewhere, and a reason where there is no number."""

from __future__ import annotations

import importlib.util
import math
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import soundfile
from require import require
from sets import RATE, Float64, noise, voice

for package in ("librosa", "pesq", "pystoi", "soxr", "speechmos"):
    require(package, reason="metrics need their packages: pip install 'denoise-wrapper[metrics]'")

from denoise_wrapper.compare.measure import metrics  # noqa: E402
from denoise_wrapper.compare.measure.metrics import METRICS, measure  # noqa: E402
from denoise_wrapper.errors import ConfigError  # noqa: E402

NARROW = METRICS[:-1]  # all but HFLSD, which is of full-band clips
HIGHER = ("PESQ", "STOI", "ESTOI", "SISDR", "SIG", "BAK", "OVRL")  # is better; of the distances lower is
REFERENCED = ("PESQ", "STOI", "ESTOI", "SISDR", "LFLSD")  # a reference


@pytest.fixture(scope="module")
def score(shared: Path) -> ModuleType:
    """The program that the figures of others were taken with."""
    path = shared / "tools" / "score.py"
    spec = importlib.util.spec_from_file_location("score", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(("clip", "late"), [("03", 0), ("10", -200), ("24", 480), ("28", 0)])
def test_the_numbers_are_those_of_the_reference_program(
    shared: Path, score: ModuleType, tmp_path: Path, clip: str, late: int
) -> None:
    reference = shared / "dev" / "clean" / f"{clip}.flac"
    clean, rate = soundfile.read(reference)
    noisy, _ = soundfile.read(shared / "dev" / "noisy" / f"{clip}.flac")
    estimate = np.concatenate([np.zeros(late), noisy]) if late >= 0 else noisy[-late:]
    soundfile.write(tmp_path / "estimate.wav", estimate, rate, "DOUBLE")
    lag = score.clip_delay((tmp_path / "estimate.wav", reference, None))
    wanted = score.score_clip((tmp_path / "estimate.wav", reference, lag, rate == 48000))
    measured = measure(estimate, clean, rate)
    assert (measured.delay, measured.lost) == (lag, wanted["lost"])
    assert abs(measured.delay / metrics.RATE - late / rate) < 1e-4
    for name in score.COLUMNS:
        limit = 0.05 if name in ("SISDR", "HFLSD") else 0.01
        assert measured.values[name] == pytest.approx(wanted[name], abs=limit, nan_ok=True), name
    assert measured.reasons == {}
    assert math.isnan(measured.values["HFLSD"]) == (rate == 16000)


def test_a_perfect_clip_has_the_best_numbers() -> None:
    clean = voice(3.0, 48000)
    measured = measure(3.0 * clean, clean, 48000)
    assert measured.values["PESQ"] > 4.5
    assert measured.values["STOI"] == pytest.approx(1.0, abs=0.001)
    assert measured.values["SISDR"] > 100.0
    assert measure(clean, clean, 48000, metrics=["LFLSD", "HFLSD"]).values == {"LFLSD": 0.0, "HFLSD": 0.0}


def test_more_noise_is_worse_by_every_metric() -> None:
    clean = voice(3.0, 48000)
    little, much = (measure(clean + noise(clean, snr_db), clean, 48000).values for snr_db in (30.0, 0.0))
    for name in ("LFLSD", "HFLSD"):
        assert little[name] < much[name], name
    for name in HIGHER:
        assert little[name] > much[name], name


@pytest.mark.parametrize("gain_db", [-12.0, -3.0, 6.0])
def test_the_distance_up_to_8_khz_is_that_of_a_mere_gain(gain_db: float) -> None:
    clean = 0.1 * np.random.default_rng(5).standard_normal(2 * RATE)
    measured = measure(10.0 ** (gain_db / 20.0) * clean, clean, RATE, metrics=["LFLSD", "SISDR"])
    assert measured.values["LFLSD"] == pytest.approx(abs(gain_db), abs=0.01)
    assert measured.values["SISDR"] > 100.0


def test_each_distance_is_of_its_band() -> None:
    clean = 0.1 * np.random.default_rng(6).standard_normal(2 * 48000)
    spectrum, frequencies = np.fft.rfft(clean), np.fft.rfftfreq(len(clean), 1.0 / 48000)
    for low, high, band in ((500.0, 7000.0, "LFLSD"), (9000.0, 20000.0, "HFLSD")):
        quieter = np.fft.irfft(np.where((frequencies > low) & (frequencies < high), 0.1, 1.0) * spectrum)
        measured = measure(quieter, clean, 48000, delay=0, metrics=["LFLSD", "HFLSD"]).values
        assert measured[band] > 15.0
        assert sum(measured.values()) - measured[band] < 1.0


@pytest.mark.parametrize("late", [-1500, -7, 0, 33, 1600])
def test_a_delay_is_found_and_taken_away(late: int) -> None:
    clean = voice()
    noisy = clean + noise(clean, 10.0)
    pad = np.zeros(2000)
    clean, noisy = np.concatenate([pad, clean, pad]), np.concatenate([pad, noisy, pad])
    measured = measure(np.roll(noisy, late), clean, RATE, metrics=["SISDR", "STOI"])
    assert measured.delay == late
    assert measured.lost == max(0, late)
    assert measured.values["SISDR"] == pytest.approx(10.0, abs=0.5)


def test_another_rate_and_more_channels_are_brought_to_one() -> None:
    clean = voice(3.0, 48000)
    noisy = clean + noise(clean, 10.0)
    mono = measure(noisy, clean, 48000)
    stereo = measure(np.stack([noisy, noisy], axis=1).astype(np.float32), clean, 48000)
    slow = measure(metrics.to_rate(noisy, 48000, 32000), clean, 48000, estimate_rate=32000)
    for name in NARROW:
        assert stereo.values[name] == pytest.approx(mono.values[name], abs=1e-3), name
        assert slow.values[name] == pytest.approx(mono.values[name], abs=0.1), name


def broken(kind: str) -> Float64:
    clip = voice()
    if kind == "not finite":
        clip[100] = math.nan
    return clip[:0] if kind == "no samples" else 0.0 * clip if kind == "silent" else clip


@pytest.mark.parametrize("kind", ["silent", "not finite", "no samples"])
def test_a_clip_that_cannot_be_judged_is_nan_with_the_reason(kind: str) -> None:
    measured = measure(broken(kind), voice(), RATE)
    assert set(measured.reasons) == set(NARROW)
    for name, reason in measured.reasons.items():
        assert math.isnan(measured.values[name])
        assert kind in reason


@pytest.mark.parametrize("kind", ["silent", "not finite"])
def test_without_a_usable_reference_only_dnsmos_is_told(kind: str) -> None:
    measured = measure(voice(), broken(kind), RATE)
    assert set(measured.reasons) == set(REFERENCED)
    assert all(reason.startswith("the reference") and kind in reason for reason in measured.reasons.values())
    assert 1.0 < measured.values["OVRL"] < 5.0


@pytest.mark.parametrize("rate", [RATE, 48000])
def test_without_a_reference_only_dnsmos_is_told_as_with_one(rate: int) -> None:
    noisy = voice(rate=rate) + noise(voice(rate=rate), 10.0)
    measured = measure(noisy, None, rate)
    referenced = (*REFERENCED, "HFLSD") if rate == 48000 else REFERENCED  # of other rates that does not apply
    assert measured.reasons == dict.fromkeys(referenced, metrics.NO_REFERENCE)
    assert all(math.isnan(measured.values[name]) for name in (*REFERENCED, "HFLSD"))
    assert (measured.delay, measured.lost) == (0, 0)
    judged = measure(noisy, voice(rate=rate), rate, delay=0).values
    for name in metrics.NEED_NO_REFERENCE:
        assert measured.values[name] == judged[name]


def test_without_a_reference_a_delay_that_is_known_is_taken_away() -> None:
    noisy = voice() + noise(voice(), 10.0)
    late = measure(np.concatenate([np.zeros(800), noisy]), None, RATE, delay=800)
    assert late.delay == 800
    assert late.values["OVRL"] == measure(noisy, None, RATE).values["OVRL"]


@pytest.mark.parametrize("kind", ["silent", "not finite", "no samples"])
def test_without_a_reference_a_clip_that_cannot_be_judged_is_nan_with_the_reason(kind: str) -> None:
    measured = measure(broken(kind), None, RATE, metrics=metrics.NEED_NO_REFERENCE)
    assert all(math.isnan(value) for value in measured.values.values())
    assert all(kind in reason for reason in measured.reasons.values())
    assert set(measured.reasons) == set(metrics.NEED_NO_REFERENCE)


@pytest.mark.parametrize(
    ("seconds", "unknown"),
    [
        (0.3, {"STOI", "ESTOI"}),
        (0.1, {"PESQ", "STOI", "ESTOI"}),
        (0.04, {"PESQ", "STOI", "ESTOI", "HFLSD"}),
        (0.03, {"PESQ", "STOI", "ESTOI", "LFLSD", "HFLSD"}),
    ],
)
def test_a_clip_that_is_too_short_is_nan_with_the_reason(seconds: float, unknown: set[str]) -> None:
    clean = voice(1.0, 48000)[4800 : 4800 + round(seconds * 48000)]
    measured = measure(clean + noise(clean, 10.0), clean, 48000)
    assert set(measured.reasons) == unknown
    assert all("short" in reason or "less" in reason for reason in measured.reasons.values())


def test_a_reference_without_speech_is_said_to_be_so() -> None:
    click = np.zeros(2 * RATE)
    click[RATE : RATE + 200] = np.random.default_rng(3).standard_normal(200)
    measured = measure(click + noise(click, 10.0), click, RATE)
    assert measured.reasons["PESQ"] == "PESQ finds no speech in the reference"
    assert "STOI needs 0.4 s of speech" in measured.reasons["STOI"]
    assert math.isfinite(measured.values["SISDR"])


def test_more_pauses_than_pesq_has_room_for_do_not_end_the_program() -> None:
    burst = np.concatenate([np.ones(3520), np.zeros(3520)])
    clean = 0.1 * np.random.default_rng(4).standard_normal(80 * len(burst)) * np.tile(burst, 80)
    measured = measure(clean + noise(clean, 20.0), clean, RATE, metrics=["PESQ"])
    value, reason = measured.values["PESQ"], measured.reasons.get("PESQ", "")
    assert 1.0 < value < 5.0 if not reason else "8 to 20 s" in reason


def test_a_long_clip_has_the_pesq_of_one_run() -> None:
    clean = voice(metrics.PESQ_SAFE / RATE + 1.0)
    noisy = clean + noise(clean, 10.0)
    package = require("pesq")
    assert metrics.pesq(noisy, clean) == pytest.approx(package.pesq(RATE, clean, noisy, "wb"), abs=1e-6)


@pytest.mark.parametrize(
    ("package", "unknown"), [("pesq", {"PESQ"}), ("pystoi", {"STOI", "ESTOI"}), ("librosa", {"SIG", "BAK", "OVRL"})]
)
def test_a_missing_package_costs_its_metrics_and_names_the_extra(
    monkeypatch: pytest.MonkeyPatch, package: str, unknown: set[str]
) -> None:
    metrics._dnsmos_model.cache_clear()
    monkeypatch.delitem(sys.modules, "speechmos.dnsmos", raising=False)
    monkeypatch.setitem(sys.modules, package, None)
    measured = measure(voice(), voice(), RATE)
    assert set(measured.reasons) == unknown
    for reason in measured.reasons.values():
        assert f"need {package}: pip install 'denoise-wrapper[metrics]'" in reason


def test_without_the_resampler_nothing_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "soxr", None)
    with pytest.raises(ConfigError, match=r"need soxr: pip install 'denoise-wrapper\[metrics\]'"):
        metrics.check_resampler()
    with pytest.raises(ConfigError, match="soxr"):
        measure(voice(), voice(), 48000)


def test_an_unknown_metric_is_refused() -> None:
    with pytest.raises(ConfigError, match="no metric 'MOS'; known are PESQ"):
        measure(voice(), voice(), RATE, metrics=["MOS"])
