"""The verb that writes a model in another form: `convert`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from denoise_wrapper.cli.models import is_backend, read_rnnoise
from denoise_wrapper.cli.screen import say, show
from denoise_wrapper.cli.training import loading, missing_extra
from denoise_wrapper.errors import ConfigError, ModelError

RNNOISE_FORMS = ("rnnn", "rnn", "dnnw", "bin", "c", "dnnw.c")
DTLN_FORMS = ("float32", "float16", "int8")
NCNN_FORMS = {"ncnn": "float32", "ncnn-float16": "float16", "ncnn-int8": "int8"}  # of a DTLN too
NAMELESS = (".rnnn", ".rnn")  # forms that hold neither name nor licence


def add_convert(verbs: Any) -> None:
    verb = verbs.add_parser(
        "convert",
        help="write a model of any family in another form",
        description="Writes an RNNoise model as the suffix of OUT says: .rnnn (text, for ffmpeg too), .rnn "
        "(nnnoiseless), .dnnw (ours, with the model's name and licence), .c (rnn_data.c of RNNoise 0.1, and rnn_data.h"
        " beside it, for a librnnoise, or for this package by DENOISE_WRAPPER_RNN_DATA) or .dnnw.c (our bytes as C, "
        "for this package alone); a v0.2 network as .bin, .dnnw (both the same) or .dnnw.c. Writes a DTLN as "
        "NAME_1.onnx and NAME_2.onnx in the folder OUT, for any number of channels and hops a run, checked against "
        "torch; or for ncnn, as NAME_1.param, NAME_1.bin and so on, checked likewise (it needs the extra ncnn). The "
        "family is seen from the content: .rnnn, .rnn, .dnnw, .bin, .c and Keras .hdf5 of RNNoise; of the DTLN the "
        "folder of a training run (its best checkpoint), a checkpoint, torch's state dict (.pth), Keras' weights (.h5)"
        " and both models of a pair. An enhancer's run or checkpoint, and a checkpoint or streaming ONNX that UL-UNAS "
        "or GTCRN released, is written as OUT, or as NAME.dnnw in the folder OUT; an enhancer as .onnx too, a hop and "
        "its state in, both out.",
        examples=(
            ("convert mine.hdf5 -o mine.rnnn", "Keras to the form that ffmpeg reads"),
            ("convert gtcrn.tar -o gtcrn.dnnw", "a network of others that the engine runs"),
            ("convert model_1.onnx model_2.onnx -o pairs/ --name small --to int8", "a DTLN with 8-bit weights"),
            ("convert dtln-16k -o phone/ --name small --to ncnn", "a DTLN for Android, by ncnn"),
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
        "(default: float32; float16: half the size, same speed; int8: LSTMs in 8 bits, faster, slightly other output), "
        f"or {', '.join(NCNN_FORMS)}; dnnw, float16, onnx of an enhancer (float16: a .dnnw of half the size)",
    )
    verb.add_argument("--precision", dest="to", help=argparse.SUPPRESS)  # as --to of a DTLN was called
    verb.add_argument("--name", help="what the model is called, and the files of a DTLN begin with")
    verb.add_argument("--rate", type=int, metavar="HZ", help="of a DTLN, where the source does not say")
    verb.add_argument("--licence", metavar="TEXT", help="of a DTLN's weights, to be kept in the files")
    verb.add_argument("--origin", metavar="TEXT", help="where they come from (default: the sources and their sha256)")
    verb.add_argument("--overwrite", action="store_true", help="replace files that exist")
    verb.set_defaults(run=run_convert)


def is_dtln(sources: list[str]) -> bool:
    """True if the sources are a DTLN, or nothing that an RNNoise model can be in. Several sources always are."""
    from denoise_wrapper.backends import load_backend
    from denoise_wrapper.backends.convert import RNNoiseBackend, may_be_rnnoise

    if len(sources) > 1:
        return True
    if is_backend(sources[0]):
        return not isinstance(load_backend(sources[0]), RNNoiseBackend)
    return not may_be_rnnoise(Path(sources[0]))


def run_convert(args: argparse.Namespace) -> int:
    from denoise_wrapper.backends.narrow import narrow_kind

    for source in args.sources:
        if not is_backend(source) and not Path(source).exists():
            raise ModelError(f"there is no model file {source}, and no backend of that name; see 'models'")
    if len(args.sources) == 1 and (narrow := narrow_kind(args.sources[0])):
        _refuse_ncnn(args, "a network whose convolutions have states of their own")
        return _convert_narrow(args, narrow)
    if not is_dtln(args.sources):
        _refuse_ncnn(args, "an RNNoise model, most of whose work is no network")
        return _convert_rnnoise(args)
    return _convert_enhancer(args) if is_enhancer(args.sources) else _convert_dtln(args)


def _refuse_ncnn(args: argparse.Namespace, kind: str) -> None:
    """Raise ConfigError if what is no DTLN is to be written for ncnn."""
    if args.to in NCNN_FORMS:
        raise ConfigError(
            f"--to {args.to}: only a DTLN is written for ncnn, and {args.sources[0]} is {kind}; where no Python is, "
            "the engine's C library runs it"
        )


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
    if len(sources) > 1 or is_backend(sources[0]):
        return False
    if path.is_file():
        with path.open("rb") as stream:
            if not stream.read(4).startswith(TORCH_MAGIC):
                return False
    with loading():
        from denoise_wrapper.training.enhancer.publish import holds_enhancer
    return holds_enhancer(path)


def _file_target(args: argparse.Namespace, form: str, title: str, rate: int) -> Path:
    """The file of that form that is to be written. Raises ConfigError for options that such a network has not."""
    for option in ("rate", "to"):
        if (value := getattr(args, option)) not in (None, form):
            raise ConfigError(f"--{option} {value}: {title} is at {rate} Hz and written as {form}; leave it out")
    if args.output.suffix.lower() == f".{form}" and not args.output.is_dir():
        return Path(args.output)
    if args.name is None:
        raise ConfigError(f"-o {args.output} is a folder; name the file by --name NAME, or as in -o mine.{form}")
    return Path(args.output / f"{args.name}.{form}")


def _changes(args: argparse.Namespace, target: Path) -> dict[str, str]:
    """What of a network's metadata is to be as the options say."""
    options = {"name": args.name or target.stem, "licence": args.licence, "origin": args.origin}
    return {key: value for key, value in options.items() if value is not None}


