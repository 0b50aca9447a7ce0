"""Audio files in and out, block by block: by libsndfile, and what that does not know by ffmpeg."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Iterable, Iterator
from io import RawIOBase
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from denoise_wrapper.atomic import atomic_path, is_part
from denoise_wrapper.audio import Array, check_channels, check_rate
from denoise_wrapper.errors import FileError
from denoise_wrapper.files.watch import Watch

# What is looked for in a folder; a file that is named is tried whatever its suffix.
SUFFIXES = """
    .3gp .aac .aif .aifc .aiff .amr .au .caf .flac .m4a .mka .mkv .mov .mp3 .mp4 .oga .ogg .opus .rf64 .w64 .wav .wave
    .webm .wma
""".split()
# How the samples of a libsndfile subtype are best read and written, so that nothing is lost or scaled; else float32.
_TYPES = {
    "PCM_S8": "int16", "PCM_U8": "int16", "PCM_16": "int16", "ULAW": "int16", "ALAW": "int16", "ALAC_16": "int16",
    "PCM_24": "int32", "PCM_32": "int32", "ALAC_20": "int32", "ALAC_24": "int32", "ALAC_32": "int32",
    "DOUBLE": "float64",
}  # fmt: skip
_TAGS = ("title", "copyright", "software", "artist", "comment", "date", "album", "license", "tracknumber", "genre")
_SUFFIXES = {"AIF": "AIFF", "AIFC": "AIFF", "OGA": "OGG", "OPUS": "OGG", "WAVE": "WAV", "SND": "AU", "BWF": "WAV"}
_WAV_MAX = 4_000_000_000  # bytes; beyond this only RF64 can tell the length
_VORBIS_MAX_RATE, _VORBIS_MAX_CHANNELS = 200_000, 255  # Hz; above either libsndfile finds out too late, and crashes
_EMPTY_MAX = 1 << 16  # bytes of a WAV file without audio: its chunks of metadata
_ELSE = "name a target of another format, such as .wav"
_UNKNOWN_LENGTH = 0x7FFF0000  # bytes; who writes into a pipe promises this much or more, or nothing

Process = Callable[[Iterable[Array], int, int], Iterator[Array]]


class Source(Protocol):
    """An open audio file. total: frames, 0 if not known."""

    rate: int
    channels: int
    total: int

    def blocks(self, size: int) -> Iterator[Array]:
        """Arrays (size, channels), the last one shorter. Raises FileError if the file turns out damaged."""
        ...


class Target(Protocol):
    """An audio file being written."""

    def write(self, block: Array) -> None:
        """Append frames (n, channels)."""
        ...

    def close(self) -> None:
        """Make it whole. Raises OSError or FileError if it could not all be written."""
        ...


def transform_file(
    src: Path,
    dst: Path,
    process: Process,
    *,
    overwrite: bool,
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
        for block in process(read(), source.rate, source.channels):
            with watch.stage("encoding"):
                target.write(block)
        with watch.stage("encoding"):
            target.close()


def audio_files(folder: Path) -> list[Path]:
    """The audio files below a folder, as their suffixes say, sorted. Raises FileError if it cannot be looked into."""
    try:
        os.scandir(folder).close()  # rglob passes over what it may not look into
        found = (path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and not is_part(path))
        return sorted(path for path in found if path.is_file())
    except OSError as error:
        raise FileError(f"cannot look into {folder}: {error.strerror}") from error


def write_wav(path: str | os.PathLike[str], samples: Array, rate: int) -> None:
    """int16, int32 or float32 samples as a WAV file, which replaces one of that name when whole. Raises FileError."""
    import soundfile

    subtype = {"int16": "PCM_16", "int32": "PCM_32", "float32": "FLOAT"}[samples.dtype.name]
    with atomic_path(path, overwrite=True) as part, open(part, "w+b", buffering=0) as raw:
        recorder = Recorder(raw)
        try:
            soundfile.write(recorder, samples, rate, subtype, format="WAV")
        except (soundfile.LibsndfileError, AssertionError):
            recorder.check()
            raise
        recorder.finish()


def open_source(path: Path, stack: contextlib.ExitStack) -> Source:
    """Open an audio file for reading; stack closes it. Raises FileError that says why it cannot be read."""
    _check_readable(path)
    import soundfile

    try:
        # As bytes where the system's names are bytes: they need not be UTF-8.
        name = path if os.name == "nt" else os.fsencode(path)
        file = stack.enter_context(soundfile.SoundFile(name))
    except (soundfile.LibsndfileError, TypeError) as error:
        return _open_other(path, stack, error)
    return SoundFileSource(path, file)


def _check_readable(path: Path) -> None:
    try:
        if path.is_dir():
            raise FileError(f"{path} is a folder; name a file in it")
        with open(path, "rb") as file:
            if not file.read(1):
                raise FileError(f"{path} is empty: there is no audio in it")
    except FileNotFoundError as error:
        raise FileError(f"there is no file {path}") from error
    except (OSError, ValueError) as error:
        raise FileError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from error


def _open_other(path: Path, stack: contextlib.ExitStack, error: Exception) -> Source:
    """A file that libsndfile cannot open: ffmpeg's, unless its suffix says that libsndfile should have."""
    reason = str(error).rpartition(": ")[2].rstrip(".")
    if _format_of(path) is not None:
        raise FileError(f"{path} is no {path.suffix[1:]} file that can be read, or a damaged one: {reason}") from error
    from denoise_wrapper.files.ffmpeg import FFmpegSource

    return FFmpegSource(path, stack)


