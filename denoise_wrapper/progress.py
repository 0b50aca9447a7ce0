"""How far a command has come: a bar on stderr if that is a terminal, and a line for each file that is done."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType


def speed_line(name: object, seconds: float, begin: float) -> str:
    """What was done how fast. begin: time.perf_counter() then."""
    took = time.perf_counter() - begin
    return f"{name}: {seconds:.1f} s in {took:.2f} s, {seconds / took:.0f} x real time"


class Progress:
    """A bar a file on stderr if that is a terminal, and a line for each file done, unless quiet."""

    def __init__(self, files: int, quiet: bool) -> None:
        from rich import progress
        from rich.console import Console

        columns = ("[progress.description]{task.description}", progress.BarColumn(), progress.TaskProgressColumn())
        text = progress.TextColumn("{task.fields[speed]}"), progress.TimeRemainingColumn()
        console = Console(stderr=True, soft_wrap=True)
        self._bars = progress.Progress(
            *columns, *text, console=console, transient=True, disable=quiet or not console.is_terminal
        )
        self._files, self._quiet, self._count = files, quiet, 0

    def __enter__(self) -> Progress:
        self._bars.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.__exit__(kind, error, trace)

    @contextlib.contextmanager
    def file(self, path: Path) -> Iterator[tuple[Callable[[int, int], None], Callable[[Path], None]]]:
        """For one file: a function to call with (frames done, frames in all), and one with the path written."""
        from rich.markup import escape

        self._count += 1
        name = escape(path.name) if self._files == 1 else f"{self._count}/{self._files} {escape(path.name)}"
        task = self._bars.add_task(name, total=None, speed="")
        begin, rate, frames = time.perf_counter(), 0, 0

        def report(done: int, total: int) -> None:
            nonlocal rate, frames
            if self._quiet:
                return
            rate, frames = rate or _rate(path), done
            speed = f"{done / rate / (time.perf_counter() - begin):.0f} x real time"
            self._bars.update(task, completed=done, total=total or None, speed=speed)

        def done(written: Path) -> None:
            if not self._quiet:
                line = speed_line(f"{path} -> {written}", frames / (rate or _rate(path)), begin)
                self._bars.console.print(line, markup=False, highlight=False)

        try:
            yield report, done
        finally:
            self._bars.remove_task(task)


@contextlib.contextmanager
def stages(quiet: bool) -> Iterator[Callable[[str, int, int], None]]:
    """A bar on stderr if that is a terminal, unless quiet: a function to call with (what is done, steps done, in all).

    Another thing that is done has a bar of its own, from nothing.
    """
    from rich import progress
    from rich.console import Console

    console = Console(stderr=True)
    columns = ("[progress.description]{task.description}", progress.BarColumn(), progress.MofNCompleteColumn())
    bars = progress.Progress(
        *columns,
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


def _rate(path: Path) -> int:
    """The sampling rate of a file, Hz."""
    from denoise_wrapper.files import open_source

    with contextlib.ExitStack() as stack:
        return open_source(path, stack).rate