def _convert_enhancer(args: argparse.Namespace) -> int:
    _refuse_ncnn(args, "an enhancer")
    onnx = args.to == "onnx" or (args.to is None and args.output.suffix.lower() == ".onnx")
    float16 = args.to == "float16"
    if float16:
        args.to = "dnnw"
    target = _file_target(args, "onnx" if onnx else "dnnw", "an enhancer", 48000)
    with loading():
        from denoise_wrapper.training.enhancer.publish import convert
    try:
        show(convert(Path(args.sources[0]), target, _changes(args, target), args.overwrite, onnx, float16))
    except ModuleNotFoundError as error:  # some are imported when they are needed
        raise missing_extra(error) from error
    return 0


def _convert_narrow(args: argparse.Namespace, kind: str) -> int:
    from denoise_wrapper.atomic import atomic_path
    from denoise_wrapper.backends.narrow import NarrowBackend, renamed

    backend = NarrowBackend(args.sources[0], kind)
    target = _file_target(args, "dnnw", backend.title, backend.sample_rate)
    with atomic_path(target, args.overwrite) as part:
        part.write_bytes(renamed(backend, _changes(args, target)))
    show(f"{target}: {backend.title} network at {backend.sample_rate} Hz")
    return 0


def _convert_dtln(args: argparse.Namespace) -> int:
    from denoise_wrapper.backends.convert import shipped_pair

    if args.to is not None and args.to not in (*DTLN_FORMS, *NCNN_FORMS):
        raise ConfigError(f"--to: a DTLN is written as {', '.join([*DTLN_FORMS, *NCNN_FORMS])}, not {args.to}")
    sources = [Path(source) for source in args.sources]
    if is_backend(args.sources[0]):
        sources = shipped_pair(args.sources[0])
        if not sources[0].exists():
            _refuse_ncnn(args, "compiled by others")
            raise ModelError(f"the model of {args.sources[0]} is compiled by others, and has no other form")
    if args.name is None:
        raise ConfigError("a DTLN is two files that begin with its name; give --name NAME")
    options = {"sample_rate": args.rate, "licence": args.licence, "origin": args.origin}
    changes = {key: str(value) for key, value in options.items() if value is not None}
    with loading():
        from denoise_wrapper.training.dtln.convert import convert, convert_ncnn
    try:
        if args.to in NCNN_FORMS:
            written = convert_ncnn(sources, args.output, args.name, changes, NCNN_FORMS[args.to], args.overwrite)
            return _show_ncnn(*written)
        paths = convert(sources, args.output, args.name, changes, args.to or "float32", args.overwrite)
    except ModuleNotFoundError as error:  # some are imported when they are needed
        raise missing_extra(error) from error
    for path in paths:
        show(path)
    return 0


def _show_ncnn(paths: list[Path], agreement: tuple[float, float]) -> int:
    for path in paths:
        show(path)
    first, second = agreement
    show(f"hop by hop in ncnn the first core is {first:.0f} dB from torch's answers, the second {second:.0f}")
    return 0
