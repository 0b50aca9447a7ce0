"""Invariants of every mixture at any rate, and each thing that may happen to one."""

from __future__ import annotations

import dataclasses
import math
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import scipy.signal
import soundfile
from training_packs import MIX, write_packs

from denoise_wrapper.training.config import DataConfig, MixConfig
from denoise_wrapper.training.data import decoding
from denoise_wrapper.training.data.corpus import Corpus, open_corpora
from denoise_wrapper.training.data.decoding import Samples, decode
from denoise_wrapper.training.mix import mixing
from denoise_wrapper.training.mix.filters import (
    change_speed,
    low_pass,
    random_filter,
    round_speed,
    run_room,
    run_sections,
)
from denoise_wrapper.training.mix.mixing import Float32, Mixer, active_level, frame_energies
from denoise_wrapper.training.mix.noises import cycles
from denoise_wrapper.training.mix.rooms import simulate_room

RATES = (16000, 32000, 48000)
PLAIN = dataclasses.replace(
    MIX, noise_only_share=0.0, speech_only_share=0.0, room_share=0.0, band_limit_share=0.0, clipped_share=0.0,
    silence_share=0.0, filter_share=0.0, expand_below_db=-200.0, speed_share=0.0, two_voices_share=0.0,
)  # fmt: skip
ALONE = dataclasses.replace(PLAIN, speech_only_share=1.0)  # speech without noise


@pytest.fixture(scope="module")
def corpora(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Corpus]:
    """The training side of small packs, at each rate."""
    folder = tmp_path_factory.mktemp("packs")
    speech, noise = write_packs(folder)
    data = DataConfig((speech,), (noise,), validation=0.3)
    return {rate: open_corpora(data, rate, folder / "work", 1)[0] for rate in RATES}


def db(power: float) -> float:
    return float(10.0 * np.log10(max(power, 1e-20)))


def power_above(signal: Float32, limit_hz: float, rate: int) -> float:
    """The share of a signal's power above limit_hz, dB."""
    power = np.abs(np.fft.rfft(signal * np.hanning(len(signal)))) ** 2
    return db(power[np.fft.rfftfreq(len(signal), 1.0 / rate) > limit_hz].sum() / power.sum())


@pytest.mark.parametrize("rate", RATES)
def test_mixtures_at_every_rate_are_whole_and_finite(corpora: dict[int, Corpus], rate: int) -> None:
    """Everything that may happen to a clip happens to most of these."""
    config = MixConfig(clip_s=1.0, room_share=0.6, clipped_share=0.5, silence_share=0.5, babble_share=0.3,
                       formula_share=0.3, music_share=0.2, noise_only_share=0.2, band_limit_share=0.7)  # fmt: skip
    mixer = Mixer(corpora[rate], config, 1)
    assert (mixer.rate, mixer.length) == (rate, rate)
    for index in range(40):
        mix = mixer.clip(index)
        assert mix.noisy.shape == mix.clean.shape == (rate,)
        assert mix.voice.shape == (100,)
        assert mix.noisy.dtype == mix.clean.dtype == np.float32
        assert np.isfinite(mix.noisy).all()
        assert np.isfinite(mix.clean).all()
        assert np.abs(mix.noisy).max() <= 1.0


