"""A network for twice the rate, begun with what one has learned: its blocks have the same duration, its bins the same
width, so that the lower half of the band is known already."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from denoise_wrapper.training.dtln.model import DTLN


def double_rate(network: DTLN) -> DTLN:
    """A network of twice the block and hop that does below half its bandwidth about what network does, and nothing
    sensible above: training has to go on. Recurrent layers are taken as they are.
    """
    config = network.config
    lifted = DTLN(replace(config, frame_length=2 * config.frame_length, hop_length=2 * config.hop_length))
    state, target = network.state_dict(), lifted.state_dict()
    for name, values in state.items():
        target[name] = widen(name, values, target[name].shape)
    if not config.norm:  # a tone is twice as large in a spectrum of twice the samples; the norm takes that out
        target["mask_core.lstm1.weight_ih_l0"] *= 0.5
    lifted.load_state_dict(target)
    return lifted


def widen(name: str, values: Tensor, shape: torch.Size) -> Tensor:
    """One parameter in its new shape."""
    if values.shape == shape:
        return values
    if name == "frame_core.encode.weight":  # filters over a block: twice the samples, half the weight of each
        return 0.5 * stretch(values)
    if name == "frame_core.decode.weight":  # waveforms, a column each
        return stretch(values.T).T.contiguous()
    if name == "mask_core.lstm1.weight_ih_l0":  # new bins are not listened to yet
        return torch.cat([values, values.new_zeros(shape[0], shape[1] - values.shape[1])], dim=1)
    upper = values[-1:].expand(shape[0] - values.shape[0], *shape[1:])  # gains and norms as the highest bin has them
    return torch.cat([values, upper])


def stretch(waves: Tensor) -> Tensor:
    """Rows of n samples as 2 n samples of the same waveforms, band-limited."""
    length = waves.shape[1]
    return torch.fft.irfft(torch.fft.rfft(waves), 2 * length) * 2.0
