"""The end of the interpreter and forks: no thread is in another's C++ code when they come.

Python ends a thread that comes back from C code after the interpreter has ended by unwinding its stack, which C++ code
may answer by ending the process with an abort. Such a thread is a daemon, or one that Python has not started.
"""

from __future__ import annotations

import atexit
import os
import time
from types import TracebackType

from denoise_wrapper.errors import DenoiseError

WAIT_S = 10.0  # for the threads that are at work; a call takes a fraction of a second

_inside: dict[object, None] = {}
_over = False


class Working:
    """With it, a thread is in code that the interpreter's end waits for. Raises DenoiseError once that has begun."""

    def __enter__(self) -> None:
        _inside[self] = None
        if _over:
            _inside.pop(self, None)
            raise DenoiseError("the interpreter is ending, and nothing can be cleaned any more; join threads before")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _inside.pop(self, None)


def _wait() -> None:
    """Let no thread begin, and wait for those that have begun."""
    global _over
    _over = True
    deadline = time.monotonic() + WAIT_S
    while _inside and time.monotonic() < deadline:
        time.sleep(0.001)


atexit.register(_wait)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_inside.clear)  # only the thread that forks is there in the child
