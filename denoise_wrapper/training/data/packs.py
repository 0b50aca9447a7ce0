"""Packs: folders of audio, tables that name some of it, or single files, as settings name them.

The segments.csv of a folder, if it has one, says where each recording lies and whose it is (columns file, start_s,
end_s, and voice, language, source, licence where known). Without one each file is a recording, and its voice is the
folder it lies in below the pack, or the file itself. A table of any other name does the same for the files it names,
relative to itself, and leaves all others out. A single file, such as 'data join' writes, is one voice or noise; one
without a header (.raw, .pcm) is taken as that writes it: 16-bit mono at 48 kHz, the low byte first.
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import soundfile

from denoise_wrapper.errors import DataError
from denoise_wrapper.files.formats import SOUNDFILE_SUFFIXES
from denoise_wrapper.training.data.held_out import is_held_out

TABLE = "segments.csv"
RAW_SUFFIXES = (".raw", ".pcm")
RAW: dict[str, Any] = {"samplerate": 48000, "channels": 1, "subtype": "PCM_16", "format": "RAW", "endian": "LITTLE"}
READER = re.compile(r"(?:^|[_-])(reader_\d+)")  # as the DNS Challenge's own names have it: ..._reader_06709_...
BOOK = re.compile(r"(?:^|[_-])(book_\d+)")
Row = dict[str, str]


@dataclass(frozen=True)
class Pack:
    """base: the folder that names of files are relative to. table: where it says what lies where, if anywhere.
    whole: whether all audio below base belongs to it, or what the table names alone. single: the file that it is."""

    base: Path
    table: Path | None
    whole: bool
    single: Path | None = None

    @property
    def name(self) -> str:
        if self.single is not None:
            return self.single.stem
        return self.base.resolve().name if self.whole or self.table is None else self.table.stem

    @cached_property
    def rows(self) -> list[Row]:
        """The table's rows, none if there is no table, file relative to base. Raises DataError where it is damaged."""
        rows = []
        for line, row, complaint in scan_table(self.table) if self.table else ():
            if complaint:
                raise DataError(f"{self.table}, line {line}: {complaint}")
            rows.append({**row, "file": self.relative(row["file"])})
        return rows

    @cached_property
    def files(self) -> dict[str, Path]:
        """The audio files by their names. Raises DataError if there are none."""
        if self.whole:
            return {path.relative_to(self.base).as_posix(): path for path in audio_files(self.base)}
        if self.single is not None:
            return {self.single.name: self.single}
        names = sorted({row["file"] for row in self.rows})
        missing = [name for name in names if not (self.base / name).is_file()]
        if missing or not names:
            raise DataError(f"{self.table} names {missing[0] if missing else 'no file'}; it names files beside it")
        return {name: self.base / name for name in names}

    def relative(self, file: str) -> str:
        """A file as the table has it, with or without the pack's own name before it, relative to the pack."""
        return file.removeprefix(self.name + "/") if self.whole else file

    def held_out(self, row: Row) -> bool:
        """Look up in the list of what is held out a row of a voice, or of a noise that its file is named after."""
        name = row["voice"] if "voice" in row else source_name(row["file"])
        return is_held_out(name, self.base / row["file"], row.get("source"))


def open_pack(path: Path) -> Pack:
    """The pack that a path names: a folder, a table (.csv), or an audio file. Raises DataError for anything else."""
    if path.is_dir():
        table = path / TABLE
        return Pack(path, table if table.is_file() else None, whole=True)
    if path.suffix.lower() == ".csv" and path.is_file():
        return Pack(path.parent, path, whole=False)
    if path.suffix.lower() in (*SOUNDFILE_SUFFIXES, *RAW_SUFFIXES) and path.is_file():
        return Pack(path.parent, None, whole=False, single=path)
    raise DataError(
        f"{path} is no folder; name a folder of audio files, a single one (.wav, .raw ...), or a table (.csv) that "
        "names some"
    )


def open_sound(path: Path) -> soundfile.SoundFile:
    """Open an audio file; one without a header as RAW says. Raises soundfile's errors and OSError."""
    return soundfile.SoundFile(path, **(RAW if path.suffix.lower() in RAW_SUFFIXES else {}))


def sound_seconds(path: Path) -> float:
    """The length of an audio file. Raises soundfile's errors and OSError."""
    with open_sound(path) as file:
        return float(file.frames / file.samplerate)


