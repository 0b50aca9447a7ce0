"""Memories of the bodies: GRUs along time and along frequency, and a lighter one without products over its own past."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from denoise_wrapper.training.enhancer.bodies.parts import as_rows
from denoise_wrapper.training.enhancer.budget import Cost


class TimeGRU(nn.Module):
    """A GRU along time for each row, with one set of weights for all rows."""

    def __init__(self, inputs: int, units: int) -> None:
        super().__init__()
        self.gru = nn.GRU(inputs, units)

    def forward(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """(clips, frames, rows, inputs) to (clips, frames, rows, units). state: (clips, rows, units)."""
        clips, frames, rows, _ = x.shape
        steps = x.transpose(0, 1).reshape(frames, clips * rows, -1)
        answer, last = self.gru(steps, state.reshape(1, clips * rows, -1))
        return answer.view(frames, clips, rows, -1).transpose(0, 1), last.view_as(state)

    def cost(self, rows: int) -> Cost:
        """Cost of a frame of so many rows."""
        units = rows * self.gru.hidden_size
        return Cost(units * 3 * (self.gru.input_size + self.gru.hidden_size), 3 * units, 1)


class BandGRU(nn.Module):
    """Two GRUs along the rows of each frame, one up and one down, with half of the units each."""

    def __init__(self, inputs: int, units: int) -> None:
        super().__init__()
        self.gru = nn.GRU(inputs, units // 2, bidirectional=True)

    def forward(self, x: Tensor) -> Tensor:
        """(clips, frames, rows, inputs) to (clips, frames, rows, units)."""
        clips, frames, rows, _ = x.shape
        answer, _ = self.gru(x.flatten(0, 1).transpose(0, 1))
        return answer.view(rows, clips, frames, -1).permute(1, 2, 0, 3)

    def cost(self, rows: int) -> Cost:
        """Cost of a frame of so many rows; both directions go at once."""
        units = 2 * rows * self.gru.hidden_size
        return Cost(units * 3 * (self.gru.input_size + self.gru.hidden_size), 3 * units, rows)


class TimeAttention(nn.Module):
    """A gain for each channel of each frame, by a GRU that follows the channels' power. After GTCRN and UL-UNAS."""

    def __init__(self, channels: int, units: int) -> None:
        super().__init__()
        self.gru, self.dense = nn.GRU(channels, units), nn.Linear(units, channels)

    def forward(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """(clips, channels, frames, bands), of the same shape. state: (clips, units)."""
        power = as_rows(x).square().mean(dim=2)  # (clips, frames, channels)
        answer, last = self.gru(power.transpose(0, 1), state.unsqueeze(0))
        gain = torch.sigmoid(self.dense(answer)).permute(1, 2, 0)
        return x * gain.unsqueeze(3), last.squeeze(0)

    def cost(self) -> Cost:
        """Cost of a frame."""
        units, channels = self.gru.hidden_size, self.gru.input_size
        return Cost(3 * units * (channels + units) + units * channels, 3 * units + channels, 1)


class Blend(torch.autograd.Function):
    """h[t] = h[t - 1] + z[t] (c[t] - h[t - 1]) for all frames at once."""

    @staticmethod
    def forward(ctx: Any, share: Tensor, value: Tensor, state: Tensor) -> Tensor:
        answer = blend_frames(share, value, state)
        ctx.save_for_backward(share, value, state, answer)
        return answer

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        share, value, state, answer = ctx.saved_tensors
        keep = 1.0 - share
        slopes = torch.empty_like(share)  # of the answer's frames, through all later ones
        later = torch.zeros_like(state)
        for frame in range(len(share) - 1, -1, -1):
            torch.add(gradients[0][frame], later, out=slopes[frame])
            later = slopes[frame] * keep[frame]
        before = torch.cat([state.unsqueeze(0), answer[:-1]])
        return slopes * (value - before), slopes * share, later


def blend_frames(share: Tensor, value: Tensor, state: Tensor) -> Tensor:
    """The blends of each frame's value with all before it. share, value: (frames, ...), state: one frame of them."""
    answers = []
    for part, new in zip(share, value, strict=True):
        state = torch.lerp(state, new, part)
        answers.append(state)
    return torch.stack(answers)


class LightMemory(nn.Module):
    """A GRU whose gate and candidate see only the frame: a running mean that each unit of each row steers.

    After "Were RNNs all we needed?" (arXiv 2410.01201). It takes a third of a GRU's products and a third of its
    exponentials, and learns all frames at once. The biases are each row's own. The gates begin as time constants from
    MEMORY[0] to MEMORY[1] frames.
    """

    MEMORY = (1.5, 100.0)

    def __init__(self, inputs: int, units: int, rows: int) -> None:
        super().__init__()
        self.units = units
        self.matrix = nn.Linear(inputs, 2 * units, bias=False)  # gates, then candidates
        shares = torch.logspace(math.log10(self.MEMORY[0]), math.log10(self.MEMORY[1]), units).reciprocal()
        self.bias = nn.Parameter(torch.cat([torch.logit(shares), torch.zeros(units)]).repeat(rows, 1))

    def forward(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """(clips, frames, rows, inputs) to (clips, frames, rows, units). state: (clips, rows, units)."""
        gate, value = (self.matrix(x) + self.bias).float().transpose(0, 1).split(self.units, dim=3)
        share = torch.sigmoid(gate)
        answer = Blend.apply(share, value, state) if torch.is_grad_enabled() else blend_frames(share, value, state)
        return answer.transpose(0, 1), answer[-1]

    def cost(self, rows: int) -> Cost:
        """Cost of a frame of so many rows; no product waits for another."""
        return Cost(self.matrix.weight.numel() * rows, self.units * rows, 0)