@pytest.mark.parametrize("rate", RATES)
def test_ratios_and_levels_span_what_is_asked_for(corpora: dict[int, Corpus], rate: int) -> None:
    mixer = Mixer(corpora[rate], dataclasses.replace(PLAIN, speech_db=(-45.0, -30.0)), 1)
    ratios, levels = [], []
    for index in range(40):
        mix = mixer.clip(index)
        ratios.append(db(np.mean(mix.clean**2) / np.mean((mix.noisy - mix.clean) ** 2)))
        levels.append(db(active_level(frame_energies(mix.clean, rate // 100)) ** 2))
    assert -5.3 <= min(ratios) < 1.0
    assert 19.0 < max(ratios) <= 25.3
    assert -45.1 <= min(levels) < -42.0
    assert -33.0 < max(levels) <= -29.9


def test_a_ratio_over_speech_is_that_of_the_frames_that_hold_some(corpora: dict[int, Corpus]) -> None:
    gaps = dataclasses.replace(PLAIN, clip_s=2.0, gap_s=(0.5, 0.6), snr_db=(6.0, 6.0), formula_share=1.0,
                               babble_share=0.0, second_noise_share=0.0)  # fmt: skip
    over_speech, over_all = (Mixer(corpora[16000], dataclasses.replace(gaps, segmental_snr=over), 1)
                             for over in (True, False))  # fmt: skip
    for index in range(10):
        mix = over_speech.clip(index)
        spoken, noise = (frame_energies(signal, 160) for signal in (mix.clean, mix.noisy - mix.clean))
        active = spoken > 1e-3 * spoken.max()
        ratio_db = db(spoken[active].mean()) - db(noise[active].mean())
        assert ratio_db == pytest.approx(6.0, abs=0.1) or noise[active].mean() < 0.02 * noise.mean()
        assert not np.array_equal(mix.noisy, over_all.clip(index).noisy)


def test_an_offset_is_heard_and_not_wanted(corpora: dict[int, Corpus]) -> None:
    config = dataclasses.replace(PLAIN, dc_share=1.0, dc=(0.01, 0.02))
    offsets = []
    for index in range(12):
        mix, without = (Mixer(corpora[16000], one, 1).clip(index) for one in (config, PLAIN))
        assert abs(mix.clean.mean()) < 2e-3
        offsets.append(float(np.mean(mix.noisy - without.noisy)))
    assert all(0.0098 < abs(offset) < 0.0202 for offset in offsets)
    assert min(offsets) < 0.0 < max(offsets)


def test_clips_without_the_newer_settings_are_what_they_were_before(
    corpora: dict[int, Corpus], monkeypatch: pytest.MonkeyPatch
) -> None:
    mixer = Mixer(corpora[16000], dataclasses.replace(MIX, clipped_share=0.5, silence_share=0.5), 1)
    clips = [mixer.clip(index) for index in range(8)]
    monkeypatch.setattr(mixer, "offset", lambda rng: np.float32(0.0))  # no number is drawn
    monkeypatch.setattr(mixer, "compared_levels", lambda raw, noise: (mixing.rms(raw), mixing.rms(noise)))
    for index, clip in enumerate(clips):
        np.testing.assert_array_equal(mixer.clip(index).noisy, clip.noisy)


@pytest.mark.parametrize("rate", RATES)
def test_a_band_limit_leaves_nothing_above_it(corpora: dict[int, Corpus], rate: int) -> None:
    limited = dataclasses.replace(PLAIN, band_limit_share=1.0, band_limits_hz=(3400.0,))
    for index in range(3):
        mix = Mixer(corpora[rate], limited, 1).clip(index)
        assert power_above(mix.noisy, 4000.0, rate) < -55.0  # what 16 bits leave
        assert power_above(Mixer(corpora[rate], PLAIN, 1).clip(index).noisy, 4000.0, rate) > -40.0


@pytest.mark.parametrize("rate", RATES)
def test_a_measured_room_is_heard_and_its_echo_is_not_wanted(corpora: dict[int, Corpus], rate: int) -> None:
    room = np.zeros(rate // 10, np.float32)
    room[0], room[rate // 20] = 1.0, 0.5
    corpus = dataclasses.replace(corpora[rate], rooms=(room,))
    mixer = Mixer(corpus, dataclasses.replace(ALONE, room_share=1.0, measured_room_share=1.0), 1)
    for index in range(3):
        mix = mixer.clip(index)
        echo = 0.5 * np.pad(mix.clean, (rate // 20, 0))[:rate]
        assert np.abs(echo).max() > 1e-3
        np.testing.assert_allclose(mix.noisy, mix.clean + echo, atol=2e-5)


def test_simulated_rooms_decay_within_the_times_asked_for() -> None:
    """Slope of the energy still to come, -5 to -25 dB: shorter than the longest decay, as treble dies sooner."""
    times = []
    for seed in range(40):
        room = simulate_room(np.random.default_rng(seed), 16000)
        late = np.cumsum(room[::-1].astype(np.float64) ** 2)[::-1][16 * 31 :]
        curve = 10.0 * np.log10(late / late[0] + 1e-12)
        first, last = int(np.argmax(curve < -5.0)), int(np.argmax(curve < -25.0))
        times.append(60.0 / 20.0 * (last - first) / 16000.0)
    assert 0.1 < min(times) < 0.25
    assert 0.6 < max(times) < 0.85


def test_a_simulated_room_is_heard_where_there_is_no_measured_one(corpora: dict[int, Corpus]) -> None:
    mix = Mixer(corpora[16000], dataclasses.replace(ALONE, room_share=1.0), 1).clip(0)
    assert db(np.mean((mix.noisy - mix.clean) ** 2) / np.mean(mix.clean**2)) > -30.0


def flat_share(signal: Float32) -> float:
    """Share of the samples at the peak."""
    return float(np.mean(np.abs(signal) > 0.999 * np.abs(signal).max()))


def test_clipped_peaks_are_flat(corpora: dict[int, Corpus]) -> None:
    shares = [
        np.mean([flat_share(Mixer(corpora[16000], config, 1).clip(index).noisy) for index in range(8)])
        for config in (PLAIN, dataclasses.replace(PLAIN, clipped_share=1.0))
    ]
    assert shares[0] < 0.002 < 0.005 < shares[1]


def longest_silence(signal: Float32) -> int:
    edges = np.flatnonzero(np.diff(np.concatenate([[1], signal != 0.0, [1]])))
    return int(np.max(np.diff(edges)[::2], initial=0))


def test_digital_silence_is_silent_on_both_sides(corpora: dict[int, Corpus]) -> None:
    for index in range(5):
        mix = Mixer(corpora[16000], dataclasses.replace(PLAIN, clip_s=4.0, silence_share=1.0), 1).clip(index)
        silent = longest_silence(mix.noisy)
        assert 100 < silent < 2 * 16000 + 10
        assert longest_silence(mix.clean) >= silent
        assert longest_silence(Mixer(corpora[16000], PLAIN, 1).clip(index).noisy) < 100


def test_babble_is_several_voices(corpora: dict[int, Corpus]) -> None:
    """The made voices hum at 100, 130, 160 and 190 Hz."""
    corpus = corpora[16000]
    mixer = Mixer(corpus, dataclasses.replace(PLAIN, clip_s=4.0, babble_share=1.0), 1)
    pitches = [100.0 + 30.0 * int(voice.name[-1]) for voice in corpus.voices]
    frequency = np.fft.rfftfreq(mixer.length, 1.0 / 16000.0)
    counts = []
    for seed in range(10):
        noise, _ = mixer.one_noise(np.random.default_rng(seed))
        assert np.sqrt(np.mean(noise**2)) == pytest.approx(1.0, rel=1e-3)
        power = np.abs(np.fft.rfft(noise)) ** 2
        counts.append(sum(power[np.abs(frequency - pitch) < 8.0].sum() > 0.02 * power.sum() for pitch in pitches))
    assert np.mean(counts) > 2.0


def test_computed_noise_comes_in_its_share(corpora: dict[int, Corpus], monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def formula_noise(rng: np.random.Generator, length: int, rate: int) -> Float32:
        asked.append(rate)
        return np.ones(length, np.float32)

    monkeypatch.setattr(mixing, "formula_noise", formula_noise)
    mixer = Mixer(corpora[16000], dataclasses.replace(PLAIN, babble_share=0.2, formula_share=0.4, swell_share=0.0), 1)
    rng = np.random.default_rng(1)
    computed = sum(bool((mixer.one_noise(rng)[0] == 1.0).all()) for _ in range(200))
    assert computed == len(asked)
    assert 60 < computed < 100
    assert set(asked) == {16000}


def test_music_comes_in_its_share_and_without_it_all_is_mixed_as_before(
    corpora: dict[int, Corpus], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = dataclasses.replace(PLAIN, babble_share=0.2, formula_share=0.2, swell_share=0.0)
    plain = [Mixer(corpora[16000], settings, 1).one_noise(np.random.default_rng(seed))[0] for seed in range(60)]
    monkeypatch.setattr(mixing, "music", lambda rng, length, rate: np.ones(length, np.float32))
    mixer = Mixer(corpora[16000], dataclasses.replace(settings, music_share=0.3), 1)
    mixed = [mixer.one_noise(np.random.default_rng(seed))[0] for seed in range(60)]
    songs = sum(bool((noise == 1.0).all()) for noise in mixed)
    assert 8 < songs < 30
    assert sum(np.array_equal(one, other) for one, other in zip(plain, mixed, strict=True)) == 60 - songs


@pytest.mark.parametrize("rate", RATES)
def test_short_and_silent_recordings_are_no_obstacle(tmp_path: Path, rate: int) -> None:
    """Files of one sample, a recording that is silence between two that sound, and a silent file."""
    rng = np.random.default_rng(1)
    for name in ("speech", "noise"):
        (tmp_path / name).mkdir()
        for number in range(4):
            loud = 0.1 * rng.standard_normal(3000)
            part = (loud[:1], loud[:50], np.concatenate([loud, np.zeros(9000), loud]), np.zeros(100))[number]
            soundfile.write(tmp_path / name / f"{name}{number}.wav", part, 16000)
    rows = ["file,start_s,end_s,voice", *(f"speech{number}.wav,0,0.1,{number}" for number in range(4))]
    rows += ["speech2.wav,0.3,0.6,2", "speech2.wav,0.3,0.3,2", "speech2.wav,0.7,99,2"]
    (tmp_path / "speech" / "segments.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    data = DataConfig((tmp_path / "speech",), (tmp_path / "noise",))
    config = dataclasses.replace(MIX, babble_share=0.4, room_share=0.5, noise_only_share=0.0)
    for corpus in open_corpora(data, rate, tmp_path / "work", 1):
        mixer = Mixer(corpus, config, 1)
        for index in range(12):
            mix = mixer.clip(index)
            assert len(mix.noisy) == len(mix.clean) == rate
            assert np.isfinite(mix.noisy).all()
            assert np.isfinite(mix.clean).all()


@pytest.mark.parametrize("rate", [8000, *RATES])
@pytest.mark.parametrize("length", [1, 100, 12345, 100000])
def test_filters_and_rooms_are_those_of_scipy(rate: int, length: int) -> None:
    rng = np.random.default_rng(length)
    signal, other = rng.standard_normal((2, length)).astype(np.float32)
    room = simulate_room(rng, rate)
    for peaks in range(8):
        sections = random_filter(rng, rate, peaks)
        plain, beside = (scipy.signal.sosfilt(sections, part.astype(np.float64)) for part in (signal, other))
        alone, one, two = signal.copy(), signal.copy(), other.copy()
        run_sections(sections, alone)
        run_sections(sections, one, two)
        np.testing.assert_array_equal(alone, one)
        assert difference(one, plain) < -120.0
        assert difference(two, beside) < -120.0
    assert difference(run_room(signal, room), scipy.signal.fftconvolve(signal.astype(np.float64), room)[:length]) < -100
    steep = scipy.signal.sosfilt(scipy.signal.ellip(10, 0.1, 80.0, 3400.0, fs=rate, output="sos"), signal)
    low_pass(3400.0, rate, signal)
    assert difference(signal, steep) < -60.0


def test_a_filter_rings_on_into_silence_and_ends() -> None:
    signal = np.zeros(400000, np.float32)
    signal[0] = 1.0
    run_sections(random_filter(np.random.default_rng(0), 48000, 3), signal)
    assert np.count_nonzero(signal[:100]) == 100
    assert not signal[-1000:].any()


@pytest.mark.parametrize("speed", [0.6, 0.72, 1.0, 1.17, 1.6])
def test_a_tone_at_another_speed_is_that_tone_higher_or_lower_and_aliases_are_gone(speed: float) -> None:
    speed = round_speed(speed)
    at = np.arange(20000)
    for cycles_a_sample, kept in ((0.01, True), (0.3 / max(speed, 1.0), True), (0.49, False)):
        tone = np.sin(2.0 * np.pi * cycles_a_sample * at).astype(np.float32)
        result = change_speed(tone, speed)
        assert len(result) == math.ceil(len(tone) / speed)
        middle = slice(1000, len(result) - 1000)
        exact = np.sin(2.0 * np.pi * cycles_a_sample * speed * np.arange(len(result)))
        if kept:
            assert difference(result[middle], exact[middle]) < -60.0
        elif speed > 1.1:
            assert db(float(np.mean(result[middle] ** 2))) < -80.0


def difference(one: Float32, other: np.ndarray) -> float:
    """Difference of two signals, dB of the second's power."""
    assert one.shape == other.shape
    assert one.dtype == np.float32
    return db(np.mean((one - other) ** 2) / np.mean(other**2))


def test_the_phase_of_a_tone_does_not_drift() -> None:
    exact = np.arange(60 * 48000) * (7999.9 / 48000.0)
    error = cycles(7999.9, 60 * 48000, 48000) - exact
    assert np.abs(error - np.rint(error)).max() < 1e-3


def decoded(path: Path, rate: int, target: Path) -> np.ndarray:
    with target.open("wb") as stream:
        decode(path, rate, stream)
    return Samples(target).array


@pytest.mark.parametrize("rate", [16000, 48000])
def test_decoding_by_blocks_is_decoding_at_once(tmp_path: Path, rate: int, monkeypatch: pytest.MonkeyPatch) -> None:
    audio = 0.1 * np.random.default_rng(1).standard_normal((30000, 2))
    soundfile.write(tmp_path / "audio.wav", audio, 16000)
    whole = decoded(tmp_path / "audio.wav", rate, tmp_path / "whole")
    monkeypatch.setattr(decoding, "BLOCK", 4096)
    parts = decoded(tmp_path / "audio.wav", rate, tmp_path / "parts")
    assert len(whole) == 30000 * rate // 16000
    np.testing.assert_allclose(parts, whole, atol=1)


def test_decoding_takes_no_more_memory_for_a_longer_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "BLOCK", 1 << 14)
    monkeypatch.setattr(decoding, "SPECTRA", 50)
    peaks = []
    for seconds in (20, 200):
        soundfile.write(tmp_path / "audio.wav", np.random.default_rng(1).uniform(-0.1, 0.1, seconds * 16000), 16000)
        tracemalloc.start()
        decoded(tmp_path / "audio.wav", 8000, tmp_path / "target")
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.3 * peaks[0] < 2 * seconds * 16000 / 2
