"""Signal processing around RNNoise's networks, slow and plain, in float64: written from the formulas, not the engine.

Samples are taken and given at full scale +-1; within, they have the scale of int16. A network is any object with
`run(features) -> (gains, probability of speech)`; `Denoiser` is what goes around it, for either family.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]
Complex128 = NDArray[np.complex128]

FRAME, WINDOW, MAX_PERIOD, MIN_PERIOD = 480, 960, 768, 60
BINS = WINDOW // 2 + 1
CLASSIC_EDGES_HZ = (
    "0 200 400 600 800 1000 1200 1400 1600 2000 2400 2800 3200 4000 4800 5600 6800 8000 9600 12000 15600 20000"
)
V02_EDGES_HZ = (
    "0 100 200 300 400 500 600 750 900 1050 1200 1400 1600 1800 2050 2350 2650 3000 3400 3850 4350 4900 5500 6200 7000 "
    "7850 8800 9900 11150 12550 14100 15850 17800 20000"
)
SECOND_LAG = [0, 0, 3, 2, 3, 2, 5, 2, 3, 2, 3, 2, 5, 2, 3, 2]  # of the octave check, by its divisor

SINE = np.sin(np.pi * (np.arange(WINDOW) + 0.5) / WINDOW)
VORBIS = np.sin(np.pi / 2 * SINE**2)

Pitch = tuple[int, float]  # period in samples, gain


class Network(Protocol):
    look_ahead: bool  # the family: v0.2 has it, the classic network has not

    def run(self, features: Float64) -> tuple[Float64, float]: ...


# ---- bands ----


class Bands:
    """Triangles between edges: 22 of the classic network, one at each edge; 32 of v0.2, the outermost edges aside."""

    def __init__(self, v02: bool) -> None:
        edges = np.array((V02_EDGES_HZ if v02 else CLASSIC_EDGES_HZ).split(), int) // 50
        self.v02, self.count = v02, 32 if v02 else 22
        self.triangles = np.zeros((len(edges), BINS))  # how much of each bin belongs to each edge
        for e in range(len(edges) - 1):
            width = edges[e + 1] - edges[e]
            for j in range(width):
                self.triangles[e, edges[e] + j] = 1 - j / width
                self.triangles[e + 1, edges[e] + j] = j / width
        turns = np.outer(np.arange(self.count), np.arange(self.count) + 0.5) * np.pi / self.count
        self.cosines = np.sqrt(2 / 22) * np.cos(turns)  # for 32 bands too
        self.cosines[0] *= np.sqrt(0.5)

    def sums(self, X: Complex128, Y: Complex128) -> Float64:
        """Re(X conj Y), (481,), to (count,)."""
        s = self.triangles @ (X * Y.conj()).real
        if not self.v02:
            s[[0, -1]] *= 2
            return np.asarray(s)
        s[1], s[32] = (s[0] + s[1]) * 2 / 3, (s[32] + s[33]) * 2 / 3
        return np.asarray(s[1:33])

    def spread(self, values: Float64) -> Float64:
        """(count,) to (481,): nothing from 20 kHz."""
        if self.v02:
            values = np.concatenate([values[:1], values, values[-1:]])
        return np.asarray(values @ self.triangles)

    def cepstrum(self, values: Float64) -> Float64:
        return np.asarray(self.cosines @ values)


def spectrum(window: Float64) -> Complex128:
    return np.asarray(np.fft.rfft(VORBIS * window) / WINDOW)


# ---- pitch ----


def whitened(history: Float64) -> Float64:
    """The history (1728,) at half the rate, its spectrum made flatter by linear prediction."""
    x = np.concatenate([[0], history])  # x[i + 1] is sample i
    y = 0.25 * x[0:-2:2] + 0.5 * x[1::2] + 0.25 * x[2::2]
    r = np.array([y[: len(y) - lag] @ y[lag:] for lag in range(5)])
    r *= 1 - (0.008 * np.arange(5)) ** 2
    r[0] *= 1.0001
    a, error = np.zeros(4), r[0]
    for i in range(4):
        if r[0] == 0 or error < 0.001 * r[0]:
            break
        k = -(r[i + 1] + sum(a[j] * r[i - j] for j in range(i))) / error
        a[:i] += k * a[:i][::-1]
        a[i] = k
        error *= 1 - k * k
    a *= 0.9 ** np.arange(1, 5)
    taps = np.convolve(np.concatenate([[1], a]), [1, 0.8])
    return np.asarray(np.convolve(y, taps)[: len(y)])


def best_lags(correlation: Sequence[float], y: Float64, n: int) -> list[int]:
    """The two candidates of the greatest normalised correlation, the best first."""
    candidates = [(-1.0, 0.0, 0), (-1.0, 0.0, 1)]  # numerator, denominator, candidate
    energy = 1 + float(y[:n] @ y[:n])
    squares = (y * y).tolist()
    for i, c in enumerate(correlation):
        if c > 0:
            score = (c * 1e-12) ** 2
            if score * candidates[1][1] > candidates[1][0] * energy:
                candidates[1] = (score, energy, i)
                if score * candidates[0][1] > candidates[0][0] * energy:
                    candidates.reverse()
        energy = max(1.0, energy + squares[i + n] - squares[i])
    return [candidates[0][2], candidates[1][2]]


def towards(before: float, here: float, after: float) -> int:
    """Direction of the neighbour that a peak leans to."""
    if after - before > 0.7 * (here - before):
        return 1
    return -1 if before - after > 0.7 * (here - after) else 0


def rough_period(y: Float64) -> int:
    target, lags = y[384:], (MAX_PERIOD - 3 * MIN_PERIOD) // 2
    coarse = np.correlate(y[::2], target[::2], "valid")[: lags // 2]
    near = [2 * lag for lag in best_lags(coarse.tolist(), y[::2], 240)]
    fine = [0.0] * lags
    for i in range(lags):
        if min(abs(i - near[0]), abs(i - near[1])) <= 2:
            fine[i] = max(-1.0, float(target @ y[i : i + 480]))
    best = best_lags(fine, y, 480)[0]
    offset = towards(*fine[best - 1 : best + 2]) if 0 < best < lags - 1 else 0
    return MAX_PERIOD - (2 * best - offset)


def find_pitch(history: Float64, last: Pitch) -> Pitch:
    """Search the pitch of the history (1728,), with that of the frame before."""
    y = whitened(history)
    t0, last_period = min(rough_period(y) // 2, 383), last[0] // 2
    x = y[384:]

    def at(lag: int) -> float:
        return float(x @ y[384 - lag : 864 - lag])

    def energy(lag: int) -> float:
        return max(0.0, float(y[384 - lag : 864 - lag] @ y[384 - lag : 864 - lag]))

    def gain(xy: float, yy: float) -> float:
        return float(xy / np.sqrt(1 + energy(0) * yy))

    xy, yy, period = at(t0), energy(t0), t0
    g0 = g = gain(xy, yy)
    for k in range(2, 16):
        t1 = (2 * t0 + k) // (2 * k)
        if t1 < MIN_PERIOD // 2:
            break
        second = (t0 + t1 if t0 + t1 <= 384 else t0) if k == 2 else (2 * SECOND_LAG[k] * t0 + k) // (2 * k)
        xy1, yy1 = (at(t1) + at(second)) / 2, (energy(t1) + energy(second)) / 2
        apart = abs(t1 - last_period)
        goes_on = last[1] if apart <= 1 else last[1] / 2 if apart <= 2 and 5 * k * k < t0 else 0
        least = max(0.4, 0.85 * g0 - goes_on) if t1 < 90 else max(0.3, 0.7 * g0 - goes_on)
        if gain(xy1, yy1) > least:
            xy, yy, period, g = xy1, yy1, t1, gain(xy1, yy1)
    xy = max(xy, 0)
    strength = min(1 if yy <= xy else xy / (yy + 1), g)
    offset = towards(at(period - 1), at(period), at(period + 1))
    return max(MIN_PERIOD, 2 * period + offset), strength


# ---- features ----


def followed_levels(energy: Float64) -> Float64:
    """log10 of the band energies, kept from falling more than 7 below the loudest so far or 1.5 a band."""
    level = np.empty(len(energy))
    loudest = follow = -2.0
    for i in range(len(energy)):
        level[i] = max(loudest - 7, follow - 1.5, np.log10(0.01 + energy[i]))
        loudest, follow = max(loudest, level[i]), max(follow - 1.5, level[i])
    return level


class Features:
    """Network input of a frame that is not silent; the classic one also has differences from frames before it."""

    def __init__(self, bands: Bands) -> None:
        self.bands = bands
        self.cepstra = [np.zeros(22) for _ in range(8)]  # the newest first

    def of(self, energy: Float64, coherence: Float64, period: int) -> Float64:
        cepstrum = self.bands.cepstrum(followed_levels(energy))
        cepstrum[0] -= 12
        cepstrum[1] -= 4
        pitch_cepstrum, pitch = self.bands.cepstrum(coherence), [0.01 * (period - 300)]
        if self.bands.v02:
            return np.concatenate([cepstrum, pitch_cepstrum, pitch])
        self.cepstra = [cepstrum, *self.cepstra[:7]]
        c0, c1, c2 = (c[:6] for c in self.cepstra[:3])
        nearest = [
            min(float(np.sum((c - other) ** 2)) for j, other in enumerate(self.cepstra) if j != i)
            for i, c in enumerate(self.cepstra)
        ]
        pitch_cepstrum[:2] -= [1.3, 0.9]
        return np.concatenate(
            [
                c0 + c1 + c2,
                cepstrum[6:],
                c0 - c2,
                c0 - 2 * c1 + c2,
                pitch_cepstrum[:6],
                pitch,
                [np.mean(nearest) - 2.1],
            ]
        )


# ---- the whole ----


@dataclass
class Frame:
    """A frame analysed: spectra of it and of one pitch period earlier, energies of both, their coherence, by band."""

    X: Complex128
    P: Complex128
    energy: Float64
    pitch_energy: Float64
    coherence: Float64


class Denoiser:
    """Audio at 48 kHz, full scale +-1, frame by frame; late by 480 samples, with look-ahead by 960."""

    def __init__(self, network: Network) -> None:
        self.network, self.bands = network, Bands(network.look_ahead)
        self.features = Features(self.bands)
        self.x, self.y = [0.0, 0.0], [0.0, 0.0]  # of the high-pass, the newest first
        self.history = np.zeros(MAX_PERIOD + WINDOW)
        self.pitch = self.own_pitch = (0, 0.0)
        silence, none = np.zeros(BINS, complex), np.zeros(self.bands.count)
        self.held = Frame(silence, silence, none, none, none)
        self.overlap, self.last_gain = np.zeros(FRAME), np.zeros(self.bands.count)

    def process(self, audio: Float64) -> tuple[Float64, Float64]:
        """(n * 480,) to (cleaned (n * 480,), probability of speech of each frame (n,))."""
        frames = [self.frame(frame) for frame in np.split(audio, len(audio) // FRAME)]
        return np.concatenate([out for out, _ in frames]), np.array([voice for _, voice in frames])

    def frame(self, audio: Float64, pitch_of_engine: Pitch | None = None) -> tuple[Float64, float]:
        """(480,) to (cleaned (480,), probability of speech). told: the pitch to go by, whatever `found` says."""
        self.history = np.append(self.history[FRAME:], self.high_pass(32768 * audio))
        self.own_pitch = find_pitch(self.history, self.pitch)
        self.pitch = pitch_of_engine or self.own_pitch
        now, bands = self.analyse(), self.bands
        gains, voice = None, 0.0
        if now.energy.sum() >= 0.04:  # or the network is not run
            gains, voice = self.network.run(self.features.of(now.energy, now.coherence, self.pitch[0]))
        frame = self.held if self.network.look_ahead else now
        cleaned = frame.X
        if gains is not None:
            cleaned = self.pitch_filter(frame, gains)
            gains = np.maximum(gains, 0.6 * self.last_gain)
            cleaned = cleaned * bands.spread(gains)
            self.last_gain = gains
            if self.network.look_ahead:
                self.last_gain = np.minimum(1, gains * (frame.energy + 1e-3) / (now.energy + 1e-3))
        self.held = now
        window = VORBIS * np.fft.irfft(cleaned * WINDOW) / 32768
        out, self.overlap = self.overlap + window[:FRAME], window[FRAME:]
        return out, voice

    def high_pass(self, x: Float64) -> Float64:
        """H(z) = (1 - 2 z^-1 + z^-2) / (1 - 1.99599 z^-1 + 0.99600 z^-2)"""
        y = np.empty(len(x))
        (x1, x2), (y1, y2) = self.x, self.y
        for i, x0 in enumerate(x.tolist()):
            y0 = x0 - 2 * x1 + x2 + 1.99599 * y1 - 0.99600 * y2
            y[i], x1, x2, y1, y2 = y0, x0, x1, y0, y1
        self.x, self.y = [x1, x2], [y1, y2]
        return y

    def analyse(self) -> Frame:
        X = spectrum(self.history[-WINDOW:])
        P = spectrum(self.history[MAX_PERIOD - self.pitch[0] :][:WINDOW])
        energy, pitch_energy = self.bands.sums(X, X), self.bands.sums(P, P)
        coherence = self.bands.sums(X, P) / np.sqrt(0.001 + energy * pitch_energy)
        return Frame(X, P, energy, pitch_energy, coherence)

    def pitch_filter(self, frame: Frame, g: Float64) -> Complex128:
        """The more of a band is voice that its gain would not bring out, the more of a period earlier is added."""
        c2, g2 = frame.coherence**2, g**2
        strength = np.sqrt(np.clip(c2 * (1 - g2) / (0.001 + g2 * (1 - c2)), 0, 1))
        strength[frame.coherence > g] = 1
        strength *= np.sqrt(frame.energy / (1e-8 + frame.pitch_energy))
        X = frame.X + self.bands.spread(strength) * frame.P
        return np.asarray(X * self.bands.spread(np.sqrt(frame.energy / (1e-8 + self.bands.sums(X, X)))))
