"""Building blocks of the bodies.

Tensors are (clips, channels, frames, bands) where convolutions work and (clips, frames, rows, channels) where rows do;
with the channels last in memory, as the convolutions here leave them, one is a view of the other.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from denoise_wrapper.training.enhancer.budget import Cost


def as_rows(x: Tensor) -> Tensor:
    """(clips, channels, frames, bands) seen as (clips, frames, bands, channels)."""
    return x.permute(0, 2, 3, 1)


def as_maps(x: Tensor) -> Tensor:
    """(clips, frames, rows, channels) seen as (clips, channels, frames, rows)."""
    return x.permute(0, 3, 1, 2)


class BandConv(nn.Module):
    """A convolution over the bands of each frame, and its batch norm.

    Bands beyond either end are zero; bands / stride come out.
    """

    def __init__(self, inputs: int, outputs: int, taps: int = 1, stride: int = 1, groups: int = 1) -> None:
        super().__init__()
        padding = (0, (taps - stride + 1) // 2)
        self.conv = nn.Conv2d(inputs, outputs, (1, taps), (1, stride), padding, groups=groups, bias=False)
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(clips, inputs, frames, bands) to (clips, outputs, frames, bands / stride)."""
        return self.norm(self.conv(x))

    def cost(self, bands: int) -> Cost:
        """What a frame of so many bands takes."""
        return Cost(self.conv.weight.numel() * (bands // self.conv.stride[1]), 0, 0)


class RowMap(nn.Module):
    """A matrix for the channels of each row, and its batch norm."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.matrix = nn.Linear(inputs, outputs, bias=False)
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(clips, frames, rows, inputs) to (clips, frames, rows, outputs)."""
        return as_rows(self.norm(as_maps(self.matrix(x))))

    def cost(self, rows: int) -> Cost:
        """What a frame of so many rows takes."""
        return Cost(self.matrix.weight.numel() * rows, 0, 0)


class Regrid(nn.Module):
    """A matrix along frequency, one for all channels, that begins as interpolation: x[rows] to y[new rows]."""

    def __init__(self, old: int, new: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(triangles(old, new) if new < old else triangles(new, old).T.contiguous())
        with torch.no_grad():
            self.weight.div_(self.weight.sum(dim=1, keepdim=True))

    def forward(self, x: Tensor) -> Tensor:
        """(clips, frames, old, channels) to (clips, frames, new, channels)."""
        return torch.matmul(self.weight, x)

    def cost(self, channels: int) -> Cost:
        """What a frame of so many channels takes."""
        return Cost(self.weight.numel() * channels, 0, 0)


def triangles(many: int, few: int) -> Tensor:
    """Overlapping triangles with their peaks evenly from the first of many places to the last: (few, many)."""
    step = (many - 1) / max(few - 1, 1)
    distance = torch.arange(many) - step * torch.arange(few).unsqueeze(1)
    return (1.0 - distance.abs() / step).clamp(min=0.0)


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
        """What a frame of so many rows takes."""
        units = rows * self.gru.hidden_size
        return Cost(units * 3 * (self.gru.input_size + self.gru.hidden_size), 3 * units, 1)


class RowAttention(nn.Module):
    """Attention over the rows of each frame."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.channels, self.heads = channels, heads
        self.queries = nn.Linear(channels, 3 * channels, bias=False)  # all queries, then all keys, then all values

    def forward(self, x: Tensor) -> Tensor:
        """(clips, frames, rows, channels), of the same shape."""
        clips, frames, rows, channels = x.shape
        joined = self.queries(x).view(clips * frames, rows, 3, self.heads, channels // self.heads)
        query, key, value = joined.permute(2, 0, 3, 1, 4)
        scores = (query * (channels // self.heads) ** -0.5) @ key.transpose(2, 3)
        mixed = torch.softmax(scores, dim=3) @ value  # (clips * frames, heads, rows, channels / heads)
        return mixed.transpose(1, 2).reshape(x.shape)

    def cost(self, rows: int) -> Cost:
        """What a frame of so many rows takes."""
        products = self.queries.weight.numel() * rows + 2 * rows * rows * self.channels
        return Cost(products, self.heads * rows * rows, 0)


def place_codes(rows: int, channels: int) -> Tensor:
    """Sines and cosines that tell the rows apart: (rows, channels)."""
    places = torch.arange(1, rows + 1).unsqueeze(1) * (math.pi / rows)
    rates = torch.linspace(0.0, math.log(max(rows - 1, 2)), -(-channels // 2)).exp()
    return torch.cat([torch.sin(places * rates), torch.cos(places * rates)], dim=1)[:, :channels].contiguous()


def activate(x: Tensor) -> Tensor:
    """x * clip(x + 3, 0, 6) / 6, near x * sigmoid(x) without an exponential."""
    return functional.hardswish(x)
