"""What a step learns from: stretches of clips, each row of a batch walking through one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor
from torch.utils.data import Dataset

from denoise_wrapper.training.enhancer.bands import HOP, RATE
from denoise_wrapper.training.enhancer.config import EnhancerConfig
from denoise_wrapper.training.enhancer.loss import Target, known_bins
from denoise_wrapper.training.mix import walk
from denoise_wrapper.training.mix.sources import open_sources
from denoise_wrapper.training.mix.walk import stretches

if TYPE_CHECKING:
    from denoise_wrapper.training.mix.sources import ClipSource


class Clip(NamedTuple):
    """A whole clip."""

    noisy: Tensor  # float32 (n,)
    clean: Tensor  # float32 (HOP + n,), after a hop of silence
    voice: Tensor  # float32 (n / HOP,)
    known: Tensor  # bool (BINS,)


class Batch(NamedTuple):
    """What a step learns from."""

    noisy: Tensor  # float32 (rows, T * HOP)
    target: Target
    fresh: Tensor  # bool (rows,): a new clip begins, so the network's state does

    def to(self, device: torch.device) -> Batch:
        """The same on a device."""
        return Batch(self.noisy.to(device), Target(*(part.to(device) for part in self.target)), self.fresh.to(device))


class Clips(Dataset[Clip]):
    """Clip number i of the training side, mixed by whichever process asks; each opens the audio once."""

    def __init__(self, config: EnhancerConfig) -> None:
        self.config = config
        self._source: ClipSource | None = None

    def __getitem__(self, number: int) -> Clip:
        if self._source is None:
            self._source, _ = open_clips(self.config)
        return take_clip(self._source, number)

    def __getstate__(self) -> dict[str, object]:  # to another process the settings go, not the audio
        return {"config": self.config, "_source": None}


def open_clips(config: EnhancerConfig) -> tuple[ClipSource, ClipSource]:
    """The training and the validation side of the data."""
    return open_sources(config.data, config.mix, RATE, config.cache, config.seed)


def take_clip(source: ClipSource, number: int) -> Clip:
    """Clip number i of a source, as tensors."""
    mix = source.clip(number)
    clean = torch.nn.functional.pad(torch.from_numpy(mix.clean), (HOP, 0))
    return Clip(torch.from_numpy(mix.noisy), clean, torch.from_numpy(mix.voice), known_bins(mix.bandwidth_hz))


def make_walk(config: EnhancerConfig) -> walk.Walk:
    """That of a run."""
    return walk.Walk(config.train.batch, int(config.mix.clip_s / config.train.seconds + 1e-9))


def batches(config: EnhancerConfig, step: int) -> Iterator[Batch]:
    """The batches from step on, endless, mixed ahead by [train] processes."""
    hops = round(config.train.seconds * RATE / HOP)
    for stretch in stretches(Clips(config), make_walk(config), step, config.train.processes):
        yield make_batch([(clip, chunk * hops, hops) for clip, chunk in stretch])


def make_batch(cuts: list[tuple[Clip, int, int]]) -> Batch:
    """A batch of stretches, each a clip, the hop that it begins with, and how many hops of it there are."""
    noisy, clean, voice = [], [], []
    for clip, first, hops in cuts:
        start, stop = first * HOP, (first + hops) * HOP
        noisy.append(clip.noisy[start:stop])
        clean.append(clip.clean[start : stop + HOP])
        voice.append(clip.voice[first : first + hops])
    known = torch.stack([clip.known for clip, _, _ in cuts])
    target = Target(torch.stack(clean), torch.stack(voice), known)
    return Batch(torch.stack(noisy), target, torch.tensor([first == 0 for _, first, _ in cuts]))
