"""Audio files that libsndfile reads, block by block: all parts of a file, and all of each."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from denoise_wrapper.audio import Array, check_channels, check_rate
from denoise_wrapper.errors import FileError
from denoise_wrapper.files.containers.flac import begins_flac, resume_after, survey_flac
from denoise_wrapper.files.containers.parts import Part, clock
from denoise_wrapper.files.containers.pieces import FileBytes
from denoise_wrapper.files.containers.riff import UNKNOWN, fact_frames, read_riff
from denoise_wrapper.files.containers.survey import survey
from denoise_wrapper.files.formats import Facts, vorbis_setup

_CAREFUL = 16  # frames read at a time near damage: lengths of FLAC's blocks are multiples of it
# How the samples of a subtype are read and cleaned, so that nothing is lost and only the target rounds; else float32.
_TYPES = {
    "PCM_16": "int16",
    "ULAW": "int16",
    "ALAW": "int16",
    "ALAC_16": "int16",
    "PCM_32": "int32",
    "DOUBLE": "float64",
}
_WIDTHS = {
    "PCM_S8": 1,
    "PCM_U8": 1,
    "ULAW": 1,
    "ALAW": 1,
    "PCM_24": 3,
    "PCM_32": 4,
    "FLOAT": 4,
    "DOUBLE": 8,
}  # bytes; else 2
TYPES = {np.dtype(name): name for name in ("int16", "int32", "float32", "float64")}  # as soundfile calls them
_MOST_GONE_S = 86_400  # seconds of silence that stand for what is gone
DAMAGED = ("stop", "skip", "keep")


class Foreign(FileError):
    """A file that libsndfile cannot read, and another decoder may."""


class Source(Protocol):
    """An open audio file. total: frames, 0 if not known."""

    rate: int
    channels: int
    total: int
    facts: Facts

    def blocks(self, size: int) -> Iterator[Array]:
        """Arrays (size, channels), or shorter. Raises FileError if the file turns out damaged."""
        ...


class SoundFileSource:
    """A file that libsndfile reads, with all that follows in it behind the first part.

    damaged: "stop" refuses what is damaged, "skip" leaves out what is gone, "keep" puts silence in its place.
    in_ogg: whether it is FLAC in Ogg, which libsndfile does not write.
    """

    def __init__(self, path: Path, stack: contextlib.ExitStack, damaged: str = "stop") -> None:
        if damaged not in DAMAGED:
            raise FileError(f"damaged is one of {', '.join(DAMAGED)}, not {damaged!r}")
        self.path, self._damaged, self._stack = path, damaged, stack
        raw = stack.enter_context(open(path, "rb", buffering=0))  # noqa: SIM115 stack closes it
        self._raw, self.data = raw, FileBytes(raw)
        self._before = os.fstat(raw.fileno())
        self._reader: Any = None  # of the first part, where its place in the file is asked for later
        self._survey = survey(self.data, path.suffix)
        if self._survey.refusal is not None:
            raise FileError(f"{path} {self._survey.refusal}")
        if self._survey.damage is not None and (damaged == "stop" or not self._survey.parts):
            raise self._refusal(self._survey.damage)
        if self._survey.foreign is not None:
            raise Foreign(self._survey.foreign)
        self.file = self._open(self._survey.parts[0])
        self.rate, self.channels = check_rate(self.file.samplerate), check_channels(self.file.channels)
        self._form, self._subtype = self.file.format, self.file.subtype  # which soundfile looks up each time
        self.dtype = _TYPES.get(self._subtype, "float32")
        self._tail, self.in_ogg = self._survey.tail, self._survey.wrapped
        self._check_promise()
        self._first = self._expected(self._survey.parts[0], self.file)
        if len(self._survey.parts) > 1:
            self._survey = dataclasses.replace(self._survey, parts=self._placed(self._survey.parts))
        self._check_gaps()
        self.total = self._count()
        self.facts = Facts(
            path, self.rate, self.channels, self.total, self._before.st_size,
            self._form, self._subtype, self.file.endian, self._bit_rate(), self._survey.constant,
            self._survey.level, vorbis_setup(self._survey.head),
        )  # fmt: skip

    def _bit_rate(self) -> int | None:
        """Bit/s of the sound alone, None if that is not known."""
        if self._survey.nominal is not None:
            return self._survey.nominal
        return round(8 * self._survey.sound * self.rate / self.total) if self._survey.sound and self.total else None

    def _open(self, part: Part, stack: contextlib.ExitStack | None = None) -> Any:
        """Open a part with libsndfile. Raises Foreign, or FileError if this part is unlike the first."""
        import soundfile

        if part.file is not None:
            part.file.seek(0)
        try:
            file = (stack or self._stack).enter_context(forward()(self._named(part), closefd=False))
        except (soundfile.LibsndfileError, TypeError) as error:
            raise Foreign(_reason(error)) from error
        return file

    def _named(self, part: Part) -> Any:
        """What soundfile calls a part: a file object, the file's name, or the number of a file that is open.

        That number tells later how far it was read; libraries of Windows do not share them.
        """
        if part.file is not None:
            return part.file
        if os.name == "nt":
            return self.path
        if self._survey.unsearched and self._reader is None:
            self._reader = self._stack.enter_context(open(self.path, "rb", buffering=0))  # noqa: SIM115 stack closes it
            return self._reader.fileno()
        return os.fsencode(self.path)  # names are bytes there, and need not be UTF-8

    def _check_promise(self) -> None:
        """Compare what libsndfile noted on opening with what the header promises."""
        missing, frames = _shortfall(self.file.extra_info, self.channels * _WIDTHS.get(self._subtype, 2))
        if missing is None or self._survey.parts[0].file is not None:
            return
        if self._damaged == "stop":
            raise self._refusal(missing)
        self._tail = frames

    def _placed(self, parts: list[Part]) -> list[Part]:
        """Several parts, of which each then says how many frames it has, and how many are gone before it."""
        placed, end = [dataclasses.replace(parts[0], frames=self._first)], self._first
        for part in parts[1:]:
            with contextlib.ExitStack() as stack:
                file = self._alike(part, stack)
                if part.until is None:
                    end = self._expected(part, file)
                    part = dataclasses.replace(part, frames=end)
                else:
                    held, until = self._held(file), round(part.until * self.rate)
                    part = dataclasses.replace(part, frames=held, gap=max(0, until - held - end))
                    end = until
                placed.append(part)
        return placed

    def _held(self, file: Any) -> int:
        """Frames of an open part, counted."""
        count = 0
        while block := len(file.read(self.rate, dtype=self.dtype, always_2d=True)):
            count += block
        return count

    def _check_gaps(self) -> None:
        """Refuse to write silence for what no recording ever was."""
        gone = self._tail + sum(part.gap for part in self._survey.parts)
        if self._damaged == "keep" and gone > _MOST_GONE_S * self.rate:
            raise FileError(
                f"{self.path} promises {gone / self.rate / 3600:.0f} hours more than it holds, and silence is kept for "
                'a day at most; damaged="skip" (--damaged skip) leaves them out'
            )

    def _expected(self, part: Part, file: Any) -> int:
        """Frames that a part has to give, after its beginning is left out."""
        if part.frames is not None:
            return part.frames
        frames = int(file.frames) - part.skip
        if part.file is None and self._form in ("WAV", "WAVEX", "RF64") and (riff := read_riff(self.data)) is not None:
            frames = fact_frames(self.data, riff, frames)
        return frames

    def _count(self) -> int:
        """Frames of all parts, and of the gaps if these are kept; 0 if they are not known."""
        parts = self._survey.parts
        total = self._first + sum(part.frames or 0 for part in parts[1:])
        if self._damaged == "keep":
            total += self._tail + sum(part.gap for part in parts)
        return total if total < 1 << 62 else 0

    def _alike(self, part: Part, stack: contextlib.ExitStack | None = None) -> Any:
        """Open a later part; stack closes it, or that of the source.

        Raises FileError unless it is of the first one's rate and channels.
        """
        try:
            file = self._open(part, stack)
        except Foreign as error:
            raise self._refusal(f"a later part of it cannot be read ({error})") from error
        if (file.samplerate, file.channels) != (self.rate, self.channels):
            raise FileError(
                f"{self.path} goes on with {file.channels} channels of {file.samplerate} Hz after {self.channels} of "
                f"{self.rate} Hz; take it apart, or let another program write all at one rate, and clean that"
            )
        if file.subtype != self._subtype:
            raise FileError(
                f"{self.path} goes on with {file.subtype} after {self._subtype}; take it apart, and clean each alone"
            )
        return file

    def blocks(self, size: int) -> Iterator[Array]:
        for number, part in enumerate(self._survey.parts):
            if part.gap:
                yield from self._silence(part.gap, size)
            file = self.file if number == 0 else self._alike(part)
            expected = self._first if number == 0 else self._expected(part, file)
            yield from self._part(file, part, expected if expected < 1 << 62 else None, size)
        for part in self._unsearched():
            yield from self._part(self._alike(part), part, part.frames, size)
        yield from self._silence(self._tail, size)
        self._check_unchanged()

    def _unsearched(self) -> list[Part]:
        """Parts behind the first one, where they were not looked for before that was read."""
        if not self._survey.unsearched:
            return []
        found = survey_flac(self.data, 0 if self._reader is None else self._reader.tell())
        if found.damage is not None and self._damaged == "stop":
            raise self._refusal(found.damage)
        behind = found.parts[1:]
        self.total, self._tail = self.total + sum(part.frames or 0 for part in behind), found.tail
        return behind

    def _part(self, file: Any, part: Part, expected: int | None, size: int) -> Iterator[Array]:
        """Blocks of one part, exactly as many frames as expected, or as there are for None."""
        import soundfile

        done, skip = 0, part.skip
        while expected is None or done < expected:
            wanted = size + skip if expected is None else min(size, expected - done) + skip
            try:
                block = np.empty((wanted, self.channels), self.dtype)
                block = block[: file.buffer_read_into(block, self.dtype)]
            except (soundfile.LibsndfileError, RuntimeError) as error:
                if self._damaged == "stop":
                    done += sum(map(len, self._rest(part, done, expected, size, only_before=True)))
                    raise self._refusal(f"{_reason(error)} after {clock(done, self.rate)}") from error
                yield from self._rest(part, done, expected, size)
                return
            if not len(block):
                break
            block, skip = block[skip:], max(0, skip - len(block))
            done += len(block)
            yield block
        if expected is not None and done < expected:
            if self._damaged == "stop":
                raise self._refusal(f"it promises {expected} frames and holds {done}")
            yield from self._silence(expected - done, size)

    def _rest(
        self, part: Part, done: int, expected: int | None, size: int, only_before: bool = False
    ) -> Iterator[Array]:
        """Go on behind damage, where FLAC's frames say how long it is.

        done: frames that were read before it. only_before: end where it begins.
        """
        import soundfile

        if part.file is not None or not begins_flac(self.data[0:4]):
            if expected is not None and not only_before:
                yield from self._silence(expected - done, size)
            return
        begin, behind, current = 0, dataclasses.replace(part, skip=done), self.file
        current = self._open(behind)
        current.read(done, dtype=self.dtype)
        while True:
            try:
                while len(block := current.read(_CAREFUL, dtype=self.dtype, always_2d=True)):
                    block = block if expected is None else block[: expected - done]
                    done += len(block)
                    yield block
            except (soundfile.LibsndfileError, RuntimeError):
                pass
            following = None if only_before else resume_after(self.data, done, begin + 1)
            if following is None:
                break
            later, begin = following
            yield from self._silence(later.gap, size)
            done += later.gap
            current = self._open(later)
        if expected is not None and not only_before:
            yield from self._silence(expected - done, size)

    def _silence(self, frames: int, size: int) -> Iterator[Array]:
        """Blocks of silence for what is gone, if that is to be kept in time."""
        while self._damaged == "keep" and frames > 0:
            yield np.zeros((min(frames, size), self.channels), self.dtype)
            frames -= size

    def _check_unchanged(self) -> None:
        after = os.fstat(self._raw.fileno())
        if (after.st_size, after.st_mtime_ns) != (self._before.st_size, self._before.st_mtime_ns):
            raise FileError(f"{self.path} was changed by another program while it was read; clean it when that is done")

    def _refusal(self, what: str) -> FileError:
        advice = "get it anew"
        if self._damaged == "stop":
            advice += ', or let damaged="skip" (--damaged skip) leave out what is gone, or "keep" silence for it'
        kind = "was cut short" if "promises" in what or " ends " in what or "last" in what else "is damaged"
        return FileError(f"{self.path} {kind}: {what}; {advice}")


@functools.cache
def forward() -> Any:
    """Return the class of soundfile that reads or writes on and on.

    A seek to where one is already loses frames of Opus, and fails at a FLAC's end; a write has five around it.
    """
    import soundfile

    class Forward(soundfile.SoundFile):  # type: ignore[misc]
        def seekable(self) -> bool:
            return False

    return Forward


def _reason(error: Exception) -> str:
    """What libsndfile says, without the name and the guesses that it wraps it in."""
    reason = str(error).rpartition(": ")[2].rstrip(".")
    if "unspecified internal error" in reason.lower() or "pipe" in reason:
        return "its frames cannot be found"
    return reason[:1].lower() + reason[1:]


def _shortfall(info: str, width: int) -> tuple[str | None, int]:
    """Say what a file lacks of its header's promise, by libsndfile's notes on opening, and how many frames that is.

    width: bytes of a frame. None if it is all there.
    """
    match = re.search(r"^ *(?:data|SSND|Data Size|riff) *: (\d+) \(should be (\d+)\)", info, re.MULTILINE)
    if match is not None and int(match[2]) < int(match[1]) < UNKNOWN:
        promised, bytes_held = int(match[1]), int(match[2])
        frames = -(-(promised - bytes_held) // width)
        return f"it promises {promised} bytes and holds {bytes_held}", frames
    match = re.search(r"Calculated frame count (\d+) does not match value from 'ds64' chunk of (\d+)", info)
    if match is not None and int(match[1]) < int(match[2]):
        return f"it promises {match[2]} frames and holds {match[1]}", int(match[2]) - int(match[1])
    return None, 0
