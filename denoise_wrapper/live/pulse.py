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

    kind: "sources" or "sinks". A number is one of PortAudio's devices, not a part of a name.
    """
    places = _real(kind)
    exact = [each for each in places if wanted in (each["name"], each["description"])]
    close = [each for each in places if wanted.lower() in f"{each['name']} {each['description']}".lower()]
    close = [] if wanted.isdecimal() else close
    return str((exact or close)[0]["name"]) if exact or close else None


def default_source() -> str | None:
    """Return the source that the sound server hears where none is named; None if that is one that is made here."""
    name = _asked("info").get("default_source_name")
    return None if not name or OWNER.search(name) else str(name)


def microphone(before: str | None) -> str:
    """Choose the source to hear where none is named: the server's default, but none that is made here.

    In place of such a one the source of before, if it is still there, or the first that is a device's. Raises
    DenoiseError if there is none.
    """
    default = default_source()
    if default is not None:
        return default
    places = _real("sources")
    devices = [str(each["name"]) for each in places if each["name"] == before or not each.get("monitor_source")]
    if not devices:
        raise DenoiseError(f"there is no microphone; --input names another source: {'; '.join(place_lines('sources'))}")
    return before if before in devices else devices[0]


def place_of(process: int, kind: str) -> str | None:
    """Name the source that a process hears, or the sink that it plays into; None if it does neither (yet).

    kind: "sources" or "sinks".
    """
    way, of = ("source-outputs", "source") if kind == "sources" else ("sink-inputs", "sink")
    for each in _listed(way):
        if each["properties"].get("application.process.id") == str(process):
            return next((str(place["name"]) for place in _listed(kind) if place["index"] == each[of]), None)
    return None


def place_lines(*kinds: str) -> list[str]:
    """Describe the sound server's sources and sinks, or one of both, but for those made here, a line each.

    None without such a server.
    """
    try:
        return [
            f"{each['name']} ({kind[:-1]} of the sound server: {each['description']})"
            for kind in kinds or ("sources", "sinks")
            for each in _real(kind)
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


def _real(kind: str) -> list[dict[str, Any]]:
    """Sources or sinks that are not made here."""
    return [each for each in _listed(kind) if not OWNER.search(each["name"])]


def _listed(kind: str) -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = _asked("list", kind)
    return made


def _asked(*words: str) -> Any:
    try:
        return json.loads(pactl("--format=json", *words))
    except ValueError as error:
        raise DenoiseError(f"pactl {' '.join(words)} answers in a form that is not known") from error


def _began(process: int) -> int:
    """When a process began, in ticks of the system; -1 if it is no more. Numbers of processes are used again."""
    try:
        return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[19])
    except (OSError, ValueError, IndexError):
        return -1
