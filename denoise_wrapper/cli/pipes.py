"""Sound through standard input and output: audio files by their content, and raw PCM as it is described."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from denoise_wrapper.cli.progress import speed_line
from denoise_wrapper.cli.written import written
from denoise_wrapper.errors import AudioError, ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from denoise_wrapper.denoiser import Denoiser

RAW_OPTIONS = ("rate", "channels", "dtype")
RAW_BLOCK = 1 << 16  # bytes read from a pipe at a time, at most


def check_pipe(args: argparse.Namespace) -> None:
    """Raise ConfigError for arguments that do not go with a pipe, or standard streams that are none."""
    if args.inputs != ["-"]:
        raise ConfigError("'-' stands alone: one pipe, or files")
    if args.output not in (None, "-"):
        raise ConfigError(f"what comes through a pipe goes to standard output: use '> {args.output}' in place of -o")
    if args.jobs is not None or args.profile:
        raise ConfigError(f"{'--profile' if args.profile else '--jobs'}: only for files; a pipe is one stream")
    missing = [f"--{name}" for name in RAW_OPTIONS if getattr(args, name) is None]
    if missing and len(missing) < len(RAW_OPTIONS):
        raise ConfigError(f"raw PCM does not say what it holds; give {' '.join(missing)} too, as in --dtype int16")
    if args.format is not None and not missing:
        raise ConfigError("--format: raw PCM stays raw PCM; leave --format, or --rate, --channels and --dtype out")
    for stream, advice in ((sys.stdin, "pipe sound into it"), (sys.stdout, "pipe it on, or use '> FILE'")):
        if stream is None:
            raise ConfigError(f"'-' is for sound through standard input and output, and one is closed: {advice}")
        if stream.isatty():
            raise ConfigError(f"'-' is for sound, and this is a terminal: {advice}")


def filter_pipe(args: argparse.Namespace, denoiser: Denoiser) -> tuple[str, list[str]]:
    """Clean standard input to standard output: an audio file as a whole, raw PCM as it comes.

    Returns the line that says how quick it was, and what could not be kept. Raises DenoiseError.
    """
    return _filter_file(args, denoiser) if args.rate is None else (_filter_raw(args, denoiser), [])


def _filter_file(args: argparse.Namespace, denoiser: Denoiser) -> tuple[str, list[str]]:
    """An audio file, known by its content, from standard input to standard output."""
    from denoise_wrapper.files.containers.survey import HEAD, sounds_like
    from denoise_wrapper.files.exchange import exchange
    from denoise_wrapper.files.formats import Wishes
    from denoise_wrapper.files.intake import Behind
    from denoise_wrapper.files.watch import Watch

    head = sys.stdin.buffer.read(HEAD)
    if not sounds_like(head):
        options = " ".join(f"--{name}" for name in RAW_OPTIONS)
        what = "nothing came" if not head else "what comes is no audio file that is known; if it is raw PCM"
        raise AudioError(f"standard input: {what}, give {options}" if head else f"standard input: {what}")
    watch, begin = Watch(), time.perf_counter()

    def clean(source: Path, target: Path) -> None:
        denoiser._transform(source, target, False, watch, Wishes(**written(args)))

    exchange(Behind(head, sys.stdin.buffer, "standard input"), sys.stdout.buffer, clean, form=args.format)
    return speed_line("standard input", watch.seconds, time.perf_counter() - begin), watch.notes


def _filter_raw(args: argparse.Namespace, denoiser: Denoiser) -> str:
    """Raw PCM through a stream, as it comes; what comes out is in time with it, and as long."""
    import numpy as np

    from denoise_wrapper.audio import check_type
    from denoise_wrapper.files.containers.survey import named_kind
    from denoise_wrapper.stream.align import aligned

    dtype = check_type(args.dtype)
    stream = denoiser.stream(args.rate, args.channels)
    width = dtype.itemsize * stream.channels
    rest, frames, begin = b"", 0, time.perf_counter()

    def chunks() -> Iterator[Any]:
        nonlocal rest, frames
        stdin: Any = sys.stdin.buffer  # which has read1, whatever its type says: what is there, without a wait
        while data := stdin.read1(RAW_BLOCK):
            if not frames and not rest and (kind := named_kind(data)) is not None:
                options = " ".join(f"--{name}" for name in RAW_OPTIONS)
                raise AudioError(
                    f"standard input is {kind}, no raw PCM, and says itself what it holds; leave {options} out"
                )
            data = rest + data
            count = len(data) // width
            rest = data[count * width :]
            yield np.frombuffer(data, dtype, count * stream.channels).reshape(-1, stream.channels)
            frames += count

    for cleaned in aligned(stream, chunks()):
        sys.stdout.buffer.write(cleaned.tobytes())
        sys.stdout.buffer.flush()
    if rest:
        raise AudioError(f"the input ends with {len(rest)} bytes of a frame of {width}; check --channels and --dtype")
    if not frames:
        return "standard input: nothing came"
    return speed_line("standard input", frames / stream.sample_rate, time.perf_counter() - begin)
