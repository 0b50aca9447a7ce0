"""Rows of bands with light memories along time, depthwise convolutions over time and frequency, and narrow attention.

Meant to hear and learn much for little: all products are of one matrix and all rows of a frame, or on a processor that
trains of all rows of all frames, since no memory's gate depends on the frame before. What a GRU would take for its
products with its own past goes into more rows and more blocks.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from denoise_wrapper.errors import ConfigError
from denoise_wrapper.training.enhancer.bodies.body import Body
from denoise_wrapper.training.enhancer.bodies.parts import (
    BandConv,
    CausalConv,
    NarrowAttention,
    RowMap,
    activate,
    as_maps,
    as_rows,
)
from denoise_wrapper.training.enhancer.bodies.recurrent import LightMemory
from denoise_wrapper.training.enhancer.budget import Cost
from denoise_wrapper.training.enhancer.config import BodyConfig

FIRST_TAPS, TAPS = 3, (3, 5)  # in time; in time and in frequency


class MixedBlock(nn.Module):
    """A memory of each row, a convolution over their neighbourhood, attention over all: each adds to what comes in."""

    def __init__(self, channels: int, units: int, rows: int, heads: int) -> None:
        super().__init__()
        self.rows = rows
        self.memory, self.after_memory = LightMemory(channels, units, rows), RowMap(units, channels)
        self.enter, self.leave = BandConv(channels, channels), BandConv(channels, channels)
        self.conv = CausalConv(channels, channels, TAPS, groups=channels)
        self.attention = NarrowAttention(channels, heads, rows) if heads else None
        self.after_attention = RowMap(channels, channels) if heads else None

    def forward(self, x: Tensor, state: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """(clips, channels, frames, rows), of the same shape."""
        memory, past = state
        rows, memory = self.memory(as_rows(x), memory)
        x = x + as_maps(self.after_memory(rows))
        y, past = self.conv(activate(self.enter(x)), past)
        x = x + self.leave(activate(y))
        if self.attention is not None and self.after_attention is not None:
            x = x + as_maps(self.after_attention(self.attention(as_rows(x))))
        return x, [memory, past]

    def state_shapes(self) -> list[tuple[int, ...]]:
        """One clip's memory, and its past of the convolution."""
        return [(self.rows, self.memory.units), self.conv.past_shape(self.rows)]

    def cost(self) -> Cost:
        """Cost of a frame."""
        parts = (
            self.memory,
            self.after_memory,
            self.enter,
            self.conv,
            self.leave,
            self.attention,
            self.after_attention,
        )
        return sum((part.cost(self.rows) for part in parts if part is not None), Cost(0, 0, 0))


class Mixed(Body):
    """The body of kind 'mixed'. All blocks but the last have attention."""

    def __init__(self, config: BodyConfig, features: int, bands: int) -> None:
        super().__init__(features, bands, config.width)
        stride, channels = bands // config.rows, config.channels
        if bands % config.rows or stride % 2 or channels % config.heads:
            raise ConfigError(
                f"a body of kind 'mixed' makes rows of an even number of its {bands} bands each, and has a multiple of "
                f"[body] heads as channels, not {config.rows} rows and {channels} channels for {config.heads} heads; "
                "change them"
            )
        self.rows = config.rows
        self.first = CausalConv(features, channels, (FIRST_TAPS, 2 * stride), stride)
        self.blocks = nn.ModuleList(
            MixedBlock(channels, config.recurrent_width, self.rows, config.heads if later else 0)
            for later in range(config.recurrent_blocks - 1, -1, -1)
        )
        self.join = BandConv(2 * channels, channels)
        self.last = nn.ConvTranspose2d(channels, self.width, (1, 2 * stride), (1, stride), (0, stride // 2))

    def forward(self, x: Tensor, state: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        x, past = self.first(x, state[0])
        skip = x = activate(x)
        after = [past]
        for number, block in enumerate(self.blocks):
            x, parts = block(x, state[1 + 2 * number : 3 + 2 * number])
            after += parts
        return self.last(activate(self.join(torch.cat([x, skip], dim=1)))), after

    def state_shapes(self) -> list[tuple[int, ...]]:
        shapes = [self.first.past_shape(self.bands)]
        for block in self.blocks:
            shapes += block.state_shapes()  # type: ignore[operator]
        return shapes

    def cost(self) -> Cost:
        total = self.first.cost(self.bands) + self.join.cost(self.rows)
        for block in self.blocks:
            total += block.cost()  # type: ignore[operator]
        return total + Cost(self.last.weight.numel() * self.rows, 0, 0)
