"""What is done to one file or shard, and the engine that does many on the cores of this machine."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import socket
import tempfile
import threading
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from denoise_wrapper import __version__
from denoise_wrapper.atomic import transient
from denoise_wrapper.cluster import store
from denoise_wrapper.cluster.plan import Task
from denoise_wrapper.cluster.store import AccessError, Look, StorageError, redacted, scheme_of
from denoise_wrapper.errors import DenoiseError, FileError
from denoise_wrapper.files.batch import FileResult, run_batch
from denoise_wrapper.files.formats import Wishes
from denoise_wrapper.files.watch import Watch

if TYPE_CHECKING:
    from denoise_wrapper.denoiser import Denoiser

BadMembers = Literal["stop", "drop", "keep"]


@dataclass(frozen=True)
class How:
    """What is done to every file of a run; goes to other machines as a pickle, the model with it.

    bad_members: what becomes of a member of a shard that cannot be cleaned: "stop" fails the shard, "drop" leaves the
    member out, "keep" takes it over as it is. audio_column: of Parquet and Arrow; None for what looks like one.
    """

    denoiser: Denoiser
    wishes: Wishes = field(default_factory=Wishes)
    bad_members: BadMembers = "stop"
    audio_column: str | None = None

    @property
    def words(self) -> dict[str, Any]:
        """All that the bits of results hang on, as plain data."""
        backend = self.denoiser.backend
        return {
            "version": __version__,
            "backend": backend.name,
            "model": getattr(backend, "digest", ""),
            "options": {name: repr(value) for name, value in sorted(getattr(backend, "options", {}).items())},
            "settings": asdict(self.denoiser.settings),
            "wishes": asdict(self.wishes),
            "bad_members": self.bad_members,
            "audio_column": self.audio_column,
        }

    @property
    def key(self) -> str:
        """A digest of them: results with another key are made again."""
        return hashlib.sha256(json.dumps(self.words, sort_keys=True).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Outcome:
    """What became of a task, once.

    kind: "done"; "failed", which another try would not change; "again", where it might; "stop", where all others would
    fail likewise. fields: of its record in the manifest. seconds: of audio.
    """

    task: Task
    kind: Literal["done", "failed", "again", "stop"]
    error: str | None = None
    seconds: float = 0.0
    fields: dict[str, Any] = field(default_factory=dict)


Report = Callable[[Outcome], object]
Far = Callable[[float, float], object]


def clean_tasks(
    tasks: Sequence[tuple[Task, bool]],
    how: How,
    jobs: int | None,
    done: Report,
    *,
    begin: Callable[[Task], object] = lambda task: None,
    check: Callable[[], object] | None = None,
    far: Far = lambda seconds, weight: None,
) -> None:
    """Clean files and shards on this machine, jobs at a time in threads, as `filter` does.

    tasks: with each, whether its result may be replaced. done: called with each outcome, begin: before each, in a
    thread of its own. check: called a few times a second; what it raises stops all at their next block. far: called
    before each of both with what is cleaned of tasks of which done was not called: seconds of audio, and their share of
    the tasks' weight.
    """
    _Local(tasks, how, begin, far).run(jobs, done, check)


class _Local:
    def __init__(self, tasks: Sequence[tuple[Task, bool]], how: How, begin: Callable[[Task], object], far: Far) -> None:
        self._tasks, self._how, self._begin, self._far = tasks, how, begin, far
        self._work: dict[Path, _Work] = {}  # by the plain file to read
        self._open: dict[Path, tuple[Task, Watch]] = {}
        self._ended: dict[Path, tuple[float, float]] = {}  # how far they came, until done is called
        self._lock = threading.Lock()  # of both

    def run(self, jobs: int | None, done: Report, check: Callable[[], object] | None) -> None:
        # A name of its own: many workers of one machine do this at the same moment.
        with tempfile.TemporaryDirectory(prefix="denoise-batch-", ignore_cleanup_errors=True) as name:
            folder = Path(name)
            for number, (task, replace) in enumerate(self._tasks):
                work = _Work(task, replace, folder / f"{number}")
                self._work[work.source] = work
            pairs = [(work.source, work.target) for work in self._work.values()]

            def ended(result: FileResult) -> None:
                outcome = self._outcome(result)
                self._tell()
                done(outcome)

            def look_on(*_: float) -> None:
                self._tell()
                if check is not None:
                    check()

            run_batch(self._clean, pairs, jobs, done=ended, progress=look_on, keep=False)

    def _tell(self) -> None:
        """Tell how far the open tasks are."""
        with self._lock:
            known = [*self._ended.values(), *(_how_far(*each) for each in self._open.values())]
        self._far(sum(seconds for seconds, _ in known), sum(weight for _, weight in known))

    def _clean(self, source: Path, target: Path, watch: Watch) -> None:
        work = self._work[source]
        with self._lock:
            self._open[source] = work.task, watch
        self._begin(work.task)
        try:
            with transient(work.folder) if work.is_remote else contextlib.nullcontext():
                work.clean(self._how, watch)
        finally:
            with self._lock:
                del self._open[source]
                self._ended[source] = _how_far(work.task, watch)

    def _outcome(self, result: FileResult) -> Outcome:
        work = self._work.pop(result.source)
        with self._lock:
            self._ended.pop(result.source, None)
        task, fields = work.task, work.fields
        fields["worker"] = f"{socket.gethostname()}:{os.getpid()}"
        fields["took"] = round(result.took, 4)
        if result.error is not None:
            if isinstance(result.error, AccessError):
                fields["refused"] = True
            words = str(result.error).replace(str(work.source), task.source).replace(str(work.target), task.target)
            return Outcome(task, kind_of(result.error), redacted(words), 0.0, fields)
        fields |= {"seconds": round(result.seconds, 6), "kept": round(result.kept, 6)}
        fields["speech_db"] = None if result.speech_db is None else [round(level, 2) for level in result.speech_db]
        if result.notes:
            fields["notes"] = list(result.notes)
        return Outcome(task, "done", None, result.seconds, fields)


def _how_far(task: Task, watch: Watch) -> tuple[float, float]:
    """What of a task is cleaned: seconds of audio, and its share of the weight."""
    share = watch.frames / watch.total if watch.total else watch.seconds / max(task.weight, 1e-9)
    return watch.seconds, task.weight * min(1.0, share)


class _Work:
    """A task at its work: the plain files to read and to write are its own, or stand for them in a folder of ours."""

    def __init__(self, task: Task, replace: bool, folder: Path) -> None:
        self.task, self.replace, self.folder = task, replace, folder
        self.fields: dict[str, Any] = {}
        name = os.path.basename(task.source)
        self.source = folder / name if scheme_of(task.source) else Path(task.source)
        self.target = folder / "made" / name if scheme_of(task.target) else Path(task.target)

    @property
    def is_remote(self) -> bool:
        """True if one of its files lies in object storage."""
        return bool(scheme_of(self.task.source) or scheme_of(self.task.target))

    def clean(self, how: How, watch: Watch) -> None:
        """Fetch, clean and put; tells of it in fields. Raises DenoiseError, and what watch raises."""
        task, source, target = self.task, self.source, self.target
        if scheme_of(task.source):
            source.parent.mkdir(parents=True, exist_ok=True)
            seen = store.fetch(task.source, source)
            watch.check()
        else:
            seen = _look(task.source)
        self.fields["seen"] = [seen.size, seen.mark]
        self.fields["input_sha256"] = digest_of(source)
        self._make(how, watch)
        if not scheme_of(task.source) and _look(task.source) != seen:
            raise StorageError(f"{task.source} was changed while it was read")
        self.fields["output_sha256"] = digest_of(target)
        if scheme_of(task.target):
            watch.check()
            made = store.store(target, task.target)
        else:
            made = _look(task.target)
        self.fields["made"] = [made.size, made.mark]

    def _make(self, how: How, watch: Watch) -> None:
        replace = self.replace or bool(scheme_of(self.task.target))
        if self.task.kind == "file":
            how.denoiser._transform(self.source, self.target, replace, watch, how.wishes)
            return
        from denoise_wrapper.cluster.shards import clean_shard

        self.fields |= clean_shard(self.task.kind, self.source, self.target, how, watch, replace)


def _look(place: str) -> Look:
    seen = store.look(place)
    if seen is None:
        raise FileError(f"there is no file {place}")
    return seen


def kind_of(error: DenoiseError) -> Literal["failed", "again", "stop"]:
    """Tell whether another try might end otherwise, and whether all other files would fail likewise."""
    if store.is_full(error):
        return "stop"
    if isinstance(error, StorageError | AccessError):
        return "again"
    hopeless = (None, errno.ENOENT, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG)
    return "again" if isinstance(error, FileError) and error.errno not in hopeless else "failed"


def digest_of(path: Path) -> str:
    """SHA-256 of a file, in hex. Raises FileError."""
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise FileError(f"cannot read {path}: {(error.strerror or str(error)).lower()}") from error
