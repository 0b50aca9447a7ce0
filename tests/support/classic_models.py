"""Classic networks of random weights."""

from __future__ import annotations

import numpy as np

from denoise_wrapper.models import classic
from denoise_wrapper.models.classic import ClassicModel, Layer


def random_model(dense: int = 24, vad: int = 24, noise: int = 48, denoise: int = 96, seed: int = 1) -> ClassicModel:
    """A network of these sizes whose integers take every value that int8 has."""
    rng = np.random.default_rng(seed)
    inputs = [42, dense, 42 + dense + vad, 42 + vad + noise, denoise, vad]
    units = [dense, vad, noise, denoise, 22, 1]
    activations = ["tanh", "tanh", "relu", "tanh", "sigmoid", "sigmoid"]

    def layer(index: int) -> Layer:
        name, is_gru = classic.SHAPES[index]
        columns = units[index] * (3 if is_gru else 1)
        shapes = [(inputs[index], columns), (units[index], columns), (columns,)]
        weights, recurrent, bias = (rng.integers(-128, 128, shape).astype(np.int8) for shape in shapes)
        return Layer(name, activations[index], weights, recurrent if is_gru else None, bias)

    metadata = {"name": "random", "licence": "CC0-1.0", "origin": "tests, «сл»  */ and\nmore", "trained": False}
    return ClassicModel(tuple(layer(index) for index in range(6)), metadata)
