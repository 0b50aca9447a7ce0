"""A microphone that other programs can choose, on PulseAudio, or PipeWire in its place: by `pactl`.

What is played into a null sink comes out of a source that is made of its monitor. The modules are named after the
process that owns them, so that the next start can tell what a crash has left.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from denoise_wrapper.errors import ConfigError, DenoiseError
from denoise_wrapper.wording import few

OWNER = re.compile(r"denoise_wrapper_(\d+)_(\d+)_")
WAIT_S = 5.0


@dataclass(frozen=True)
class VirtualMicrophone:
    """sink: to play into. source: that other programs choose. name: as they show it."""

    sink: str
    source: str
    name: str


@contextlib.contextmanager
def virtual_microphone(name: str, rate: int, channels: int) -> Iterator[VirtualMicrophone]:
    """Have a microphone of that name while the block lasts. rate: Hz.

    Raises DenoiseError if the sound server makes none.
    """
    if not name.isprintable() or not name.strip() or any(mark in name for mark in "'\"\\"):
        raise ConfigError(f"--virtual-mic is a name of plain letters, without quotes, not {name!r}")
    remove_leftovers()
    mark = f"denoise_wrapper_{os.getpid()}_{_began(os.getpid())}"
    sink, source = f"{mark}_sink", f"{mark}_source"
    form = (f"rate={rate}", f"channels={channels}")
    try:
        shown = f"device.description='{name} (what it is made of)'"
        pactl("load-module", "module-null-sink", f"sink_name={sink}", *form, f'sink_properties="{shown}"')
        shown = f"device.description='{name}'"
        pactl(
            "load-module",
            "module-remap-source",
            f"source_name={source}",
            f"master={sink}.monitor",
            *form,
            f'source_properties="{shown}"',
        )
        yield VirtualMicrophone(sink, source, name)
    finally:
        with contextlib.suppress(DenoiseError):  # by name: another sound server has given the numbers to others
            _unload(lambda line: mark in line)


def is_there(sink: str) -> bool:
    """True if the sound server has a sink of that name."""
    return any(line.split("\t")[1:2] == [sink] for line in pactl("list", "short", "sinks").splitlines())


def remove_leftovers() -> int:
    """Remove what processes have left that are no more; returns how many modules that were."""

    def is_left(line: str) -> bool:
        owner = OWNER.search(line)
        return owner is not None and _began(int(owner[1])) != int(owner[2])

    return _unload(is_left)


def _unload(is_one: Callable[[str], bool]) -> int:
    """Remove modules, the youngest first, by their lines in pactl's list; returns how many those were."""
    removed = 0
    for line in reversed(pactl("list", "short", "modules").splitlines()):
        if is_one(line):
            with contextlib.suppress(DenoiseError):
                pactl("unload-module", line.split("\t")[0])
                removed += 1
    return removed


def find_place(wanted: str, kind: str) -> str | None:
    """Find the sound server's source or sink of that name or description, or a part of it; None if there is none.

    kind: "sources" or "sinks".
    """
    places = [each for each in _listed(kind) if not OWNER.search(each["name"])]
    exact = [each for each in places if wanted in (each["name"], each["description"])]
    close = [each for each in places if wanted.lower() in f"{each['name']} {each['description']}".lower()]
    return str((exact or close)[0]["name"]) if exact or close else None


def place_lines() -> list[str]:
    """Describe the sound server's sources and sinks, a line each; none without such a server."""
    try:
        return [
            f"{each['name']} ({kind[:-1]} of the sound server: {each['description']})"
            for kind in ("sources", "sinks")
            for each in _listed(kind)
        ]
    except DenoiseError:
        return []


def pactl(*words: str) -> str:
    """Run pactl. Raises ConfigError if it is absent, DenoiseError if it fails."""
    if shutil.which("pactl") is None:
        raise ConfigError(
            "a virtual microphone needs pactl (apt install pulseaudio-utils), with PulseAudio or pipewire-pulse"
        )
    try:
        done = subprocess.run(["pactl", *words], capture_output=True, text=True, timeout=WAIT_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise DenoiseError("the sound server does not answer (pactl); start it anew") from error
    if done.returncode:
        reason = " ".join(done.stderr.split()) or f"code {done.returncode}"
        raise DenoiseError(f"the sound server refuses (pactl {words[0]}): {reason}")
    return done.stdout


def _listed(kind: str) -> list[dict[str, Any]]:
    try:
        made: list[dict[str, Any]] = json.loads(pactl("--format=json", "list", kind))
    except ValueError as error:
        raise DenoiseError(f"pactl lists {few([kind])} in a form that is not known") from error
    return made


def _began(process: int) -> int:
    """When a process began, in ticks of the system; -1 if it is no more. Numbers of processes are used again."""
    try:
        return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[19])
    except (OSError, ValueError, IndexError):
        return -1
