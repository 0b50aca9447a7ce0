"""Bands that grow with frequency: each bin below 4 kHz is one, above it triangles cover ever more bins.

48 kHz; frames of 960 samples (20 ms) every 480, so a bin is 50 Hz. 80 low bands, bins 0 to 79, and 48 upper ones whose
centres grow from 4 to 24 kHz by the same factor: 150 Hz apart at first, 880 at last.
"""

from __future__ import annotations

import torch
from torch import Tensor

from denoise_wrapper.training.perceptual import triangles

RATE = 48000  # Hz
HOP = 480  # samples, 10 ms
BLOCK = 2 * HOP
BINS = HOP + 1
LOW = 80  # bins, and bands
UPPER = 48  # bands
BANDS = LOW + UPPER


def centres() -> Tensor:
    """Peaks of the upper bands, in bins: float64 (UPPER,)."""
    steps = torch.linspace(0.0, 1.0, UPPER, dtype=torch.float64)
    return LOW * ((BINS - 1) / LOW) ** steps


def spread() -> Tensor:
    """Weights that spread a value of each upper band over its bins: float32 (UPPER, BINS - LOW), the columns sum to 1.

    Between the centres of two bands a bin has a straight blend of them.
    """
    return triangles(centres(), torch.arange(LOW, BINS))


def gather() -> Tensor:
    """Weights of the mean that each upper band is: float32 (BINS - LOW, UPPER), the columns sum to 1."""
    weights = spread()
    return (weights / weights.sum(dim=1, keepdim=True)).T.contiguous()


def bin_weights(power: float) -> Tensor:
    """Weights of the bins in a loss: float32 (BINS,), 1 below 4 kHz, then (1 / bins of its band) to power."""
    widths = torch.gradient(centres())[0].float()
    return torch.cat([torch.ones(LOW), (widths @ spread()).clamp(min=1.0) ** -power])
