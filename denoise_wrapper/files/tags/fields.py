"""Tags by one set of names, and the names that containers have for them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

# Our names are those of Vorbis comments, in small letters. Names that no table knows go from container to container
# as they are, where it takes names of its own (TXXX, freeform atoms, APE keys).
ID3_TEXT = {
    "album": "TALB", "albumartist": "TPE2", "albumartistsort": "TSO2", "albumsort": "TSOA", "arranger": "TPE4",
    "artist": "TPE1", "artistsort": "TSOP", "bpm": "TBPM", "compilation": "TCMP", "composer": "TCOM",
    "composersort": "TSOC", "conductor": "TPE3", "copyright": "TCOP", "date": "TDRC", "discsubtitle": "TSST",
    "encodedby": "TENC", "encoder": "TSSE", "genre": "TCON", "grouping": "TIT1", "isrc": "TSRC", "key": "TKEY",
    "language": "TLAN", "lyricist": "TEXT", "media": "TMED", "mood": "TMOO", "organization": "TPUB",
    "originaldate": "TDOR", "subtitle": "TIT3", "title": "TIT2", "titlesort": "TSOT",
}  # fmt: skip
MP4_TEXT = {
    "album": "\xa9alb", "albumartist": "aART", "albumartistsort": "soaa", "albumsort": "soal", "artist": "\xa9ART",
    "artistsort": "soar", "comment": "\xa9cmt", "composer": "\xa9wrt", "composersort": "soco", "copyright": "cprt",
    "date": "\xa9day", "description": "desc", "encoder": "\xa9too", "genre": "\xa9gen", "grouping": "\xa9grp",
    "lyrics": "\xa9lyr", "title": "\xa9nam", "titlesort": "sonm",
}  # fmt: skip
ASF_TEXT = {
    "album": "WM/AlbumTitle", "albumartist": "WM/AlbumArtist", "artist": "Author", "bpm": "WM/BeatsPerMinute",
    "comment": "Description", "composer": "WM/Composer", "conductor": "WM/Conductor", "copyright": "Copyright",
    "date": "WM/Year", "discnumber": "WM/PartOfSet", "genre": "WM/Genre", "isrc": "WM/ISRC", "language": "WM/Language",
    "lyrics": "WM/Lyrics", "mood": "WM/Mood", "organization": "WM/Publisher", "subtitle": "WM/SubTitle",
    "title": "Title", "tracknumber": "WM/TrackNumber",
}  # fmt: skip
INFO = {
    "album": "IPRD", "artist": "IART", "comment": "ICMT", "copyright": "ICOP", "date": "ICRD", "encodedby": "ITCH",
    "encoder": "ISFT", "engineer": "IENG", "genre": "IGNR", "isrc": "ISRC", "keywords": "IKEY", "language": "ILNG",
    "media": "IMED", "subject": "ISBJ", "title": "INAM", "tracknumber": "ITRK",
}  # fmt: skip
APE_NAMES = {
    "albumartist": "Album Artist", "date": "Year", "discnumber": "Disc", "organization": "Publisher",
    "tracknumber": "Track",
}  # fmt: skip
# A number and how many there are, which some containers write in one: "3/12".
PAIRS = {"tracknumber": "tracktotal", "discnumber": "disctotal"}
# Measured of the sound as it was. What is cleaned is quieter, and a player that obeys them is wrong.
_LEVELS = re.compile(r"replaygain_.*|r128_.*|itunnorm|mp3gain_.*|rva2.*|loudness.*|peak_.*", re.IGNORECASE)
MASK = "waveformatextensible_channel_mask"


@dataclass(frozen=True)
class Picture:
    """A picture by its bytes. kind: as ID3 and FLAC number them, 3 is the front cover."""

    data: bytes
    mime: str
    kind: int = 3
    text: str = ""
    size: tuple[int, int, int, int] = (0, 0, 0, 0)  # width, height, bits of a pixel, colours; 0 for not said


@dataclass
class Tags:
    """Tags of a file. texts: our name -> its values, in their order. dropped: names of what tells a level.

    native: what mutagen read, to be copied as it is to a file of a like container; None for what was made of chunks.
    blocks: mutagen's blocks of a FLAC file that hold neither texts nor pictures, as cue sheets and what programs keep.
    joined: names of texts that are not of native, but of other tags in the same file.
    """

    texts: dict[str, list[str]] = field(default_factory=dict)
    pictures: list[Picture] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)
    native: Any = None
    blocks: list[Any] = field(default_factory=list)
    joined: set[str] = field(default_factory=set)

    def add(self, name: str, *values: str) -> None:
        """Add values under our name, but those that are there, and none that tells a level."""
        key = name.lower()
        if tells_level(key):
            self.dropped += [key] * (key not in self.dropped)
            return
        held = self.texts.setdefault(key, [])
        held += [value for value in values if value and value not in held]
        if not held:
            del self.texts[key]

    def add_numbered(self, name: str, text: str) -> None:
        """Add a number that may say of how many: "3/12"."""
        number, _, total = text.partition("/")
        self.add(name, number.strip())
        self.add(PAIRS[name], total.strip())

    def join(self, other: Tags) -> None:
        """Add what only other tags of the same file tell: names that are not there, pictures if there are none."""
        numbered = {total for name, total in PAIRS.items() if name in self.texts}
        more = {name: values for name, values in other.texts.items() if name not in {*self.texts, *numbered}}
        self.texts |= more
        self.joined |= set(more)
        self.pictures = self.pictures or other.pictures
        self.dropped += [name for name in other.dropped if name not in self.dropped]

    def numbered(self, name: str) -> str:
        """A number with how many there are, if both are known."""
        numbers, totals = self.texts.get(name, [""]), self.texts.get(PAIRS[name], [""])
        return f"{numbers[0]}/{totals[0]}" if totals[0] and "/" not in numbers[0] else numbers[0]


def tells_level(name: str) -> bool:
    """Tell if a tag of this name holds a level, which is another one after cleaning."""
    return _LEVELS.fullmatch(name) is not None
