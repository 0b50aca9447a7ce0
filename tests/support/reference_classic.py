"""The classic network of RNNoise, slow and plain, in float64, written from its formulas and not from the engine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]


def sigmoid(x: Float64) -> Float64:
    return np.asarray(0.5 + 0.5 * np.tanh(x / 2))


def relu(x: Float64) -> Float64:
    return np.maximum(x, 0)


ACTIVATIONS: dict[str, Callable[[Float64], Float64]] = {"tanh": np.tanh, "sigmoid": sigmoid, "relu": relu}


class Layer(NamedTuple):
    """Integers of 1/256. A GRU's columns: update, reset, candidate; recurrent None: a dense layer."""

    activation: str
    weights: NDArray[Any]  # (inputs, columns)
    recurrent: NDArray[Any] | None  # (units, columns)
    bias: NDArray[Any]  # (columns,)


def read_text(text: bytes) -> list[Layer]:
    """The six layers of a .rnnn file."""
    title, _, rest = text.decode("ascii").partition("\n")
    assert title == "rnnoise-nu model file version 1"
    numbers = [int(word) for word in rest.split()]

    def take(*shape: int) -> NDArray[Any]:
        count = int(np.prod(shape))
        values_of = np.array(numbers[:count]).reshape(shape)
        del numbers[:count]
        return values_of

    layers = []
    for is_gru in (False, True, True, True, False, False):
        inputs, units, activation = take(3).tolist()
        columns = 3 * units if is_gru else units
        weights = take(inputs, columns)
        recurrent = take(units, columns) if is_gru else None
        layers.append(Layer(list(ACTIVATIONS)[activation], weights, recurrent, take(columns)))
    assert numbers == []
    return layers


class Network:
    """Features (42,) to (gains (22,), probability of speech), frame by frame.

    layers: input_dense, vad_gru, noise_gru, denoise_gru, denoise_output, vad_output.
    """

    look_ahead = False

    def __init__(self, layers: Sequence[Layer]) -> None:
        self.layers = [
            Layer(layer.activation, layer.weights / 256, None if u is None else u / 256, layer.bias / 256)
            for layer, u in ((layer, layer.recurrent) for layer in layers)
        ]
        self.hidden = [np.zeros(len(layer.recurrent)) for layer in self.layers if layer.recurrent is not None]

    def run(self, features: Float64) -> tuple[Float64, float]:
        first = self.dense(0, features)
        vad = self.gru(1, first)
        noise = self.gru(2, np.concatenate([first, vad, features]))
        denoise = self.gru(3, np.concatenate([vad, noise, features]))
        return self.dense(4, denoise), float(self.dense(5, vad)[0])

    def dense(self, index: int, x: Float64) -> Float64:
        layer = self.layers[index]
        return np.asarray(ACTIVATIONS[layer.activation](x @ layer.weights + layer.bias))

    def gru(self, index: int, x: Float64) -> Float64:
        """The reset gate acts before the recurrent product."""
        layer, h = self.layers[index], self.hidden[index - 1]
        assert layer.recurrent is not None
        wz, wr, wc = np.split(x @ layer.weights + layer.bias, 3)
        uz, ur, uc = np.split(layer.recurrent, 3, axis=1)
        z, r = sigmoid(wz + h @ uz), sigmoid(wr + h @ ur)
        c = ACTIVATIONS[layer.activation](wc + (r * h) @ uc)
        self.hidden[index - 1] = z * h + (1 - z) * c
        return self.hidden[index - 1]
