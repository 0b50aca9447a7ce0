"""Speech that a denoiser has cleaned in place of the recording, where that helps: targets without hiss and rooms."""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import soundfile
from numpy.typing import NDArray

from denoise_wrapper.atomic import make_folder, scratch
from denoise_wrapper.errors import DataError, ExistingFileError
from denoise_wrapper.progress import tracked
from denoise_wrapper.training.data.balance import Part, read_parts
from denoise_wrapper.training.data.check import FRAME_S, loud_to_quiet_db
from denoise_wrapper.training.data.decoding import BLOCK, undecodable
from denoise_wrapper.training.data.join import new_file
from denoise_wrapper.training.data.packs import TABLE, Pack, Row, audio_files, open_sound
from denoise_wrapper.training.data.prepare import save_table

Float32 = NDArray[np.float32]
NEAR_DB = 12.0
CLEAR_DB = 60.0
SOME_DENOISER = "a denoiser"
CLEANED, CLEAR, FAR = "cleaned", "clear", "far"  # verdicts


@dataclass(frozen=True)
class Judged:
    """A recording. verdict: "cleaned", taken as the denoiser has it; "clear" enough as it is; "far": spoilt by it."""

    part: Part
    verdict: str


@dataclass(frozen=True)
class Choice:
    """What became of a pack. dropped: recordings that are spoilt were left out, not kept as they are."""

    judged: tuple[Judged, ...]
    dropped: bool

    def count(self, verdict: str) -> tuple[int, float]:
        """(recordings, hours) of a verdict."""
        seconds = [one.part.seconds for one in self.judged if one.verdict == verdict]
        return len(seconds), sum(seconds) / 3600.0


def take_cleaned(
    pack: Pack,
    folder: Path,
    target: Path,
    near_db: float = NEAR_DB,
    clear_db: float = CLEAR_DB,
    drop: bool = False,
    by: str = SOME_DENOISER,
) -> Choice:
    """Write a pack whose recordings are as a denoiser has them, where that is near to what they were.

    folder: the pack's files cleaned, as 'filter PACK -o FOLDER' writes them, of any suffix. target: a folder that is
    made, with a FLAC file of 16 bits for each of the pack's and a segments.csv. near_db: the least SI-SDR in dB of the
    cleaned recording to the original; below it the denoiser took speech away. clear_db: a recording whose loud frames
    are so many dB above its quiet ones stays as it is. drop: leave out what is not near. by: the denoiser, which the
    table and cards of networks name. What is held out for the blind set is left out. Raises DataError where a file has
    no counterpart or one of another length or rate, FileError where target exists or cannot be written.
    """
    if target.exists():
        raise ExistingFileError(f"{target} exists; name a folder that does not")
    counterparts = {
        PurePosixPath(path.relative_to(folder).as_posix()).with_suffix(""): path for path in audio_files(folder)
    }
    groups: dict[str, list[Part]] = defaultdict(list)
    for part in read_parts(pack, "voice"):
        if not pack.held_out({**part.row, "file": part.file}):
            groups[part.file].append(part)
    lacking = [file for file in groups if PurePosixPath(file).with_suffix("") not in counterparts]
    if lacking:
        raise DataError(f"{folder} has no {lacking[0]}; clean all of {pack.base} into it, by 'filter'")
    judged: list[Judged] = []
    rows: list[Row] = []
    make_folder(target.absolute().parent)
    with scratch(target) as made:
        whole = made / "pack"
        for file in tracked(sorted(groups), len(groups), f"choosing from {folder.name}"):
            name = PurePosixPath(file).with_suffix("")
            with _both(pack.files[file], counterparts[name]) as sides:
                found = [Judged(part, _verdict(sides, part, near_db, clear_db)) for part in groups[file]]
                kept = [one for one in found if not (drop and one.verdict == FAR)]
                judged += found
                if not kept:
                    continue
                written = whole / f"{name}.flac"
                written.parent.mkdir(parents=True, exist_ok=True)
                starts = _write(sides, kept, written)
            for one, start in zip(kept, starts, strict=True):
                span = {"start_s": f"{start:.6f}", "end_s": f"{start + one.part.seconds:.6f}"}
                taken = {"cleaned": by if one.verdict == CLEANED else ""}
                rows.append({**one.part.row, "file": f"{name}.flac", "voice": one.part.voice, **span, **taken})
        if not rows:
            raise DataError(f"{pack.name}: no recording is left; a lower --near keeps more")
        save_table(rows, whole / TABLE)
        whole.rename(target)
    return Choice(tuple(judged), drop)


