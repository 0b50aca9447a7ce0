"""The verbs of the command line that are about training: arguments -> denoise_wrapper.training -> exit code."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from denoise_wrapper.errors import ConfigError


def add_train(verbs: Any, epilog: str) -> None:
    kinds = verbs.add_parser("train", help="train a model of your own").add_subparsers(metavar="KIND", required=True)
    kind = kinds.add_parser("rnnoise", help="the network of the rnnoise backend", epilog=epilog)
    kind.add_argument("-C", "--config", type=Path, required=True, metavar="TOML", help="all settings of the run")
    kind.add_argument("-R", "--resume", action="store_true", help="go on from the run's last checkpoint")
    kind.set_defaults(run=run_train)


def missing_extra(error: ModuleNotFoundError) -> ConfigError:
    """What to say where a package that only training needs is absent; raises error again if it is one of ours."""
    if (error.name or "").startswith("denoise_wrapper"):
        raise error
    return ConfigError(f"training needs {error.name}: pip install 'denoise-wrapper[training]'")


def run_train(args: argparse.Namespace) -> int:
    try:
        from denoise_wrapper.training.rnnoise import train
    except ModuleNotFoundError as error:
        raise missing_extra(error) from error
    code: int = train.main(args.config, args.resume)
    return code
