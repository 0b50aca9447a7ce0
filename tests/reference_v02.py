"""RNNoise 0.2, slow and plain, in float64: what the engine should answer, written from the formulas and not from it.

A blob's records are read by their names; int8 weights count as what they stand for, without steps in the inputs.
"""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]
Complex128 = NDArray[np.complex128]

FRAME, WINDOW, MAX_PERIOD, MIN_PERIOD = 480, 960, 768, 60
EDGES_HZ = (
    "0 100 200 300 400 500 600 750 900 1050 1200 1400 1600 1800 2050 2350 2650 3000 3400 3850 4350 4900 5500 6200 7000 "
    "7850 8800 9900 11150 12550 14100 15850 17800 20000"
)
EDGES = np.array(EDGES_HZ.split(), int) // 50
BANDS = 32
SECOND_LAG = [0, 0, 3, 2, 3, 2, 5, 2, 3, 2, 3, 2, 5, 2, 3, 2]  # of the octave check, by its divisor


def read_records(blob: bytes) -> dict[str, NDArray[Any]]:
    """The arrays of a weights blob by name."""
    records, at = {}, 0
    while at < len(blob):
        kind, size, block = struct.unpack_from("<iii", blob, at + 8)
        name = blob[at + 20 : at + 64].split(b"\0")[0].decode("ascii")
        records[name] = np.frombuffer(blob, ["<f4", "<i4", "i1", "i1"][kind], size // (4 if kind < 2 else 1), at + 64)
        at += 64 + block
    return records


def read_map(records: dict[str, NDArray[Any]], name: str, inputs: int) -> tuple[Float64, Float64]:
    """(W (outputs, inputs), bias (outputs,)) of y = W x + bias, in whatever form the records have it."""
    bias = records[f"{name}_bias"].astype(np.float64)
    outputs, is_float = len(bias), f"{name}_weights_float" in records
    weights = records[f"{name}_weights_float" if is_float else f"{name}_weights_int8"].astype(np.float64)
    index = records.get(f"{name}_weights_idx")
    if is_float and index is None:
        matrix = weights.reshape(inputs, outputs).T.copy()
    else:
        if index is None:
            places = range(0, inputs, 4)
            index = np.array([[inputs // 4, *places]] * (outputs // 8)).ravel()
        matrix = np.zeros((outputs, inputs))
        blocks = iter(weights.reshape(-1, 4, 8).transpose(0, 2, 1) if is_float else weights.reshape(-1, 8, 4))
        at = 0
        for row in range(0, outputs, 8):
            count, at = index[at], at + 1 + index[at]
            for column in index[at - count : at]:
                matrix[row : row + 8, column : column + 4] = next(blocks)
    if not is_float:
        matrix *= 127 * records[f"{name}_scale"].astype(np.float64)[:, None]
    if f"{name}_weights_diag" in records:
        rows = np.arange(outputs)
        matrix[rows, rows % inputs] += records[f"{name}_weights_diag"]
    return matrix, bias


def sigmoid(x: Float64) -> Float64:
    return np.asarray(0.5 + 0.5 * np.tanh(x / 2))


class Network:
    """Features (65,) to (gains (32,), probability of speech), frame by frame."""

    def __init__(self, blob: bytes) -> None:
        records = read_records(blob)
        first, n = len(records["conv1_bias"]), len(records["conv2_bias"])
        self.conv1, self.conv2 = read_map(records, "conv1", 3 * 65), read_map(records, "conv2", 3 * first)
        self.grus = [
            (read_map(records, f"gru{g}_input", n), read_map(records, f"gru{g}_recurrent", n)) for g in (1, 2, 3)
        ]
        self.out, self.vad = read_map(records, "dense_out", 4 * n), read_map(records, "vad_dense", 4 * n)
        self.past1, self.past2 = np.zeros(2 * 65), np.zeros(2 * first)
        self.hidden = [np.zeros(n) for _ in range(3)]

    def run(self, features: Float64) -> tuple[Float64, float]:
        self.past1 = np.append(self.past1, features)
        first = np.tanh(self.conv1[0] @ self.past1 + self.conv1[1])
        self.past2 = np.append(self.past2, first)
        x = np.tanh(self.conv2[0] @ self.past2 + self.conv2[1])
        self.past1, self.past2 = self.past1[len(features) :], self.past2[len(first) :]
        seen = [x]
        for g, ((w, b), (u, c)) in enumerate(self.grus):
            h = self.hidden[g]
            (wz, wr, wn), (uz, ur, un) = np.split(w @ x + b, 3), np.split(u @ h + c, 3)
            z, r = sigmoid(wz + uz), sigmoid(wr + ur)
            x = self.hidden[g] = z * h + (1 - z) * np.tanh(wn + r * un)
            seen.append(x)
        together = np.concatenate(seen)
        return sigmoid(self.out[0] @ together + self.out[1]), float(sigmoid(self.vad[0] @ together + self.vad[1])[0])


def triangles() -> Float64:
    """(34, 481): how much of each bin belongs to each edge."""
    share = np.zeros((34, 481))
    for e in range(33):
        width = EDGES[e + 1] - EDGES[e]
        for j in range(width):
            share[e, EDGES[e] + j] = 1 - j / width
            share[e + 1, EDGES[e] + j] = j / width
    return share


TRIANGLES = triangles()
SINE = np.sin(np.pi * (np.arange(WINDOW) + 0.5) / WINDOW)
VORBIS = np.sin(np.pi / 2 * SINE**2)
COSINES = np.array([[np.cos((j + 0.5) * i * np.pi / BANDS) for j in range(BANDS)] for i in range(BANDS)])
COSINES *= np.sqrt(2 / 22) * np.where(np.arange(BANDS) == 0, np.sqrt(0.5), 1)[:, None]


def band_sums(X: Complex128, Y: Complex128) -> Float64:
    """Re(X conj Y), (481,), summed to (32,): the outermost edges go to the bands beside them."""
    s = TRIANGLES @ (X * Y.conj()).real
    s[1], s[32] = (s[0] + s[1]) * 2 / 3, (s[32] + s[33]) * 2 / 3
    return np.asarray(s[1:33])


def band_spread(values: Float64) -> Float64:
    """(32,) to (481,): nothing from 20 kHz."""
    return np.asarray(np.concatenate([values[:1], values, values[-1:]]) @ TRIANGLES)


def spectrum(window: Float64) -> Complex128:
    return np.asarray(np.fft.rfft(VORBIS * window) / WINDOW)


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


def best_lags(correlation: Float64, y: Float64, n: int) -> list[int]:
    """The two candidates of the greatest normalised correlation, the best first."""
    found = [(-1.0, 0.0, 0), (-1.0, 0.0, 1)]  # numerator, denominator, candidate
    energy = 1 + float(y[:n] @ y[:n])
    for i, c in enumerate(correlation):
        if c > 0:
            score = (c * 1e-12) ** 2
            if score * found[1][1] > found[1][0] * energy:
                found[1] = (score, energy, i)
                if score * found[0][1] > found[0][0] * energy:
                    found.reverse()
        energy = max(1.0, energy + float(y[i + n] ** 2 - y[i] ** 2))
    return [found[0][2], found[1][2]]


def towards(before: float, here: float, after: float) -> int:
    """Which neighbour of a peak it leans to."""
    if after - before > 0.7 * (here - before):
        return 1
    return -1 if before - after > 0.7 * (here - after) else 0


def rough_period(y: Float64) -> int:
    target, lags = y[384:], (MAX_PERIOD - 3 * MIN_PERIOD) // 2
    coarse = np.correlate(y[::2], target[::2], "valid")[: lags // 2]
    near = [2 * lag for lag in best_lags(coarse, y[::2], 240)]
    fine = np.zeros(lags)
    for i in range(lags):
        if min(abs(i - near[0]), abs(i - near[1])) <= 2:
            fine[i] = max(-1.0, float(target @ y[i : i + 480]))
    best = best_lags(fine, y, 480)[0]
    offset = towards(*fine[best - 1 : best + 2]) if 0 < best < lags - 1 else 0
    return MAX_PERIOD - (2 * best - offset)


def pitch(history: Float64, last: tuple[int, float]) -> tuple[int, float]:
    """(period, gain) of the history (1728,), given those of the frame before."""
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


class Denoiser:
    """Audio at 48 kHz, full scale +-1, to (cleaned, late by 960 samples; probability of speech of each frame)."""

    def __init__(self, blob: bytes) -> None:
        self.network = Network(blob)
        self.x, self.y = np.zeros(2), np.zeros(2)  # of the high-pass, the newest first
        self.history, self.pitch = np.zeros(MAX_PERIOD + WINDOW), (0, 0.0)
        zero = np.zeros(481, complex)
        self.held = (zero, zero, np.zeros(BANDS), np.zeros(BANDS), np.zeros(BANDS))
        self.overlap, self.last_gain = np.zeros(FRAME), np.zeros(BANDS)

    def process(self, audio: Float64) -> tuple[Float64, Float64]:
        frames = [self.frame(frame) for frame in np.split(audio, len(audio) // FRAME)]
        return np.concatenate([out for out, _ in frames]), np.array([voice for _, voice in frames])

    def frame(self, audio: Float64) -> tuple[Float64, float]:
        self.history = np.append(self.history[FRAME:], self.high_pass(32768 * audio))
        X = spectrum(self.history[-WINDOW:])
        self.pitch = pitch(self.history, self.pitch)
        P = spectrum(self.history[MAX_PERIOD - self.pitch[0] :][:WINDOW])
        energy, pitch_energy = band_sums(X, X), band_sums(P, P)
        coherence = band_sums(X, P) / np.sqrt(0.001 + energy * pitch_energy)
        voice, cleaned = 0.0, self.held[0]
        if energy.sum() >= 0.04:
            gains, voice = self.network.run(self.features(energy, coherence))
            cleaned = self.clean(gains, energy)
        self.held = (X, P, energy, pitch_energy, coherence)
        window = VORBIS * np.fft.irfft(cleaned * WINDOW) / 32768
        out, self.overlap = self.overlap + window[:FRAME], window[FRAME:]
        return out, voice

    def high_pass(self, x: Float64) -> Float64:
        """H(z) = (1 - 2 z^-1 + z^-2) / (1 - 1.99599 z^-1 + 0.99600 z^-2)"""
        y = np.empty(len(x))
        (x1, x2), (y1, y2) = self.x.tolist(), self.y.tolist()
        for i, x0 in enumerate(x.tolist()):
            y0 = x0 - 2 * x1 + x2 + 1.99599 * y1 - 0.99600 * y2
            y[i], x1, x2, y1, y2 = y0, x0, x1, y0, y1
        self.x, self.y = np.array([x1, x2]), np.array([y1, y2])
        return y

    def features(self, energy: Float64, coherence: Float64) -> Float64:
        level = np.empty(BANDS)
        loudest = follow = -2.0
        for i in range(BANDS):
            level[i] = max(loudest - 7, follow - 1.5, np.log10(0.01 + energy[i]))
            loudest, follow = max(loudest, level[i]), max(follow - 1.5, level[i])
        cepstrum = COSINES @ level
        cepstrum[0] -= 12
        cepstrum[1] -= 4
        return np.concatenate([cepstrum, COSINES @ coherence, [0.01 * (self.pitch[0] - 300)]])

    def clean(self, g: Float64, energy_now: Float64) -> Complex128:
        """The spectrum held back, after the gains that the frame behind it has brought."""
        X, P, energy, pitch_energy, coherence = self.held
        c2, g2 = coherence**2, g**2
        strength = np.sqrt(np.clip(c2 * (1 - g2) / (0.001 + g2 * (1 - c2)), 0, 1))
        strength[coherence > g] = 1
        X = X + band_spread(strength * np.sqrt(energy / (1e-8 + pitch_energy))) * P
        X = X * band_spread(np.sqrt(energy / (1e-8 + band_sums(X, X))))
        g = np.maximum(g, 0.6 * self.last_gain)
        self.last_gain = np.minimum(1, g * (energy + 1e-3) / (energy_now + 1e-3))
        return np.asarray(X * band_spread(g))
