"""The tasks of a run: which file, list or shard becomes which, the longest first; refused where that cannot go well."""

from __future__ import annotations

import contextlib
import glob
import os
import posixpath
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from denoise_wrapper.cluster import store
from denoise_wrapper.cluster.lists import Row, is_list, read_list
from denoise_wrapper.cluster.store import Look, is_within, join, normal, scheme_of, suffix_of
from denoise_wrapper.errors import DataError, DenoiseError, FileError
from denoise_wrapper.files.formats import SUFFIXES
from denoise_wrapper.files.results import DONE, part_results
from denoise_wrapper.wording import count

TARS = (".tar", ".tar.gz", ".tgz")
KINDS = {**dict.fromkeys(TARS, "tar"), ".parquet": "parquet", ".arrow": "arrow"}
SIDECARS = ("dataset_info.json", "state.json", "dataset_dict.json")  # of a data set that `datasets` saved
# About how many bytes hold a second, by suffix: to put the longest first, and for the time left.
_LOSSY = {".mp3", ".ogg", ".oga", ".opus", ".m4a", ".aac", ".wma", ".amr", ".spx", ".webm", ".mp4", ".mka", ".ac3"}
_LOSSY_BYTES_S, _FLAC_BYTES_S, _PLAIN_BYTES_S = 12_000.0, 24_000.0, 64_000.0


@dataclass(frozen=True)
class Task:
    """One file or shard: where it is, and where its result goes. Places are in their normal form.

    kind: "file", "tar", "parquet", "arrow", or "copy" for what goes along as it is. weight: seconds of audio in it, as
    the manifest tells or the size lets guess.
    """

    source: str
    target: str
    kind: str = "file"
    weight: float = 0.0


@dataclass
class Tasks:
    """What a run has to do.

    tasks: the longest first. looks: of the sources, by place, as far as listing has told. failed: inputs that are none,
    with the reason. left_out: results of earlier runs.
    """

    tasks: list[Task] = field(default_factory=list)
    looks: dict[str, Look] = field(default_factory=dict)
    failed: list[tuple[str, DenoiseError]] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Found:
    """An input as it is on the disk: a folder, and what is in it by names."""

    root: str
    names: dict[str, Look | None]
    seconds: dict[str, float] = field(default_factory=dict)


def make_tasks(inputs: Sequence[str], output: str, *, root: str | None = None, column: str | None = None) -> Tasks:
    """Find all files that inputs stand for, and name their results below output.

    inputs: files, folders, globs, manifests and shards, paths or addresses. root: the folder that names in manifests
    are below; None for each manifest's own. column: of manifests that holds the names.
    Raises, before anything is written: ConfigError for an address that cannot be one; FileError if output is an input
    or inside one, is a file, if two results would have one name, or a result that of a file to be read; DataError for a
    bad manifest.
    """
    out = normal(output)
    if scheme_of(out) is None and os.path.exists(out) and not os.path.isdir(out):
        raise FileError(f"{output} is a file; results need a folder to be written to")
    made, targets, sources = Tasks(), dict[str, str](), dict[str, None]()
    for entry in inputs:
        try:
            found = list(_find(entry, out, None if root is None else normal(root), column, made))
        except DataError:
            raise
        except FileError as error:
            if isinstance(error, (store.AccessError, store.StorageError, _Refused)):
                raise
            made.failed.append((entry, error))
            continue
        for each in found:
            for name, seen in each.names.items():
                source, target = join(each.root, name), join(out, name)
                if source in sources:
                    continue  # named twice, the first time for good
                if targets.setdefault(target, source) != source:
                    raise FileError(f"{targets[target]} and {source} would both be written to {target}; do them apart")
                sources[source] = None
                if seen is not None:
                    made.looks[source] = seen
                made.tasks.append(_task(source, target, seen, each.seconds.get(name)))
    for task in made.tasks:
        if task.target in sources:
            raise FileError(f"{task.source} would be written to {task.target}, which is to be read; choose another -o")
    _check_tars(made.tasks)
    made.tasks.sort(key=lambda task: (-task.weight, task.target))
    return made


def _check_tars(tasks: Sequence[Task]) -> None:
    """Raise UnsafeError for a tar that must not be unpacked. Of one in storage, or packed, that is seen at its turn."""
    from denoise_wrapper.cluster.shards import UnsafeError, check_names

    for task in tasks:
        if task.kind == "tar" and suffix_of(task.source) == ".tar" and scheme_of(task.source) is None:
            try:
                check_names(Path(task.source))
            except UnsafeError:
                raise
            except DenoiseError:
                continue  # is broken, which it is set aside for


class _Refused(FileError):
    """An output that lies where it must not."""


def _check_output(entry: str, place: str, out: str) -> None:
    if is_within(out, place):
        where = "is the input" if out == place else f"lies inside the input {entry}"
        raise _Refused(f"the output {out} {where}; the next run would take results for inputs: choose another folder")


