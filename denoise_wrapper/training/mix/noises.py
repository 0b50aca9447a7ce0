"""Noise by formula: what no recording needs to be found for."""

from __future__ import annotations

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from denoise_wrapper.training.mix.filters import run_sections

Float32 = NDArray[np.float32]
HUM_STEPS = 1 << 14  # of one cycle of the mains
TONE_STEPS = 1 << 11  # of one cycle of an instrument
LOWEST_KEY, HIGHEST_KEY = 33, 81  # of music: 55 to 880 Hz
SCALE = (0, 2, 4, 5, 7, 9, 11)  # semitones of a major scale


def formula_noise(rng: np.random.Generator, length: int, rate: int) -> Float32:
    """Draw one of the noises below at random: float32 (length,), mean power about 1."""
    kinds = (coloured, hum, clicks, pulsed, whistle)
    kind = kinds[rng.choice(len(kinds), p=(0.4, 0.2, 0.1, 0.2, 0.1))]
    return of_mean_power_one(kind(rng, length, rate))


def of_mean_power_one(noise: Float32) -> Float32:
    """The noise, in place, at a mean power of about 1."""
    noise *= np.float32(1.0 / max(float(np.sqrt(np.dot(noise, noise) / len(noise))), 1e-6))
    return noise


def cycles(frequency: float, length: int, rate: int) -> Float32:
    """The phase of a tone, 0 to 1 over each cycle, exact however long it lasts: float32 (length,)."""
    step = np.uint32(round(frequency / rate * 2.0**32) % 2**32)
    return (np.arange(length, dtype=np.uint32) * step).astype(np.float32) * np.float32(2.0**-32)


def coloured(rng: np.random.Generator, length: int, rate: int) -> Float32:
    """Gaussian noise that falls by 0 to 9 dB an octave from a corner between 50 Hz and 2 kHz."""
    noise = rng.standard_normal(length, np.float32)
    corner = np.exp(rng.uniform(np.log(50.0), np.log(2000.0)))
    pole = np.exp(-2.0 * np.pi * corner / rate)
    falling = noise.copy()
    run_sections(np.array([[1.0 - pole, 0.0, 0.0, 1.0, -pole, 0.0]]), falling)
    noise *= np.float32(rng.uniform(0.0, 1.0) ** 2 * pole_gain(pole))
    noise += falling
    return noise


def pole_gain(pole: float) -> float:
    """Power gain of a one-pole low-pass, as an amplitude: what makes its output as loud as its input."""
    return float(np.sqrt((1.0 - pole) / (1.0 + pole)))


