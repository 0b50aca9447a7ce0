"""The verbs of the command line that are about training: arguments -> denoise_wrapper.training -> exit code."""

from __future__ import annotations

import argparse
import contextlib
import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from denoise_wrapper import signals
from denoise_wrapper.cli.screen import show
from denoise_wrapper.errors import ConfigError, needs_package

FAMILIES = {
    "rnnoise": ("the network of the rnnoise backend", "denoise_wrapper.training.rnnoise.pipeline"),
    "dtln": ("those of dtln-16k and dtln-32k", "denoise_wrapper.training.dtln.train"),
    "enhancer": ("a full-band network of bands that grow with frequency", "denoise_wrapper.training.enhancer.train"),
}
RECIPES = {"rnnoise": "rnnoise-own", "dtln": "dtln-16k-own", "enhancer": "enhancer-own"}  # that want no run before them
CONFIGS = Path(__file__).resolve().parents[1] / "training/configs"


def add_train(verbs: Any) -> None:
    verb = verbs.add_parser(
        "train",
        help="train a model of your own",
        description="Trains a network of one of the families, from folders of audio to a model.",
        examples=(
            ("train --print-config", "which recipes come with the package"),
            ("train --print-config rnnoise-own > mine.toml", "begin with one of them"),
            ("train rnnoise -C mine.toml", "train as it says"),
        ),
    )
    _add_print_config(verb)
    kinds = verb.add_subparsers(metavar="FAMILY", title="families", required=True)
    for name, (text, module) in FAMILIES.items():
        kind = kinds.add_parser(
            name,
            help=text,
            description=f"Trains {text}.",
            examples=(
                (f"train {name} --print-config {RECIPES[name]} > mine.toml", "begin with a shipped recipe"),
                (f"train {name} -C mine.toml", "train as it says"),
                (f"train {name} -C mine.toml --resume", "go on after an interruption"),
            ),
        )
        _add_print_config(kind)
        kind.add_argument("-C", "--config", type=Path, required=True, metavar="TOML", help="all settings of the run")
        kind.add_argument("-R", "--resume", action="store_true", help="go on from the run's last checkpoint")
        kind.add_argument(
            "-P",
            "--pretrained",
            type=Path,
            nargs="+",
            metavar="NAME|PATH",
            help="weights to start from, in place of [train] start_from: a shipped model by name; a model file, the "
            "two of a DTLN by the first or both; a run's folder or checkpoint",
        )
        kind.add_argument(
            "--epochs",
            type=int,
            metavar="N",
            help="the run's length, in place of the settings': passes over the rows or hours of rnnoise, else times "
            "evaluate_every steps",
        )
        kind.add_argument("--profile", action="store_true", help="print what a step consists of, and keep nothing")
        kind.add_argument("--export", type=Path, metavar="DIR", help="train no more: write model and card so far there")
        kind.set_defaults(run=run_train, module=module)


class PrintConfig(argparse.Action):
    """Prints a shipped recipe, or the names of all, and ends the program."""

    def __call__(self, parser: argparse.ArgumentParser, namespace: Any, values: Any, option: str | None = None) -> None:
        from denoise_wrapper.cli.parser import closest

        recipes = {path.stem: path for path in sorted(CONFIGS.glob("*.toml"), key=lambda path: path.stem)}
        if values is None:
            show("\n".join(recipes))
        elif values in recipes:
            show(recipes[values].read_text(encoding="utf-8"), end="")
        else:
            near = closest(values, list(recipes))
            hint = f"; did you mean: {near}?" if near else f"; there are {', '.join(recipes)}"
            parser.error(f"there is no recipe {values!r}{hint}")
        parser.exit()


def _add_print_config(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--print-config",
        action=PrintConfig,
        nargs="?",
        metavar="NAME",
        help="print a recipe that comes with the package, to begin with; without a name, which there are",
    )


def missing_extra(error: ModuleNotFoundError) -> ConfigError:
    """An error about a package that only training needs and is absent; raises it again if it is one of ours."""
    if (error.name or "").startswith("denoise_wrapper"):
        raise error
    return ConfigError(needs_package("training needs", error, "training"))


@contextlib.contextmanager
def loading() -> Iterator[None]:
    """Import what needs the packages of training, within a block that does no more: a signal ends the program at once.

    Raises ConfigError for one that is absent.
    """
    try:
        with signals.loading():
            yield
    except ModuleNotFoundError as error:
        raise missing_extra(error) from error


def exit_code(outcome: int) -> int:
    """Exit code for a training's outcome: 0 done, or interrupted."""
    return 130 if outcome else 0


def pretrained(paths: list[Path] | None) -> Path | None:
    """The one path of --pretrained; of a pair its first model."""
    if paths is None or len(paths) == 1:
        return paths[0] if paths else None
    from denoise_wrapper.training.run.start import second_of_pair

    if len(paths) == 2 and second_of_pair(paths[0]) == paths[1]:
        return paths[0]
    raise ConfigError("--pretrained takes one file or name, or the two models of a DTLN, NAME1.onnx NAME2.onnx")


def run_train(args: argparse.Namespace) -> int:
    if args.export is not None and (args.resume or args.pretrained or args.profile or args.epochs):
        raise ConfigError("--export trains no more; leave out -R, --pretrained, --epochs and --profile")
    from denoise_wrapper.training.config import load_config

    load_config(args.config, dict)  # which says what is wrong with the file, whatever packages are there
    with loading():
        family = importlib.import_module(args.module)
    try:
        begun = args.resume or args.export is not None
        config = family.load(args.config, pretrained(args.pretrained), args.epochs, begun)
        if args.export is not None:
            for path in family.export(config, args.export):
                show(path)
            return 0
        return exit_code(family.main(config, args.resume, args.profile, args.config.read_text(encoding="utf-8")))
    except ModuleNotFoundError as error:
        raise missing_extra(error) from error
