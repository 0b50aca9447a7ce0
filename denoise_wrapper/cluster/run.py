"""A run: tasks that are not yet done go to an engine, and what becomes of them into the manifest."""

from __future__ import annotations

import hashlib
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from denoise_wrapper.atomic import make_folder
from denoise_wrapper.cluster import store
from denoise_wrapper.cluster.manifest import NAME, Manifest
from denoise_wrapper.cluster.plan import Task, Tasks
from denoise_wrapper.cluster.store import Look, join, scheme_of
from denoise_wrapper.cluster.work import How, Outcome, clean_tasks, digest_of
from denoise_wrapper.errors import ConfigError, FileError
from denoise_wrapper.wording import duration

ATTEMPTS = 5
PAUSE_S = 1.0  # before storage that failed is tried again; twice as long each time
COPY_S = 30.0  # between two copies of the manifest in object storage, or
COPY_SHARE = 20  # so many times as long as the last one took, as a manifest grows
REFUSALS = 3  # one after the other, after which storage is thought to refuse all


@dataclass
class Counts:
    """How far a run is.

    total: files to do. done, failed, skipped: files. again: tries that came to nothing and were not the last.
    seconds: of audio that were cleaned. weight, weight_done: seconds of audio to do, as guessed, and of those ended.
    seconds_open, weight_open: likewise, of what is cleaned of files that have not ended; of long ones alone on Ray.
    workers: that clean now. began: by time.monotonic(), when the first file did.
    """

    total: int = 0
    done: int = 0
    failed: int = 0
    skipped: int = 0
    again: int = 0
    seconds: float = 0.0
    weight: float = 0.0
    weight_done: float = 0.0
    seconds_open: float = 0.0
    weight_open: float = 0.0
    workers: int = 0
    began: float = field(default_factory=time.monotonic)

    def open(self, seconds: float, weight: float) -> None:
        """Note what is cleaned of files that have not ended."""
        self.seconds_open, self.weight_open = seconds, weight

    @property
    def speed(self) -> float:
        """Seconds of audio cleaned in each second by the clock."""
        return (self.seconds + self.seconds_open) / max(1e-9, time.monotonic() - self.began)


class Ledger:
    """Knows of each task how often it was tried, and writes down what became of it.

    Threads may call begin; answer and forgive are for one alone.
    """

    def __init__(
        self, manifest: Manifest, key: str, attempts: int, told: Callable[[Outcome, bool], object], counts: Counts
    ) -> None:
        self._manifest, self._key, self._attempts, self._told = manifest, key, attempts, told
        self.counts = counts
        self._tries: dict[str, int] = {}
        self._refusals = 0
        self._lock = threading.Lock()

    def begin(self, task: Task) -> None:
        """Note that a task is being worked on."""
        with self._lock:
            if not self.counts.done and not self.counts.failed and not self._tries:
                self.counts.began = time.monotonic()
            self._tries[task.target] = self._tries.get(task.target, 0) + 1
            self._manifest.write("begin", target=task.target, attempt=self._tries[task.target])

    def forgive(self, task: Task) -> None:
        """Take back a try that was none: the task had not been looked at yet."""
        self._tries[task.target] -= 1

    def pause(self, task: Task) -> float:
        """Seconds to wait before a task is tried again, longer after each try."""
        return PAUSE_S * 2.0 ** (self._tries.get(task.target, 1) - 1)

    def answer(self, outcome: Outcome) -> bool:
        """Note what became of a task; True if it is to be tried again. Raises FileError if the run cannot go on."""
        task, counts = outcome.task, self.counts
        attempt = self._tries.get(task.target, 1)
        again = outcome.kind == "again" and attempt < self._attempts
        if outcome.kind == "done":
            self._manifest.write("done", **self._common(task, attempt), **outcome.fields)
            counts.done, counts.seconds = counts.done + 1, counts.seconds + outcome.seconds
            self._refusals = 0
        else:
            # Set aside is what the file itself is to blame for: a later run lets it lie.
            aside = not again and (outcome.kind == "failed" or bool(outcome.fields.get("killed")))
            said = {"final": not again, "aside": aside, "error": outcome.error}
            self._manifest.write("failed", **self._common(task, attempt), **said, **outcome.fields)
            counts.again, counts.failed = counts.again + again, counts.failed + (not again)
            self._refusals = self._refusals + 1 if outcome.fields.get("refused") else 0
            if outcome.kind == "stop" or self._refusals >= REFUSALS:
                raise FileError(f"{outcome.error}; stopped there, and --resume goes on")
        if not again:
            counts.weight_done += task.weight
            self._tries.pop(task.target, None)
        self._told(outcome, not again)
        return again

    def _common(self, task: Task, attempt: int) -> dict[str, Any]:
        return {"source": task.source, "target": task.target, "settings": self._key, "attempt": attempt}


