"""FLAC as it lies on disk: the header's promise, the frames behind it, and where sound goes on after damage.

Bits of STREAMINFO and of a frame's header are those of RFC 9639.
"""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from denoise_wrapper.files.containers.parts import Part, Survey, clock
from denoise_wrapper.files.containers.pieces import FileBytes, Pieces, Stretch, find_all

_MAGIC, _BEGIN = b"fLaC", b"fLaC\0\0\0\x22"  # of the file; with the head of STREAMINFO, which always comes first
_BEGIN_LAST = b"fLaC\x80\0\0\x22"  # where no other metadata follows
_INFO_END = 8 + 34
_AHEAD = 1 << 16  # bytes that a decoder reads ahead, at most
_TAILS = (1 << 14, 1 << 17, 1 << 21)  # bytes at the end, in which the last frame is looked for
_BLOCKS = [0, 192, 576, 1152, 2304, 4608, 0, 0, *(256 << n for n in range(8))]
_RATES = [0, 88200, 176400, 192000, 8000, 16000, 22050, 24000, 32000, 44100, 48000, 96000]
_BITS = [0, 8, 12, 0, 16, 20, 24, 32]


@dataclass(frozen=True)
class StreamInfo:
    """The header's words: block in frames, rate in Hz, and the number of frames, 0 if unknown."""

    block: int
    rate: int
    channels: int
    bits: int
    total: int


@dataclass(frozen=True)
class Frame:
    """A frame by its header: where it begins, in bytes and in frames of sound, and how long it is, in frames."""

    start: int
    sample: int
    count: int


def _crc_table(polynomial: int, bits: int) -> list[int]:
    table = []
    for value in range(256):
        crc = value << (bits - 8)
        for _ in range(8):
            crc = (crc << 1) ^ (polynomial if crc >> (bits - 1) & 1 else 0)
        table.append(crc & ((1 << bits) - 1))
    return table


_CRC8, _CRC16 = _crc_table(0x07, 8), _crc_table(0x8005, 16)


def _crc8(data: bytes) -> int:
    crc = 0
    for byte in data:
        crc = _CRC8[crc ^ byte]
    return crc


def _crc16(data: bytes) -> int:
    crc = 0
    for byte in data:
        crc = (crc << 8 & 0xFF00) ^ _CRC16[crc >> 8 ^ byte]
    return crc


def begins_flac(head: bytes) -> bool:
    """Tell if these bytes are the beginning of a FLAC file."""
    return head.startswith(_MAGIC)


def stream_info(data: FileBytes, start: int = 0) -> StreamInfo | None:
    """Read STREAMINFO of a file that begins at start; None if it is not there."""
    if data[start : start + 8] not in (_BEGIN, _BEGIN_LAST) or len(data) < start + _INFO_END:
        return None
    packed = int.from_bytes(data[start + 18 : start + 26], "big")
    return StreamInfo(
        struct.unpack(">H", data[start + 8 : start + 10])[0],
        packed >> 44, (packed >> 41 & 7) + 1, (packed >> 36 & 31) + 1, packed & ((1 << 36) - 1),
    )  # fmt: skip


def survey_flac(data: FileBytes, read_to: int | None = None) -> Survey:
    """Survey a FLAC file: one whose length is unknown or wrong, several joined, junk in front, or cut short.

    A file that ends as its header says is whole, or it is several of one length: to look for others in all of it takes
    a tenth of the time of decoding it, so it is left `unsearched`. read_to: the byte to which the decoder of the first
    one has read, behind which others are looked for then; None before that.
    """
    if read_to is None:
        info = stream_info(data)
        if info is not None and _is_sound(info) and _ends_as_promised(data, info):
            return Survey([Part(None, info.total)], unsearched=True)
    elif not find_all(data, _MAGIC, max(_INFO_END, read_to - _AHEAD)):
        return Survey()
    starts = _starts(data)
    if not starts:
        return Survey()
    parts, damage, tail = [], None, 0
    for start, end in zip(starts, [*starts[1:], len(data)], strict=True):
        info = stream_info(data, start)
        if info is None:
            return Survey()
        info = _mended(data, start, info)
        last = _last_frame(data, start, end, info)
        count = info.total if last is None else last.sample + last.count
        whole = len(starts) == 1 and start == 0
        if info.total and count < info.total:
            damage = damage or f"its header promises {info.total} frames, and it ends after {clock(count, info.rate)}"
            tail = info.total - count if end == len(data) else 0
        if whole and count <= info.total:
            parts.append(Part(None, count))
        else:
            parts.append(Part(_with_total(data, start, end, count), count or None))
    return Survey(parts, damage, tail)


def _starts(data: FileBytes) -> list[int]:
    """Places at which a FLAC file begins: one, or more where several were joined."""
    infos = ((at, stream_info(data, at)) for at in find_all(data, _MAGIC))
    return [at for at, info in infos if info is not None and _is_sound(info)]


def _is_sound(info: StreamInfo) -> bool:
    """Tell if a header is one of FLAC, not bytes that look like it."""
    return info.rate > 0 and info.block >= 16


def _ends_as_promised(data: FileBytes, info: StreamInfo) -> bool:
    last = _last_frame(data, 0, len(data), _mended(data, 0, info)) if info.total else None
    return last is not None and last.sample + last.count == info.total


