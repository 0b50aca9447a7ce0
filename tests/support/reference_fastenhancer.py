"""FastEnhancer at 48 kHz, slow and plain, in float64, frame by frame, written from its formulas."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]

BLOCK, HOP, HEADS = 1024, 512, 4
SIZES = {"tiny": (24, 20, 24, 2, 2), "base": (48, 36, 36, 2, 3), "small": (64, 48, 48, 3, 3)}  # C1 C2 F2 E R


def sigmoid(x: Float64) -> Float64:
    return 1.0 / (1.0 + np.exp(-x))


def silu(x: Float64) -> Float64:
    return x * sigmoid(x)


class Network:
    """One stream. weights: the numbers of a file, behind its header."""

    def __init__(self, size: str, weights: Float64) -> None:
        c1, c2, f2, layers, blocks = SIZES[size]
        self.width, self.rows = c2, f2
        self.window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(BLOCK) / BLOCK)
        self.past, self.later = np.zeros(HOP), np.zeros(HOP)
        self.hidden = np.zeros((blocks, f2, c2))
        at = 0

        def take(*shape: int) -> Float64:
            nonlocal at
            at += int(np.prod(shape))
            return weights[at - int(np.prod(shape)) : at].reshape(shape)

        def convolution(*shape: int) -> tuple[Float64, Float64, Float64]:
            return take(*shape), take(shape[0]), take(shape[0])

        self.first = convolution(c1, 2, 8)
        self.encoder = [convolution(c1, c1, 3) for _ in range(layers)]
        self.down, self.narrow = take(f2, 128), convolution(c2, c1)
        self.blocks = []
        for number in range(blocks):
            square = (c2, c2)
            names = "Wz Uz bz Wr Ur br Wn Un bin bhn fc fb".split()
            block = {name: take(*(square if name[0] in "WU" or name == "fc" else (c2,))) for name in names}
            if number == 0:
                block["pe"] = take(f2, c2)
            for name in "Wq bq Wk bk Wv bv Wo bo".split():
                block[name] = take(*(square if name[0] == "W" else (c2,)))
            self.blocks.append(block)
        self.widen, self.up = convolution(c1, c2), take(128, f2)
        self.decoder = [(convolution(c1, 2 * c1), convolution(c1, c1, 3)) for _ in range(layers)]
        self.join, self.last, self.bias = convolution(c1, 2 * c1), take(c1, 2, 8), take(2)
        assert at == len(weights)

    def hop(self, samples: Float64) -> Float64:
        """The samples of one hop: those of the hop before, cleaned."""
        spectrum = np.fft.rfft(np.concatenate([self.past, samples]) * self.window)[:-1]
        self.past = samples
        packed = spectrum * np.maximum(np.abs(spectrum), 1e-5) ** -0.7
        mask = self.mask(np.stack([packed.real, packed.imag]))
        masked = packed * (mask[0] + 1j * mask[1])
        frame = np.fft.irfft(np.append(masked * np.abs(masked) ** (7.0 / 3.0), 0.0))
        frame *= self.window / (self.window**2 + np.roll(self.window, HOP) ** 2)
        out, self.later = self.later + frame[:HOP], frame[HOP:]
        return out

    def mask(self, x: Float64) -> Float64:
        """[2, 512] to [2, 512]."""
        weight, scale, offset = self.first
        padded = np.pad(x, ((0, 0), (2, 2)))
        patches = np.stack([padded[:, 4 * f : 4 * f + 8] for f in range(128)], axis=2)  # [2, 8, 128]
        x = silu(scale[:, None] * np.einsum("ock,ckf->of", weight, patches) + offset[:, None])
        skips = [x]
        for layer in self.encoder:
            x = silu(three_taps(layer, x))
            skips.append(x)
        rows = one_tap(self.narrow, x @ self.down.T).T
        for number, block in enumerate(self.blocks):
            rows = self.block(rows, block, number)
        x = one_tap(self.widen, rows.T) @ self.up.T
        for single, triple in self.decoder:
            x = silu(three_taps(triple, silu(one_tap(single, np.concatenate([x, skips.pop()])))))
        x = silu(one_tap(self.join, np.concatenate([x, skips.pop()])))
        out = np.zeros((2, 4 * 127 + 8))
        for f in range(128):
            out[:, 4 * f : 4 * f + 8] += np.einsum("i,iok->ok", x[:, f], self.last)
        return out[:, 2:-2] + self.bias[:, None]

    def block(self, x: Float64, w: dict[str, Float64], number: int) -> Float64:
        """A GRU step for each row, then attention over the rows; [F2, C2]."""
        h = self.hidden[number]
        z = sigmoid(x @ w["Wz"].T + h @ w["Uz"].T + w["bz"])
        r = sigmoid(x @ w["Wr"].T + h @ w["Ur"].T + w["br"])
        n = np.tanh(x @ w["Wn"].T + w["bin"] + r * (h @ w["Un"].T + w["bhn"]))
        self.hidden[number] = h = (1 - z) * n + z * h
        x = x + h @ w["fc"].T + w["fb"]
        if number == 0:
            x = x + w["pe"]
        q, k, v = (x @ w["W" + name].T + w["b" + name] for name in "qkv")
        depth = self.width // HEADS
        heads = []
        for head in range(HEADS):
            part = slice(head * depth, (head + 1) * depth)
            scores = q[:, part] @ k[:, part].T / np.sqrt(depth)
            scores = np.exp(scores - scores.max(axis=1, keepdims=True))
            heads.append(scores / scores.sum(axis=1, keepdims=True) @ v[:, part])
        return x + np.concatenate(heads, axis=1) @ w["Wo"].T + w["bo"]


def one_tap(layer: tuple[Float64, Float64, Float64], x: Float64) -> Float64:
    weight, scale, offset = layer
    return scale[:, None] * (weight @ x) + offset[:, None]


def three_taps(layer: tuple[Float64, Float64, Float64], x: Float64) -> Float64:
    weight, scale, offset = layer
    padded = np.pad(x, ((0, 0), (1, 1)))
    total = sum(weight[:, :, tap] @ padded[:, tap : tap + x.shape[1]] for tap in range(3))
    return scale[:, None] * total + offset[:, None]