# Cleans tasks, each with whether its result may be replaced, until none is left to try.
Engine = Callable[[Sequence[tuple[Task, bool]], How, Ledger], object]


def local_engine(jobs: int | None, check: Callable[[], object] | None = None) -> Engine:
    """An engine on this machine: jobs files at a time, None for one a core. check: called now and then."""

    def run(tasks: Sequence[tuple[Task, bool]], how: How, ledger: Ledger) -> None:
        pause, todo = PAUSE_S, list(tasks)
        while todo:
            again: list[tuple[Task, bool]] = []

            def answer(outcome: Outcome, again: list[tuple[Task, bool]] = again) -> None:
                if ledger.answer(outcome):
                    again.append((outcome.task, True))

            clean_tasks(todo, how, jobs, answer, begin=ledger.begin, check=check, far=ledger.counts.open)
            todo = again
            if todo:
                time.sleep(pause)
                pause *= 2

    return run


def run_tasks(
    made: Tasks,
    output: str,
    how: How,
    engine: Engine,
    *,
    resume: bool = False,
    overwrite: bool = False,
    verify: bool = False,
    retry: bool = False,
    attempts: int = ATTEMPTS,
    manifest: str | None = None,
    told: Callable[[Outcome, bool], object] = lambda outcome, last: None,
    counts: Counts | None = None,
) -> Counts:
    """Do all tasks that are not yet done.

    output: the place that results are below. resume: go on with the manifest of an earlier run; what is done and whole
    is skipped, what has another input or other settings now is done again. overwrite: replace what is there. verify:
    with resume, read inputs and results and compare their digests, not sizes and times alone. retry: with resume, try
    again what an earlier run has set aside. attempts: tries of each
    file. manifest: a path of this machine, None for the usual one. told: called with each outcome, and whether it was
    the last try. counts: what is counted in.
    Raises FileError: for a manifest of an earlier run unless asked; where all else would fail likewise.
    """
    counts = Counts() if counts is None else counts
    with opened_manifest(output, manifest, resume, overwrite) as book:
        key = how.key
        book.write("run", output=output, settings=key, how=how.words, files=len(made.tasks))
        todo = list(_left(made, output, book, key, _Asked(overwrite, verify, retry), counts, told))
        book.last.clear()  # is known, and takes a kilobyte a file
        made.looks.clear()
        counts.total = len(todo) + counts.failed
        counts.weight = sum(task.weight for task, _ in todo)
        counts.began = time.monotonic()
        ledger = Ledger(book, key, attempts, told, counts)
        if todo:
            engine(todo, how, ledger)
        book.write("end", done=counts.done, failed=counts.failed, skipped=counts.skipped)
    return counts


@contextmanager
def opened_manifest(output: str, path: str | None, resume: bool, overwrite: bool) -> Iterator[Manifest]:
    """The manifest of an output; of one in object storage, a file of this machine that is copied there now and then."""
    remote = scheme_of(output) is not None
    if path is None:
        if remote:
            # A digest, as letters alone would be alike for s3://a/b and s3://a-b.
            digest = hashlib.sha256(output.encode()).hexdigest()[:12]
            path = os.path.join(tempfile.gettempdir(), f"denoise-batch-{os.path.basename(output)}-{digest}.jsonl")
        else:
            path = os.path.join(output, NAME)
    elif scheme_of(path):
        raise ConfigError(
            f"--manifest {path}: it is appended to, which object storage cannot; name a file of this machine"
        )
    make_folder(Path(path).absolute().parent)
    copy = join(output, NAME) if remote else None
    there = copy is not None and not overwrite and store.look(copy) is not None
    if there and not resume:
        raise FileError(f"{copy} tells of an earlier run; --resume goes on with it, --overwrite begins anew")
    also = _fetched(copy) if copy is not None and there else b""
    book = Manifest(Path(path), go_on=resume, anew=overwrite and not resume, also=also)
    ended = threading.Event()

    def keep() -> None:
        pause = COPY_S
        while not ended.wait(pause):
            begin = time.monotonic()
            _copied(book, copy)
            pause = max(COPY_S, COPY_SHARE * (time.monotonic() - begin))

    thread = threading.Thread(target=keep, name="denoise-manifest", daemon=True) if copy is not None else None
    try:
        if thread is not None:
            thread.start()
        yield book
    finally:
        ended.set()
        if thread is not None:
            thread.join(COPY_S)
            _copied(book, copy)
        book.close()


