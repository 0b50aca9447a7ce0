"""Audio files that libsndfile writes, and what goes on into them beside the sound: masks, chunks, tags."""

from __future__ import annotations

import contextlib
import os
import struct
from io import RawIOBase
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from denoise_wrapper.atomic import atomic_path
from denoise_wrapper.audio import Array, round_to
from denoise_wrapper.errors import FileError
from denoise_wrapper.files.containers.pieces import FileBytes
from denoise_wrapper.files.containers.riff import block_frames, extensible, read_riff
from denoise_wrapper.files.formats import Wishes, bit_rate_options, choose_format
from denoise_wrapper.files.soundsources import TYPES, Source, forward
from denoise_wrapper.files.tags.carried import carried_of
from denoise_wrapper.wording import count

_VORBIS_MAX_RATE, _VORBIS_MAX_CHANNELS = 200_000, 255  # Hz; above either libsndfile finds out too late, and crashes
_FLAC_ANY_RATE, _FLAC_MAX_RATE = 65_535, 655_350  # Hz; between them only tens have a place in a frame's header
_DEPTHS = {"PCM_S8": 8, "PCM_U8": 8, "PCM_16": 16, "PCM_24": 24, "ALAC_16": 16, "ALAC_20": 20, "ALAC_24": 24}
_WAVES = ("WAV", "WAVEX", "RF64")
_KINDS = {"WAV": "RIFF", "WAVEX": "RIFF", "RF64": "RIFF", "AIFF": "FORM", "CAF": "caff"}
# Written at once: frames of an Ogg, as libsndfile puts a multiple of what it is given on the stack; samples of others,
# as a target keeps the room for those that are rounded.
_OGG_PIECE, _PIECE = 1 << 13, 1 << 17
_HELD = 1 << 17  # bytes that are written at once: libsndfile makes a write of each 8 kB


class Target(Protocol):
    """An audio file being written. notes: what could not be kept, as clauses; complete when it is closed."""

    notes: list[str]

    def write(self, block: Array) -> None:
        """Append frames (n, channels)."""
        ...

    def close(self) -> None:
        """Make it whole. Raises OSError or FileError if it could not all be written."""
        ...


