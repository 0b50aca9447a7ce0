"""`denoise-wrapper info`: this copy of the package and the machine that it runs on, for reports of errors."""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
from importlib import metadata
from typing import Any

from denoise_wrapper import __version__
from denoise_wrapper.backends import backend_names, load_backend
from denoise_wrapper.backends.base import Backend
from denoise_wrapper.cli.config import read_config
from denoise_wrapper.cli.screen import show
from denoise_wrapper.errors import DenoiseError
from denoise_wrapper.machine import cores, processor_name

NEEDED = ("numpy", "cffi", "soundfile", "rich")
# Packages that some things need, and those that they are for.
OPTIONAL = {
    "av": "m4a, mp4, mkv, webm, wma ...",
    "pydub": "AudioSegment",
    "h5py": "models of Keras",
    "onnxruntime": "other pairs of ONNX models",
    "sounddevice": "live, listen",
    "uvicorn": "serve",
    "pesq": "evaluate, compare",
    "pystoi": "evaluate, compare",
    "speechmos": "evaluate, compare",
    "matplotlib": "compare",
    "torch": "train",
}
SHORT = 12  # hexadecimal digits of a checksum that tell models apart


def add_info(verbs: Any) -> None:
    verb = verbs.add_parser(
        "info",
        help="tell versions, processor, instruction sets and backends",
        description="Tells what is installed here: versions, the processor, the instruction sets that the engine "
        "knows, those that this processor runs and the one in use (DENOISE_WRAPPER_ISA in the environment forces one), "
        "the backends with their models, and the optional packages and programs.",
        examples=(("info", "as lines to read, for the beginning of a report"), ("info --json", "for programs")),
    )
    verb.add_argument("--json", action="store_true", help="as JSON")
    verb.set_defaults(run=run_info)


def run_info(args: argparse.Namespace) -> int:
    facts = {**describe(), "config": describe_config(args)}
    show(json.dumps(facts, indent=1) if args.json else format_description(facts))
    return 0


def describe_config(args: argparse.Namespace) -> dict[str, Any]:
    """Describe where defaults of options come from: files and values; of files that cannot be used: error."""
    try:
        config = read_config(args)
    except DenoiseError as error:
        return {"files": [], "values": {}, "error": str(error)}
    return {"files": [str(path) for path in config.files], "values": config.values}


def describe() -> dict[str, Any]:
    """Describe this copy and this machine as plain data for JSON.

    Keys: version, python, implementation, platform, machine, processor, cores; instruction_sets (of the C engine:
    known to this build, those that this processor runs, the one in use, and what DENOISE_WRAPPER_ISA asks for);
    packages and optional (name: version, or None if it is absent); backends, a list
    (see `describe_backend`). Whatever cannot be told is None, or has its reason under "error".
    """
    return {
        "version": __version__,
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "platform": platform.platform(),
        "machine": platform.machine(),
        "processor": processor_name(),
        "cores": cores(),
        "instruction_sets": _instruction_sets(),
        "packages": {name: _version(name) for name in NEEDED},
        "optional": {name: _version(name) for name in OPTIONAL},
        "backends": [describe_backend(name) for name in backend_names()],
    }


def describe_backend(name: str) -> dict[str, Any]:
    """One backend as it is loaded here.

    Keys: name; sample_rate (Hz), hop and delay (samples at that rate), has_vad; latency_ms, of a stream at that rate;
    model, what the model calls itself, and sha256, the first 12 digits for each file of it, as `models info` tells
    them. Of one that cannot be loaded: name and error.
    """
    try:
        backend = load_backend(name)
        return {
            "name": name,
            "sample_rate": backend.sample_rate,
            "hop": backend.hop,
            "delay": backend.delay,
            "latency_ms": round(1e3 * (backend.delay + backend.hop - 1) / backend.sample_rate, 2),
            "has_vad": backend.has_vad,
            "model": getattr(backend, "metadata", {}).get("name"),
            "sha256": [digits[:SHORT] for digits in _checksums(backend)],
        }
    except DenoiseError as error:
        return {"name": name, "error": str(error)}


def format_description(facts: dict[str, Any]) -> str:
    """Format the result of `describe` as lines to read."""
    sets = facts["instruction_sets"]
    used, asked = sets["in_use"] or "none", sets["asked_for"]
    if asked:
        used += f" (DENOISE_WRAPPER_ISA={asked}{' cannot be used' * (sets['in_use'] is None)})"
    lines = [
        f"denoise-wrapper {facts['version']}",
        f"{facts['implementation']} {facts['python']} on {facts['platform']}",
        f"processor: {facts['processor']}, {facts['machine']}, {facts['cores']} cores to use",
        f"instruction set: {used}; this processor runs {' '.join(sets['runs'])}; "
        f"this build knows {' '.join(sets['known'])}",
        f"packages: {_listed(facts['packages'])}",
    ]
    present = {name: version for name, version in facts["optional"].items() if version is not None}
    absent = [f"{name} ({OPTIONAL[name]})" for name, version in facts["optional"].items() if version is None]
    lines.append(f"optional packages: {_listed(present) or 'none'}" + (f"; absent: {', '.join(absent)}" * bool(absent)))
    lines += [*_config_line(facts.get("config")), "backends:"]
    for each in facts["backends"]:
        if "error" in each:
            lines.append(f"    {each['name']}: cannot be used here: {each['error']}")
            continue
        hop, delay = (f"{1e3 * each[key] / each['sample_rate']:g} ms" for key in ("hop", "delay"))
        lines.append(
            f"    {each['name']}: {each['sample_rate']} Hz, hop {hop}, delay {delay}, latency "
            f"{each['latency_ms']:.0f} ms{', speech probability' * each['has_vad']}; "
            f"model {each['model'] or 'without a name'}, sha256 {' and '.join(each['sha256'])}"
        )
    return "\n".join(lines)


def _config_line(config: dict[str, Any] | None) -> list[str]:
    if config is None:
        return []
    if "error" in config:
        return [f"defaults of options: {config['error']}"]
    values = ", ".join(f"{name} = {json.dumps(value)}" for name, value in config["values"].items())
    return [
        f"defaults of options: {values or 'none'}" + (f"; from {', '.join(config['files'])}" * bool(config["files"]))
    ]


def _listed(versions: dict[str, str | None]) -> str:
    return ", ".join(f"{name} {version or 'absent'}" for name, version in versions.items())


def _instruction_sets() -> dict[str, Any]:
    from denoise_wrapper.backends.native import known_instruction_sets
    from denoise_wrapper.backends.rnnoise import RNNoiseBackend, instruction_sets

    sets: dict[str, Any] = {
        "known": list(known_instruction_sets()),
        "runs": list(instruction_sets()),
        "in_use": None,
        "asked_for": os.environ.get("DENOISE_WRAPPER_ISA") or None,
    }
    try:
        sets["in_use"] = RNNoiseBackend().isa
    except DenoiseError as error:
        sets["error"] = str(error)
    return sets


def _checksums(backend: Backend) -> list[str]:
    from denoise_wrapper.backends.convert import RNNoiseBackend, fingerprint, model_of

    if isinstance(backend, RNNoiseBackend):
        return [fingerprint(model_of(backend))]
    return [hashlib.sha256(data).hexdigest() for data in getattr(backend, "files", ())]


def _version(package: str) -> str | None:
    """Version of an installed package, without importing it; None if it is absent."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
