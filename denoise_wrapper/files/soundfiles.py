"""Audio files that libsndfile reads and writes, block by block."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from io import RawIOBase
from pathlib import Path
from typing import Any, Protocol

from denoise_wrapper.atomic import atomic_path
from denoise_wrapper.audio import Array, check_channels, check_rate
from denoise_wrapper.errors import FileError
from denoise_wrapper.files.formats import Facts, bit_rate_options, choose_format, sample_type

_VORBIS_MAX_RATE, _VORBIS_MAX_CHANNELS = 200_000, 255  # Hz; above either libsndfile finds out too late, and crashes
_EMPTY_MAX = 1 << 16  # bytes of a WAV file without audio: its chunks of metadata
_ELSE = "name a target of another format, such as .wav"
_UNKNOWN_LENGTH = 0x7FFF0000  # bytes; who writes into a pipe promises this much or more, or nothing


class Source(Protocol):
    """An open audio file. total: frames, 0 if not known."""

    rate: int
    channels: int
    total: int
    facts: Facts

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


class SoundFileSource:
    """A file that libsndfile reads."""

    def __init__(self, path: Path, file: Any) -> None:
        self.file, self.path = file, path
        self.rate, self.channels = check_rate(file.samplerate), check_channels(file.channels)
        self.total: int = file.frames
        self.dtype = sample_type(file.subtype)
        self.facts = Facts(
            path, self.rate, self.channels, self.total, path.stat().st_size, file.format, file.subtype, file.endian
        )
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
    """Say what a file lacks of its header's promise, by libsndfile's notes on opening; None if it is all there."""
    match = re.search(r"^ *(?:data|SSND|Data Size|riff) *: (\d+) \(should be (\d+)\)", info, re.MULTILINE)
    if match is not None and int(match[2]) < int(match[1]) < _UNKNOWN_LENGTH:
        return f"it promises {match[1]} bytes and holds {match[2]}"
    length = re.search(r"^Length : (\d+)", info, re.MULTILINE)
    if re.search(r"^ *data *: 0$", info, re.MULTILINE) and length is not None and int(length[1]) > _EMPTY_MAX:
        return f"its header was never finished: it promises no audio, and the file has {length[1]} bytes"
    match = re.search(r"Calculated frame count (\d+) does not match value from 'ds64' chunk of (\d+)", info)
    if match is not None and int(match[1]) < int(match[2]):
        return f"it promises {match[2]} frames and holds {match[1]}"
    if "lacks an end-of-stream bit" in info and "Junk after the last page" in info:
        return "its last Ogg page is not whole"
    return None


class SoundFileTarget:
    """A file that libsndfile writes, through a Python file that tells why a write failed."""

    def __init__(self, part: Path, dst: Path, source: Source, stack: contextlib.ExitStack) -> None:
        import soundfile

        form, subtype, endian = choose_format(dst, source.facts)
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
                        **bit_rate_options(source.facts, subtype),
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
