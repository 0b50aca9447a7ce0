"""A trained network as files: the model in each form, and the card that says where it comes from."""

from __future__ import annotations

import csv
import hashlib
import re
from collections import defaultdict
from pathlib import Path
from typing import Any

from denoise_wrapper.atomic import atomic_path
from denoise_wrapper.backends.model_files import write_model
from denoise_wrapper.metrics import METRICS
from denoise_wrapper.training.config import RNNoiseConfig, plain
from denoise_wrapper.training.data import make_folder
from denoise_wrapper.training.packs import licences
from denoise_wrapper.training.rnnoise.model import ClassicNetwork


def export_network(config: RNNoiseConfig, network: ClassicNetwork, step: int, target: Path) -> list[Path]:
    """Write NAME.dnnw, NAME.rnnn, rnn_data.c and the card NAME.md into the folder target, over older ones.

    step: how far the training came. The card takes its losses from the log in work_dir, and what was measured from
    quality*.csv there, as `denoise-wrapper evaluate --csv` writes it, if there is one.
    """
    make_folder(target)
    hours = config.train.batch * config.train.frames * step / 360000.0
    origin = f"trained from nothing on {config.features.hours:g} h of mixtures, {step} steps, {hours:.0f} h heard"
    if config.train.start_from is not None:
        origin = origin.replace("from nothing", f"on from {config.train.start_from.name}")
    model = network.to_model({"name": config.name, "licence": config.licence, "origin": origin, "seed": config.seed})
    paths = [target / f"{config.name}.dnnw", target / f"{config.name}.rnnn", target / "rnn_data.c"]
    for path in paths:
        write_model(model, path, overwrite=True)
    card = target / f"{config.name}.md"
    with atomic_path(card, overwrite=True) as temporary:
        temporary.write_text(model_card(config, origin, paths[:2]), encoding="utf-8")
    return [*paths, card]


def model_card(config: RNNoiseConfig, origin: str, files: list[Path]) -> str:
    """Markdown: what the model is, what it was trained on, how, and what it reached."""
    parts = [
        f"# {config.name}\n",
        f"The classic RNNoise network (48 kHz, 10 ms frames, 22 bands), {origin}.\n",
        f"Licence of the weights: {config.licence}. No weights of others went into it.\n"
        if config.train.start_from is None
        else f"Licence of the weights: {config.licence}, and that of {config.train.start_from.name}.\n",
        "## Files\n",
        "| file | bytes | sha256 |\n| --- | --- | --- |",
        *(f"| {path.name} | {path.stat().st_size} | `{sha256(path)}` |" for path in files),
        "",
        quality_section(config.work_dir),
        "## Audio it learned from\n",
        audio_section(config),
        "## Course of the training\n",
        losses_section(config.work_dir / "log.csv"),
        "## Settings\n",
        f"```toml\n{settings(config)}```\n",
    ]
    return "\n".join(parts)


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


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


def audio_section(config: RNNoiseConfig) -> str:
    """Hours by licence, and the sources under each."""
    lines = []
    for kind, folders in (("Speech", config.data.speech), ("Noise", config.data.noise)):
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
    if config.data.rooms:
        lines.append("Measured rooms came on top, and simulated ones. The audio itself is not handed on.\n")
    return "\n".join(lines)


def without_holder(licence: str) -> str:
    """A licence that a table has as "holder year / GPL", without the holder; the source leads to the name."""
    return re.sub(r"^.* / (?=(GNU )?(GPL|FDL))", "", licence)


def losses_section(path: Path, rows: int = 12) -> str:
    """Some lines of the log, those with a validation."""
    if not path.is_file():
        return "No log.\n"
    with path.open(newline="", encoding="utf-8") as stream:
        lines = [line for line in csv.DictReader(stream) if line.get("validation_loss")]
    if not lines:
        return "Never validated.\n"
    chosen = sorted({round(index * (len(lines) - 1) / (rows - 1)) for index in range(rows)})
    columns = ("step", "hours", "loss", "validation_loss", "validation_gain", "validation_voice_right")
    table = ["| " + " | ".join(name.replace("_", " ") for name in columns) + " |", "|" + " --- |" * len(columns)]
    for index in chosen:
        step, *values = (lines[index][name] for name in columns)
        table.append(f"| {step} | " + " | ".join(f"{float(value):.4g}" for value in values) + " |")
    return "\n".join(table) + "\n"


def settings(config: RNNoiseConfig) -> str:
    """All settings but work_dir as TOML, defaults too; folders by their last name."""
    tables = {key: value for key, value in plain(config).items() if key != "work_dir"}
    for key in ("speech", "noise", "rooms"):
        tables["data"][key] = [path.name for path in getattr(config.data, key)]
    lines = [f"{key} = {toml(value)}" for key, value in tables.items() if not isinstance(value, dict)]
    for name, table in tables.items():
        if isinstance(table, dict):
            lines += ["", f"[{name}]", *(f"{key} = {toml(value)}" for key, value in table.items() if value is not None)]
    return "\n".join(lines) + "\n"


def toml(value: Any) -> str:
    """A plain value as TOML writes it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return "[" + ", ".join(toml(item) for item in value) + "]"
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return repr(value)
