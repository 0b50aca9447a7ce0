"""Writes shell completions, the man page and the list of commands from the parser, after options changed: `make shell`.

Needs shtab and argparse-manpage, of the extra `dev`.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from pathlib import Path

import shtab
from argparse_manpage.manpage import Manpage

from denoise_wrapper import __version__
from denoise_wrapper.backends.purposes import PURPOSES
from denoise_wrapper.cli.main import EXIT_CODES, make_parser
from denoise_wrapper.cli.parser import PROGRAM, Parser, format_examples

FOLDER = Path(__file__).resolve().parents[1] / "denoise_wrapper/cli/shell"
os.environ["COLUMNS"] = "80"  # of the usage that the man page holds
COMMANDS = FOLDER.parents[2] / "docs/cli.md"
SHELLS = ("bash", "zsh", "fish")


def files() -> dict[str, str]:
    """Make the content of each file: one a shell, and the man page."""
    made = {f"{PROGRAM}.{shell}": shtab.complete(_completed(make_parser()), shell=shell) for shell in SHELLS}
    return {name: f"{text.rstrip()}\n" for name, text in (made | {f"{PROGRAM}.1": man_page()}).items()}


def _parsers(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for below in action.choices.values():
                yield from _parsers(below)


def _completed(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """Say of each argument what completes it: the names of backends, folders, or files."""
    for each in _parsers(parser):
        for action in each._actions:
            if action.dest == "backend":
                action.choices = list(PURPOSES)
            elif action.choices is None and action.nargs != 0:
                shown = action.metavar or ""
                folders = shown in ("DIR", "FOLDER", "SET", "TREE")
                action.complete = shtab.DIRECTORY if folders else shtab.FILE  # type: ignore[attr-defined]
    return parser


def man_page() -> str:
    """Make the man page: what --help says of the program and of each verb, then all examples and the exit codes."""
    parser = make_parser()
    parser.epilog = None
    page = Manpage(parser, format="single-commands-section")
    page.description, page.date, page.source = "take the noise out of speech", " ", f"{PROGRAM} {__version__}"
    page.manual = "User Commands"
    shown = [each.examples for each in _parsers(parser) if isinstance(each, Parser)]
    examples = "\n\n".join(format_examples(each) for each in shown if each)
    page.add_section("examples", "=", f".nf\n{examples}\n.fi".replace("-", r"\-"))
    page.add_section("exit status", "=", EXIT_CODES.partition(": ")[2])
    return str(page)


def commands() -> str:
    """Make docs/cli.md: the help of the program and of each verb."""
    parts = ["# Commands\n\nWhat `--help` says, made from the parser.\n"]
    for each in _parsers(make_parser()):
        parts.append(f"## {each.prog}\n\n```text\n{each.format_help().strip()}\n```\n")
    return "\n".join(parts)


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, text in files().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
        print(FOLDER / name)
    COMMANDS.write_text(commands(), encoding="utf-8")
    print(COMMANDS)
