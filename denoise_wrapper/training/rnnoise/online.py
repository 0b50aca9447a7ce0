"""Rows, and the spectra that they come from, of clips that are mixed as they are needed: none comes twice."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import torch
from torch import Tensor

from denoise_wrapper.backends.features import Spectra
from denoise_wrapper.training.mix.mixing import HOPS_PER_SECOND, Mix
from denoise_wrapper.training.mix.stretches import Clips, RowSchedule, stretches
from denoise_wrapper.training.rnnoise.config import RNNoiseConfig
from denoise_wrapper.training.rnnoise.features import LAYOUTS, mix_spectra, open_mixers
from denoise_wrapper.training.rnnoise.synthesis import BAND_BINS

Batch = tuple[Tensor, ...]  # rows, rows that start anew, and perhaps spectra: see `online_batches`


def online_batches(config: RNNoiseConfig, rows: range, step: int) -> Iterator[Batch]:
    """The batches from step on, endless, mixed ahead by [features] processes.

    rows: those of the batch that are wanted. Each batch: features and targets float32 (frames, rows, columns); bool
    (rows,), those whose state starts anew; with [train] spectral the spectra, float16 (3, 2, frames, rows, BAND_BINS).
    """
    frames, in_clip = config.train.frames, round(config.mix.clip_s * HOPS_PER_SECOND)
    schedule = RowSchedule(config.train.batch, in_clip // frames, rows)
    clips = Clips(partial(open_mixers, config), partial(mix_parts, config))
    for stretch in stretches(clips, schedule, step, config.features.processes):
        cuts = [(parts, slice(chunk * frames, (chunk + 1) * frames)) for parts, chunk in stretch]
        features = torch.stack([parts[0][cut] for parts, cut in cuts], dim=1).float()
        fresh = torch.tensor([chunk == 0 for _, chunk in stretch])
        if config.train.spectral:
            yield features, fresh, torch.stack([parts[1][:, :, cut] for parts, cut in cuts], dim=3)
        else:
            yield features, fresh


def mix_parts(config: RNNoiseConfig, mix: Mix) -> tuple[Tensor, ...]:
    """A clip's rows (frames, columns) and, with [train] spectral, spectra (3, 2, frames, BAND_BINS), both float16."""
    rows, spectra = mix_spectra(mix, LAYOUTS[config.network.family], config.train.spectral > 0.0)
    return (torch.from_numpy(rows),) if spectra is None else (torch.from_numpy(rows), pack(spectra))


def pack(spectra: Spectra) -> Tensor:
    """float16 (3, 2, frames, BAND_BINS): real and imaginary parts of the noisy, pitch and clean spectra."""
    parts = (torch.view_as_real(torch.from_numpy(part)) for part in (spectra.noisy, spectra.pitch, spectra.clean))
    return torch.stack([part[:, :BAND_BINS].half().permute(2, 0, 1) for part in parts])
