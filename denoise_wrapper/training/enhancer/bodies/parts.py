"""Building blocks of the bodies.

Tensors are (clips, channels, frames, bands) where convolutions work and (clips, frames, rows, channels) where rows do;
with the channels last in memory, as the convolutions here leave them, one is a view of the other.
"""

from __future__ import annotations

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
        """Cost of a frame of so many bands."""
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
        """Cost of a frame of so many rows."""
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
        """Cost of a frame of so many channels."""
        return Cost(self.weight.numel() * channels, 0, 0)


def triangles(many: int, few: int) -> Tensor:
    """Overlapping triangles with their peaks evenly from the first of many places to the last: (few, many)."""
    step = (many - 1) / max(few - 1, 1)
    distance = torch.arange(many) - step * torch.arange(few).unsqueeze(1)
    return (1.0 - distance.abs() / step).clamp(min=0.0)


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
        """Cost of a frame of so many rows."""
        products = self.queries.weight.numel() * rows + 2 * rows * rows * self.channels
        return Cost(products, self.heads * rows * rows, 0)


class NarrowAttention(nn.Module):
    """Attention over the rows of each frame by narrow keys, whose values are the channels themselves.

    What each row adds to its queries and keys is learned, so a head can look at certain rows.
    """

    KEYS = 8  # channels of a query or a key, in each head

    def __init__(self, channels: int, heads: int, rows: int) -> None:
        super().__init__()
        self.channels, self.heads = channels, heads
        self.queries = nn.Linear(channels, 2 * heads * self.KEYS, bias=False)  # all queries, then all keys
        self.places = nn.Parameter(torch.randn(rows, 2 * heads * self.KEYS) * 0.3)

    def forward(self, x: Tensor) -> Tensor:
        """(clips, frames, rows, channels), of the same shape."""
        clips, frames, rows, channels = x.shape
        joined = (self.queries(x) + self.places).view(clips * frames, rows, 2, self.heads, self.KEYS)
        query, key = joined.permute(2, 0, 3, 1, 4)
        values = x.reshape(clips * frames, rows, self.heads, channels // self.heads).transpose(1, 2)
        mixed = torch.softmax((query * self.KEYS**-0.5) @ key.transpose(2, 3), dim=3) @ values
        return mixed.transpose(1, 2).reshape(x.shape)

    def cost(self, rows: int) -> Cost:
        """Cost of a frame of so many rows."""
        scores = self.heads * rows * rows
        return Cost(self.queries.weight.numel() * rows + scores * self.KEYS + rows * rows * self.channels, scores, 0)


class CausalConv(nn.Module):
    """A convolution over time and bands, and its batch norm: the newest tap in time is the frame itself.

    spread: frames between two taps in time.
    """

    def __init__(
        self, inputs: int, outputs: int, taps: tuple[int, int], stride: int = 1, groups: int = 1, spread: int = 1
    ) -> None:
        super().__init__()
        padding = (0, (taps[1] - stride + 1) // 2)
        self.conv = nn.Conv2d(inputs, outputs, taps, (1, stride), padding, (spread, 1), groups, bias=False)
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor, past: Tensor) -> tuple[Tensor, Tensor]:
        """(clips, inputs, frames, bands) to (clips, outputs, frames, bands / stride), and the past of what comes next.

        past: (clips, inputs, frames that the taps reach back, bands).
        """
        joined = torch.cat([past, x], dim=2).contiguous(memory_format=torch.channels_last)
        return self.norm(self.conv(joined)), joined[:, :, x.shape[2] :]

    def past_shape(self, bands: int) -> tuple[int, ...]:
        """The shape of one clip's past."""
        return self.conv.in_channels, (self.conv.kernel_size[0] - 1) * self.conv.dilation[0], bands

    def cost(self, bands: int) -> Cost:
        """Cost of a frame of so many bands."""
        return Cost(self.conv.weight.numel() * (bands // self.conv.stride[1]), 0, 0)


class AffinePReLU(nn.Module):
    """a x + b + (x if x > 0, else s x): a and b for each channel of each band, s for each channel. After UL-UNAS."""

    def __init__(self, channels: int, bands: int) -> None:
        super().__init__()
        self.scale, self.offset = nn.Parameter(torch.ones(bands, channels)), nn.Parameter(torch.zeros(bands, channels))
        self.slope = nn.Parameter(torch.full((channels,), 0.25))

    def forward(self, x: Tensor) -> Tensor:
        """(clips, channels, frames, bands), of the same shape."""
        rows = as_rows(x)
        below = torch.addcmul(self.offset, rows, self.scale + self.slope)
        return as_maps(torch.addcmul(below, functional.relu(rows), 1.0 - self.slope))


def shuffle(x: Tensor) -> Tensor:
    """The halves of the channels dealt out in turn, so that the next map of groups mixes both."""
    rows = as_rows(x)
    return as_maps(rows.unflatten(3, (2, -1)).transpose(3, 4).flatten(3))


def interleave(x: Tensor) -> Tensor:
    """(clips, 2 * channels, frames, bands) to (clips, channels, frames, 2 * bands): a band's second half follows it."""
    rows = as_rows(x)
    return as_maps(rows.reshape(*rows.shape[:2], 2 * rows.shape[2], rows.shape[3] // 2))


def activate(x: Tensor) -> Tensor:
    """x * clip(x + 3, 0, 6) / 6, near x * sigmoid(x) without an exponential."""
    return functional.hardswish(x)
