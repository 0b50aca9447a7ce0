"""Ogg as it lies on disk: pages, the streams they belong to, and streams that follow each other."""

from __future__ import annotations

import itertools
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction

from denoise_wrapper.files.containers.parts import Part, Survey, clock
from denoise_wrapper.files.containers.pieces import FileBytes, Pieces, Stretch

_MAGIC = b"OggS"
_CONTINUED, _FIRST, _LAST = 1, 2, 4  # flags of a page
_MIRROR = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
# First bytes of a stream's first packet -> its codec's name.
CODECS = {
    b"\x01vorbis": "Vorbis", b"OpusHead": "Opus", b"\x7fFLAC": "FLAC", b"Speex   ": "Speex", b"\x80theora": "Theora",
    b"fishead\0": "Skeleton",
}  # fmt: skip
_OPUS_RATE = 48000
_FLAC_WORDS = 9  # bytes in front of FLAC's own: a name, a version, and a number of packets


@dataclass
class _Stream:
    """One stream of a link, as far as its pages were seen."""

    codec: str
    head: bytes
    number: int = -1  # of its last page
    granule: int = 0
    pages: int = 0
    ended: bool = False
    sound: int = 0  # bytes of its packets behind those of the header


@dataclass(frozen=True)
class _Page:
    start: int
    end: int
    flags: int
    granule: int
    serial: int
    number: int
    body: int  # where it begins
    sound: bool  # its checksum is right


@dataclass
class _Link:
    """Streams that begin together; a chained file has several, one behind the other.

    start, end: bytes. pages: those that are sound. breaks: bytes at which the first page behind damage begins.
    """

    start: int
    end: int
    streams: dict[int, _Stream] = field(default_factory=dict)
    pages: list[_Page] = field(default_factory=list)
    breaks: list[int] = field(default_factory=list)

    @property
    def body_start(self) -> int:
        """Where the first page of sound begins, in bytes."""
        return next((page.start for page in self.pages if page.granule != 0), self.end)

    @property
    def only(self) -> _Stream:
        return next(iter(self.streams.values()))


def begins_ogg(head: bytes) -> bool:
    """Tell if these bytes are the beginning of an Ogg file."""
    return head.startswith(_MAGIC)


