"""UL-UNAS and GTCRN of random weights as files, made without torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from denoise_wrapper.models.narrow import BINS, LOW, UPPER, Taker, bank, encode_narrow, gtcrn_weights, ulunas_weights
from denoise_wrapper.models.records import read_records
from denoise_wrapper.models.released import AFFINE, GRU, LINEAR, NORM, SLOPE

Array = NDArray[Any]


class RandomTaker(Taker):
    """Layers of random weights, of whatever shapes are asked for."""

    def __init__(self, kind: str, seed: int) -> None:
        super().__init__(kind, {LINEAR: [[bank()]]})
        self.kind = kind
        self.rng = np.random.default_rng(seed)

    def take(self, kind: str, *shapes: tuple[int, ...]) -> list[Array]:
        banks = {(UPPER, BINS - LOW): bank(), (BINS - LOW, UPPER): bank().T}
        return [
            banks[shape] if shape in banks else self.random(kind, number, shape) for number, shape in enumerate(shapes)
        ]

    def random(self, kind: str, number: int, shape: tuple[int, ...]) -> Array:
        """Sums that neither die away nor saturate what follows, and gains that are mostly open."""
        first, is_wide = number == 0, self.kind == "ulunas"  # whose blocks have two gains each
        middle = {AFFINE: 0.4 * first, NORM: 0.6 * first, SLOPE: 0.25, LINEAR: 1.0 * (is_wide and not first)}
        spread = 0.3 if kind in (AFFINE, NORM) or len(shape) == 1 else 1.35 / np.sqrt(np.prod(shape[1:]))
        spread *= (0.4 if is_wide else 0.2) if kind == GRU else 1.0  # whose inputs are powers, too
        return self.rng.normal(middle.get(kind, 0.0), spread, shape)

    def finish(self) -> None:
        pass


SEEDS = {"ulunas": 2, "gtcrn": 7}  # with which no memory is shut


def random_narrow(kind: str, seed: int | None = None, mild: bool = False) -> bytes:
    """A file whose masks, memories and attention all move with what comes in.

    mild: the masks let most through, as those of trained networks do.
    """
    seed = SEEDS[kind] if seed is None else seed
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
