"""Tags of a file by its container: read from the source, written to the finished target."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

from denoise_wrapper.errors import FileError, needs_package
from denoise_wrapper.files.tags.fields import MASK, Tags
from denoise_wrapper.files.tags.id3 import from_id3, to_id3
from denoise_wrapper.files.tags.others import (
    from_ape,
    from_asf,
    from_mp4,
    from_vorbis,
    to_ape,
    to_asf,
    to_mp4,
    to_vorbis,
)
from denoise_wrapper.wording import few

WITHOUT = "tags are kept as far as libsndfile knows them: all of them need"


def missing_mutagen() -> str | None:
    """Say what is lost without mutagen; None where it is installed."""
    try:
        import mutagen  # noqa: F401
    except ImportError as error:
        return needs_package(WITHOUT, error, "tags")
    return None


def read_tags(path: Path) -> Tags | None:
    """Read the tags and pictures of a file of any container that mutagen knows.

    None where it has none, is of another container, or its tags are damaged beyond reading. Raises ImportError
    without mutagen.
    """
    import mutagen
    from mutagen.apev2 import APEv2
    from mutagen.asf import ASF
    from mutagen.flac import FLAC
    from mutagen.id3 import ID3
    from mutagen.mp3 import MP3
    from mutagen.mp4 import MP4
    from mutagen.ogg import OggFileType

    try:
        file = mutagen.File(path)
        if isinstance(file, FLAC | OggFileType):
            return from_vorbis(file)
        if file is None or file.tags is None:
            return _read_loose(path)
        if isinstance(file, MP4):
            return from_mp4(file)
        if isinstance(file, ASF):
            return from_asf(file)
        if isinstance(file.tags, ID3):
            return _read_loose(path, file.tags) if isinstance(file, MP3) else from_id3(file.tags)
        return from_ape(file.tags) if isinstance(file.tags, APEv2) else None
    except (mutagen.MutagenError, ValueError, KeyError, IndexError, AttributeError, TypeError):
        return None  # damaged tags keep no sound from being cleaned


def read_id3(content: bytes) -> Tags | None:
    """Read tags of the bytes of ID3; None for none, or damaged ones. Raises ImportError without mutagen."""
    import mutagen
    from mutagen.id3 import ID3

    try:
        return from_id3(ID3(BytesIO(content))) if content else None
    except (mutagen.MutagenError, ValueError):
        return None


def _read_loose(path: Path, front: Any = None) -> Tags | None:
    """Tags in front of and behind a file whose container mutagen does not know, or that has those of another.

    front: mutagen's ID3, if it is read already.
    """
    import mutagen
    from mutagen.apev2 import APEv2
    from mutagen.id3 import ID3

    found: Tags | None = None
    for kind, make in ((ID3, from_id3), (APEv2, from_ape)):
        try:
            tags = make(front if kind is ID3 and front is not None else kind(path))
        except (mutagen.MutagenError, ValueError):
            continue
        if found is None:
            found = tags
        else:
            found.join(tags)
    return found


def write_tags(path: Path, tags: Tags, in_chunks: bool = False) -> list[str]:
    """Write tags and pictures into a finished file, in place of those it has.

    in_chunks: whether its chunks say already what the tags do in words.
    Returns what could not be kept, as clauses. Raises OSError for a full disk, ImportError without mutagen.
    """
    import mutagen
    from mutagen.apev2 import APEv2
    from mutagen.asf import ASF
    from mutagen.flac import FLAC
    from mutagen.id3 import ID3
    from mutagen.mp4 import MP4
    from mutagen.ogg import OggFileType

    if not tags.texts and not tags.pictures and tags.native is None and not tags.blocks:
        return []
    lost: list[str] = []
    try:
        file: Any = _open(path)
        if file is None:
            texts = [] if in_chunks or not tags.texts else [few(sorted(tags.texts))]
            return _placeless([*texts, *["pictures"] * bool(tags.pictures)])
        if isinstance(file, FLAC | OggFileType):
            to_vorbis(tags, file)
        elif isinstance(file, MP4):
            to_mp4(tags, file)
        elif isinstance(file, ASF):
            to_asf(tags, file)
        else:
            if file.tags is None:
                file.add_tags()
            if isinstance(file.tags, ID3):
                file.tags.clear()
                for frame in to_id3(tags).values():
                    file.tags.add(frame)
            elif isinstance(file.tags, APEv2):
                lost = to_ape(tags, file.tags)
        file.save()
    except mutagen.MutagenError as error:
        cause = error.__context__ if error.__context__ is not None else error.args[0] if error.args else None
        if isinstance(cause, OSError):
            raise cause from error
        raise FileError(f"tags cannot be written to {path}: {error}") from error
    return _placeless(lost)


def _placeless(lost: list[str]) -> list[str]:
    return [f"it has no place for {' and '.join(lost)}"] if lost else []


def _open(path: Path) -> Any:
    """Open a file that mutagen knows; None for another, such as RF64 of which it has read the name alone."""
    import mutagen

    try:
        return mutagen.File(path)
    except mutagen.MutagenError as error:
        if any(isinstance(cause, OSError) for cause in (error.__context__, *error.args)):
            raise
        return None
    except (
        ValueError,
        KeyError,
        IndexError,
        AttributeError,
        TypeError,
    ):  # WavPack of rates without a number
        return None


def takes_tags(path: Path) -> bool:
    """Tell if mutagen can write tags into a file. Raises ImportError without it."""
    from mutagen.apev2 import APEv2
    from mutagen.asf import ASF
    from mutagen.flac import FLAC
    from mutagen.id3 import ID3
    from mutagen.mp4 import MP4
    from mutagen.ogg import OggFileType

    file = _open(path)
    if file is None or isinstance(file, FLAC | OggFileType | MP4 | ASF):
        return file is not None
    if file.tags is None:
        try:
            file.add_tags()
        except (NotImplementedError, AttributeError, mutagen_error()):
            return False
    return isinstance(file.tags, ID3 | APEv2)


def mutagen_error() -> type[Exception]:
    """Return the class of mutagen's errors."""
    import mutagen

    error: type[Exception] = mutagen.MutagenError
    return error


def mask_of(tags: Tags | None) -> int | None:
    """The mask of channels that tags tell, as FLAC does where it is not the usual one; None if they do not."""
    if tags is None or MASK not in tags.texts:
        return None
    try:
        return int(tags.texts[MASK][0], 16)
    except ValueError:
        return None
