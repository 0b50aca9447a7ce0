"""Signals that ask to end: the program unwinds, and where that takes too long it is ended with nothing left behind."""

from __future__ import annotations

import atexit
import contextlib
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

from denoise_wrapper.atomic import is_writing, remove_transient

NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGPIPE")
GRACE_S = 0.4  # for unwinding; files of a training have more
CHILDREN_S = 0.2  # for processes of ours to unwind, before they are killed

_grace_s = GRACE_S
_asked: int | None = None  # the first signal that came
_came = False  # whether one came, whatever answers it
_watched = False


def end_on_signals() -> None:
    """Have INT, TERM, HUP and PIPE end this program within a second, and leave no file half-written.

    To be called once, by a program that is ours, before it starts threads. The first signal raises in the main thread:
    KeyboardInterrupt for INT, else SystemExit with 128 and its number. Python does so between two steps of its own,
    and some code swallows exceptions: so a thread waits for the end too. If that has not come after GRACE_S, or a
    second signal comes, it removes what `atomic` knows to be half-written, ends the processes of this one, and ends it.
    Several HUP are one: a terminal that is closed sends it, and so does its shell.
    Signals that this program was started to ignore (nohup) stay ignored; writing to a closed pipe is an error as ever.
    """
    global _watched
    ours = [number for number in numbers() if signal.getsignal(number) in _usual(number)]
    for number in ours:
        signal.signal(number, _unwind)
    if os.name == "nt":
        return
    # A pipe that nobody reads raises SIGPIPE in the thread that writes, where it is blocked and only the write fails;
    # what comes from outside reaches the one thread that lets it through.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGPIPE})
    receive, send = os.pipe()
    os.set_blocking(send, False)
    watch = threading.Thread(target=_watch, args=(receive, set(ours)), name="denoise-signals", daemon=True)
    with contextlib.suppress(RuntimeError):  # no memory for a thread: then without it
        watch.start()
        signal.set_wakeup_fd(send, warn_on_full_buffer=False)
        os.register_at_fork(after_in_child=_forget)
        _watched = True


def end_if_asked(code: int = 1) -> None:
    """End the program if a signal has asked it to, once all has been unwound or saved.

    code: of the exit where something else has answered the signal, as a training does; else it is 128 and its number.
    The interpreter's own end takes apart all that was imported, which is seconds of large libraries on a busy machine.
    """
    if _asked is None and not _came:
        return
    with contextlib.suppress(BaseException):
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
        atexit._run_exitfuncs()
    _end(code if _asked is None else 128 + _asked)


@contextlib.contextmanager
def patience(seconds: float) -> Iterator[None]:
    """Give the program so many seconds to end by itself if a first signal comes within the block."""
    global _grace_s
    before, _grace_s = _grace_s, seconds
    try:
        yield
    finally:
        _grace_s = before


@contextlib.contextmanager
def loading() -> Iterator[None]:
    """Let a signal end the program at once, by the system itself, within a block that does nothing but import.

    A large library holds the interpreter's lock while it is loaded, for seconds on a busy machine: no handler and no
    thread of Python's runs then. Where something is half-written, or a signal has come already, nothing is changed.
    """
    main = threading.current_thread() is threading.main_thread()
    ours = [number for number in numbers() if signal.getsignal(number) is _unwind]
    if not main or not _watched or _asked is not None or is_writing():
        ours = []
    try:
        for number in ours:
            signal.signal(number, signal.SIG_DFL)
        yield
    finally:
        for number in ours:
            signal.signal(number, _unwind)


def stop(process: int, how: int = getattr(signal, "SIGKILL", signal.SIGTERM)) -> None:
    """Signal a process of ours, and those that it has started where it is the first of a session of its own."""
    with contextlib.suppress(OSError):
        if hasattr(os, "killpg") and os.getpgid(process) == process:
            os.killpg(process, how)
        else:
            os.kill(process, how)


def leave_to_parent() -> None:
    """Leave INT and HUP, which a terminal sends to all, to the process that this one works for; end when it is gone."""
    for name in ("SIGINT", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    threading.Thread(target=_follow, name="denoise-parent", daemon=True).start()


def unwind_on_terminate() -> None:
    """Let TERM, by which a pool ends its processes, raise SystemExit here, so that no file is left half-written."""
    signal.signal(signal.SIGTERM, _unwind)


def numbers() -> list[signal.Signals]:
    """List the signals that ask to end, of which Windows has two."""
    return [getattr(signal, name) for name in NAMES if hasattr(signal, name)]


def _usual(number: signal.Signals) -> tuple[Any, ...]:
    """What answers a signal where nobody has asked for anything: the system, or Python, which ignores SIGPIPE."""
    pythons = {"SIGINT": signal.default_int_handler, "SIGPIPE": signal.SIG_IGN}
    return signal.SIG_DFL, pythons.get(number.name, signal.SIG_DFL)


def _unwind(number: int, frame: FrameType | None) -> None:
    global _asked
    if _asked is not None and _watched:
        return  # the thread that watches ends all now
    _asked = number
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    raise SystemExit(128 + number)


def _watch(receive: int, ours: set[int]) -> None:
    """Wait for a signal, then for the end, and bring it about where it does not come."""
    global _came
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGPIPE})
    number = None
    while number is None:
        number = _next(receive, ours)
    _came = True
    deadline = time.monotonic() + _grace_s
    while (left := deadline - time.monotonic()) > 0:
        if not select.select([receive], [], [], left)[0]:
            continue
        again = _next(receive, ours)
        if again is not None and not again == number == signal.SIGHUP:
            break
    _end(128 + number)


def _next(receive: int, ours: set[int]) -> int | None:
    """The next signal, None if it is another one than these: one byte each, written as it comes."""
    number = os.read(receive, 1)[0]
    return number if number in ours else None


def _end(code: int) -> None:
    """End the program here and now, without what is half-written."""
    remove_transient()
    children = _children()
    for how in (signal.SIGTERM, signal.SIGKILL) if children else ():
        for child in children:
            stop(child, how)
        deadline = time.monotonic() + (CHILDREN_S if how == signal.SIGTERM else 0.0)
        while time.monotonic() < deadline and not all(map(_has_ended, children)):
            time.sleep(0.01)
    remove_transient()  # what a thread has begun meanwhile
    os._exit(code)


def _children() -> list[int]:
    """Processes that this one has started, as far as the system tells; else those of its pools."""
    with contextlib.suppress(OSError, ValueError):
        tasks = [path.read_text().split() for path in Path("/proc/self/task").glob("*/children")]
        if tasks:
            return [int(child) for task in tasks for child in task]
    pools = sys.modules.get("multiprocessing")
    return [] if pools is None else [child.pid for child in pools.active_children() if child.pid is not None]


def _has_ended(child: int) -> bool:
    """True for a process of ours that is no more, as far as the system tells; who waits for it is still told."""
    if not hasattr(os, "waitid"):
        return False
    try:
        return os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except OSError:  # somebody has waited for it
        return True


def _forget() -> None:
    """In a forked process: its signals are its own, and none of the first one's thread."""
    global _watched
    signal.set_wakeup_fd(-1)
    _watched = False
    for number in numbers():
        if signal.getsignal(number) is _unwind:
            signal.signal(number, _usual(number)[-1])


def _follow() -> None:
    from multiprocessing import parent_process

    parent = parent_process()
    if parent is not None:
        parent.join()
        remove_transient()
        os._exit(1)
