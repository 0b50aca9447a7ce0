"""Manifests: lists of audio files as NeMo, Lhotse, Kaldi and spreadsheets have them."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import posixpath
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from denoise_wrapper.cluster.store import is_within, normal, parent, scheme_of
from denoise_wrapper.errors import DataError, FileError
from denoise_wrapper.wording import listed

SUFFIXES = (".jsonl", ".jsonl.gz", ".json", ".csv", ".tsv", ".scp")
COLUMNS = ("audio_filepath", "audio", "path", "file", "filename", "file_name", "wav")  # where none is named


@dataclass(frozen=True)
class Row:
    """One file of a manifest: its name below the root, and its length in seconds if the manifest tells."""

    name: str
    seconds: float | None = None


def is_list(place: str) -> bool:
    """True for a place whose name ends as manifests do."""
    return place.lower().endswith(SUFFIXES)


def read_list(path: Path, place: str, root: str | None = None, column: str | None = None) -> tuple[str, list[Row]]:
    """Read a manifest: (the folder that its names are below, its rows, each file once).

    path: the manifest on this machine. place: where it came from. root: the folder, in its normal form, that names
    are below; None for that of the manifest. column: of a CSV or key of JSON; None for the usual ones.
    Forms: JSON lines with `audio_filepath` (NeMo), recordings and cuts with `sources` (Lhotse), CSV and TSV with a
    head, `wav.scp` (Kaldi). Raises DataError for a line that has no file in it, or one not below the root; FileError.
    """
    folder = parent(normal(place)) if root is None else root
    try:
        data = path.read_bytes()
        text = (gzip.decompress(data) if place.lower().endswith(".gz") else data).decode("utf-8-sig")
    except (OSError, EOFError) as error:
        raise FileError(f"cannot read the manifest {place}: {getattr(error, 'strerror', None) or error}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"the manifest {place} is no text in UTF-8: {error}") from error
    rows: dict[str, Row] = {}
    for number, found, seconds in _reader(place)(text, place, column):
        name = _below(found, folder, root is not None, f"line {number} of {place}")
        rows.setdefault(name, Row(name, seconds))
    if not rows:
        raise DataError(f"the manifest {place} names no file")
    return folder, list(rows.values())


Found = Iterator[tuple[int, str, float | None]]


def _reader(place: str) -> Callable[[str, str, str | None], Found]:
    name = place.lower()
    return _kaldi if name.endswith(".scp") else _table if name.endswith((".csv", ".tsv")) else _json_lines


def _json_lines(text: str, place: str, column: str | None) -> Found:
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
        except json.JSONDecodeError as error:
            raise DataError(f"line {number} of {place} is not JSON: {error}") from error
        if not isinstance(entry, dict):
            raise DataError(f'line {number} of {place} is no JSON object, such as {{"audio_filepath": "a.wav"}}')
        seconds = _seconds(entry.get("duration"))
        sources = _sources(entry)
        if sources is not None and column is None:
            for source in sources:
                if not isinstance(source, dict) or source.get("type", "file") != "file":
                    kind = source.get("type") if isinstance(source, dict) else source
                    raise DataError(f"line {number} of {place} has a source of type {kind!r}; only files are read")
                yield number, _text(source.get("source"), number, place), seconds
            continue
        key = _column(list(entry), column, f"line {number} of {place}")
        yield number, _text(entry[key], number, place), seconds


def _sources(entry: dict[str, Any]) -> list[Any] | None:
    """The sources of a recording of Lhotse's, or of a cut's recording."""
    holder = entry.get("recording") if isinstance(entry.get("recording"), dict) else entry
    sources = holder.get("sources") if isinstance(holder, dict) else None
    return sources if isinstance(sources, list) else None


def _table(text: str, place: str, column: str | None) -> Found:
    rows = csv.DictReader(io.StringIO(text), delimiter="\t" if place.lower().endswith(".tsv") else ",")
    key = _column(list(rows.fieldnames or []), column, place)
    for row in rows:
        yield rows.line_num, _text(row.get(key), rows.line_num, place), _seconds(row.get("duration"))


def _kaldi(text: str, place: str, column: str | None) -> Found:
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        name = "".join(line.split(maxsplit=1)[1:]).strip()
        if name.endswith("|"):
            raise DataError(
                f"line {number} of {place} is a command, and none is run; write its sound into a file first"
            )
        yield number, _text(name, number, place), None


def _column(names: list[str], column: str | None, where: str) -> str:
    if column is not None:
        if column not in names:
            raise DataError(f"{where} has no column {column!r}; it has {listed(names) if names else 'none'}")
        return column
    found = next((name for name in COLUMNS if name in names), None)
    if found is None:
        has = listed(names) if names else "none"
        raise DataError(f"{where} has no column of files such as audio_filepath; it has {has}; name it: --column NAME")
    return found


def _text(value: object, number: int, place: str) -> str:
    if not isinstance(value, str) or not value.strip() or "\0" in value:
        raise DataError(f"line {number} of {place} names no file, but {value!r}")
    return value


def _seconds(value: object) -> float | None:
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    return number if 0 < number < 1e9 else None


def _below(name: str, folder: str, named: bool, where: str) -> str:
    """The name below a folder. Raises DataError if it is not there. named: whether the folder was named by the user."""
    whole = scheme_of(name) is not None or name.lower().startswith("file://") or os.path.isabs(name)
    if ".." in name.replace("\\", "/").split("/"):
        raise DataError(f"{where}: {name} has '..' in it, which may lead anywhere; write names without")
    if not whole:
        return posixpath.normpath(name)
    place = normal(name)
    if not named:
        raise DataError(f"{where}: {name} is an absolute name; --root DIR says below which folder such names are")
    if not is_within(place, folder) or place == folder:
        raise DataError(f"{where}: {name} is not below {folder}, which --root names")
    return place[len(folder.rstrip("/")) + 1 :]
