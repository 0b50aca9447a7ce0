"""Audio for training: packs decoded once and cut into recordings, which are split by voice."""

from __future__ import annotations

import dataclasses
import itertools
import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from denoise_wrapper.atomic import atomic_path, make_folder
from denoise_wrapper.errors import DataError
from denoise_wrapper.training.config import DataConfig, fingerprint
from denoise_wrapper.training.data import held_out
from denoise_wrapper.training.data.decoding import Samples, decode_files, read_audio
from denoise_wrapper.training.data.packs import audio_files, open_pack, source_name

Float32 = NDArray[np.float32]
CACHE_VERSION = 2


@dataclass(frozen=True)
class Recording:
    """A stretch of a cache: samples start to start + length, with nothing to hear above bandwidth_hz."""

    audio: Samples
    start: int
    length: int
    bandwidth_hz: float

    def read(self, offset: int = 0, length: int | None = None) -> Float32:
        """Samples from offset on, full scale +-1, at most length of them."""
        stop = self.length if length is None else min(self.length, offset + length)
        return self.audio.read(self.start + offset, self.start + stop)


@dataclass(frozen=True)
class Source:
    """A voice, or a noise: recordings that belong on one side of the split."""

    name: str
    recordings: tuple[Recording, ...]

    @property
    def length(self) -> int:
        return sum(recording.length for recording in self.recordings)


class Named(Protocol):
    """Something that can be split: it has a name, and a length in samples."""

    @property
    def name(self) -> str: ...
    @property
    def length(self) -> int: ...


S = TypeVar("S", bound=Named)


@dataclass(frozen=True)
class Corpus:
    """All audio of one side of the split, at one rate. rooms: impulse responses, direct sound first."""

    rate: int
    voices: tuple[Source, ...]
    noises: tuple[Source, ...]
    rooms: tuple[Float32, ...]


def open_corpora(config: DataConfig, rate: int, work_dir: Path, seed: int) -> tuple[Corpus, Corpus]:
    """The training and the validation side of the data.

    rate: Hz to which everything is brought. work_dir: where the decoded audio is kept, about 350 MB an hour at 48 kHz.
    The split is by voice and by noise source and depends on the names, the lengths and the seed alone; a voice or a
    noise that is the only one is split by its recordings, or in time if it is but one. Rooms serve both sides. What is
    held out for the blind set is on neither. Raises DataError where a folder is absent or holds no audio.
    """
    voices = read_sources(config.speech, rate, work_dir, "speech")
    noises = read_sources(config.noise, rate, work_dir, "noise")
    rooms = tuple(response for folder in config.rooms for response in read_rooms(folder, rate))
    spoken, noisy = (split(parts(sources), config.validation, seed) for sources in (voices, noises))
    return Corpus(rate, spoken[0], noisy[0], rooms), Corpus(rate, spoken[1], noisy[1], rooms)


def read_sources(folders: tuple[Path, ...], rate: int, work_dir: Path, kind: str) -> tuple[Source, ...]:
    """The sources of all packs, by name."""
    if not folders:
        raise DataError(f"the training set names no {kind}; give [data] {kind} at least one folder")
    recordings: dict[str, list[Recording]] = defaultdict(list)
    for folder in folders:
        for name, recording in read_pack(folder, rate, work_dir):
            recordings[name].append(recording)
    if not recordings:
        raise DataError(f"all {kind} in {folders[0]} is held out for the blind set; give [data] {kind} other folders")
    return tuple(Source(name, tuple(recordings[name])) for name in sorted(recordings))


