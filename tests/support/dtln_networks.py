"""Small DTLNs with random weights, and what a pair of files answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray

from denoise_wrapper.backends.dtln import DTLNBackend
from denoise_wrapper.training.dtln.config import DTLNNetworkConfig
from denoise_wrapper.training.dtln.model import DTLN

Array = NDArray[Any]

TINY = {"frame_length": 32, "hop_length": 8, "hidden_size": 6, "encoder_size": 10}
BINS_257 = {"frame_length": 512, "hop_length": 128, "hidden_size": 8, "encoder_size": 12}
NOTES = {"sample_rate": "16000", "name": "tiny", "licence": "CC0", "origin": "made by a test"}


def make_network(norm: bool = True, sizes: dict[str, int] = TINY) -> DTLN:
    """Random weights, of which none is alike, nor as it was at the beginning."""
    torch.manual_seed(1)
    network = DTLN(DTLNNetworkConfig(**sizes, norm=norm))
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.requires_grad:
                parameter.add_(0.2 * torch.randn_like(parameter))
    return network.eval()


def same_weights(one: DTLN, other: DTLN) -> bool:
    first, second = one.state_dict(), other.state_dict()
    return list(first) == list(second) and all(torch.equal(first[name], second[name]) for name in first)


def answer_of(pair: tuple[Path, Path], noisy: Array) -> Array:
    """From zero state, not aligned, as the recordings are."""
    return DTLNBackend(pair, "dtln-16k").new_state(1).process(noisy[None])[0][0]
