"""Threads and processes that do one task for many items, with progress, and that are gone at once on Ctrl-C."""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from denoise_wrapper.errors import DenoiseError
from denoise_wrapper.signals import leave_to_parent, unwind_on_terminate

Item = TypeVar("Item")
Answer = TypeVar("Answer")
Report = Callable[[str, int, int], object]
Count = Callable[[int, int], object]


def ignore(what: str, done: int, total: int) -> None: ...


def run_in_threads(task: Callable[[Item], Answer], items: Sequence[Item], jobs: int, report: Count) -> list[Answer]:
    """The answers of task to items, in their order, from so many threads. report: called with (done, in all)."""
    with ThreadPoolExecutor(jobs) as threads:
        return _run_all(threads, task, items, report)


def run_in_processes(task: Callable[[Item], Answer], items: Sequence[Item], jobs: int, report: Count) -> list[Answer]:
    """The answers of task, which pickles, from at most so many processes; in this one if that is one.

    Raises DenoiseError if a process dies.
    """
    jobs = min(jobs, len(items))
    if jobs <= 1:
        answers: list[Answer] = []
        for item in items:
            report(len(answers), len(items))
            answers.append(task(item))
        report(len(answers), len(items))
        return answers
    try:
        with _fresh_processes(jobs) as processes:
            return _run_all(processes, task, items, report)
    except BrokenProcessPool as error:
        raise DenoiseError("a process that measured clips has died; with jobs=1 (--jobs 1) it may say why") from error


def _run_all(pool: Executor, task: Callable[[Item], Answer], items: Sequence[Item], report: Count) -> list[Answer]:
    """All answers of a pool. What has not begun is given up if anything is raised, Ctrl-C too."""
    answers: list[Answer] = []
    report(0, len(items))
    try:
        with _interrupts_later():
            futures = [pool.submit(task, item) for item in items]
        for future in futures:
            answers.append(future.result())
            report(len(answers), len(items))
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        raise
    return answers


@contextlib.contextmanager
def _fresh_processes(jobs: int) -> Iterator[ProcessPoolExecutor]:
    """Processes that know nothing of this one; they are ended at once if anything is raised, as on Ctrl-C."""
    before = set(multiprocessing.active_children())
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn"), _serve) as processes:
        try:
            yield processes
        except BaseException:  # nobody wants what they are at any more
            for worker in set(multiprocessing.active_children()) - before:
                worker.terminate()
            raise


@contextlib.contextmanager
def _interrupts_later() -> Iterator[None]:
    """Ctrl-C waits; and processes that begin in here never see it, not even before they can say so themselves."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _serve() -> None:
    """Leave signals to the parent, which ends its processes."""
    leave_to_parent()
    unwind_on_terminate()
