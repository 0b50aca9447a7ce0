"""Files of `filter`: what is probably meant otherwise, what is there already, and how results are called."""

from __future__ import annotations

import argparse
import os
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from denoise_wrapper.cli.parser import PROGRAM
from denoise_wrapper.errors import ConfigError

if TYPE_CHECKING:
    from denoise_wrapper.files.batch import Pair


def add_naming(verb: Any) -> None:
    """Add the options that say what becomes of files that exist, and what results are called."""
    verb.add_argument("--skip-existing", action="store_true", help="leave out files whose result is there already")
    verb.add_argument("--name-suffix", metavar="TEXT", help="end of the names of results (default: _denoised)")


def check_inputs(args: argparse.Namespace) -> None:
    """Raise ConfigError for names that were probably meant otherwise, with the line to type."""
    from denoise_wrapper.files.batch import is_folder
    from denoise_wrapper.files.formats import SUFFIXES

    sources = [Path(name) for name in args.inputs]
    last = sources[-1]
    if args.output is None and len(sources) == 2 and not os.path.lexists(last) and sources[0].exists():
        line = shlex.join(["filter", *args.inputs[:-1], "-o", args.inputs[-1]])
        raise ConfigError(f"there is no file {last}; did you mean: {PROGRAM} {line}?")
    several = len(sources) > 1 or is_folder(sources[0])
    if several and args.output is not None and not args.output.endswith(os.sep):
        output = Path(args.output)
        if output.suffix.lower() in SUFFIXES and not output.exists():
            raise ConfigError(
                f"-o {args.output} is the name of one file, and several are cleaned; name a folder "
                f"('{args.output}{os.sep}' if it is to be called so)"
            )
    suffix = args.name_suffix
    if suffix is not None and (not suffix or any(mark in suffix for mark in ("/", "\\", "\0"))):
        raise ConfigError(f"--name-suffix is some text for the end of a name, such as _clean, not {suffix!r}")
    replace = "--force" if args.force else "--overwrite"
    if args.skip_existing and (args.force or args.overwrite):
        raise ConfigError(f"--skip-existing {replace}: files that exist are left or replaced; leave out one of them")


def named(pairs: Sequence[Pair], suffix: str | None) -> list[Pair]:
    """Give results names that end in suffix, and leave out those of earlier runs with that suffix.

    pairs: (file to read, file to write or None for the one beside it). suffix: None for the usual one.
    """
    if suffix is None:
        return list(pairs)
    sources = {source for source, _ in pairs}
    kept = [pair for pair in pairs if not _is_result(pair[0], suffix, sources)]
    return [(source, _ending(source if target is None else target, suffix)) for source, target in kept]


def _ending(path: Path, suffix: str) -> Path:
    return path.with_name(f"{path.stem}{suffix}{path.suffix}")


def _is_result(path: Path, suffix: str, sources: set[Path]) -> bool:
    stem = path.stem.removesuffix(suffix)
    return stem != path.stem and bool(stem) and path.with_name(f"{stem}{path.suffix}") in sources


def part_existing(pairs: Sequence[Pair]) -> tuple[list[Pair], int]:
    """Leave out pairs whose result is there. Returns the others, and how many were left out."""
    from denoise_wrapper.files.results import beside

    new = [pair for pair in pairs if not os.path.lexists(pair[1] or beside(pair[0]))]
    return new, len(pairs) - len(new)
