"""The verbs about models: which there are, what one is, in another form, in a wheel."""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from pathlib import Path
from typing import Any

from denoise_wrapper.cli.info import describe_backend
from denoise_wrapper.cli.screen import say, show
from denoise_wrapper.cli.training import loading, missing_extra
from denoise_wrapper.errors import ConfigError, ModelError

RNNOISE_FORMS = ("rnnn", "rnn", "dnnw", "bin", "c", "dnnw.c")
DTLN_FORMS = ("float32", "float16", "int8")
NAMELESS = (".rnnn", ".rnn")  # forms that hold neither name nor licence
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


def add_convert(verbs: Any) -> None:
    verb = verbs.add_parser(
        "convert",
        help="write a model of any family in another form",
        description="Writes an RNNoise model as the suffix of OUT says: .rnnn (text, for ffmpeg too), .rnn "
        "(nnnoiseless), .dnnw (ours, with the model's name and licence), .c (rnn_data.c of RNNoise 0.1, and rnn_data.h "
        "beside it, for a librnnoise, or for this package by DENOISE_WRAPPER_RNN_DATA) or .dnnw.c (our bytes as C, for "
        "this package alone); a v0.2 network as .bin, .dnnw (both the same) or .dnnw.c. Writes a DTLN as NAME_1.onnx "
        "and NAME_2.onnx in the folder OUT, "
        "for any number of channels and hops a run, checked against torch. The family is seen from the content: .rnnn, "
        ".rnn, .dnnw, .bin, .c and Keras .hdf5 of RNNoise; of the DTLN the folder of a training run (its best "
        "checkpoint), a checkpoint, torch's state dict (.pth), Keras' weights (.h5) and both models of a pair. An "
        "enhancer's run or checkpoint, and a checkpoint or streaming ONNX that UL-UNAS or GTCRN released, is written "
        "as OUT, or as NAME.dnnw in the folder OUT.",
        examples=(
            ("convert mine.hdf5 -o mine.rnnn", "Keras to the form that ffmpeg reads"),
            ("convert rnnoise-classic -o models/ --to rnnn", "write models/rnnoise-classic.rnnn"),
            ("convert gtcrn.tar -o gtcrn.dnnw", "a network of others that the engine runs"),
            ("convert model_1.onnx model_2.onnx -o pairs/ --name small --to int8", "a DTLN with 8-bit weights"),
        ),
    )
    verb.add_argument("sources", nargs="+", metavar="SOURCE", help="a file, a folder of a run, two .onnx, or a backend")
    verb.add_argument(
        "-o", "--output", type=Path, required=True, metavar="OUT", help="the file of a model; of a DTLN the folder"
    )
    verb.add_argument(
        "--to",
        metavar="FORM",
        help=f"{', '.join(RNNOISE_FORMS)} of RNNoise (default: by OUT's suffix); {', '.join(DTLN_FORMS)} of a DTLN "
        "(default: float32; float16: half the size, same speed; int8: LSTMs in 8 bits, faster, slightly other output)",
    )
    verb.add_argument("--precision", dest="to", help=argparse.SUPPRESS)  # as --to of a DTLN was called
    verb.add_argument("--name", help="what the model is called, and the files of a DTLN begin with")
    verb.add_argument("--rate", type=int, metavar="HZ", help="of a DTLN, where the source does not say")
    verb.add_argument("--licence", metavar="TEXT", help="of a DTLN's weights, to be kept in the files")
    verb.add_argument("--origin", metavar="TEXT", help="where they come from (default: the sources and their sha256)")
    verb.add_argument("--overwrite", action="store_true", help="replace files that exist")
    verb.set_defaults(run=run_convert)


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
        data = getattr(load_backend(name), "data", b"")
        facts["size"] = sum(map(len, [data] if isinstance(data, bytes) else data))
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


def _is_backend(name: str) -> bool:
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
    from denoise_wrapper.backends.enhancer import is_enhancer_file
    from denoise_wrapper.backends.narrow import narrow_kind

    backend: Any = load_backend(name) if _is_backend(name) else None
    if backend is None and is_enhancer_file(name):
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

    if _is_backend(name):
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


def is_dtln(sources: list[str]) -> bool:
    """True if the sources are a DTLN, or nothing that an RNNoise model can be in. Several sources always are."""
    from denoise_wrapper.backends import load_backend
    from denoise_wrapper.backends.convert import RNNoiseBackend, may_be_rnnoise

    if len(sources) > 1:
        return True
    if _is_backend(sources[0]):
        return not isinstance(load_backend(sources[0]), RNNoiseBackend)
    return not may_be_rnnoise(Path(sources[0]))


def run_convert(args: argparse.Namespace) -> int:
    from denoise_wrapper.backends.narrow import narrow_kind

    for source in args.sources:
        if not _is_backend(source) and not Path(source).exists():
            raise ModelError(f"there is no model file {source}, and no backend of that name; see 'models'")
    if len(args.sources) == 1 and (narrow := narrow_kind(args.sources[0])):
        return _convert_narrow(args, narrow)
    if not is_dtln(args.sources):
        return _convert_rnnoise(args)
    return _convert_enhancer(args) if is_enhancer(args.sources) else _convert_dtln(args)


