"""Signals made by formula whose right answer is known, and figures of the answers: silence, noise, music, a click.

Mono at 48 kHz, float64 (n,), full scale +-1; the same numbers each time. Levels are in dB of full scale, a square wave
of full scale having 0. Where speech of -26 dB is heard at 65 dB SPL, HEARD_DB is the quiet of a room: what is below
counts as that much.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from denoise_wrapper.compare.measure.metrics import Float64

Clean = Callable[[Float64], Float64]

RATE = 48000
SILENT_DB = -200.0  # what zeros are called
HEARD_DB = -60.0
SETTLE_S = 1.0  # a denoiser may take so long to know a noise
NOISE_DB = (-26.0, -36.0, -46.0)  # as loud as speech, and 10 and 20 dB less
MUSIC_DB = (-20.0, -46.0)
CLICK_NOISE_DB, CLICK_PEAK = -50.0, 0.5
CLICK_AT_S, CLICK_WINDOW_S, CLICK_LATE_S = 1.0, 0.05, 0.2
BACK_DB = 3.0  # a level that is so near to what it would be is back
WINDOW_S, STEP_S = 0.1, 0.01  # of the levels of music
BAND_HZ = (0.5, 8.0)  # of swings that are heard as pumping


@dataclass(frozen=True)
class Probes:
    """Figures of what a denoiser makes of the signals.

    silence_peak_db: the loudest sample that it makes of zeros, before any sound and from 100 ms after noise on.
    noise_wander_db: by how much its level of steady noise wanders, see `wander_db`, of white and pink noise of three
    levels the worst. noise_cut_db: by how much it makes such noise quieter, the mean in dB.
    music_swing_db: how much of music comes and goes, see `swing_db`, the worse of two levels. music_cut_db: by how much
    it makes music quieter, in dB the mean over time and both.
    click_tail_db: the loudest sample from 200 ms after a click in silence on. click_ms: in low noise, after how long
    the level is for good what it is without the click, see `click_ms`.
    """

    silence_peak_db: float
    noise_wander_db: float
    noise_cut_db: float
    music_swing_db: float
    music_cut_db: float
    click_tail_db: float
    click_ms: float


def probe(clean: Clean) -> Probes:
    """Measure what a denoiser makes of each signal. clean: takes (n,) and gives it cleaned, in time, (n,)."""
    noises = [noise(4.0, level, pink) for level in NOISE_DB for pink in (False, True)]
    song = music(0.0)
    songs = [song * 10.0 ** (level / 20.0) for level in MUSIC_DB]
    cleaned_noises, cleaned_songs = [clean(one) for one in noises], [clean(song) for song in songs]
    pairs = list(zip(songs, cleaned_songs, strict=True))
    return Probes(
        silence_peak_db=silence_peak_db(clean),
        noise_wander_db=max(wander_db(one) for one in cleaned_noises),
        noise_cut_db=float(np.mean([_cut_db(a, b) for a, b in zip(noises, cleaned_noises, strict=True)])),
        music_swing_db=max(swing_db(before, after) for before, after in pairs),
        music_cut_db=float(np.mean([_cut_db(before, after) for before, after in pairs])),
        click_tail_db=_peak_db(clean(click())[round((CLICK_AT_S + CLICK_LATE_S) * RATE) :]),
        click_ms=click_ms(clean),
    )


def noise(seconds: float, level_db: float, pink: bool = False, seed: int = 1) -> Float64:
    """Steady noise of that level: white, or of equal power in every octave above 20 Hz."""
    count = round(seconds * RATE)
    spectrum = np.fft.rfft(np.random.default_rng(seed).standard_normal(count))
    if pink:
        frequencies = np.fft.rfftfreq(count, 1.0 / RATE)
        spectrum *= np.where(frequencies < 20.0, 0.0, 1.0 / np.sqrt(np.maximum(frequencies, 20.0)))
    return _to_level(np.fft.irfft(spectrum, count), level_db)


def music(level_db: float) -> Float64:
    """Eight seconds: four chords held for two each, and on top of them their notes struck one by one, four a second."""
    song, time = np.zeros(8 * RATE), np.arange(2 * RATE) / RATE
    for number, chord in enumerate(((57, 60, 64), (53, 57, 60), (48, 55, 64), (55, 59, 62))):  # keys: 57 is A3
        held = np.clip(time / 0.05, 0.0, 1.0) * np.clip((2.0 - time) / 0.05, 0.0, 1.0)
        sound = held * sum(_tone(key, time, 6) for key in chord) / 3.0
        for strike in range(8):
            since = time[: len(time) - strike * RATE // 4]
            struck = np.clip(since / 0.005, 0.0, 1.0) * np.exp(-since / 0.15)
            sound[len(time) - len(since) :] += struck * _tone(chord[strike % 3] + 12, since, 4)
        song[number * len(time) : (number + 1) * len(time)] = sound
    return _to_level(song, level_db)


def _tone(key: int, time: Float64, harmonics: int) -> Float64:
    """A sum of sines, by powers of the first."""
    turn = np.exp(2j * np.pi * 440.0 * 2.0 ** ((key - 69) / 12.0) * time)
    tone, harmonic = np.zeros(len(time)), np.ones(len(time), np.complex128)
    for number in range(1, harmonics + 1):
        harmonic *= turn
        tone += (np.exp(1j * number) * harmonic).imag / number**1.5
    return tone


def click() -> Float64:
    """A click of 1 ms at 2 kHz, 1 s into 3 s of silence."""
    signal, time = np.zeros(3 * RATE), np.arange(RATE // 1000) / RATE
    first = round(CLICK_AT_S * RATE)
    signal[first : first + len(time)] = CLICK_PEAK * np.exp(-time / 2.5e-4) * np.cos(2.0 * np.pi * 2000.0 * time)
    return signal


def _to_level(signal: Float64, level_db: float) -> Float64:
    return np.asarray(signal * (10.0 ** (level_db / 20.0) / np.sqrt(np.mean(signal**2))))


def silence_peak_db(clean: Clean) -> float:
    """The loudest sample made of silence: of what is before noise, and from 100 ms after it on."""
    second, guard = np.zeros(RATE), RATE // 10
    out = clean(np.concatenate([second, noise(1.0, -20.0), second]))
    return max(_peak_db(out[: RATE - guard]), _peak_db(out[2 * RATE + guard :]))


def _peak_db(signal: Float64) -> float:
    return max(SILENT_DB, float(20.0 * np.log10(np.abs(signal).max() + 1e-30)))


def levels_db(signal: Float64, window_s: float, step_s: float) -> Float64:
    """The level of each window, a step after the other."""
    window, step = round(window_s * RATE), round(step_s * RATE)
    frames = np.lib.stride_tricks.sliding_window_view(signal, window)[::step]
    return np.asarray([10.0 * np.log10(max(float(np.mean(frame**2)), 10.0 ** (SILENT_DB / 10.0))) for frame in frames])


def wander_db(signal: Float64) -> float:
    """The standard deviation of the levels of 100 ms after the first second; that of steady noise is 0.1 to 0.4."""
    return float(np.maximum(levels_db(signal[round(SETTLE_S * RATE) :], 0.1, 0.1), HEARD_DB).std())


def swing_db(before: Float64, after: Float64) -> float:
    """The part of a signal that comes and goes from 0.5 to 8 times a second, in dB of the signal.

    The gain over 100 ms as a factor, from 1 s on, and of its swings in that band the standard deviation. Nothing swings
    if all passes, or nothing, or the same share at all times: SILENT_DB. A gain that goes up and down by 1 dB about
    that of 1 has -22 dB, one that opens and closes some -6 dB (the fastest a little less, as 100 ms smooth them).
    """
    skip = round(SETTLE_S * RATE)
    before_db, after_db = (levels_db(signal[skip:], WINDOW_S, STEP_S) for signal in (before, after))
    gain = 10.0 ** ((after_db - before_db) / 20.0) * (after_db > SILENT_DB)
    there_and_back = np.concatenate([gain, gain[::-1]])  # so that slow changes end where they began
    spectrum = np.fft.rfft(there_and_back)
    frequencies = np.fft.rfftfreq(len(there_and_back), STEP_S)
    spectrum[(frequencies < BAND_HZ[0]) | (frequencies > BAND_HZ[1])] = 0.0
    return max(SILENT_DB, float(20.0 * np.log10(np.fft.irfft(spectrum).std() + 1e-30)))


def _cut_db(before: Float64, after: Float64) -> float:
    skip = round(SETTLE_S * RATE)
    before_db, after_db = (np.maximum(levels_db(signal[skip:], 0.1, 0.1), HEARD_DB) for signal in (before, after))
    return float((before_db - after_db).mean())


def click_ms(clean: Clean) -> float:
    """Time after a click in low noise for which a level of 50 ms is more than 3 dB from that without the click.

    0 if none is that begins 50 ms after the click or later, when the click itself is out of it; at most the 2 s that
    are looked at.
    """
    still = noise(3.0, CLICK_NOISE_DB)
    with_it, without = (
        np.maximum(levels_db(clean(signal), CLICK_WINDOW_S, STEP_S), HEARD_DB) for signal in (still + click(), still)
    )
    first = round((CLICK_AT_S + CLICK_WINDOW_S) / STEP_S)
    off = np.flatnonzero(np.abs(with_it - without)[first:] > BACK_DB)
    return 0.0 if not len(off) else 1000.0 * (CLICK_WINDOW_S + STEP_S * (int(off[-1]) + 1))
