"""Model cards: the parts that every one of them has, as Markdown."""

from __future__ import annotations

import csv
import hashlib
import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from denoise_wrapper.compare.measure.metrics import METRICS
from denoise_wrapper.training.config import BlendConfig, RunConfig
from denoise_wrapper.training.data.packs import cleaned_hours, licences, only_source


def files_section(files: list[Path]) -> str:
    rows = (f"| {path.name} | {path.stat().st_size} | `{sha256(path)}` |" for path in files)
    return "\n".join(["## Files\n", "| file | bytes | sha256 |", "| --- | --- | --- |", *rows, ""])


def sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def hours_in_words(hours: float) -> str:
    """Hours as a sentence has them: whole ones from ten on, else two digits."""
    return f"{hours:.0f} h" if hours >= 10.0 else f"{hours:.2g} h"


def quality_section(folder: Path) -> str:
    """A table of what was measured on finished models: the means of each quality*.csv of `denoise-wrapper evaluate`."""
    rows = []
    for path in sorted(folder.glob("quality*.csv")):
        with path.open(newline="", encoding="utf-8") as stream:
            rows += [row for row in csv.DictReader(stream) if row.get("clip") == "mean"]
    metrics = [metric for metric in METRICS if any(row.get(metric) for row in rows)]
    if not metrics:
        return "## Quality\n\nNot measured on audio yet; see the losses below.\n"
    lines = [f"| set | {' | '.join(metrics)} |", "| --- |" + " --- |" * len(metrics)]
    for row in rows:
        values = (f"{float(row[metric]):.3f}" if row.get(metric) else "" for metric in metrics)
        lines.append(f"| {row['set']} | {' | '.join(values)} |")
    return "## Quality\n\n" + "\n".join(lines) + "\n"


def audio_section(packs: Mapping[str, tuple[Path, ...]]) -> str:
    """Hours by licence, and the sources under each. packs: the folders of each kind of audio."""
    lines = ["## Audio it learned from\n"]
    for kind, folders in packs.items():
        by_licence: dict[str, list[tuple[str, float]]] = defaultdict(list)
        for source, licence, hours in licences(folders):
            by_licence[without_holder(licence)].append((source, hours))
        total = sum(hours for sources in by_licence.values() for _, hours in sources)
        lines.append(f"{kind}, {total:.1f} h with the validation's share:\n")
        lines.append("| licence | hours | sources |\n| --- | --- | --- |")
        for licence in sorted(by_licence):
            sources = by_licence[licence]
            names = ", ".join(sorted({source for source, _ in sources}))
            lines.append(f"| {licence} | {sum(hours for _, hours in sources):.2f} | {names} |")
        lines.append("")
        for by, hours in cleaned_hours(folders).items():
            lines.append(f"Of it {hours_in_words(hours)} as {by} has cleaned it.\n")
        if (only := only_source(folders)) is not None:
            lines.append(f"{only} is all there is, so it was split in time: validation has other parts of it.\n")
    lines.append("The audio itself is not handed on.\n")
    return "\n".join(lines)


def audio_heard(data: BlendConfig) -> dict[str, tuple[Path, ...]]:
    """The folders of each kind of audio that a run learns from; of pairs, the noisy side stands for both."""
    own = [folder / part for folder in data.own for part in ("noisy", "speech", "noise")]
    kinds = {
        "Speech": data.speech,
        "Noise": data.noise,
        "Pairs": tuple(folder / "noisy" for folder in data.pairs),
        "Own recordings": tuple(folder for folder in own if folder.is_dir()),
    }
    return {kind: folders for kind, folders in kinds.items() if folders}


def without_holder(licence: str) -> str:
    """A licence that a table has as "holder year / GPL", without the holder; the source leads to the name."""
    return re.sub(r"^.* / (?=(GNU )?(GPL|FDL))", "", licence)


def losses_section(path: Path, columns: tuple[str, ...], rows: int = 12) -> str:
    """Some lines of a log, those with a validation; columns: which of its values, the first one a whole number."""
    title = "## Course of the training\n\n"
    if not path.is_file():
        return title + "No log.\n"
    with path.open(newline="", encoding="utf-8") as stream:
        lines = [line for line in csv.DictReader(stream) if line.get("validation_loss")]
    if not lines:
        return title + "Never validated.\n"
    chosen = sorted({round(index * (len(lines) - 1) / (rows - 1)) for index in range(rows)})
    table = ["| " + " | ".join(name.replace("_", " ") for name in columns) + " |", "|" + " --- |" * len(columns)]
    for index in chosen:
        first, *values = (lines[index][name] for name in columns)
        table.append(f"| {first} | " + " | ".join(f"{float(value):.4g}" for value in values) + " |")
    return title + "\n".join(table) + "\n"


def settings_section(config: RunConfig, without: tuple[str, ...] = ()) -> str:
    """All settings but those of folders to write to, defaults too; files and folders by their last name.

    without: names of tables that the run made no use of.
    """
    left_out = ("work_dir", "cache_dir", *without)
    tables = {key: value for key, value in named(asdict(config)).items() if key not in left_out}
    return f"## Settings\n\n```toml\n{settings_toml(tables)}```\n"


def named(value: Any) -> Any:
    """Settings with each path, in tables and lists, by its last name."""
    if isinstance(value, dict):
        return {key: named(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return [named(item) for item in value]
    return value.name if isinstance(value, Path) else value


def settings_toml(settings: Mapping[str, Any]) -> str:
    """Settings, as `plain` gives them, as TOML; what is None is left out."""
    plain = {key: value for key, value in settings.items() if value is not None and not isinstance(value, dict)}
    lines = [f"{key} = {toml(value)}" for key, value in plain.items()]
    for name, table in settings.items():
        if isinstance(table, dict):
            lines += ["", f"[{name}]", *(f"{key} = {toml(value)}" for key, value in table.items() if value is not None)]
    return "\n".join(lines).lstrip() + "\n"


def toml(value: Any) -> str:
    """A plain value as TOML writes it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return "[" + ", ".join(toml(item) for item in value) + "]"
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return repr(value)
