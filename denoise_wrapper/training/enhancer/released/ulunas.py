"""UL-UNAS at 16 kHz (arXiv 2503.00340): depthwise convolutions, dual-path GRUs, attention along time and frequency."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from denoise_wrapper.training.enhancer.bodies.parts import AffinePReLU, BandConv, CausalConv, as_maps, as_rows, shuffle
from denoise_wrapper.training.enhancer.bodies.recurrent import BandGRU, TimeAttention
from denoise_wrapper.training.enhancer.released.blocks import (
    BANDS,
    CHANNELS,
    ROWS,
    Banks,
    DualPath,
    GapConv,
)
from denoise_wrapper.training.enhancer.released.frames import Released

FLOOR = 1e-12  # magnitude of a bin that counts as none
TOGETHER = 4  # bands that the attention along frequency takes in a step
GROUPS = 2


class Kind(NamedTuple):
    """A block of the encoder, or of the decoder."""

    kind: str  # "conv"; "separable": 1x1, depthwise; "bottleneck": 1x1, depthwise, 1x1
    inputs: int
    outputs: int
    before: int  # bands
    after: int
    taps: tuple[int, int]  # in time, in frequency


ENCODER = [
    Kind("conv", 1, 12, BANDS, 65, (3, 3)),
    Kind("bottleneck", 12, 24, 65, ROWS, (2, 3)),
    Kind("separable", 24, 24, ROWS, ROWS, (2, 3)),
    Kind("bottleneck", 24, 32, ROWS, ROWS, (1, 5)),
    Kind("separable", 32, CHANNELS, ROWS, ROWS, (1, 5)),
]
DECODER = [kind._replace(inputs=kind.outputs, outputs=kind.inputs, before=kind.after, after=kind.before)
           for kind in reversed(ENCODER)]  # fmt: skip


class Attention(nn.Module):
    """Gains for each channel and for each band of a frame, by GRUs along time and along frequency."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.time = TimeAttention(channels, 2 * channels)
        self.along_bands, self.dense = BandGRU(TOGETHER, 2 * TOGETHER), nn.Linear(2 * TOGETHER, TOGETHER)

    def forward(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """(clips, channels, frames, bands), of the same shape. state: (clips, 2 * channels)."""
        power = x.square().mean(dim=1)
        bands = power.shape[2]
        steps = functional.pad(power, (0, -bands % TOGETHER)).unflatten(2, (-1, TOGETHER))
        gain = torch.sigmoid(self.dense(self.along_bands(steps))).flatten(2)[..., :bands]
        x, state = self.time(x, state)
        return x * gain.unsqueeze(1), state


class Block(nn.Module):
    """A block of either side."""

    def __init__(self, shape: Kind, decoder: bool) -> None:
        super().__init__()
        self.shape, taps, groups = shape, shape.taps, 1 if shape.kind == "conv" else shape.outputs
        self.enter = None if shape.kind == "conv" else BandConv(shape.inputs, shape.outputs, groups=GROUPS)
        self.bend_first = None if shape.kind == "conv" else AffinePReLU(shape.outputs, shape.before)
        inputs = shape.inputs if shape.kind == "conv" else shape.outputs
        self.conv: CausalConv | BandConv
        if taps[0] == 1:
            self.conv = BandConv(inputs, shape.outputs, taps[1], groups=groups)
        elif decoder and shape.after > shape.before:
            self.conv = GapConv(inputs, shape.outputs, taps, groups=groups)
        else:
            self.conv = CausalConv(inputs, shape.outputs, taps, 1 + (shape.after < shape.before), groups)
        last = decoder and shape.kind == "conv"
        self.bend = None if last else AffinePReLU(shape.outputs, shape.after)
        self.leave = BandConv(shape.outputs, shape.outputs, groups=GROUPS) if shape.kind == "bottleneck" else None
        self.attention = Attention(shape.outputs)

    def forward(self, x: Tensor, past: Tensor | None, power: Tensor) -> tuple[Tensor, Tensor | None, Tensor]:
        """(clips, inputs, frames, bands) to (clips, outputs, frames, bands), and what the next frames need."""
        if self.enter is not None and self.bend_first is not None:
            x = shuffle(self.bend_first(self.enter(x)))
        if isinstance(self.conv, BandConv):
            x = self.conv(x)
        else:
            x, past = self.conv(x, past)
        if self.bend is not None:
            x = self.bend(x)
        if self.leave is not None:
            x = self.leave(x)
        x, power = self.attention(x, power)
        return (x if self.leave is None else shuffle(x)), past, power

    def past_shape(self) -> tuple[int, ...] | None:
        """The shape of the convolution's past, None if it has no taps in time."""
        return None if isinstance(self.conv, BandConv) else self.conv.past_shape(self.shape.before)


class ULUNAS(Released):
    """A real mask of bands, from logarithms of magnitudes.

    State: pasts of the convolutions, then memories of the power, both in the order of the blocks; then the rows'.
    """

    def __init__(self) -> None:
        super().__init__(16000, 512, rooted=False)
        self.banks = Banks()
        self.encoder = nn.ModuleList(Block(shape, decoder=False) for shape in ENCODER)
        self.paths = nn.ModuleList(DualPath() for _ in range(2))
        self.decoder = nn.ModuleList(Block(shape, decoder=True) for shape in DECODER)

    def forward(self, spectrum: Tensor, state: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        pasts, powers, rows = self.split(state)
        x = self.banks.to_bands(spectrum.abs().clamp(min=FLOOR).log10()).unsqueeze(1)
        skips = []
        for number, block in enumerate(self.encoder):
            x, pasts[number], powers[number] = block(x, pasts[number], powers[number])
            skips.append(x)
        for number, path in enumerate(self.paths):
            y, rows[number] = path(as_rows(x), rows[number])
            x = as_maps(y)
        for number, block in enumerate(self.decoder, len(ENCODER)):
            x, pasts[number], powers[number] = block(x + skips.pop(), pasts[number], powers[number])
        gain = self.banks.to_bins(torch.sigmoid(x.squeeze(1)))
        return spectrum * gain, [*(past for past in pasts if past is not None), *powers, *rows]

    def blocks(self) -> list[Block]:
        """Blocks of both sides."""
        return [*self.encoder, *self.decoder]  # type: ignore[list-item]

    def split(self, state: list[Tensor]) -> tuple[list[Tensor | None], list[Tensor], list[Tensor]]:
        """The state's three parts; None where a block has no past."""
        parts = iter(state)
        pasts = [None if block.past_shape() is None else next(parts) for block in self.blocks()]
        return pasts, [next(parts) for _ in self.blocks()], list(parts)

    def new_state(self, clips: int) -> list[Tensor]:
        shapes = [shape for block in self.blocks() if (shape := block.past_shape()) is not None]
        shapes += [(2 * block.shape.outputs,) for block in self.blocks()]
        shapes += [(ROWS, CHANNELS)] * len(self.paths)
        return [self.window.new_zeros(clips, *shape) for shape in shapes]
