"""UL-UNAS and GTCRN, slow and plain, in float64: from their formulas, neither from the engine nor with torch."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from denoise_wrapper.models.narrow import kind_of
from denoise_wrapper.models.records import read_records
from denoise_wrapper.models.released import ENCODER, Shape

Float64 = NDArray[np.float64]
Complex = NDArray[np.complex128]

HOP, BLOCK, BINS, RATE = 256, 512, 257, 16000
LOW, UPPER, ROWS = 65, 64, 33
SPREADS = (1, 2, 5)


def sigmoid(x: Float64) -> Float64:
    return 0.5 + 0.5 * np.tanh(0.5 * x)


def triangles() -> Float64:
    """Weights of the bins from LOW on in the upper bands, with peaks equally far apart on an ERB scale."""
    first, last = 21.4 * np.log10(0.00437 * np.array([LOW * RATE / BLOCK, RATE / 2]) + 1)
    peaks = np.round((10 ** (np.linspace(first, last, UPPER) / 21.4) - 1) / 0.00437 * BLOCK / RATE)
    return np.stack([np.interp(np.arange(LOW, BINS), peaks, row) for row in np.eye(UPPER)])


def pad(x: Float64, rows: int) -> Float64:
    return np.pad(x, ((rows, rows), (0, 0)))


def stretched(x: Float64) -> Float64:
    """Rows of zeros between each two."""
    wide = np.zeros((2 * len(x) - 1, x.shape[1]))
    wide[::2] = x
    return wide


class Network:
    """A network as its file has it, and the memory of one channel. Values are (bands, channels)."""

    def __init__(self, data: bytes) -> None:
        self.kind = kind_of(data)
        self.w = {name: values.astype(np.float64) for name, values in read_records(data).items()}
        hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(BLOCK) / BLOCK)
        self.window = np.sqrt(hann)
        self.bank = triangles()
        self.recent, self.pending = np.zeros(HOP), np.zeros(HOP)
        self.state: dict[str, Any] = {}

    def process(self, audio: Float64, min_gain: float = 0.0) -> Float64:
        """The cleaned signal, HOP late. audio: (n * HOP,)."""
        return np.concatenate([self.hop(hop, min_gain) for hop in np.split(audio, len(audio) // HOP)])

    def hop(self, samples: Float64, min_gain: float) -> Float64:
        spectrum = np.fft.rfft(self.window * np.concatenate([self.recent, samples]))
        self.recent = samples
        mask = self.ulunas(spectrum) if self.kind == "ulunas" else self.gtcrn(spectrum)
        frame = self.window * np.fft.irfft(spectrum * (min_gain + (1 - min_gain) * mask), BLOCK)
        out: Float64 = self.pending + frame[:HOP]
        self.pending = frame[HOP:]
        return out

    def to_bands(self, bins: Float64) -> Float64:
        return np.concatenate([bins[:LOW], self.bank @ bins[LOW:]])

    def to_bins(self, bands: Float64) -> Float64:
        return np.concatenate([bands[:LOW], bands[LOW:] @ self.bank])

    def dense(self, name: str, x: Float64) -> Float64:
        return x @ self.w[f"{name}_weights"].reshape(x.shape[-1], -1) + self.w[f"{name}_bias"]

    def remembered(self, name: str, now: Any, frames: int) -> list[Any]:
        """The last frames of what is called name, now being the newest; zeros before the start."""
        past = self.state.get(name) or [np.zeros_like(now)] * frames
        self.state[name] = [*past[1:], now]
        return [*past, now]

    def bent(self, name: str, x: Float64) -> Float64:
        slope = self.w[f"{name}_slope"]
        y = np.where(x > 0, x, slope * x)
        if f"{name}_scale" not in self.w:
            return y
        return y + self.w[f"{name}_scale"].reshape(x.shape) * x + self.w[f"{name}_offset"].reshape(x.shape)

    def filtered(self, name: str, frames: list[Float64], taps: int, step: int = 1) -> Float64:
        """Each channel over the bands of frames, which are padded here."""
        channels = frames[0].shape[1]
        weights = self.w[f"{name}_weights"].reshape(len(frames), taps, channels)
        rows = (len(frames[0]) - 1) // step + 1
        y = np.tile(self.w[f"{name}_bias"], (rows, 1))
        for frame, of_time in zip(frames, weights, strict=True):
            padded = pad(frame, taps // 2)
            for tap in range(taps):
                y += of_time[tap] * padded[tap : tap + len(frame) : step]
        return y

    @staticmethod
    def gru(x: Float64, h: Float64, inner: Float64, bias: Float64) -> Float64:
        """x: of the inputs, z, r, n, biases in it. inner: (units, 3 * units). bias: of h's products, likewise."""
        units = h.shape[-1]
        of_h = h @ inner + bias
        z, r = (sigmoid(x[..., i * units : (i + 1) * units] + of_h[..., i * units : (i + 1) * units]) for i in (0, 1))
        n = np.tanh(x[..., 2 * units :] + r * of_h[..., 2 * units :])
        return (1 - z) * n + z * h

    def along(self, x: Float64, w: Float64, bias: Float64, inner: Float64, inner_bias: Float64) -> Float64:
        """(places, inputs) through a GRU up and one down: (places, 8)."""
        w, bias = w.reshape(-1, 3, 2, 4), bias.reshape(3, 2, 4)
        inner, inner_bias = inner.reshape(3, 4, 2, 4), inner_bias.reshape(2, 4)
        made = np.zeros((len(x), 2, 4))
        for side in range(2):
            h = np.zeros(4)
            recurrent = inner[:, :, side].transpose(1, 0, 2).reshape(4, 12)
            only_n = np.concatenate([np.zeros(8), inner_bias[side]])
            for place in range(len(x))[:: -1 if side else 1]:
                of_x = x[place] @ w[:, :, side].reshape(-1, 12) + bias[:, side].ravel()
                made[place, side] = h = self.gru(of_x, h, recurrent, only_n)
        return made.reshape(len(x), 8)

    def time_gain(self, name: str, x: Float64) -> Float64:
        units = 2 * x.shape[1]
        h = self.state.get(f"{name}_time", np.zeros(units))
        of_x = self.dense(f"{name}_time_input", (x**2).mean(axis=0))
        inner = self.w[f"{name}_time_recurrent_weights"].reshape(units, -1)
        self.state[f"{name}_time"] = h = self.gru(of_x, h, inner, self.w[f"{name}_time_recurrent_bias"])
        return sigmoid(self.dense(f"{name}_time_map", h))

    def band_gain(self, name: str, x: Float64) -> Float64:
        power = (x**2).mean(axis=1)
        steps = np.pad(power, (0, -len(power) % 4)).reshape(-1, 4)
        parts = [f"{name}_bands_{part}" for part in ("input_weights", "input_bias", "recurrent_weights")]
        weights, bias, inner = (self.w[part] for part in parts)
        made = self.along(steps, weights, bias, inner, self.w[f"{name}_bands_recurrent_bias"])
        return sigmoid(self.dense(f"{name}_bands_map", made)).ravel()[: len(power)]

    def path(self, name: str, x: Float64) -> Float64:
        halves = [self.w[f"{name}_rows_{part}"].reshape(2, -1) for part in
                  ("input_weights", "input_bias", "recurrent_weights", "recurrent_bias")]  # fmt: skip
        made = [self.along(x[:, 8 * i : 8 * i + 8], *(part[i] for part in halves)) for i in range(2)]
        x = x + self.normal(f"{name}_rows", np.concatenate(made, axis=1))
        memory = self.state.get(name, [np.zeros((ROWS, 8))] * 2)
        after = []
        for i in range(2):
            w, inner = (self.w[f"{name}_time_{part}_weights"].reshape(2, 8, 24)[i] for part in ("input", "recurrent"))
            bias, inner_bias = (self.w[f"{name}_time_{part}_bias"].reshape(2, 24)[i] for part in ("input", "recurrent"))
            after.append(self.gru(x[:, 8 * i : 8 * i + 8] @ w + bias, memory[i], inner, inner_bias))
        self.state[name] = after
        return x + self.normal(f"{name}_time", np.concatenate(after, axis=1))

    def normal(self, name: str, x: Float64) -> Float64:
        y = self.dense(f"{name}_map", x)
        y = (y - y.mean()) / np.sqrt(y.var() + 1e-8)
        return y * self.w[f"{name}_norm_scale"].reshape(y.shape) + self.w[f"{name}_norm_offset"].reshape(y.shape)

    # ---- UL-UNAS ----

    def ulunas(self, spectrum: Complex) -> Float64:
        x = self.to_bands(np.log10(np.maximum(abs(spectrum), 1e-12)))[:, None]
        frames = self.remembered("first", x, 2)
        padded = np.concatenate([pad(frame, 1) for frame in frames], axis=1)  # (bands, times)
        windows = np.stack([padded[tap : tap + 129 : 2] for tap in range(3)], axis=1).reshape(ROWS * 2 - 1, -1)
        x = self.attended("encoder0", self.bent("encoder0_bend", self.dense("encoder0_conv", windows)))
        skips = [x]
        for number, shape in enumerate(ENCODER[1:], 1):
            x = self.block(f"encoder{number}", shape, x)
            skips.append(x)
        for number in range(2):
            x = self.path(f"path{number}", x)
        for number, shape in enumerate(ENCODER[:0:-1]):
            turned = shape._replace(inputs=shape.outputs, outputs=shape.inputs, before=shape.after, after=shape.before)
            x = self.block(f"decoder{number}", turned, x + skips.pop())
        return self.to_bins(sigmoid(self.last(x + skips.pop())))

    def attended(self, name: str, x: Float64) -> Float64:
        time, bands = self.time_gain(name, x), self.band_gain(name, x)
        return x * time * bands[:, None]

    def block(self, name: str, shape: Shape, x: Float64) -> Float64:
        x = self.bent(f"{name}_bend_first", self.dense(f"{name}_enter", x))
        frames = self.remembered(name, x, shape.times - 1) if shape.times > 1 else [x]
        if shape.after > shape.before:
            frames = [stretched(frame) for frame in frames]
        step = 2 if shape.after < shape.before else 1
        x = self.bent(f"{name}_bend", self.filtered(f"{name}_filter", frames, shape.taps, step))
        return self.attended(name, self.dense(f"{name}_leave", x) if shape.leaves else x)

    def last(self, x: Float64) -> Float64:
        frames = [pad(stretched(frame), 1) for frame in self.remembered("last", x, 2)]
        weights = self.w["decoder4_conv_weights"].reshape(3, 12, 3)
        y = np.full((129, 1), self.w["decoder4_conv_bias"][0])
        for frame, of_time in zip(frames, weights, strict=True):
            for tap in range(3):
                y[:, 0] += frame[tap : tap + 129] @ of_time[:, tap]
        return self.attended("decoder4", y)[:, 0]

    # ---- GTCRN ----

    def gtcrn(self, spectrum: Complex) -> Complex:
        parts = (np.sqrt(abs(spectrum) ** 2 + 1e-12), spectrum.real, spectrum.imag)
        bands = pad(np.stack([self.to_bands(part) for part in parts], axis=1), 1)
        seen = np.stack([bands[k : k + 129] for k in range(3)], axis=2).reshape(129, 9)  # part by part
        first = x = self.edge("encoder0", pad(seen, 2))
        x = self.edge("encoder1", pad(x, 2))
        skips = [x]
        for number, spread in enumerate(SPREADS, 2):
            x = self.worked(f"encoder{number}", spread, x)
            skips.append(x)
        for number in range(2):
            x = self.path(f"path{number}", x)
        for number, spread in enumerate(reversed(SPREADS)):
            x = self.worked(f"decoder{number}", spread, x + skips.pop())
        x = self.bent("decoder3_bend", self.doubled("decoder3", x + skips.pop()))
        mask = np.tanh(self.doubled("decoder4", x + first))
        return self.to_bins(mask[:, 0]) + 1j * self.to_bins(mask[:, 1])

    def edge(self, name: str, padded: Float64) -> Float64:
        count = len(padded) - 4
        windows = np.stack([padded[tap : tap + count : 2] for tap in range(5)], axis=1)
        return self.bent(f"{name}_bend", self.dense(f"{name}_conv", windows.reshape(len(windows), -1)))

    def doubled(self, name: str, x: Float64) -> Float64:
        """Taps 0, 2, 4 come first in the file, then 1 and 3."""
        weights = self.w[f"{name}_conv_weights"].reshape(5, 16, -1)[[0, 3, 1, 4, 2]]
        padded = pad(stretched(x), 2)
        count = len(padded) - 4
        products = [padded[tap : tap + count] @ weights[tap] for tap in range(5)]
        return np.sum(products, axis=0) + self.w[f"{name}_conv_bias"]

    def worked(self, name: str, spread: int, x: Float64) -> Float64:
        work, kept = pad(x[:, :8], 1), x[:, 8:]
        y = self.dense(f"{name}_enter", np.concatenate([work[:-2], work[1:-1], work[2:]], axis=1))
        frames = self.remembered(name, self.bent(f"{name}_bend_first", y), 2 * spread)
        y = self.bent(f"{name}_bend", self.filtered(f"{name}_filter", frames[::spread], 3))
        y = self.dense(f"{name}_leave", y)
        return np.stack([y * self.time_gain(name, y), kept], axis=2).reshape(x.shape)
