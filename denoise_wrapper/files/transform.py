"""Files through a function, block by block: opened by what can read them, written beside the target and renamed."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from denoise_wrapper.atomic import Overwrite, aside, atomic_path, is_part
from denoise_wrapper.audio import Array, Float32, to_float
from denoise_wrapper.errors import AudioError, FileError, file_error
from denoise_wrapper.files.codecs import muxer_of, same_container
from denoise_wrapper.files.formats import SUFFIXES, Wishes, format_of
from denoise_wrapper.files.intake import check_readable
from denoise_wrapper.files.media.source import MediaSource
from denoise_wrapper.files.media.target import MediaTarget
from denoise_wrapper.files.results import note_result
from denoise_wrapper.files.soundfiles import SoundFileTarget, Target
from denoise_wrapper.files.soundsources import Foreign, SoundFileSource, Source
from denoise_wrapper.files.watch import Watch

NO_WISHES = Wishes()
Process = Callable[[Iterable[Array], int, int], Iterator[Array]]


def transform_file(
    src: Path,
    dst: Path,
    process: Process,
    *,
    overwrite: Overwrite,
    block_s: int,
    watch: Watch,
    wishes: Wishes = NO_WISHES,
) -> None:
    """Read src, pass its blocks through process(blocks, rate, channels), write dst, which is there whole or not at all.

    watch: is told of each block that is done, and of the time that decoding and encoding take; of several tracks, of
    the first one's. wishes: what dst is to be beyond its name. Raises FileError.
    """
    with atomic_path(dst, overwrite) as part, contextlib.ExitStack() as stack:
        with watch.stage("decoding"):
            source = open_source(src, stack, wishes)
        watch.opened(source.rate, source.total)
        with watch.stage("encoding"):
            target = open_target(part, dst, source, stack, wishes)
        tracks: list[tuple[Any, Any]] = [(source, target)]
        if isinstance(target, MediaTarget) and isinstance(source, MediaSource):
            tracks = list(zip(source.tracks, target.lanes, strict=True))

        def read(track: Any) -> Iterator[Array]:
            for block in watch.each("decoding", track.blocks(track.rate * block_s)):
                yield block
                watch.advance(len(block) if track is tracks[0][0] else 0)

        running = [(_aside(process(read(track), track.rate, track.channels)), lane) for track, lane in tracks]
        while running:  # a block of each in turn, so that tracks stay side by side
            for cleaned, lane in list(running):
                block = next(cleaned, None)
                if block is None:
                    running.remove((cleaned, lane))
                else:
                    with watch.stage("encoding"):
                        lane.write(block)
                    watch.written += len(block) if lane is tracks[0][1] else 0
                    watch.report()
        with watch.stage("encoding"):
            target.close()
        watch.notes += target.notes
    note_result(dst)


def _aside(blocks: Iterator[Array]) -> Iterator[Array]:
    """The blocks; an OSError of reading or cleaning them is none of writing."""
    while True:
        with aside(OSError):
            try:
                block = next(blocks)
            except StopIteration:
                return
        yield block


def audio_files(folder: Path) -> list[Path]:
    """The audio files below a folder, as their suffixes say, sorted. Raises FileError if it cannot be looked into."""
    try:
        os.scandir(folder).close()  # rglob passes over what it may not look into
        paths = (path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and not is_part(path))
        return sorted(path for path in paths if path.is_file())
    except OSError as error:
        raise file_error(f"cannot look into {folder}: {error.strerror}", error) from error


def read_file(path: str | os.PathLike[str], seconds: float | None = None) -> tuple[Array, int]:
    """Read a file, (frames, channels) of the type that its samples have, and its rate in Hz.

    seconds: the most that is read; None for all. Raises FileError.
    """
    with contextlib.ExitStack() as stack:
        source = open_source(Path(path), stack)
        most = None if seconds is None else round(seconds * source.rate)
        blocks = list(_first(source.blocks(source.rate), most))
        return (np.concatenate(blocks) if blocks else np.empty((0, source.channels), np.float32)), source.rate


def read_floats(path: str | os.PathLike[str], seconds: float | None = None) -> tuple[Float32, int]:
    """Read a file as `read_file` does, as float32 with full scale 1. Raises FileError or AudioError."""
    samples, rate = read_file(path, seconds)
    try:
        return to_float(samples), rate
    except AudioError as error:
        raise AudioError(f"{path}: {error}") from error


def _first(blocks: Iterable[Array], frames: int | None) -> Iterator[Array]:
    """Blocks (n, channels) up to so many frames, all for None; no more is read than these hold."""
    for block in blocks:
        yield block[:frames]
        if frames is not None:
            frames = max(0, frames - len(block))
            if not frames:
                return


def open_source(path: Path, stack: contextlib.ExitStack, wishes: Wishes = NO_WISHES) -> Source:
    """Open an audio file for reading, by libsndfile or, where that cannot, by FFmpeg; stack closes it.

    Raises FileError that says why it cannot be read.
    """
    if check_readable(path):
        raise FileError(f"{path} is a pipe, which can be read but once; copy what comes from it into a file first")
    try:
        source = SoundFileSource(path, stack, wishes.damaged)
    except Foreign as error:
        return MediaSource(path, stack, wishes, str(error))
    if wishes.track not in ("all", "1"):
        raise FileError(f"{path} has no audio track {wishes.track!r} (--track); it has 1, of no language")
    if source.facts.subtype in ("MPEG_LAYER_I", "MPEG_LAYER_II") or (
        source.facts.subtype == "MPEG_LAYER_III" and source.facts.format != "MP3"
    ):
        with contextlib.suppress(FileError):  # libsndfile reads those, and cannot write them
            return MediaSource(path, stack, wishes)
    return source


def open_target(
    part: Path, dst: Path, source: Source, stack: contextlib.ExitStack, wishes: Wishes = NO_WISHES
) -> Target:
    """Begin the file part, which is to become dst: in the source's format, or the one that another suffix means.

    Raises FileError if there is no such format, or it cannot hold such audio.
    """
    muxer = target_muxer(dst, source, wishes)
    if muxer is not None:
        return MediaTarget(part, dst, source, muxer, wishes, stack)
    return SoundFileTarget(part, dst, source, stack, wishes)


def target_muxer(dst: Path, source: Source, wishes: Wishes = NO_WISHES) -> str | None:
    """Name FFmpeg's muxer for dst; None if libsndfile writes it. Raises FileError if nothing can."""
    if isinstance(source, MediaSource):
        muxer = muxer_of(dst, source.path, source.form, source.tracks[0].facts.codec, source.doctype)
        if muxer is None and len(source.tracks) > 1:
            raise FileError(
                f"{source.path} has {len(source.tracks)} audio tracks and {dst} holds one: --track 1 chooses the first"
            )
        return muxer
    if wishes.codec == "flac" and format_of(dst) == "OGG":
        return "ogg"
    if same_container(dst, source.facts.path):
        return "ogg" if isinstance(source, SoundFileSource) and source.in_ogg else None
    return muxer_of(dst, source.facts.path, None)
