"""Progress of one file, and the time of its stages."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import TypeVar

from denoise_wrapper.atomic import aside
from denoise_wrapper.files.levels import Meter

Item = TypeVar("Item")

STAGES = ("decoding", "resampling", "denoising", "encoding")
OTHER = "other"


class Stage:
    """Adds the seconds by the clock that a block takes to those of a stage."""

    def __init__(self, stages: dict[str, float], name: str) -> None:
        self._stages, self._name, self._begin = stages, name, 0.0

    def __enter__(self) -> None:
        self._begin = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self._stages[self._name] += time.perf_counter() - self._begin


class Watch:
    """Looks on while a file is cleaned, in one thread.

    measured: whether levels are wanted, which take a twentieth of the time of a quick backend.
    report: called after each block with (frames done, frames in all or 0); what it raises stops the work.
    rate: Hz, 0 before the file is open. frames: done. written: frames of the result. total: frames in all, 0 if not
    known. stages: seconds by the clock, which include what a thread waited for another one.
    before, after: the levels of what was read and of what was written, if measured. notes: what of the source could
    not be kept, as clauses.
    """

    def __init__(self, report: Callable[[int, int], object] | None = None, measured: bool = False) -> None:
        self.rate = self.frames = self.written = self.total = 0
        self.stages = dict.fromkeys(STAGES, 0.0)
        self._report, self._reported = report, 0
        self.before, self.after, self.measured = Meter(), Meter(), measured
        self.notes: list[str] = []

    @property
    def seconds(self) -> float:
        """Seconds of audio that are done."""
        return self.frames / self.rate if self.rate else 0.0

    @property
    def kept(self) -> float:
        """Seconds of the result that are written."""
        return self.written / self.rate if self.rate else 0.0

    def stage(self, name: str) -> Stage:
        """Count the time within as that stage."""
        return Stage(self.stages, name)

    def each(self, name: str, items: Iterator[Item]) -> Iterator[Item]:
        """The items, where fetching one is that stage."""
        stage = self.stage(name)
        while True:
            with stage:
                item = next(items, None)
            if item is None:
                return
            yield item

    def opened(self, rate: int, total: int) -> None:
        self.rate, self.total = rate, total

    def advance(self, frames: int) -> None:
        self.frames += frames

    def check(self) -> None:
        """Let who looks on stop the work while there is nothing to report."""
        if self._report is not None:
            with aside():
                self._report(self.frames, self.total)

    def report(self) -> None:
        """Report what is done since the last time, if anything is.

        Call it outside all generators, which would make another error of a StopIteration that the caller raises.
        """
        if self._report is not None and self.frames != self._reported:
            self._reported = self.frames
            with aside():
                self._report(self.frames, self.total)
