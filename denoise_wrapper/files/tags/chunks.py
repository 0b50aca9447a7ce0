"""Chunks of WAV, AIFF and CAF files that hold no sound: texts, broadcast data, marks; carried as they are."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from denoise_wrapper.files.containers.pieces import FileBytes
from denoise_wrapper.files.containers.riff import read_riff
from denoise_wrapper.files.tags.fields import INFO, Tags

# Chunks that the target has of its own, or that are room for others.
_OWN = {
    b"fmt ", b"data", b"fact", b"ds64", b"PEAK", b"JUNK", b"junk", b"PAD ", b"FLLR", b"slnt", b"wavl", b"COMM", b"SSND",
    b"FVER", b"desc", b"free", b"pakt", b"kuki", b"peak",
}  # fmt: skip
_W64 = b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\0\0"  # its first bytes
_LEVELS = {b"levl", b"ovvw"}  # pictures of the sound as it was
_PLACES = {b"cue ", b"smpl", b"MARK", b"mark", b"plst", b"regn", b"labl", b"adtl"}  # count frames from the beginning
_ID3 = {b"id3 ", b"ID3 "}
_AIFF_TEXTS = {b"NAME": "title", b"AUTH": "artist", b"(c) ": "copyright", b"ANNO": "comment"}
# Of a bext chunk: where its version lies, and its five measures of loudness, of which 0x7FFF says "not measured".
_BEXT_VERSION, _BEXT_LOUDNESS, _UNMEASURED = 346, slice(412, 422), struct.pack("<5h", *[0x7FFF] * 5)


@dataclass(frozen=True)
class Piece:
    """A chunk that goes on: its name, its content, and whether it stood before the sound."""

    name: bytes
    content: bytes
    before: bool


@dataclass
class Chunks:
    """The chunks of a file. kind: of container, "RIFF", "RIFX", "FORM" or "caff". notes: what is left out."""

    kind: str = ""
    pieces: list[Piece] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def names(self) -> list[str]:
        """Names of the chunks, each once."""
        return sorted({piece.name.decode("latin-1").strip() for piece in self.pieces})

    def laid(self, before: bool, places: bool = True) -> bytes:
        """Those that go before the sound, or behind it: in all kinds but RIFF all go behind.

        places: with those that count frames of the sound, which go behind.
        """
        order = ">" if self.kind in ("RIFX", "FORM") else "<"
        out = b""
        for piece in self.pieces:
            counted = piece.name in _PLACES or piece.content[:4] == b"adtl"
            first = piece.before and not counted and self.kind == "RIFF"
            if first == before and (places or not counted):
                out += _chunk(piece.name, piece.content, order, self.kind == "caff")
        return out


def _chunk(name: bytes, content: bytes, order: str, long: bool = False) -> bytes:
    if long:
        return name + struct.pack(">q", len(content)) + content
    return name + struct.pack(f"{order}I", len(content)) + content + b"\0" * (len(content) % 2)


def read_chunks(data: FileBytes) -> Chunks:
    """Read the chunks of a file that go on into one of its kind."""
    if data[0:16] == _W64:
        return _named_of_w64(data)
    listed = _listed(data)
    if listed is None:
        return Chunks()
    kind, places = listed
    chunks, seen_sound = Chunks(kind), False
    for name, start, size in places:
        if name in (b"data", b"SSND"):
            seen_sound = True
        elif name in _LEVELS:
            chunks.notes.append(f"the chunk {name.decode().strip()} is left out: it pictures the sound as it was")
        elif name not in _OWN:
            content = data[start : start + size]
            if name == b"bext":
                content = _without_loudness(content, chunks)
            chunks.pieces.append(Piece(name, content, not seen_sound))
    return chunks


def _named_of_w64(data: FileBytes) -> Chunks:
    """Name the chunks of a W64 file, which are not carried: their names are of 16 bytes, sizes count all of a chunk."""
    at, names = 40, list[str]()
    while at + 24 <= len(data):
        name, size = data[at : at + 4], int.from_bytes(data[at + 16 : at + 24], "little")
        if name not in _OWN and name.strip(b"\0"):
            names.append(name.decode("latin-1").strip())
        at += max(24, size + -size % 8)
    return Chunks("W64", [], [f"chunks of W64 are left out: {', '.join(names)}"] if names else [])


def _listed(data: FileBytes) -> tuple[str, list[tuple[bytes, int, int]]] | None:
    """Kind of container and its chunks, (name, start, size)."""
    riff = read_riff(data)
    if riff is not None:
        kind = {b"RF64": "RIFF", b"BW64": "RIFF"}.get(riff.kind, riff.kind.decode())
        return kind, [(chunk.name, chunk.start, chunk.size) for chunk in riff.chunks]
    if data[0:4] != b"caff":
        return None
    at, places = 8, []
    while at + 12 <= len(data):
        name, size = data[at : at + 4], struct.unpack(">q", data[at + 4 : at + 12])[0]
        size = len(data) - at - 12 if size < 0 else min(size, len(data) - at - 12)
        places.append((name, at + 12, size))
        at += 12 + size
    return "caff", places


def _without_loudness(content: bytes, chunks: Chunks) -> bytes:
    """A bext chunk whose measures of loudness say that nothing was measured."""
    if len(content) < 602 or struct.unpack_from("<H", content, _BEXT_VERSION)[0] < 2:
        return content
    if content[_BEXT_LOUDNESS] != _UNMEASURED:
        chunks.notes.append("the loudness in its bext chunk is left out: it is another one now")
    return content[: _BEXT_LOUDNESS.start] + _UNMEASURED + content[_BEXT_LOUDNESS.stop :]


def add_texts(chunks: Chunks, tags: Tags) -> None:
    """Add what the chunks say in words to the tags, where these do not say it already."""
    known = set(tags.texts)
    for piece in chunks.pieces:
        if piece.name == b"LIST" and piece.content[:4] == b"INFO":
            for key, text in _info(piece.content[4:], ">" if chunks.kind == "RIFX" else "<"):
                name = next((name for name, theirs in INFO.items() if theirs == key), None)
                name = {"IPRT": "tracknumber"}.get(key, key.lower()) if name is None else name
                if name not in known:
                    tags.add(name, text)
        elif piece.name in _AIFF_TEXTS and _AIFF_TEXTS[piece.name] not in known:
            tags.add(_AIFF_TEXTS[piece.name], decoded(piece.content.rstrip(b"\0")))
        elif piece.name == b"info" and chunks.kind == "caff":
            words = piece.content[4:].split(b"\0")
            for name_word, value in zip(words[::2], words[1::2], strict=False):
                tags.add(decoded(name_word).lower(), decoded(value))


def _info(content: bytes, order: str) -> list[tuple[str, str]]:
    """Entries of a LIST chunk of texts."""
    at, entries = 0, []
    while at + 8 <= len(content):
        size = struct.unpack_from(f"{order}I", content, at + 4)[0]
        text = decoded(content[at + 8 : at + 8 + size].rstrip(b"\0"))
        entries.append((content[at : at + 4].decode("latin-1"), text))
        at += 8 + size + size % 2
    return entries


def decoded(text: bytes) -> str:
    """Text whose encoding nothing tells: UTF-8 where it is that, else that of Windows, which most have who are not."""
    for encoding in ("utf-8", "cp1252"):
        try:
            return text.decode(encoding)
        except UnicodeDecodeError:
            continue
    return text.decode("latin-1")


def id3_of(chunks: Chunks) -> bytes:
    """The content of the chunk that holds ID3; empty if there is none."""
    return next((piece.content for piece in chunks.pieces if piece.name in _ID3), b"")


def with_id3(chunks: Chunks, content: bytes) -> Chunks:
    """Chunks with ID3 in the place of what they had, or behind all others."""
    name = b"ID3 " if chunks.kind == "FORM" else b"id3 "
    held = [piece.name in _ID3 for piece in chunks.pieces]
    pieces = [
        Piece(piece.name, content, piece.before) if is_id3 else piece
        for piece, is_id3 in zip(chunks.pieces, held, strict=True)
    ]
    return Chunks(chunks.kind, pieces if any(held) else [*pieces, Piece(name, content, False)], chunks.notes)


def made_chunks(kind: str, tags: Tags) -> Chunks:
    """Make the chunks that say in words what tags of another container do."""
    chunks = Chunks(kind)
    if kind in ("RIFF", "RIFX"):
        order = ">" if kind == "RIFX" else "<"
        entries = b"".join(
            _chunk(INFO[name].encode(), "; ".join(values).encode() + b"\0", order)
            for name, values in tags.texts.items() if name in INFO
        )  # fmt: skip
        if entries:
            chunks.pieces.append(Piece(b"LIST", b"INFO" + entries, before=False))
    elif kind == "FORM":
        for key, name in _AIFF_TEXTS.items():
            if name in tags.texts:
                chunks.pieces.append(Piece(key, "; ".join(tags.texts[name]).encode(), before=False))
    elif kind == "caff" and tags.texts:
        words = b"".join(f"{name}\0{'; '.join(values)}\0".encode() for name, values in tags.texts.items())
        chunks.pieces.append(Piece(b"info", struct.pack(">I", len(tags.texts)) + words, before=False))
    return chunks


def homeless(chunks: Chunks) -> str | None:
    """Say which chunks have no place in a target of another kind; None if there are none but texts."""
    names = [piece.name.decode("latin-1").strip() for piece in chunks.pieces if not _is_text(piece, chunks.kind)]
    return f"it has no place for the chunks {', '.join(sorted(set(names)))}" if names else None


def _is_text(piece: Piece, kind: str) -> bool:
    return (
        piece.content[:4] == b"INFO"
        or piece.name in _AIFF_TEXTS
        or piece.name in _ID3
        or (kind, piece.name) == ("caff", b"info")
    )
