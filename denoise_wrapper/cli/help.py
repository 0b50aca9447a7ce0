"""`denoise-wrapper help`: what `--help` says, and the program alone."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any


def add_help(verbs: Any, parser: argparse.ArgumentParser) -> None:
    verb = verbs.add_parser(
        "help",
        help="show the help of a verb",
        description="Shows what 'denoise-wrapper VERB --help' says.",
        examples=(("help filter", "all options of filter"), ("help models info", "those of a verb within another")),
    )
    verb.add_argument("words", nargs="*", metavar="VERB")
    verb.set_defaults(run=lambda args: print_help(parser, args.words))


def print_help(parser: argparse.ArgumentParser, words: Sequence[str]) -> int:
    """Print the help of the verb that the words name; of the whole program for none."""
    if words:
        parser.parse_args([*words, "--help"])  # which prints, and ends the program
    parser.print_help()
    return 0
