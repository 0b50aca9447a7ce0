"""Home Assistant: a microphone's command, clean, for `--mic-command` of wyoming-satellite.

    wyoming-satellite ... --mic-command \\
        'python -m denoise_wrapper.integrations.wyoming arecord -D plughw:1 -r 16000 -c 1 -f S16_LE -t raw'

runs the command, and writes the int16 samples that it writes, clean, chunk by chunk as they come: as many bytes, late
by a constant. Needs no package but this one. linux-voice-assistant, which follows the satellite, runs no command, and
takes the microphone that `denoise-wrapper live --virtual-mic` makes.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shlex
import subprocess
import sys
from collections.abc import Sequence

from denoise_wrapper.denoiser import Denoiser
from denoise_wrapper.errors import ConfigError, DenoiseError
from denoise_wrapper.presets import PRESET_NAMES
from denoise_wrapper.signals import end_if_asked, end_on_signals

PROGRAM = "denoise_wrapper.integrations.wyoming"
READ = 1 << 16  # bytes read at a time, at most
END_S = 2.0  # for the command to end when it is asked to


def clean_command(command: Sequence[str], denoiser: Denoiser, rate: int, channels: int, target: int) -> int:
    """Run a command, and write what it writes, clean, to a file descriptor until it ends.

    command: the program and its arguments; writes interleaved int16 samples. rate: Hz. Returns its exit code. Raises
    ConfigError if it cannot be started, or rate or channels are out of range. A target that nobody reads any more ends
    the command too, quietly.
    """
    stream = denoiser.stream(rate, channels, dtype="int16")
    try:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
    except OSError as error:
        raise ConfigError(f"{shlex.join(command)}: {error.strerror or error}") from error
    try:
        assert process.stdout is not None
        odd, width = b"", stream.frame_bytes
        with contextlib.suppress(BrokenPipeError):
            while data := os.read(process.stdout.fileno(), READ):
                data = odd + data
                whole = len(data) // width * width
                odd = data[whole:]
                _write(target, stream.process(data[:whole]))
            _write(target, stream.flush())
            return process.wait()
        return 0
    finally:
        process.terminate()
        try:
            process.wait(END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _write(target: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(target, view) :]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; returns the exit code: the command's, or 2 for what cannot be done."""
    parser = argparse.ArgumentParser(prog=f"python -m {PROGRAM}", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rate", type=int, default=16000, help="Hz (default: %(default)s)")
    parser.add_argument("--channels", type=int, default=1, help="(default: %(default)s)")
    parser.add_argument("--backend", default="rnnoise", help="as 'denoise-wrapper models' lists them")
    parser.add_argument("--preset", choices=PRESET_NAMES, help="strength by what the result is for")
    parser.add_argument("--atten-lim", type=float, metavar="DB", help="turn noise down by so much at most")
    parser.add_argument("command", nargs=argparse.REMAINDER, help="writes raw int16 samples, as arecord -t raw does")
    args = parser.parse_args(arguments)
    command = args.command[1:] if args.command[:1] == ["--"] else args.command
    if not command:
        parser.error("which command is the microphone? as in: arecord -r 16000 -c 1 -f S16_LE -t raw")
    try:
        denoiser = Denoiser(args.backend, preset=args.preset, atten_lim_db=args.atten_lim)
        return clean_command(command, denoiser, args.rate, args.channels, sys.stdout.fileno())
    except DenoiseError as error:
        print(f"{PROGRAM}: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    end_on_signals()
    try:
        code = main()
    finally:
        end_if_asked()
    sys.exit(code)