class SoundFileTarget:
    """A file that libsndfile writes, through a Python file that tells why a write failed."""

    def __init__(self, part: Path, dst: Path, source: Source, stack: contextlib.ExitStack, wishes: Wishes) -> None:
        import soundfile

        form, subtype, endian = choose_format(dst, source.facts, wishes)
        self._part, self._frames, self._source, self.notes = part, 0, source, list[str]()
        self._carried = carried = carried_of(source)
        if (
            form == "WAV"
            and endian != "BIG"
            and carried.mask is not None
            and (subtype or "")[:3] in ("PCM", "FLO", "DOU")
        ):
            form = "WAVEX"  # the one that has a word for channels
        self._form, self._subtype = form, subtype
        self._room: Array = np.empty(0)  # for samples that are rounded
        check_holds(dst, source, form, subtype)
        self.notes += _narrowed(source, form, subtype, wishes)
        raw: Any = stack.enter_context(open(part, "w+b", buffering=0))  # noqa: SIM115 stack closes it
        kind = "RIFX" if form == "WAV" and endian == "BIG" else _KINDS.get(form, form)
        self._behind, place, front = carried.prepare(kind, form)
        self._lengthened = bool(front) and form in _WAVES  # libsndfile does not know by how much
        if front:
            raw = Shifted(raw, place, front)
        self._raw = Recorder(raw)
        try:
            self._file = stack.enter_context(
                _Closing(
                    forward()(
                        self._raw,
                        "w",
                        source.rate,
                        source.channels,
                        subtype,
                        endian,
                        form,
                        **bit_rate_options(source.facts, subtype, wishes),
                    )
                )
            ).file
        except (soundfile.LibsndfileError, ValueError) as error:
            self._raw.check()
            reason = str(error).rpartition(": ")[2].rstrip(".")
            raise FileError(f"{_cannot(dst, source, form, subtype)}: {reason}; {_else(dst)}") from error
        for tag, text in carried.plain(form).items():
            with contextlib.suppress(soundfile.LibsndfileError):  # a format without tags
                setattr(self._file, tag, text)

    def write(self, block: Array) -> None:
        import soundfile

        self._frames += len(block)
        size = _OGG_PIECE if self._form == "OGG" else max(1, _PIECE // self._source.channels)
        try:
            for start in range(0, len(block), size):
                samples = self._as_written(block[start : start + size])
                self._file.buffer_write(samples, TYPES[samples.dtype])
        except (soundfile.LibsndfileError, AssertionError):
            self._raw.check()
            raise
        self._raw.check()

    def _as_written(self, piece: Array) -> Array:
        """Frames at the depth of the file: the same ones, or in a room that is used again, as memory is slow to get."""
        depth = _DEPTHS.get(self._subtype or "")
        if depth is None or (depth == 16 and piece.dtype == np.int16):
            return np.ascontiguousarray(piece)
        if len(self._room) < len(piece):
            self._room = np.empty(piece.shape, np.int16 if depth <= 16 else np.int32)
        return round_to(piece, depth, self._room[: len(piece)])

    def close(self) -> None:
        padded = self._fill_block()
        self._file.close()
        self._raw.check()
        file = self._raw.file
        if not file.seek(0, os.SEEK_END):
            path = self._source.facts.path
            raise FileError(f"there is no sound in {path}, and a file of {self._form} cannot be without")
        whole = not self._source.total or self._frames == self._source.total
        if self._form in _WAVES:
            self._mend_wave(file, padded)
        behind = self._behind.laid(before=False, places=whole)
        if behind or self._lengthened:
            _append(file, self._form, behind)
        self.notes += self._carried.finish(self._part, self._behind.kind, whole)
        os.fsync(file.fileno())

    def _fill_block(self) -> bool:
        """Fill the last block of a codec that has only whole ones with silence; tells if it has such blocks."""
        block = 0
        if self._form in _WAVES and self._subtype in ("IMA_ADPCM", "MS_ADPCM", "GSM610"):
            view: Any = self._raw  # as libsndfile knows the file: chunks in front are not counted in its size yet
            end, data = view.tell(), FileBytes(view)
            riff = read_riff(data)
            block = 0 if riff is None else block_frames(data, riff)
            view.seek(end)  # where libsndfile goes on to write
        missing = -self._frames % block if block else 0
        if missing:
            self._file.write(np.zeros((missing, self._source.channels), np.int16))
        return block > 0

    def _mend_wave(self, file: Any, padded: bool) -> None:
        """Write the mask of channels, and the number of frames where blocks are padded, over libsndfile's own."""
        if self._carried.mask is None and not padded and self._form != "RF64":
            return
        data = FileBytes(file)
        riff = read_riff(data)
        fmt = None if riff is None else riff.find(b"fmt ")
        if riff is None or fmt is None:
            return
        own, fact = extensible(data, riff), riff.find(b"fact")
        if own is not None and self._carried.mask is not None:
            file.seek(fmt.start + 20)
            file.write(struct.pack(f"{riff.order}I", self._carried.mask))
            if self._carried.kind_of_samples is not None and self._carried.kind_of_samples[:2] == own[1][:2]:
                file.write(self._carried.kind_of_samples)
        if self._form == "RF64" and self._carried.magic == b"BW64":
            file.seek(0)
            file.write(b"BW64")
        if padded and fact is not None:
            file.seek(fact.start)
            file.write(struct.pack(f"{riff.order}I", self._frames))


def check_holds(dst: Path, source: Source, form: str, subtype: str | None) -> None:
    """Refuse what libsndfile would find out too late. Raises FileError."""
    cannot = _cannot(dst, source, form, subtype)
    if form == "SD2":  # part of it is in a resource fork
        raise FileError(f"{dst} cannot be written as SD2; {_else(dst)}")
    if subtype == "VORBIS" and (source.rate > _VORBIS_MAX_RATE or source.channels > _VORBIS_MAX_CHANNELS):
        raise FileError(f"{cannot}; {_else(dst)}")
    if form == "FLAC" and source.rate > _FLAC_ANY_RATE and (source.rate % 10 or source.rate > _FLAC_MAX_RATE):
        rates = f"rates up to {_FLAC_ANY_RATE} Hz, and tens up to {_FLAC_MAX_RATE}"
        raise FileError(f"{cannot}: it has {rates}; {_else(dst)}")


def _narrowed(source: Source, form: str, subtype: str | None, wishes: Wishes) -> list[str]:
    """Say that samples have fewer bits in the target, unless that is asked for."""
    came, depth = source.facts.subtype or "", _DEPTHS.get(subtype or "", 64)
    if wishes.subtype is not None or (depth >= _DEPTHS.get(came, 0) and came not in ("PCM_32", "FLOAT", "DOUBLE")):
        return []
    what = "floats" if came in ("FLOAT", "DOUBLE") else f"{_DEPTHS.get(came, 32)} bits"
    return [f"its {what} are written as {depth} bits, the most that {form} takes here"] if depth < 64 else []


def _else(dst: Path) -> str:
    return f"name a target of another format, such as {'.flac' if dst.suffix.lower() == '.wav' else '.wav'}"


def _cannot(dst: Path, source: Source, form: str, subtype: str | None) -> str:
    return f"{dst} cannot hold {count(source.channels, 'channel')} of {source.rate} Hz as {form} {subtype}"


def _append(file: Any, form: str, chunks: bytes) -> None:
    """Put chunks behind all others, and count them in the file's size."""
    end = file.seek(0, os.SEEK_END)
    file.write(b"\0" * (end % 2 if form != "CAF" else 0) + chunks)
    size = file.tell() - 8
    if form == "RF64":
        file.seek(20)
        file.write(struct.pack("<Q", size))
    elif form != "CAF":
        file.seek(0)
        order = "<" if file.read(4) == b"RIFF" else ">"
        file.seek(4)
        file.write(struct.pack(f"{order}I", min(size, 0xFFFFFFFF)))


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


class Shifted:
    """A file for who writes it as if bytes in its midst were not there.

    file: unbuffered. at: where they are. content: those bytes, written at once when the first byte behind them is.
    """

    def __init__(self, file: Any, at: int, content: bytes) -> None:
        self.file, self._place, self._content, self._at = file, at, content, 0
        self._shown, self._real = False, -1  # where the file itself is

    def fileno(self) -> int:
        return int(self.file.fileno())

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        if whence == os.SEEK_END:
            self._real = -1
            end = self.file.seek(0, os.SEEK_END)
            offset += end - (len(self._content) if self._shown else 0)
        elif whence == os.SEEK_CUR:
            offset += self._at
        self._at = offset
        return offset

    def read(self, size: int = -1) -> bytes:
        self._go(self._at)
        data: bytes = self.file.read(size)
        self._real = -1
        if self._at < self._place < self._at + len(data):
            data = data[: self._place - self._at]
        self._at += len(data)
        return data

    def write(self, data: Any) -> int:
        """Write data, or what of it is before the bytes in the midst; returns how many bytes."""
        if self._at < self._place:
            data = data[: self._place - self._at]
        elif not self._shown:
            self._shown = True
            self.file.seek(self._place)
            rest = memoryview(self._content)
            while rest:
                rest = rest[self.file.write(rest) :]
            self._real = self._place + len(self._content)
        self._go(self._at)
        count: int = self.file.write(data)
        self._at, self._real = self._at + count, self._real + count
        return count

    def _go(self, at: int) -> None:
        """Go to a place of the file itself, unless one is there: most writes follow each other."""
        real = at + (len(self._content) if at >= self._place and self._shown else 0)
        if real != self._real:
            self._real = self.file.seek(real)


class Recorder:
    """A binary file for libsndfile, which only learns that a write failed: this one remembers why.

    Also Ctrl-C, which comes most often in the middle of a write and cannot pass through libsndfile. What is written
    in small pieces, as libsndfile does, is held until there is enough for one write of the system's.

    file: unbuffered, so that nothing but write can fail.
    """

    def __init__(self, file: RawIOBase | Shifted) -> None:
        self._file = file
        self.file: Any = file.file if isinstance(file, Shifted) else file
        self._error: BaseException | None = None
        self._held, self._length = bytearray(_HELD), 0

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._bring()
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell() + self._length

    def read(self, size: int = -1) -> bytes:
        self._bring()
        return self._file.read(size) or b""

    def write(self, data: bytes) -> int:
        """Write all of data, perhaps later; 0, and the reason kept, if that was not possible."""
        size = len(data)
        if size > _HELD - self._length:
            self._bring()
        if size > _HELD:
            self._bring(data)
        elif self._error is None:
            self._held[self._length : self._length + size] = data
            self._length += size
        return size if self._error is None else 0

    def _bring(self, data: bytes | None = None) -> None:
        """Write what is held, or data, to the file; nothing more after an error, which is kept."""
        rest = memoryview(self._held)[: self._length] if data is None else memoryview(data)
        self._length = 0
        try:
            while rest and self._error is None:
                rest = rest[self._file.write(rest) :]
        except BaseException as error:
            self._error = error

    def check(self) -> None:
        """Bring all to the file, and raise what went wrong, if anything did."""
        self._bring()
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
