"""MPEG audio as it lies on disk: frames one by one, so that no length is an estimate."""

from __future__ import annotations

import dataclasses
import functools
from dataclasses import dataclass

from denoise_wrapper.files.containers.parts import Part, Survey, clock
from denoise_wrapper.files.containers.pieces import FileBytes, Pieces, Stretch

_RATES = ((11025, 12000, 8000), (), (22050, 24000, 16000), (44100, 48000, 32000))  # by the header's version bits
_V1 = {
    1: (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    2: (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    3: (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
}  # kbit/s by the header's layer bits: 1 is layer III
_V2 = {
    1: (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    2: (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    3: (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
}
DECODER_DELAY = 529  # frames by which every decoder of layer III is late
_MARKS = (b"Xing", b"Info")  # words of a frame that tells of all; a third one, VBRI, has a place of its own
_VARYING = (b"\x03", b"\x04", b"\x05")  # LAME's ways of a constant quality, in the byte behind its name
_MOST_BYTES = 1729  # of a frame: layer II at 384 kbit/s and 32 kHz, padded
_STRIDE = 1 << 17  # bytes of frames that are looked through at once
_SURE = 4  # frames in a row that no noise has


@dataclass(frozen=True)
class _Info:
    """Words of the frame that tells of all: how many frames follow, and what of them is no sound; 0 if not there.

    level: of the quality at which LAME made frames of varying bit rates, 0 the best and 1 the worst; None if not known.
    """

    frames: int
    delay: int
    padding: int
    level: float | None = None


@dataclass
class _Run:
    """Frames one behind the other. start, end: bytes, without the frame that tells of all. lost: frames before it."""

    start: int
    end: int
    frames: int = 0
    info: _Info | None = None
    info_start: int = -1
    lost: int = 0


@functools.cache
def _lengths() -> list[int]:
    """Length in bytes of a frame by the second and third byte of its header; 0 for no header, or a free bit rate."""
    lengths = [0] * 65536
    for second in range(0xE0, 0x100):
        version, layer = second >> 3 & 3, second >> 1 & 3
        if version == 1 or layer == 0:
            continue
        for third in range(256):
            index, rate, padding = third >> 4, third >> 2 & 3, third >> 1 & 1
            if index in (0, 15) or rate == 3:
                continue
            bits = (_V1 if version == 3 else _V2)[layer][index - 1] * 1000
            hertz = _RATES[version][rate]
            if layer == 3:
                lengths[second << 8 | third] = (12 * bits // hertz + padding) * 4
            else:
                lengths[second << 8 | third] = _count(version, layer) // 8 * bits // hertz + padding
    return lengths


def _count(version: int, layer: int) -> int:
    """Samples of a channel in a frame."""
    return 384 if layer == 3 else 576 if layer == 1 and version != 3 else 1152


def begins_mp3(head: bytes) -> bool:
    """Tell if these bytes are the beginning of MPEG audio: a tag, or two frames (three bytes alone may be any)."""
    if head.startswith(b"ID3"):
        return True
    length = _length(head)
    following = head[length : length + 3]
    return length > 0 and (len(following) < 3 or _length(following) > 0)


def holds_mp3(head: bytes) -> bool:
    """Tell if there are frames of MPEG audio somewhere in these bytes: three in a row, with junk in front."""
    at = head.find(b"\xff")
    while at >= 0:
        following, count = at, 0
        while count < _SURE and (length := _length(head[following : following + 3])):
            following, count = following + length, count + 1
        if count == _SURE:
            return True
        at = head.find(b"\xff", at + 1)
    return False


def _length(head: bytes) -> int:
    """Length in bytes of the frame that begins so; 0 if none does."""
    return _lengths()[head[1] << 8 | head[2]] if len(head) > 2 and head[0] == 0xFF else 0


class _Walk:
    """Goes from frame to frame."""

    def __init__(self, data: FileBytes) -> None:
        self.data, self.lengths = data, _lengths()
        self.runs: list[_Run] = []
        self.damage: list[str] = []
        self.changed: str | None = None
        self.cut = False  # its last frame is not whole
        self.kinds: set[int] = set()  # bit rates of frames, as their headers number them
        self.first = b""  # the first header, which all others have to agree with
        self._words = dict.fromkeys((b"\xff", b"ID3", b"TAG", b"APE", b"LYR"), -1)

    @property
    def rate(self) -> int:
        return _RATES[self.first[1] >> 3 & 3][self.first[2] >> 2 & 3]

    @property
    def count(self) -> int:
        return _count(self.first[1] >> 3 & 3, self.first[1] >> 1 & 3)

    def time(self) -> str:
        return clock(sum(run.frames + run.lost for run in self.runs) * self.count, self.rate)

    def go(self) -> None:
        data, at, end = self.data, 0, len(self.data)
        run: _Run | None = None
        while at < end:
            tag = self._tag(at)
            if tag:
                run, at = None, at + tag
                continue
            length = self._length(at)
            if not length or (run is None and not self._sure(at, length)):
                run, at = self._skip_junk(at, run)
                continue
            if at + length > end:
                self.cut = True
                self.damage.append(f"its last frame, at {self.time() if self.runs else '0.00 s'}, is not whole")
                return
            if not self.first:
                self.first = bytes(data[at : at + 4])
            elif not self._agrees(at):
                self.changed = f"its rate or its channels change after {self.time()}"
                return
            info = self._info(at, length)
            if info is not None:
                run = _Run(at + length, at + length, 0, info, at)
                self.runs.append(run)
            else:
                if run is None:
                    run = _Run(at, at)
                    self.runs.append(run)
                run.frames += 1
                run.end = at + length
                self.kinds.add(self.data[at + 2 : at + 3][0] >> 4)
                self._stride(run)
                at = run.end
                continue
            at += length

    def _stride(self, run: _Run) -> None:
        """Go on over the frames of a run that are like the first one, all in one block of the file; there are many."""
        block, lengths, first = self.data[run.end : run.end + _STRIDE], self.lengths, self.first
        tag = 4 + _side(first[1] >> 3 & 3, first[3] >> 6 == 3)
        last = len(block) - _MOST_BYTES
        second, third, mono = first[1] & 0xFE, first[2] & 0x0C, first[3] >> 6 == 3
        at = 0
        while at < last:
            two, three = block[at + 1], block[at + 2]
            length = lengths[two << 8 | three]
            if block[at] != 0xFF or not length or two & 0xFE != second or three & 0x0C != third:
                break
            if (block[at + 3] >> 6 == 3) != mono or block[at + tag : at + tag + 4] in _MARKS or block[at + 36] == 0x56:
                break
            self.kinds.add(three >> 4)
            run.frames += 1
            at += length
        run.end += at

    def _length(self, at: int) -> int:
        head = self.data[at : at + 3]  # as _length, without a call: there are many
        return self.lengths[head[1] << 8 | head[2]] if len(head) == 3 and head[0] == 0xFF else 0

    def _agrees(self, at: int) -> bool:
        """Version, layer, rate, and mono or not, as in the first frame."""
        head, first = self.data[at : at + 4], self.first
        return (
            head[1] & 0xFE == first[1] & 0xFE
            and head[2] & 0x0C == first[2] & 0x0C
            and (head[3] >> 6 == 3) == (first[3] >> 6 == 3)
        )

    def _sure(self, at: int, length: int) -> bool:
        """Another frame follows, or the end: three bytes alone are found in any noise."""
        following = at + length
        return following >= len(self.data) or self._length(following) > 0 or self._tag(following) > 0

    def _tag(self, at: int) -> int:
        """Length of a tag that begins here; 0 for none."""
        head = bytes(self.data[at : at + 32])
        if head[:3] == b"ID3" and len(head) >= 10 and all(byte < 0x80 for byte in head[6:10]):
            size = head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9]
            return 10 + size + (10 if head[5] & 0x10 else 0)
        if head[:3] == b"TAG":
            return 227 if head[:4] == b"TAG+" else 128
        if head[:8] == b"APETAGEX":
            return 32 + (int.from_bytes(head[12:16], "little") if head[23] & 0x20 else 0)  # of a footer, 32 alone
        if head[:11] == b"LYRICSBEGIN":
            stop = self.data.find(b"LYRICS200", at, at + (1 << 20))
            return stop + 9 - at if stop >= 0 else 0
        return 0

    def _skip_junk(self, at: int, run: _Run | None) -> tuple[_Run | None, int]:
        """Go on where frames go on. Bytes lost within a run are damage; zeros and words between files are not."""
        end, begin = len(self.data), at
        while at < end:
            tag = self._tag(at)
            length = self._length(at)
            if tag or (length and self._sure(at, length) and (not self.first or self._agrees(at))):
                break
            at = self._next(at + 1)
        junk = self.data[begin:at]
        idle = not any(junk[:4096]) and not any(junk[4096:])
        if not self.runs or idle or (at == end and len(junk) < 4):
            return None, at
        last = self.runs[-1]
        if at == end:
            if last.info is None or not last.info.frames or last.frames < last.info.frames:
                self.damage.append(f"what follows {self.time()} is no sound")
            return None, end
        if self._tag(at) or self._info(at, self._length(at)) is not None:
            return None, at
        self.damage.append(f"bytes are damaged at {self.time()}")
        mean = max(1.0, (last.end - last.start) / max(1, last.frames))
        new = _Run(at, at, lost=max(1, round((at - last.end) / mean)))
        self.runs.append(new)
        return new, at

    def _next(self, at: int) -> int:
        """The next place from at on where a frame or a tag may begin; the end if there is none."""
        for word, place in self._words.items():
            if place < at:  # each is looked for once between two places
                found = self.data.find(word, at)
                self._words[word] = found if found >= 0 else len(self.data)
        return min(self._words.values())

    def _info(self, at: int, length: int) -> _Info | None:
        """Read the frame that tells of the others; None if this is none."""
        head = self.data[at : at + 4]
        version, mono = head[1] >> 3 & 3, head[3] >> 6 == 3
        tag = at + 4 + _side(version, mono)
        if self.data[tag : tag + 4] not in _MARKS:
            if self.data[at + 36 : at + 40] == b"VBRI":
                return _Info(int.from_bytes(self.data[at + 50 : at + 54], "big"), 0, 0)
            return None
        words = bytes(self.data[tag : at + length])
        flags, place = int.from_bytes(words[4:8], "big"), 8
        frames = int.from_bytes(words[8:12], "big") if flags & 1 else 0
        place += 4 * bool(flags & 1) + 4 * bool(flags & 2) + 100 * bool(flags & 4) + 4 * bool(flags & 8)
        level = None
        if words[place : place + 4] == b"LAME" and flags & 8 and words[place + 9 : place + 10] in _VARYING:
            level = (100 - min(100, int.from_bytes(words[place - 4 : place], "big"))) // 10 / 10
        gapless = words[place + 21 : place + 24]
        if len(gapless) < 3 or not words[place : place + 4].isalnum():
            return _Info(frames, 0, 0)
        return _Info(frames, gapless[0] << 4 | gapless[1] >> 4, (gapless[1] & 15) << 8 | gapless[2], level)


def survey_mp3(data: FileBytes) -> Survey:
    """Survey MPEG audio: several files joined, more or fewer frames than the first one tells, damage."""
    walk = _Walk(data)
    walk.go()
    runs = [run for run in walk.runs if run.frames]
    if walk.changed is not None:
        return Survey([], walk.changed)
    if not runs and walk.runs and walk.runs[0].info is not None:
        return Survey([], f"it promises {walk.runs[0].info.frames} frames of MPEG and holds none")
    if not runs:
        return Survey(foreign="there is no frame of MPEG audio in it")
    damage, tail = list(walk.damage), 0
    promised = runs[0].info.frames if runs[0].info is not None else 0
    group = [run for run in runs if run.info is None or run is runs[0]]
    held = sum(run.frames for run in group)
    if promised > held + 1:  # some count the frame itself
        share = promised - held
        for run in group[1:]:
            run.lost = min(run.lost, share)
            share -= run.lost
        if len(group) > 1 and not walk.cut:  # the promise tells better than bytes how much is gone
            group[-1].lost += share
        else:
            tail = share * walk.count
            damage.insert(0, f"it promises {promised} frames of MPEG and holds {held}")
    # A tag in front or behind makes the decoder doubt its length, and say so on standard error.
    bare = runs[0].info_start == 0 and runs[0].end == len(data)
    single = bare and len(runs) == 1 and not damage and promised == runs[0].frames
    parts = [_part(data, run, walk, alone=single) for run in runs]
    if promised > held + 1 and len(group) > 1 and not walk.cut and runs[0].info is not None:
        last = parts[runs.index(group[-1])]  # the end is there, and what of it is padding
        trimmed = dataclasses.replace(
            last, frames=max(0, (last.frames or 0) - max(0, runs[0].info.padding - DECODER_DELAY))
        )
        parts[parts.index(last)] = trimmed
    sound = sum(run.end - run.start for run in runs)
    # Of whole frames: what an encoder appends has bits too.
    rate = round(8 * sound * walk.rate / (walk.count * sum(run.frames for run in runs)))
    if len(walk.kinds) == 1 and 0 < (index := next(iter(walk.kinds))) < 15:
        version, layer = walk.first[1] >> 3 & 3, walk.first[1] >> 1 & 3
        rate = 1000 * (_V1 if version == 3 else _V2)[layer][index - 1]
    level = runs[0].info.level if runs[0].info is not None else None
    return Survey(parts, damage[0] if damage else None, tail, None, sound, len(walk.kinds) == 1, level, rate)


def _part(data: FileBytes, run: _Run, walk: _Walk, alone: bool) -> Part:
    """A run for the decoder: with the frame that tells of all if that is true, else with one made for it.

    Without such a frame the decoder guesses a length by the size, and reads no further.
    """
    whole, info = run.frames * walk.count, run.info
    if info is not None and info.frames == run.frames:
        file = None if alone else Pieces(data, [Stretch(run.info_start, run.end - run.info_start)])
        return Part(file, max(0, whole - info.delay - info.padding))
    made = _info_frame(walk.first, run.frames)
    if not made:
        return Part(None if alone else Pieces(data, [Stretch(run.start, run.end - run.start)]), whole)
    late = min(DECODER_DELAY, whole)  # which the decoder leaves out
    skip = min(info.delay, whole - late) if info is not None else 0
    gap = run.lost * walk.count + late if run.lost else 0
    file = Pieces(data, [made, Stretch(run.start, run.end - run.start)])
    return Part(file, whole - late - skip, skip, gap)


def _info_frame(header: bytes, frames: int) -> bytes:
    """A frame of silence that tells how many follow; empty for layers I and II, which know none."""
    version, layer = header[1] >> 3 & 3, header[1] >> 1 & 3
    if layer != 1:
        return b""
    side = _side(version, header[3] >> 6 == 3)
    for index in range(1, 15):
        head = bytes([0xFF, header[1] | 1, index << 4 | header[2] & 0x0C, header[3]])
        length = _length(head)
        if length >= 4 + side + 16:
            words = b"Info" + (1).to_bytes(4, "big") + frames.to_bytes(4, "big")
            return (head + bytes(side) + words).ljust(length, b"\0")
    return b""


def _side(version: int, mono: bool) -> int:
    """Bytes between a header of layer III and its sound, where a frame that tells of all has its words."""
    return (17 if mono else 32) if version == 3 else (9 if mono else 17)