def _format_of(path: Path) -> str | None:
    """The libsndfile format that a suffix means, None if it has none."""
    import soundfile

    suffix = path.suffix[1:].upper()
    name = _SUFFIXES.get(suffix, suffix)
    return name if name in soundfile.available_formats() and name != "RAW" else None


class SoundFileSource:
    """A file that libsndfile reads."""

    def __init__(self, path: Path, file: Any) -> None:
        self.file, self.path = file, path
        self.rate, self.channels = check_rate(file.samplerate), check_channels(file.channels)
        self.total: int = file.frames
        self.dtype = _TYPES.get(file.subtype, "float32")
        if missing := _shortfall(file.extra_info):
            raise self._truncated(missing)

    def blocks(self, size: int) -> Iterator[Array]:
        import soundfile

        done = 0
        while True:
            try:
                block = self.file.read(size, dtype=self.dtype, always_2d=True)
            except (soundfile.LibsndfileError, RuntimeError) as error:
                reason = str(error).rpartition(": ")[2].rstrip(".")
                raise FileError(f"{self.path} is damaged after {done} of {self.total} frames: {reason}") from error
            if not len(block):
                break
            done += len(block)
            yield block
        if done < self.total and self.file.format != "MP3":  # the length of an MP3 may be an estimate
            raise self._truncated(f"it promises {self.total} frames and holds {done}")

    def _truncated(self, missing: str) -> FileError:
        return FileError(
            f"{self.path} was cut short: {missing}; get it anew, or let another program, such as ffmpeg, write what "
            "is left to a new file"
        )


def _shortfall(info: str) -> str | None:
    """What a file lacks of what its header promises, by what libsndfile noted on opening; None if it is all there."""
    found = re.search(r"^ *(?:data|SSND|Data Size|riff) *: (\d+) \(should be (\d+)\)", info, re.MULTILINE)
    if found is not None and int(found[2]) < int(found[1]) < _UNKNOWN_LENGTH:
        return f"it promises {found[1]} bytes and holds {found[2]}"
    length = re.search(r"^Length : (\d+)", info, re.MULTILINE)
    if re.search(r"^ *data *: 0$", info, re.MULTILINE) and length is not None and int(length[1]) > _EMPTY_MAX:
        return f"its header was never finished: it promises no audio, and the file has {length[1]} bytes"
    found = re.search(r"Calculated frame count (\d+) does not match value from 'ds64' chunk of (\d+)", info)
    if found is not None and int(found[1]) < int(found[2]):
        return f"it promises {found[2]} frames and holds {found[1]}"
    if "lacks an end-of-stream bit" in info and "Junk after the last page" in info:
        return "its last Ogg page is not whole"
    return None


def open_target(part: Path, dst: Path, source: Source, stack: contextlib.ExitStack) -> Target:
    """Begin the file part, which is to become dst, in the format that the suffix of dst means.

    Raises FileError if there is no such format, or it cannot hold such audio.
    """
    if _format_of(dst) is None and not (isinstance(source, SoundFileSource) and not dst.suffix):
        from denoise_wrapper.files.ffmpeg import FFmpegTarget

        return FFmpegTarget(part, dst, source, stack)
    return SoundFileTarget(part, dst, source, stack)


