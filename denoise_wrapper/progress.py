"""Progress bars on stderr, shown where that is a terminal."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, TypeVar

from denoise_wrapper.wording import visible

if TYPE_CHECKING:
    from rich.progress import Progress, ProgressColumn, TaskID

T = TypeVar("T")
LINE_S = 20.0  # between the lines of a stage, in a log


def make_bars(quiet: bool, *columns: ProgressColumn) -> Progress:
    """Make a set of bars: description, bar, columns, time left; nothing is shown if quiet, or without a terminal."""
    from rich import progress
    from rich.console import Console

    console = Console(stderr=True, soft_wrap=True)
    return progress.Progress(
        progress.TextColumn("{task.description}", style="progress.description", markup=False),
        progress.BarColumn(),
        *columns,
        progress.TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=quiet or not console.is_terminal,
    )


@contextlib.contextmanager
def stages(quiet: bool, lines: bool = False) -> Iterator[Callable[[str, int, int], None]]:
    """Show a bar for each stage of some work: yields a function to call with (stage, steps done, steps in all).

    A stage of another name has a bar of its own, from nothing. lines: where there is no terminal, print a line as each
    stage begins, and every LINE_S seconds, so that a log shows that something is done.
    """
    from rich.progress import MofNCompleteColumn

    tasks: dict[str, TaskID] = {}
    printed: dict[str, float] = {}
    with make_bars(quiet, MofNCompleteColumn()) as bars:
        lines = lines and not quiet and bars.disable

        def report(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(visible(stage), total=total)
            bars.update(tasks[stage], completed=done)
            if lines and done < total and time.monotonic() - printed.get(stage, -LINE_S) >= LINE_S:
                printed[stage] = time.monotonic()
                bars.console.print(f"{visible(stage)}: {done} of {total}", markup=False, highlight=False)

        yield report


def tracked(items: Iterable[T], count: int, text: str) -> Iterator[T]:
    """Give the items one by one, count in all, with a bar that moves as they are taken."""
    with stages(quiet=False) as report:
        for done, item in enumerate(items):
            report(text, done, count)
            yield item
