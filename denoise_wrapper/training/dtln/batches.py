"""Batches that walk through clips: each row hears one clip from its beginning on, a stretch of it a step."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from denoise_wrapper.errors import ConfigError
from denoise_wrapper.training.dtln.config import DTLNConfig
from denoise_wrapper.training.sources import open_sources

if TYPE_CHECKING:
    from denoise_wrapper.training.sources import ClipSource


class Batch(NamedTuple):
    """What a step learns from."""

    noisy: Tensor  # float32 (rows, samples)
    clean: Tensor  # likewise, late by the network's delay as its output is
    fresh: Tensor  # bool (rows,): a new clip begins, so the network's state does


class Clips(Dataset[tuple[Tensor, Tensor]]):
    """Clip number i of the training side, mixed by whichever process asks; each opens the audio once."""

    def __init__(self, config: DTLNConfig) -> None:
        self.config = config
        self._source: ClipSource | None = None

    @property
    def source(self) -> ClipSource:
        if self._source is None:
            self._source, _ = open_clips(self.config)
        return self._source

    def __getitem__(self, number: int) -> tuple[Tensor, Tensor]:
        mix = self.source.clip(number)
        return torch.from_numpy(mix.noisy), torch.from_numpy(mix.clean)

    def __getstate__(self) -> dict[str, object]:  # to another process the settings go, not the audio
        return {"config": self.config, "_source": None}


def open_clips(config: DTLNConfig) -> tuple[ClipSource, ClipSource]:
    """The training and the validation side of the data."""
    return open_sources(config.data, config.mix, config.audio.samplerate, config.meta.save_model_dir, config.meta.seed)


class Walk:
    """Which stretch of which clip each row hears in each step: a function of the step alone.

    Rows begin at different places, so that every step holds beginnings and ends. With several processes, process rank
    of world has the rows rank, rank + world, ...
    """

    def __init__(self, config: DTLNConfig, rank: int = 0, world: int = 1) -> None:
        rate, hop = config.audio.samplerate, config.model.hop_length
        self.samples = max(1, round(config.audio.duration * rate / hop)) * hop
        self.chunks = int(config.mix.clip_s * rate) // self.samples
        if self.chunks == 0:
            raise ConfigError(
                f"[audio] duration is {config.audio.duration} s, but [mix] clip_s is {config.mix.clip_s} s; a clip is "
                "as long as one duration or longer"
            )
        if config.meta.batch_size % world:
            raise ConfigError(
                f"[meta] batch_size {config.meta.batch_size} cannot be dealt out to {world} processes; "
                "make it a multiple of them"
            )
        self.batch, self.rows = config.meta.batch_size, range(rank, config.meta.batch_size, world)

    def place(self, step: int, row: int) -> tuple[int, int]:
        """(clip, chunk of it) that a row hears in a step."""
        turn, chunk = divmod(step + row % self.chunks, self.chunks)
        return turn * self.batch + row, chunk

    def clips(self, step: int) -> Iterator[int]:
        """The clips that are needed from step on, endless, in the order in which `batches` asks for them."""
        for row in self.rows:
            yield self.place(step, row)[0]
        while True:
            step += 1
            yield from (clip for clip, chunk in (self.place(step, row) for row in self.rows) if chunk == 0)


class _Order(torch.utils.data.Sampler[int]):
    def __init__(self, walk: Walk, step: int) -> None:
        self.walk, self.step = walk, step

    def __iter__(self) -> Iterator[int]:
        return self.walk.clips(self.step)


def batches(config: DTLNConfig, walk: Walk, delay: int, step: int) -> Iterator[Batch]:
    """The batches from step on, endless, mixed ahead by num_workers processes.

    delay: samples by which the network's output lags.
    """
    workers = config.meta.num_workers
    loader = DataLoader(
        Clips(config),
        batch_size=None,
        sampler=_Order(walk, step),
        num_workers=workers,
        prefetch_factor=8 if workers else None,
        worker_init_fn=_start_worker,
    )
    ready = iter(loader)
    held: list[tuple[Tensor, Tensor]] = []
    while True:
        places = [walk.place(step, row) for row in walk.rows]
        for index, (_, chunk) in enumerate(places):
            if len(held) < len(places):
                held.append(delay_target(next(ready), delay))
            elif chunk == 0:
                held[index] = delay_target(next(ready), delay)
        cuts = [slice(chunk * walk.samples, (chunk + 1) * walk.samples) for _, chunk in places]
        noisy, clean = (torch.stack([held[row][part][cut] for row, cut in enumerate(cuts)]) for part in (0, 1))
        yield Batch(noisy, clean, torch.tensor([chunk == 0 for _, chunk in places]))
        step += 1


def delay_target(clip: tuple[Tensor, Tensor], delay: int) -> tuple[Tensor, Tensor]:
    """A clip (noisy, clean) whose target comes as late as the network's output."""
    noisy, clean = clip
    return noisy, torch.nn.functional.pad(clean, (delay, 0))[: len(noisy)]


def _start_worker(_: int) -> None:
    """Ctrl-C is left to the parent, which ends its workers."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)
