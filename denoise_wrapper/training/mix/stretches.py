"""Stretches of clips: each row of a batch goes through one clip from its beginning on, a stretch a step, while other
processes mix the clips to come."""

from __future__ import annotations

import itertools
import signal
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from denoise_wrapper.errors import ConfigError
from denoise_wrapper.signals import leave_to_parent
from denoise_wrapper.training.mix.mixing import Mix
from denoise_wrapper.training.mix.sources import ClipSource, Sides

Clip = TypeVar("Clip", bound=tuple[Tensor, ...])  # named or not
TOGETHER = 4  # clips handed over at once: a message costs the caller a millisecond, about what mixing a clip does
AHEAD = 2  # times as many that each process has ready


class RowSchedule:
    """The stretch of the clip that each row has in each step: a function of the step alone.

    Rows begin at different places, so that every step holds beginnings and ends.
    """

    def __init__(self, batch: int, chunks: int, rows: range | None = None) -> None:
        """chunks: stretches of a clip. rows: those of the batch that this process has, if not all."""
        if chunks < 1:
            raise ConfigError(
                "the stretch of a clip that a step takes ([train] seconds or frames; [audio] duration) is longer than "
                "the clip ([mix] clip_s); change either"
            )
        self.batch, self.chunks = batch, chunks
        self.rows = range(batch) if rows is None else rows

    def place(self, step: int, row: int) -> tuple[int, int]:
        """(clip, stretch of it) that a row has in a step."""
        turn, chunk = divmod(step + row % self.chunks, self.chunks)
        return turn * self.batch + row, chunk

    def clips(self, step: int) -> Iterator[int]:
        """The clips that are needed from step on, endless, in the order in which `stretches` asks for them."""
        for row in self.rows:
            yield self.place(step, row)[0]
        while True:
            step += 1
            yield from (clip for clip, chunk in (self.place(step, row) for row in self.rows) if chunk == 0)


class Clips(Dataset[Clip]):
    """Clip number i of the training side, made by whichever process asks; each opens the audio once."""

    def __init__(self, sides: Callable[[], Sides], make: Callable[[Mix], Clip]) -> None:
        """sides: opens the audio. make: turns a mixture into what a row goes through. Both can be pickled."""
        self.open, self.make = sides, make
        self._source: ClipSource | None = None

    def __getitem__(self, number: int) -> Clip:
        if self._source is None:
            self._source, _ = self.open()
        return self.make(self._source.clip(number))

    def __getstate__(self) -> dict[str, Any]:  # to another process goes the way to the audio, not the audio
        return {**vars(self), "_source": None}


class _Order(Sampler[list[int]]):
    def __init__(self, schedule: RowSchedule, step: int) -> None:
        self.schedule, self.step = schedule, step

    def __iter__(self) -> Iterator[list[int]]:
        clips = self.schedule.clips(self.step)
        while True:
            yield list(itertools.islice(clips, TOGETHER))


def stretches(
    clips: Dataset[Clip], schedule: RowSchedule, step: int, processes: int
) -> Iterator[list[tuple[Clip, int]]]:
    """For each step from step on, endless: of each row its clip, and which stretch of it.

    clips: gives clip number i, tensors of the same shapes always, to whichever process asks. processes: that many mix
    ahead; 0: the caller's own does.
    """
    loader = DataLoader(
        clips,
        batch_sampler=_Order(schedule, step),
        num_workers=processes,
        prefetch_factor=AHEAD if processes else None,
        worker_init_fn=_start_worker,
        generator=torch.Generator(),  # or beginning to load would draw from the one that dropout draws from
    )
    ready = (clip for stacked in loader for clip in _apart(stacked))
    held: list[Clip] = []
    while True:
        places = [schedule.place(step, row) for row in schedule.rows]
        for index, (_, chunk) in enumerate(places):
            if len(held) < len(places):
                held.append(next(ready))
            elif chunk == 0:
                held[index] = next(ready)
        yield [(clip, chunk) for clip, (_, chunk) in zip(held, places, strict=True)]
        step += 1


def _apart(stacked: Any) -> Iterator[Any]:
    """Clips that torch stacked for the way, each its parts in the kind of tuple that it was."""
    make = getattr(type(stacked), "_make", tuple)
    return (make(parts) for parts in zip(*stacked, strict=True))


def _start_worker(_: int) -> None:
    """Leave signals to the parent, which ends its workers: torch fails in the parent, even while it saves the run, if a
    worker is killed by a SIGTERM that came to the whole group."""
    leave_to_parent()
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    torch.set_num_threads(1)
