"""`denoise-wrapper segments`: where somebody speaks."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from denoise_wrapper.backends.purposes import DEFAULT
from denoise_wrapper.cli.screen import say, show
from denoise_wrapper.errors import ConfigError
from denoise_wrapper.wording import count, duration

FORMS = ("json", "csv", "rttm", "srt", "audacity")
SUFFIXES = {".json": "json", ".csv": "csv", ".rttm": "rttm", ".srt": "srt", ".txt": "audacity"}
SETTINGS = ("threshold", "hysteresis", "min_speech", "min_pause", "pad")


def add_segments(verbs: Any) -> None:
    verb = verbs.add_parser(
        "segments",
        help="find where in a file somebody speaks",
        description="Finds the stretches of speech in audio files by the probabilities of a backend, and prints or "
        "writes them. The file itself is left as it is.",
        examples=(
            ("segments talk.flac", "as CSV, to read or for programs"),
            ("segments talk.flac -o talk.srt", "as subtitles; .json .csv .rttm .txt (Audacity labels) likewise"),
            ("segments talk.flac --threshold 0.7 --min-pause 1", "surer, in longer stretches"),
        ),
    )
    verb.add_argument("input", metavar="FILE")
    verb.add_argument("-o", "--output", metavar="OUT", help="file to write, in the form that its suffix says")
    verb.add_argument("--to", choices=FORMS, help="form (default: by the suffix of OUT, else csv)")
    verb.add_argument("--overwrite", action="store_true", help="replace OUT if it exists")
    verb.add_argument("-b", "--backend", metavar="NAME", help=f"one that gives probabilities (default: {DEFAULT})")
    verb.add_argument("--model", metavar="FILE", help="a model of your own for the backend")
    how = verb.add_argument_group("what counts as speech")
    how.add_argument("--threshold", type=float, default=0.5, metavar="0..1", help="begins it (default: %(default)s)")
    how.add_argument(
        "--hysteresis", type=float, default=0.15, metavar="0..1", help="below that, it ends (default: %(default)s)"
    )
    how.add_argument(
        "--min-speech", type=float, default=0.1, metavar="S", help="left out if shorter (default: %(default)s)"
    )
    how.add_argument(
        "--min-pause", type=float, default=0.3, metavar="S", help="bridged if shorter (default: %(default)s)"
    )
    how.add_argument("--pad", type=float, default=0.05, metavar="S", help="added at both ends (default: %(default)s)")
    verb.set_defaults(run=run_segments)


def run_segments(args: argparse.Namespace) -> int:
    from denoise_wrapper.atomic import atomic_path
    from denoise_wrapper.denoiser import Denoiser
    from denoise_wrapper.segments import file_segments, format_segments

    form = args.to
    if form is None and args.output is not None:
        form = SUFFIXES.get(Path(args.output).suffix.lower())
        if form is None:
            raise ConfigError(f"-o {args.output}: its suffix says no form; use {', '.join(SUFFIXES)}, or --to")
    denoiser = Denoiser(args.backend or DEFAULT, model=args.model)
    settings = {name if name in SETTINGS[:2] else f"{name}_s": getattr(args, name) for name in SETTINGS}
    segments = file_segments(denoiser, args.input, **settings)
    text = format_segments(segments, form or "csv", args.input)
    if args.output is None:
        show(text, end="")
        return 0
    with atomic_path(args.output, args.overwrite) as part:
        part.write_text(text, encoding="utf-8")
    speech = duration(sum(segment.end - segment.start for segment in segments))
    say(f"{args.input} -> {args.output}: {count(len(segments), 'segment')}, {speech} of speech")
    return 0
