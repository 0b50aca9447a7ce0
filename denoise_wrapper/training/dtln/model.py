"""The DTLN: two small recurrent cores; one masks the spectrum of a block, the other masks learned features of it.

After N. L. Westhausen and B. T. Meyer, "Dual-signal transformation LSTM network for real-time noise suppression",
Interspeech 2020. Within this module time comes first, (frames, batch, channels), as the recurrent kernels like it best.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from denoise_wrapper.training.dtln.config import DTLNNetworkConfig

EPSILON = 1e-7  # of the norm and of the logarithm before it

CoreState = tuple[Tensor, Tensor, Tensor, Tensor]  # h and c of the first LSTM, h and c of the second: (1, batch, units)


class DTLNState(NamedTuple):
    """All that passes from one block of hops to the next."""

    mask: CoreState
    frame: CoreState
    recent: Tensor  # (batch, block - hop): the newest samples, which the next blocks still overlap
    pending: Tensor  # (batch, block - hop): what is known of the output still to come

    def parts(self) -> list[Tensor]:
        """The ten tensors, as `join` takes them."""
        return [*self.mask, *self.frame, self.recent, self.pending]

    @classmethod
    def join(cls, parts: Sequence[Tensor]) -> DTLNState:
        """The state of ten tensors, as `parts` gives them."""
        return cls((parts[0], parts[1], parts[2], parts[3]), (parts[4], parts[5], parts[6], parts[7]), *parts[8:])

    def detach(self) -> DTLNState:
        """The state without its history, in full precision: gradients end here."""
        return self.join([part.detach().float() for part in self.parts()])

    def reset(self, fresh: Tensor) -> DTLNState:
        """The state with those streams zeroed that begin anew; fresh: bool (batch,)."""
        keep = (~fresh).float().unsqueeze(1)
        return self.join([part * keep for part in self.parts()])


class InstantNorm(nn.Module):
    """Instant layer normalisation: each frame by its own mean and variance over the channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, signal: Tensor) -> Tensor:
        """signal: (frames, batch, channels), of any scale; returns the same shape, in units of its deviation."""
        return nn.functional.layer_norm(signal, self.weight.shape, self.weight, self.bias, EPSILON)


class TwoLSTMs(nn.Module):
    """The middle of both cores: two LSTMs and a dense layer whose sigmoid is a mask."""

    def __init__(self, inputs: int, units: int, outputs: int, dropout: float) -> None:
        super().__init__()
        self.lstm1, self.lstm2 = nn.LSTM(inputs, units), nn.LSTM(units, units)
        self.dense = nn.Linear(units, outputs)
        self.dropout = dropout

    def mask(self, signal: Tensor, state: CoreState) -> tuple[Tensor, CoreState]:
        """signal: (frames, batch, inputs). Returns gains, 0 to 1, (frames, batch, outputs), and the next state."""
        signal, (h1, c1) = self.lstm1(signal, state[:2])
        signal = nn.functional.dropout(signal, self.dropout, self.training)
        signal, (h2, c2) = self.lstm2(signal, state[2:])
        return torch.sigmoid(self.dense(signal)), (h1, c1, h2, c2)


class MaskCore(TwoLSTMs):
    """The first core: magnitudes (frames, batch, bins) to gains of the bins, 0 to 1."""

    def __init__(self, config: DTLNNetworkConfig) -> None:
        bins = config.frame_length // 2 + 1
        super().__init__(bins, config.hidden_size, bins, config.dropout)
        self.norm = InstantNorm(bins) if config.norm else None

    def forward(self, magnitude: Tensor, state: CoreState) -> tuple[Tensor, CoreState]:
        """magnitude: of the transform of blocks whose full scale is 1, (frames, batch, bins), 0 or more.

        Returns gains, 0 to 1, (frames, batch, bins), and the next state.
        """
        if self.norm is not None:
            magnitude = self.norm(torch.log(magnitude + EPSILON))
        return self.mask(magnitude, state)


class FrameCore(TwoLSTMs):
    """The second core: blocks of samples (frames, batch, block) to blocks, through features that are learned too."""

    def __init__(self, config: DTLNNetworkConfig) -> None:
        super().__init__(config.encoder_size, config.hidden_size, config.encoder_size, config.dropout)
        self.encode = nn.Linear(config.frame_length, config.encoder_size, bias=False)
        self.norm = InstantNorm(config.encoder_size)
        self.decode = nn.Linear(config.encoder_size, config.frame_length, bias=False)

    def forward(self, frame: Tensor, state: CoreState) -> tuple[Tensor, CoreState]:
        """frame: samples, full scale +-1, (frames, batch, block). Returns as many, and the next state."""
        code = self.encode(frame)
        mask, state = self.mask(self.norm(code), state)
        return self.decode(code * mask), state