def checksum(page: bytes) -> int:
    """The checksum of a page whose own field for it is zero: CRC-32 with the bits of each byte the other way."""
    mirrored = zlib.crc32(page.translate(_MIRROR), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int.from_bytes(mirrored.to_bytes(4, "little").translate(_MIRROR), "big")


def _pages(data: FileBytes) -> Iterator[_Page | str]:
    """Pages of a file; a clause in place of what is damaged."""
    at, end = 0, len(data)
    while at < end:
        head = bytes(data[at : at + 27])
        if len(head) < 27 or not head.startswith(_MAGIC):
            following = data.find(_MAGIC, at + 1)
            rest = data[at : following if following >= 0 else end]
            if any(rest):
                yield "ends within a page" if following < 0 and head[:4] == _MAGIC[: len(head[:4])] else "junk"
            if following < 0:
                return
            at = following
            continue
        flags, granule, serial, number, _, count = struct.unpack("<xxxxxBqIIIB", head)
        body = at + 27 + count
        stop = body + sum(data[at + 27 : body])
        if stop > end:
            following = data.find(_MAGIC, at + 4)
            yield "ends within a page" if following < 0 else "damaged"
            if following < 0:
                return
            at = following
            continue
        page = bytes(data[at:stop])
        sound = checksum(page[:22] + bytes(4) + page[26:]) == int.from_bytes(page[22:26], "little")
        if not sound:
            following = data.find(_MAGIC, at + 4)
            yield _Page(at, stop, flags, granule, serial, number, body, False)
            at = following if 0 <= following < stop or (data[stop : stop + 4] != _MAGIC and following >= 0) else stop
            continue
        yield _Page(at, stop, flags, granule, serial, number, body, True)
        at = stop


def survey_ogg(data: FileBytes) -> Survey:
    """Survey an Ogg file: chained streams, streams side by side, pages that are damaged or missing."""
    links: list[_Link] = []
    damage: list[str] = []
    _go_through(data, links, damage)
    if not links:
        return Survey(damage=damage[0] if damage else None)
    for link in links:
        for stream in link.streams.values():
            if not stream.ended and stream.codec != "Skeleton":
                damage.append(f"it ends at {_time(links, link)}, and its last page does not say that it is the last")
    kinds = [sorted({stream.codec for stream in link.streams.values()}) for link in links]
    for one, other in itertools.pairwise(kinds):
        if {*one} - {"Skeleton"} != {*other} - {"Skeleton"}:
            words = f"goes on with {' and '.join(other)} after {' and '.join(one)}"
            return Survey([], refusal=f"{words}; take it apart, and clean each alone")
    names = {name for kind in kinds for name in kind}
    foreign = _foreign(links, kinds[0])
    if names == {"FLAC"} and len(links) > 1 and not any(link.breaks or len(link.streams) > 1 for link in links):
        return Survey([_unwrapped(data, link) for link in links], damage[0] if damage else None, wrapped=True)
    if foreign is None and "Opus" in names and any(link.breaks for link in links):
        foreign = f"{damage[0]}, and libsndfile does not tell where Opus goes on"
    alone = len(links) == 1 and links[0].start == 0 and not links[0].breaks
    parts = [Part()] if alone else [part for link in links for part in _parts(data, link)]
    sound = sum(link.only.sound for link in links)
    nominal, first = _nominal(links[0].only), links[0]
    head = data[first.start : first.body_start] if names == {"Vorbis"} and nominal is None else b""
    return Survey(parts, damage[0] if damage else None, 0, foreign, sound, nominal=nominal, head=head)


def _go_through(data: FileBytes, links: list[_Link], damage: list[str]) -> None:
    """Note the links of a file, and what is damaged in it."""
    known = 0
    for page in _pages(data):
        if isinstance(page, str):
            if links:
                damage.append(f"it {page}" if page.startswith("ends") else f"bytes are damaged at {_time(links)}")
            continue
        if not page.sound:
            damage.append(f"a page is damaged at {_time(links)}")
            continue
        _take(data, page, links, damage)
        if links and links[-1].pages and len(damage) > known:  # since the page before this one
            links[-1].breaks += [page.start] * (len(links[-1].pages) > 1)
            known = len(damage)


def places_behind_damage(data: FileBytes) -> list[int]:
    """Bytes at which the first page behind each damage of an Ogg file begins."""
    links: list[_Link] = []
    damage: list[str] = []
    _go_through(data, links, damage)
    return [place for link in links for place in link.breaks]


def _parts(data: FileBytes, link: _Link) -> list[Part]:
    """A link as a decoder reads it: whole, or the stretches between damage, each behind the pages of the header."""
    header = [Stretch(page.start, page.end - page.start) for page in link.pages if link.body_start > page.start]
    parts: list[Part] = []
    begin = link.start
    for at in [*link.breaks, None]:
        pages = [page for page in link.pages if page.start >= begin and (at is None or page.start < at)]
        begin = at if at is not None else begin
        ends = [page.granule for page in pages if page.granule > 0]
        if not ends:
            continue
        stretches = [Stretch(page.start, page.end - page.start) for page in pages]
        if not parts:
            parts.append(Part(Pieces(data, stretches)))
        else:
            until = Fraction(ends[-1], _granule_rate(link.only))
            parts.append(Part(Pieces(data, [*header, *stretches]), until=until))
    return parts or [Part(Pieces(data, [Stretch(link.start, link.end - link.start)]))]


def _unwrapped(data: FileBytes, link: _Link) -> Part:
    """A link of FLAC as a file of FLAC: what its pages hold, without the words for Ogg in front."""
    first, *rest = link.pages
    begin = first.body + _FLAC_WORDS
    pieces = [Stretch(begin, first.end - begin), *(Stretch(page.body, page.end - page.body) for page in rest)]
    return Part(Pieces(data, pieces), max(0, link.only.granule))


def _nominal(stream: _Stream) -> int | None:
    """The bit rate in bit/s that the header of Vorbis names, None if there is none."""
    if stream.codec != "Vorbis" or len(stream.head) < 24:
        return None
    nominal = int.from_bytes(stream.head[20:24], "little", signed=True)
    return nominal if nominal > 0 else None


def _foreign(links: list[_Link], names: list[str]) -> str | None:
    """Say why libsndfile cannot read it as it is; None if it can. names: of the codecs in each link."""
    if max(len(link.streams) for link in links) > 1:
        return f"it holds {' and '.join(names)} side by side"
    return None if names[0] in ("Vorbis", "Opus") else f"it holds {names[0]} in Ogg"


def _take(data: FileBytes, page: _Page, links: list[_Link], damage: list[str]) -> None:
    """Count a page to its stream, or begin a stream or a link with it."""
    if page.flags & _FIRST:
        head = bytes(data[page.body : page.body + 64])
        codec = next((name for magic, name in CODECS.items() if head.startswith(magic)), "something unknown")
        if not links or any(stream.pages > 1 for stream in links[-1].streams.values()):
            links.append(_Link(page.start, page.end))
        links[-1].streams[page.serial] = _Stream(codec, head)
    if not links:
        damage.append("its first page is missing")
        return
    link = links[-1]
    stream = link.streams.get(page.serial)
    if stream is None:
        damage.append(f"a page of an unknown stream lies at {_time(links)}")
        return
    if page.number != stream.number + 1 and not (stream.number == -1 or page.flags & _FIRST):
        damage.append(f"pages are missing at {_time(links)}")
    stream.number, stream.pages = page.number, stream.pages + 1
    stream.ended = stream.ended or bool(page.flags & _LAST)
    if page.granule >= 0:
        stream.granule = page.granule
    if stream.granule > 0 or page.granule < 0 < stream.sound:
        stream.sound += page.end - page.body
    link.end = page.end
    link.pages.append(page)


def _time(links: list[_Link], last: _Link | None = None) -> str:
    """Time at the end of what was seen of the links, up to the last one."""
    seconds = 0.0
    for link in links:
        stream = link.only
        seconds += max(0, stream.granule) / _granule_rate(stream)
        if link is last:
            break
    return clock(seconds, 1)


def _granule_rate(stream: _Stream) -> int:
    if stream.codec == "Vorbis" and len(stream.head) >= 16:
        return max(1, int.from_bytes(stream.head[12:16], "little"))
    if stream.codec == "Opus":
        return _OPUS_RATE
    if stream.codec == "FLAC" and len(stream.head) >= 38:
        return max(1, int.from_bytes(stream.head[27:30], "big") >> 4)
    return max(1, int.from_bytes(stream.head[36:40], "little")) if stream.codec == "Speex" else _OPUS_RATE
