"""Building blocks of the bodies.

Tensors are (clips, channels, frames, bands) where convolutions work and (clips, frames, rows, channels) where rows do;
with the channels last in memory, as the convolutions here leave them, one is a view of the other.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

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


def normed(product: Callable[[Tensor, Tensor | None], Tensor], weight: Tensor, norm: nn.BatchNorm2d) -> Tensor:
    """The norm of a product's maps, (clips, channels, frames, bands).

    product: of a weight, (channels, ...), and what is added to its answer, (channels,), if anything. While the network
    learns with a norm that stands still, both come from the norm, which so costs next to nothing.
    """
    if norm.training or not torch.is_grad_enabled():
        return norm(product(weight, None))  # type: ignore[no-any-return]
    return product(*with_norm(weight, norm))


def with_norm(weight: Tensor, norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """A weight, (channels, ...), with the norm of its answer in it, and what is added to that, (channels,)."""
    scale, offset = folded(norm)
    return weight * scale.view(-1, *[1] * (weight.ndim - 1)), offset


def folded(norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """What a norm at rest multiplies each channel by, and then adds: (channels,)."""
    assert norm.running_var is not None
    assert norm.running_mean is not None
    scale = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
    return scale, norm.bias - norm.running_mean * scale


def convolve(conv: nn.Conv2d, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """A convolution with other weights, of the same shape; a bias that is added by itself has the quicker slopes."""
    answer = functional.conv2d(x, weight, None, conv.stride, conv.padding, conv.dilation, conv.groups)
    return answer if bias is None else answer.add_(bias.view(-1, 1, 1))


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
        if torch.is_grad_enabled() and self.conv.weight.shape[2:] == (1, 1) and self.conv.stride == (1, 1):
            # One product of all rows, with zeros between the groups: its gradients are quicker than a convolution's.
            matrix = torch.block_diag(*self.conv.weight.flatten(1).chunk(self.conv.groups))
            return normed(lambda *weights: as_maps(functional.linear(as_rows(x), *weights)), matrix, self.norm)
        return normed(lambda *weights: convolve(self.conv, x, *weights), self.conv.weight, self.norm)

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
        matrix = self.matrix.weight
        return as_rows(normed(lambda *weights: as_maps(functional.linear(x, *weights)), matrix, self.norm))

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
        scale = self.places.new_ones(2, self.heads * self.KEYS)
        scale[0] = self.KEYS**-0.5
        joined = functional.linear(x, self.queries.weight * scale.view(-1, 1)) + self.places * scale.view(-1)
        # Heads one by one are products of parts as they lie in memory.
        parts = joined.flatten(0, 1).split(self.KEYS, dim=2)
        values = x.flatten(0, 1).split(self.channels // self.heads, dim=2)
        mixed = [
            torch.softmax(query @ key.transpose(1, 2), dim=2) @ value
            for query, key, value in zip(parts[: self.heads], parts[self.heads :], values, strict=True)
        ]
        return torch.cat(mixed, dim=2).view(x.shape)

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
        answer = normed(lambda *weights: convolve(self.conv, joined, *weights), self.conv.weight, self.norm)
        return answer, joined[:, :, x.shape[2] :]

    def past_shape(self, bands: int) -> tuple[int, ...]:
        """The shape of one clip's past."""
        return self.conv.in_channels, (self.conv.kernel_size[0] - 1) * self.conv.dilation[0], bands

    def cost(self, bands: int) -> Cost:
        """Cost of a frame of so many bands."""
        return Cost(self.conv.weight.numel() * (bands // self.conv.stride[1]), 0, 0)


class Bend(torch.autograd.Function):
    """The formula of `AffinePReLU`, clip by clip, so that what one operator leaves is in the cache for the next."""

    @staticmethod
    @torch.amp.custom_fwd(device_type="cpu", cast_inputs=torch.float32)
    def forward(ctx: Any, x: Tensor, scale: Tensor, offset: Tensor, slope: Tensor) -> Tensor:
        """(clips, frames, bands, channels), of the same shape."""
        ctx.save_for_backward(x, scale, slope)
        answer = torch.empty_like(x)
        for rows, bent in zip(x, answer, strict=True):
            torch.addcmul(offset, rows, torch.where(rows > 0.0, scale + 1.0, scale + slope), out=bent)
        return answer

    @staticmethod
    @torch.amp.custom_bwd(device_type="cpu")
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        x, scale, slope = ctx.saved_tensors
        slopes = torch.empty_like(x)
        of_scale, of_offset, of_slope = (torch.zeros_like(scale) for _ in range(3))
        for rows, gradient, part in zip(x, gradients[0], slopes, strict=True):
            torch.mul(gradient, torch.where(rows > 0.0, scale + 1.0, scale + slope), out=part)
            of_scale += (gradient * rows).sum(dim=0)
            of_offset += gradient.sum(dim=0)
            of_slope += (gradient * rows.clamp(max=0.0)).sum(dim=0)
        return slopes, of_scale, of_offset, of_slope.sum(dim=0)


class AffinePReLU(nn.Module):
    """a x + b + (x if x > 0, else s x): a and b for each channel of each band, s for each channel. After UL-UNAS."""

    def __init__(self, channels: int, bands: int) -> None:
        super().__init__()
        self.scale, self.offset = nn.Parameter(torch.ones(bands, channels)), nn.Parameter(torch.zeros(bands, channels))
        self.slope = nn.Parameter(torch.full((channels,), 0.25))

    def forward(self, x: Tensor) -> Tensor:
        """(clips, channels, frames, bands), of the same shape."""
        rows = as_rows(x)
        if torch.onnx.is_in_onnx_export():  # which has no tensor that is written to
            factors = torch.where(rows > 0.0, self.scale + 1.0, self.scale + self.slope)
            return as_maps(self.offset + rows * factors)
        return as_maps(Bend.apply(rows, self.scale, self.offset, self.slope))


def shuffle(x: Tensor) -> Tensor:
    """The halves of the channels dealt out in turn, so that the next map of groups mixes both."""
    rows = as_rows(x)
    return as_maps(rows.reshape(*rows.shape[:3], 2, rows.shape[3] // 2).transpose(3, 4).flatten(3))


def interleave(x: Tensor) -> Tensor:
    """(clips, 2 * channels, frames, bands) to (clips, channels, frames, 2 * bands): a band's second half follows it."""
    rows = as_rows(x)
    return as_maps(rows.reshape(*rows.shape[:2], 2 * rows.shape[2], rows.shape[3] // 2))


def activate(x: Tensor) -> Tensor:
    """x * clip(x + 3, 0, 6) / 6, near x * sigmoid(x) without an exponential."""
    return functional.hardswish(x)
