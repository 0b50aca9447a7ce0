"""Check of data folders: files of no use for training, doubtful ones, and the reasons."""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import hashlib
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import soundfile
from numpy.typing import NDArray

from denoise_wrapper.atomic import atomic_path
from denoise_wrapper.errors import FileError
from denoise_wrapper.files.formats import SOUNDFILE_SUFFIXES
from denoise_wrapper.files.transform import open_source
from denoise_wrapper.progress import tracked
from denoise_wrapper.training.data.decoding import BLOCK, Bandwidth
from denoise_wrapper.training.data.packs import RAW_SUFFIXES, Pack, open_pack, open_sound, scan_table
from denoise_wrapper.training.data.pairs import APART_S, counterparts, number_files
from denoise_wrapper.wording import few

Float32 = NDArray[np.float32]
Kind = Literal["speech", "noise", "rooms", "clean", "noisy"]  # the last two: both sides of pairs
UNUSABLE, DOUBTFUL = "unusable", "doubtful"
SHORTEST_S = 0.1
FULL_SCALE = 0.9995
CLIPPED_SHARE = 1e-4  # of the samples at full scale
DC_LEVEL = 0.01  # and a tenth of the level
NARROW = 0.6  # of what the rate could carry
RATIO_DB = 25.0  # between loud and quiet frames of clean speech
FRAME_S = 0.02
QUIET_FRAMES = 10  # a ratio of less frames than that says nothing
LATE_S = 0.05  # that a row may end after its file


@dataclass(frozen=True)
class Finding:
    """verdict: "unusable", which training refuses or learns nothing from, or "doubtful". start_s: of a part."""

    verdict: str
    file: str
    problem: str
    detail: str
    start_s: float | None = None


@dataclass
class Facts:
    """Measures of a file, taken while it is read, block by block."""

    rate: int
    channels: int = 1
    refused: str | None = None  # why 'filter' would not read it, where libsndfile does
    frames: int = 0
    finite: bool = True
    highest: float = 0.0
    total: float = 0.0
    full: int = 0
    bandwidth_hz: float = 0.0
    digest: str = ""
    powers: list[Float32] = field(default_factory=list)  # of frames of FRAME_S

    @property
    def seconds(self) -> float:
        return self.frames / self.rate

    @property
    def ratio_db(self) -> float:
        """Ratio of loud to quiet frames; 0 of too few to tell."""
        return (loud_to_quiet_db(self.power) if self.finite else None) or 0.0

    @property
    def power(self) -> Float32:
        return np.concatenate(self.powers) if self.powers else np.zeros(0, np.float32)


def loud_to_quiet_db(power: Float32) -> float | None:
    """The ratio of loud to quiet frames, by their mean squares: 90 and 5 of 100 are below. None: too few to tell."""
    sounding = power[power > 1e-10]  # digital silence tells nothing about the recording
    if len(sounding) < QUIET_FRAMES:
        return None
    quiet, loud = np.quantile(sounding, (0.05, 0.9))
    return 10.0 * float(np.log10(loud / quiet))


@dataclass(frozen=True)
class Report:
    """Files that were checked, and the findings."""

    files: int
    hours: float
    findings: tuple[Finding, ...]

    def count(self, verdict: str) -> int:
        return sum(finding.verdict == verdict for finding in self.findings)


def check_folders(folders: Sequence[Path], rate: int | None = None, kind: Kind | None = None) -> Report:
    """Look at all audio of packs, and of folders of pairs.

    rate: Hz that training will ask for, or None. kind: what the packs hold; None tells it by their names, by which
    noise*, rir* and room* are no speech. Raises DataError for a folder that is absent or holds no audio.
    """
    findings: list[Finding] = []
    seen: dict[str, str] = {}
    files, seconds = 0, 0.0
    for folder in folders:
        paired = (folder / "clean").is_dir() and (folder / "noisy").is_dir()
        facts: dict[str, Facts] = {}
        for pack, held in packs_of(folder, paired, kind):
            if paired:
                seen = {}  # both sides may well be the same where nobody speaks, or nothing else sounds
            for name, path in tracked(pack.files.items(), len(pack.files), f"looking at {pack.name}"):
                label = (pack.base / name).as_posix()
                fact, problems = check_file(path, label, rate, held, seen)
                if fact is not None:
                    facts[label] = fact
                findings += problems
            if not paired:
                findings += check_rows(pack, facts, held)
            files += len(pack.files)
        if paired:
            findings += check_pairs(folder, facts)
            for label in (label for label in facts if Path(label).parts[len(folder.parts)] == "clean"):
                findings += noisy_parts(label, facts[label], [(0.0, facts[label].seconds)])
        seconds += sum(fact.seconds for fact in facts.values())
    order = {UNUSABLE: 0, DOUBTFUL: 1}
    findings.sort(key=lambda finding: (order[finding.verdict], finding.problem, finding.file, finding.start_s or 0.0))
    return Report(files, seconds / 3600.0, tuple(findings))