def voice_of(name: str, by_language: bool) -> tuple[str, str]:
    """(voice, language or "") of a file by its name: a reader's or a book's number in it, or else its folders.

    by_language: the topmost folders are languages, not voices.
    """
    path = Path(name)
    reader = READER.search(path.stem) or BOOK.search(path.stem)
    if by_language and len(path.parts) > 1:
        below = path.parts[1] if len(path.parts) > 2 else path.stem
        return (reader[1] if reader else f"{path.parts[0]}/{below}"), path.parts[0]
    return (reader[1] if reader else source_name(name)), ""


def only_source(paths: Iterable[Path]) -> str | None:
    """The name of the one voice or noise that there is in packs, which is split in time; None if there are several."""
    names: set[str] = set()
    for pack in map(open_pack, paths):
        voiced = any("voice" in row for row in pack.rows)
        names.update(row["voice"] for row in pack.rows) if voiced else names.update(map(source_name, pack.files))
    return names.pop() if len(names) == 1 else None


def audio_files(folder: Path) -> list[Path]:
    """The audio files of a folder and those below it, in order of their names."""
    if not folder.is_dir():
        raise DataError(f"{folder} is no folder; name a folder of audio files")
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SOUNDFILE_SUFFIXES and path.is_file())
    if not files:
        raise DataError(f"{folder} holds no audio file ({', '.join(SOUNDFILE_SUFFIXES)})")
    return files


def source_name(file: str) -> str:
    """The source of a file in a pack that names none: its folder, or itself without a rate at the end (rain-16k)."""
    path = Path(file)
    return path.parts[0] if len(path.parts) > 1 else re.sub(r"-\d+k$", "", path.stem)


def scan_table(path: Path) -> Iterator[tuple[int, Row, str]]:
    """(line, row, what is wrong with it or "") of all rows. Raises DataError where a table cannot be read at all."""
    try:
        content = path.read_bytes()
        reader = csv.DictReader(io.StringIO(content.decode("utf-8"), newline=""))
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DataError(f"{path}, line {line}: not UTF-8; save the table as UTF-8") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror})") from error
    try:
        missing = {"file", "start_s", "end_s"} - set(reader.fieldnames or ("file", "start_s", "end_s"))
        if missing:
            raise DataError(f"{path} has no column {', '.join(sorted(missing))}; it needs file, start_s and end_s")
        for row in reader:
            yield reader.line_num, row, row_complaint(row)
    except csv.Error as error:
        raise DataError(f"{path}, line {reader.line_num}: {error}") from error


def row_complaint(row: Row) -> str:
    """Complaint about a row that has too few or too many cells, or no stretch of time; "" if nothing is."""
    if None in row or None in row.values():
        return "the row has not as many cells as the first line; repair it"
    try:
        start_s, end_s = float(row["start_s"]), float(row["end_s"])
    except ValueError:
        start_s, end_s = math.nan, math.nan
    if not 0.0 <= start_s <= end_s < math.inf:
        return f"start_s to end_s is a stretch of seconds, not {row['start_s']!r} to {row['end_s']!r}"
    return ""


def row_seconds(row: Row) -> float:
    """The length of a recording, by its row."""
    return float(row["end_s"]) - float(row["start_s"])


def held_out_names(paths: Iterable[Path]) -> list[str]:
    """Names in packs that are held out for the blind set, in order; a pack that is not there has none."""
    names: set[str] = set()
    for pack in (open_pack(path) for path in paths if path.exists()):
        voiced = any("voice" in row for row in pack.rows)
        rows = {row["file"]: row for row in pack.rows}
        for row in pack.rows if voiced else [rows.get(file, {"file": file}) for file in pack.files]:
            if pack.held_out(row):
                names.add(row["voice"] if voiced else source_name(row["file"]))
    return sorted(names)


def cleaned_hours(paths: tuple[Path, ...]) -> dict[str, float]:
    """Hours of the audio that is trained on as a denoiser has cleaned it, by the denoiser's name."""
    hours: dict[str, float] = defaultdict(float)
    for pack in map(open_pack, paths):
        for row in pack.rows:
            if (by := row.get("cleaned")) and not pack.held_out(row):
                hours[by] += row_seconds(row) / 3600.0
    return dict(hours)


def licences(paths: tuple[Path, ...]) -> list[tuple[str, str, float]]:
    """(source, licence, hours) of the audio that is trained on, by tables; packs without one count as unknown."""
    hours: dict[tuple[str, str], float] = defaultdict(float)
    for pack in map(open_pack, paths):
        for row in pack.rows:
            if pack.held_out(row):
                continue
            key = (row.get("source") or pack.name, row.get("licence") or "unknown")
            hours[key] += row_seconds(row) / 3600.0
        if pack.table is None:
            hours[pack.name, "unknown"] += sum(map(sound_seconds, pack.files.values())) / 3600.0
    return [(source, licence, hours[source, licence]) for source, licence in sorted(hours)]
