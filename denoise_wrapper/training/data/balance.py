"""Balancing: so many hours of each language or voice, as a table that stands for a pack in [data] speech."""

from __future__ import annotations

import csv
import dataclasses
import heapq
import io
import os
import secrets
import shutil
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import soundfile

from denoise_wrapper.atomic import atomic_path
from denoise_wrapper.errors import DataError, ExistingFileError, file_error
from denoise_wrapper.progress import tracked
from denoise_wrapper.training.data.decoding import undecodable
from denoise_wrapper.training.data.packs import TABLE, Pack, sound_seconds, voice_of

By = Literal["language", "voice", "folder"]
SHORTEST_S = 0.5  # a recording is cut where its group is full, but to no less than this
COLUMNS = ("file", "start_s", "end_s", "voice", "language", "source", "licence")


@dataclass(frozen=True)
class Part:
    """A recording, or as much of it as is wanted. row: what the pack's table says of it."""

    file: str
    start_s: float
    end_s: float
    voice: str
    group: str
    row: dict[str, str]

    @property
    def seconds(self) -> float:
        return self.end_s - self.start_s


@dataclass(frozen=True)
class Share:
    """A group: how much of it there was, and what was taken."""

    group: str
    there_s: float
    chosen: tuple[Part, ...]

    @property
    def chosen_s(self) -> float:
        return sum(part.seconds for part in self.chosen)


def balance(pack: Pack, by: By, hours: float | None, seed: int = 1) -> list[Share]:
    """Choose so many hours of each language, voice or folder, by chance but evenly over its voices.

    hours: of each group; those that have less give all they have. None: as much as the smallest group has.
    Raises DataError where the groups cannot be told, or nothing is there.
    """
    groups: dict[str, list[Part]] = defaultdict(list)
    for part in read_parts(pack, by):
        groups[part.group].append(part)
    there = {group: sum(part.seconds for part in parts) for group, parts in groups.items()}
    budget_s = min(there.values()) if hours is None else 3600.0 * hours
    return [
        Share(group, there[group], tuple(take(groups[group], budget_s, np.random.default_rng([seed, number]))))
        for number, group in enumerate(sorted(groups))
    ]


def read_parts(pack: Pack, by: By) -> Iterator[Part]:
    """The recordings of a pack, by its table if that tells voices, else its files."""
    files = pack.files
    if any("voice" in row for row in pack.rows):
        for row in pack.rows:
            if row["file"] not in files:
                raise DataError(f"{pack.table} names {row['file']}, which is not in {pack.base}")
            start_s, end_s = float(row["start_s"]), float(row["end_s"])
            if end_s > start_s:
                group = group_of(pack, row["file"], row["voice"], by, row.get("language"))
                yield Part(row["file"], start_s, end_s, row["voice"], group, row)
        return
    languages = {row["file"]: row for row in pack.rows}
    for name, path in tracked(files.items(), len(files), f"measuring {pack.name}"):
        try:
            seconds = sound_seconds(path)
        except (soundfile.SoundFileError, OSError) as error:
            raise undecodable(path, error) from error
        row = languages.get(name, {})
        voice, _ = voice_of(name, by_language=by == "language")
        group = group_of(pack, name, voice, by, row.get("language"))
        if seconds > 0.0:
            yield Part(name, 0.0, seconds, voice, group, row)


def group_of(pack: Pack, name: str, voice: str, by: By, language: str | None) -> str:
    if by == "voice":
        return voice
    if by == "language" and language:
        return language
    folder, *below = Path(name).parts
    if not below or (by == "language" and not pack.whole):  # a table's files may lie in folders of any kind
        what = "a column language in its table, or a folder for each language" if by == "language" else "folders in it"
        raise DataError(f"{pack.base}: no {by} is known of {name}; balancing by {by} needs {what}")
    return folder