def packs_of(folder: Path, paired: bool, kind: Kind | None) -> Iterator[tuple[Pack, Kind]]:
    """The packs that a folder stands for, and what each holds."""
    if not paired:
        pack = open_pack(folder)
        begins = pack.name.lower()
        guess: Kind = "noise" if begins.startswith("noise") else "speech"
        yield pack, kind or ("rooms" if begins.startswith(("rir", "room")) else guess)
        return
    parts: tuple[tuple[str, Kind], ...] = (("clean", "clean"), ("noisy", "noisy"), ("noise", "noise"))
    for name, held in parts:
        if held != "noise" or has_noise(folder):
            yield open_pack(folder / name), held


def has_noise(folder: Path) -> bool:
    """True if a folder of pairs comes with its noises, which no training needs."""
    return any(path.suffix.lower() in SOUNDFILE_SUFFIXES for path in (folder / "noise").rglob("*"))


def check_file(
    path: Path, label: str, rate: int | None, kind: Kind, seen: dict[str, str]
) -> tuple[Facts | None, list[Finding]]:
    """Measure a file, and list what is wrong with it. seen: content met before, by its digest; added to."""
    try:
        fact = examine(path)
    except (soundfile.SoundFileError, OSError) as error:
        return None, [Finding(UNUSABLE, label, "undecodable", str(error))]
    problems = [Finding(verdict, label, problem, detail) for verdict, problem, detail in judge(fact, rate, kind)]
    if fact.frames and fact.highest > 0.0 and seen.setdefault(fact.digest, label) != label:
        problems.append(Finding(DOUBTFUL, label, "duplicate", f"the same samples as {seen[fact.digest]}"))
    return fact, problems


def examine(path: Path) -> Facts:
    """Read a file once, block by block. Raises soundfile's errors and OSError."""
    digest = hashlib.sha256()
    with open_sound(path) as file:
        fact = Facts(file.samplerate, file.channels, refusal(path))
        meter = Bandwidth(file.samplerate, file.frames)
        hop = max(1, round(FRAME_S * file.samplerate))
        rest = np.zeros(0, np.float32)
        for block in file.blocks(BLOCK, dtype="float32", always_2d=True):
            digest.update(np.ascontiguousarray(block).tobytes())
            mono = block.mean(axis=1, dtype=np.float32)
            fact.frames += len(mono)
            if not np.isfinite(mono).all():
                fact.finite = False
                continue
            size = np.abs(block)
            fact.highest = max(fact.highest, float(size.max(initial=0.0)))
            fact.full += int(np.count_nonzero(size.max(axis=1) >= FULL_SCALE))
            fact.total += float(mono.sum(dtype=np.float64))
            meter.add(mono)
            mono = np.concatenate([rest, mono])
            whole = len(mono) // hop * hop
            frames, rest = mono[:whole].reshape(-1, hop), mono[whole:]
            fact.powers.append(frames.var(axis=1))  # about the frame's mean: a constant offset is no noise
        fact.bandwidth_hz = meter.measure()
    fact.digest = f"{fact.rate}-{digest.hexdigest()}"
    return fact


def refusal(path: Path) -> str | None:
    """Why 'filter' refuses a file that libsndfile opens, as where it holds less than its header says; None: it reads
    it, or has no header."""
    if path.suffix.lower() in RAW_SUFFIXES:
        return None
    try:
        with contextlib.ExitStack() as stack:
            open_source(path, stack)
    except FileError as error:
        return str(error)
    return None


