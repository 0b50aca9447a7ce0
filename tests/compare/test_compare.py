"""Comparing: every candidate on every clip, in time, measured, and what goes wrong in its place."""

from __future__ import annotations

import dataclasses
import gc
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from fakes import FakeBackend, Faulty
from numpy.typing import NDArray
from require import require
from sets import RATE, quick_opinions, voice, write_set

for package in ("librosa", "pesq", "pystoi", "soxr", "speechmos"):
    require(package, reason="metrics need their packages: pip install 'denoise-wrapper[metrics]'")

from denoise_wrapper import Denoiser  # noqa: E402
from denoise_wrapper.compare import Candidate, Comparison, compare  # noqa: E402
from denoise_wrapper.compare import cost as cost_module  # noqa: E402
from denoise_wrapper.compare.comparison import Cost, Result  # noqa: E402
from denoise_wrapper.compare.cost import measure_cost  # noqa: E402
from denoise_wrapper.errors import ConfigError, FileError, ModelError  # noqa: E402

RATIOS = {"a": 0.0, "b": 10.0}
FAKE = FakeBackend("fake", sample_rate=16000, hop=128, delay=384, has_vad=False, memory=0.9)


@pytest.fixture
def clips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A set, no DNSMOS, and costs that take no time."""
    quick_opinions(monkeypatch)
    monkeypatch.setattr("denoise_wrapper.compare.run.measure_cost", lambda *_: Cost(latency_ms=1.0))
    return write_set(tmp_path / "set", RATIOS)


def track_audio(result: Result, clip: int = 0) -> tuple[NDArray[np.float32], int]:
    path = result.tracks[clip].audio
    assert path is not None
    samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    return samples, rate


def only(comparison: Comparison) -> Result:
    """The single candidate's part."""
    _, result = comparison.results
    return result


@pytest.mark.parametrize("mode", ["file", "stream"])
def test_a_track_is_what_the_denoiser_gives_and_the_delay_that_of_the_stream(clips: Path, mode: str) -> None:
    denoiser = Denoiser(FAKE)
    comparison = compare(clips, [denoiser], mode=mode)
    assert [result.name for result in comparison.results] == ["noisy", "fake"]
    assert list(comparison.groups()) == ["0 dB", "10 dB", "all"]
    assert not list(comparison.problems())
    noisy, _ = soundfile.read(clips / "noisy" / "b.wav", dtype="float32")
    got, rate = track_audio(only(comparison), 1)
    assert rate == RATE
    np.testing.assert_array_equal(got[:, 0], denoiser.filter(noisy, RATE))
    latency_ms = 1000.0 * denoiser.latency(RATE) / RATE if mode == "stream" else 0.0
    assert only(comparison).delay_ms == pytest.approx(latency_ms)
    assert only(comparison).tracks[1].extra == 0


def test_levels_are_told_of_each_track_and_matched_if_asked(clips: Path, tmp_path: Path) -> None:
    quiet = tmp_path / "quiet"
    quiet.mkdir()
    for name in RATIOS:
        clean, _ = soundfile.read(clips / "clean" / f"{name}.wav")
        soundfile.write(quiet / f"{name}.wav", 0.25 * clean, RATE, "FLOAT")
    as_it_is = only(compare(clips, [str(quiet)])).tracks[0]
    assert as_it_is.value("SPEECH") == pytest.approx(-12.04, abs=0.1)
    assert as_it_is.loudness_db == pytest.approx(12.04, abs=0.1)
    assert as_it_is.gain_db == 0.0
    comparison = compare(clips, [quiet], match_levels=True)
    matched = only(comparison).tracks[0]
    assert comparison.level_matched
    assert matched.gain_db == pytest.approx(12.04, abs=0.1)
    assert matched.value("SPEECH") == pytest.approx(0.0, abs=0.1)
    assert matched.loudness_db == pytest.approx(0.0, abs=0.1)
    clean, _ = soundfile.read(clips / "clean" / "a.wav", dtype="float32")
    np.testing.assert_allclose(track_audio(only(comparison))[0][:, 0], clean, atol=2e-3)


@pytest.mark.parametrize("suffix", ["", "_denoised"])
def test_a_folder_of_another_program_is_brought_in_time(clips: Path, tmp_path: Path, suffix: str) -> None:
    theirs, late = tmp_path / "theirs", 160
    theirs.mkdir()
    for name in RATIOS:
        noisy, _ = soundfile.read(clips / "noisy" / f"{name}.wav")
        delayed = np.concatenate([np.zeros(late), noisy])[: len(noisy)]
        soundfile.write(theirs / f"{name}{suffix}.wav", delayed, RATE, "FLOAT")
    comparison = compare(clips, [theirs])
    result = only(comparison)
    assert result.delay_ms == pytest.approx(10.0)
    assert result.cost is None
    noisy, _ = soundfile.read(clips / "noisy" / "a.wav", dtype="float32")
    got, _ = track_audio(result)
    np.testing.assert_array_equal(got[:-late, 0], noisy[:-late])
    assert not got[-late:].any()
    assert not list(comparison.problems())


