"""Batches of a DTLN's training: stretches of clips, each row going through one."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from denoise_wrapper.training.dtln.config import DTLNConfig
from denoise_wrapper.training.mix.mixing import Mix
from denoise_wrapper.training.mix.sources import Sides, open_sources
from denoise_wrapper.training.mix.stretches import Clips, RowSchedule, stretches


class Batch(NamedTuple):
    """The signals of a step."""

    noisy: Tensor  # float32 (rows, samples)
    clean: Tensor  # float32 (rows, samples), late by the network's delay as its output is
    fresh: Tensor  # bool (rows,): a new clip begins, so the network's state does


def open_clips(config: DTLNConfig) -> Sides:
    """The training and the validation side of the data."""
    return open_sources(config.data, config.mix, config.sample_rate, config.cache, config.seed)


def stretch_samples(config: DTLNConfig) -> int:
    """Samples of each clip a step, in whole hops."""
    hop = config.network.hop_length
    return max(1, round(config.train.seconds * config.sample_rate / hop)) * hop


def make_schedule(config: DTLNConfig, rows: range | None = None) -> RowSchedule:
    """The schedule of a run; rows: those of this process, if not all."""
    chunks = int(config.mix.clip_s * config.sample_rate) // stretch_samples(config)
    return RowSchedule(config.train.batch, chunks, rows)


def batches(config: DTLNConfig, schedule: RowSchedule, delay: int, step: int) -> Iterator[Batch]:
    """The batches from step on, endless, mixed ahead by [train] processes.

    delay: samples by which the network's output lags.
    """
    samples = stretch_samples(config)
    clips = Clips(partial(open_clips, config), partial(delay_target, delay))
    for stretch in stretches(clips, schedule, step, config.train.processes):
        cuts = [(clip, slice(chunk * samples, (chunk + 1) * samples)) for clip, chunk in stretch]
        noisy, clean = (torch.stack([clip[part][cut] for clip, cut in cuts]) for part in (0, 1))
        yield Batch(noisy, clean, torch.tensor([chunk == 0 for _, chunk in stretch]))


def delay_target(delay: int, mix: Mix) -> tuple[Tensor, Tensor]:
    """A clip (noisy, clean), float32 (n,), whose target comes as late as the network's output, by delay samples."""
    noisy, clean = torch.from_numpy(mix.noisy), torch.from_numpy(mix.clean)
    return noisy, torch.nn.functional.pad(clean, (delay, 0))[: len(noisy)]
