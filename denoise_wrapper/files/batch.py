"""Many files at once: which are meant, and a thread a core to clean them in."""

from __future__ import annotations

import os
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from denoise_wrapper.atomic import make_folder
from denoise_wrapper.errors import DenoiseError, FileError, NoFolderError, file_error
from denoise_wrapper.files.intake import check_readable
from denoise_wrapper.files.levels import speech_levels
from denoise_wrapper.files.results import beside, part_results
from denoise_wrapper.files.watch import OTHER, Watch
from denoise_wrapper.machine import check_jobs
from denoise_wrapper.wording import count

TELL_S = 0.1  # seconds between two tellings of how far all is

Clean = Callable[[Path, Path, Watch], object]
Pair = tuple[Path, Path | None]


@dataclass(frozen=True)
class FileResult:
    """The outcome for one file.

    source: the file, or the folder in which no file was found. target: the file written, None if it failed.
    error: why it failed, None if it did not. seconds: of audio that were cleaned. kept: seconds of the result, fewer
    where a gate dropped some. took: seconds by the clock. speech_db: level of the speech before and after, dBFS, see
    `speech_levels`; None if there is no telling.
    stages: seconds by the clock in `decoding`, `resampling`, `denoising`, `encoding` and `other`, together took.
    notes: what of the source the target does not keep, as clauses.
    """

    source: Path
    target: Path | None = None
    error: DenoiseError | None = None
    seconds: float = 0.0
    kept: float = 0.0
    took: float = 0.0
    stages: dict[str, float] = field(default_factory=dict)
    speech_db: tuple[float, float] | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Plan:
    """Which files are read, and where the results go.

    pairs: (file to read, file to write or None for the one beside it). failed: inputs that cannot be cleaned, with the
    reason. left_out: results of earlier runs in folders.
    """

    pairs: list[Pair]
    failed: list[FileResult]
    left_out: list[Path]


def plan(inputs: Sequence[Path], folder: Path | None) -> Plan:
    """Decide which files are read, and where the results go.

    inputs: files, and folders, which stand for all audio files below them but results of earlier runs. A file is
    named to be cleaned, but of several none that is such a result. folder: to write to, with the trees of the folders;
    None for beside each.
    Raises FileError if folder is a file, or the pairs do not go together: see `check_pairs`.
    """
    if folder is not None and not is_folder(folder) and folder.exists():
        raise NoFolderError(f"{folder} is a file; several files need a folder to be written to")
    pairs: dict[Pair, None] = {}  # in their order, each once
    named: list[Path] = []
    made = Plan([], [], [])
    for entry in inputs:
        try:
            whole = is_folder(entry)
            sources, results = _audio_files(entry, folder) if whole else ([entry], [])
        except FileError as error:
            made.failed.append(FileResult(entry, error=error))
            continue
        made.left_out.extend(results)
        named += [] if whole else sources
        for source in sources:
            name = source.relative_to(entry) if whole else Path(source.name)
            pairs[source, None if folder is None else folder / name] = None
    check_pairs(list(pairs))
    _, again = part_results(named if len(pairs) > 1 else [])
    for source in again:
        why = f"{source} is the result of an earlier run; name it alone to clean it again"
        made.failed.append(FileResult(source, error=FileError(why)))
    made.pairs.extend(pair for pair in pairs if pair[0] not in again)
    return made


def check_pairs(pairs: Sequence[Pair]) -> None:
    """Raise FileError if two files would be written to one place, or one over another that is to be read.

    A file may be written over itself.
    """
    sources = {_place(source): source for source, _ in pairs}
    writers: dict[str, Path] = {}
    for source, target in pairs:
        target = target or beside(source)
        place = _place(target)
        if writers.setdefault(place, source) != source:
            raise FileError(f"{writers[place]} and {source} would both be written to {target}; do them apart")
        if sources.get(place, source) != source:
            raise FileError(
                f"{source} would be written to {target}, which is to be cleaned too; leave one of them out, or choose "
                "another folder for the results"
            )


def _place(path: Path) -> str:
    """The file behind links; the path as it stands if that cannot be looked at, which is said when it is its turn."""
    try:
        return os.path.realpath(path)
    except (OSError, ValueError):
        return str(path)


def is_folder(path: Path) -> bool:
    """True for a folder. Raises FileError if the path cannot be looked at."""
    try:
        return path.is_dir()
    except (OSError, ValueError) as error:  # a name too long, or below a folder that may not be looked into
        raise file_error(f"cannot look at {path}: {getattr(error, 'strerror', None) or error}", error) from error


def _audio_files(folder: Path, output: Path | None) -> tuple[list[Path], list[Path]]:
    """The audio files below a folder, but what lies in output: (those to clean, results of earlier runs)."""
    from denoise_wrapper.files.transform import audio_files

    files = audio_files(folder)
    if output is not None:
        ours, root = Path(os.path.realpath(output)), Path(os.path.realpath(folder))
        files = [path for path in files if ours == root or ours not in (root / path.relative_to(folder)).parents]
    kept, results = part_results(files)
    if not kept:
        why = f" but {count(len(results), 'result')} of earlier runs" if results else ""
        raise FileError(f"there is no audio file to clean in {folder}{why}; name files of other suffixes one by one")
    return kept, results


def _start(workers: Sequence[threading.Thread]) -> None:
    """Start as many as the system lets; those do the work of all."""
    for number, worker in enumerate(workers):
        try:
            worker.start()
        except RuntimeError as error:  # which is all that it says of too little memory, or too many threads
            if number == 0:
                raise MemoryError("no thread can be started") from error
            return


