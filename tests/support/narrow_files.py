"""UL-UNAS and GTCRN of random weights as files, made without torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from denoise_wrapper.models.narrow import (
    AFFINE,
    BINS,
    CONVOLUTION,
    LOW,
    NORM,
    SLOPE,
    UPPER,
    Taker,
    bank,
    encode_narrow,
    gtcrn_weights,
    ulunas_weights,
)
from denoise_wrapper.models.records import read_records

Array = NDArray[Any]


class RandomTaker(Taker):
    """Layers of random weights, of whatever shapes are asked for."""

    def __init__(self, kind: str, seed: int) -> None:
        super().__init__(kind, {"linear map": [[bank()]]})
        self.rng = np.random.default_rng(seed)

    def take(self, kind: str, *shapes: tuple[int, ...]) -> list[Array]:
        banks = {(UPPER, BINS - LOW): bank(), (BINS - LOW, UPPER): bank().T}
        return [banks[shape] if shape in banks else self.random(kind, shape) for shape in shapes]

    def random(self, kind: str, shape: tuple[int, ...]) -> Array:
        """Sums that neither die away nor saturate what follows."""
        spread = 0.3 if kind in (AFFINE, NORM) or len(shape) == 1 else 1.5 / np.sqrt(np.prod(shape[1:]))
        middle = {NORM: 0.6 if self.rng.integers(2) else 0.0, SLOPE: 0.25}.get(kind, 0.0)
        return self.rng.normal(middle, spread if kind != CONVOLUTION else 0.9 * spread, shape)

    def finish(self) -> None:
        pass


def random_narrow(kind: str, seed: int = 1, mild: bool = False) -> bytes:
    """A file whose masks, memories and attention all move with what comes in.

    mild: the masks let most through, as those of trained networks do.
    """
    weights = dict((ulunas_weights if kind == "ulunas" else gtcrn_weights)(RandomTaker(kind, seed)))
    if kind == "ulunas":
        weights["encoder0_conv_weights"] = 0.1 * weights["encoder0_conv_weights"]  # of sums of many logarithms
    if mild:
        weights["decoder4_conv_weights"] = 0.1 * weights["decoder4_conv_weights"]
        weights["decoder4_conv_bias"] = np.array([6.0] if kind == "ulunas" else [1.5, 0.0])
    return encode_narrow(kind, weights, {"name": "random", "licence": "none", "origin": f"seed {seed}"})


def with_weights(kind: str, data: bytes, changes: Mapping[str, Array]) -> bytes:
    """A file with some of its weights changed."""
    weights = read_records(data)
    for other in ("metadata", "narrow_network"):
        weights.pop(other)
    return encode_narrow(kind, {**weights, **changes}, {"name": "changed"})
