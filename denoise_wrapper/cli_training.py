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
