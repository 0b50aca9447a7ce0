"""A DTLN's layers as they lie in other people's files, and the network put together from them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from denoise_wrapper.errors import ConfigError, ModelError
from denoise_wrapper.training.dtln.config import DTLNNetworkConfig
from denoise_wrapper.training.dtln.model import DTLN

Array = NDArray[Any]

WANTED = "4 LSTMs, 2 dense layers, 2 maps without bias (1x1 convolutions) and 1 or 2 layer norms"


@dataclass(frozen=True)
class Recurrent:
    """An LSTM: kernel (4 units, inputs), recurrent (4 units, units), bias (4 units,), gates i f g o."""

    kernel: Array
    recurrent: Array
    bias: Array


@dataclass(frozen=True)
class Dense:
    """weight (outputs, inputs), bias (outputs,)."""

    weight: Array
    bias: Array


@dataclass(frozen=True)
class Norm:
    """weight and bias, (channels,) each."""

    weight: Array
    bias: Array


@dataclass
class Parts:
    """The layers found, of each kind in the order in which the signal meets them."""

    lstms: list[Recurrent] = field(default_factory=list)
    denses: list[Dense] = field(default_factory=list)
    maps: list[Array] = field(default_factory=list)  # (outputs, inputs): the encoder and the decoder
    norms: list[Norm] = field(default_factory=list)
    others: list[str] = field(default_factory=list)  # in words: what has no place in a DTLN

    def __add__(self, other: Parts) -> Parts:
        return Parts(
            self.lstms + other.lstms,
            self.denses + other.denses,
            self.maps + other.maps,
            self.norms + other.norms,
            self.others + other.others,
        )

    def __str__(self) -> str:
        """In words, with the sizes."""
        kinds = [
            ("LSTMs", [sizes(part.kernel, 4) for part in self.lstms]),
            ("dense layers", [sizes(part.weight) for part in self.denses]),
            ("maps", [sizes(part) for part in self.maps]),
            ("layer norms", [str(part.weight.size) for part in self.norms]),
        ]
        lines = [f"{name} {', '.join(items)}" for name, items in kinds if items] + self.others[:6]
        return "; ".join(lines) or "no layer of a DTLN"


def sizes(matrix: Array, gates: int = 1) -> str:
    return f"{matrix.shape[1]} -> {matrix.shape[0] // gates}"


def assemble(parts: Parts, source: str, hop: int | None = None, dropout: float = 0.0) -> DTLN:
    """The network that has these layers.

    source: names the file in messages. hop: samples, which no weight tells; None for a quarter of the block.
    Raises ModelError if layers are missing or too many, do not fit each other, or hold what is not finite.
    """
    counts = (len(parts.lstms), len(parts.denses), len(parts.maps), parts.others)
    if counts != (4, 2, 2, []) or len(parts.norms) not in (1, 2):
        other = " but RNNoise's network" if "vad_gru" in " ".join(parts.others) else ""
        raise ModelError(f"{source} is no DTLN{other}: it holds {parts}; a DTLN has {WANTED}")
    encoder = parts.lstms[2].kernel.shape[1]
    encode, decode = sorted(parts.maps, key=lambda weight: weight.shape[0] != encoder)
    block, units = encode.shape[1], parts.lstms[0].recurrent.shape[1]
    bins = block // 2 + 1
    norms = sorted(parts.norms, key=lambda norm: norm.weight.size != bins) if len(parts.norms) == 2 else parts.norms
    weights = named(parts.lstms, parts.denses, (encode, decode), norms)
    try:
        config = DTLNNetworkConfig(block, hop or max(block // 4, 1), units, encoder, len(norms) == 2, dropout)
        network = DTLN(config)
    except ConfigError as error:
        raise ModelError(f"{source} is no DTLN that can be run: {error}") from error
    check_weights(weights, network, source)
    network.load_state_dict({name: torch.from_numpy(np.array(value, np.float32)) for name, value in weights.items()})
    return network


def named(lstms: list[Recurrent], denses: list[Dense], maps: Iterable[Array], norms: list[Norm]) -> dict[str, Array]:
    """Our names -> weights."""
    weights = dict(zip(("frame_core.encode.weight", "frame_core.decode.weight"), maps, strict=True))
    for index, core in enumerate(("mask_core", "frame_core")):
        weights |= {f"{core}.dense.weight": denses[index].weight, f"{core}.dense.bias": denses[index].bias}
        for layer, lstm in enumerate(lstms[2 * index : 2 * index + 2], 1):
            name = f"{core}.lstm{layer}"
            weights |= {f"{name}.weight_ih_l0": lstm.kernel, f"{name}.weight_hh_l0": lstm.recurrent}
            weights |= {f"{name}.bias_ih_l0": lstm.bias, f"{name}.bias_hh_l0": np.zeros_like(lstm.bias)}
    for core, norm in zip(("mask_core", "frame_core")[-len(norms) :], norms, strict=True):
        weights |= {f"{core}.norm.weight": norm.weight, f"{core}.norm.bias": norm.bias}
    return weights


def check_weights(weights: dict[str, Array], network: DTLN, source: str) -> None:
    """Raises ModelError for shapes other than the network's, and for what is no finite number."""
    fitting = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    wrong = [
        f"{name} is {weights[name].shape}, {shape} would fit"
        for name, shape in fitting.items()
        if weights[name].shape != shape
    ]
    if wrong:
        raise ModelError(
            f"the layers of {source} do not fit each other, taking its blocks for {network.block} samples: "
            + "; ".join(wrong[:6])
        )
    broken = [name for name, value in weights.items() if value.dtype.kind != "f" or not np.isfinite(value).all()]
    if broken:
        raise ModelError(f"{source}: {', '.join(broken)}: not all values are finite numbers, so it cannot be run")
