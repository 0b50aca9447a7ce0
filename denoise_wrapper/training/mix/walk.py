"""Batches that walk through clips: each row hears one clip from its beginning on, a stretch of it a step, while other
processes mix the clips to come."""

from __future__ import annotations

import itertools
import signal
from collections.abc import Iterator
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

Clip = TypeVar("Clip", bound=tuple[Tensor, ...])  # named or not
TOGETHER = 4  # clips handed over at once: a message costs the caller a millisecond, about what mixing a clip does
AHEAD = 2  # times as many that each process has ready


class Walk:
    """Which stretch of which clip each row hears in each step: a function of the step alone.

    Rows begin at different places, so that every step holds beginnings and ends.
    """

    def __init__(self, batch: int, chunks: int, rows: range | None = None) -> None:
        """chunks: stretches of a clip. rows: those of the batch that this process has, if not all."""
        self.batch, self.chunks = batch, chunks
        self.rows = range(batch) if rows is None else rows

    def place(self, step: int, row: int) -> tuple[int, int]:
        """(clip, chunk of it) that a row hears in a step."""
        turn, chunk = divmod(step + row % self.chunks, self.chunks)
        return turn * self.batch + row, chunk

    def clips(self, step: int) -> Iterator[int]:
        """The clips that are needed from step on, endless, in the order in which `stretches` asks for them."""
        for row in self.rows:
            yield self.place(step, row)[0]
        while True:
            step += 1
            yield from (clip for clip, chunk in (self.place(step, row) for row in self.rows) if chunk == 0)


class _Order(Sampler[list[int]]):
    def __init__(self, walk: Walk, step: int) -> None:
        self.walk, self.step = walk, step

    def __iter__(self) -> Iterator[list[int]]:
        clips = self.walk.clips(self.step)
        while True:
            yield list(itertools.islice(clips, TOGETHER))


def stretches(clips: Dataset[Clip], walk: Walk, step: int, processes: int) -> Iterator[list[tuple[Clip, int]]]:
    """What each row hears in the steps from step on, endless: its clip, and which chunk of it.

    clips: gives clip number i, tensors of the same shapes always, to whichever process asks. processes: that many mix
    ahead; 0: the caller's own does.
    """
    loader = DataLoader(
        clips,
        batch_sampler=_Order(walk, step),
        num_workers=processes,
        prefetch_factor=AHEAD if processes else None,
        worker_init_fn=_start_worker,
    )
    ready = (clip for stacked in loader for clip in _apart(stacked))
    held: list[Clip] = []
    while True:
        places = [walk.place(step, row) for row in walk.rows]
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
    """Ctrl-C is left to the parent, which ends its workers."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)