class SoundFileTarget:
    """A file that libsndfile writes, through a Python file that tells why a write failed."""

    def __init__(self, part: Path, dst: Path, source: Source, stack: contextlib.ExitStack) -> None:
        import soundfile

        form, subtype, endian = _choose_format(dst, source)
        cannot = f"{dst} cannot hold {source.channels} channels of {source.rate} Hz as {form} {subtype}"
        if form == "SD2":  # part of it is in a resource fork
            raise FileError(f"{dst} cannot be written as SD2; {_ELSE}")
        if subtype == "VORBIS" and (source.rate > _VORBIS_MAX_RATE or source.channels > _VORBIS_MAX_CHANNELS):
            raise FileError(f"{cannot}; {_ELSE}")
        self._raw = Recorder(stack.enter_context(open(part, "w+b", buffering=0)))  # noqa: SIM115 stack closes it
        try:
            self._file = stack.enter_context(
                _Closing(
                    soundfile.SoundFile(
                        self._raw,
                        "w",
                        source.rate,
                        source.channels,
                        subtype,
                        endian,
                        form,
                        **_bit_rate(source, subtype),
                    )
                )
            ).file
        except (soundfile.LibsndfileError, ValueError) as error:
            self._raw.check()
            reason = str(error).rpartition(": ")[2].rstrip(".")
            raise FileError(f"{cannot}: {reason}; {_ELSE}") from error
        if isinstance(source, SoundFileSource):
            for tag, text in source.file.copy_metadata().items():
                with contextlib.suppress(soundfile.LibsndfileError):  # a format without tags
                    setattr(self._file, tag, text)

    def write(self, block: Array) -> None:
        import soundfile

        try:
            self._file.write(block)
        except (soundfile.LibsndfileError, AssertionError):
            self._raw.check()
            raise
        self._raw.check()

    def close(self) -> None:
        self._file.close()
        self._raw.finish()


class _Closing:
    """Closes a SoundFile, also one whose disk is full."""

    def __init__(self, file: Any) -> None:
        self.file = file

    def __enter__(self) -> _Closing:
        return self

    def __exit__(self, *_: object) -> None:
        import soundfile

        with contextlib.suppress(soundfile.LibsndfileError):
            self.file.close()


class Recorder:
    """A binary file for libsndfile, which only learns that a write failed: this one remembers why.

    Also Ctrl-C, which comes most often in the middle of a write and cannot pass through libsndfile.

    file: unbuffered, so that nothing but write can fail.
    """

    def __init__(self, file: RawIOBase) -> None:
        self._file = file
        self._error: BaseException | None = None
        self.seek, self.tell, self.read = file.seek, file.tell, file.read

    def write(self, data: bytes) -> int:
        """Write all of data; 0, and the reason kept, if that was not possible."""
        rest = memoryview(data)
        try:
            while rest and self._error is None:
                rest = rest[self._file.write(rest) :]
        except BaseException as error:
            self._error = error
            return 0
        return 0 if rest else len(data)

    def check(self) -> None:
        """Raise what went wrong, if anything did."""
        if self._error is not None:
            raise self._error

    def finish(self) -> None:
        """Bring everything to the disk, or raise."""
        self.check()
        os.fsync(self._file.fileno())


def _bit_rate(source: Source, subtype: str | None) -> dict[str, Any]:
    """Settings with which a lossy file takes about as many bits as the lossy source had; none for other files.

    MP3 and Opus aim at that bit rate (a constant one would leave low-rate MP3 no room to tell its length); Vorbis is
    told a quality, whose bit rate grows about with its square.
    """
    if not isinstance(source, SoundFileSource) or source.file.subtype != subtype or not source.total:
        return {}
    kbit_s = source.path.stat().st_size * 8e-3 * source.rate / source.total
    each = kbit_s / source.channels
    if subtype == "MPEG_LAYER_III":
        most, least = (320, 32) if source.rate >= 32000 else (160, 8)
        level = (most - kbit_s) / (most - least)
    elif subtype == "OPUS":
        level = 1 - (each - 6) / 250
    elif subtype == "VORBIS":
        level = 1 - (each / 256) ** 0.5
    else:
        return {}
    mode = {"bitrate_mode": "AVERAGE"} if subtype == "MPEG_LAYER_III" else {}
    return {"compression_level": min(max(level, 0.0), 0.95), **mode}  # 1 is refused at some rates


def _choose_format(dst: Path, source: Source) -> tuple[str, str | None, str | None]:
    """(format, subtype, endian) for dst: those of the source as far as the suffix allows."""
    import soundfile

    form = _format_of(dst)
    if isinstance(source, SoundFileSource):
        file = source.file
        if form is None or form == _format_of(source.path) or form == file.format:
            return file.format, file.subtype, file.endian
        plain = file.subtype.startswith("PCM") or file.subtype in ("FLOAT", "DOUBLE", "ULAW", "ALAW")
        wishes = [file.subtype, "PCM_24"] if plain and _TYPES.get(file.subtype) != "int16" else [file.subtype] * plain
    else:
        wishes = []
    assert form is not None
    if dst.suffix.lower() == ".opus":
        wishes = ["OPUS"]
    subtype = next((wish for wish in wishes if soundfile.check_format(form, wish)), soundfile.default_subtype(form))
    width = np.dtype(_TYPES.get(subtype, "float32")).itemsize
    if form == "WAV" and source.total * source.channels * width > _WAV_MAX:
        form = "RF64"
    return form, subtype, None