class OverlapAdd(torch.autograd.Function):
    """Sum of blocks (T, batch, block) a hop apart: (batch, (T - 1) * hop + block). Its gradient only cuts blocks."""

    @staticmethod
    def forward(ctx: Any, blocks: Tensor, hop: int) -> Tensor:
        steps, batch, block = blocks.shape
        ctx.block, ctx.hop = block, hop
        parts = blocks.view(steps, batch, block // hop, hop).transpose(0, 1)
        summed = blocks.new_zeros(batch, steps + block // hop - 1, hop)
        for part in range(block // hop):
            summed[:, part : part + steps] += parts[:, :, part]
        return summed.flatten(1)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return gradients[0].unfold(1, ctx.block, ctx.hop).transpose(0, 1).contiguous(), None


class DTLN(nn.Module):
    """The whole network, from samples to samples (full scale +-1), for whole clips and for streams alike.

    A stream is late by block - hop samples; `denoise` takes that out. Weights begin as Keras would have them.
    """

    def __init__(self, config: DTLNNetworkConfig) -> None:
        super().__init__()
        self.config = config
        self.block, self.hop = config.frame_length, config.hop_length
        self.mask_core, self.frame_core = MaskCore(config), FrameCore(config)
        self.apply(initialise)

    @property
    def delay(self) -> int:
        """Samples by which the output of `forward` lags its input."""
        return self.block - self.hop

    def new_state(self, batch: int) -> DTLNState:
        """The state before the first sample: all zeros."""
        like = self.frame_core.encode.weight
        units = [like.new_zeros(1, batch, self.config.hidden_size) for _ in range(8)]
        return DTLNState.join([*units, *(like.new_zeros(batch, self.delay) for _ in range(2))])

    def forward(self, audio: Tensor, state: DTLNState) -> tuple[Tensor, DTLNState]:
        """Denoise the next hops of a batch of streams.

        audio: float32 (batch, T * hop), T >= 1. Returns as many samples, late by `delay`, and the next state.
        """
        joined = torch.cat([state.recent, audio], dim=1)
        frames = joined.unfold(1, self.block, self.hop).transpose(0, 1)
        with torch.autocast(audio.device.type, enabled=False):  # no transform in half precision
            spectrum = torch.fft.rfft(frames)
            magnitude = spectrum.abs()
        gains, mask_state = self.mask_core(magnitude, state.mask)
        with torch.autocast(audio.device.type, enabled=False):
            masked = torch.fft.irfft(spectrum * gains.float(), self.block)
        blocks, frame_state = self.frame_core(masked, state.frame)
        summed = OverlapAdd.apply(blocks.float(), self.hop)
        length = audio.shape[1]
        summed = torch.cat([summed[:, : self.delay] + state.pending, summed[:, self.delay :]], dim=1)
        next_state = DTLNState(mask_state, frame_state, joined[:, length:], summed[:, length:])
        return summed[:, :length], next_state

    def denoise(self, audio: Tensor) -> Tensor:
        """Denoise whole clips (batch, n), from a fresh state: as long, and in time."""
        length = audio.shape[1]
        hops = -(-(length + self.delay) // self.hop)
        padded = nn.functional.pad(audio, (0, hops * self.hop - length))
        return self(padded, self.new_state(len(audio)))[0][:, self.delay : self.delay + length]


def initialise(module: nn.Module) -> None:
    """Keras' beginnings: Glorot kernels, orthogonal recurrences, zero biases but 1 for the LSTMs' forget gates.

    Keras has one bias where torch has two; the second stays zero and is not trained.
    """
    if isinstance(module, nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, nn.LSTM):
        kernel, recurrent, bias, second_bias = module.all_weights[0]
        units = module.hidden_size
        nn.init.xavier_uniform_(kernel)
        nn.init.orthogonal_(recurrent)
        nn.init.zeros_(bias)
        nn.init.ones_(bias[units : 2 * units])
        nn.init.zeros_(second_bias).requires_grad_(False)
