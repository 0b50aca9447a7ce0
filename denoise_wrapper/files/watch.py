"""Progress of one file, and the time of its stages."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

Item = TypeVar("Item")

STAGES = ("decoding", "resampling", "denoising", "encoding")
OTHER = "other"


class Watch:
    """Looks on while a file is cleaned, in one thread.

    report: called after each block with (frames done, frames in all or 0); what it raises stops the work.
    rate: Hz, 0 before the file is open. frames: done. total: frames in all, 0 if not known. stages: seconds by the
    clock, which include what a thread waited for another one. notes: what of the source could not be kept, as clauses.
    """

    def __init__(self, report: Callable[[int, int], object] | None = None) -> None:
        self.rate = self.frames = self.total = 0
        self.stages = dict.fromkeys(STAGES, 0.0)
        self.notes: list[str] = []
        self._report = report

    @property
    def seconds(self) -> float:
        """Seconds of audio that are done."""
        return self.frames / self.rate if self.rate else 0.0

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count the time within as that stage."""
        begin = time.perf_counter()
        try:
            yield
        finally:
            self.stages[name] += time.perf_counter() - begin

    def each(self, name: str, items: Iterator[Item]) -> Iterator[Item]:
        """The items, where fetching one is that stage."""
        while True:
            with self.stage(name):
                try:
                    item = next(items)
                except StopIteration:
                    return
            yield item

    def check(self) -> None:
        """Let who looks on stop the work while there is none to report."""
        if self._report is not None:
            self._report(self.frames, self.total)

    def opened(self, rate: int, total: int) -> None:
        self.rate, self.total = rate, total

    def advance(self, frames: int) -> None:
        self.frames += frames
        if self._report is not None:
            self._report(self.frames, self.total)
