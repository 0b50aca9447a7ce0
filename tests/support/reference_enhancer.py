"""The enhancer, slow and plain, in float64: written from its formulas, neither from the engine nor with torch."""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray

from denoise_wrapper.models.enhancer import decode_enhancer

Float64 = NDArray[np.float64]

HOP, BLOCK, BINS = 480, 960, 481
LOW, UPPER, BANDS = 80, 48, 128
FLOOR, MOST = 1e-10, 1.5
TIMES, TAPS, KEYS, GROUP = 3, 5, 8, 4


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


def attend(query: Float64, key: Float64, value: Float64) -> Float64:
    """Blends of the rows' values, the heads side by side: (rows, heads * channels). Each (heads, rows, ...)."""
    mixed = []
    for head in range(len(query)):
        scores = query[head] @ key[head].T
        shares = np.exp(scores - scores.max(axis=1, keepdims=True))
        mixed.append(shares / shares.sum(axis=1, keepdims=True) @ value[head])
    return np.concatenate(mixed, axis=1)


def step(from_x: Float64, from_h: Float64, h: Float64) -> Float64:
    """The next state of a GRU: (rows, units), of products (rows, [z, r, n][units])."""
    update, reset, new = np.split(from_x, 3, axis=1)
    update_h, reset_h, new_h = np.split(from_h, 3, axis=1)
    keep = sigmoid(update + update_h)
    return keep * h + (1 - keep) * np.tanh(new + sigmoid(reset + reset_h) * new_h)


def low_mask(answer: NDArray[np.complex128]) -> NDArray[np.complex128]:
    """The masks that complex answers stand for."""
    return answer * np.minimum(abs(answer), MOST) ** 3 / np.maximum(abs(answer), 1e-12)


