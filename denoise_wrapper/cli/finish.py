"""Options of `filter` for what comes after cleaning: the noise as a file of its own, and loudness."""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from denoise_wrapper.cli.parser import complain
from denoise_wrapper.cli.screen import say
from denoise_wrapper.errors import ConfigError, DenoiseError

if TYPE_CHECKING:
    from denoise_wrapper.files.batch import FileResult

NOISE = "_noise"  # what the name of the noise has more than that of its source, where no name is given
REACHED_LU = 0.1  # from the loudness that was asked for, within which nothing is said


def add_finish(verb: Any) -> None:
    group = verb.add_argument_group("what comes after")
    group.add_argument(
        "--output-noise", metavar="OUT|DIR", help="write what was taken away too: a file, or a folder for several"
    )
    group.add_argument(
        "--loudness",
        type=float,
        metavar="LUFS",
        help="turn results to this loudness, as -16 (podcasts) or -23 (broadcast); needs 'denoise-wrapper[loudness]'",
    )


def check_finish(args: argparse.Namespace) -> None:
    """Raise ConfigError, before any work, for options that cannot be met."""
    from denoise_wrapper.finish import MAX_LUFS, MIN_LUFS

    if args.output_noise is not None and args.vad_gate == "drop":
        raise ConfigError("--output-noise: with --vad-gate drop results are not in time with sources; leave one out")
    if args.loudness is not None and not MIN_LUFS <= args.loudness <= MAX_LUFS:
        raise ConfigError(f"--loudness is {MIN_LUFS:g} to {MAX_LUFS:g} LUFS, as in -16, not {args.loudness:g}")


def finish(args: argparse.Namespace, results: Sequence[FileResult]) -> int:
    """Do for each result what the options ask for. Returns how many could not be finished."""
    from denoise_wrapper.atomic import make_folder
    from denoise_wrapper.finish import set_loudness, write_removed

    failed = 0
    for result in results:
        if result.target is None:
            continue
        try:
            if args.output_noise is not None:
                target = _noise_target(args, result.source)
                make_folder(target.parent)
                write_removed(result.source, result.target, target, overwrite=args.overwrite)
            if args.loudness is not None:
                loudness = set_loudness(result.target, args.loudness)
                if not args.quiet and not abs(loudness - args.loudness) <= REACHED_LU:
                    has = f"has {loudness:.1f} LUFS, as its peaks allow no more"
                    say(f"{result.target} {'is silent' if math.isnan(loudness) else has}")
        except DenoiseError as error:
            complain(error)
            failed += 1
    return failed


def _noise_target(args: argparse.Namespace, source: Path) -> Path:
    path = Path(args.output_noise)
    if len(args.inputs) == 1 and Path(args.inputs[0]).is_file() and path.suffix and not path.is_dir():
        return path
    root = next((each for each in map(Path, args.inputs) if each.is_dir() and each in source.parents), source.parent)
    name = source.relative_to(root)
    return path / name.with_name(f"{source.stem}{NOISE}{source.suffix}")