def judge(fact: Facts, rate: int | None, kind: Kind) -> Iterator[tuple[str, str, str]]:
    """(verdict, problem, detail) of a whole file."""
    if not fact.frames:
        yield UNUSABLE, "empty", "no sample"
        return
    if not fact.finite:
        yield UNUSABLE, "not finite", "some samples are NaN or infinite"
        return
    if fact.highest < 1.0 / 65536.0:
        verdict = DOUBTFUL if kind == "clean" else UNUSABLE  # it may be meant: the target of noise alone
        yield verdict, "silent", "nothing but zeros, in 16 bits"
        return
    if fact.refused is not None:
        yield DOUBTFUL, "cut short", fact.refused.partition(", or let")[0]  # which is advice for cleaning it
    if fact.channels > 1 and kind != "rooms":
        yield DOUBTFUL, "channels", f"{fact.channels} of them, of which training takes the mean"
    if fact.seconds < SHORTEST_S and kind != "rooms":
        yield UNUSABLE, "too short", f"{fact.seconds:.3f} s, less than {SHORTEST_S:g} s"
    if fact.full > max(2, CLIPPED_SHARE * fact.frames) and kind != "rooms":
        yield DOUBTFUL, "clipped", f"{100.0 * fact.full / fact.frames:.2f} % of the samples at full scale"
    offset, level = fact.total / fact.frames, float(np.sqrt(fact.power.mean())) if len(fact.power) else 0.0
    if abs(offset) > max(DC_LEVEL, 0.1 * level) and kind != "rooms":
        yield DOUBTFUL, "DC", f"mean {offset:.3f} at a level of {level:.3f}"
    if rate is not None and fact.rate < rate:
        yield DOUBTFUL, "low rate", f"{fact.rate} Hz where {rate} Hz are wanted"
    reach = min(fact.rate, rate or fact.rate) / 2.0
    if fact.bandwidth_hz < NARROW * reach and kind in ("speech", "clean") and fact.seconds >= 1.0:
        yield DOUBTFUL, "narrow band", f"ends at {fact.bandwidth_hz / 1000.0:.1f} kHz of {reach / 1000.0:g} kHz"


def check_rows(pack: Pack, facts: dict[str, Facts], kind: Kind) -> list[Finding]:
    """List rows of a pack's table that do not fit its files, and recordings of speech that are not clean."""
    problems = []
    parts: dict[str, list[tuple[float, float]]] = {}
    table = "" if pack.table is None else pack.table.as_posix()
    voiced = False
    for line, row, complaint in scan_table(pack.table) if pack.table else ():
        voiced = voiced or "voice" in row
        name = pack.relative(row["file"] or "")
        label = (pack.base / name).as_posix()
        if not complaint and name not in pack.files:
            complaint = f"there is no file {name}"
        if complaint:
            problems.append(Finding(UNUSABLE, table, "row", f"line {line}: {complaint}"))
        elif label in facts:
            start_s, end_s, length_s = float(row["start_s"]), float(row["end_s"]), facts[label].seconds
            parts.setdefault(label, []).append((start_s, end_s))
            stretch = f"line {line}: {start_s:g} to {end_s:g} s of {name}, {length_s:.2f} s long"
            if start_s >= min(end_s, length_s):
                problems.append(Finding(UNUSABLE, table, "row", f"{stretch}, is nothing"))
            elif end_s > length_s + LATE_S:
                problems.append(Finding(DOUBTFUL, table, "row", f"{stretch}, is cut there"))
    for label in sorted(facts) if voiced else ():
        if label not in parts:
            problems.append(Finding(DOUBTFUL, label, "no row", f"{table} does not name it, so it is not used"))
    for label, fact in facts.items() if kind == "speech" else ():
        problems += noisy_parts(label, fact, parts.get(label, [(0.0, fact.seconds)]))
    return problems


