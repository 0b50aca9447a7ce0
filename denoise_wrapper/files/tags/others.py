"""Tags of Vorbis comments (FLAC, Ogg), MP4, ASF and APE, to ours and back."""

from __future__ import annotations

import base64
import contextlib
import struct
from typing import Any

from denoise_wrapper.files.tags.fields import APE_NAMES, ASF_TEXT, MP4_TEXT, PAIRS, Picture, Tags, tells_level
from denoise_wrapper.wording import count

_APPLICATION, CUESHEET = 2, 5  # blocks of a FLAC file
_PICTURE = "metadata_block_picture"
_FREEFORM = "----:com.apple.iTunes:"
_MP4_NUMBERS = {"tracknumber": "trkn", "discnumber": "disk"}
_MP4_MIME = {13: "image/jpeg", 14: "image/png"}
# What APE calls pictures, by ID3's numbers of their kinds.
_APE_COVERS = [
    f"Cover Art ({kind})" for kind in (
        "Other", "Icon", "Other Icon", "Front", "Back", "Leaflet", "Media", "Lead Artist", "Artist", "Conductor",
        "Band", "Composer", "Lyricist", "Recording Location", "During Recording", "During Performance",
        "Video Capture", "Fish", "Illustration", "Band Logotype", "Publisher Logotype",
    )
]  # fmt: skip
_APE_OURS = {theirs.lower(): ours for ours, theirs in APE_NAMES.items()}


def from_vorbis(file: Any) -> Tags:
    """Make tags of a FLAC or Ogg file that mutagen opened."""
    tags = Tags(native=file.tags)
    for name, value in file.tags or ():
        if name.lower() == _PICTURE:
            with contextlib.suppress(ValueError, struct.error):
                tags.pictures.append(_from_block(base64.b64decode(value)))
        elif name.lower() in PAIRS:
            tags.add_numbered(name.lower(), value)
        else:
            tags.add({"totaltracks": "tracktotal", "totaldiscs": "disctotal"}.get(name.lower(), name), value)
    tags.pictures += [
        Picture(each.data, each.mime, each.type, each.desc, (each.width, each.height, each.depth, each.colors))
        for each in getattr(file, "pictures", [])
    ]
    tags.blocks = [each for each in getattr(file, "metadata_blocks", []) if each.code in (_APPLICATION, CUESHEET)]
    return tags


def _from_block(data: bytes) -> Picture:
    from mutagen import MutagenError
    from mutagen.flac import Picture as Block

    try:
        block = Block(data)
    except MutagenError as error:
        raise ValueError(str(error)) from error
    size = (block.width, block.height, block.depth, block.colors)
    return Picture(block.data, block.mime, block.type, block.desc, size)


def _block(picture: Picture) -> Any:
    from mutagen.flac import Picture as Block

    block = Block()
    block.data, block.mime, block.type, block.desc = picture.data, picture.mime, picture.kind, picture.text
    block.width, block.height, block.depth, block.colors = picture.size
    return block


def to_vorbis(tags: Tags, file: Any) -> None:
    """Put tags into a FLAC or Ogg file that mutagen opened, in place of those it has."""
    if file.tags is None:
        file.add_tags()
    file.tags.clear()
    for name, values in tags.texts.items():
        file.tags[_vorbis_name(name)] = values
    if hasattr(file, "add_picture"):
        file.clear_pictures()
        for picture in tags.pictures:
            file.add_picture(_block(picture))
        file.metadata_blocks += tags.blocks
    elif tags.pictures:
        blocks = [base64.b64encode(_block(picture).write()).decode() for picture in tags.pictures]
        file.tags[_PICTURE.upper()] = blocks


def _vorbis_name(name: str) -> str:
    """A name that Vorbis comments may have: printable ASCII but "="."""
    return "".join(each if " " <= each <= "}" and each != "=" else "_" for each in name).upper() or "COMMENT"


def from_mp4(file: Any) -> Tags:
    """Make tags of an MP4 file that mutagen opened."""
    ours, tags = {theirs: name for name, theirs in MP4_TEXT.items()}, Tags(native=file.tags)
    for key, values in (file.tags or {}).items():
        if key in ours:
            tags.add(ours[key], *map(str, values))
        elif key in _MP4_NUMBERS.values():
            name = next(name for name, theirs in _MP4_NUMBERS.items() if theirs == key)
            for number, total in values:
                tags.add(name, str(number or ""))
                tags.add(PAIRS[name], str(total or ""))
        elif key == "covr":
            tags.pictures += [Picture(bytes(each), _MP4_MIME.get(each.imageformat, "image/jpeg")) for each in values]
        elif key.startswith("----:"):
            tags.add(key.rpartition(":")[2], *(bytes(each).decode("utf-8", "replace") for each in values))
        elif key == "tmpo":
            tags.add("bpm", *map(str, values))
    return tags


def to_mp4(tags: Tags, file: Any) -> None:
    """Put tags into an MP4 file that mutagen opened."""
    from mutagen.mp4 import MP4Cover, MP4Tags

    if file.tags is None:
        file.add_tags()
    file.tags.clear()
    if isinstance(tags.native, MP4Tags):  # also what we have no name for
        file.tags.update({key: values for key, values in tags.native.items() if not _tells_level(key)})
        return
    for name, values in tags.texts.items():
        if name in MP4_TEXT:
            file.tags[MP4_TEXT[name]] = values
        elif name in _MP4_NUMBERS and values[0].isdigit():
            total = tags.texts.get(PAIRS[name], ["0"])[0]
            file.tags[_MP4_NUMBERS[name]] = [(int(values[0]), int(total) if total.isdigit() else 0)]
        elif name == "bpm" and values[0].isdigit():
            file.tags["tmpo"] = [int(values[0])]
        elif not (name in PAIRS.values() and any(PAIRS[known] == name and known in tags.texts for known in PAIRS)):
            file.tags[_FREEFORM + name.upper()] = [value.encode() for value in values]
    covers = [(each.data, 14 if each.mime == "image/png" else 13) for each in tags.pictures]
    if covers:
        file.tags["covr"] = [MP4Cover(data, imageformat=kind) for data, kind in covers]


