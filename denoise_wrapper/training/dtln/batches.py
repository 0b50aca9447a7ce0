"""What a step learns from: stretches of clips, each row of a batch walking through one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor
from torch.utils.data import Dataset

from denoise_wrapper.errors import ConfigError
from denoise_wrapper.training.dtln.config import DTLNConfig
from denoise_wrapper.training.mix import walk
from denoise_wrapper.training.mix.sources import open_sources
from denoise_wrapper.training.mix.walk import stretches

if TYPE_CHECKING:
    from denoise_wrapper.training.mix.sources import ClipSource


class Batch(NamedTuple):
    """What a step learns from."""

    noisy: Tensor  # float32 (rows, samples)
    clean: Tensor  # likewise, late by the network's delay as its output is
    fresh: Tensor  # bool (rows,): a new clip begins, so the network's state does


class Clips(Dataset[tuple[Tensor, Tensor]]):
    """Clip number i of the training side, mixed by whichever process asks; each opens the audio once."""

    def __init__(self, config: DTLNConfig, delay: int) -> None:
        """delay: samples by which the target comes late."""
        self.config, self.delay = config, delay
        self._source: ClipSource | None = None

    @property
    def source(self) -> ClipSource:
        if self._source is None:
            self._source, _ = open_clips(self.config)
        return self._source

    def __getitem__(self, number: int) -> tuple[Tensor, Tensor]:
        mix = self.source.clip(number)
        return delay_target((torch.from_numpy(mix.noisy), torch.from_numpy(mix.clean)), self.delay)

    def __getstate__(self) -> dict[str, object]:  # to another process the settings go, not the audio
        return {"config": self.config, "delay": self.delay, "_source": None}


def open_clips(config: DTLNConfig) -> tuple[ClipSource, ClipSource]:
    """The training and the validation side of the data."""
    return open_sources(config.data, config.mix, config.audio.samplerate, config.meta.save_model_dir, config.meta.seed)


class Walk(walk.Walk):
    """That of a run; with several processes, process rank of world has the rows rank, rank + world, ..."""

    def __init__(self, config: DTLNConfig, rank: int = 0, world: int = 1) -> None:
        rate, hop = config.audio.samplerate, config.model.hop_length
        self.samples = max(1, round(config.audio.duration * rate / hop)) * hop
        chunks = int(config.mix.clip_s * rate) // self.samples
        if chunks == 0:
            raise ConfigError(
                f"[audio] duration is {config.audio.duration} s, but [mix] clip_s is {config.mix.clip_s} s; a clip is "
                "as long as one duration or longer"
            )
        if config.meta.batch_size % world:
            raise ConfigError(
                f"[meta] batch_size {config.meta.batch_size} cannot be dealt out to {world} processes; "
                "make it a multiple of them"
            )
        super().__init__(config.meta.batch_size, chunks, range(rank, config.meta.batch_size, world))


def batches(config: DTLNConfig, walk: Walk, delay: int, step: int) -> Iterator[Batch]:
    """The batches from step on, endless, mixed ahead by num_workers processes.

    delay: samples by which the network's output lags.
    """
    for stretch in stretches(Clips(config, delay), walk, step, config.meta.num_workers):
        cuts = [slice(chunk * walk.samples, (chunk + 1) * walk.samples) for _, chunk in stretch]
        noisy, clean = (
            torch.stack([clip[part][cut] for (clip, _), cut in zip(stretch, cuts, strict=True)]) for part in (0, 1)
        )
        yield Batch(noisy, clean, torch.tensor([chunk == 0 for _, chunk in stretch]))


def delay_target(clip: tuple[Tensor, Tensor], delay: int) -> tuple[Tensor, Tensor]:
    """A clip (noisy, clean) whose target comes as late as the network's output."""
    noisy, clean = clip
    return noisy, torch.nn.functional.pad(clean, (delay, 0))[: len(noisy)]
