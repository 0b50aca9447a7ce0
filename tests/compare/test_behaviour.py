"""Behaviour of a denoiser: each figure on denoisers whose answer is known, and the bars on the shipped ones."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import soundfile
from every_backend import SHIPPED
from fakes import FakeBackend, FakeState
from numpy.typing import NDArray
from require import require
from sets import RATE, write_set

for package in ("pesq", "pystoi", "soxr"):
    require(package, reason="metrics need their packages: pip install 'denoise-wrapper[metrics]'")

from denoise_wrapper import Denoiser, denoiser  # noqa: E402
from denoise_wrapper.cli import main as cli  # noqa: E402
from denoise_wrapper.compare.behaviour import FIGURES, behaviour, change_db, kept_db  # noqa: E402
from denoise_wrapper.compare.measure import probes  # noqa: E402
from denoise_wrapper.compare.measure.speech import at_labels, best_lag, find_onsets, roc_area, speech_labels  # noqa: E402
from denoise_wrapper.errors import AudioError, ConfigError  # noqa: E402

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
SEED = np.random.SeedSequence(7)


def speech_like(pauses_ms: list[int], words_ms: list[int], rate: int = RATE, floor_db: float = -80.0) -> Float64:
    """Pauses and words of a 300 Hz tone in turns, over quiet noise."""
    parts = []
    for pause, word in zip(pauses_ms, words_ms, strict=True):
        parts += [np.zeros(pause * rate // 1000), 0.1 * np.sin(2 * np.pi * 300 * np.arange(word * rate // 1000) / rate)]
    signal = np.concatenate(parts)
    return signal + 10 ** (floor_db / 20) * np.random.default_rng(SEED).standard_normal(len(signal))


# Labels and onsets.


def test_labels_are_where_the_words_are() -> None:
    labels = speech_labels(speech_like([300, 500], [200, 300]))
    wanted = np.zeros(130, np.bool_)
    wanted[30:50] = wanted[100:130] = True
    edges = np.flatnonzero(np.diff(wanted.astype(int))) + 1
    off = np.flatnonzero(labels != wanted)
    assert all(np.abs(edges - place).min() <= 1 for place in off)  # windows of 20 ms reach over an edge
    assert len(labels) == 130


@pytest.mark.parametrize(("gap_ms", "bridged"), [(60, True), (200, False)])
def test_short_pauses_are_part_of_a_word(gap_ms: int, bridged: bool) -> None:
    labels = speech_labels(speech_like([300, gap_ms], [300, 300]))
    assert labels[60 + gap_ms // 20] == bridged


def test_what_is_shorter_than_a_syllable_is_no_speech() -> None:
    signal = speech_like([300], [500])
    signal[1000:1080] += 0.05  # 5 ms
    assert not speech_labels(signal)[:25].any()


def test_hum_is_no_speech() -> None:
    signal = speech_like([1000], [500])
    hum = 0.1 * np.sin(2 * np.pi * 50 * np.arange(len(signal)) / RATE)
    np.testing.assert_array_equal(speech_labels(signal + hum)[:95], np.zeros(95, np.bool_))


def test_labels_do_not_depend_on_level() -> None:
    signal = speech_like([300, 500], [200, 300])
    np.testing.assert_array_equal(speech_labels(signal), speech_labels(signal * 0.01))


@pytest.mark.parametrize("rate", [16000, 44100, 48000])
def test_onsets_are_beginnings_after_a_long_enough_pause(rate: int) -> None:
    signal = speech_like([300, 150, 250], [300, 200, 300], rate)
    onsets = np.array(find_onsets(signal, rate)) / rate
    np.testing.assert_allclose(onsets, [0.3, 1.2], atol=0.005)  # 150 ms of pause are none


def test_a_click_is_no_onset_and_the_start_of_a_clip_neither() -> None:
    signal = speech_like([0, 1000], [300, 300])
    signal[round(0.8 * RATE)] = 0.5
    np.testing.assert_allclose(np.array(find_onsets(signal, RATE)) / RATE, [1.3], atol=0.005)


@pytest.mark.parametrize("find", [speech_labels, lambda clean: find_onsets(clean, RATE)])
def test_silence_has_no_speech_to_find(find: Callable[[Float64], object]) -> None:
    with pytest.raises(AudioError, match="silent"):
        find(np.zeros(RATE))


# The area under the curve.


def test_the_area_is_half_of_guesses_and_one_of_knowledge() -> None:
    rng = np.random.default_rng(SEED)
    labels = rng.random(20000) < 0.3
    assert roc_area(rng.random(20000), labels) == pytest.approx(0.5, abs=0.02)
    assert roc_area(np.full(20000, 0.7), labels) == pytest.approx(0.5)
    assert roc_area(labels.astype(np.float32), labels) == 1.0
    assert roc_area(-labels.astype(np.float32), labels) == 0.0
    assert math.isnan(roc_area(rng.random(5), np.ones(5, np.bool_)))


def test_the_area_counts_pairs() -> None:
    scores, labels = np.array([0.1, 0.4, 0.4, 0.8, 0.2]), np.array([False, True, False, True, False])
    pairs = [(a > b) + 0.5 * (a == b) for a in scores[labels] for b in scores[~labels]]
    assert roc_area(scores, labels) == pytest.approx(np.mean(pairs))


def test_one_lag_is_found_for_all_clips_and_only_of_those_allowed() -> None:
    rng = np.random.default_rng(SEED)
    clips = [np.repeat(rng.random(40) < 0.5, 25) for _ in range(3)]
    late = [(np.concatenate([np.zeros(2), labels[:-2]]), labels) for labels in clips]
    lag, area = best_lag(late, 0.01, range(4))
    assert lag == 2
    assert area > 0.998
    assert best_lag(late, 0.01, range(2))[0] == 1
    assert best_lag(late, 0.01, range(2))[1] < 0.99


def test_probabilities_of_other_hops_are_taken_where_the_label_lies() -> None:
    np.testing.assert_array_equal(at_labels(np.arange(5.0), 0.008, 4, 0), [0, 1, 3, 4])
    np.testing.assert_array_equal(at_labels(np.arange(3.0), 0.010, 3, 1), [1, 2, 2])


# Signals made by formula, through what is no denoiser.


def time_of(signal: Float64) -> Float64:
    return np.arange(len(signal)) / probes.RATE


def test_what_leaves_all_as_it_is_does_nothing_wrong() -> None:
    answers = probes.probe(lambda signal: signal)
    assert answers.silence_peak_db == answers.click_tail_db == answers.music_swing_db == probes.SILENT_DB
    assert answers.noise_wander_db < 0.6
    assert answers.noise_cut_db == answers.music_cut_db == answers.click_ms == 0.0


def test_what_mutes_all_pumps_not_either() -> None:
    answers = probes.probe(np.zeros_like)
    assert answers.music_swing_db == probes.SILENT_DB
    assert answers.noise_wander_db == answers.click_ms == 0.0
    assert answers.noise_cut_db == pytest.approx(-probes.HEARD_DB + np.mean(probes.NOISE_DB), abs=0.1)


def test_the_signals_are_as_loud_as_they_say_and_the_same_each_time() -> None:
    for make in (probes.music, lambda level: probes.noise(1.0, level, True), lambda level: probes.noise(1.0, level)):
        signal = make(-31.0)
        assert 10 * np.log10(np.mean(signal**2)) == pytest.approx(-31.0)
        np.testing.assert_array_equal(signal, make(-31.0))
        assert np.abs(probes.music(max(probes.MUSIC_DB))).max() < 1.0


@pytest.mark.parametrize("rate_hz", [1.0, 2.0, 4.0])
def test_a_pumping_gain_is_measured_in_decibels(rate_hz: float) -> None:
    song = probes.music(-20.0)
    small = 1 + 0.1 * np.sin(2 * np.pi * rate_hz * time_of(song))
    smoothed = np.sinc(rate_hz * probes.WINDOW_S)  # the window's own part in it
    assert probes.swing_db(song, song * small) == pytest.approx(20 * np.log10(0.1 * smoothed / np.sqrt(2)), abs=0.5)
    bar = FIGURES["music_swing_db"]
    assert bar.met(probes.swing_db(song, song * 10 ** (np.sin(2 * np.pi * rate_hz * time_of(song)) * 3 / 20))) is False


@pytest.mark.parametrize("rate_hz", [0.1, 20.0])
def test_what_is_slower_or_faster_than_pumping_is_none(rate_hz: float) -> None:
    song = probes.music(-20.0)
    gain = 1 + 0.2 * np.sin(2 * np.pi * rate_hz * time_of(song))
    assert probes.swing_db(song, song * gain) < -32


def test_the_same_cut_at_all_times_is_no_pumping() -> None:
    song = probes.music(-20.0)
    assert probes.swing_db(song, 0.1 * song) < -100


def test_noise_that_comes_and_goes_wanders() -> None:
    steady = probes.noise(4.0, -30.0)
    gated = np.where(time_of(steady) % 1.0 < 0.5, 1.0, 0.1) * steady
    assert probes.wander_db(steady) < 0.2
    assert probes.wander_db(gated) == pytest.approx(10.0, abs=0.5)
    assert probes.wander_db(1e-3 * gated) == 0.0  # nobody hears that
    settling = np.where(time_of(steady) < 1.0, 1.0, 0.1) * steady
    assert probes.wander_db(settling) < 0.2  # a second is for that


def test_what_rings_on_into_silence_is_told() -> None:
    def ring(signal: Float64) -> Float64:  # 60 dB a second
        late = np.exp(-np.log(1000.0) * np.arange(probes.RATE) / probes.RATE)
        size = len(signal) + len(late)
        return np.fft.irfft(np.fft.rfft(signal, size) * np.fft.rfft(late, size), size)[: len(signal)]

    assert probes.silence_peak_db(ring) > -60
    assert probes.silence_peak_db(lambda signal: np.concatenate([np.zeros(4800), signal[:-4800]])) == probes.SILENT_DB
    assert FIGURES["click_tail_db"].met(probes.probe(ring).click_tail_db) is False
    assert probes.silence_peak_db(lambda signal: signal + 1e-3) == pytest.approx(-60)


@pytest.mark.parametrize("held_s", [0.0, 0.1, 0.5, 5.0])
def test_a_gain_that_swings_after_a_click_is_timed(held_s: float) -> None:
    def open_by_clicks(signal: Float64) -> Float64:  # noise passes only for a time after something loud
        loud = np.flatnonzero(np.abs(signal) > 0.1)
        gain = np.full(len(signal), 0.5)
        if len(loud):
            gain[loud[0] : loud[-1] + round(held_s * probes.RATE)] = 1.0
        return gain * signal

    answers = probes.click_ms(open_by_clicks)
    wanted = min(max(0.0, 1000 * held_s), 1960)
    assert answers == pytest.approx(wanted, abs=30)
    assert FIGURES["click_ms"].met(answers) == (held_s < 0.2)


# Sets.


@dataclass(frozen=True)
class Eater(FakeBackend):
    """Passes all, but for the first hops of each stretch of loud ones, which it turns down by 20 dB."""

    eaten: int = 3

    def new_state(self, channels: int) -> FakeState:
        return EaterState(self, channels)


class EaterState(FakeState):
    run = 0

    def process(self, block: Float32, min_gain: float = 0.0) -> tuple[Float32, Float32]:
        assert isinstance(self.backend, Eater)
        block = block.copy()
        for hop in np.split(block, block.shape[1] // self.backend.hop, axis=1):
            self.run = self.run + 1 if np.sqrt(np.mean(hop**2)) > 1e-3 else 0
            if 0 < self.run <= self.backend.eaten:
                hop *= 0.1
        return super().process(block, min_gain)


@pytest.fixture
def words(tmp_path: Path) -> Path:
    """Two clips of words and pauses, and noise 20 dB below the words."""
    folder = write_set(tmp_path / "set", {"a": 10.0, "b": 10.0})
    rng = np.random.default_rng(SEED)
    for name in ("a", "b"):
        clean = speech_like([330, 450, 300], [400, 300, 600])
        soundfile.write(folder / "clean" / f"{name}.wav", clean, RATE, "FLOAT")
        noisy = clean + 0.007 * rng.standard_normal(len(clean))
        soundfile.write(folder / "noisy" / f"{name}.wav", noisy, RATE, "FLOAT")
    return folder


PASSES = FakeBackend("passes", gain=1.0)


def test_what_passes_all_meets_each_bar(words: Path) -> None:
    result = behaviour(words, Denoiser(PASSES))
    assert result.missed() == []
    assert result.figures["clean_pesq"] > 4.6
    assert result.figures["clean_sisdr_db"] > 60
    assert result.figures["onsets"] == 6
    assert result.figures["onset_mean_db"] == pytest.approx(0.0, abs=0.01)
    assert result.figures["onset_kept"] == 1.0
    assert result.figures["noisy_onset_db"] == pytest.approx(0.0, abs=0.5)
    assert result.figures["vad_auc"] > 0.98  # its probability is the level
    assert [clip.clip.id for clip in result.clips] == ["a", "b"]
    assert behaviour(words, Denoiser(PASSES), jobs=2).figures == pytest.approx(result.figures)


def test_a_gate_that_eats_beginnings_misses_the_bar(words: Path) -> None:
    result = behaviour(words, Denoiser(Eater("eater", gain=1.0)))
    assert {"onset_mean_db", "onset_kept"} <= set(result.missed())
    assert result.figures["onset_kept"] == 0.0
    assert -20 < result.figures["onset_mean_db"] < -5
    assert result.figures["onset_p5_db"] <= result.figures["onset_mean_db"]


def test_a_voice_that_guesses_has_half_the_area(words: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(SEED)

    def guess(self: Denoiser, audio: Float64, rate: int) -> tuple[Float64, NDArray[np.float32]]:
        return np.zeros(0), rng.random(len(audio) * 100 // rate).astype(np.float32)

    monkeypatch.setattr(denoiser.Denoiser, "speech_probability", guess)
    result = behaviour(words, Denoiser(PASSES))
    assert result.figures["vad_auc"] == pytest.approx(0.5, abs=0.12)
    assert result.missed() == ["vad_auc"]


def test_a_backend_without_a_voice_is_measured_but_for_that(words: Path) -> None:
    result = behaviour(words, Denoiser(FakeBackend("dumb", gain=1.0, has_vad=False)))
    assert math.isnan(result.figures["vad_auc"])
    assert math.isnan(result.figures["vad_lag_ms"])
    assert result.missed() == []


def test_change_and_share_are_in_decibels() -> None:
    rng = np.random.default_rng(SEED)
    clean, other = rng.standard_normal((2, 100000))
    assert change_db(clean, 0.5 * clean) == pytest.approx(-6.02, abs=0.01)
    assert kept_db(clean, 0.5 * clean + 0.5 * other) == pytest.approx(-6.02, abs=0.2)
    assert change_db(clean, 0 * clean) == kept_db(clean, -clean) == -60


def test_a_clip_that_is_silent_is_told_and_the_others_count(
    words: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    soundfile.write(words / "clean" / "b.wav", np.zeros(RATE), RATE)
    assert cli.main(["evaluate", "--behaviour", "--set", str(words), "--csv", str(tmp_path / "r.csv")]) == 2
    assert "not measured, all of b: the clip is silent" in capsys.readouterr().out
    rows = list(csv.DictReader((tmp_path / "r.csv").open(newline="")))
    assert [row["not_measured"] for row in rows if row["clip"] == "b"] != [""]
    assert next(row["value"] for row in rows if row["figure"] == "onsets" and not row["clip"]) == "3.0000"


# The command.


def test_the_table_the_csv_and_the_json_say_the_same(
    words: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = ["--csv", str(tmp_path / "r.csv"), "--json", str(tmp_path / "r.json")]
    assert cli.main(["evaluate", "--behaviour", "--clips", "--set", str(words), "--mix", "0.9", *files]) == 0
    lines = capsys.readouterr().out.splitlines()
    written = json.loads((tmp_path / "r.json").read_text())
    rows = [row for row in csv.DictReader((tmp_path / "r.csv").open(newline="")) if not row["clip"]]
    assert lines[0] == f"rnnoise on {words}: 2 clips"
    assert [line.split(":")[0] for line in lines[1:3]] == ["a", "b"]
    assert [row["figure"] for row in rows] == list(written["figures"]) == list(FIGURES)
    for line, row in zip(lines[3:], rows, strict=True):
        exact = written["figures"][row["figure"]]
        assert line.split()[:2] == [row["figure"], f"{exact:.3f}"]
        assert float(row["value"]) == pytest.approx(exact, abs=6e-5)  # both are rounded, to other places
        bar = written["bars"].get(row["figure"])
        assert line.endswith("MISSED") == bool(bar and not bar["met"])
        assert row["met"] == ("" if bar is None else str(bar["met"]).lower())
    assert written["settings"]["mix"] == 0.9
    assert len(written["model_sha256"]["rnnoise"]) == 64


@pytest.mark.parametrize(
    ("options", "named"),
    [(["-o", "x"], "-o"), (["--denoised", "."], "--denoised"), (["--backend", "noisy"], "--backend noisy")],
)
def test_only_a_backend_as_it_runs_behaves(
    words: Path, capsys: pytest.CaptureFixture[str], options: list[str], named: str
) -> None:
    assert cli.main(["evaluate", "--behaviour", "--set", str(words), *options]) == 2
    assert f"{named}: --behaviour is of one backend" in capsys.readouterr().err


def test_jobs_are_one_or_more(words: Path) -> None:
    with pytest.raises(ConfigError, match="jobs is a number of threads"):
        behaviour(words, Denoiser(PASSES), jobs=0)


# What is shipped.

# Every bar is that of the default and of the enhancers; of the others, what does not depend on the network's size.
OWED = {name: set(FIGURES) for name in ("rnnoise", "enhancer", "enhancer-tiny", "enhancer-live")}
KEPT_BY_ALL = {"silence_peak_db", "click_tail_db", "onset_mean_db", "clean_pesq"}


@pytest.mark.parametrize("name", SHIPPED)
def test_the_shipped_backends_behave(shared: Path, name: str) -> None:
    result = behaviour(shared / "dev", Denoiser(name), jobs=2)
    owed = OWED.get(name, KEPT_BY_ALL)
    missed = {figure: result.figures[figure] for figure in result.missed() if figure in owed}
    assert missed == {}
    assert result.figures["onsets"] >= 80
    assert [clip.error for clip in result.clips] == [None] * 30
    assert {figure for figure in owed if FIGURES[figure].met(result.figures[figure])} >= KEPT_BY_ALL
