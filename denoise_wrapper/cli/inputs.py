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

FILES_ONLY = ("json", "verbose", "output_noise", "loudness")  # beside those that a file of defaults may name
DTLNS = ("dtln-16k", "dtln-32k")  # by rate


def add_naming(verb: Any) -> None:
    """Add the options that say what becomes of files that exist, and what results are called."""
    verb.add_argument("--skip-existing", action="store_true", help="leave out files whose result is there already")
    verb.add_argument("--name-suffix", metavar="TEXT", help="end of the names of results (default: _denoised)")


def check_inputs(args: argparse.Namespace) -> None:
    """Raise ConfigError for names that were probably meant otherwise, with the line to type."""
    from denoise_wrapper.files.batch import is_folder
    from denoise_wrapper.files.formats import SUFFIXES

    for name in args.inputs:
        if "://" in name and not os.path.lexists(name):
            raise ConfigError(f"{name} is an address, and nothing is fetched from the network; download it first")
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


def check_pipe_options(args: argparse.Namespace) -> None:
    """Raise ConfigError for options that are about files, where a pipe is cleaned."""
    names = [name for name in FILES_ONLY if getattr(args, name) not in (None, False)]
    if names and "-" in args.inputs:
        options = " ".join(f"--{name.replace('_', '-')}" for name in names)
        raise ConfigError(f"{options}: only for files; leave {'them' if len(names) > 1 else 'it'} out for '-'")


def check_backend(args: argparse.Namespace) -> None:
    """Raise ConfigError that says which of the DTLNs fits the file, for who asks for one without a rate."""
    from denoise_wrapper.backends import load_backend

    if args.model and len(args.model) > 1 and args.backend is None:
        raise ConfigError(f"--model {' '.join(args.model)}: two files are a DTLN; add -b {' or -b '.join(DTLNS)}")
    if args.backend != "dtln":
        return
    rate = next(filter(None, map(_rate, args.inputs)), None)
    if rate is not None:
        fits = next((name for name in DTLNS if load_backend(name).sample_rate >= rate), DTLNS[-1])
        raise ConfigError(f"there is no backend 'dtln' alone; the audio has {rate} Hz, which -b {fits} fits")


def _rate(name: str) -> int | None:
    """Rate of a file in Hz; None if it cannot be told at a glance."""
    import soundfile

    try:
        return int(soundfile.info(name).samplerate)
    except (soundfile.LibsndfileError, TypeError, OSError):
        return None


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
