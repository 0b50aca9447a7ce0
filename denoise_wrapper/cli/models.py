"""The verbs about models: which there are, what one is, in a wheel."""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from pathlib import Path
from typing import Any

from denoise_wrapper.cli.info import describe_backend
from denoise_wrapper.cli.screen import show
from denoise_wrapper.cli.training import loading
from denoise_wrapper.errors import ModelError

LINEAGE = ("name", "licence", "origin", "data", "trained", "sample_rate")  # of what is known of a model, shown first
HEARD = " h heard"  # of audio, in the origin of models that were trained before this was worded so
NOTE = """\
* the default. delay: by how much the network itself is late; latency: by how much a live stream at the backend's own
rate is, the delay and one hop (more at other rates). Whole files come out in time. 'models info NAME' tells more."""


def add_models(verbs: Any) -> None:
    verb = verbs.add_parser(
        "models",
        help="list the backends and what each is for; show what a model file is",
        description="Lists the backends that -b takes, with what each is for.",
        examples=(
            ("models", "which backends there are"),
            ("models info rnnoise", "where its model comes from, and its layers"),
            ("models info mine.rnnn", "what a file holds"),
        ),
    )
    verb.add_argument("--json", action="store_true", help="as JSON")
    verb.set_defaults(run=run_models)
    jobs = verb.add_subparsers(metavar="JOB", title="jobs")
    job = jobs.add_parser(
        "info",
        help="what a model is and where it comes from",
        description="Shows all that is known of a model: its family, origin, licence, checksum and layers.",
        examples=(("models info dtln-16k", "the model of a backend"), ("models info mine.rnnn", "a file")),
    )
    job.add_argument(
        "model", nargs="?", default="rnnoise", metavar="FILE|NAME", help="(default: %(default)s, built in)"
    )
    job.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="as JSON")
    job.set_defaults(run=run_info)
    job = jobs.add_parser(
        "wheel",
        help="build this package with a model of your own compiled in",
        description="Builds a wheel whose 'rnnoise' is the model, and whose version tells so. It needs the source tree "
        "of denoise_wrapper and a C compiler.",
        examples=(("models wheel mine.dnnw -o dist", "a wheel in dist/"),),
    )
    job.add_argument("model", type=Path, metavar="FILE", help="any form of an RNNoise model that 'convert' reads")
    job.add_argument("-o", "--output", type=Path, required=True, metavar="DIR", help="the folder to put the wheel in")
    job.add_argument("--source", type=Path, metavar="TREE", help="(default: the tree that this package runs from)")
    job.add_argument("--name", help="what the model is called (default: its metadata's name, or its file's)")
    job.add_argument("--overwrite", action="store_true", help="replace a wheel of the same name")
    job.set_defaults(run=run_wheel)


def run_models(args: argparse.Namespace) -> int:
    from denoise_wrapper.backends import backend_names

    backends = [describe_model(name) for name in backend_names()]
    if args.json:
        show(json.dumps(backends, indent=1))
    else:
        show(format_models(backends))
    return 0


def describe_model(name: str) -> dict[str, Any]:
    """Describe a backend as `describe_backend` does, and beside it what it is for.

    Further keys: for; default, true of one backend; size, bytes of its model files, and delay_ms.
    """
    from denoise_wrapper.backends import load_backend
    from denoise_wrapper.backends.purposes import DEFAULT, purpose

    facts = {**describe_backend(name), "for": purpose(name), "default": name == DEFAULT}
    if "error" not in facts:
        facts["size"] = sum(map(len, getattr(load_backend(name), "files", ())))
        facts["delay_ms"] = round(1e3 * facts["delay"] / facts["sample_rate"], 2)
    return facts


def format_models(backends: list[dict[str, Any]]) -> str:
    """Tabulate backends, one a row."""
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="")
    for heading in ("", "backend", "rate", "delay", "latency", "speech probability", "size", "good for"):
        table.add_column(heading, justify="right" if heading in ("rate", "delay", "latency", "size") else "left")
        table.columns[-1].no_wrap = heading not in ("good for", "speech probability")
    for each in backends:
        name = [" *"[each["default"]], each["name"]]
        if "error" in each:
            table.add_row(*name, "", "", "", "", "", f"cannot be used here: {each['error']}")
            continue
        table.add_row(
            *name,
            f"{each['sample_rate'] / 1000:g} kHz",
            f"{each['delay_ms']:g} ms",
            f"{each['latency_ms']:.0f} ms",
            "yes" if each["has_vad"] else "no",
            f"{each['size'] / 1e6:.1f} MB",
            each["for"],
        )
    console = Console(file=sys.stdout, width=None if sys.stdout.isatty() else 160, highlight=False, markup=False)
    with console.capture() as capture:
        console.print(table)
    return "\n".join(line.rstrip() for line in [*capture.get().splitlines(), *NOTE.splitlines()])


