"""All that goes on into a target beside the sound: read from an open source, written when the target is whole."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

from denoise_wrapper.files.containers.riff import extensible, read_riff
from denoise_wrapper.files.tags.chunks import Chunks, add_texts, homeless, id3_of, made_chunks, read_chunks, with_id3
from denoise_wrapper.files.tags.fields import MASK, PAIRS, Picture, Tags
from denoise_wrapper.files.tags.files import mask_of, missing_mutagen, read_id3, read_tags, takes_tags, write_tags
from denoise_wrapper.files.tags.id3 import to_id3
from denoise_wrapper.files.tags.others import CUESHEET, from_ffmpeg, to_ffmpeg
from denoise_wrapper.wording import few

_RF64_CHUNKS_AT = 48  # behind its ds64
_FLAC_PADDING_AT = 42  # behind STREAMINFO
_WITH_ID3 = ("RIFF", "RIFX", "FORM")  # kinds of chunks among which ID3 is one
_ROOM = 2048  # bytes of padding more than the tags need, so that a name can be changed without moving the sound
# Masks that a file has without a word, by channels; readers do not agree on those of more.
_USUAL = {1: 4, 2: 3}
_PLAIN = ("title", "copyright", "software", "artist", "comment", "date", "album", "license", "tracknumber", "genre")


@dataclass
class Carried:
    """What a source has beside its sound.

    tags: None for none. mask: of channels, None if it says none. kind_of_samples: the GUID of a WAV's format.
    magic: the first four bytes of the file. basic: the texts that libsndfile knows, for where mutagen is absent.
    missing: what is lost then.
    """

    tags: Tags | None = None
    chunks: Chunks = field(default_factory=Chunks)
    mask: int | None = None
    kind_of_samples: bytes | None = None
    channels: int = 1
    magic: bytes = b""
    basic: dict[str, str] = field(default_factory=dict)
    missing: str | None = None

    def prepare(self, kind: str, form: str) -> tuple[Chunks, int, bytes]:
        """Lay out what goes into a target: its chunks, and bytes to be put at a place while it is written.

        kind: of container, as `Chunks.kind`. form: libsndfile's. Returns (chunks, place, bytes).
        """
        chunks = self._chunks_for(kind)
        if kind == "RIFF":
            return chunks, _RF64_CHUNKS_AT if form == "RF64" else 12, chunks.laid(before=True)
        if form == "FLAC" and (size := self._size()):
            size = min(size + _ROOM, (1 << 24) - 1)
            return chunks, _FLAC_PADDING_AT, b"\x01" + size.to_bytes(3, "big") + bytes(size)
        if form == "MP3" and self.missing is None and self._size():
            return chunks, 0, _as_id3(self._all_texts())  # in front at once: to put it there later moves all sound
        return chunks, 0, b""

    def _chunks_for(self, kind: str) -> Chunks:
        """The chunks of a target: those of the source, or what its tags say, with its tags as ID3."""
        if self.chunks.kind == kind:
            cleaned = self.tags is not None and self.tags.dropped
            return with_id3(self.chunks, _as_id3(self.tags)) if cleaned and self.tags else self.chunks
        tags = self._all_texts()
        chunks = made_chunks(kind, tags)
        return (
            with_id3(chunks, _as_id3(tags)) if kind in _WITH_ID3 and self.missing is None and self._size() else chunks
        )

    def _size(self) -> int:
        """Bytes that the tags take, about; 0 for none."""
        tags = self._all_texts()
        texts = sum(len(name) + len(value.encode()) + 8 for name, values in tags.texts.items() for value in values)
        blocks = sum(len(each.write()) + 4 for each in tags.blocks)
        return texts + sum(len(each.data) + 256 for each in tags.pictures) + blocks

    def plain(self, form: str) -> dict[str, str]:
        """Texts for libsndfile to write, where mutagen cannot; those that it would garble are left out."""
        if self.missing is None:
            return {}
        latin = form == "MP3"  # libsndfile says Latin-1 there, whatever it writes
        texts = {name: text for name, text in self.basic.items() if name in _PLAIN}
        return {name: text for name, text in texts.items() if not latin or text.isascii()}

    def finish(self, part: Path, kind: str, whole: bool) -> list[str]:
        """Write the tags into the finished target. whole: as long as the source. Returns what was not kept."""
        same, notes = self.chunks.kind == kind, list[str]()
        tags = (self.tags if same else self._all_texts()) or Tags()
        if tags.blocks and not (kind == "FLAC" and whole):
            tags.blocks, notes = self._places_kept(kind, tags.blocks, notes)
        if self.missing is not None:
            notes += [self.missing] * bool(self.basic)
        elif kind not in _WITH_ID3 and (tags.texts or tags.pictures or tags.native or tags.blocks or kind == "OGG"):
            notes += write_tags(part, tags, in_chunks=kind == "caff")
        if tags.dropped:
            notes.append(_left_out(tags))
        if kind == "RIFX" and self.mask is not None and self.mask != _USUAL.get(self.channels):
            notes.append("its mask of channels is left out: a big-endian WAV has no word for it")
        if same or self.chunks.kind == "W64":
            notes += self.chunks.notes
        elif (lost := homeless(self.chunks)) is not None:
            notes.append(lost)
        if not whole and any(True for _ in self.chunks.pieces):
            notes.append("marks that count frames are left out where frames were dropped")
        return notes

    def _places_kept(self, kind: str, blocks: list[Any], notes: list[str]) -> tuple[list[Any], list[str]]:
        """Blocks of FLAC that go into a target of a kind, and notes about the others."""
        kept = [each for each in blocks if kind == "FLAC" and each.code != CUESHEET]
        lost = {"its cue sheet" if each.code == CUESHEET else "what programs keep in it" for each in blocks}
        lost -= {"what programs keep in it"} if kind == "FLAC" else set()
        why = "where frames were dropped" if kind == "FLAC" else "for which there is no place"
        return kept, [*notes, f"{' and '.join(sorted(lost))} left out, {why}"]

    def finish_media(self, part: Path, held: Callable[[], dict[str, str]], same: bool) -> list[str]:
        """Write the tags into a finished file of FFmpeg's, where that has not kept them.

        held: gives what FFmpeg reads of it. same: whether it is of the source's container, so that what mutagen does
        not know is there already. Returns what was not kept.
        """
        notes: list[str] = self.chunks.notes if self.chunks.kind == "W64" else []
        tags = self._all_texts()
        tags.texts.pop(MASK, None)
        if tags.blocks and not same:
            tags.blocks, notes = self._places_kept("", tags.blocks, notes)
        if tags.dropped:
            notes.append(_left_out(tags))
        if (lost := homeless(self.chunks)) is not None:
            notes.append(lost)
        if self.missing is not None:
            return notes + [self.missing] * bool(self.basic)
        if (not tags.texts and not tags.pictures) or (same and tags.native is None):  # what FFmpeg read, it wrote
            return notes
        if takes_tags(part):
            now = read_tags(part) or Tags()
            now.texts.pop("encoder", None)
            wanted = {name: values for name, values in tags.texts.items() if name != "encoder"}
            pictures = [picture.data for picture in tags.pictures]
            if now.texts != wanted or [picture.data for picture in now.pictures] != pictures or now.dropped:
                notes += write_tags(part, tags)
        elif not same:
            kept = from_ffmpeg(held()).texts
            absent = [name for name in tags.texts if name not in kept and name not in ("encoder", *PAIRS.values())]
            if absent:
                notes.append(f"it has no place for {few(sorted(absent))}")
        return notes

    def for_ffmpeg(self) -> dict[str, str]:
        """The tags as FFmpeg's metadata, for containers that mutagen does not write."""
        tags = self._all_texts()
        tags.texts.pop(MASK, None)
        return to_ffmpeg(tags)

    def _all_texts(self) -> Tags:
        """The tags with what chunks say in words, and with the mask where it is not the usual one."""
        tags = Tags() if self.tags is None else Tags(
            {name: list(values) for name, values in self.tags.texts.items()},
            list(self.tags.pictures), list(self.tags.dropped), self.tags.native, list(self.tags.blocks),
            set(self.tags.joined),
        )  # fmt: skip
        add_texts(self.chunks, tags)
        tags.texts.pop(MASK, None)
        if self.mask is not None and self.mask != _USUAL.get(self.channels):
            tags.texts[MASK] = [f"0x{self.mask:04X}"]
        return tags


