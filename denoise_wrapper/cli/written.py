"""Options of `filter` that say what is written, and `--dry-run`, which says it before."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING

from denoise_wrapper.cli.screen import show
from denoise_wrapper.errors import DenoiseError

if TYPE_CHECKING:
    from denoise_wrapper.files.batch import Pair
    from denoise_wrapper.files.formats import WishWords


def add_written(verb: argparse.ArgumentParser) -> None:
    """Add the options to the parser of `filter`."""
    what = verb.add_argument_group("what is written (default: what the file is)")
    what.add_argument("--codec", metavar="NAME", help="encode as this: aac, alac, flac, opus, mp3 ...")
    what.add_argument("--bit-rate", metavar="BIT/S", help="of the audio track, such as 128k")
    what.add_argument("--quality", type=float, metavar="0..1", help="with a bit rate that varies; 1 is the best")
    what.add_argument("--subtype", metavar="NAME", help="type of the samples, as PCM_16, PCM_24, FLOAT")
    what.add_argument("--track", default="all", metavar="N|LANG|all", help="audio tracks to clean; others go through")
    what.add_argument("--damaged", default="stop", metavar="stop|skip|keep", help="refuse a damaged file, leave out "
                      "what cannot be read, or keep silence for it")  # fmt: skip
    what.add_argument("-n", "--dry-run", action="store_true", help="say what would be written, and write nothing")
    what.add_argument("-v", "--verbose", action="store_true", help="say each stream of what is, or would be, written")


def written(args: argparse.Namespace) -> WishWords:
    """The wishes that the arguments express. Raises ConfigError for a bit rate that is no number."""
    return {
        "codec": args.codec,
        "bit_rate": _bits(args.bit_rate),
        "quality": args.quality,
        "subtype": args.subtype,
        "track": args.track,
        "damaged": args.damaged,
    }


def print_plans(
    args: argparse.Namespace,
    pairs: list[Pair],
    complain: Callable[[object], None],
    put: Callable[[object], None] = show,
) -> int:
    """Print by `put` what would become of each file. Returns the exit code."""
    from denoise_wrapper.files.formats import Wishes
    from denoise_wrapper.files.preview import preview
    from denoise_wrapper.files.results import beside

    wishes, failed = Wishes(**written(args)), False
    for source, target in pairs:
        try:
            first, *streams = preview(source, target or beside(source), wishes)
        except DenoiseError as error:
            complain(error)
            failed = True
            continue
        put(first)
        if args.verbose:
            for line in streams:
                put(f"    {line}")
    return 2 if failed else 0


def _bits(text: str | None) -> int | None:
    """Read a bit rate such as 128000 or 128k. Raises ConfigError."""
    from denoise_wrapper.errors import ConfigError

    if text is None:
        return None
    number, factor = (text[:-1], 1000) if text.lower().endswith("k") else (text, 1)
    try:
        return round(float(number) * factor)
    except (ValueError, OverflowError) as error:
        raise ConfigError(f"--bit-rate is a number of bit/s, such as 128000 or 128k, not {text!r}") from error
