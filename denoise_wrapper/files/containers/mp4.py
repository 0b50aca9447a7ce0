"""MP4 and QuickTime as they lie on disk: a file in fragments made one with an index, as players like it best.

FFmpeg's muxer keeps some 90 bytes for each packet until it writes the index, which is most of what a long film takes;
of a file in fragments it keeps nothing. Here the fragments' own tables become the index, 4 to 6 bytes a packet.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

OPTIONS = {"movflags": "+delay_moov+default_base_moof+skip_trailer", "frag_duration": "1000000"}  # of FFmpeg's muxers
_HEAD = struct.Struct(">I4s")
_MOST_IN_32 = (1 << 32) - 1
_SHIFTED = 1 << 20  # bytes that are moved at a time
_NOT_SYNC = 0x10000  # flag of a sample that decoding cannot begin with
# What trun may say of each sample, in this order.
_DURATION, _SIZE, _FLAGS, _LATER = 0x100, 0x200, 0x400, 0x800
_PLAIN_BRANDS = {b"iso5": b"isom", b"iso6": b"iso2"}  # which files in fragments name, and others
_ROLL = {b"mp4a": -1}  # packets that a decoder needs before one, by the name of the codec
_OPUS_ROLL_S = 0.08

Box = tuple[bytes, bytes]  # its name, its content


@dataclass
class Runs:
    """A column of a table, of which equal values in a row are kept once."""

    values: array[int] = field(default_factory=lambda: array("q"))
    counts: array[int] = field(default_factory=lambda: array("I"))

    def extend(self, column: NDArray[np.int64]) -> None:
        if not len(column):
            return
        begins = np.flatnonzero(np.diff(column, prepend=column[0] - 1))
        counts = np.diff(begins, append=len(column))
        for value, count in zip(column[begins].tolist(), counts.tolist(), strict=True):
            self.append(value, count)

    def append(self, value: int, count: int = 1) -> None:
        if self.values and self.values[-1] == value:
            self.counts[-1] += count
        else:
            self.values.append(value)
            self.counts.append(count)

    def pop(self) -> int:
        """Take the last value away."""
        value = self.values[-1]
        self.counts[-1] -= 1
        if not self.counts[-1]:
            del self.values[-1], self.counts[-1]
        return value

    def column(self) -> NDArray[np.uint32]:
        """All values, where none is negative."""
        return np.repeat(np.array(self.values, np.uint32), np.array(self.counts, np.intp))

    def table(self, value_type: str) -> bytes:
        """(count, value) pairs behind their number, as stts and ctts have them. value_type: ">u4" or ">i4"."""
        pairs = np.empty(len(self.values), np.dtype([("count", ">u4"), ("value", value_type)]))
        pairs["count"], pairs["value"] = self.counts, self.values
        return struct.pack(">I", len(pairs)) + pairs.tobytes()


NONE: Mapping[int, Runs] = {}


@dataclass
class Track:
    """The samples of a track, which are the packets of FFmpeg, in as few bytes as may be.

    end: decode time behind the last one. last: the latest time of presentation.
    """

    durations: Runs = field(default_factory=Runs)
    later: Runs = field(default_factory=Runs)
    kinds: Runs = field(default_factory=Runs)
    unneeded: Runs = field(default_factory=Runs)
    sizes: array[int] = field(default_factory=lambda: array("I"))
    places: array[int] = field(default_factory=lambda: array("Q"))
    runs: Runs = field(default_factory=Runs)
    end: int = 0
    last: int = 0

    def add(self, begin: int, place: int, columns: dict[int, NDArray[np.int64]]) -> None:
        """Append a run of samples that lie one behind the other. begin: decode time. place: in bytes of the file."""
        if self.sizes and begin != self.end:  # only the next fragment tells how long the last sample really is
            duration = max(0, self.durations.pop() + begin - self.end)
            self.durations.append(duration)
            self.end = begin
        self.durations.extend(columns[_DURATION])
        self.later.extend(columns[_LATER])
        self.kinds.extend(columns[_FLAGS])
        self.sizes.frombytes(columns[_SIZE].astype(np.uint32).tobytes())
        self.places.append(place)
        self.runs.append(len(columns[_SIZE]))
        ends = self.end + np.cumsum(columns[_DURATION])
        self.last = max(self.last, int((ends + columns[_LATER]).max(initial=0)))
        self.end = int(ends[-1])


def join_fragments(file: BinaryIO, index_first: bool, unneeded: Mapping[int, Runs] = NONE) -> None:
    """Give a file of fragments the index of one without, in place.

    file: open for reading and writing, as FFmpeg's muxer leaves it with `OPTIONS`. index_first: whether the index goes
    before the sound, which moves all of that. unneeded: by numbers of tracks, for each sample 1 if no other one depends
    on it, else 0, which fragments do not say.
    """
    size = file.seek(0, 2)
    tops = {kind: (at, length) for at, kind, length in _boxes(file, 0, size, until=b"moof")}
    at, length = tops[b"moov"]
    file.seek(at + _HEAD.size)
    moov = file.read(length - _HEAD.size)
    tracks = _read_fragments(file, at + length, size)
    for number, runs in unneeded.items():
        tracks.setdefault(number, Track()).unneeded = runs
    _plain_brands(file, *tops[b"ftyp"])
    if index_first:
        shift = len(_index(moov, tracks, 0, size))
        shift = len(_index(moov, tracks, shift, size))
        _move(file, at, size, shift)
        file.seek(at)
        file.write(_index(moov, tracks, shift, size))
        at += shift
    # What were the fragments' tables is left lying between the samples: nothing points there.
    file.seek(at)
    file.write(struct.pack(">I4sQ", 1, b"mdat", size - tops[b"moov"][0]))
    if not index_first:
        file.seek(size)
        file.write(_index(moov, tracks, 0, size))


def _boxes(file: BinaryIO, at: int, end: int, until: bytes = b"") -> list[tuple[int, bytes, int]]:
    """(place, name, length) of boxes that lie one behind the other, up to one of a name."""
    found: list[tuple[int, bytes, int]] = []
    while at + _HEAD.size <= end:
        file.seek(at)
        length, kind = _HEAD.unpack(file.read(_HEAD.size))
        if length == 1:
            length = int.from_bytes(file.read(8), "big")
        if length < _HEAD.size or kind == until:
            break
        found.append((at, kind, length))
        at += length
    return found


def _read_fragments(file: BinaryIO, at: int, end: int) -> dict[int, Track]:
    tracks: dict[int, Track] = {}
    while at + _HEAD.size <= end:
        file.seek(at)
        length, kind = _HEAD.unpack(file.read(_HEAD.size))
        if length == 1:
            length = int.from_bytes(file.read(8), "big")
        if length < _HEAD.size:
            break
        if kind == b"moof":
            for name, content in _inside(file.read(length - _HEAD.size)):
                if name == b"traf":
                    _read_track(content, at, tracks)
        at += length
    return tracks


def _read_track(traf: bytes, base: int, tracks: dict[int, Track]) -> None:
    """Append what a fragment has of a track. base: where the fragment begins in the file."""
    number, begin = 0, 0
    usual: dict[int, int] = {}
    for kind, content in _inside(traf):
        flags = int.from_bytes(content[1:4], "big")
        if kind == b"tfhd":
            number = int.from_bytes(content[4:8], "big")
            at = 8 + 8 * bool(flags & 1) + 4 * bool(flags & 2)
            for flag, column in ((0x8, _DURATION), (0x10, _SIZE), (0x20, _FLAGS)):
                if flags & flag:
                    usual[column] = int.from_bytes(content[at : at + 4], "big")
                    at += 4
        elif kind == b"tfdt":
            begin = int.from_bytes(content[4:], "big")
        elif kind == b"trun":
            track = tracks.setdefault(number, Track())
            count, offset = struct.unpack_from(">Ii", content, 4)
            track.add(begin, base + offset, _columns(content, flags, count, usual))
            begin = track.end


def _columns(trun: bytes, flags: int, count: int, usual: dict[int, int]) -> dict[int, NDArray[np.int64]]:
    """What a run says of each of its samples, int64 (count,), as the fragment has it usually where it does not."""
    at = 12 + 4 * bool(flags & 4)
    given = [column for column in (_DURATION, _SIZE, _FLAGS, _LATER) if flags & column]
    table = np.frombuffer(trun, ">u4", count * len(given), at).reshape(count, len(given))
    columns = {column: np.full(count, usual.get(column, 0), np.int64) for column in (_DURATION, _SIZE, _FLAGS, _LATER)}
    for place, column in enumerate(given):
        columns[column] = table[:, place].astype(np.int64)
    columns[_LATER] = columns[_LATER].astype(np.int32).astype(np.int64)
    if flags & 4 and count:
        columns[_FLAGS][0] = int.from_bytes(trun[12:16], "big")
    return columns


def _inside(content: bytes) -> list[Box]:
    """The boxes that a box is made of."""
    boxes, at = [], 0
    while at + _HEAD.size <= len(content):
        length, kind = _HEAD.unpack_from(content, at)
        if length < _HEAD.size:
            break
        boxes.append((kind, content[at + _HEAD.size : at + length]))
        at += length
    return boxes


def _box(kind: bytes, *contents: bytes) -> bytes:
    content = b"".join(contents)
    return _HEAD.pack(_HEAD.size + len(content), kind) + content


def _plain_brands(file: BinaryIO, at: int, length: int) -> None:
    """Name the brands of a file without fragments."""
    file.seek(at)
    ftyp = file.read(length)
    words = [ftyp[place : place + 4] for place in range(8, length, 4)]
    file.seek(at + 8)
    file.write(b"".join(_PLAIN_BRANDS.get(word, word) for word in words))


def _move(file: BinaryIO, begin: int, end: int, shift: int) -> None:
    """Move what is in a file from begin to end by so many bytes towards its end."""
    while end > begin:
        start = max(begin, end - _SHIFTED)
        file.seek(start)
        piece = file.read(end - start)
        file.seek(start + shift)
        file.write(piece)
        end = start


def _index(moov: bytes, tracks: dict[int, Track], shift: int, size: int) -> bytes:
    """The index of a file without fragments, of the one that fragments begin with.

    shift: bytes by which the samples move. size: of the file.
    """
    boxes = _inside(moov)
    scale = next(_scale_of(content, 12) for kind, content in boxes if kind == b"mvhd")
    made, longest = [], 0
    for kind, content in boxes:
        if kind == b"trak":
            trak, duration = _trak(content, tracks, scale, shift, shift + size > _MOST_IN_32)
            longest = max(longest, duration)
            made.append((kind, trak))
        elif kind != b"mvex":
            made.append((kind, content))
    return _box(
        b"moov",
        *(_box(kind, _with_duration(content, 12, longest) if kind == b"mvhd" else content) for kind, content in made),
    )


def _scale_of(content: bytes, at: int) -> int:
    """The ticks a second of an mvhd or mdhd. at: of it in version 0."""
    at += 8 if content[0] == 1 else 0
    return int.from_bytes(content[at : at + 4], "big")


def _with_duration(content: bytes, scale_at: int, duration: int) -> bytes:
    """An mvhd, mdhd or tkhd of another duration; of version 1 if it needs 64 bits.

    scale_at: where in version 0 the word before the duration is, 12, or its two words' last, 16.
    """
    if content[0] == 1:
        at = scale_at + 12
        return content[:at] + struct.pack(">Q", duration) + content[at + 8 :]
    at = scale_at + 4
    if duration <= _MOST_IN_32:
        return content[:at] + struct.pack(">I", duration) + content[at + 4 :]
    times = struct.unpack_from(">II", content, 4)
    return (
        b"\x01"
        + content[1:4]
        + struct.pack(">QQ", *times)
        + content[12:at]
        + struct.pack(">Q", duration)
        + (content[at + 4 :])
    )


def _trak(trak: bytes, tracks: dict[int, Track], scale: int, shift: int, wide: bool) -> tuple[bytes, int]:
    """The content of a trak with lengths and tables, and how long it is shown, in ticks of the film.

    scale: ticks a second of the film. wide: whether places need 64 bits.
    """
    boxes = dict(_inside(trak))
    head = boxes[b"tkhd"]
    track = tracks.get(int.from_bytes(head[20:24] if head[0] == 1 else head[12:16], "big"), Track())
    media = dict(_inside(boxes[b"mdia"]))
    ticks = _scale_of(media[b"mdhd"], 12)
    edits, shown = _edits(dict(_inside(boxes[b"edts"])).get(b"elst") if b"edts" in boxes else None, track, ticks, scale)
    made = []
    for kind, content in _inside(trak):
        if kind == b"tkhd":
            content = _with_duration(content, 16, shown)
        elif kind == b"edts" and edits:
            content = _box(b"elst", edits)
        elif kind == b"mdia":
            content = _media(content, track, shift, wide, ticks)
        made.append(_box(kind, content))
    return b"".join(made), shown


def _edits(elst: bytes | None, track: Track, ticks: int, scale: int) -> tuple[bytes, int]:
    """A list of edits whose last one lasts to the track's end, and how long all of them are, in ticks of the film."""
    if elst is None:
        return b"", -(-track.last * scale // ticks)
    form = np.dtype([("long", ">u8"), ("begin", ">i8"), ("rate", ">u4")])
    if elst[0] == 0:
        form = np.dtype([("long", ">u4"), ("begin", ">i4"), ("rate", ">u4")])
    edits = np.frombuffer(elst, form, int.from_bytes(elst[4:8], "big"), 8).astype(
        [("long", ">u8"), ("begin", ">i8"), ("rate", ">u4")]
    )
    if len(edits) and edits["begin"][-1] >= 0:
        edits["long"][-1] = -(-max(0, track.last - int(edits["begin"][-1])) * scale // ticks)
    shown = int(edits["long"].sum())
    if edits["long"].max(initial=0) > _MOST_IN_32 or edits["begin"].max(initial=0) > _MOST_IN_32 // 2:
        return b"\x01\0\0\0" + struct.pack(">I", len(edits)) + edits.tobytes(), shown
    narrow = edits.astype([("long", ">u4"), ("begin", ">i4"), ("rate", ">u4")])
    return bytes(4) + struct.pack(">I", len(edits)) + narrow.tobytes(), shown


def _media(mdia: bytes, track: Track, shift: int, wide: bool, ticks: int) -> bytes:
    made = []
    for kind, content in _inside(mdia):
        if kind == b"mdhd":
            content = _with_duration(content, 12, track.end)
        elif kind == b"minf":
            inside = _inside(content)
            content = b"".join(
                _box(name, _tables(dict(_inside(held)), track, shift, wide, ticks) if name == b"stbl" else held)
                for name, held in inside
            )
        made.append(_box(kind, content))
    return b"".join(made)


def _tables(stbl: dict[bytes, bytes], track: Track, shift: int, wide: bool, ticks: int) -> bytes:
    """The tables of a track's samples: lengths, order, sync, places."""
    kinds = track.kinds.column()
    made = [_box(b"stsd", stbl[b"stsd"]), _box(b"stts", bytes(4), track.durations.table(">u4"))]
    sync = kinds & _NOT_SYNC == 0
    if not sync.all():
        numbers = (np.flatnonzero(sync) + 1).astype(">u4")
        made.append(_box(b"stss", struct.pack(">II", 0, len(numbers)), numbers.tobytes()))
    if any(track.unneeded.values):
        depending = (kinds >> 20 & 0xF3 | track.unneeded.column() << 3).astype(np.uint8)
        made.append(_box(b"sdtp", bytes(4), depending.tobytes()))
    if len(track.later.values) > 1 or any(track.later.values):
        signed = min(track.later.values) < 0
        made.append(_box(b"ctts", bytes([signed, 0, 0, 0]), track.later.table(">i4")))
    made.append(_box(b"stsc", bytes(4), _chunks(track.runs)))
    sizes = np.frombuffer(track.sizes, np.uint32)
    alike = int(sizes[0]) if len(sizes) and (sizes == sizes[0]).all() else 0
    made.append(
        _box(b"stsz", struct.pack(">III", 0, alike, len(sizes)), b"" if alike else sizes.astype(">u4").tobytes())
    )
    places = (np.frombuffer(track.places, np.uint64) + np.uint64(shift)).astype(">u8" if wide else ">u4")
    made.append(_box(b"co64" if wide else b"stco", struct.pack(">II", 0, len(places)), places.tobytes()))
    made += _rolls(stbl[b"stsd"], track, ticks)
    return b"".join(made)


def _chunks(runs: Runs) -> bytes:
    """The content of stsc behind its flags: from which chunk on there are how many samples in each."""
    firsts = np.cumsum(np.array([1, *runs.counts], np.int64))[:-1]
    rows = np.ones((len(firsts), 3), ">u4")
    rows[:, 0], rows[:, 1] = firsts, runs.values
    return struct.pack(">I", len(rows)) + rows.tobytes()


def _rolls(stsd: bytes, track: Track, ticks: int) -> list[bytes]:
    """How many packets before one a decoder has to hear, for codecs with a memory."""
    kind = stsd[12:16]
    roll = _ROLL.get(kind, 0)
    if kind == b"Opus" and track.durations.values:
        roll = -int(np.ceil(_OPUS_ROLL_S * ticks / max(1, track.durations.values[0])))
    if not roll or not track.sizes:
        return []
    group = struct.pack(">B3x4sIIh", 1, b"roll", 2, 1, roll)
    return [_box(b"sgpd", group), _box(b"sbgp", struct.pack(">I4sIII", 0, b"roll", 1, len(track.sizes), 1))]
