"""Progress bars on stderr, shown where that is a terminal."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, TypeVar

from denoise_wrapper.wording import visible

if TYPE_CHECKING:
    from rich.progress import Progress, ProgressColumn, TaskID

T = TypeVar("T")


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
def stages(quiet: bool) -> Iterator[Callable[[str, int, int], None]]:
    """Show a bar for each stage of some work: yields a function to call with (stage, steps done, steps in all).

    A stage of another name has a bar of its own, from nothing.
    """
    from rich.progress import MofNCompleteColumn

    tasks: dict[str, TaskID] = {}
    with make_bars(quiet, MofNCompleteColumn()) as bars:

        def report(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(visible(stage), total=total)
            bars.update(tasks[stage], completed=done)

        yield report


def tracked(items: Iterable[T], count: int, text: str) -> Iterator[T]:
    """Give the items one by one, count in all, with a bar that moves as they are taken."""
    with stages(quiet=False) as report:
        for done, item in enumerate(items):
            report(text, done, count)
            yield item
