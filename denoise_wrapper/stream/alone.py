"""One thread at a time: a turn that nobody waits for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from threading import get_ident
from typing import ParamSpec, TypeVar

from denoise_wrapper.errors import DenoiseError

Turn = dict[int, int]  # {0: the thread whose turn it is}, or empty
Given = ParamSpec("Given")
Result = TypeVar("Result")


def alone(turns: Sequence[Turn], act: Callable[Given, Result], *args: Given.args, **names: Given.kwargs) -> Result:
    """Call act with these arguments while no other thread has one of the turns.

    Raises DenoiseError if another thread has one. A thread that has a turn already keeps it: its own calls follow one
    another, but where a signal handler makes one in the middle of another, which the lanes notice.

    One atomic call takes a turn, within the block that gives it back: so whatever exception comes, and
    wherever, none is left behind.
    """
    thread = get_ident()
    fresh = [turn for turn in turns if turn.get(0) != thread]
    try:
        for turn in turns:
            if turn.setdefault(0, thread) != thread:
                raise in_use()
        return act(*args, **names)
    finally:
        for turn in fresh:
            if turn.get(0) == thread:
                turn.clear()


def in_use() -> DenoiseError:
    """Return the error for a thread whose turn it is not."""
    return DenoiseError("another thread is using this stream; a stream is for one thread at a time")
