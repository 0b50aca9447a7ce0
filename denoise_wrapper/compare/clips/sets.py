"""Sets of clips with their clean references, as folders."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Container, Sequence
from pathlib import Path
from typing import Any

from denoise_wrapper.compare.clips.clip import Clip, with_size
from denoise_wrapper.errors import ConfigError, DataError, DenoiseError
from denoise_wrapper.files.formats import SUFFIXES
from denoise_wrapper.files.results import part_results
from denoise_wrapper.wording import few

FIRST = (".wav", ".flac")  # of two files with one stem these are taken before others


def read_set(folder: Path, noisy: bool = True, only: str | None = None) -> list[Clip]:
    """The clips of a complete set: a folder with clean/ and noisy/, and perhaps a manifest.json.

    The manifest, {"clips": [{"id": ...}, ...]} with snr_db and rate where known, says which clips there are, clean/ID
    and noisy/ID of any audio suffix, and in which order. Without one, files of the same stem belong together, and
    those whose stems end in the same fileid_N. noisy: whether noisy/ is needed. only: see `choose_entries`.
    Raises DataError if it is no set, or a clip lacks its other half. A file that cannot be read is a clip of no frames.
    """
    if not (folder / "clean").is_dir():
        raise DataError(f"{folder} is no set: it has no folder clean/; wanted are clean/ and noisy/ in it")
    if noisy and not (folder / "noisy").is_dir():
        raise DataError(f"{folder} has no folder noisy/ with the clips to clean")
    entries, clean, dirty = look_into_set(folder, noisy)
    if not entries:
        raise DataError(f"{folder / 'clean'} holds no audio files")
    entries = entries if only is None else choose_entries(entries, only)
    names = [entry["id"] for entry in entries]
    check_complete(names, clean, folder / "clean")
    if noisy:
        check_complete(names, dirty, folder / "noisy")
    clips = []
    for entry in entries:
        name = entry["id"]
        clip = make_clip(entry, dirty.get(name, clean[name]), clean[name])
        with contextlib.suppress(DenoiseError):  # cleaning it finds the reason
            clip = with_size(clip)
        clips.append(clip)
    return clips


def choose_entries(entries: Sequence[dict[str, Any]], only: str) -> list[dict[str, Any]]:
    """The clips of a manifest of which a field has a value.

    only: "FIELD=VALUE", the value as JSON has it, texts without quotes too; "unseen" stands for
    seen_by_shipped=false: voices that no weights shipped up to 2026-11-28 were trained on.
    Raises ConfigError where it is of another form, DataError where no clip is left.
    """
    field, equals, wanted = ("seen_by_shipped=false" if only == "unseen" else only).partition("=")
    if not (field and equals):
        raise ConfigError(f"a part of a set is FIELD=VALUE, as snr_db=5 or kind=child, or unseen, not {only!r}")
    try:
        value = json.loads(wanted)
    except ValueError:
        value = wanted
    chosen = [entry for entry in entries if entry.get(field) in (value, wanted)]
    if not chosen:
        known = sorted({str(entry[field]) for entry in entries if entry.get(field) is not None})
        there = f"it is {few(known)}" if known else f"no clip says its {field}"
        raise DataError(f"no clip of the set has {field} {wanted}; {there}")
    return chosen


def look_into_set(folder: Path, noisy: bool = True) -> tuple[list[dict[str, Any]], dict[str, Path], dict[str, Path]]:
    """The manifest's entries of a set, or such as the files' names give; and the files of clean/ and noisy/ by id.

    A folder that is not there has no files. Without a manifest, results of earlier runs in noisy/ are no clips. noisy:
    whether noisy/ is looked into. Raises DataError as `read_set` does, but not for what is missing.
    """
    manifest = folder / "manifest.json"
    entries = _read_manifest(manifest) if manifest.exists() else None
    clean, dirty = (
        find_clips(part, by_file_id=entries is None) if wanted and part.is_dir() else {}
        for part, wanted in ((folder / "clean", True), (folder / "noisy", noisy))
    )
    if entries is None:
        _, results = part_results(dirty.values())
        dirty = {name: path for name, path in dirty.items() if path not in results}
        entries = [{"id": name} for name in sorted(clean.keys() | dirty.keys())]
    return entries, clean, dirty


def make_clip(entry: dict[str, Any], noisy: Path, clean: Path | None) -> Clip:
    """The clip of a manifest's entry, its size not yet known."""
    return Clip(entry["id"], noisy, clean, entry.get("snr_db"), source_rate=entry.get("rate"))


def find_clips(folder: Path, by_file_id: bool = True) -> dict[str, Path]:
    """The audio files of a folder by their ids: fileid_N if a stem ends in that and by_file_id is true, else the stem.

    Raises DataError if the folder cannot be read, or two stems have one id.
    """
    clips: dict[str, Path] = {}
    try:
        paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES and path.name[0] != ".")
    except OSError as error:
        raise DataError(f"cannot look into {folder}: {error.strerror}") from error
    for path in sorted(paths, key=lambda path: [path.suffix.lower() != suffix for suffix in FIRST]):
        match = re.search(r"fileid_\d+$", path.stem) if by_file_id else None
        name = match[0] if match else path.stem
        if clips.setdefault(name, path).stem != path.stem:
            raise DataError(f"{clips[name]} and {path.name} are both {name}; rename or remove one")
    return clips


def check_complete(names: Sequence[str], present: Container[str], folder: Path) -> None:
    """Raise DataError that says which clips a folder lacks, if it lacks any."""
    missing = [name for name in names if name not in present]
    if missing:
        raise DataError(f"{folder} lacks {few(missing)}; a clip has the same name in each folder")


def _read_manifest(path: Path) -> list[dict[str, Any]]:
    """The clips of a manifest, each with an id that may be a file's name, and numbers that are numbers."""
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))["clips"]
        checked = [_check_entry(entry) for entry in entries]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"{path} is no manifest ({type(error).__name__}: {error}); wanted is "
            '{"clips": [{"id": "00", "snr_db": 5, "rate": 16000}, ...]}, or no such file'
        ) from error
    if not checked:
        raise DataError(f"{path} lists no clips; a set has at least one")
    names = [entry["id"] for entry in checked]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError(f"{path} lists {few(twice)} more than once")
    return checked


def _check_entry(entry: dict[str, Any]) -> dict[str, Any]:
    name, snr_db, rate = entry["id"], entry.get("snr_db"), entry.get("rate")
    if not isinstance(name, str) or not name or Path(name).name != name:
        raise ValueError(f"an id is the name of a file without its suffix, not {name!r}")
    if snr_db is not None and (isinstance(snr_db, bool) or not isinstance(snr_db, int | float)):
        raise ValueError(f"snr_db of {name} is a number, not {snr_db!r}")
    if rate is not None and (isinstance(rate, bool) or not isinstance(rate, int)):
        raise ValueError(f"rate of {name} is a whole number of Hz, not {rate!r}")
    return {**entry, "id": name, "snr_db": snr_db, "rate": rate}