def parts(sources: tuple[Source, ...]) -> tuple[Source, ...]:
    """The sources; one alone becomes a source for each of its recordings, which is cut into tenths if it is alone."""
    if len(sources) > 1:
        return sources
    [only] = sources
    recordings = only.recordings
    if len(recordings) == 1:
        [whole] = recordings
        cuts = [whole.length * tenth // 10 for tenth in range(11)]
        recordings = tuple(
            dataclasses.replace(whole, start=whole.start + first, length=last - first)
            for first, last in itertools.pairwise(cuts)
            if last > first
        )
    return tuple(Source(f"{only.name} {number}", (recording,)) for number, recording in enumerate(recordings))


def split(sources: Sequence[S], share: float, seed: int) -> tuple[tuple[S, ...], tuple[S, ...]]:
    """Part sources into training and validation, the latter about share of the hours and at least one source."""
    if len(sources) < 2:
        names = ", ".join(source.name for source in sources)
        raise DataError(f"{names} alone cannot be split into training and validation; give at least two sources")
    budget = share * sum(source.length for source in sources)
    chosen: set[str] = set()
    for index in np.random.default_rng([seed, len(sources)]).permutation(len(sources)):
        if sources[index].length <= budget:
            budget -= sources[index].length
            chosen.add(sources[index].name)
    if not chosen:
        chosen.add(min(sources, key=lambda source: source.length).name)
    return (
        tuple(source for source in sources if source.name not in chosen),
        tuple(source for source in sources if source.name in chosen),
    )


def read_pack(path: Path, rate: int, work_dir: Path) -> list[tuple[str, Recording]]:
    """The recordings of one pack that are not held out for the blind set, each with the name of its source."""
    pack = open_pack(path)
    audio, files = open_cache(pack.name, pack.files, rate, work_dir)
    recordings: list[tuple[str, Recording]] = []
    left_out: set[str] = set()
    if any("voice" in row for row in pack.rows):
        for row in pack.rows:
            if row["file"] not in pack.files:
                raise DataError(f"{pack.table} names {row['file']}, which is not in {pack.base}")
            if pack.held_out(row):
                left_out.add(row["voice"])
                continue
            entry = files.get(row["file"], {"start": 0, "length": 0, "bandwidth_hz": 0.0})  # not kept: it is silent
            first, last = (round(float(row[key]) * rate) for key in ("start_s", "end_s"))
            length = min(last, entry["length"]) - first
            if length > 0:
                recordings.append(
                    (row["voice"], Recording(audio, entry["start"] + first, length, entry["bandwidth_hz"]))
                )
    else:
        rows = {row["file"]: row for row in pack.rows}
        for name, entry in files.items():
            if pack.held_out(rows.get(name, {"file": name})):
                left_out.add(source_name(name))
                continue
            recording = Recording(audio, entry["start"], entry["length"], entry["bandwidth_hz"])
            recordings.append((source_name(name), recording))
    held_out.report(pack.name, len(left_out), len(left_out.union(name for name, _ in recordings)))
    return recordings


def open_cache(
    name: str, files: dict[str, Path], rate: int, work_dir: Path, silent: bool = False
) -> tuple[Samples, dict[str, Any]]:
    """Decoded files and, by their names, {start, length, bandwidth_hz} of each that is not silent.

    Decoded now unless they were before; made anew when a file's name, size or time changes. name: of the cache, and
    for messages. silent: they may all be silent.
    """
    state = [[file, path.stat().st_size, path.stat().st_mtime_ns] for file, path in files.items()]
    stem = f"{name}-{rate}-{fingerprint([CACHE_VERSION, rate, state])}"
    data_path, index_path = work_dir / "cache" / f"{stem}.i16", work_dir / "cache" / f"{stem}.json"
    if not (index_path.is_file() and data_path.is_file()):
        make_folder(data_path.parent)
        with atomic_path(data_path, overwrite=True) as temporary:
            index = decode_files(name, files, rate, temporary)
        with atomic_path(index_path, overwrite=True) as temporary:
            temporary.write_text(json.dumps(index, indent=1), encoding="utf-8")
    index = json.loads(index_path.read_text(encoding="utf-8"))
    if not index and not silent:
        raise DataError(f"all audio files in {name} are empty or silent")
    return Samples(data_path), index


def read_rooms(folder: Path, rate: int) -> list[Float32]:
    """Impulse responses of a folder, a channel each, from their direct sound on, peak 1, at most 2 s.

    Rooms that are held out for the blind set are left out.
    """
    import soxr  # here, as looking at files needs none

    responses = []
    paths = audio_files(folder)
    kept = [path for path in paths if not held_out.is_held_out(path.stem, path)]
    held_out.report(folder.resolve().name, len(paths) - len(kept), len(paths))
    for path in kept:
        audio, file_rate = read_audio(path)
        for channel in audio.T if len(audio) else ():
            response = np.asarray(soxr.resample(channel, file_rate, rate), np.float32)
            response = response[int(np.argmax(np.abs(response))) :][: 2 * rate]
            if len(response) and np.isfinite(response).all() and response[0] != 0.0:
                responses.append(cut_floor(response / response[0], rate))
    return responses


def cut_floor(response: Float32, rate: int, floor_db: float = -45.0) -> Float32:
    """End a response where its energy still to come is floor_db of the whole, with a fade of 20 ms."""
    left = np.cumsum(response[::-1].astype(np.float64) ** 2)[::-1]
    stop = int(np.count_nonzero(left > left[0] * 10.0 ** (floor_db / 10.0)))
    response = response[:stop].copy()
    fade = min(len(response), rate // 50)
    response[len(response) - fade :] *= np.linspace(1.0, 0.0, fade, dtype=np.float32)
    return response
