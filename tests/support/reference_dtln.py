"""A DTLN in NumPy's float64, slow and plain, from the formulas: what the engine and ONNX Runtime are held to.

Weights come from the two files that this package writes, by the names that they have there.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from require import require

onnx = require("onnx", "pip install 'denoise-wrapper[training]'")

Array = NDArray[Any]
LEAST = 1e-7  # is added to magnitudes, and to variances


def weights_of(data: bytes) -> dict[str, Array]:
    """The weights of a model by name, float64; those in 16 bits without their suffix."""
    tensors = onnx.load_from_string(data).graph.initializer
    arrays = {each.name.removesuffix("_half"): onnx.numpy_helper.to_array(each) for each in tensors}
    return {name: array.astype(np.float64).squeeze() for name, array in arrays.items() if array.dtype.kind == "f"}


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


class LSTM:
    """One layer and its state. The file has the gates in the order input, output, forget, candidate."""

    def __init__(self, weights: dict[str, Array], layer: int) -> None:
        self.by_input, self.by_state = (weights[f"lstm{layer}.{part}"] for part in "WR")
        self.bias = weights[f"lstm{layer}.B"].reshape(2, -1).sum(0)
        self.h = self.c = np.zeros(len(self.bias) // 4)

    def step(self, x: Array) -> Array:
        enter, leave, keep, candidate = np.split(self.by_input @ x + self.by_state @ self.h + self.bias, 4)
        self.c = sigmoid(keep) * self.c + sigmoid(enter) * np.tanh(candidate)
        self.h = sigmoid(leave) * np.tanh(self.c)
        return self.h


class MaskCore:
    """A norm, two LSTMs and a dense layer."""

    def __init__(self, weights: dict[str, Array]) -> None:
        self.weights, self.lstms = weights, [LSTM(weights, 1), LSTM(weights, 2)]

    def mask(self, x: Array) -> Array:
        x = (x - x.mean()) / np.sqrt(x.var() + LEAST) * self.weights["norm.weight"] + self.weights["norm.bias"]
        for lstm in self.lstms:
            x = lstm.step(x)
        return sigmoid(x @ self.weights["dense.weight"] + self.weights["dense.bias"])


def run_reference(pair: tuple[bytes, bytes], noisy: Array) -> Array:
    """What a pair with norms makes of a signal (n * hop,) from silence: as long, three hops late."""
    first, second = map(weights_of, pair)
    masks, features = MaskCore(first), MaskCore(second)
    block = len(second["encode.weight"])
    hop = block // 4
    heard = np.concatenate([np.zeros(block - hop), noisy.astype(np.float64)])
    made = np.zeros(len(heard))
    for start in range(0, len(noisy), hop):
        spectrum = np.fft.rfft(heard[start : start + block])
        frame = np.fft.irfft(spectrum * masks.mask(np.log(np.abs(spectrum) + LEAST)))
        code = frame @ second["encode.weight"]
        made[start : start + block] += (code * features.mask(code)) @ second["decode.weight"]
    return made[: len(noisy)]
