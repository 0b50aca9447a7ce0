"""docs/speed.md: the tables and the picture of a run, between words that are written by hand."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.programs import ROOT, compiler_version
from benchmarks.results import Table
from denoise_wrapper import __version__
from denoise_wrapper.backends.rnnoise import instruction_sets
from denoise_wrapper.machine import processor_name

BEGIN, END = "<!-- figures: written by python -m benchmarks --write -->", "<!-- end of figures -->"
PICTURE = "images/speed.png"
PACKAGES = ("numpy", "onnxruntime", "soundfile", "pyrnnoise", "webrtc-noise-gain", "noisereduce")


def conditions(cores: int) -> list[tuple[str, str]]:
    """When, and on what, a run was made."""
    versions = [f"{name} {_version(name)}" for name in PACKAGES if _version(name)]
    return [
        ("date", datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")),
        ("revision", _first_line(["git", "-C", str(ROOT), "describe", "--always", "--dirty"])),
        ("load before the run", f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "not told here"),
        ("processor", f"{processor_name()}, {cores} cores; the engine runs here on {', '.join(instruction_sets())}"),
        ("system", f"{platform.system()} {platform.machine()}, {compiler_version()}"),
        ("Python", f"{platform.python_version()}, denoise-wrapper {__version__}, {', '.join(versions)}"),
        ("ffmpeg", _first_line(["ffmpeg", "-version"])),
    ]


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _first_line(command: list[str]) -> str:
    if shutil.which(command[0]) is None:
        return "not installed"
    said = subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines()
    return said[0].split(" Copyright")[0] if said else "says nothing"


def markdown(about: Sequence[tuple[str, str]], tables: Iterable[Table], picture: bool) -> str:
    parts = ["\n".join(["| | |", "| --- | --- |", *(f"| {name} | {value} |" for name, value in about)])]
    parts += [f"![Microseconds for 10 ms of audio, ours and others]({PICTURE})"] if picture else []
    return "\n\n".join([*parts, *(table.as_markdown() for table in tables)])


def split(page: Path) -> tuple[str, str]:
    """Split a page into the parts before and after its figures. Exits with a message where their marks are missing."""
    text = page.read_text(encoding="utf-8") if page.is_file() else ""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        sys.exit(f"{page} has no lines {BEGIN!r} and {END!r} to write the figures between; add them")
    return before, after


def rewrite(page: Path, text: str) -> None:
    """Put text where the figures of the page are, leaving the rest."""
    before, after = split(page)
    page.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}", encoding="utf-8")