def _fetched(copy: str) -> bytes:
    """The copy of a manifest beside the results, which knows more where another machine has led since."""
    with tempfile.TemporaryDirectory(prefix="denoise-") as folder:
        store.fetch(copy, path := Path(folder) / "copy")
        return path.read_bytes()


def _copied(book: Manifest, copy: str | None) -> None:
    """Put a copy of the manifest beside the results; where that fails, the next one will do."""
    if copy is not None:
        try:
            store.store(book.path, copy)
        except FileError:
            return


@dataclass(frozen=True)
class _Asked:
    overwrite: bool
    verify: bool
    retry: bool


def _left(
    made: Tasks, output: str, book: Manifest, key: str, asked: _Asked, counts: Counts,
    told: Callable[[Outcome, bool], object],
) -> Iterator[tuple[Task, bool]]:  # fmt: skip
    """Tasks that are to be done, each with whether its result may be replaced."""
    listing = store.below(output) if scheme_of(output) else None
    for task in made.tasks:
        there = listing.get(task.target[len(output) + 1 :]) if listing is not None else store.look(task.target)
        seen, last = made.looks.get(task.source), book.last.get(task.target, {})
        same = last.get("settings") == key
        if (
            last.get("event") == "done"
            and same
            and there is not None
            and _is_whole(task, seen, there, last, asked.verify)
        ):
            counts.skipped += 1
            continue
        why = None
        if last.get("aside") and same and not asked.retry and seen is not None and last.get("seen") == _plain(seen):
            why = f"{last['error']} (set aside by an earlier run; --retry-failed tries it again)"
        elif there is not None and not asked.overwrite and last.get("event") in (None, "exists"):
            why = f"{task.target} exists, and no earlier run made it; overwrite=True (--overwrite) replaces it"
            book.write("exists", source=task.source, target=task.target, error=why)
        if why is None:
            yield task, there is not None or bool(last) or asked.overwrite
        else:
            counts.failed += 1
            told(Outcome(task, "failed", why), True)


def _plain(seen: Look) -> list[Any]:
    return [seen.size, seen.mark]


def _is_whole(task: Task, seen: Look | None, there: Look | None, last: dict[str, Any], verify: bool) -> bool:
    """True if a result is the one that was made, of an input that is the same now."""
    size, mark = last["made"]
    if there is None or there.size != size or (there.mark != mark and not _same(task.target, last, "output_sha256")):
        return False
    if verify and not _same(task.target, last, "output_sha256"):
        return False
    if seen is None:
        return False
    if last["seen"] == _plain(seen) and not verify:
        return True
    return last["seen"][0] == seen.size and _same(task.source, last, "input_sha256")


def _same(place: str, last: dict[str, Any], name: str) -> bool:
    """True if a file has the digest that was written down."""
    if scheme_of(place) is None:
        return digest_of(Path(place)) == last.get(name)
    with tempfile.TemporaryDirectory(prefix="denoise-") as folder:
        store.fetch(place, path := Path(folder) / "file")
        return digest_of(path) == last.get(name)


def summary(counts: Counts, took: float) -> str:
    """Say in a line how a run went. took: seconds by the clock, of the cleaning alone."""
    parts = [f"{counts.done} done"]
    parts += [f"{counts.skipped} were done before"] * bool(counts.skipped)
    parts += [f"{counts.failed} failed"] * bool(counts.failed)
    parts += [f"{counts.again} tries came to nothing"] * bool(counts.again)
    line = ", ".join(parts)
    if not counts.seconds:
        return line
    return f"{line}: {duration(counts.seconds)} in {duration(took)}, {counts.seconds / max(took, 1e-9):.0f} x real time"
