"""Clips that another program has cleaned: which file in its folder belongs to which clip."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from denoise_wrapper.compare.clips.clip import Clip
from denoise_wrapper.compare.clips.sets import check_complete, find_clips
from denoise_wrapper.errors import FileError
from denoise_wrapper.files.transform import audio_files
from denoise_wrapper.wording import listed

JOINTS = ("_", "-", ".")  # before what a program adds to a name, as in NAME_denoised.wav


class CleanedFolder:
    """The files of a folder. Raises FileError or DataError if it cannot be looked into."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._by_stem = {**find_clips(folder, by_file_id=False), **find_clips(folder)}
        self._by_path = {str(path.relative_to(folder).with_suffix("")): path for path in audio_files(folder)}

    def find(self, clip: Clip) -> Path:
        """The file of a clip: of its id, of its file's name, or that with something added. Raises FileError."""
        matches = self._matches(clip)
        if len(matches) == 1:
            return matches[0]
        alike = listed(path.name for path in matches) if matches else "none"
        raise FileError(f"{self._folder} has no clip called {clip.noisy.stem}; of names that begin so there is {alike}")

    def check(self, clips: Sequence[Clip]) -> None:
        """Raise DataError that says which clips it lacks, if it lacks any."""
        present = {clip.id for clip in clips if len(self._matches(clip)) == 1}
        check_complete([clip.id for clip in clips], present, self._folder)

    def _matches(self, clip: Clip) -> list[Path]:
        name = clip.noisy.stem
        for paths, key in ((self._by_path, clip.id), (self._by_stem, clip.id), (self._by_stem, name)):
            if key in paths:
                return [paths[key]]
        begin = tuple(name + joint for joint in JOINTS)
        return sorted({path for stem, path in self._by_stem.items() if stem.startswith(begin)})
