"""Preparing: folders of audio, as they were downloaded or recorded, become two tables, of speech and of noise.

The tables name all that training can use, with voices and languages as far as names of files and folders tell them, and
stand for packs: in [data], for balancing and for joining. The audio stays where it is.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import soundfile

from denoise_wrapper.atomic import atomic_path, make_folder
from denoise_wrapper.errors import ConfigError, DataError, ExistingFileError
from denoise_wrapper.progress import tracked
from denoise_wrapper.training.data.balance import COLUMNS
from denoise_wrapper.training.data.check import RATIO_DB, UNUSABLE, Facts, Finding, Kind, check_file, has_noise
from denoise_wrapper.training.data.decoding import read_audio
from denoise_wrapper.training.data.packs import Pack, Row, open_pack, row_seconds, source_name, voice_of
from denoise_wrapper.training.data.pairs import APART_S, NUMBER, match_files, number_files, speakers
from denoise_wrapper.wording import few

Folders = Literal["voice", "language"]  # what the topmost folders of speech without a table stand for
LEAST_NOISE = 1e-4  # RMS: what noisy has less than this more than clean is no noise
PEAK = 0.5  # of the noises that are written


@dataclass
class Prepared:
    """The usable audio. rows: those of the table. left_out: what is unusable, and why. doubtful: what is to be looked
    at. clear: how many of the files have quiet between loud frames, as clean speech has."""

    kind: str
    rows: list[Row] = field(default_factory=list)
    left_out: list[Finding] = field(default_factory=list)
    doubtful: list[Finding] = field(default_factory=list)
    clear: int = 0
    files: int = 0

    @property
    def hours(self) -> float:
        return sum(row_seconds(row) for row in self.rows) / 3600.0


def prepare(
    target: Path,
    layouts: Sequence[Path] = (),
    speech: Sequence[Path] = (),
    noise: Sequence[Path] = (),
    folders: Folders = "voice",
    overwrite: bool = False,
) -> tuple[Prepared, Prepared]:
    """Write the tables speech.csv and noise.csv into the folder target, and say what is in them.

    layouts: folders as the DNS Challenge has them, with clean/, and noise/ or noisy/; where noise/ is absent, what
    noisy has more than clean is written to target/noise. speech, noise: other folders, or tables.
    Raises ConfigError or DataError where there is no speech or no noise that can be used, FileError where target cannot
    be written.
    """
    check_sources(layouts, speech, noise)
    tables = target / "speech.csv", target / "noise.csv"
    for path in tables:
        if path.exists() and not overwrite:
            raise ExistingFileError(f"{path} exists; overwrite=True (--overwrite) replaces it")
    sources = [(check_layout(folder) / "clean", clean_voices(folder)) for folder in layouts]
    make_folder(target)
    spoken = Prepared("speech")
    for path, voices in [*sources, *((path, {}) for path in speech)]:
        add_pack(spoken, open_pack(path), "speech", folders, voices)
    noises = [folder / "noise" if has_noise(folder) else write_noises(folder, target / "noise") for folder in layouts]
    noisy = Prepared("noise")
    for path in [*noises, *noise]:
        add_pack(noisy, open_pack(path), "noise", "voice", {})
    for result in (spoken, noisy):
        if not result.rows:
            first = f": {result.left_out[0].file} is {result.left_out[0].problem}" if result.left_out else ""
            kind = result.kind
            raise DataError(
                f"there is no {kind} to train with{first}; give --{kind} FOLDER ([prepare] {kind}), "
                f"or a folder with {'clean' if result.kind == 'speech' else 'noise or noisy'} in it"
            )
    for result, path in zip((spoken, noisy), tables, strict=True):
        save_table(result.rows, path, overwrite)
    return spoken, noisy


def check_layout(folder: Path) -> Path:
    """The folder, if it has clean/, and noise/ or noisy/. Raises DataError."""
    if not (folder / "clean").is_dir():
        raise DataError(f"{folder} has no folder clean; name folders of another layout by --speech and --noise")
    if not (has_noise(folder) or (folder / "noisy").is_dir()):
        raise DataError(f"{folder} has speech (clean) but no noise; add a folder noise, or one of mixtures, noisy")
    return folder


def clean_voices(folder: Path) -> dict[str, str]:
    """Speakers in the files of clean/ by the names of their counterparts in noisy/, as far as these tell it."""
    if not (folder / "noisy").is_dir():
        return {}
    sides, _ = number_files(folder)
    names = [(noisy, number) for number, files in sides["noisy"].items() for noisy in files]
    by_number = {number: voice for (_, number), voice in zip(names, speakers(names), strict=True)}
    return {file: by_number[number] for number, files in sides["clean"].items() for file in files
            if number in by_number}  # fmt: skip


def add_pack(result: Prepared, pack: Pack, kind: Kind, folders: Folders, voices: dict[str, str]) -> None:
    """Look at all files of a pack and add the rows of those that can be used. voices: those known of some files."""
    seen: dict[str, str] = {}
    facts: dict[str, Facts] = {}
    for name, path in tracked(pack.files.items(), len(pack.files), f"looking at {pack.name}"):
        fact, findings = check_file(path, (pack.base / name).as_posix(), None, kind, seen)
        unusable = [finding for finding in findings if finding.verdict == UNUSABLE]
        result.left_out += unusable
        result.doubtful += [finding for finding in findings if finding.verdict != UNUSABLE]
        if fact is not None and not unusable:
            facts[name] = fact
            result.files, result.clear = result.files + 1, result.clear + (fact.ratio_db >= RATIO_DB)
    if kind == "noise":  # which is another one, whoever speaks over it
        voices = {name: source_name(name) for name in facts}
    for row in pack_rows(pack, facts, folders, voices):
        result.rows.append({**row, "file": str((pack.base / row["file"]).absolute())})


def pack_rows(pack: Pack, facts: dict[str, Facts], folders: Folders, voices: dict[str, str]) -> Iterator[Row]:
    """The rows of a pack's table if that tells voices, else one for each file. facts: of the files to be used."""
    if any("voice" in row for row in pack.rows):
        for row in pack.rows:
            stop_s = min(float(row["end_s"]), facts[row["file"]].seconds) if row["file"] in facts else 0.0
            if stop_s > float(row["start_s"]):
                yield {**row, "end_s": f"{stop_s:.4f}"}
        return
    rows = {row["file"]: row for row in pack.rows}
    for name, fact in facts.items():
        voice, language = voice_of(name, by_language=folders == "language")
        row = {"language": language, **rows.get(name, {}), "file": name, "voice": voices.get(name, voice)}
        yield {**row, "start_s": "0", "end_s": f"{fact.seconds:.4f}"}


