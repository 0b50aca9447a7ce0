"""Inputs of a comparison: files, folders and sets as clips, each with its reference if there is one."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from denoise_wrapper.arguments import warn_caller
from denoise_wrapper.backends import backend_names
from denoise_wrapper.compare.clips.clip import Clip, with_size
from denoise_wrapper.compare.clips.sets import find_clips, look_into_set, make_clip
from denoise_wrapper.errors import DataError, DenoiseError, MissingFileError
from denoise_wrapper.files.results import part_results
from denoise_wrapper.files.transform import audio_files
from denoise_wrapper.wording import few


def find_inputs(inputs: Sequence[Path], clean: Path | None = None) -> tuple[list[Clip], list[str]]:
    """The clips of files, of folders (all audio files below them but results of `filter`) and of sets.

    clean: the reference of a single file, or a folder with references of the same stems, for what is in no set.
    A set's clip whose reference is missing is a clip with a problem. Returns the clips, and what was skipped, with the
    reason, a line each: files that cannot be read, and clips of a manifest that are not there. Results of earlier runs
    in folders are no clips; a UserWarning says so.
    Raises DataError if there are no clips at all, FileError for an input or a reference that is not there.
    """
    if not inputs:
        raise DataError("nothing was named to compare on: name audio files, folders, or sets with noisy/ and clean/")
    references = _References(clean, inputs)
    named: list[Clip] = []
    skipped: list[str] = []
    for path in inputs:
        if path.is_dir() and (path / "noisy").is_dir():
            named += _clips_of_set(path, skipped)
        elif path.is_dir():
            files, results = part_results(audio_files(path))
            if results:
                shown = few([str(result) for result in results], 2)
                warn_caller(f"left out, as results of earlier runs: {shown}; name one to compare on it")
            if not files:
                raise DataError(f"there is no audio file in {path}, and no folder noisy/; name other clips")
            named += [references.join(str(file.relative_to(path).with_suffix("")), file) for file in files]
        elif path.exists():
            named.append(references.join(path.stem, path))
        else:
            cure = f", but a backend: candidates go by -a {path}" if str(path) in backend_names() else ""
            raise MissingFileError(f"there is no file or folder {path}{cure}")
    references.check_used()
    clips = []
    for clip in _unique(named):
        try:
            clips.append(with_size(clip))
        except DenoiseError as error:
            skipped.append(str(error))
    if not clips:
        raise DataError(f"there is no clip to compare on: {'; '.join(skipped)}")
    return clips, skipped


def _clips_of_set(folder: Path, skipped: list[str]) -> Iterator[Clip]:
    entries, clean, noisy = look_into_set(folder)
    if not entries:
        raise DataError(f"{folder / 'noisy'} holds no audio files")
    for entry in entries:
        name = entry["id"]
        if name not in noisy:
            skipped.append(f"{folder / 'noisy'} lacks {name}: there is nothing to clean")
            continue
        missing = None if name in clean else f"{folder / 'clean'} has no reference of that name"
        yield dataclasses.replace(make_clip(entry, noisy[name], clean.get(name)), problem=missing)


class _References:
    """The references that were named for clips of no set: one file for one, or a folder."""

    def __init__(self, clean: Path | None, inputs: Sequence[Path]) -> None:
        self._clean, self._used = clean, clean is None
        self._file: Path | None = None
        self._folder: dict[str, Path] = {}
        if clean is None:
            return
        if clean.is_dir():
            self._folder = find_clips(clean, by_file_id=False)
        elif not clean.exists():
            raise MissingFileError(f"there is no reference {clean}")
        elif len(inputs) == 1 and not inputs[0].is_dir():
            self._file = clean
        else:
            raise DataError(f"{clean} is one file, and more than one clip was named; name a folder of references")

    def join(self, name: str, noisy: Path) -> Clip:
        """A clip with its reference."""
        if self._clean is None:
            return Clip(name, noisy)
        self._used = True
        clean = self._file or self._folder.get(noisy.stem)
        missing = None if clean is not None else f"{self._clean} has no reference called {noisy.stem}"
        return Clip(name, noisy, clean, problem=missing)

    def check_used(self) -> None:
        """Raise DataError if only sets were named, which have their own."""
        if not self._used:
            raise DataError(f"{self._clean} is not needed: sets have their references in clean/; leave it out")


def _unique(clips: Sequence[Clip]) -> Iterator[Clip]:
    """Clips with ids of which no two are alike: with the folder's name where they would be, then with a number."""
    often = Counter(clip.id for clip in clips)
    used: Counter[str] = Counter()
    for clip in clips:
        name = clip.id if often[clip.id] == 1 else f"{_folder_of(clip.noisy)}/{clip.id}"
        used[name] += 1
        yield dataclasses.replace(clip, id=name if used[name] == 1 else f"{name} ({used[name]})")


def _folder_of(noisy: Path) -> str:
    """The name of the folder that a clip came from, or of its set."""
    folder = noisy.absolute().parent
    return (folder.parent if folder.name == "noisy" else folder).name
