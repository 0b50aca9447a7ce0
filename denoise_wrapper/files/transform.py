"""Files through a function, block by block: opened by what can read them, written beside the target and renamed."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np

from denoise_wrapper.atomic import Overwrite, aside, atomic_path, is_part
from denoise_wrapper.audio import Array, Float32, to_float
from denoise_wrapper.errors import AudioError, FileError
from denoise_wrapper.files.formats import SUFFIXES, format_of
from denoise_wrapper.files.intake import check_readable
from denoise_wrapper.files.soundfiles import SoundFileTarget, Target
from denoise_wrapper.files.soundsources import Foreign, SoundFileSource, Source
from denoise_wrapper.files.watch import Watch

Process = Callable[[Iterable[Array], int, int], Iterator[Array]]


def transform_file(
    src: Path,
    dst: Path,
    process: Process,
    *,
    overwrite: Overwrite,
    block_s: int,
    watch: Watch,
) -> None:
    """Read src, pass its blocks through process(blocks, rate, channels), write dst, which is there whole or not at all.

    watch: is told of each block that is done, and of the time that decoding and encoding take. Raises FileError.
    """
    with atomic_path(dst, overwrite) as part, contextlib.ExitStack() as stack:
        with watch.stage("decoding"):
            source = open_source(src, stack)
        watch.opened(source.rate, source.total)

        def read() -> Iterator[Array]:
            for block in watch.each("decoding", source.blocks(source.rate * block_s)):
                yield block
                watch.advance(len(block))

        with watch.stage("encoding"):
            target = open_target(part, dst, source, stack)
        for block in _aside(process(read(), source.rate, source.channels)):
            with watch.stage("encoding"):
                target.write(block)
            watch.report()
        with watch.stage("encoding"):
            target.close()
        watch.notes += getattr(target, "notes", [])


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
        raise FileError(f"cannot look into {folder}: {error.strerror}") from error


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


def open_source(path: Path, stack: contextlib.ExitStack, damaged: str = "stop") -> Source:
    """Open an audio file for reading; stack closes it. Raises FileError that says why it cannot be read.

    damaged: "stop", "skip" or "keep", as for `SoundFileSource`.
    """
    if check_readable(path):
        raise FileError(f"{path} is a pipe, which can be read but once; copy what comes from it into a file first")
    try:
        return SoundFileSource(path, stack, damaged)
    except Foreign as error:
        return _open_other(path, stack, error)


def _open_other(path: Path, stack: contextlib.ExitStack, error: Exception) -> Source:
    """A file that libsndfile cannot open: ffmpeg's, unless its suffix says that libsndfile should have."""
    reason = str(error)
    if format_of(path) is not None:
        raise FileError(f"{path} is no {path.suffix[1:]} file that can be read, or a damaged one: {reason}") from error
    from denoise_wrapper.files.ffmpeg import FFmpegSource

    return FFmpegSource(path, stack)


def open_target(part: Path, dst: Path, source: Source, stack: contextlib.ExitStack) -> Target:
    """Begin the file part, which is to become dst, in the format that the suffix of dst means.

    Raises FileError if there is no such format, or it cannot hold such audio.
    """
    if format_of(dst) is None and not (isinstance(source, SoundFileSource) and not dst.suffix):
        from denoise_wrapper.files.ffmpeg import FFmpegTarget

        return FFmpegTarget(part, dst, source, stack)
    return SoundFileTarget(part, dst, source, stack)
