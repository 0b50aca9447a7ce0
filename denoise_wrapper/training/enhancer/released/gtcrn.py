"""GTCRN at 16 kHz (ICASSP 2024): grouped temporal convolutions, dual-path GRUs, attention along time."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from denoise_wrapper.training.enhancer.bodies.parts import BandConv, CausalConv, as_maps, as_rows, shuffle
from denoise_wrapper.training.enhancer.bodies.recurrent import TimeAttention
from denoise_wrapper.training.enhancer.released.blocks import CHANNELS, ROWS, Banks, DualPath, with_gaps
from denoise_wrapper.training.enhancer.released.frames import Released

FLOOR = 1e-12  # power of a bin that counts as none
SPREADS = (1, 2, 5)  # frames between the taps in time of the encoder's blocks; the decoder's in turn
NEIGHBOURS = 3  # bands that a channel sees of each
HALF = CHANNELS // 2


def neighbourhood(x: Tensor) -> Tensor:
    """(clips, channels, frames, bands) to three channels for each: the band below, itself, the band above."""
    windows = functional.pad(x, (NEIGHBOURS // 2, NEIGHBOURS // 2)).unfold(3, NEIGHBOURS, 1)
    return windows.permute(0, 1, 4, 2, 3).flatten(1, 2)


class Edge(nn.Module):
    """A convolution over frequency that halves the bands, or doubles them; tanh at the very end."""

    def __init__(self, inputs: int, outputs: int, groups: int = 1, doubles: bool = False, last: bool = False) -> None:
        super().__init__()
        self.doubles, self.last = doubles, last
        self.conv = BandConv(inputs, outputs, 5, 1 if doubles else 2, groups)
        self.bend = nn.Tanh() if last else nn.PReLU()

    def forward(self, x: Tensor) -> Tensor:
        """(clips, inputs, frames, bands) to (clips, outputs, frames, bands)."""
        return self.bend(self.conv(with_gaps(x) if self.doubles else x))


class Block(nn.Module):
    """Half of the channels through convolutions over time and frequency, then dealt out with the other half."""

    def __init__(self, spread: int) -> None:
        super().__init__()
        self.enter, self.bend_first = BandConv(NEIGHBOURS * HALF, CHANNELS), nn.PReLU()
        self.conv = CausalConv(CHANNELS, CHANNELS, (3, 3), groups=CHANNELS, spread=spread)
        self.bend = nn.PReLU()
        self.leave, self.attention = BandConv(CHANNELS, HALF), TimeAttention(HALF, 2 * HALF)

    def forward(self, x: Tensor, past: Tensor, power: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(clips, CHANNELS, frames, ROWS), of the same shape."""
        worked, kept = x.chunk(2, dim=1)
        worked, past = self.conv(self.bend_first(self.enter(neighbourhood(worked))), past)
        worked, power = self.attention(self.leave(self.bend(worked)), power)
        return shuffle(torch.cat([worked, kept], dim=1)), past, power


class GTCRN(Released):
    """A complex mask of bands, its parts bounded, from linear spectra.

    State: pasts of the convolutions, then memories of the power, both in the order of the blocks; then the rows'.
    """

    def __init__(self) -> None:
        super().__init__(16000, 512, rooted=True)
        self.banks = Banks()
        self.entry = nn.ModuleList([Edge(3 * NEIGHBOURS, CHANNELS), Edge(CHANNELS, CHANNELS, groups=2)])
        self.encoder = nn.ModuleList(Block(spread) for spread in SPREADS)
        self.paths = nn.ModuleList(DualPath() for _ in range(2))
        self.decoder = nn.ModuleList(Block(spread) for spread in reversed(SPREADS))
        self.exit = nn.ModuleList(
            [Edge(CHANNELS, CHANNELS, groups=2, doubles=True), Edge(CHANNELS, 2, doubles=True, last=True)]
        )

    def forward(self, spectrum: Tensor, state: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        count = 2 * len(SPREADS)
        pasts, powers, rows = state[:count], state[count : 2 * count], state[2 * count :]
        magnitude = (spectrum.real.square() + spectrum.imag.square() + FLOOR).sqrt()
        x = neighbourhood(self.banks.to_bands(torch.stack([magnitude, spectrum.real, spectrum.imag], dim=1)))
        skips = []
        for edge in self.entry:
            x = edge(x)
            skips.append(x)
        for number, block in enumerate(self.encoder):
            x, pasts[number], powers[number] = block(x, pasts[number], powers[number])
            skips.append(x)
        for number, path in enumerate(self.paths):
            y, rows[number] = path(as_rows(x), rows[number])
            x = as_maps(y)
        for number, block in enumerate(self.decoder, len(SPREADS)):
            x, pasts[number], powers[number] = block(x + skips.pop(), pasts[number], powers[number])
        for edge in self.exit:
            x = edge(x + skips.pop())
        mask = self.banks.to_bins(x)
        return spectrum * torch.complex(mask[:, 0], mask[:, 1]), [*pasts, *powers, *rows]

    def new_state(self, clips: int) -> list[Tensor]:
        blocks: list[Block] = [*self.encoder, *self.decoder]  # type: ignore[list-item]
        shapes = [block.conv.past_shape(ROWS) for block in blocks]
        shapes += [(2 * HALF,)] * len(blocks) + [(ROWS, CHANNELS)] * len(self.paths)
        return [self.window.new_zeros(clips, *shape) for shape in shapes]