def noisy_parts(label: str, fact: Facts, parts: Iterable[tuple[float, float]]) -> Iterator[Finding]:
    """Recordings of clean speech whose quiet frames are not quiet. parts: their seconds in the file."""
    power = fact.power
    for start_s, end_s in parts:
        ratio_db = loud_to_quiet_db(power[round(start_s / FRAME_S) : round(end_s / FRAME_S)]) if fact.finite else None
        if ratio_db is not None and ratio_db < RATIO_DB:
            text = f"quiet frames {ratio_db:.0f} dB below loud ones, not {RATIO_DB:g}, in {end_s - start_s:.1f} s"
            yield Finding(DOUBTFUL, label, "noisy speech", text, start_s)


def check_pairs(folder: Path, facts: dict[str, Facts]) -> list[Finding]:
    """Files of a folder of pairs that have no number, no counterpart, or one of another length."""
    sides, strange = number_files(folder)
    problems = [Finding(UNUSABLE, f"{folder.as_posix()}/{name}", "no number", "its name has no _fileid_N at its end")
             for name in strange]  # fmt: skip
    for here, there in (("noisy", "clean"), ("clean", "noisy")):
        for number in sorted(sides[here].keys() - sides[there].keys()):
            for name in sides[here][number]:
                text = f"id {number} has no file in {there}"
                problems.append(Finding(UNUSABLE, (folder / here / name).as_posix(), "no pair", text))
    for number, noisy, clean in counterparts(sides):
        labels = [(folder / part / name).as_posix() for part, name in (("noisy", noisy), ("clean", clean))]
        if all(label in facts for label in labels):
            lengths = [facts[label].seconds for label in labels]
            if abs(lengths[0] - lengths[1]) > APART_S:
                text = f"id {number}: {lengths[0]:.2f} s, clean {lengths[1]:.2f} s"
                problems.append(Finding(UNUSABLE, labels[0], "lengths", text))
    exchanged = [number for number, noisy, clean in counterparts(sides)
                 if is_exchanged(facts.get(f"{folder.as_posix()}/noisy/{noisy}"),
                                 facts.get(f"{folder.as_posix()}/clean/{clean}"))]  # fmt: skip
    if 2 * len(exchanged) > len(sides["noisy"]):
        text = f"clean has more noise than noisy for ids {few(exchanged)}"
        problems.append(Finding(DOUBTFUL, folder.as_posix(), "exchanged", text))
    if has_noise(folder):
        numbered, _ = number_files(folder, ("noise",))
        lacking = sorted(sides["noisy"].keys() - numbered["noise"].keys())
        if lacking:
            text = f"ids {few(lacking)} have none; training does not ask for it"
            problems.append(Finding(DOUBTFUL, f"{folder.as_posix()}/noise", "no noise", text))
    return problems


def is_exchanged(noisy: Facts | None, clean: Facts | None) -> bool:
    """True if the quiet frames of what should be clean are the louder ones by 3 dB."""
    if noisy is None or clean is None or not len(noisy.power) or not len(clean.power):
        return False
    return float(np.quantile(clean.power, 0.1)) > 2.0 * float(np.quantile(noisy.power, 0.1))


def report_lines(report: Report) -> Iterator[str]:
    """The report as a table to be read, what is unusable first, and a line that sums it up."""
    rows = [
        (finding.verdict, finding.problem, finding.file + at(finding.start_s), finding.detail)
        for finding in report.findings
    ]
    widths = [max((len(row[column]) for row in rows), default=0) for column in range(3)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, (*widths, 0), strict=True)).rstrip()
    yield (
        f"{report.files} files, {report.hours:.2f} h: {report.count(UNUSABLE)} findings unusable, "
        f"{report.count(DOUBTFUL)} doubtful"
    )


def at(start_s: float | None) -> str:
    return "" if start_s is None else f" at {start_s:.2f} s"


def save_report(report: Report, path: Path, form: Literal["csv", "json"], overwrite: bool = False) -> None:
    """Write the findings as a table or as JSON. Raises FileError."""
    rows = [dataclasses.asdict(finding) for finding in report.findings]
    if form == "json":
        counts = {verdict: report.count(verdict) for verdict in (UNUSABLE, DOUBTFUL)}
        text = json.dumps({"files": report.files, "hours": report.hours, **counts, "findings": rows}, indent=1) + "\n"
    else:
        stream = io.StringIO(newline="")
        writer = csv.DictWriter(stream, [item.name for item in dataclasses.fields(Finding)], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        text = stream.getvalue()
    with atomic_path(path, overwrite) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="")
