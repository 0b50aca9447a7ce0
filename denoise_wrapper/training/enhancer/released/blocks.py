"""Parts that UL-UNAS and GTCRN have in common beside our own."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from denoise_wrapper.training.enhancer.bodies.parts import CausalConv
from denoise_wrapper.training.enhancer.bodies.recurrent import BandGRU, TimeGRU

BINS, LOW, UPPER = 257, 65, 64  # of a spectrum at 16 kHz; those that are kept as they are; bands of the others
BANDS = LOW + UPPER
ROWS, CHANNELS = 33, 16  # in the middle of the network
HALVES = 2  # of the channels, each with GRUs of its own


class Banks(nn.Module):
    """The bins above 2 kHz to bands, and back."""

    def __init__(self) -> None:
        super().__init__()
        self.gather = nn.Linear(BINS - LOW, UPPER, bias=False)
        self.spread = nn.Linear(UPPER, BINS - LOW, bias=False)

    def to_bands(self, bins: Tensor) -> Tensor:
        """(..., BINS) to (..., BANDS)."""
        return torch.cat([bins[..., :LOW], self.gather(bins[..., LOW:])], dim=-1)

    def to_bins(self, bands: Tensor) -> Tensor:
        """(..., BANDS) to (..., BINS)."""
        return torch.cat([bands[..., :LOW], self.spread(bands[..., LOW:])], dim=-1)


class DualPath(nn.Module):
    """GRUs along the rows of each frame, then along time in each row, each half of the channels apart.

    Norms are over all values of a frame. Both parts are added to what comes in.
    """

    def __init__(self) -> None:
        super().__init__()
        width = CHANNELS // HALVES
        self.along_rows = nn.ModuleList(BandGRU(width, width) for _ in range(HALVES))
        self.rows_map, self.rows_norm = nn.Linear(CHANNELS, CHANNELS), nn.LayerNorm((ROWS, CHANNELS), 1e-8)
        self.along_time = nn.ModuleList(TimeGRU(width, width) for _ in range(HALVES))
        self.time_map, self.time_norm = nn.Linear(CHANNELS, CHANNELS), nn.LayerNorm((ROWS, CHANNELS), 1e-8)

    def forward(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """(clips, frames, ROWS, CHANNELS), of the same shape. state: (clips, ROWS, CHANNELS)."""
        halves = [gru(half) for gru, half in zip(self.along_rows, x.chunk(HALVES, dim=3), strict=True)]
        x = x + self.rows_norm(self.rows_map(torch.cat(halves, dim=3)))
        pairs = [
            gru(half, past)
            for gru, half, past in zip(self.along_time, x.chunk(HALVES, dim=3), state.chunk(HALVES, dim=2), strict=True)
        ]
        answer, state = (torch.cat(part, dim=-1) for part in zip(*pairs, strict=True))
        return x + self.time_norm(self.time_map(answer)), state


def with_gaps(x: Tensor) -> Tensor:
    """(..., bands) with a zero between each two: (..., 2 * bands - 1)."""
    return torch.stack([x, torch.zeros_like(x)], dim=-1).flatten(-2)[..., :-1]


class GapConv(CausalConv):
    """A convolution of bands with zeros between them."""

    def forward(self, x: Tensor, past: Tensor) -> tuple[Tensor, Tensor]:
        """(clips, inputs, frames, bands) to (clips, outputs, frames, 2 * bands - 1), and the next past."""
        answer, _ = super().forward(with_gaps(x), with_gaps(past))
        return answer, torch.cat([past, x], dim=2)[:, :, x.shape[2] :]
