"""RIFF and its kin (WAV, RF64, BW64, RIFX) and AIFF as they lie on disk: chunks, and sizes that are not true."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from denoise_wrapper.files.containers.parts import Part, Survey
from denoise_wrapper.files.containers.pieces import FileBytes, Pieces, Stretch

UNKNOWN = 0x7FFF0000  # bytes; who writes into a pipe promises this much or more, or nothing
_FORMS = {b"RIFF": b"WAVE", b"RIFX": b"WAVE", b"RF64": b"WAVE", b"BW64": b"WAVE", b"FORM": b"AIFF"}
_EXTENSIBLE = 0xFFFE
_SPEAKERS_AT, _KIND_AT = 20, 24  # of the mask of channels and of the kind of samples, in an extensible format chunk
_ADPCM, _IMA, _GSM = 2, 0x11, 0x31  # codecs that come in whole blocks


@dataclass(frozen=True)
class Chunk:
    """A chunk by its name, and where its content lies, in bytes. size: as far as the file holds it."""

    name: bytes
    start: int
    size: int
    promised: int


@dataclass(frozen=True)
class Riff:
    """A file of chunks. order: "<" or ">", as struct has it. end: bytes, by its own word; all if it has none."""

    kind: bytes
    order: str
    end: int
    chunks: list[Chunk]

    def find(self, name: bytes) -> Chunk | None:
        """The first chunk of a name; None if there is none."""
        return next((chunk for chunk in self.chunks if chunk.name == name), None)


def begins_riff(head: bytes) -> bool:
    """Tell if these bytes are the beginning of a WAV, RF64, BW64, RIFX or AIFF file."""
    form = _FORMS.get(head[:4])
    return form is not None and (head[8:12] == form or (head[:4] == b"FORM" and head[8:12] == b"AIFC"))


def read_riff(data: FileBytes, start: int = 0) -> Riff | None:
    """List the chunks of a file that begins at start, looked for once; None if it is of another kind."""
    if ("riff", start) not in data.found:
        data.found["riff", start] = _read_riff(data, start)
    riff: Riff | None = data.found["riff", start]
    return riff


def _read_riff(data: FileBytes, start: int) -> Riff | None:
    if not begins_riff(bytes(data[start : start + 12])):
        return None
    kind = bytes(data[start : start + 4])
    order = ">" if kind in (b"RIFX", b"FORM") else "<"
    size = struct.unpack(f"{order}I", data[start + 4 : start + 8])[0]
    end = len(data) if size >= UNKNOWN or size < 4 else min(len(data), start + 8 + size + size % 2)
    at, chunks = start + 12, []
    long: dict[bytes, int] = {}
    while at + 8 <= len(data):
        name = bytes(data[at : at + 4])
        promised = struct.unpack(f"{order}I", data[at + 4 : at + 8])[0]
        if name == b"ds64" and promised >= 24 and at + 32 <= len(data):
            words = struct.unpack("<QQQ", data[at + 8 : at + 32])
            long = {b"data": words[1]}
            end = min(len(data), start + 8 + words[0]) if words[0] > 4 else len(data)
        elif promised == 0xFFFFFFFF and name in long:
            promised = long[name]
        if at >= end and not (name == b"data" and promised):
            break
        held = min(promised, len(data) - at - 8)
        chunks.append(Chunk(name, at + 8, held, promised))
        at += 8 + promised + promised % 2
    return Riff(kind, order, end, chunks)


def survey_riff(data: FileBytes) -> Survey:
    """Survey a file of chunks: sizes that were never written, several chunks of sound, files joined."""
    riff = read_riff(data)
    if riff is None:
        return Survey()
    parts = [Part()]
    kind = b"SSND" if riff.kind == b"FORM" else b"data"
    sound = [chunk for chunk in riff.chunks if chunk.name == kind]
    if kind == b"data" and len(sound) > 1:
        parts = [Part(_one_chunk(data, riff, sound))]
    elif kind == b"data" and sound and _unfinished(data, riff, sound[0]):
        only = sound[0]
        rest = Chunk(b"data", only.start, len(data) - only.start, 0)
        parts = [Part(_one_chunk(data, riff, [rest]))]
    elif riff.kind == b"RIFX" and sound and extensible(data, riff) is not None:  # which no reader knows
        parts = [Part(_one_chunk(data, riff, sound[:1]))]
    elif riff.kind == b"BW64":
        parts = [Part(Pieces(data, [b"RF64", Stretch(4, len(data) - 4)]))]
    joined = riff.end + data[riff.end : riff.end + 2].count(0) if riff.end < len(data) else len(data)
    for start in (riff.end, joined):
        if read_riff(data, start) is not None:
            first = parts[0] if parts[0].file is not None else Part(Pieces(data, [Stretch(0, riff.end)]))
            return Survey([first, *_behind(data, start)])
    return Survey(parts)


def _behind(data: FileBytes, start: int) -> list[Part]:
    """Parts of files that follow the first one."""
    parts = []
    while (riff := read_riff(data, start)) is not None:
        parts.append(Part(Pieces(data, [Stretch(start, riff.end - start)])))
        start = riff.end
    return parts


def _unfinished(data: FileBytes, riff: Riff, sound: Chunk) -> bool:
    """A chunk of sound of no bytes with a file behind it, written by what never came back to its header."""
    size = struct.unpack(f"{riff.order}I", data[4:8])[0]
    finished = riff.end == len(data) and size >= sound.start - 8 and size < UNKNOWN
    return sound.promised == 0 and not finished and len(data) > sound.start


def _one_chunk(data: FileBytes, riff: Riff, sound: list[Chunk]) -> Pieces:
    """A file with all the chunks of sound in one, and of RIFX with a plain format chunk."""
    total = sum(chunk.size for chunk in sound)
    fmt = riff.find(b"fmt ")
    words = bytes(data[fmt.start : fmt.start + fmt.size]) if fmt is not None else b""
    if riff.kind == b"RIFX" and (found := extensible(data, riff)) is not None:
        words = struct.pack(">H", struct.unpack("<H", found[1][:2])[0] or found[1][1]) + words[2:16]
    body = struct.pack(f"{riff.order}4sI", b"fmt ", len(words)) + words + b"\0" * (len(words) % 2)
    size = min(4 + len(body) + 8 + total, 0xFFFFFFFF)
    magic = riff.kind if riff.kind in (b"RIFF", b"RIFX") else b"RIFF"
    head = magic + struct.pack(f"{riff.order}I", size) + b"WAVE" + body
    head += struct.pack(f"{riff.order}4sI", b"data", min(total, 0xFFFFFFFF))
    return Pieces(data, [head, *(Stretch(chunk.start, chunk.size) for chunk in sound)])


def extensible(data: FileBytes, riff: Riff) -> tuple[int, bytes] | None:
    """The mask of channels and the kind of samples of an extensible format chunk; None for a plain one."""
    fmt = riff.find(b"fmt ")
    if fmt is None or fmt.size < _KIND_AT + 16:
        return None
    if _tag(data, riff, fmt) != _EXTENSIBLE:
        return None
    at = fmt.start + _SPEAKERS_AT
    mask = struct.unpack(f"{riff.order}I", data[at : at + 4])[0]
    return mask, bytes(data[fmt.start + _KIND_AT : fmt.start + _KIND_AT + 16])


def block_frames(data: FileBytes, riff: Riff) -> int:
    """Frames in a block of a codec that has only whole ones; 0 for other codecs."""
    fmt = riff.find(b"fmt ")
    if fmt is None or fmt.size < 20 or _tag(data, riff, fmt) not in (_ADPCM, _IMA, _GSM):
        return 0
    return int(struct.unpack(f"{riff.order}H", data[fmt.start + 18 : fmt.start + 20])[0])


def fact_frames(data: FileBytes, riff: Riff, held: int) -> int:
    """Frames of sound in a file of such a codec, of which the last block may hold fewer, as its fact chunk tells.

    held: those that libsndfile counts, which makes a block of a byte of padding. A fact chunk that is further away
    than a block is not true, as some programs write them.
    """
    fact, block = riff.find(b"fact"), block_frames(data, riff)
    fmt, sound = riff.find(b"fmt "), riff.find(b"data")
    if not block or fmt is None or sound is None:
        return held
    size = int(struct.unpack(f"{riff.order}H", data[fmt.start + 12 : fmt.start + 14])[0])
    held = min(held, sound.size // max(1, size) * block)
    if fact is None or fact.size < 4:
        return held
    frames = int(struct.unpack(f"{riff.order}I", data[fact.start : fact.start + 4])[0])
    return frames if held - block < frames <= held else held


def _tag(data: FileBytes, riff: Riff, fmt: Chunk) -> int:
    """The codec by the number that a format chunk begins with."""
    return int(struct.unpack(f"{riff.order}H", data[fmt.start : fmt.start + 2])[0])