class Network:
    """A network as its file has it, and the memory of one channel."""

    def __init__(self, data: bytes) -> None:
        self.sizes, records = decode_enhancer(data)
        self.w = {name: values.astype(np.float64) for name, values in records.items()}
        sizes = self.sizes
        self.stride, self.times = (BANDS // sizes.rows, TIMES) if sizes.kind == "mixed" else (GROUP, 1)
        self.frames: dict[str, list[Float64]] = {}  # that convolutions have seen, by the names of these
        self.powers: dict[str, Float64] = {}  # memories of the channels' power, by the names of their blocks
        self.window = np.sqrt(0.5 - 0.5 * np.cos(2 * np.pi * np.arange(BLOCK) / BLOCK))
        self.spread = triangles()
        self.gather = self.spread / self.spread.sum(axis=1, keepdims=True)
        self.recent, self.pending, self.guide = np.zeros(HOP), np.zeros(HOP), np.zeros(HOP)
        self.spectra = [np.zeros(LOW, np.complex128)] * (sizes.taps - 1)  # low bins of frames before, the latest first
        self.steps = np.zeros(LOW, np.complex128)  # the mean product of neighbours among the frames
        self.first_past = [np.zeros((BANDS, sizes.features)) for _ in range(self.times - 1)]
        self.memory = [np.zeros((sizes.rows, sizes.units)) for _ in range(sizes.blocks)]
        self.past = [[np.zeros((sizes.rows, sizes.channels)) for _ in range(TIMES - 1)] for _ in range(sizes.blocks)]

    def process(self, audio: Float64, min_gain: float = 0.0, guide: Float64 | None = None) -> tuple[Float64, Float64]:
        """The cleaned signal, HOP late, and the probability of speech of each hop. audio: (n * HOP,), as is guide."""
        signals = (np.split(part, len(audio) // HOP) for part in (audio, audio if guide is None else guide))
        hops = [self.hop(hop, min_gain, guiding) for hop, guiding in zip(*signals, strict=True)]
        return np.concatenate([out for out, _ in hops]), np.array([voice for _, voice in hops])

    def hop(self, samples: Float64, min_gain: float, guide: Float64) -> tuple[Float64, float]:
        spectrum = np.fft.rfft(self.window * np.concatenate([self.recent, samples]))
        self.recent = samples
        features, magnitude = self.features(spectrum)
        turned = self.turned(spectrum[:LOW])
        if turned:
            features = np.concatenate([features, self.seen(spectrum[:LOW], turned[0])], axis=1)
        guiding = np.fft.rfft(self.window * np.concatenate([self.guide, guide]))
        self.guide = guide
        if self.sizes.guided:
            features = np.concatenate([features, self.features(guiding)[0]], axis=1)
        hidden = self.body(features)
        low, upper = self.dense("low_head", hidden[:LOW]), self.dense("upper_head", hidden[LOW:])
        answers = low[:, : 2 * self.sizes.taps].reshape(LOW, -1, 2)
        mask, *weights = np.moveaxis(answers[..., 0] + 1j * answers[..., 1], 1, 0)
        clean = spectrum * np.concatenate([low_mask(mask), self.upper_gain(upper, features, magnitude)])
        for before, weight in zip(turned, weights, strict=True):
            clean[:LOW] += before * (weight.real.clip(-4, 4) + 1j * weight.imag.clip(-4, 4))
        if self.sizes.guided:
            share = np.concatenate([sigmoid(low[:, -1]), sigmoid(upper[:, -1]) @ self.spread])
            clean = share * guiding + (1 - share) * clean
        self.spectra = [spectrum[:LOW], *self.spectra][: self.sizes.taps - 1]
        frame = self.window * np.fft.irfft(min_gain * spectrum + (1 - min_gain) * clean, BLOCK)
        out: Float64 = self.pending + frame[:HOP]
        self.pending = frame[HOP:]
        return out, self.voice(hidden)

    def features(self, spectrum: NDArray[np.complex128]) -> tuple[Float64, Float64]:
        """(BANDS, 3), and the compressed magnitudes of all bins."""
        magnitude: Float64 = np.asarray(abs(spectrum) ** 2 + FLOOR, np.float64) ** (1 / 6)
        low = spectrum[:LOW] / magnitude[:LOW] ** 2
        above, uneven = magnitude[LOW:], abs(np.diff(magnitude))[LOW - 1 :]
        lower = np.stack([magnitude[:LOW], low.real, low.imag], axis=1)
        upper = [self.gather @ above, np.sqrt(self.gather @ above**2), self.gather @ uneven]
        return np.concatenate([lower, np.stack(upper, axis=1)]), magnitude

    def turned(self, low: NDArray[np.complex128]) -> list[NDArray[np.complex128]]:
        """The low bins of the frames before, turned on to this one."""
        if not self.spectra:
            return []
        steps = [ahead * behind.conj() for ahead, behind in itertools.pairwise([low, *self.spectra])]
        self.steps = np.mean(steps, axis=0)
        turn = self.steps / np.sqrt(abs(self.steps) ** 2 + FLOOR**2)
        return [before * turn ** (number + 1) for number, before in enumerate(self.spectra)]

    def seen(self, low: NDArray[np.complex128], expected: NDArray[np.complex128]) -> Float64:
        """Features of all bands, 0 of the upper ones: how a bin goes with what was expected, and how steadily."""
        product = low * expected.conj()
        product *= (abs(product) ** 2 + FLOOR**2) ** (-5 / 12)
        steady = (abs(self.steps) ** 2 + FLOOR**2) ** (1 / 12)
        return np.pad(np.stack([product.real, product.imag, steady], axis=1), ((0, BANDS - LOW), (0, 0)))

    def upper_gain(self, answers: Float64, features: Float64, magnitude: Float64) -> Float64:
        gain, level = sigmoid(answers[:, :2]).T
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
        if self.sizes.kind == "depthwise":
            return self.depthwise(features)
        x = self.mixed(features) if self.sizes.kind == "mixed" else self.rows(features)
        width, half = self.sizes.width, self.stride // 2
        answers = (x @ self.w["last_weights"].reshape(self.sizes.channels, -1)).reshape(-1, 2 * self.stride, width)
        hidden = np.zeros((BANDS + self.stride, width))
        for row, answer in enumerate(answers):
            hidden[row * self.stride : (row + 2) * self.stride] += answer
        return hidden[half:-half] + self.w["last_bias"]

    def rows(self, features: Float64) -> Float64:
        """Groups of channels, before the last convolution."""
        skips = [bend(self.first(features))]
        for number in range(self.sizes.convolutions):
            skips.append(bend(self.convolved(f"encoder{number}", skips[-1])))
        x = self.dense("narrow", self.w["gather_weights"].reshape(self.sizes.rows, -1) @ skips[-1])
        for number in range(self.sizes.blocks):
            x = self.row_block(number, x)
        x = self.w["spread_weights"].reshape(-1, self.sizes.rows) @ self.dense("widen", x)
        for number in range(self.sizes.convolutions + 1):
            x = bend(self.dense(f"join{number}", np.concatenate([x, skips.pop()], axis=1)))
            if number < self.sizes.convolutions:
                x = bend(self.convolved(f"decoder{number}", x))
        return x

    def convolved(self, name: str, x: Float64) -> Float64:
        """Each group with its two neighbours."""
        padded = np.pad(x, ((1, 1), (0, 0)))
        return self.dense(name, np.concatenate([padded[:-2], padded[1:-1], padded[2:]], axis=1))

    def row_block(self, number: int, x: Float64) -> Float64:
        name, units, h = f"block{number}", self.sizes.units, self.memory[number]
        self.memory[number] = step(self.dense(f"{name}_input", x), self.dense(f"{name}_recurrent", h), h)
        x = x + self.dense(f"{name}_after_gru", self.memory[number])
        joined = x @ self.w[f"{name}_queries_weights"].reshape(units, -1)
        query, key, value = joined.reshape(len(x), 3, self.sizes.heads, -1).transpose(1, 2, 0, 3)
        return x + self.dense(f"{name}_after_attention", attend(query, key, value))

    def depthwise(self, features: Float64) -> Float64:
        """(BANDS, width)."""
        sizes = self.sizes
        windows = self.windows("first", features, TIMES, 3, 2)
        x = self.bent("first_bend", self.dense("first", windows.reshape(BANDS // 2, -1)))
        skips = [x]
        while len(skips[-1]) > sizes.rows:
            skips.append(self.gated(f"halving{len(skips) - 1}", skips[-1], 2))
        halvings = len(skips) - 1
        for number in range(sizes.convolutions):
            skips.append(skips[-1] + self.gated(f"encoder{number}", skips[-1], 1))
        rows = self.dense("narrow", skips[-1])
        for number in range(sizes.blocks):
            rows = self.path(number, rows)
        x = self.dense("widen", rows)
        for number in range(sizes.convolutions):
            x = x + skips.pop()
            x = x + self.gated(f"decoder{number}", x, 1)
        for number in range(halvings - 1, -1, -1):
            both = self.dense(f"doubling{number}_map", x + skips.pop())
            x = self.bent(f"doubling{number}_bend", both.reshape(2 * len(both), -1))
        windows = self.windows("last", x + skips.pop(), 1, 3, 1)
        return self.dense("last", windows.reshape(BANDS // 2, -1)).reshape(BANDS, -1)

    def windows(self, name: str, x: Float64, times: int, taps: int, stride: int) -> Float64:
        """The taps around each stride-th row in the last frames: (rows / stride, times, taps, channels)."""
        past = self.frames.get(name, [np.zeros_like(x)] * (times - 1))
        self.frames[name] = [*past, x][1:]
        margin = taps // 2
        padded = np.stack([np.pad(frame, ((margin, margin), (0, 0))) for frame in (*past, x)])
        return np.stack([padded[:, row : row + taps] for row in range(0, len(x), stride)])

    def bent(self, name: str, x: Float64) -> Float64:
        scale, offset = (self.w[f"{name}_{part}"].reshape(x.shape) for part in ("scale", "offset"))
        return np.maximum(x, 0) + self.w[f"{name}_slope"] * np.minimum(x, 0) + scale * x + offset

    def gated(self, name: str, x: Float64, stride: int) -> Float64:
        """A block of two maps around a convolution, with a gain for each channel."""
        entered = self.bent(f"{name}_bend_first", self.dense(f"{name}_enter", x))
        times, taps = (TIMES, TAPS) if stride == 1 else (2, 3)
        weights = self.w[f"{name}_filter_weights"].reshape(times, taps, -1)
        filtered = (self.windows(name, entered, times, taps, stride) * weights).sum(axis=(1, 2))
        y = self.dense(f"{name}_leave", self.bent(f"{name}_bend", filtered + self.w[f"{name}_filter_bias"]))
        h = self.powers.get(name, np.zeros((1, y.shape[1])))
        from_x = self.dense(f"{name}_time_input", (y**2).mean(axis=0, keepdims=True))
        self.powers[name] = step(from_x, self.dense(f"{name}_time_recurrent", h), h)
        return y * sigmoid(self.dense(f"{name}_time_map", self.powers[name]))

    def path(self, number: int, x: Float64) -> Float64:
        name, half = f"path{number}", self.sizes.units // 2
        inputs = self.dense(f"{name}_rows_input", x).reshape(len(x), 2, 3 * half)
        recurrent = self.w[f"{name}_rows_recurrent_weights"].reshape(2, half, 3 * half)
        biases = self.w[f"{name}_rows_recurrent_bias"].reshape(2, half)
        made = np.zeros((len(x), 2, half))
        for way, order in enumerate((range(len(x)), range(len(x) - 1, -1, -1))):
            h = np.zeros((1, half))
            for row in order:
                from_h = h @ recurrent[way] + np.concatenate([np.zeros(2 * half), biases[way]])
                made[row, way] = h = step(inputs[row, way][None], from_h, h)
        x = x + self.dense(f"{name}_rows_map", made.reshape(len(x), -1))
        h = self.memory[number]
        self.memory[number] = step(self.dense(f"{name}_time_input", x), self.dense(f"{name}_time_recurrent", h), h)
        return x + self.dense(f"{name}_time_map", self.memory[number])

    def mixed(self, features: Float64) -> Float64:
        """Rows of channels, before the last convolution."""
        x = skip = bend(self.first(features))
        for number in range(self.sizes.blocks):
            x = self.block(number, x)
        return bend(self.dense("join", np.concatenate([x, skip], axis=1)))

    def first(self, features: Float64) -> Float64:
        """Rows of channels, each of twice as many bands as it stands for, in as many frames as it has taps."""
        half = self.stride // 2
        padded = [np.pad(frame, ((half, half), (0, 0))) for frame in (*self.first_past, features)]
        self.first_past = [*self.first_past, features][1:]
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
        query, key = self.dense(f"{name}_queries", x).reshape(len(x), 2, heads, KEYS).transpose(1, 2, 0, 3)
        values = x.reshape(len(x), heads, -1).transpose(1, 0, 2)
        return self.dense(f"{name}_after_attention", attend(query, key, values))
