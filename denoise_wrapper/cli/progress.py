"""Progress of cleaning files: a bar over all of them, a line for each that is done, a table of where the time went."""

from __future__ import annotations

import time
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING

from denoise_wrapper.files.watch import OTHER, STAGES
from denoise_wrapper.progress import make_bars
from denoise_wrapper.wording import count, duration, visible

if TYPE_CHECKING:
    from denoise_wrapper.files.batch import FileResult


LEAST_DROPPED_S = 0.001  # what is dropped beyond this is said


def speed_line(name: object, seconds: float, took: float, kept: float | None = None) -> str:
    """Say how fast something was done, and how much a gate left of it.

    seconds: of audio. took: seconds by the clock. kept: seconds of the result; None for all.
    """
    line = f"{name}: {duration(seconds)} in {duration(took)}, {seconds / took:.0f} x real time"
    dropped = 0.0 if kept is None else seconds - kept
    return line if dropped < LEAST_DROPPED_S else f"{line}; {kept:.1f} s are left, {dropped:.1f} s were dropped"


class FileProgress:
    """A bar over all files on stderr if that is a terminal, and lines above it, unless quiet.

    name: of the file, if it is one.
    """

    def __init__(self, files: int, quiet: bool, name: str = "") -> None:
        from rich.progress import TaskProgressColumn, TextColumn

        self._bars = make_bars(quiet, TaskProgressColumn(), TextColumn("{task.fields[speed]}", markup=False))
        self._files, self._quiet, self._ended, self._begin = files, quiet, 0, time.perf_counter()
        self._task = self._bars.add_task(visible(name) if files == 1 else f"0/{files} files", total=None, speed="")

    def __enter__(self) -> FileProgress:
        self._bars.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.__exit__(kind, error, trace)

    def report(self, done: float, total: float) -> None:
        """Show how far all is: seconds of audio done, and in all."""
        speed = f"{done / (time.perf_counter() - self._begin):.0f} x real time"
        self._bars.update(self._task, completed=done, total=total or None, speed=speed)

    def ended(self, line: str | None = None) -> None:
        """Count one more file as done. line: text to print about it."""
        self._ended += 1
        if self._files > 1:
            self._bars.update(self._task, description=f"{self._ended}/{self._files} files")
        if line is not None and not self._quiet:
            self._bars.console.print(visible(line), markup=False, highlight=False)


def format_profile(results: Sequence[FileResult]) -> str:
    """Say how fast files were cleaned, then where the time went, a stage a line; of all threads together."""
    spent = {name: sum(result.stages[name] for result in results) for name in (*STAGES, OTHER)}
    seconds, took = sum(result.seconds for result in results), sum(result.took for result in results)
    audio, speed = f"{count(len(results), 'file')}, {duration(seconds)} of audio", seconds / took if took else 0.0
    lines = [f"{audio}: {speed:.0f} x real time by one thread, {duration(took)}, of which"]
    lines += [f"    {name:<12}{part:8.2f} s {100 * part / (took or 1.0):6.1f} %" for name, part in spent.items()]
    return "\n".join(lines)
