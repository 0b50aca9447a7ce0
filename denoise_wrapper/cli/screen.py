"""Standard output and standard error: nothing in a line, such as the name of a file, acts on the terminal."""

from __future__ import annotations

import sys

from denoise_wrapper.wording import visible


def show(text: object, *, end: str = "\n", flush: bool = False) -> None:
    """Print a result, of one line or several."""
    print(visible(text, keep="\n\t"), end=end, flush=flush)


def say(line: object) -> None:
    """Print one line on stderr, if there is one."""
    if sys.stderr is not None:  # print would take None for stdout, where the samples go
        print(visible(line), file=sys.stderr)
