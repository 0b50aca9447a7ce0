"""The end of the interpreter and forks: no thread is in another's C++ code when they come.

Python ends a thread that comes back from C code after the interpreter has ended by unwinding its stack, which C++ code
may answer by ending the process with an abort. Such a thread is a daemon, or one that Python has not started.

ONNX Runtime has a thread of its own, for which its end waits. A forked process has not got that thread: it would never
end, or by an abort. So there the C library's way out is cut short, once Python's is done.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
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


def _begin_child() -> None:
    """Begin as a process that was forked: only the thread that forks is there."""
    _inside.clear()
    with contextlib.suppress(OSError, AttributeError):  # another C library than glibc
        libc = ctypes.CDLL(None)
        # The last that is registered comes first, before the end of ONNX Runtime. _exit takes the exit code, which
        # on_exit hands over, and drops what it does not want.
        libc.on_exit(libc._exit, None)
        atexit.register(libc.fflush, None)  # as nobody else does now


atexit.register(_wait)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_child)
