"""Files whose length their headers tell: what lies behind their end, and whether their index is there."""

from __future__ import annotations

from denoise_wrapper.files.containers.pieces import FileBytes

_MOST_BOXES = 64  # of an MP4 that are looked at; one in fragments has many
_FRAGMENTED = {b"moof", b"styp"}
_BOXES = {b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot"}  # what an MP4 or MOV begins with
_TTA_HEADER, _TTA_RATE, _TTA_BLOCK = 22, 245, 256  # bytes; a frame has as many samples as 256/245 s
_UNKNOWN = 0xFFFFFFFF


def begins_mp4(head: bytes) -> bool:
    """Tell if these bytes are the beginning of an MP4 or MOV file."""
    return head[4:8] in _BOXES


def refusal(data: FileBytes) -> str | None:
    """Say, as a predicate with advice, why a file cannot be cleaned whatever is asked; None if it may be.

    Of MP4, TTA, AU, W64 and CAF, of which readers look at no byte behind the end, nor for sound without an index.
    """
    if begins_mp4(data[0:8]):
        end, indexed = _mp4(data)
        if not indexed:
            return (
                "was cut short: its index (moov) is missing, which such files have at their end and which says where "
                "the sound is; copy it anew from where it was made, or let a program that restores an index mend it"
            )
    else:
        known = {b"TTA1": _end_of_tta, b".snd": _end_of_au, b"riff": _end_of_w64, b"caff": _end_of_caf}
        end_of = known.get(data[0:4])
        end = None if end_of is None else end_of(data)
    word = slice(4, 8) if begins_mp4(data[0:8]) else slice(0, 4)
    if end is not None and data[end + word.start : end + word.stop] == data[word]:
        return f"has another file behind its end, from byte {end} on, which would be lost; cut it there, and clean both"
    return None


def _mp4(data: FileBytes) -> tuple[int | None, bool]:
    """Where a second file begins, None for nowhere; and whether there is an index, or no telling."""
    at, kinds = 0, set[bytes]()
    for _ in range(_MOST_BOXES):
        head = data[at : at + 16]
        kind, size = head[4:8], int.from_bytes(head[:4], "big")
        if len(head) < 8 or kind in _FRAGMENTED:
            break
        if kind == b"ftyp" and at and b"moov" in kinds:
            return at, True
        kinds.add(kind)
        size = int.from_bytes(head[8:16], "big") if size == 1 else len(data) - at if size == 0 else size
        if size < 8:
            return None, True
        at += size
    return None, at < len(data) or b"moov" in kinds


def _end_of_tta(data: FileBytes) -> int:
    rate, samples = (int.from_bytes(data[at : at + 4], "little") for at in (10, 14))
    frames = -(-samples // max(1, _TTA_BLOCK * rate // _TTA_RATE))
    table = data[_TTA_HEADER : _TTA_HEADER + 4 * frames]
    sizes = sum(int.from_bytes(table[at : at + 4], "little") for at in range(0, len(table), 4))
    end = _TTA_HEADER + 4 * frames + 4 + sizes
    if data[end : end + 8] == b"APETAGEX":  # which counts what follows its first 32 bytes
        end += 32 + int.from_bytes(data[end + 12 : end + 16], "little")
    return end + (128 if data[end : end + 3] == b"TAG" else 0)


def _end_of_au(data: FileBytes) -> int | None:
    start, size = (int.from_bytes(data[at : at + 4], "big") for at in (4, 8))
    return None if size == _UNKNOWN else start + size


def _end_of_w64(data: FileBytes) -> int:
    return int.from_bytes(data[16:24], "little")


def _end_of_caf(data: FileBytes) -> int | None:
    at = 8
    while (head := data[at : at + 12]) and head[:4] != b"caff":
        size = int.from_bytes(head[4:], "big", signed=True)
        if size < 0:
            return None
        at += 12 + size
    return at
