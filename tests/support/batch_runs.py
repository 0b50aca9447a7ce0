"""Small files for `batch`, what it has made of them, and calls of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from denoise_wrapper.cli import main as cli
from denoise_wrapper.cluster.manifest import NAME
from denoise_wrapper.files.results import LIST

RATE = 16000


def make_files(folder: Path, seconds: dict[str, float]) -> None:
    for seed, (name, length) in enumerate(seconds.items()):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        samples = 0.1 * np.random.default_rng(seed).standard_normal(round(length * RATE))
        soundfile.write(folder / name, samples, RATE)


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file() and path.name not in (LIST, NAME))
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def records(folder: Path, event: str = "done") -> list[dict[str, Any]]:
    lines = map(json.loads, (folder / NAME).read_text().splitlines())
    return [line for line in lines if line["event"] == event]


def batch(*words: object) -> int:
    try:
        return cli.main(["batch", "--no-config", *map(str, words)])
    except SystemExit as error:
        return int(error.code or 0)