def _tells_level(key: str) -> bool:
    return tells_level(key.rpartition(":")[2])


def from_asf(file: Any) -> Tags:
    """Make tags of an ASF (WMA) file that mutagen opened."""
    ours, tags = {theirs.lower(): name for name, theirs in ASF_TEXT.items()}, Tags(native=file.tags)
    for key, value in file.tags or ():
        if key == "WM/Picture":
            with contextlib.suppress(struct.error, ValueError):
                tags.pictures.append(_from_asf_picture(bytes(value.value)))
        else:
            tags.add(ours.get(key.lower(), key), str(value))
    return tags


def _from_asf_picture(data: bytes) -> Picture:
    """A picture by its kind, its length, and two texts in UTF-16 that end with a zero: what it is, and of what."""
    kind, size = struct.unpack_from("<BI", data)
    texts, at = [], 5
    for _ in range(2):
        end = next(each for each in range(at, len(data), 2) if data[each : each + 2] == b"\0\0")
        texts.append(data[at:end].decode("utf-16-le"))
        at = end + 2
    return Picture(data[at : at + size], texts[0], kind, texts[1])


def _asf_picture(picture: Picture) -> bytes:
    texts = "".join(f"{text}\0" for text in (picture.mime, picture.text)).encode("utf-16-le")
    return struct.pack("<BI", picture.kind, len(picture.data)) + texts + picture.data


def to_asf(tags: Tags, file: Any) -> None:
    """Put tags into an ASF file that mutagen opened, in place of those it has."""
    from mutagen.asf import ASFByteArrayAttribute, ASFTags  # type: ignore[attr-defined]

    file.tags.clear()
    if isinstance(tags.native, ASFTags):  # also what we have no name for
        file.tags.extend((key, value) for key, value in tags.native if not tells_level(key))
        return
    for name, values in tags.texts.items():
        file.tags[ASF_TEXT.get(name, name)] = values
    if tags.pictures:
        file.tags["WM/Picture"] = [ASFByteArrayAttribute(_asf_picture(picture)) for picture in tags.pictures]


def from_ape(found: Any) -> Tags:
    """Make tags of mutagen's APEv2."""
    tags = Tags(native=found)
    for key, value in found.items():
        name = _APE_OURS.get(key.lower(), key.lower())
        if key.lower().startswith("cover art"):
            data = bytes(value.value).partition(b"\0")[2]
            kind = next((kind for kind, cover in enumerate(_APE_COVERS) if cover.lower() == key.lower()), 3)
            tags.pictures.append(Picture(data, "image/png" if data[:4] == b"\x89PNG" else "image/jpeg", kind))
        elif name in PAIRS:
            tags.add_numbered(name, str(value))
        elif value.kind == 0:
            tags.add(name, *value)
    return tags


def to_ape(tags: Tags, made: Any) -> list[str]:
    """Put tags into mutagen's APEv2. Returns what has no place there."""
    from mutagen.apev2 import BINARY, APEv2, APEValue

    made.clear()
    if isinstance(tags.native, APEv2):  # also what we have no name for
        made.update({key: value for key, value in tags.native.items() if not tells_level(key)})
        return []
    for name, values in tags.texts.items():
        if name in PAIRS:
            made[APE_NAMES[name]] = tags.numbered(name)
        elif name not in PAIRS.values():
            made[APE_NAMES.get(name, name.title() if len(name) > 1 else f"{name}_")] = values
    lost = 0
    for picture in tags.pictures:
        key = _APE_COVERS[picture.kind if picture.kind < len(_APE_COVERS) else 0]
        lost += key in made
        made.setdefault(key, APEValue(b"cover\0" + picture.data, BINARY))
    return [count(lost, "picture")] if lost else []


# FFmpeg's names for ours, where they are others; and what it says of a file beside its tags.
_FFMPEG = {"albumartist": "album_artist", "tracknumber": "track", "discnumber": "disc", "encodedby": "encoded_by"}
_NO_TAGS = {
    "compatible_brands", "creation_time", "duration", "encoder", "handler_name", "language", "major_brand",
    "minor_version", "vendor_id",
}  # fmt: skip


def from_ffmpeg(metadata: dict[str, str]) -> Tags:
    """Make tags of the metadata of a file that FFmpeg reads and mutagen does not."""
    ours, tags = {theirs: name for name, theirs in _FFMPEG.items()}, Tags()
    for key, text in metadata.items():
        name = ours.get(key.lower(), key.lower())
        if name in PAIRS:
            tags.add_numbered(name, text)
        elif name not in _NO_TAGS and not name.startswith("_statistics") and "-" not in name:
            tags.add(name, text)
    return tags


def to_ffmpeg(tags: Tags) -> dict[str, str]:
    """Make FFmpeg's metadata of tags; several values are one text."""
    totals = set(PAIRS.values())
    return {
        _FFMPEG.get(name, name): tags.numbered(name) if name in PAIRS else "; ".join(values)
        for name, values in tags.texts.items()
        if name not in totals and name not in _NO_TAGS
    }