def _left_out(tags: Tags) -> str:
    return f"{few(sorted(set(tags.dropped)))} left out: the level is another one now"


def _as_id3(tags: Tags) -> bytes:
    """A tag to stand in front of MPEG audio."""
    file = BytesIO()
    to_id3(tags).save(file)
    return file.getvalue()


def carried_of(source: Any) -> Carried:
    """Read what a source has beside its sound; of one that libsndfile does not read, its tags alone."""
    missing = missing_mutagen()
    carried = Carried(channels=source.channels, missing=missing)
    data = getattr(source, "data", None)
    if data is not None:
        carried.chunks = read_chunks(data)
        riff = read_riff(data)
        if riff is not None and (found := extensible(data, riff)) is not None:
            carried.mask, carried.kind_of_samples = found
        carried.magic = data[0:4]
        carried.basic = source.file.copy_metadata()
    if missing is None:
        in_chunk = carried.chunks.kind in _WITH_ID3
        carried.tags = read_id3(id3_of(carried.chunks)) if in_chunk else read_tags(source.facts.path)
        if carried.tags is None and hasattr(source, "container"):  # one that FFmpeg reads and mutagen does not
            carried.tags = from_ffmpeg(source.metadata)
            carried.tags.pictures += [Picture(data, mime) for mime, data in source.pictures()]
    if carried.mask is None:
        carried.mask = mask_of(carried.tags)
    return carried
