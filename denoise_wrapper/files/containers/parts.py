"""Parts of a file that are read one behind the other, and damage between them."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction

from denoise_wrapper.files.containers.pieces import Pieces


@dataclass(frozen=True)
class Part:
    """A stretch of sound that a decoder reads as a file of its own.

    file: what it reads; None for the file itself. frames: that it must give, None where only the decoder knows.
    skip: frames to leave out at its beginning, not counted in frames. gap: frames that are gone before it.
    until: seconds of the stream at which it ends, where only that is known, and its frames have to be counted.
    """

    file: Pieces | None = None
    frames: int | None = None
    skip: int = 0
    gap: int = 0
    until: Fraction | None = None


@dataclass(frozen=True)
class Survey:
    """A file's structure: its parts in their order, and what is wrong with it.

    damage: what is missing, as a clause with a subject; None for a file that is whole. tail: frames that are gone
    behind the last part. foreign: why libsndfile is not the one to read it, as a clause; None if it is.
    refusal: why it cannot be cleaned whatever is asked, as a predicate with advice; None if it may be.
    sound: bytes of a lossy file without its tags and headers, 0 if not known. constant: all its frames have one bit
    rate. level: libsndfile's compression level, 0 to 1, of the quality at which LAME made an MP3, None if not known.
    nominal: bit/s that its headers name, None if they do not. wrapped: its parts are FLAC that was taken out of
    Ogg. head: the headers of Vorbis that names no bit rate. unsearched: other files of the same length may lie behind
    the first.
    """

    parts: list[Part] = field(default_factory=lambda: [Part()])
    damage: str | None = None
    tail: int = 0
    foreign: str | None = None
    sound: int = 0
    constant: bool = False
    level: float | None = None
    nominal: int | None = None
    wrapped: bool = False
    head: bytes = b""
    unsearched: bool = False
    refusal: str | None = None


def clock(frames: float, rate: int) -> str:
    """Time in a file as a sentence has it, such as 12.34 s."""
    return f"{frames / rate:.2f} s"
