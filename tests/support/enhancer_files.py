"""Enhancers of random weights as files, made without torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from denoise_wrapper.models.enhancer import Sizes, encode_enhancer, weight_shapes

FULL = Sizes("mixed", channels=32, width=12, rows=32, blocks=3, units=48, heads=2)  # as it is trained
TINY = Sizes("mixed", channels=24, width=8, rows=16, blocks=3, units=32, heads=2)
SMALL = Sizes("mixed", channels=8, width=3, rows=8, blocks=2, units=8, heads=1)
SINGLE = Sizes("mixed", channels=40, width=5, rows=16, blocks=1, units=24, heads=4)
MANY_HEADS = Sizes("mixed", channels=16, width=4, rows=32, blocks=2, units=16, heads=8)

ROWS = Sizes("rows", channels=24, width=16, rows=24, blocks=2, units=32, heads=4, convolutions=2)  # as it is trained
FEW_ROWS = Sizes("rows", channels=8, width=3, rows=8, blocks=1, units=24, heads=2, convolutions=0)
TAPPED = Sizes("rows", 24, 16, 24, blocks=2, units=32, heads=4, convolutions=2, taps=5)
ALL_TAPS = Sizes("mixed", 8, 3, 8, blocks=1, units=8, heads=1, taps=8)
GUIDED = TAPPED._replace(guided=True)
ALONE_GUIDED = FEW_ROWS._replace(guided=True)  # without taps
DEPTHWISE = Sizes("depthwise", 40, 16, 32, blocks=2, units=24, heads=1, convolutions=2)  # as it is trained
FEW_HALVED = Sizes("depthwise", 8, 3, 8, blocks=1, units=8, heads=1, convolutions=1)
WIDE_HALVED = Sizes("depthwise", 16, 2, 16, blocks=1, units=40, heads=1, convolutions=1)


def random_enhancer(
    sizes: Sizes = SMALL,
    seed: int = 1,
    mild: bool = False,
    float16: bool = False,
    notes: Mapping[str, str] | None = None,
) -> bytes:
    """A file whose masks, memories and attention all move with what comes in.

    mild: the masks let most through and turn no phase far, as those of trained networks do. float16: weights in 16
    bits. notes: more metadata.
    """
    rng = np.random.default_rng(seed)
    # Sums that neither die away nor saturate what follows, with features of 0 to 4; branches beside a stream are weak.
    branches = dict.fromkeys(("after_memory", "leave", "after_attention", "after_gru"), 0.5)
    gains = {
        "first": 0.7,
        "queries": 0.5,
        "filter": 2.0,
        "low_head": 0.6,
        "voice_hidden": 3.0,
        "voice_output": 1.0,
        **branches,
    }
    spreads = {"memory": 0.5, "queries": 0.5, "head": 0.5}
    weights: dict[str, NDArray[Any]] = {}
    for name, shape in weight_shapes(sizes).items():
        layer, _, kind = name.rpartition("_")
        part = layer.partition("_")[2] if layer.startswith("block") else layer
        if part in ("gather", "spread"):
            weights[name] = rng.dirichlet(np.full(shape[1], 0.3), shape[0])
        elif kind == "bias":
            spread = spreads.get("head" if part.endswith("head") else part, 0.2)
            weights[name] = rng.normal(0, spread, shape)
        else:
            inputs = np.prod(shape[:1] if part == "last" else shape[:-1])
            weights[name] = rng.normal(0, gains.get(part, 1.0) / np.sqrt(inputs), shape)
    if mild:
        for head, usual in (("low_head", [0.8, 0.0]), ("upper_head", [1.5, -2.0])):
            weights[f"{head}_weights"] *= 0.1
            bias = weights[f"{head}_bias"]
            weights[f"{head}_bias"] = np.concatenate([usual, 0.1 * bias[2:]])
    metadata = {"name": "random", "licence": "none", "origin": f"seed {seed}", **(notes or {})}
    return encode_enhancer(sizes, weights, metadata, float16)
