"""Depthwise convolutions over time and frequency around GRUs along either, with gains that follow the power.

After GTCRN (ICASSP 2024) and UL-UNAS (arXiv 2503.00340), for bands that grow. Different: no attention along frequency,
which is a long row of steps for little; blocks of one form, which add to what comes in; time attention with half of the
state; batch norms where one norm had to wait for all values of a frame; bands that come back two for one by a map.
"""

from __future__ import annotations

from torch import Tensor, nn

from denoise_wrapper.errors import ConfigError
from denoise_wrapper.training.enhancer.bodies.body import Body
from denoise_wrapper.training.enhancer.bodies.parts import (
    AffinePReLU,
    BandConv,
    CausalConv,
    RowMap,
    as_maps,
    as_rows,
    interleave,
    shuffle,
)
from denoise_wrapper.training.enhancer.bodies.recurrent import BandGRU, TimeAttention, TimeGRU
from denoise_wrapper.training.enhancer.budget import Cost
from denoise_wrapper.training.enhancer.config import BodyConfig

FIRST_TAPS, HALVING_TAPS, TAPS = (3, 3), (2, 3), (3, 5)  # in time, in frequency
GROUPS = 2


class DepthwiseBlock(nn.Module):
    """A map of channel groups, a depthwise convolution, another map, and a gain for each channel.

    Where it leaves the shape as it is, it adds to what comes in.
    """

    def __init__(self, inputs: int, outputs: int, bands: int, taps: tuple[int, int], stride: int = 1) -> None:
        super().__init__()
        self.bands, self.stride, self.adds = bands, stride, stride == 1 and inputs == outputs
        self.enter, self.bend = BandConv(inputs, outputs, groups=GROUPS), AffinePReLU(outputs, bands)
        self.conv = CausalConv(outputs, outputs, taps, stride, groups=outputs)
        self.bend_again = AffinePReLU(outputs, bands // stride)
        self.leave, self.attention = BandConv(outputs, outputs, groups=GROUPS), TimeAttention(outputs, outputs)

    def forward(self, x: Tensor, state: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """(clips, inputs, frames, bands) to (clips, outputs, frames, bands / stride)."""
        past, power = state
        y, past = self.conv(shuffle(self.bend(self.enter(x))), past)
        y, power = self.attention(self.leave(self.bend_again(y)), power)
        y = shuffle(y)
        return (x + y if self.adds else y), [past, power]

    def state_shapes(self) -> list[tuple[int, ...]]:
        """One clip's past of the convolution, and its memory of the power."""
        return [self.conv.past_shape(self.bands), (self.attention.gru.hidden_size,)]

    def cost(self) -> Cost:
        """Cost of a frame."""
        maps = self.enter.cost(self.bands) + self.leave.cost(self.bands // self.stride)
        return maps + self.conv.cost(self.bands) + self.attention.cost()


class DualPath(nn.Module):
    """GRUs along the rows of each frame, then one along time in each row, both added to what comes in."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.along_rows, self.after_rows = BandGRU(channels, channels), RowMap(channels, channels)
        self.along_time, self.after_time = TimeGRU(channels, channels), RowMap(channels, channels)

    def forward(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """(clips, frames, rows, channels), of the same shape. state: (clips, rows, channels)."""
        x = x + self.after_rows(self.along_rows(x))
        answer, state = self.along_time(x, state)
        return x + self.after_time(answer), state

    def cost(self, rows: int) -> Cost:
        """Cost of a frame of so many rows."""
        maps = self.after_rows.cost(rows) + self.after_time.cost(rows)
        return self.along_rows.cost(rows) + self.along_time.cost(rows) + maps


class Doubling(nn.Module):
    """Two bands for each, by a map of channel groups."""

    def __init__(self, inputs: int, outputs: int, bands: int) -> None:
        super().__init__()
        self.bands = bands
        self.map, self.bend = BandConv(inputs, 2 * outputs, groups=GROUPS), AffinePReLU(outputs, 2 * bands)

    def forward(self, x: Tensor) -> Tensor:
        """(clips, inputs, frames, bands) to (clips, outputs, frames, 2 * bands)."""
        return self.bend(interleave(shuffle(self.map(x))))

    def cost(self) -> Cost:
        """Cost of a frame."""
        return self.map.cost(self.bands)


class Depthwise(Body):
    """The body of kind 'depthwise': bands are halved until as many are left as there are rows."""

    def __init__(self, config: BodyConfig, features: int, bands: int) -> None:
        super().__init__(features, bands, config.width)
        halvings = (bands // config.rows).bit_length() - 1
        if halvings < 1 or config.rows << halvings != bands or config.channels % 4:
            raise ConfigError(
                f"a body of kind 'depthwise' halves its {bands} bands until [body] rows are left, and has a multiple "
                f"of 4 channels, not {config.rows} rows and {config.channels} channels; change them"
            )
        self.rows = config.rows
        widths = [config.channels // 2, *[config.channels] * (halvings - 1)]  # after each halving
        sizes = [bands >> halving for halving in range(1, halvings + 1)]
        self.first = CausalConv(features, widths[0], FIRST_TAPS, stride=2)
        self.bend = AffinePReLU(widths[0], sizes[0])
        self.halving = nn.ModuleList(
            DepthwiseBlock(widths[i], widths[i + 1], sizes[i], HALVING_TAPS, stride=2) for i in range(halvings - 1)
        )
        self.encoder, self.decoder = (
            nn.ModuleList(DepthwiseBlock(widths[-1], widths[-1], self.rows, TAPS) for _ in range(config.blocks))
            for _ in range(2)
        )
        self.narrow, self.widen = RowMap(widths[-1], config.recurrent_width), RowMap(config.recurrent_width, widths[-1])
        self.paths = nn.ModuleList(DualPath(config.recurrent_width) for _ in range(config.recurrent_blocks))
        self.doubling = nn.ModuleList(
            Doubling(widths[i + 1], widths[i], sizes[i + 1]) for i in range(halvings - 2, -1, -1)
        )
        self.last = nn.Conv2d(widths[0], 2 * self.width, (1, 3), padding=(0, 1))

    def forward(self, x: Tensor, state: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        before = list(state)
        x, past = self.first(x, before.pop(0))
        x, after = self.bend(x), [past]
        skips = [x]
        for block in (*self.halving, *self.encoder):
            x, parts = block(x, [before.pop(0), before.pop(0)])
            after += parts
            skips.append(x)
        rows = self.narrow(as_rows(x))
        for path in self.paths:
            rows, part = path(rows, before.pop(0))
            after.append(part)
        x = as_maps(self.widen(rows))
        for block in self.decoder:
            x, parts = block(x + skips.pop(), [before.pop(0), before.pop(0)])
            after += parts
        for doubling in self.doubling:
            x = doubling(x + skips.pop())
        return interleave(self.last(x + skips.pop())), after

    def state_shapes(self) -> list[tuple[int, ...]]:
        shapes = [self.first.past_shape(self.bands)]
        for block in (*self.halving, *self.encoder):
            shapes += block.state_shapes()  # type: ignore[operator]
        shapes += [(self.rows, self.narrow.matrix.out_features)] * len(self.paths)
        for block in self.decoder:
            shapes += block.state_shapes()  # type: ignore[operator]
        return shapes

    def cost(self) -> Cost:
        total = self.first.cost(self.bands) + Cost(self.last.weight.numel() * (self.bands // 2), 0, 0)
        for block in (*self.halving, *self.encoder, *self.decoder, *self.doubling):
            total += block.cost()
        for block in (self.narrow, self.widen, *self.paths):
            total += block.cost(self.rows)  # type: ignore[operator]
        return total