def write_noises(folder: Path, target: Path) -> Path:
    """Write what each noisy file of a folder of pairs has more than its clean one, as FLAC files in target/NAME.

    Those that are there already and younger than both are kept. Returns their folder. Raises DataError where no pair
    differs, or files do not fit together.
    """
    place = target / folder.resolve().name
    make_folder(place)
    pairs = match_files(folder)
    kept: set[Path] = set()
    for number, noisy_name, clean_name in tracked(pairs, len(pairs), f"noise of {folder.name}"):
        noisy_path, clean_path = folder / "noisy" / noisy_name, folder / "clean" / clean_name
        stem = NUMBER.sub("", Path(noisy_name).stem)
        path = place / f"{stem}_fileid_{number}.flac"
        born = max(noisy_path.stat().st_mtime_ns, clean_path.stat().st_mtime_ns)
        if (path.is_file() and path.stat().st_mtime_ns > born) or write_noise(noisy_path, clean_path, path):
            kept.add(path)
    for path in place.glob("*.flac"):
        if path not in kept:
            path.unlink()
    if not kept:
        raise DataError(f"{folder}: noisy and clean are the same, so there is no noise; add a folder noise")
    return place


def write_noise(noisy_path: Path, clean_path: Path, target: Path) -> bool:
    """Write the difference of two files, mono, peak 0.5; False if there is none to speak of."""
    (noisy, rate), (clean, clean_rate) = read_audio(noisy_path), read_audio(clean_path)
    if rate != clean_rate or abs(len(noisy) - len(clean)) > APART_S * rate:
        raise DataError(
            f"{noisy_path} has {len(noisy)} samples at {rate} Hz, its clean counterpart {len(clean)} at {clean_rate}; "
            "they must be alike to tell the noise, or there must be a folder noise"
        )
    count = min(len(noisy), len(clean))
    noise = noisy[:count].mean(axis=1) - clean[:count].mean(axis=1)
    if not np.isfinite(noise).all():
        raise DataError(f"{noisy_path} or its clean counterpart holds samples that are not finite; take both away")
    if count == 0 or float(np.sqrt(np.mean(noise**2))) < LEAST_NOISE:
        return False
    with atomic_path(target, overwrite=True) as part:
        soundfile.write(part, noise * np.float32(PEAK / np.abs(noise).max()), rate, "PCM_16", format="FLAC")
    return True


def save_table(rows: Sequence[Row], target: Path, overwrite: bool = False) -> None:
    """Write rows as a table that stands for a pack. file in them: absolute, or relative to target already."""
    base = Path(os.path.abspath(target)).parent
    others = {key: None for row in rows for key in row if key not in COLUMNS}
    stream = io.StringIO(newline="")
    writer = csv.DictWriter(stream, [*COLUMNS, *others], restval="", lineterminator="\n")
    writer.writeheader()
    for row in rows:
        file = os.path.relpath(row["file"], base) if os.path.isabs(row["file"]) else row["file"]
        writer.writerow({**row, "file": Path(file).as_posix()})
    with atomic_path(target, overwrite) as part:
        part.write_text(stream.getvalue(), encoding="utf-8", newline="")


def prepared_lines(result: Prepared, named: int = 5) -> Iterator[str]:
    """Lines to be read: what is in a table and what is not."""
    sources = len({row["voice"] for row in result.rows})
    what = "voices" if result.kind == "speech" else "sources"
    yield f"{result.kind}: {result.hours:.3f} h, {len(result.rows)} recordings of {sources} {what}"
    for problem in dict.fromkeys(finding.problem for finding in result.left_out):
        files = [finding.file for finding in result.left_out if finding.problem == problem]
        yield f"left out, {problem}: {few(files, named)}"
    for problem in dict.fromkeys(finding.problem for finding in result.doubtful):
        files = [finding.file for finding in result.doubtful if finding.problem == problem]
        yield f"to look at, {problem}: {few(files, named)}"


def exchanged_line(speech: Prepared, noise: Prepared) -> str:
    """A line for speech and noise that look exchanged, by what lies between their loud frames; "" if they do not."""
    if 2 * speech.clear >= speech.files or 2 * noise.clear <= noise.files:
        return ""
    return (
        f"speech and noise look exchanged: {speech.clear} of {speech.files} files of speech have quiet between their "
        f"words, as clean speech has, and {noise.clear} of {noise.files} files of noise"
    )


def check_sources(layouts: Sequence[Path], speech: Sequence[Path], noise: Sequence[Path]) -> None:
    """Raises ConfigError where folders for both speech and noise are not even named."""
    if not layouts and not (speech and noise):
        lacking = "noise" if speech else "speech" if noise else "speech and noise"
        raise ConfigError(f"no folder of {lacking} is named; give folders with clean/ and noise/, or name both kinds")