def _find(entry: str, out: str, root: str | None, column: str | None, made: Tasks) -> Iterator[_Found]:
    """What an input stands for."""
    if is_list(entry):
        yield _listed(entry, out, root, column)
        return
    if scheme_of(entry) is None:
        yield from _find_here(entry, out, made)
        return
    if glob.has_magic(entry):
        fixed = normal(_fixed(entry))
        _check_output(entry, fixed, out)
        found = store.matching(normal(entry))
        yield _Found(fixed, _kept({place[len(fixed) + 1 :]: seen for place, seen in found.items()}, entry))
        return
    place, seen = normal(entry), None
    _check_output(entry, place, out)
    if not entry.endswith("/"):
        with contextlib.suppress(store.StorageError):  # listing says why, as a look at one file has no words for it
            seen = store.look(place)
    if seen is not None:
        folder = store.parent(place)
        yield _Found(folder, {place[len(folder) + 1 :]: seen})
        return
    yield _Found(place, _kept(store.below(place), entry))


def _find_here(entry: str, out: str, made: Tasks) -> Iterator[_Found]:
    """What a path, or a pattern of paths, stands for."""
    from denoise_wrapper.files.transform import audio_files

    entry = entry[len("file://") :] if entry.lower().startswith("file://") else entry
    if glob.has_magic(entry) and not os.path.lexists(entry):
        fixed = normal(_fixed(entry) or ".")
        _check_output(entry, fixed, out)
        paths = [Path(path) for path in glob.glob(entry, recursive=True) if os.path.isfile(path)]
        names = {os.path.relpath(os.path.abspath(path), fixed): path for path in paths if _is_taken(path.name)}
        others = _without_results(list(names.values()), made)
        if not others:
            raise FileError(f"{entry} matches no audio file")
        yield _Found(fixed, {name.replace(os.sep, "/"): _seen(path) for name, path in names.items() if path in others})
        return
    place = normal(entry)
    _check_output(entry, place, out)
    if not os.path.isdir(place):
        if not os.path.exists(place):
            raise FileError(f"there is no file or folder {entry}")
        yield _Found(os.path.dirname(place), {os.path.basename(place): _seen(Path(place))})
        return
    folder = Path(place)
    shards = [path for path in folder.rglob("*") if path.is_file() and _is_shard(path.name)]
    paths = sorted({*_without_results(audio_files(folder), made), *shards})
    if not paths:
        raise FileError(f"there is no audio file or shard to clean in {entry}")
    yield _Found(place, {path.relative_to(folder).as_posix(): _seen(path) for path in paths})


def _without_results(paths: list[Path], made: Tasks) -> set[Path]:
    others, results = part_results(paths)
    made.left_out += map(str, results)
    return set(others)


def _seen(path: Path) -> Look | None:
    return store.look(str(path))


def _listed(entry: str, out: str, root: str | None, column: str | None) -> _Found:
    """The files that a manifest names."""
    place = normal(entry)
    with tempfile.TemporaryDirectory(prefix="denoise-") as folder:
        path = Path(place)
        if scheme_of(place):
            store.fetch(place, path := Path(folder) / "list")
        base, rows = read_list(path, place, root, column)
    _check_output(base, base, out)
    return _Found(base, _looks(base, rows), {row.name: row.seconds for row in rows if row.seconds is not None})


def _looks(base: str, rows: Sequence[Row]) -> dict[str, Look | None]:
    """Looks of the files of a manifest; None for one that is not there, which is said when it is its turn."""
    if scheme_of(base):
        there = store.below(base)
        return {row.name: there.get(row.name) for row in rows}
    looks: dict[str, Look | None] = {}
    for row in rows:
        try:
            looks[row.name] = store.look(join(base, row.name))
        except FileError:
            looks[row.name] = None
    return looks


def _kept(names: dict[str, Look], entry: str) -> dict[str, Look | None]:
    """Those of the names that are audio or shards, and no results of earlier runs."""
    kept: dict[str, Look | None] = {}
    for name, seen in sorted(names.items()):
        if ".." in name.split("/"):
            raise _Refused(f"{entry}: {name} has '..' in it, which would lead out of the output")
        if _is_taken(posixpath.basename(name)) and not posixpath.splitext(name)[0].endswith(DONE):
            kept[name] = seen
    if not kept:
        raise FileError(
            f"there is no audio file or shard to clean in {entry} ({count(len(names), 'other file')} there)"
        )
    return kept


def _is_shard(name: str) -> bool:
    return suffix_of(name) in KINDS or name in SIDECARS


def _is_taken(name: str) -> bool:
    return not name.startswith(".") and (_is_shard(name) or suffix_of(name) in SUFFIXES)


def _fixed(pattern: str) -> str:
    """The folders of a pattern before the first that has a *, ? or [ in it."""
    head, sep, rest = pattern.rpartition("://")
    parts = rest.split("/")
    at = next(at for at, part in enumerate(parts) if glob.has_magic(part))
    return f"{head}{sep}{'/'.join(parts[:at]) or ('/' if rest.startswith('/') and not sep else '')}"


def _task(source: str, target: str, seen: Look | None, seconds: float | None) -> Task:
    name = posixpath.basename(source)
    suffix, size = suffix_of(source), 0 if seen is None else seen.size
    rate = _LOSSY_BYTES_S if suffix in _LOSSY else _FLAC_BYTES_S if suffix == ".flac" else _PLAIN_BYTES_S
    kind = "copy" if name in SIDECARS else KINDS.get(suffix, "file")
    return Task(source, target, kind, (seconds or size / rate) if kind != "copy" else 0.0)
