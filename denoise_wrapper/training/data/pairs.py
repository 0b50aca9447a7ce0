"""Pairs: noisy and clean audio that somebody mixed before, in the layout of the DNS Challenge.

A folder of pairs holds clean/clean_fileid_N.wav and noisy/*_fileid_N.wav, or clean/N.wav and noisy/N.wav, which belong
together by the number N. A noise/ beside them is not needed: it is what noisy has more than clean. Any suffix of an
audio file will do.
"""

from __future__ import annotations

import re
import sys
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from denoise_wrapper.errors import DataError
from denoise_wrapper.training.data.corpus import Recording, open_cache
from denoise_wrapper.training.data.packs import BOOK, READER, open_pack
from denoise_wrapper.wording import few

Float32 = NDArray[np.float32]
Sides = dict[str, dict[int, list[str]]]  # "clean" and "noisy": the files of each number
NUMBER = re.compile(r"(?:_fileid_|^)(\d+)$", re.IGNORECASE)
LOOKED_AT = 50  # pairs of a folder, at most, to see if the sides are exchanged
QUIET_FRAME = 480  # samples, some 10 to 30 ms at any usual rate
APART_S = 0.1  # noisy and clean may differ so much in length, as lossy formats pad


@dataclass(frozen=True)
class Pair:
    """Noisy audio and what is wanted of it. clean: None if that is silent."""

    number: int
    noisy: Recording
    clean: Recording | None

    @property
    def length(self) -> int:
        return self.noisy.length if self.clean is None else min(self.noisy.length, self.clean.length)


@dataclass(frozen=True)
class PairGroup:
    """Pairs that belong on one side of the split: those of a reader, or one alone."""

    name: str
    pairs: tuple[Pair, ...]

    @property
    def length(self) -> int:
        return sum(pair.length for pair in self.pairs)


def read_pairs(folder: Path, rate: int, work_dir: Path) -> tuple[PairGroup, ...]:
    """The pairs of a folder, decoded once into work_dir and brought to rate (Hz), by who speaks in them.

    Pairs whose noisy side is silent or empty are left out. Raises DataError where a file has no number or no
    counterpart, or is of another length than that, naming the first few; where none is left; for damaged files.
    """
    names = match_files(folder)
    name = folder.resolve().name
    noisy_audio, noisy_files = open_cache(f"{name}-noisy", open_pack(folder / "noisy").files, rate, work_dir)
    clean_audio, clean_files = open_cache(f"{name}-clean", open_pack(folder / "clean").files, rate, work_dir, True)
    pairs, apart = [], []
    for number, noisy_name, clean_name in names:
        noisy, clean = noisy_files.get(noisy_name), clean_files.get(clean_name)
        if noisy is None:
            continue
        if clean is not None and abs(noisy["length"] - clean["length"]) > APART_S * rate:
            apart.append(f"{number} ({noisy['length'] / rate:.2f} and {clean['length'] / rate:.2f} s)")
        target = None
        if clean is not None:
            target = Recording(clean_audio, clean["start"], clean["length"], clean["bandwidth_hz"])
        recording = Recording(noisy_audio, noisy["start"], noisy["length"], noisy["bandwidth_hz"])
        pairs.append((noisy_name, Pair(number, recording, target)))
    if apart:
        raise DataError(f"{folder}: noisy and clean differ in length for ids {few(apart)}; cut them alike")
    warn_exchanged(folder, [pair for _, pair in pairs])
    return group_pairs(f"{name}/", pairs)


def warn_exchanged(folder: Path, pairs: Sequence[Pair]) -> None:
    """Say on stderr if the clean sides of a folder are mostly noisier than the noisy ones."""
    looked = [pair for pair in pairs if pair.clean is not None][:LOOKED_AT]
    noisier = sum(quiet_level(pair.clean) > 1.5 * quiet_level(pair.noisy) for pair in looked if pair.clean is not None)
    if 2 * noisier > len(looked):
        print(
            f"{folder}: in {noisier} of {len(looked)} pairs clean has more noise than noisy; are the two exchanged?",
            file=sys.stderr,
        )


