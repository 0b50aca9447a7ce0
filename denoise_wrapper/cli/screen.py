"""Standard output and standard error: nothing in a line, such as the name of a file, acts on the terminal."""

from __future__ import annotations

import sys
from typing import TextIO

from denoise_wrapper.wording import visible

PROGRAM = "denoise-wrapper"


def show(text: object) -> None:
    """Print a result, of one line or several."""
    print(visible(text, keep="\n"))


def say(line: object) -> None:
    """Print one line on stderr."""
    if sys.stderr is not None:  # print would take None for stdout, where the samples go
        print(visible(line), file=sys.stderr)


def complain(message: object) -> None:
    """Print one line on stderr, with the name of this program, whatever the message."""
    say(f"{PROGRAM}: {' '.join(str(message).split())}")


def show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Print a warning for the user in a line; others are for who develops this program, and none of its users."""
    if category is UserWarning:
        complain(message)