@dataclass(frozen=True)
class _Sides:
    original: soundfile.SoundFile
    cleaned: soundfile.SoundFile

    @property
    def rate(self) -> int:
        return int(self.original.samplerate)

    def span(self, part: Part) -> tuple[int, int]:
        """First sample of a recording and the one after its last."""
        return round(part.start_s * self.rate), min(round(part.end_s * self.rate), self.original.frames)


@contextlib.contextmanager
def _both(original: Path, cleaned: Path) -> Iterator[_Sides]:
    with contextlib.ExitStack() as stack:
        files = []
        for path in (original, cleaned):
            try:
                files.append(stack.enter_context(open_sound(path)))
            except (soundfile.SoundFileError, OSError) as error:
                raise undecodable(path, error) from error
        one, other = files
        if (one.samplerate, one.frames) != (other.samplerate, other.frames):
            raise DataError(
                f"{cleaned} has {other.frames} samples at {other.samplerate} Hz, {original} {one.frames} at "
                f"{one.samplerate}; clean it anew"
            )
        yield _Sides(one, other)


def _verdict(sides: _Sides, part: Part, near_db: float, clear_db: float) -> str:
    first, stop = sides.span(part)
    hop = max(1, round(FRAME_S * sides.rate))
    energies = np.zeros(3)  # of the original, of both together, of the cleaned
    powers: list[Float32] = []
    for one, other in zip(_blocks(sides.original, first, stop), _blocks(sides.cleaned, first, stop), strict=True):
        energies += [np.dot(one, one), np.dot(one, other), np.dot(other, other)]
        powers.append(one[: len(one) // hop * hop].reshape(-1, hop).var(axis=1))
    ratio_db = loud_to_quiet_db(np.concatenate(powers) if powers else np.zeros(0, np.float32))
    if ratio_db is not None and ratio_db >= clear_db:
        return CLEAR
    of_original, shared, of_cleaned = energies
    wanted = shared * shared / max(of_original, 1e-20)
    near = shared > 0.0 and wanted >= 10.0 ** (near_db / 10.0) * (of_cleaned - wanted)
    return CLEANED if near else FAR


def _blocks(file: soundfile.SoundFile, first: int, stop: int) -> Iterator[Float32]:
    """Mono samples first to stop of a file, at most BLOCK at a time.

    Reads up to the first: libsndfile 1.2.2 misses places in Vorbis by hundreds of samples where it is told to go on to
    them.
    """
    if file.tell() > first:
        file.seek(0)
    while skipped := min(BLOCK, first - file.tell()):
        file.read(skipped, dtype="float32")
    for block in file.blocks(min(BLOCK, max(1, stop - first)), frames=stop - first, dtype="float32", always_2d=True):
        yield block.mean(axis=1, dtype=np.float32)


def _write(sides: _Sides, kept: Sequence[Judged], path: Path) -> list[float]:
    """Write recordings at their places in the original, silence elsewhere; returns the seconds at which they begin.

    Where recordings overlap, the later one begins after the earlier.
    """
    position, starts = 0, []
    with new_file(path, sides.rate, "FLAC") as file:
        for one in kept:
            first, stop = sides.span(one.part)
            silence = max(0, first - position)
            file.write(np.zeros(silence, np.int16))
            position += silence
            starts.append(position / sides.rate)
            for block in _blocks(sides.cleaned if one.verdict == CLEANED else sides.original, first, stop):
                file.write(block)
            position += stop - first
    return starts


def choice_lines(choice: Choice) -> Iterator[str]:
    """Lines to be read: how many recordings were taken as the denoiser has them, and why the others were not."""
    kept = "left out" if choice.dropped else "kept as they are"
    for verdict, words in ((CLEANED, "cleaned"), (CLEAR, "clean enough as they are"), (FAR, f"spoilt, and {kept}")):
        recordings, hours = choice.count(verdict)
        yield f"{words}: {recordings} recordings, {hours:.3f} h"
