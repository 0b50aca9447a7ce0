"""Tags of ID3, as MP3, WAV and AIFF have them, to ours and back."""

from __future__ import annotations

import copy
from typing import Any

from denoise_wrapper.files.tags.fields import ID3_TEXT, PAIRS, Picture, Tags, tells_level

_NUMBERS = {"tracknumber": "TRCK", "discnumber": "TPOS"}
_OURS = {frame: name for name, frame in ID3_TEXT.items()}
_LEVEL_FRAMES = ("RVA2", "RVAD", "RGAD", "EQU2", "XRVA")


def tells_level_frame(frame: Any) -> bool:
    """Tell if a frame holds a level."""
    return frame.FrameID in _LEVEL_FRAMES or tells_level(getattr(frame, "desc", "") or "")


def from_id3(frames: Any) -> Tags:
    """Make tags of mutagen's ID3."""
    tags = Tags(native=frames)
    for frame in frames.values():
        if tells_level_frame(frame):
            tags.dropped.append(getattr(frame, "desc", "") or frame.FrameID)
        else:
            _take(tags, frame)
    return tags


def _take(tags: Tags, frame: Any) -> None:
    name = frame.FrameID
    numbered = next((ours for ours, theirs in _NUMBERS.items() if theirs == name), None)
    if name == "APIC":
        tags.pictures.append(Picture(frame.data, frame.mime, int(frame.type), frame.desc))
    elif numbered is not None:
        for value in map(str, frame.text):
            tags.add_numbered(numbered, value)
    elif name == "TCON":
        tags.add("genre", *frame.genres)
    elif name in _OURS:
        tags.add(_OURS[name], *map(str, frame.text))
    elif name == "TXXX":
        tags.add(frame.desc or "comment", *map(str, frame.text))
    elif name == "COMM":
        tags.add("comment" if not frame.desc else f"comment:{frame.desc}", *map(str, frame.text))
    elif name == "USLT":
        tags.add("lyrics", frame.text)
    elif name == "WXXX":
        tags.add("website" if not frame.desc else f"website:{frame.desc}", frame.url)


def to_id3(tags: Tags) -> Any:
    """Make mutagen's ID3 of tags: version 2.4, UTF-8. What came as ID3 keeps all its frames, known to us or not."""
    from mutagen import id3

    made, texts = id3.ID3(), tags.texts
    if isinstance(tags.native, id3.ID3):
        for frame in tags.native.values():
            if not tells_level_frame(frame):
                made.add(_widened(copy.deepcopy(frame)))
        texts = {name: values for name, values in texts.items() if name in tags.joined}
    for name, values in texts.items():
        if name in ID3_TEXT:
            made.add(getattr(id3, ID3_TEXT[name])(encoding=3, text=values))
        elif name in _NUMBERS:
            made.add(getattr(id3, _NUMBERS[name])(encoding=3, text=[tags.numbered(name)]))
        elif name == "lyrics":
            made.add(id3.USLT(encoding=3, lang="XXX", desc="", text="\n".join(values)))
        elif name.partition(":")[0] == "comment":
            made.add(id3.COMM(encoding=3, lang="XXX", desc=name.partition(":")[2], text=values))
        elif not (name in PAIRS.values() and any(PAIRS[known] == name and known in tags.texts for known in PAIRS)):
            made.add(id3.TXXX(encoding=3, desc=name.upper(), text=values))
    for number, picture in enumerate([] if made.getall("APIC") else tags.pictures):
        text = picture.text or (f"{number + 1}" if number else "")  # frames of one kind need texts that are unlike
        made.add(id3.APIC(encoding=3, mime=picture.mime, type=picture.kind, desc=text, data=picture.data))
    return made


def _widened(frame: Any) -> Any:
    """A frame whose text can be of any script."""
    if getattr(frame, "encoding", None) is not None:
        from mutagen.id3 import Encoding

        frame.encoding = Encoding.UTF8
    return frame