def take(parts: Sequence[Part], budget_s: float, rng: np.random.Generator) -> list[Part]:
    """Recordings for budget_s: always one of the voice that has given least, the last one cut to fit."""
    queues: dict[str, list[Part]] = defaultdict(list)
    for index in rng.permutation(len(parts)):
        queues[parts[index].voice].append(parts[index])
    queue = [(0.0, order, voice) for order, voice in enumerate(queues)]
    chosen: list[Part] = []
    while queue and budget_s > 0.0:
        seconds, order, voice = heapq.heappop(queue)
        part = queues[voice].pop()
        if part.seconds > budget_s:
            if chosen and budget_s < SHORTEST_S:
                break
            part = dataclasses.replace(part, end_s=part.start_s + budget_s)
        chosen.append(part)
        budget_s -= part.seconds
        if queues[voice]:
            heapq.heappush(queue, (seconds + part.seconds, order, voice))
    return sorted(chosen, key=lambda part: (part.file, part.start_s))


def table_text(shares: Sequence[Share], by: By, names: dict[str, str]) -> str:
    """The table of what was taken. names: what each file is called in it."""
    stream = io.StringIO(newline="")
    others = {key: None for share in shares for part in share.chosen for key in part.row}
    columns = [*COLUMNS, *(key for key in others if key not in COLUMNS)]
    writer = csv.DictWriter(stream, columns, restval="", lineterminator="\n")
    writer.writeheader()
    for share in shares:
        for part in share.chosen:
            row = {**part.row, "file": names[part.file], "voice": part.voice}
            row |= {"start_s": f"{part.start_s:.4f}", "end_s": f"{part.end_s:.4f}"}
            writer.writerow(row | ({"language": part.group} if by == "language" else {}))
    return stream.getvalue()


def write_table(pack: Pack, shares: Sequence[Share], by: By, target: Path, overwrite: bool = False) -> None:
    """Write the table, its files named relative to its own folder. Raises DataError, FileError."""
    if target.suffix.lower() != ".csv" or target.name == TABLE:
        raise DataError(f"{target}: a table that stands for a pack is called NAME.csv, but not {TABLE}")
    base = target.absolute().parent
    files = {part.file for share in shares for part in share.chosen}
    names = {file: Path(os.path.relpath((pack.base / file).absolute(), base)).as_posix() for file in files}
    with atomic_path(target, overwrite) as temporary:
        temporary.write_text(table_text(shares, by, names), encoding="utf-8", newline="")


def write_folder(pack: Pack, shares: Sequence[Share], by: By, target: Path) -> None:
    """Make a pack of its own: hard links to the files, copies where there can be none, and their table.

    It is made beside target and renamed when it is whole. Raises FileError if target exists or cannot be written.
    """
    if target.exists():
        raise ExistingFileError(f"{target} exists; name a folder that does not")
    part_of = target.absolute().parent / f".{secrets.token_hex(6)}"
    files = sorted({part.file for share in shares for part in share.chosen})
    outside = {file for file in files if ".." in Path(file).parts or Path(file).is_absolute()}
    names = {file: f"{number}-{Path(file).name}" if file in outside else file for number, file in enumerate(files)}
    try:
        part_of.mkdir()
        for file in tracked(files, len(files), f"filling {target.name}"):
            copied = part_of / names[file]
            copied.parent.mkdir(parents=True, exist_ok=True)
            try:
                os.link((pack.base / file).resolve(), copied)
            except OSError:  # another file system, or one without hard links
                shutil.copy2(pack.base / file, copied)
        (part_of / TABLE).write_text(table_text(shares, by, names), encoding="utf-8", newline="")
        part_of.rename(target)
    except OSError as error:
        raise file_error(f"cannot make {target}: {(error.strerror or str(error)).lower()}", error) from error
    finally:
        shutil.rmtree(part_of, ignore_errors=True)


def balance_lines(shares: Sequence[Share], by: By) -> Iterator[str]:
    """A table to be read, of what was taken and what was there."""
    rows: list[tuple[str, ...]] = [(by, "there", "taken", "voices", "recordings")]
    rows += [
        (share.group, f"{share.there_s / 3600.0:.3f} h", f"{share.chosen_s / 3600.0:.3f} h",
         str(len({part.voice for part in share.chosen})), str(len(share.chosen))) for share in shares
    ]  # fmt: skip
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    for row in rows:
        cells = [row[0].ljust(widths[0])] + [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        yield "  ".join(cells)
    total = sum(share.chosen_s for share in shares) / 3600.0
    yield f"{len(shares)} of {by}: {total:.3f} h taken of {sum(share.there_s for share in shares) / 3600.0:.3f} h"
