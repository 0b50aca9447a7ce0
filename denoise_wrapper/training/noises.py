"""Noise by formula: what no recording needs to be found for."""

from __future__ import annotations

import numpy as np
import scipy.signal
from numpy.typing import NDArray

Float32 = NDArray[np.float32]


def formula_noise(rng: np.random.Generator, length: int, rate: int) -> Float32:
    """One of the noises below, drawn at random: float32 (length,), mean power about 1."""
    kinds = (coloured, hum, clicks, pulsed, whistle)
    kind = kinds[rng.choice(len(kinds), p=(0.4, 0.2, 0.1, 0.2, 0.1))]
    noise = kind(rng, length, rate)
    return (noise / max(float(np.sqrt(np.mean(noise**2))), 1e-6)).astype(np.float32)


def coloured(rng: np.random.Generator, length: int, rate: int) -> Float32:
    """Gaussian noise that falls by 0 to 9 dB an octave from a corner between 50 Hz and 2 kHz."""
    noise = rng.standard_normal(length, np.float32)
    corner = np.exp(rng.uniform(np.log(50.0), np.log(2000.0)))
    pole = np.exp(-2.0 * np.pi * corner / rate)
    falling = scipy.signal.lfilter([1.0 - pole], [1.0, -pole], noise).astype(np.float32)
    blend = rng.uniform(0.0, 1.0) ** 2 * pole_gain(pole)
    return falling + np.float32(blend) * noise


def pole_gain(pole: float) -> float:
    """Power gain of a one-pole low-pass, as an amplitude: what makes its output as loud as its input."""
    return float(np.sqrt((1.0 - pole) / (1.0 + pole)))


def hum(rng: np.random.Generator, length: int, rate: int) -> Float32:
    """Mains: 50 or 60 Hz and up to 40 harmonics, over a little hiss."""
    time = np.arange(length, dtype=np.float32) / rate
    base = rng.choice((50.0, 60.0)) * rng.uniform(0.99, 1.01)
    noise = 10.0 ** rng.uniform(-3.0, -1.0) * rng.standard_normal(length, np.float32)
    slope = rng.uniform(0.5, 2.0)
    for order in range(1, int(rng.integers(3, 41))):
        level = rng.uniform(0.1, 1.0) / order**slope
        noise += (level * np.sin(2.0 * np.pi * (order * base * time + rng.uniform()))).astype(np.float32)
    return noise.astype(np.float32)


def clicks(rng: np.random.Generator, length: int, rate: int) -> Float32:
    """One to thirty clicks a second, each a short decaying resonance."""
    impulses = np.zeros(length, np.float32)
    count = max(1, rng.poisson(rng.uniform(1.0, 30.0) * length / rate))
    impulses[rng.integers(0, length, count)] = rng.lognormal(0.0, 1.0, count) * rng.choice((-1.0, 1.0), count)
    decay_s, frequency = rng.uniform(0.0005, 0.02), np.exp(rng.uniform(np.log(200.0), np.log(8000.0)))
    radius = np.exp(-1.0 / (decay_s * rate))
    angle = 2.0 * np.pi * min(frequency / rate, 0.45)
    return scipy.signal.lfilter([1.0], [1.0, -2.0 * radius * np.cos(angle), radius**2], impulses).astype(np.float32)


def pulsed(rng: np.random.Generator, length: int, rate: int) -> Float32:
    """Coloured noise whose level swings 1 to 20 times a second, smoothly or in steps: engines, pumps, wheels."""
    time = np.arange(length, dtype=np.float32) / rate
    wave = np.sin(2.0 * np.pi * (rng.uniform(1.0, 20.0) * time + rng.uniform())).astype(np.float32)
    sharpness = np.float32(10.0 ** rng.uniform(-0.5, 1.0))
    level_db = 10.0 ** rng.uniform(0.5, 1.3) * np.tanh(sharpness * wave)
    return coloured(rng, length, rate) * (10.0 ** (level_db / 20.0)).astype(np.float32)


def whistle(rng: np.random.Generator, length: int, rate: int) -> Float32:
    """One to four tones between 150 Hz and 8 kHz that drift by up to 3 %, over a little hiss."""
    noise = 10.0 ** rng.uniform(-2.5, -0.7) * rng.standard_normal(length, np.float32)
    time = np.arange(length, dtype=np.float32) / rate
    for _ in range(int(rng.integers(1, 5))):
        frequency = np.exp(rng.uniform(np.log(150.0), np.log(min(8000.0, 0.4 * rate))))
        drift, pace = rng.uniform(0.0, 0.03), rng.uniform(0.1, 3.0)
        phase = time + drift / (2.0 * np.pi * pace) * np.sin(2.0 * np.pi * pace * time)
        noise += (rng.uniform(0.2, 1.0) * np.sin(2.0 * np.pi * (frequency * phase + rng.uniform()))).astype(np.float32)
    return noise.astype(np.float32)
