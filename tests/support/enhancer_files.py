"""Enhancers of random weights as files, made without torch."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from denoise_wrapper.models.enhancer import Sizes, encode_enhancer

BANDS, FEATURES, KEYS, VOICE_UNITS = 128, 3, 8, 12
TIMES, TAPS = 3, 5

FULL = Sizes("mixed", channels=32, width=12, rows=32, blocks=3, units=48, heads=2)  # as it is trained
TINY = Sizes("mixed", channels=24, width=8, rows=16, blocks=3, units=32, heads=2)
SMALL = Sizes("mixed", channels=8, width=3, rows=8, blocks=2, units=8, heads=1)
SINGLE = Sizes("mixed", channels=40, width=5, rows=16, blocks=1, units=24, heads=4)
MANY_HEADS = Sizes("mixed", channels=16, width=4, rows=32, blocks=2, units=16, heads=8)


def random_enhancer(sizes: Sizes = SMALL, seed: int = 1) -> bytes:
    """A file whose masks, memories and attention all move with what comes in."""
    rng = np.random.default_rng(seed)
    weights: dict[str, NDArray[Any]] = {}

    def dense(name: str, inputs: int, outputs: int, bias_rows: int = 1, gain: float = 1.0, bias: float = 0.2) -> None:
        weights[f"{name}_weights"] = rng.normal(0, gain / np.sqrt(inputs), (inputs, outputs))
        weights[f"{name}_bias"] = rng.normal(0, bias, (bias_rows, outputs))

    stride = BANDS // sizes.rows
    channels = sizes.channels
    dense("first", TIMES * 2 * stride * FEATURES, channels, gain=2.0)
    for number in range(sizes.blocks):
        block = f"block{number}"
        dense(f"{block}_memory", channels, 2 * sizes.units, sizes.rows, gain=2.0, bias=0.5)
        dense(f"{block}_after_memory", sizes.units, channels)
        dense(f"{block}_enter", channels, channels, gain=1.5)
        dense(f"{block}_filter", TIMES * TAPS, channels, gain=2.0)
        dense(f"{block}_leave", channels, channels)
        if number + 1 < sizes.blocks:
            dense(f"{block}_queries", channels, 2 * sizes.heads * KEYS, sizes.rows, bias=0.7)
            dense(f"{block}_after_attention", channels, channels)
    dense("join", 2 * channels, channels, gain=2.0)
    dense("last", channels, 2 * stride * sizes.width)
    weights["last_bias"] = rng.normal(0, 0.2, sizes.width)
    for head in ("low_head", "upper_head"):
        dense(head, sizes.width, 2, bias=0.7)
    dense("voice_hidden", 2 * sizes.width, VOICE_UNITS, gain=2.0)
    dense("voice_output", VOICE_UNITS, 1, gain=3.0)
    return encode_enhancer(sizes, weights, {"name": "random", "licence": "none", "origin": f"seed {seed}"})