def quiet_level(recording: Recording) -> float:
    """RMS of the quieter ones of a recording's first frames."""
    samples = recording.read(0, 500 * QUIET_FRAME)
    frame = min(QUIET_FRAME, max(1, len(samples)))
    power = np.square(samples[: len(samples) // frame * frame].reshape(-1, frame)).mean(axis=1)
    return float(np.sqrt(np.quantile(power, 0.1))) if len(power) else 0.0


def match_files(folder: Path) -> list[tuple[int, str, str]]:
    """(number, noisy file, clean file) by number, the files relative to noisy/ and clean/. Raises DataError."""
    for part in ("clean", "noisy"):
        if not (folder / part).is_dir():
            raise DataError(f"{folder} has no folder {part}; pairs lie in clean/clean_fileid_N and noisy/*_fileid_N")
    sides, strange = number_files(folder)
    if strange:
        raise DataError(
            f"{folder}: no _fileid_N at the end of {few(strange)}, nor a number for a name; rename or take away"
        )
    twice = [number for number, names in sides["clean"].items() if len(names) > 1]
    if twice:
        raise DataError(f"{folder}: more than one clean file for ids {few(sorted(twice))}; keep one of each")
    missing = [
        f"no {there} file for ids {few(lacking)} of {here}"
        for here, there in (("noisy", "clean"), ("clean", "noisy"))
        if (lacking := sorted(sides[here].keys() - sides[there].keys()))
    ]
    if missing:
        raise DataError(f"{folder}: {'; '.join(missing)}; add them, or take the others away")
    return counterparts(sides)


def counterparts(sides: Sides) -> list[tuple[int, str, str]]:
    """(number, noisy file, clean file) of the numbers that both sides have."""
    return [(number, noisy, sides["clean"][number][0]) for number in sorted(sides["noisy"].keys() & sides["clean"])
            for noisy in sides["noisy"][number]]  # fmt: skip


def number_files(folder: Path, parts: Sequence[str] = ("clean", "noisy")) -> tuple[Sides, list[str]]:
    """Per part of the layout, the files of each number; and the files that have none."""
    sides: Sides = {}
    strange = []
    for part in parts:
        sides[part] = defaultdict(list)
        for name in open_pack(folder / part).files:
            numbered = NUMBER.search(Path(name).stem)
            if numbered:
                sides[part][int(numbered[1])].append(name)
            else:
                strange.append(f"{part}/{name}")
    return sides, strange


def group_pairs(prefix: str, pairs: Iterable[tuple[str, Pair]]) -> tuple[PairGroup, ...]:
    """Groups of pairs that no reader is in two of: see `speakers`.

    prefix: put before the groups' names. pairs: (noisy file, pair).
    """
    listed_pairs = list(pairs)
    names = speakers([(file, pair.number) for file, pair in listed_pairs])
    groups: dict[str, list[Pair]] = defaultdict(list)
    for name, (_, pair) in zip(names, listed_pairs, strict=True):
        groups[prefix + name].append(pair)
    return tuple(PairGroup(name, tuple(groups[name])) for name in sorted(groups))


def speakers(files: Sequence[tuple[str, int]]) -> list[str]:
    """Speakers of each (noisy file, its number), by the names of readers, else books, else by the number alone.

    A file may join the speech of several readers, who then go by one name.
    """
    leader: dict[str, str] = {}

    def find(name: str) -> str:
        while leader.setdefault(name, name) != name:
            name = leader[name]
        return name

    firsts = []
    for file, number in files:
        stem = Path(file).stem
        names = READER.findall(stem) or BOOK.findall(stem) or [f"fileid_{number}"]
        firsts.append(names[0])
        for name in names[1:]:
            leader[find(name)] = find(names[0])
    return [find(name) for name in firsts]
