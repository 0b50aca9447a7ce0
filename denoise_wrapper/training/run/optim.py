"""Optimisers by name, and the running mean of weights."""

from __future__ import annotations

import copy
import functools
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn

N = TypeVar("N", bound=nn.Module)
QUINTIC = (3.4445, -4.7750, 2.0315)  # a, b, c of a s + b s^3 + c s^5, which brings singular values s to 0.7 to 1.2 ...
ROUNDS = 5  # ... in so many rounds


def make_optimisers(
    network: nn.Module, method: str, rate: float, vector_rate: float, weight_decay: float, kernels: bool = False
) -> list[torch.optim.Optimizer]:
    """adam, adamw, or muon: Muon for matrices with AdamW for the rest, at vector_rate.

    kernels: Muon takes those of convolutions too, (out, ...), as matrices (out, rest). Each group remembers its rate
    as initial_lr.
    """
    parameters = [part for part in network.parameters() if part.requires_grad]
    fused: dict[str, Any] = {"betas": (0.9, 0.98), "weight_decay": weight_decay, "fused": True}
    optimisers: list[torch.optim.Optimizer]
    if method == "muon":
        matrices = [part for part in parameters if part.ndim == 2 or (kernels and part.ndim > 2)]
        rest = [part for part in parameters if part.ndim < 2 or (not kernels and part.ndim > 2)]
        optimisers = [Muon(matrices, rate, weight_decay), torch.optim.AdamW(rest, vector_rate, **fused)]
    else:
        kind = torch.optim.Adam if method == "adam" else torch.optim.AdamW
        optimisers = [kind(parameters, rate, **fused)]
    for optimiser in optimisers:
        for group in optimiser.param_groups:
            group["initial_lr"] = group["lr"]
    return optimisers


class Muon(torch.optim.Optimizer):
    """Nesterov momentum whose step is made orthogonal, matrix by matrix. Source: K. Jordan, 2024.

    A kernel of more dimensions, (out, ...), is a matrix (out, rest). Steps are scaled to the RMS of AdamW's, so that
    its rates do (J. Liu et al., arXiv 2502.16982). Takes up the state_dict of torch.optim.Muon, which computes in bf16
    even where the processor has none and that is thirty times as slow.
    """

    def __init__(
        self, matrices: Iterable[Tensor], rate: float, weight_decay: float = 0.0, momentum: float = 0.95
    ) -> None:
        super().__init__(matrices, {"lr": rate, "weight_decay": weight_decay, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]  # nothing here evaluates a loss
        """Change each matrix that has a gradient; those of one shape together, lying or standing."""
        for group in self.param_groups:
            alike: dict[tuple[int, int], list[tuple[Tensor, Tensor]]] = defaultdict(list)
            for matrix in group["params"]:
                if matrix.grad is not None:
                    wide = self._push(matrix, group["momentum"]).flatten(1)
                    if wide.shape[0] > wide.shape[1]:
                        wide = wide.mT
                    alike[wide.shape[0], wide.shape[1]].append((matrix, wide))
            for shape, pairs in alike.items():
                steps = orthogonalise(torch.stack([wide for _, wide in pairs]))
                length = group["lr"] * 0.2 * math.sqrt(max(shape))
                for (matrix, _), step in zip(pairs, steps, strict=True):
                    step = step.mT if len(matrix) > len(step) else step
                    matrix.mul_(1.0 - group["lr"] * group["weight_decay"])
                    matrix.add_(step.reshape(matrix.shape), alpha=-length)

    def _push(self, matrix: Tensor, momentum: float) -> Tensor:
        """Take the gradient into the momentum; returns what both point to."""
        state, gradient = self.state[matrix], matrix.grad
        assert gradient is not None
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(gradient)
        state["momentum_buffer"].lerp_(gradient, 1.0 - momentum)
        return gradient.lerp(state["momentum_buffer"], momentum)


def orthogonalise(matrices: Tensor) -> Tensor:
    """Matrices of the same singular vectors, whose singular values are about 1, by Newton and Schulz's iteration.

    matrices: (n, rows, columns), of which the rows should be the fewer. Computed in bf16 where the device can.
    """
    a, b, c = QUINTIC
    norm = torch.linalg.matrix_norm(matrices, keepdim=True).clamp(min=1e-7)
    x = (matrices / norm).to(torch.bfloat16 if has_bf16(matrices.device) else torch.float32)
    for _ in range(ROUNDS):
        square = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(square, square, square, beta=b, alpha=c), x, beta=a)
    return x


@functools.cache
def has_bf16(device: torch.device) -> bool:
    """True if the device computes with bf16 itself, rather than slowly by other means."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported()) and bool(torch.cpu._is_avx512_bf16_supported())


def set_rates(optimisers: list[torch.optim.Optimizer], factor: float) -> None:
    """Each group's rate is factor times the one that it began with."""
    for optimiser in optimisers:
        for group in optimiser.param_groups:
            group["lr"] = group["initial_lr"] * factor


def with_start(learned: dict[str, Tensor], begun: dict[str, Tensor], share: float) -> dict[str, Tensor]:
    """Weights of which a share is what a run began with, and the rest as learned.

    Such a mean loses less of what the weights could do before than it gains (Wortsman et al., "Robust fine-tuning of
    zero-shot models", 2022).
    """
    return {
        name: part.lerp(begun[name].to(part), share) if part.is_floating_point() else part
        for name, part in learned.items()
    }


def written_weights(content: Mapping[str, Any]) -> dict[str, Tensor] | None:
    """The weights that a checkpoint stands for: as learned, or with their share of what the run began with; None where
    it holds none."""
    learned, begun = content.get("network"), content.get("begun")
    if not isinstance(learned, dict):
        return None
    return with_start(learned, begun, content["config"]["train"]["start_share"]) if begun else learned


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
        for kept, current in zip(self.network.buffers(), network.buffers(), strict=True):
            if current.is_floating_point():
                kept.lerp_(current, 1.0 - decay)
            else:
                kept.copy_(current)