def _mended(data: FileBytes, start: int, info: StreamInfo) -> StreamInfo:
    """Take the length of a block from the first frame, where the header names another; numbers count by it."""
    at = start + 4
    while at + 4 < len(data):  # from block of metadata to block of metadata
        head = data[at : at + 4]
        at += 4 + int.from_bytes(head[1:4], "big")
        if head[0] & 0x80:
            break
    first = data[at : at + 16]
    frame = _frame(first, at, info) if len(first) == 16 and first[:1] == b"\xff" and first[1] & 0xFE == 0xF8 else None
    return info if frame is None or first[1] & 1 else dataclasses.replace(info, block=frame.count)


def _with_total(data: FileBytes, start: int, end: int, total: int) -> Pieces:
    """A file whose header says its number of frames, and no checksum of sound that it may not be that of."""
    head = bytearray(data[start : start + _INFO_END])
    head[21] = head[21] & 0xF0 | total >> 32 & 0x0F
    head[22:26] = (total & 0xFFFFFFFF).to_bytes(4, "big")
    head[26:42] = bytes(16)
    return Pieces(data, [bytes(head), Stretch(start + _INFO_END, end - start - _INFO_END)])


def _last_frame(data: FileBytes, start: int, end: int, info: StreamInfo) -> Frame | None:
    """The last whole frame before end; None if there is none in the last stretch that could hold one.

    One that ends where the header says that sound does is taken as whole: its decoder looks at its checksum.
    """
    for tail in _TAILS:
        low = max(start + _INFO_END, end - tail)
        window = data[low:end]
        at = window.rfind(b"\xff")
        while at >= 0:
            frame = _frame_at(window, at, info)
            if frame is not None and (frame.sample + frame.count == info.total or _is_whole(window, at)):
                return Frame(low + at, frame.sample, frame.count)
            at = window.rfind(b"\xff", 0, at)
    return None


def _is_whole(window: bytes, start: int) -> bool:
    """Tell if the frame that begins at start is whole and sound.

    A frame ends with a checksum over all of it: where one does, another begins, or only padding and tags follow.
    """
    crc = 0
    for at in range(start, len(window)):
        crc = (crc << 8 & 0xFF00) ^ _CRC16[crc >> 8 ^ window[at]]
        if crc == 0 and at - start >= 8:  # a frame with its checksum behind it sums up to nothing
            rest = window[at + 1 : at + 4]
            if not rest or rest[:2] in (b"\xff\xf8", b"\xff\xf9") or rest in (b"TAG", b"APE", b"\0\0\0", b"ID3"):
                return True
    return False


def _frames(window: FileBytes | bytes, low: int, info: StreamInfo) -> Iterator[Frame]:
    """Frames by headers that fit the file's and whose checksum is right, from low on."""
    at = window.find(b"\xff", low)
    while at >= 0:
        frame = _frame_at(window, at, info)
        if frame is not None:
            yield frame
        at = window.find(b"\xff", at + 1)


def _frame_at(window: FileBytes | bytes, at: int, info: StreamInfo) -> Frame | None:
    head = bytes(window[at : at + 16])
    return _frame(head, at, info) if len(head) > 6 and head[1] & 0xFE == 0xF8 else None


def _frame(head: bytes, at: int, info: StreamInfo) -> Frame | None:
    block_code, rate_code, channel_code, bits_code = head[2] >> 4, head[2] & 15, head[3] >> 4, head[3] >> 1 & 7
    if not block_code or rate_code == 15 or head[3] & 1 or bits_code == 3 or channel_code > 10:
        return None
    if (channel_code + 1 if channel_code < 8 else 2) != info.channels or _BITS[bits_code] not in (0, info.bits):
        return None
    if rate_code < 12 and _RATES[rate_code] not in (0, info.rate):
        return None
    number, end = _coded(head, 4)
    if number is None:
        return None
    extra = {6: 1, 7: 2}.get(block_code, 0)
    count = int.from_bytes(head[end : end + extra], "big") + 1 if extra else _BLOCKS[block_code]
    end += extra + {12: 1, 13: 2, 14: 2}.get(rate_code, 0)
    if end >= len(head) or _crc8(head[:end]) != head[end]:
        return None
    variable = head[1] & 1
    return Frame(at, number if variable else number * info.block, count)


def _coded(head: bytes, at: int) -> tuple[int | None, int]:
    """A number coded as UTF-8 codes characters, to 36 bits, and where it ends."""
    first = head[at]
    if first < 0x80:
        return first, at + 1
    length = 0
    while first << length & 0x80:
        length += 1
    rest = head[at + 1 : at + length]
    if not 2 <= length <= 7 or len(rest) != length - 1 or any(byte & 0xC0 != 0x80 for byte in rest):
        return None, at
    number = first & (0x7F >> length)
    for byte in rest:
        number = number << 6 | byte & 0x3F
    return number, at + length


def resume_after(data: FileBytes, done: int, from_byte: int) -> tuple[Part, int] | None:
    """Find where sound goes on after damage.

    done: frames before the damage. from_byte: where to begin to look. Returns the part, whose gap is the frames that
    are gone, and the byte at which it begins; None if nothing follows.
    """
    info = stream_info(data)
    if info is None:
        return None
    info = _mended(data, 0, info)
    for frame in _frames(data, max(from_byte, _INFO_END), info):
        if frame.sample >= done and (not info.total or frame.sample < info.total):
            file = _resumed(data, frame.start)
            return Part(file, None, 0, frame.sample - done), frame.start
    return None


def _resumed(data: FileBytes, start: int) -> Pieces:
    """A file of unknown length whose frames are those from a byte on."""
    words = bytearray(data[0:_INFO_END])
    words[21] &= 0xF0
    words[22:42] = bytes(20)
    words[4] |= 0x80  # the last block of metadata
    return Pieces(data, [bytes(words), Stretch(start, len(data) - start)])
