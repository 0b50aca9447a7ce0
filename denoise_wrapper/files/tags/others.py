"""Tags of Vorbis comments (FLAC, Ogg), MP4, ASF and APE, to ours and back."""

from __future__ import annotations

import base64
import contextlib
import struct
from typing import Any

from denoise_wrapper.files.tags.fields import APE_NAMES, ASF_TEXT, MP4_TEXT, PAIRS, Picture, Tags

_PICTURE = "metadata_block_picture"
_FREEFORM = "----:com.apple.iTunes:"
_MP4_NUMBERS = {"tracknumber": "trkn", "discnumber": "disk"}
_MP4_MIME = {13: "image/jpeg", 14: "image/png"}
_APE_COVER = "Cover Art (Front)"
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
    from mutagen.mp4 import MP4Cover

    if file.tags is None:
        file.add_tags()
    file.tags.clear()
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


def from_asf(file: Any) -> Tags:
    """Make tags of an ASF (WMA) file that mutagen opened; its pictures are of a kind of their own and stay away."""
    ours, tags = {theirs.lower(): name for name, theirs in ASF_TEXT.items()}, Tags(native=file.tags)
    for key, value in file.tags or ():
        if key != "WM/Picture":
            tags.add(ours.get(key.lower(), key), str(value))
    return tags


def to_asf(tags: Tags, file: Any) -> None:
    """Put tags into an ASF file that mutagen opened."""
    for name, values in tags.texts.items():
        file.tags[ASF_TEXT.get(name, name)] = values


def from_ape(found: Any) -> Tags:
    """Make tags of mutagen's APEv2."""
    tags = Tags(native=found)
    for key, value in found.items():
        name = _APE_OURS.get(key.lower(), key.lower())
        if key.lower().startswith("cover art"):
            data = bytes(value.value).partition(b"\0")[2]
            tags.pictures.append(Picture(data, "image/png" if data[:4] == b"\x89PNG" else "image/jpeg"))
        elif name in PAIRS:
            tags.add_numbered(name, str(value))
        elif value.kind == 0:
            tags.add(name, *value)
    return tags


def to_ape(tags: Tags, made: Any) -> None:
    """Put tags into mutagen's APEv2."""
    from mutagen.apev2 import BINARY, APEValue

    for name, values in tags.texts.items():
        if name in PAIRS:
            made[APE_NAMES[name]] = tags.numbered(name)
        elif name not in PAIRS.values():
            made[APE_NAMES.get(name, name.title() if len(name) > 1 else f"{name}_")] = values
    if tags.pictures:
        first = tags.pictures[0]
        made[_APE_COVER] = APEValue(b"cover\0" + first.data, BINARY)