def hum(rng: np.random.Generator, length: int, rate: int) -> Float32:
    """Mains: 50 or 60 Hz and up to 40 harmonics, over a little hiss."""
    base = rng.choice((50.0, 60.0)) * rng.uniform(0.99, 1.01)
    noise = rng.standard_normal(length, np.float32)
    noise *= np.float32(10.0 ** rng.uniform(-3.0, -1.0))
    orders = np.arange(1, int(rng.integers(3, 41)))
    levels = rng.uniform(0.1, 1.0, len(orders)) / orders ** rng.uniform(0.5, 2.0)
    spectrum = np.zeros(HUM_STEPS // 2 + 1, np.complex64)
    spectrum[orders] = levels * np.exp(2j * np.pi * rng.uniform(size=len(orders))) * (0.5 * HUM_STEPS)
    noise += repeated(scipy.fft.irfft(spectrum, HUM_STEPS), base, length, rate)
    return noise


def repeated(wave: Float32, frequency: float, length: int, rate: int) -> Float32:
    """A cycle over and over, at so many Hz: float32 (length,)."""
    return wave.take((cycles(frequency, length, rate) * np.float32(len(wave))).astype(np.int32), mode="clip")


def clicks(rng: np.random.Generator, length: int, rate: int) -> Float32:
    """One to thirty clicks a second, each a short decaying resonance."""
    impulses = np.zeros(length, np.float32)
    count = max(1, rng.poisson(rng.uniform(1.0, 30.0) * length / rate))
    impulses[rng.integers(0, length, count)] = rng.lognormal(0.0, 1.0, count) * rng.choice((-1.0, 1.0), count)
    decay_s, frequency = rng.uniform(0.0005, 0.02), np.exp(rng.uniform(np.log(200.0), np.log(8000.0)))
    radius = np.exp(-1.0 / (decay_s * rate))
    angle = 2.0 * np.pi * min(frequency / rate, 0.45)
    run_sections(np.array([[1.0, 0.0, 0.0, 1.0, -2.0 * radius * np.cos(angle), radius**2]]), impulses)
    return impulses


def pulsed(rng: np.random.Generator, length: int, rate: int) -> Float32:
    """Coloured noise whose level swings 1 to 20 times a second, smoothly or in steps: engines, pumps, wheels."""
    level = np.sin(np.float32(2.0 * np.pi) * (cycles(rng.uniform(1.0, 20.0), length, rate) + np.float32(rng.uniform())))
    level *= np.float32(10.0 ** rng.uniform(-0.5, 1.0))
    np.tanh(level, out=level)
    level *= np.float32(10.0 ** rng.uniform(0.5, 1.3) / 20.0 * np.log2(10.0))
    return coloured(rng, length, rate) * np.exp2(level, out=level)


def whistle(rng: np.random.Generator, length: int, rate: int) -> Float32:
    """One to four tones between 150 Hz and 8 kHz that drift by up to 3 %, over a little hiss."""
    turn = np.float32(2.0 * np.pi)
    noise = rng.standard_normal(length, np.float32)
    noise *= np.float32(10.0 ** rng.uniform(-2.5, -0.7))
    for _ in range(int(rng.integers(1, 5))):
        frequency = np.exp(rng.uniform(np.log(150.0), np.log(min(8000.0, 0.4 * rate))))
        drift, pace = rng.uniform(0.0, 0.03), rng.uniform(0.1, 3.0)
        phase = np.float32(frequency * drift / (2.0 * np.pi * pace)) * np.sin(turn * cycles(pace, length, rate))
        phase += cycles(frequency, length, rate) + np.float32(rng.uniform())
        noise += np.float32(rng.uniform(0.2, 1.0)) * np.sin(turn * phase)
    return noise


def music(rng: np.random.Generator, length: int, rate: int) -> Float32:
    """One to three instruments that play notes and chords of one scale: float32 (length,), mean power about 1."""
    song = rng.standard_normal(length, np.float32)
    song *= np.float32(10.0 ** rng.uniform(-4.0, -2.0))
    first_key = int(rng.integers(12))
    keys = [key for key in range(LOWEST_KEY, HIGHEST_KEY + 1) if (key - first_key) % 12 in SCALE]
    for _ in range(int(rng.integers(1, 4))):
        song += np.float32(10.0 ** rng.uniform(-0.6, 0.0)) * instrument(rng, keys, length, rate)
    return of_mean_power_one(song)


def instrument(rng: np.random.Generator, keys: list[int], length: int, rate: int) -> Float32:
    """Notes or chords of one timbre, one to eight a second, struck or held: float32 (length,), mean power about 1."""
    part = np.zeros(length, np.float32)
    falling, orders = rng.uniform(0.7, 2.5), np.arange(1, int(rng.integers(3, 17)))
    levels = rng.uniform(0.2, 1.0, len(orders)) / orders**falling
    spectrum = np.zeros(TONE_STEPS // 2 + 1, np.complex64)
    spectrum[orders] = levels * np.exp(2j * np.pi * rng.uniform(size=len(orders))) * (0.5 * TONE_STEPS)
    wave = scipy.fft.irfft(spectrum, TONE_STEPS)
    voices, pace = int(rng.choice((1, 1, 2, 3))), np.exp(rng.uniform(np.log(0.125), 0.0))  # s from note to note
    attack, decay = np.exp(rng.uniform(np.log((0.003, 0.1)), np.log((0.08, 3.0))))
    lowest = int(rng.integers(max(1, len(keys) - 12)))
    start, stop = -rng.uniform(0.0, pace), length / rate
    while start < stop:
        lasting = pace * rng.choice((0.5, 1.0, 1.0, 2.0)) if decay > pace else pace + 2.0 * decay
        begin, end = max(0, round(start * rate)), min(length, round((start + lasting) * rate))
        if end > begin:
            since = np.arange(end - begin, dtype=np.float32) * np.float32(1.0 / rate)
            envelope = np.minimum(since * np.float32(1.0 / attack), 1.0) * np.exp(since * np.float32(-1.0 / decay))
            envelope *= np.minimum((since[-1] - since) * np.float32(50.0), 1.0)
            chosen = lowest + rng.choice(min(12, len(keys)), voices, replace=False)
            tones = (repeated(wave, 440.0 * 2.0 ** ((keys[key] - 69) / 12.0), end - begin, rate) for key in chosen)
            part[begin:end] += envelope * sum(tones)
        start += pace * rng.choice((0.5, 1.0, 1.0, 1.0, 2.0))
    return of_mean_power_one(part)
