"""Optimisers by name, and the running mean of weights: what both trainings need."""

from __future__ import annotations

import copy
from typing import Any, Generic, TypeVar

import torch
from torch import nn

from denoise_wrapper.errors import ConfigError

N = TypeVar("N", bound=nn.Module)


def make_optimisers(
    network: nn.Module, method: str, rate: float, vector_rate: float, weight_decay: float
) -> list[torch.optim.Optimizer]:
    """adam, adamw, or muon: Muon for matrices with AdamW for the rest, at vector_rate. Source of Muon: K. Jordan, 2024.

    Each group remembers its rate as initial_lr.
    """
    parameters = [part for part in network.parameters() if part.requires_grad]
    fused: dict[str, Any] = {"betas": (0.9, 0.98), "weight_decay": weight_decay, "fused": True}
    optimisers: list[torch.optim.Optimizer]
    if method == "muon":
        if not hasattr(torch.optim, "Muon"):
            raise ConfigError(f"torch {torch.__version__} has no Muon; install torch 2.9 or newer, or take adamw")
        matrices = [part for part in parameters if part.ndim == 2]
        vectors = [part for part in parameters if part.ndim != 2]
        optimisers = [
            torch.optim.Muon(matrices, rate, weight_decay=weight_decay, adjust_lr_fn="match_rms_adamw"),
            torch.optim.AdamW(vectors, vector_rate, **fused),
        ]
    else:
        kind = torch.optim.Adam if method == "adam" else torch.optim.AdamW
        optimisers = [kind(parameters, rate, **fused)]
    for optimiser in optimisers:
        for group in optimiser.param_groups:
            group["initial_lr"] = group["lr"]
    return optimisers


def has_bf16(device: torch.device) -> bool:
    """Whether the device computes with bf16 itself, rather than slowly by other means."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported()) and bool(torch.cpu._is_avx512_bf16_supported())


def set_rates(optimisers: list[torch.optim.Optimizer], factor: float) -> None:
    """Each group's rate is factor times the one that it began with."""
    for optimiser in optimisers:
        for group in optimiser.param_groups:
            group["lr"] = group["initial_lr"] * factor


class Averaged(Generic[N]):
    """A copy of a network whose weights are a running mean of its, over fewer steps at the beginning.

    So are the statistics of its batch norms.
    """

    def __init__(self, network: N, decay: float) -> None:
        self.network, self.decay = copy.deepcopy(network), decay

    @torch.no_grad()
    def update(self, network: N, step: int) -> None:
        """Take in the weights as they are after so many steps, of which the first is 0."""
        decay = min(self.decay, (1 + step) / (10 + step))
        for mean, part in zip(self.network.parameters(), network.parameters(), strict=True):
            mean.lerp_(part, 1.0 - decay)
        for mean, part in zip(self.network.buffers(), network.buffers(), strict=True):
            if part.is_floating_point():
                mean.lerp_(part, 1.0 - decay)
            else:
                mean.copy_(part)