def is_backend(name: str) -> bool:
    from denoise_wrapper.backends import backend_names

    return name in backend_names() and not Path(name).exists()


def run_info(args: argparse.Namespace) -> int:
    facts = describe_file(args.model)
    show(json.dumps(facts, indent=1) if args.json else format_file(facts))
    return 0


def describe_file(name: str) -> dict[str, Any]:
    """Describe a model, of a file or a backend: model, family, weights, metadata, sha256 (a list), layers.

    weights and layers are absent of a pair of ONNX files. Raises ModelError or FileError if it cannot be read.
    """
    from denoise_wrapper.backends import load_backend
    from denoise_wrapper.backends.convert import RNNoiseBackend, fingerprint
    from denoise_wrapper.backends.enhancer import holds_enhancer
    from denoise_wrapper.backends.narrow import narrow_kind

    backend: Any = load_backend(name) if is_backend(name) else None
    if backend is None and holds_enhancer(name):
        backend = load_backend("enhancer", name)
    if backend is None and (narrow := narrow_kind(name)):
        backend = load_backend(narrow, name)
    if backend is not None and not isinstance(backend, RNNoiseBackend):
        sums = [hashlib.sha256(data).hexdigest() for data in getattr(backend, "files", ())]
        family = getattr(backend, "title", backend.kind)
        return {"model": name, "family": family, "metadata": ordered(backend.metadata), "sha256": sums}
    model = read_rnnoise(name)
    return {
        "model": name,
        "family": f"{model.family} RNNoise",
        "weights": sum(layer.size for layer in model.layers),
        "metadata": ordered(model.metadata),
        "sha256": [fingerprint(model)],
        "layers": {layer.name: layer.description for layer in model.layers},
    }


def ordered(metadata: dict[str, str]) -> dict[str, str]:
    """Order what is known of a model alike for all families: name, licence and origin first."""
    first = [key for key in LINEAGE if key in metadata]
    return {key: metadata[key] for key in [*first, *(key for key in metadata if key not in first)]}


def format_file(facts: dict[str, Any]) -> str:
    """Format the result of `describe_file` as lines to read."""
    weights = f", {facts['weights']} weights" if "weights" in facts else ""
    family = facts["family"].upper() if facts["family"] == "dtln" else facts["family"]
    lines = [f"{facts['model']}: {family} network{weights}"]
    lines += [f"    {key}: {str(value).replace(HEARD, ' h of audio')}" for key, value in facts["metadata"].items()]
    several = len(facts["sha256"]) > 1
    for number, digits in enumerate(facts["sha256"], 1):
        lines.append(f"    sha256 of {f'file {number}' if several else 'the weights'}: {digits}")
    lines += [f"    {name}: {text}" for name, text in facts.get("layers", {}).items()]
    return "\n".join(lines)


def read_rnnoise(name: str) -> Any:
    """Read the model of a file, or that of one of the RNNoise backends."""
    from denoise_wrapper.backends import load_backend
    from denoise_wrapper.backends.convert import RNNoiseBackend, model_of, read_any_model

    if is_backend(name):
        backend = load_backend(name)
        if not isinstance(backend, RNNoiseBackend):
            raise ModelError(f"the model of {name} is no RNNoise model, and has no other form")
        return model_of(backend)
    path = Path(name)
    if path.suffix.lower() == ".onnx":
        raise ModelError(f"{name} is one of the two models of a DTLN; name both, as in NAME_1.onnx NAME_2.onnx")
    _refuse_audio(path)
    return read_any_model(name)


def _refuse_audio(path: Path) -> None:
    """Raise ModelError that says so if a file is audio by its name and content."""
    from denoise_wrapper.files.formats import SUFFIXES

    if path.suffix.lower() in SUFFIXES and path.is_file():
        raise ModelError(f"{path} is an audio file, not a model; to clean it: filter {path}")


def run_wheel(args: argparse.Namespace) -> int:
    with loading():
        from denoise_wrapper.training.run.wheel import build_wheel
    show(build_wheel(args.model, args.output, args.source, args.name, args.overwrite))
    return 0
