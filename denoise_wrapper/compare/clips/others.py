"""Clips that another program has cleaned: which file in its folder belongs to which clip."""

from __future__ import annotations

from pathlib import Path

from denoise_wrapper.compare.clips.sets import find_clips
from denoise_wrapper.compare.comparison import Clip
from denoise_wrapper.compare.wording import listed
from denoise_wrapper.errors import FileError
from denoise_wrapper.files.transform import audio_files

JOINTS = ("_", "-", ".")  # before what a program adds to a name, as in NAME_denoised.wav


class Others:
    """The files of a folder. Raises FileError or DataError if it cannot be looked into."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._by_path = {str(path.relative_to(folder).with_suffix("")): path for path in audio_files(folder)}
        self._by_stem = {**find_clips(folder, by_file_id=False), **find_clips(folder)}

    def find(self, clip: Clip) -> Path:
        """The file of a clip: of its id, of its file's name, or that with something added. Raises FileError."""
        name = clip.noisy.stem
        for known, wanted in ((self._by_path, clip.id), (self._by_stem, clip.id), (self._by_stem, name)):
            if wanted in known:
                return known[wanted]
        added = [
            path for stem, path in self._by_stem.items() if stem.startswith(tuple(name + joint for joint in JOINTS))
        ]
        if len(set(added)) == 1:
            return added[0]
        found = "none" if not added else listed(sorted({path.name for path in added}))
        raise FileError(f"{self._folder} has no clip called {name}; of names that begin so there is {found}")
