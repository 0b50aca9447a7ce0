"""The verbs of the command line that are about training: arguments -> denoise_wrapper.training -> exit code."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from denoise_wrapper.errors import ConfigError


def add_train(verbs: Any, epilog: str) -> None:
    kinds = verbs.add_parser("train", help="train a model of your own").add_subparsers(metavar="KIND", required=True)
    for name, text in (("rnnoise", "the network of the rnnoise backend"), ("dtln", "those of dtln-16k and dtln-32k")):
        kind = kinds.add_parser(name, help=text, epilog=epilog)
        kind.add_argument("-C", "--config", type=Path, required=True, metavar="TOML", help="all settings of the run")
        kind.add_argument("-R", "--resume", action="store_true", help="go on from the run's last checkpoint")
        kind.set_defaults(run=run_train, kind=name)
    kind.add_argument("--pretrained", type=Path, metavar="FILE", help="weights to start from, as convert reads them")
    kind.add_argument("--profile", action="store_true", help="say what a step consists of, and keep nothing")


def add_convert(verbs: Any, epilog: str) -> None:
    kinds = verbs.add_parser("convert", help="turn weights of others, or a checkpoint, into what a backend runs")
    kind = kinds.add_subparsers(metavar="KIND", required=True).add_parser(
        "dtln",
        help="to a pair of ONNX files; for rnnoise see 'model convert'",
        description="Writes NAME_1.onnx and NAME_2.onnx, for any number of channels and hops a run, checked against "
        "torch. Reads the folder of a training run, of which it takes the best checkpoint; a checkpoint; torch's state "
        "dict (.pth); Keras' weights (.h5); and both models of a pair, ours or one for single hops.",
        epilog=epilog,
    )
    kind.add_argument("sources", nargs="+", type=Path, metavar="SOURCE", help="one file or folder, or two .onnx")
    kind.add_argument("-o", "--output", type=Path, required=True, metavar="DIR", help="the folder to write to")
    kind.add_argument("--name", required=True, help="what the pair is called, and its files begin with")
    kind.add_argument("--int8", action="store_true", help="the LSTMs in 8 bits: half the size, slightly other output")
    kind.add_argument("--rate", type=int, metavar="HZ", help="where the source does not tell it")
    kind.add_argument("--licence", metavar="TEXT", help="of the weights, to be kept in the files")
    kind.add_argument("--origin", metavar="TEXT", help="where they come from (default: the sources and their sha256)")
    kind.add_argument("--overwrite", action="store_true", help="replace files that exist")
    kind.set_defaults(run=run_convert)


def missing_extra(error: ModuleNotFoundError) -> ConfigError:
    """What to say where a package that only training needs is absent; raises error again if it is one of ours."""
    if (error.name or "").startswith("denoise_wrapper"):
        raise error
    return ConfigError(f"training needs {error.name}: pip install 'denoise-wrapper[training]'")


def run_train(args: argparse.Namespace) -> int:
    try:
        if args.kind == "dtln":
            from denoise_wrapper.training.dtln import train as dtln

            return dtln.main(args.config, args.resume, args.pretrained, args.profile)
        from denoise_wrapper.training.rnnoise import train as rnnoise

        return rnnoise.main(args.config, args.resume)
    except ModuleNotFoundError as error:
        raise missing_extra(error) from error


def run_convert(args: argparse.Namespace) -> int:
    try:
        from denoise_wrapper.training.dtln.convert import convert
    except ModuleNotFoundError as error:
        raise missing_extra(error) from error
    given = {"sample_rate": args.rate, "licence": args.licence, "origin": args.origin}
    changes = {key: str(value) for key, value in given.items() if value is not None}
    for path in convert(args.sources, args.output, args.name, changes, args.int8, args.overwrite):
        print(path)
    return 0
