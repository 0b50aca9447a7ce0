"""Convolutions over frequency around a few rows, each with its own memory, that look at each other.

After FastEnhancer (arXiv 2509.21867): a GRU along time for each row and attention over the rows are all that mixes
frames and far bands; all else is small matrices over the bands of one frame.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from denoise_wrapper.errors import ConfigError
from denoise_wrapper.training.enhancer.bodies import compiled
from denoise_wrapper.training.enhancer.bodies.body import Body
from denoise_wrapper.training.enhancer.bodies.parts import (
    BandConv,
    Regrid,
    RowAttention,
    RowMap,
    activate,
    as_maps,
    as_rows,
    with_norm,
)
from denoise_wrapper.training.enhancer.bodies.recurrent import TimeGRU
from denoise_wrapper.training.enhancer.budget import Cost
from denoise_wrapper.training.enhancer.config import BodyConfig

STRIDE = 4  # bands that the first convolution makes one of


class RowBlock(nn.Module):
    """A GRU along time in each row, then attention over the rows, both added to what comes in."""

    def __init__(self, rows: int, channels: int, heads: int, first: bool) -> None:
        super().__init__()
        self.gru, self.after_gru = TimeGRU(channels, channels), RowMap(channels, channels)
        self.places = nn.Parameter(place_codes(rows, channels)) if first else None
        self.attention, self.after_attention = RowAttention(channels, heads), RowMap(channels, channels)

    def forward(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """(clips, frames, rows, channels), of the same shape. state: (clips, rows, channels)."""
        answer, state = self.gru(x, state)
        x = x + self.after_gru(answer)
        if self.places is not None:
            x = x + self.places
        return x + self.after_attention(self.attention(x)), state

    def all_weights(self, rows: int) -> Iterator[Tensor]:
        """The weights in the order of native/denoise.h, the norms in them."""
        gru = self.gru.gru
        for name in ("ih", "hh"):
            yield gru.get_parameter(f"weight_{name}_l0").t()
            yield gru.get_parameter(f"bias_{name}_l0")
        matrix, bias = map_weights(self.after_gru)
        yield matrix
        yield bias.expand(rows, -1) if self.places is None else self.places + bias
        yield self.attention.queries.weight.t()
        yield from map_weights(self.after_attention)

    def cost(self, rows: int) -> Cost:
        """Cost of a frame of so many rows."""
        maps = self.after_gru.cost(rows) + self.after_attention.cost(rows)
        return self.gru.cost(rows) + self.attention.cost(rows) + maps


class DecoderBlock(nn.Module):
    """Mixes and convolves what comes from below and from the encoder's block of the same depth."""

    def __init__(self, channels: int, taps: int, bend: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.bend = bend
        self.join = BandConv(2 * channels, channels)
        self.conv = BandConv(channels, channels, taps) if taps else None

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """Both (clips, channels, frames, bands), and so is what comes out."""
        x = self.bend(self.join(torch.cat([x, skip], dim=1)))
        return x if self.conv is None else self.bend(self.conv(x))

    def cost(self, bands: int) -> Cost:
        """Cost of a frame of so many bands."""
        cost = self.join.cost(bands)
        return cost if self.conv is None else cost + self.conv.cost(bands)


class Rows(Body):
    """The body of kind 'rows'. bend: what follows each convolution."""

    def __init__(
        self, config: BodyConfig, features: int, bands: int, bend: Callable[[Tensor], Tensor] = activate
    ) -> None:
        super().__init__(features, bands, config.width)
        self.bend = bend
        if bands % STRIDE or config.rows > bands // STRIDE:
            raise ConfigError(
                f"a body of kind 'rows' takes a multiple of {STRIDE} bands and at most a row for every {STRIDE}, not "
                f"{bands} bands and {config.rows} rows; make [body] rows smaller"
            )
        channels, units, self.groups, self.rows = config.channels, config.recurrent_width, bands // STRIDE, config.rows
        self.first = BandConv(features, channels, 2 * STRIDE, STRIDE)
        self.encoder = nn.ModuleList(BandConv(channels, channels, 3) for _ in range(config.blocks))
        self.gather, self.narrow = Regrid(self.groups, self.rows), RowMap(channels, units)
        self.blocks = nn.ModuleList(
            RowBlock(self.rows, units, config.heads, first=not block) for block in range(config.recurrent_blocks)
        )
        self.widen, self.spread = RowMap(units, channels), Regrid(self.rows, self.groups)
        self.decoder = nn.ModuleList(DecoderBlock(channels, 3, bend) for _ in range(config.blocks))
        self.decoder.append(DecoderBlock(channels, 0, bend))
        self.last = nn.ConvTranspose2d(channels, self.width, (1, 2 * STRIDE), (1, STRIDE), (0, STRIDE // 2))
        sizes = compiled.Sizes(
            features, bands, channels, config.width, config.blocks, config.rows, config.recurrent_blocks, units,
            config.heads,
        )  # fmt: skip
        self.compiled = sizes if bend is activate and compiled.has_kernels(sizes) else None

    def forward(self, x: Tensor, state: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        if self.compiled and self.learns_weights_alone(x, state):
            return compiled.run(self.compiled, x, state, self.all_weights())
        x = self.bend(self.first(x.contiguous(memory_format=torch.channels_last)))
        skips = [x]
        for conv in self.encoder:
            x = self.bend(conv(x))
            skips.append(x)
        rows = self.narrow(self.gather(as_rows(x)))
        after = []
        for block, before in zip(self.blocks, state, strict=True):
            rows, last = block(rows, before)
            after.append(last)
        x = as_maps(self.spread(self.widen(rows)))
        for block in self.decoder:
            x = block(x, skips.pop())
        return self.last(x), after

    def learns_weights_alone(self, x: Tensor, state: list[Tensor]) -> bool:
        """True where a pass is for slopes of the weights, on the processor, in float32, and the norms are at rest."""
        given = (x, *state)
        if not torch.is_grad_enabled() or any(part.requires_grad for part in given):
            return False
        if any(part.device.type != "cpu" or part.dtype != torch.float32 for part in (*given, self.last.weight)):
            return False
        return not any(part.training for part in self.modules() if isinstance(part, nn.BatchNorm2d))

    def all_weights(self) -> Iterator[Tensor]:
        """The weights in the order of native/denoise.h, the norms in them."""
        yield from conv_weights(self.first)
        for conv in self.encoder:
            yield from conv_weights(conv)
        yield self.gather.weight
        yield from map_weights(self.narrow)
        for block in self.blocks:
            assert isinstance(block, RowBlock)
            yield from block.all_weights(self.rows)
        yield from map_weights(self.widen)
        yield self.spread.weight
        for block in self.decoder:
            assert isinstance(block, DecoderBlock)
            yield from conv_weights(block.join)
            if block.conv is not None:
                yield from conv_weights(block.conv)
        yield self.last.weight[:, :, 0].permute(0, 2, 1)
        assert self.last.bias is not None
        yield self.last.bias

    def state_shapes(self) -> list[tuple[int, ...]]:
        return [(self.rows, self.widen.matrix.in_features)] * len(self.blocks)

    def cost(self) -> Cost:
        groups = self.groups
        total = self.first.cost(self.bands) + Cost(self.last.weight.numel() * groups, 0, 0)
        for block in (*self.encoder, *self.decoder):
            total += block.cost(groups)
        total += self.gather.cost(self.narrow.matrix.in_features) + self.spread.cost(self.widen.matrix.out_features)
        for block in (self.narrow, self.widen, *self.blocks):
            total += block.cost(self.rows)
        return total


def conv_weights(conv: nn.Module) -> tuple[Tensor, Tensor]:
    """Weights of a `BandConv`, (taps, inputs, outputs), and what is added to its outputs."""
    assert isinstance(conv, BandConv)
    weight, bias = with_norm(conv.conv.weight, conv.norm)
    return weight[:, :, 0].permute(2, 1, 0), bias


def map_weights(part: RowMap) -> tuple[Tensor, Tensor]:
    """Weights of a `RowMap`, (inputs, outputs), and what is added to its outputs."""
    weight, bias = with_norm(part.matrix.weight, part.norm)
    return weight.t(), bias


def place_codes(rows: int, channels: int) -> Tensor:
    """Sines and cosines that tell the rows apart: (rows, channels)."""
    places = torch.arange(1, rows + 1).unsqueeze(1) * (math.pi / rows)
    rates = torch.linspace(0.0, math.log(max(rows - 1, 2)), -(-channels // 2)).exp()
    return torch.cat([torch.sin(places * rates), torch.cos(places * rates)], dim=1)[:, :channels].contiguous()