def run_batch(
    clean: Clean,
    pairs: Sequence[Pair],
    jobs: int | None = None,
    *,
    done: Callable[[FileResult], object] | None = None,
    progress: Callable[[float, float], object] | None = None,
    keep: bool = True,
) -> list[FileResult]:
    """Clean files in threads; a file that fails does not keep the others from being done.

    clean: called as clean(source, target, watch), in several threads at once. jobs: threads; None for one per core.
    done: called with each result as it comes. progress: called now and then with seconds of audio done, and in all.
    Both are called in the thread of the caller. What they raise, Ctrl-C, and what clean raises that is no
    DenoiseError, stops all threads at their next block, leaves no file half-written, and is raised.
    Returns the results in the order of the pairs; none unless keep, as those of a million files take a gigabyte. Raises
    FileError if the pairs do not go together: see `check_pairs`.
    """
    check_pairs(pairs)
    return _Batch(clean, pairs, progress).run(min(check_jobs(jobs), len(pairs)), done, keep)


class _Stopped(BaseException):
    """Nobody wants the file any more."""


class _Job:
    def __init__(self, number: int, pair: Pair) -> None:
        self.number, (self.source, self.target) = number, pair
        self.watch: Watch | None = None  # while it is being cleaned
        try:
            self.size = self.source.stat().st_size
        except (OSError, ValueError):  # which will be told when it is its turn
            self.size = 0


class _Batch:
    def __init__(self, clean: Clean, pairs: Sequence[Pair], progress: Callable[[float, float], object] | None) -> None:
        self._clean, self._progress = clean, progress
        self._jobs = [_Job(number, pair) for number, pair in enumerate(pairs)]
        self._todo = deque(self._jobs)
        # How far all is, kept as files begin and end: to look at each of a million whenever it is told takes seconds.
        self._open: set[_Job] = set()
        self._ended_s = 0.0  # of audio, of files that have ended
        self._ended_bytes, self._left_bytes = 0, sum(job.size for job in self._jobs)
        self._lock = threading.Lock()  # of these
        self._answers: queue.SimpleQueue[tuple[int, FileResult] | BaseException] = queue.SimpleQueue()
        self._stop = threading.Event()
        self._reported = 0.0  # time.monotonic() of the last report

    def run(self, threads: int, done: Callable[[FileResult], object] | None, keep: bool) -> list[FileResult]:
        results, ended = dict[int, FileResult](), 0
        workers = [threading.Thread(target=self._work, name=f"denoise-{number}") for number in range(threads)]
        try:
            _start(workers)
            while ended < len(self._jobs):
                try:
                    answer = self._answers.get(timeout=TELL_S)  # a wait without end would not see Ctrl-C on Windows
                except queue.Empty:
                    self._tell()
                    continue
                if isinstance(answer, BaseException):
                    raise answer
                ended += 1
                if keep:
                    results[answer[0]] = answer[1]
                if done is not None:
                    done(answer[1])
                self._tell(last=ended == len(self._jobs))
        finally:
            self._stop.set()
            for worker in workers:
                if worker.ident is not None:
                    worker.join()
        return [results[number] for number in sorted(results)]

    def _work(self) -> None:
        """One thread: file after file."""
        while not self._stop.is_set():
            try:
                job = self._todo.popleft()
            except IndexError:
                return
            try:
                self._answers.put((job.number, self._filter(job)))
            except _Stopped:
                return
            except BaseException as error:
                self._answers.put(error)
                return

    def _filter(self, job: _Job) -> FileResult:
        begin, target, failed = time.perf_counter(), job.target or beside(job.source), None
        watch = job.watch = Watch(self._check, measured=True)
        with self._lock:
            self._open.add(job)
        try:
            if job.target is not None:
                if os.path.lexists(job.source):  # and is not a place in storage
                    check_readable(job.source)  # before anything is made
                make_folder(target.parent)
            self._clean(job.source, target, watch)
        except DenoiseError as error:
            failed = error
        with self._lock:
            self._open.remove(job)
            self._ended_s += watch.seconds
            self._ended_bytes += 0 if failed else job.size
            self._left_bytes -= job.size
        job.watch = None  # levels take memory, which many files would fill
        took = time.perf_counter() - begin
        stages = {**watch.stages, OTHER: max(0.0, took - sum(watch.stages.values()))}
        levels = None if failed else speech_levels(watch.before, watch.after)
        done, notes = None if failed else target, tuple(watch.notes)
        return FileResult(job.source, done, failed, watch.seconds, watch.kept, took, stages, levels, notes)

    def _check(self, *_: int) -> None:
        if self._stop.is_set():
            raise _Stopped

    def _tell(self, last: bool = False) -> None:
        """Tell how far all is, unless that was just done; of files not yet open the length is told by the size."""
        now = time.monotonic()
        if self._progress is None or (now - self._reported < TELL_S and not last):
            return
        self._reported = now
        with self._lock:
            done = total = self._ended_s
            known, left = self._ended_bytes, self._left_bytes
            for watch, size in [(job.watch, job.size) for job in self._open]:
                assert watch is not None
                done += watch.seconds
                if watch.total:
                    total += watch.total / watch.rate
                    known, left = known + size, left - size
        if known:
            total *= 1 + left / known
        self._progress(done, max(done, total))