def _convert_rnnoise(args: argparse.Namespace) -> int:
    from denoise_wrapper.backends.convert import write_model

    for option in ("rate", "licence", "origin"):
        if getattr(args, option) is not None:
            raise ConfigError(f"--{option}: only for a DTLN, and {args.sources[0]} is an RNNoise model; leave it out")
    if args.to is not None and args.to.lstrip(".") not in RNNOISE_FORMS:
        raise ConfigError(f"--to: an RNNoise model is written as {', '.join(RNNOISE_FORMS)}, not {args.to}")
    (source,) = args.sources
    model, target = read_rnnoise(source), args.output
    if target.is_dir():
        if args.to is None:
            raise ConfigError(f"-o {target} is a folder; say the form by --to, or name a file")
        target = target / (args.name or Path(source).stem)
    if args.to is not None:
        suffix = f".{args.to.lstrip('.')}"
        if not target.name.endswith(suffix):
            target = target.with_name(f"{target.name}{suffix}")
    if args.name is not None:
        raise_if_nameless(target, args.name)
        model.metadata["name"] = args.name
    *headers, _ = write_model(model, target, args.overwrite)
    show(f"{target}: {model.family} RNNoise network, {sum(layer.size for layer in model.layers)} weights")
    for header in headers:
        show(f"{header}: the header that goes with it")
    lost = [key for key in ("name", "licence") if key in model.metadata]
    if target.suffix.lower() in NAMELESS and lost:
        say(f"denoise-wrapper: {target.suffix} holds no {' and no '.join(lost)}; .dnnw keeps them")
    return 0


def raise_if_nameless(target: Path, name: str) -> None:
    """Raise ConfigError for a name that the form of the target cannot hold."""
    if target.suffix.lower() in NAMELESS:
        raise ConfigError(f"--name {name}: {target.suffix} holds no name; .dnnw and .dnnw.c do")


def is_enhancer(sources: list[str]) -> bool:
    """True if the sources are the run of an enhancer, or a checkpoint of one."""
    from denoise_wrapper.backends.convert import TORCH_MAGIC

    path = Path(sources[0])
    if len(sources) > 1 or _is_backend(sources[0]):
        return False
    if path.is_file():
        with path.open("rb") as stream:
            if not stream.read(4).startswith(TORCH_MAGIC):
                return False
    with loading():
        from denoise_wrapper.training.enhancer.publish import holds_enhancer
    return holds_enhancer(path)


def _dnnw_target(args: argparse.Namespace, title: str, rate: int) -> Path:
    """The .dnnw that is to be written. Raises ConfigError for options that such a network has not."""
    for option in ("rate", "to"):
        if (value := getattr(args, option)) not in (None, "dnnw"):
            raise ConfigError(f"--{option} {value}: {title} is at {rate} Hz and written as dnnw alone; leave it out")
    if args.output.suffix.lower() == ".dnnw" and not args.output.is_dir():
        return Path(args.output)
    if args.name is None:
        raise ConfigError(f"-o {args.output} is a folder; name the file by --name NAME, or as in -o mine.dnnw")
    return Path(args.output / f"{args.name}.dnnw")


def _changes(args: argparse.Namespace, target: Path) -> dict[str, str]:
    """What of a network's metadata is to be as the options say."""
    options = {"name": args.name or target.stem, "licence": args.licence, "origin": args.origin}
    return {key: value for key, value in options.items() if value is not None}


def _convert_enhancer(args: argparse.Namespace) -> int:
    with loading():
        from denoise_wrapper.training.enhancer.publish import convert

    target = _dnnw_target(args, "an enhancer", 48000)
    show(convert(Path(args.sources[0]), target, _changes(args, target), args.overwrite))
    return 0


def _convert_narrow(args: argparse.Namespace, kind: str) -> int:
    from denoise_wrapper.atomic import atomic_path
    from denoise_wrapper.backends.narrow import NarrowBackend, renamed

    backend = NarrowBackend(args.sources[0], kind)
    target = _dnnw_target(args, backend.title, backend.sample_rate)
    with atomic_path(target, args.overwrite) as part:
        part.write_bytes(renamed(backend, _changes(args, target)))
    show(f"{target}: {backend.title} network at {backend.sample_rate} Hz")
    return 0


def _convert_dtln(args: argparse.Namespace) -> int:
    from denoise_wrapper.backends.convert import shipped_pair

    if args.to is not None and args.to not in DTLN_FORMS:
        raise ConfigError(f"--to: a DTLN is written as {', '.join(DTLN_FORMS)}, not {args.to}")
    sources = [Path(source) for source in args.sources]
    if _is_backend(args.sources[0]):
        sources = shipped_pair(args.sources[0])
    if args.name is None:
        raise ConfigError("a DTLN is two files that begin with its name; give --name NAME")
    options = {"sample_rate": args.rate, "licence": args.licence, "origin": args.origin}
    changes = {key: str(value) for key, value in options.items() if value is not None}
    with loading():
        from denoise_wrapper.training.dtln.convert import convert
    try:
        paths = convert(sources, args.output, args.name, changes, args.to or "float32", args.overwrite)
    except ModuleNotFoundError as error:  # some are imported when they are needed
        raise missing_extra(error) from error
    for path in paths:
        show(path)
    return 0


def run_wheel(args: argparse.Namespace) -> int:
    with loading():
        from denoise_wrapper.training.run.wheel import build_wheel
    show(build_wheel(args.model, args.output, args.source, args.name, args.overwrite))
    return 0
