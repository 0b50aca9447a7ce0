"""The enhancer, slow and plain, in float64: written from its formulas, neither from the engine nor with torch."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from denoise_wrapper.models.enhancer import decode_enhancer

Float64 = NDArray[np.float64]

HOP, BLOCK, BINS = 480, 960, 481
LOW, UPPER, BANDS = 80, 48, 128
FLOOR, MOST = 1e-10, 1.5
TIMES, TAPS, KEYS = 3, 5, 8


def sigmoid(x: Float64) -> Float64:
    return 1 / (1 + np.exp(-x))


def bend(x: Float64) -> Float64:
    """x times a ramp from 0 at -3 to 1 at 3."""
    return x * np.clip(x + 3, 0, 6) / 6


def triangles() -> Float64:
    """Weights of the upper bands in the bins above the low ones: (UPPER, BINS - LOW), the columns sum to 1."""
    peaks = LOW * ((BINS - 1) / LOW) ** np.linspace(0, 1, UPPER)
    bins = np.arange(LOW, BINS)
    return np.stack([np.interp(bins, peaks, row) for row in np.eye(UPPER)])


class Network:
    """A network as its file has it, and the memory of one channel."""

    def __init__(self, data: bytes) -> None:
        self.sizes, records = decode_enhancer(data)
        self.w = {name: values.astype(np.float64) for name, values in records.items()}
        sizes = self.sizes
        self.stride = BANDS // sizes.rows
        self.window = np.sqrt(0.5 - 0.5 * np.cos(2 * np.pi * np.arange(BLOCK) / BLOCK))
        self.spread = triangles()
        self.gather = self.spread / self.spread.sum(axis=1, keepdims=True)
        self.recent, self.pending = np.zeros(HOP), np.zeros(HOP)
        self.first_past = [np.zeros((BANDS, 3)) for _ in range(TIMES - 1)]
        self.memory = [np.zeros((sizes.rows, sizes.units)) for _ in range(sizes.blocks)]
        self.past = [[np.zeros((sizes.rows, sizes.channels)) for _ in range(TIMES - 1)] for _ in range(sizes.blocks)]

    def process(self, audio: Float64, min_gain: float = 0.0) -> tuple[Float64, Float64]:
        """The cleaned signal, HOP late, and the probability of speech of each hop. audio: (n * HOP,)."""
        hops = [self.hop(hop, min_gain) for hop in np.split(audio, len(audio) // HOP)]
        return np.concatenate([out for out, _ in hops]), np.array([voice for _, voice in hops])

    def hop(self, samples: Float64, min_gain: float) -> tuple[Float64, float]:
        spectrum = np.fft.rfft(self.window * np.concatenate([self.recent, samples]))
        self.recent = samples
        features, magnitude = self.features(spectrum)
        hidden = self.body(features)
        mask = np.concatenate([self.low_mask(hidden), self.upper_gain(hidden, features, magnitude)])
        frame = self.window * np.fft.irfft(spectrum * (min_gain + (1 - min_gain) * mask), BLOCK)
        out, self.pending = self.pending + frame[:HOP], frame[HOP:]
        return out, self.voice(hidden)

    def features(self, spectrum: NDArray[np.complex128]) -> tuple[Float64, Float64]:
        """(BANDS, 3), and the compressed magnitudes of all bins."""
        magnitude = (abs(spectrum) ** 2 + FLOOR) ** (1 / 6)
        low = spectrum[:LOW] / magnitude[:LOW] ** 2
        above, uneven = magnitude[LOW:], abs(np.diff(magnitude))[LOW - 1 :]
        lower = np.stack([magnitude[:LOW], low.real, low.imag], axis=1)
        upper = [self.gather @ above, np.sqrt(self.gather @ above**2), self.gather @ uneven]
        return np.concatenate([lower, np.stack(upper, axis=1)]), magnitude

    def low_mask(self, hidden: Float64) -> NDArray[np.complex128]:
        real, imaginary = self.dense("low_head", hidden[:LOW]).T
        answer = real + 1j * imaginary
        return answer * np.minimum(abs(answer), MOST) ** 3 / np.maximum(abs(answer), 1e-12)

    def upper_gain(self, hidden: Float64, features: Float64, magnitude: Float64) -> Float64:
        gain, level = sigmoid(self.dense("upper_head", hidden[LOW:])).T
        noise = (2 * level * features[LOW:, 0]) @ self.spread
        wanted = magnitude[LOW:] ** 4
        return (gain @ self.spread * wanted / (wanted + noise**4 + 1e-9)) ** 3

    def voice(self, hidden: Float64) -> float:
        pooled = np.concatenate([hidden[:LOW].mean(axis=0), hidden[LOW:].mean(axis=0)])
        units = self.dense("voice_hidden", pooled)
        return float(sigmoid(self.dense("voice_output", units * sigmoid(units)))[0])

    def dense(self, name: str, x: Float64) -> Float64:
        """x W + b: x (..., inputs), a bias for all rows or one for each."""
        weights, bias = self.w[f"{name}_weights"].reshape(x.shape[-1], -1), self.w[f"{name}_bias"]
        outputs = weights.shape[1]
        return x @ weights + (bias if len(bias) == outputs else bias.reshape(-1, outputs))

    def body(self, features: Float64) -> Float64:
        """(BANDS, width)."""
        x = skip = bend(self.first(features))
        for number in range(self.sizes.blocks):
            x = self.block(number, x)
        x = bend(self.dense("join", np.concatenate([x, skip], axis=1)))
        width, half = self.sizes.width, self.stride // 2
        answers = (x @ self.w["last_weights"].reshape(self.sizes.channels, -1)).reshape(-1, 2 * self.stride, width)
        hidden = np.zeros((BANDS + self.stride, width))
        for row, answer in enumerate(answers):
            hidden[row * self.stride : (row + 2) * self.stride] += answer
        return hidden[half:-half] + self.w["last_bias"]

    def first(self, features: Float64) -> Float64:
        """Rows of channels, each of twice as many bands as it stands for, in three frames."""
        half = self.stride // 2
        padded = [np.pad(frame, ((half, half), (0, 0))) for frame in (*self.first_past, features)]
        self.first_past = [*self.first_past[1:], features]
        starts = range(0, BANDS, self.stride)
        rows = [np.concatenate([frame[at : at + 2 * self.stride].ravel() for frame in padded]) for at in starts]
        return self.dense("first", np.stack(rows))

    def block(self, number: int, x: Float64) -> Float64:
        name, units = f"block{number}", self.sizes.units
        joined = self.dense(f"{name}_memory", x)
        share, value = sigmoid(joined[:, :units]), joined[:, units:]
        self.memory[number] = (1 - share) * self.memory[number] + share * value
        x = x + self.dense(f"{name}_after_memory", self.memory[number])
        x = x + self.dense(f"{name}_leave", bend(self.filtered(number, bend(self.dense(f"{name}_enter", x)))))
        return x + self.attention(name, x) if f"{name}_queries_weights" in self.w else x

    def filtered(self, number: int, x: Float64) -> Float64:
        weights = self.w[f"block{number}_filter_weights"].reshape(TIMES, TAPS, -1)
        frames, margin = (*self.past[number], x), TAPS // 2
        self.past[number] = [*self.past[number][1:], x]
        total = np.zeros_like(x)
        for frame, taps in zip(frames, weights, strict=True):
            padded = np.pad(frame, ((margin, margin), (0, 0)))
            for tap, weight in enumerate(taps):
                total += weight * padded[tap : tap + len(x)]
        return total + self.w[f"block{number}_filter_bias"]

    def attention(self, name: str, x: Float64) -> Float64:
        heads = self.sizes.heads
        joined: Any = self.dense(f"{name}_queries", x).reshape(len(x), 2, heads, KEYS)
        values = x.reshape(len(x), heads, -1)
        mixed = []
        for head in range(heads):
            scores = joined[:, 0, head] @ joined[:, 1, head].T
            shares = np.exp(scores - scores.max(axis=1, keepdims=True))
            mixed.append(shares / shares.sum(axis=1, keepdims=True) @ values[:, head])
        return self.dense(f"{name}_after_attention", np.concatenate(mixed, axis=1))