def test_other_rates_lengths_and_channels_are_problems_and_are_measured(clips: Path, tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    soundfile.write(theirs / "a.wav", voice(2.0, 48000, seed=0), 48000, "FLOAT")
    clean, _ = soundfile.read(clips / "clean" / "b.wav")
    soundfile.write(theirs / "b.wav", np.stack([clean[:-800]] * 2, axis=1), RATE, "FLOAT")
    comparison = compare(clips, [theirs, Denoiser(FAKE)])
    first, second = comparison.results[1].tracks
    assert first.problems == ("it has 48000 Hz where the clip has 16000: resampled",)
    assert second.problems == (
        "it has 2 channels where the clip has 1",
        "it is 800 frames (50.0 ms) shorter than the clip: filled up with silence",
    )
    assert (first.extra, second.extra) == (0, -800)
    assert track_audio(comparison.results[1])[0].shape == (2 * RATE, 1)
    assert track_audio(comparison.results[1], 1)[0].shape == (2 * RATE, 2)
    assert second.value("PESQ") > 4.0
    assert len(list(comparison.problems())) == 3
    soundfile.write(theirs / "b.wav", np.pad(clean, (0, 80)), RATE, "FLOAT")
    longer = compare(clips, [theirs]).results[1].tracks[1]
    assert longer.problems == ("it is 80 frames (5.0 ms) longer than the clip: cut",)


def test_a_missing_result_or_reference_and_a_silent_clip_are_said_in_their_place(clips: Path, tmp_path: Path) -> None:
    soundfile.write(clips / "clean" / "a.wav", np.zeros(2 * RATE), RATE)
    (clips / "clean" / "b.wav").unlink()
    theirs = tmp_path / "theirs"
    shutil.copytree(clips / "noisy", theirs)
    (theirs / "b.wav").unlink()
    comparison = compare(clips, [theirs, Denoiser(FAKE)])
    folder, fake = comparison.results[1:]
    assert folder.tracks[1].error == f"{theirs} has no clip called b; of names that begin so there is none"
    assert fake.tracks[0].reasons["PESQ"] == "the reference is silent"
    missing = f"{clips / 'clean'} has no reference of that name"
    assert fake.tracks[1].reasons["PESQ"] == missing
    assert math.isnan(fake.tracks[1].value("PESQ"))
    assert not math.isnan(fake.tracks[1].value("OVRL"))
    problems = list(comparison.problems())
    assert f"b: {missing}" in problems
    assert "fake on a: no PESQ, STOI, ESTOI, SI-SDR, LSD to 8 kHz, speech level: the reference is silent" in problems
    assert not [problem for problem in problems if problem.startswith("fake on b")]


def test_clips_without_references_are_judged_by_what_needs_none(clips: Path) -> None:
    comparison = compare([clips / "noisy" / "b.wav"], [Denoiser(FAKE)])
    track = only(comparison).tracks[0]
    assert math.isnan(track.value("STOI"))
    assert not math.isnan(track.value("BAK"))
    assert track.value("PAUSES") < comparison.results[0].tracks[0].value("PAUSES") - 6.0
    assert not list(comparison.problems())


@pytest.mark.parametrize(
    ("how", "said", "jobs"),
    [
        ("raise", "RuntimeError: the network is upside down", 2),
        ("nan", "its result holds 250 frames that are not finite, the first at 0.000 s", 1),
    ],
)
def test_a_candidate_that_fails_leaves_the_others_alone(clips: Path, how: str, said: str, jobs: int) -> None:
    faulty = Denoiser(Faulty("faulty", sample_rate=16000, hop=128, delay=0, how=how))
    comparison = compare(clips, [faulty, Denoiser(FAKE)], jobs=jobs)
    bad, good = comparison.results[1:]
    assert [track.audio for track in bad.tracks] == [None, None]
    errors = [track.error for track in bad.tracks]
    assert errors == [said] * 2 if how == "raise" else all(error and "not finite" in error for error in errors)
    assert all(track.error is None for track in good.tracks)
    assert sum("faulty on" in problem for problem in comparison.problems()) == 2


def test_a_candidate_that_crashes_or_cannot_be_opened_is_left_out(
    clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("denoise_wrapper.compare.run.measure_cost", measure_cost)
    monkeypatch.setattr(cost_module, "BUFFERS", 20)
    bad = tmp_path / "bad.rnnn"
    bad.write_text("no model")
    crash = Denoiser(Faulty("crash", sample_rate=16000, hop=128, delay=0, how="crash"))
    comparison = compare(clips, [crash, str(bad), Denoiser(FAKE)])
    first, second, good = comparison.results[1:]
    assert first.error == "it crashes: SIGABRT"
    assert second.error is not None
    assert "bad.rnnn" in second.error
    assert all(track.error == first.error for track in first.tracks)
    assert good.error is None
    assert [problem.split(":")[0] for problem in comparison.problems()] == ["crash", "bad"]
    with pytest.raises(ModelError, match=r"no candidate can be used: .*bad\.rnnn"):
        compare(clips, [str(bad)])


def test_a_foreign_library_is_compared_and_one_that_crashes_is_not_run(
    clips: Path, library: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("denoise_wrapper.compare.run.measure_cost", measure_cost)
    good, bad = library(2), library(1, "-DCRASH")
    comparison = compare(clips, [f"{good},name=theirs", bad])
    theirs, crashing = comparison.results[1:]
    assert crashing.error == "it crashes: SIGABRT"
    assert theirs.cost is not None
    assert theirs.cost.error is None
    assert list(theirs.model_sha256) == [good.name]
    assert theirs.delay_ms == 0.0  # its delay is known, and taken away as that of our own
    assert theirs.tracks[0].value("SPEECH") == pytest.approx(-6.02, abs=0.2)


def test_costs_are_measured_in_another_process() -> None:
    audio = voice(1.0).astype(np.float32)
    denoiser = Denoiser(FAKE)
    cost = measure_cost(Candidate("fake", denoiser.backend), audio, RATE)
    assert cost.error is None
    assert cost.latency_ms == pytest.approx(1000.0 * denoiser.latency(RATE) / RATE)
    assert 0.0 < cost.file_factor < 1.0
    assert 0.0 < cost.buffer_factor <= cost.buffer_p99_factor
    assert 0.0 < cost.load_ms < 10_000.0
    assert 0.0 <= cost.memory_mb < 1000.0
    raising = measure_cost(Candidate("x", Faulty("x", sample_rate=16000, hop=128, delay=0)), audio, RATE)
    assert raising.error == "RuntimeError: the network is upside down"
    assert math.isnan(raising.file_factor)

    class Local(FakeBackend):
        pass

    assert "cannot be given to a process of its own" in str(measure_cost(Candidate("x", Local()), audio, RATE).error)


def test_results_are_kept_where_asked_and_else_gone_with_the_comparison(clips: Path, tmp_path: Path) -> None:
    comparison = compare(clips, [Candidate("mine", FAKE)])
    path = only(comparison).tracks[0].audio
    assert path is not None
    kept = dataclasses.replace(comparison, date="today")
    del comparison
    gc.collect()
    assert path.exists()
    del kept
    gc.collect()
    assert not path.exists()
    out = tmp_path / "out"
    compare(clips, [Candidate("mine", FAKE)], keep=out)
    assert sorted(str(path.relative_to(out)) for path in out.rglob("*.wav")) == [
        "mine/a.wav",
        "mine/b.wav",
        "noisy/a.wav",
        "noisy/b.wav",
    ]
    with pytest.raises(FileError, match=r"a\.wav exists; overwrite=True"):
        compare(clips, [Candidate("mine", FAKE)], keep=out)
    compare(clips, [Candidate("mine", FAKE)], keep=out, overwrite=True)
    with pytest.raises(FileError, match="holds clips that are compared"):
        compare(clips, [Candidate("mine", FAKE)], keep=clips, overwrite=True)


def test_jobs_change_nothing_and_progress_tells_each_stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("denoise_wrapper.compare.run.measure_cost", lambda *_: Cost())
    folder = write_set(tmp_path / "set", {"a": 5.0})
    seen: list[tuple[str, int, int]] = []
    one = compare(folder, [Denoiser(FAKE)], progress=lambda *what: seen.append(what))
    two = compare(folder, [Denoiser(FAKE)], jobs=2)
    assert only(one).tracks[0].values == pytest.approx(only(two).tracks[0].values, abs=1e-6, nan_ok=True)
    assert list(dict.fromkeys(what for what, _, _ in seen)) == ["timing", "cleaning", "measuring"]
    assert [(done, total) for what, done, total in seen if what == "cleaning"] == [(0, 2), (1, 2), (2, 2)]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"mode": "live"}, "mode is 'file' or 'stream', not 'live'"),
        ({"jobs": 0}, "jobs is a number of threads"),
        ({"candidates": []}, "nothing was named to compare"),
    ],
)
def test_settings_that_mean_nothing_are_refused(clips: Path, settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        compare(clips, **{"candidates": [Denoiser(FAKE)], **settings})


def test_a_clip_of_no_frames_and_one_that_is_damaged_cost_only_themselves(clips: Path) -> None:
    soundfile.write(clips / "noisy" / "a.wav", np.zeros(0), RATE)
    path = clips / "noisy" / "b.wav"
    path.write_bytes(path.read_bytes()[:-1000])
    third = clips.parent / "c.wav"
    soundfile.write(third, voice(), RATE)
    comparison = compare([clips, third], [Denoiser(FAKE)])
    assert [clip.id for clip in comparison.clips] == ["a", "c"]
    assert "was cut short" in comparison.skipped[0]
    assert "holds no samples" in only(comparison).tracks[0].reasons["PESQ"]
    assert only(comparison).tracks[1].error is None
