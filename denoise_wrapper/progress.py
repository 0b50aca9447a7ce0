"""How far a command has come: a bar on stderr if that is a terminal, and a line for each file that is done."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import TYPE_CHECKING

from denoise_wrapper.files.watch import OTHER, STAGES

if TYPE_CHECKING:
    from denoise_wrapper.files.batch import FileResult


def speed_line(name: object, seconds: float, took: float) -> str:
    """What was done how fast. seconds: of audio. took: seconds by the clock."""
    return f"{name}: {seconds:.1f} s in {took:.2f} s, {seconds / took:.0f} x real time"


class Progress:
    """A bar over all files on stderr if that is a terminal, and lines above it, unless quiet.

    name: of the file, if it is one.
    """

    def __init__(self, files: int, quiet: bool, name: str = "") -> None:
        from rich import progress
        from rich.console import Console

        console = Console(stderr=True, soft_wrap=True)
        self._bars = progress.Progress(
            progress.TextColumn("{task.description}", style="progress.description", markup=False),
            progress.BarColumn(),
            progress.TaskProgressColumn(),
            progress.TextColumn("{task.fields[speed]}", markup=False),
            progress.TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=quiet or not console.is_terminal,
        )
        self._files, self._quiet, self._ended, self._begin = files, quiet, 0, time.perf_counter()
        self._task = self._bars.add_task(name if files == 1 else f"0/{files} files", total=None, speed="")

    def __enter__(self) -> Progress:
        self._bars.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.__exit__(kind, error, trace)

    def report(self, done: float, total: float) -> None:
        """How far all is: seconds of audio done, and in all."""
        speed = f"{done / (time.perf_counter() - self._begin):.0f} x real time"
        self._bars.update(self._task, completed=done, total=total or None, speed=speed)

    def ended(self, line: str | None = None) -> None:
        """One more file is done with; line: what is to be said of it."""
        self._ended += 1
        if self._files > 1:
            self._bars.update(self._task, description=f"{self._ended}/{self._files} files")
        if line is not None and not self._quiet:
            self._bars.console.print(line, markup=False, highlight=False)


@contextlib.contextmanager
def stages(quiet: bool) -> Iterator[Callable[[str, int, int], None]]:
    """A bar on stderr if that is a terminal, unless quiet: a function to call with (what is done, steps done, in all).

    Another thing that is done has a bar of its own, from nothing.
    """
    from rich import progress
    from rich.console import Console

    console = Console(stderr=True)
    bars = progress.Progress(
        progress.TextColumn("{task.description}", style="progress.description", markup=False),
        progress.BarColumn(),
        progress.MofNCompleteColumn(),
        progress.TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=quiet or not console.is_terminal,
    )
    tasks: dict[str, progress.TaskID] = {}

    def report(what: str, done: int, total: int) -> None:
        if what not in tasks:
            tasks[what] = bars.add_task(what, total=total)
        bars.update(tasks[what], completed=done)

    with bars:
        yield report


def format_profile(results: Sequence[FileResult]) -> str:
    """What the time of files went into, one stage a line; the seconds of all threads are summed."""
    spent = {name: sum(result.stages[name] for result in results) for name in (*STAGES, OTHER)}
    seconds, took = sum(result.seconds for result in results), sum(result.took for result in results)
    lines = [f"{len(results)} files, {seconds:.1f} s of audio: {took:.2f} s of all threads together"]
    for name, part in spent.items():
        speed = f"{seconds / part:.0f} x real time" if part else "-"
        lines.append(f"    {name:<12}{part:8.2f} s {100 * part / (took or 1.0):6.1f} %   {speed:>20}")
    return "\n".join(lines)
