"""`denoise-wrapper completion`: what a shell has to know to complete commands, and the man page."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from denoise_wrapper.cli.parser import PROGRAM
from denoise_wrapper.cli.screen import show

FOLDER = Path(__file__).resolve().parent / "shell"  # made from the parser
KINDS = {"bash": "bash", "zsh": "zsh", "fish": "fish", "man": "1"}  # what is asked for -> suffix


def add_completion(verbs: Any) -> None:
    verb = verbs.add_parser(
        "completion",
        help="print the completions for a shell, or the man page",
        description="Prints the completions of commands and options for a shell, or the man page. The wheel puts all "
        "of them where shells and man look, below its prefix's share/; this is for where that is not looked into.",
        examples=(
            ("completion bash > ~/.local/share/bash-completion/completions/denoise-wrapper", "bash"),
            ("completion fish > ~/.config/fish/completions/denoise-wrapper.fish", "fish"),
            ("completion man > ~/.local/share/man/man1/denoise-wrapper.1", "then: man denoise-wrapper"),
        ),
    )
    verb.add_argument("shell", choices=tuple(KINDS), metavar="|".join(KINDS))
    verb.set_defaults(run=run_completion)


def run_completion(args: argparse.Namespace) -> int:
    show((FOLDER / f"{PROGRAM}.{KINDS[args.shell]}").read_text(encoding="utf-8"), end="")
    return 0
