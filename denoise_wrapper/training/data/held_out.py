"""Voices, noises and rooms that no training hears: the blind set is made of them alone.

The list is held_out.csv beside this file. It was chosen once, by the rule in choose_held_out.py, and never changes.
"""

from __future__ import annotations

import csv
import functools
import hashlib
import multiprocessing
import sys
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

LIST = Path(__file__).with_name("held_out.csv")
COLUMNS = ("kind", "name", "source", "file", "sha256", "reason", "band", "unseen")


@dataclass(frozen=True)
class Entry:
    """A voice, noise or room in one of its files.

    kind: "voice", "noise" or "room". name: as tables have it, of a noise or a room its file's. source: the collection
    it comes from, as tables have it. sha256: of the file. reason: reader, child, words of a language ...; of noises the
    kind; of rooms "short" or "long". band: "full" or "16k".
    unseen: whether it is a voice that no weights shipped up to 2026-11-28 were trained on.
    """

    kind: str
    name: str
    source: str
    file: str
    sha256: str
    reason: str
    band: str
    unseen: bool


@functools.cache
def entries() -> tuple[Entry, ...]:
    """Entries of the list, in its order."""
    with LIST.open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    return tuple(Entry(unseen=row.pop("unseen") == "yes", **row) for row in rows)


@functools.cache
def _by_name() -> dict[str, list[Entry]]:
    names: dict[str, list[Entry]] = defaultdict(list)
    for entry in entries():
        names[entry.name].append(entry)
    return dict(names)


def is_held_out(name: str, file: Path, source: str | None = None) -> bool:
    """Look a voice, noise or room up in the list.

    name: of the voice; of a noise or room that of its file. source: what the pack's table says of it, or else any table
    (columns file, source) in the file's folder; it has to be the source on the list. Where no table says any, the
    file's content has to be the same. So what merely shares a name is kept. True: it is held out.
    """
    listed = _by_name().get(name)
    if not listed:
        return False
    source = source or _table_source(file)
    if source:
        return any(source == entry.source for entry in listed)
    return file.is_file() and any(digest(file) == entry.sha256 for entry in listed)


def _table_source(file: Path) -> str | None:
    for table in sorted(file.parent.glob("*.csv")):
        with table.open(newline="", encoding="utf-8", errors="replace") as stream:
            for row in csv.DictReader(stream):
                if Path(row.get("file") or "").name == file.name and row.get("source"):
                    return row["source"]
    return None


@functools.lru_cache(maxsize=256)
def digest(file: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    return hashlib.sha256(file.read_bytes()).hexdigest()


def report(pack: str, left_out: int, count: int) -> None:
    """Say on stderr, once a run, how many of a pack's voices, noises or rooms are left out."""
    if left_out and multiprocessing.parent_process() is None:
        _say(f"{pack}: {left_out} of {count} voices, noises or rooms are held out for the blind set, and left out")


@functools.cache
def _say(line: str) -> None:
    print(line, file=sys.stderr)
