"""Joining: all recordings of a pack, mono and at one rate, in a folder of long files or in one file."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

from denoise_wrapper.atomic import atomic_path, make_folder, scratch
from denoise_wrapper.errors import DataError, ExistingFileError, FileError
from denoise_wrapper.files.formats import SUFFIXES
from denoise_wrapper.files.soundfiles import Recorder
from denoise_wrapper.progress import tracked
from denoise_wrapper.training.data.balance import Part, read_parts
from denoise_wrapper.training.data.corpus import Recording, open_cache
from denoise_wrapper.training.data.packs import TABLE, Pack, Row
from denoise_wrapper.training.data.prepare import save_table

RATE = 48000
GAP_S = 0.2  # of digital silence between recordings
BLOCK_S = 60
RATES = (8000, 16000, 24000, 32000)  # what ends below half of one of these lies in files of its own
FORMS = {".wav": "WAV", ".flac": "FLAC", ".raw": "RAW", ".pcm": "RAW"}  # all in one file
WAV_MAX = 4_000_000_000  # bytes; beyond this only RF64 can tell the length
Int16 = NDArray[np.int16]


@dataclass(frozen=True)
class Piece:
    """A recording that is to be joined with those of the same stem, the name of a file."""

    part: Part
    recording: Recording
    stem: str


@dataclass(frozen=True)
class Joined:
    """The result of joining a pack."""

    files: int
    recordings: int
    seconds: float


def join(pack: Pack, target: Path, rate: int = RATE, overwrite: bool = False) -> Joined:
    """Write all recordings of a pack as 16-bit mono at rate (Hz).

    target: NAME.wav, NAME.flac, or NAME.raw and .pcm (without a header): all in one file, one after the other. Any
    other name: a folder, with a FLAC file for each voice and a segments.csv; what ends early in frequency, as it was
    recorded at a lower rate, is in files of its own (VOICE-16k.flac), since that is measured by the file.
    Raises DataError for audio that cannot be used, FileError where target exists or cannot be written.
    """
    if not 8000 <= rate <= 192000:
        raise DataError(f"audio is joined at 8000 to 192000 Hz, not {rate}")
    if target.exists() and (not overwrite or target.suffix.lower() not in FORMS):
        advice = "name a folder that does not" if target.suffix.lower() not in FORMS else "--overwrite replaces it"
        raise ExistingFileError(f"{target} exists; {advice}")
    if target.suffix.lower() in SUFFIXES and target.suffix.lower() not in FORMS:
        raise FileError(f"{target}: audio is joined as {', '.join(FORMS)}, or in a folder; choose one of these")
    make_folder(target.absolute().parent)
    with scratch(target) as folder:
        pieces = list(read_pieces(pack, rate, folder))
        if not pieces:
            raise DataError(f"{pack.name} has no recording that could be joined; all are empty or silent")
        if target.suffix.lower() in FORMS:
            with atomic_path(target, overwrite) as part:
                write_joined(pieces, part, rate, FORMS[target.suffix.lower()])
            return Joined(1, len(pieces), sum(piece.recording.length for piece in pieces) / rate)
        whole = folder / "joined"
        whole.mkdir()
        files = write_folder(pieces, whole, rate)
        whole.rename(target)
    return Joined(files, len(pieces), sum(piece.recording.length for piece in pieces) / rate)


def read_pieces(pack: Pack, rate: int, work_dir: Path) -> Iterator[Piece]:
    """The recordings of a pack, in the order of the files that they will lie in. work_dir: for the decoded audio."""
    parts = list(read_parts(pack, "voice"))
    audio, files = open_cache(pack.name, pack.files, rate, work_dir)
    stems: dict[str, str] = {}  # of voices
    pieces = []
    for part in parts:
        entry: dict[str, Any] = files.get(part.file, {"start": 0, "length": 0, "bandwidth_hz": 0.0})  # silent
        first, last = round(part.start_s * rate), min(round(part.end_s * rate), entry["length"])
        if last > first:
            recording = Recording(audio, entry["start"] + first, last - first, entry["bandwidth_hz"])
            stem = file_stem(part.voice, stems) + low_rate(entry["bandwidth_hz"], rate)
            pieces.append(Piece(part, recording, stem))
    yield from sorted(pieces, key=lambda piece: (piece.stem, piece.part.file, piece.part.start_s))


def file_stem(voice: str, stems: dict[str, str]) -> str:
    """A file's name for a voice, another for each. stems: those given so far; added to."""
    if voice not in stems:
        plain = re.sub(r"[^\w.-]+", "-", voice).strip("-.") or "voice"
        used = {stem.lower() for stem in stems.values()}
        names = (plain if count == 0 else f"{plain}-{count}" for count in range(len(used) + 1))
        stems[voice] = next(name for name in names if name.lower() not in used)
    return stems[voice]


def low_rate(bandwidth_hz: float, rate: int) -> str:
    """ "-16k" and the like for what ends below half of that rate, "" for the others."""
    fitting = [low for low in RATES if low < rate and bandwidth_hz <= 0.52 * low]
    return f"-{fitting[0] // 1000}k" if fitting else ""


def write_folder(pieces: Sequence[Piece], folder: Path, rate: int) -> int:
    """Write a file for each stem, and the table; returns how many files."""
    rows: list[Row] = []
    stems = len({piece.stem for piece in pieces})
    for stem, group in tracked(groupby(pieces, lambda piece: piece.stem), stems, f"joining into {folder.parent.name}"):
        name = f"{stem}.flac"
        members = list(group)
        for piece, start in zip(members, write_joined(members, folder / name, rate, "FLAC"), strict=True):
            stop = start + piece.recording.length
            row = {**piece.part.row, "file": name, "voice": piece.part.voice}
            rows.append({**row, "start_s": f"{start / rate:.6f}", "end_s": f"{stop / rate:.6f}"})
    save_table(rows, folder / TABLE)
    return stems


def write_joined(pieces: Sequence[Piece], path: Path, rate: int, form: str) -> list[int]:
    """Write recordings one after the other, with silence between; returns the samples at which they begin."""
    starts: list[int] = []
    position = 0
    gap: Int16 = np.zeros(round(GAP_S * rate), np.int16)
    endian = "LITTLE" if form == "RAW" else "FILE"
    if form == "WAV" and sum(2 * (piece.recording.length + len(gap)) for piece in pieces) > WAV_MAX:
        form = "RF64"
    with new_file(path, rate, form, endian) as file:
        for piece in pieces:
            if starts:
                file.write(gap)
                position += len(gap)
            starts.append(position)
            for block in blocks(piece.recording, BLOCK_S * rate):
                file.write(block)
            position += piece.recording.length
    return starts


@contextlib.contextmanager
def new_file(path: Path, rate: int, form: str, endian: str = "FILE") -> Iterator[soundfile.SoundFile]:
    """A file of 16-bit mono to be written within the block. Raises the system's own error where a write fails."""
    with path.open("w+b", buffering=0) as raw:
        recorder = Recorder(raw)
        try:
            with soundfile.SoundFile(recorder, "w", rate, 1, "PCM_16", endian, form) as file:
                yield file
        except (soundfile.LibsndfileError, AssertionError):
            recorder.check()
            raise
        recorder.finish()


def blocks(recording: Recording, size: int) -> Iterator[Int16]:
    """A recording's samples as they lie in the cache, at most size at a time."""
    for first in range(recording.start, recording.start + recording.length, size):
        yield recording.audio.array[first : min(first + size, recording.start + recording.length)]
