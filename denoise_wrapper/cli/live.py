"""`denoise-wrapper live`: a microphone, clean, to headphones, a file or another program."""

from __future__ import annotations

import argparse
import contextlib
import shutil
import sys
from typing import Any

from denoise_wrapper.backends.purposes import DEFAULT
from denoise_wrapper.cli.parser import PRESET_HELP, PROGRAM, add_model, model_of
from denoise_wrapper.cli.screen import say, show
from denoise_wrapper.errors import ConfigError
from denoise_wrapper.wording import visible

CLOSE_S = 5.0  # to undo a virtual microphone and bring recordings to an end


def add_live(verbs: Any) -> None:
    verb = verbs.add_parser(
        "live",
        help="clean a microphone while it is spoken into",
        description="Cleans the microphone to the headphones, to files, or into a microphone that other programs "
        "can choose. Keys: space passes the noisy sound, + and - change the strength by 3 dB, n goes to the next "
        "backend, m mutes, q ends. Needs pip install 'denoise-wrapper[live]'.",
        examples=(
            ("live", "the microphone to the headphones"),
            ("live --virtual-mic Clean", "a microphone called Clean, for meetings (Linux)"),
            ("live --output none --record noisy.wav clean.wav", "to files alone"),
            ("live -b rnnoise,dtln-16k --block 441 --rate 44100", "two backends, between which n switches"),
        ),
    )
    verb.add_argument("--list-devices", action="store_true", help="list what --input and --output take, and end")
    verb.add_argument("--input", metavar="DEVICE", help="name, a part of it, or number (default: the system's)")
    verb.add_argument("--output", metavar="DEVICE", help="likewise; 'none' plays nothing")
    verb.add_argument("--virtual-mic", metavar="NAME", help="play into a microphone of that name for other programs")
    verb.add_argument("--record", nargs=2, metavar=("NOISY", "CLEAN"), help="WAV files to write, which must not exist")
    verb.add_argument("--seconds", type=float, metavar="S", help="end after so long")
    verb.add_argument("--rate", type=int, metavar="HZ", help="of the devices (default: 48000)")
    verb.add_argument("--channels", type=int, default=1, metavar="N", help="(default: %(default)s)")
    verb.add_argument("--block", type=int, metavar="FRAMES", help="at a time (default: 10 ms)")
    verb.add_argument("-b", "--backend", metavar="NAME[,NAME]", help=f"see 'models' (default: {DEFAULT})")
    add_model(verb)
    verb.add_argument("--preset", metavar="NAME", help=PRESET_HELP)
    verb.add_argument("--atten-lim", type=float, metavar="DB", help="turn noise down by so much at most; 0 passes all")
    verb.add_argument("--mix", type=float, metavar="0..1", help="share of the cleaned signal (default: 1)")
    verb.set_defaults(run=run_live_verb)


def run_live_verb(args: argparse.Namespace) -> int:
    from denoise_wrapper import signals
    from denoise_wrapper.denoiser import Denoiser
    from denoise_wrapper.live.devices import list_devices
    from denoise_wrapper.live.player import keyboard
    from denoise_wrapper.live.pulse import place_lines
    from denoise_wrapper.live.record import Recorder
    from denoise_wrapper.live.run import Desk, Rig, Wiring, open_stream, run_live, summary
    from denoise_wrapper.live.session import Session

    if args.list_devices:
        places = place_lines()
        try:
            for device in list_devices():
                show(device.line())
        except ConfigError as error:  # without PortAudio
            if not places:
                raise
            _tell(str(error))
        for line in places:
            show(f"     {line}")
        return 0
    if args.virtual_mic is not None and args.output is not None:
        raise ConfigError("--virtual-mic and --output: what is heard goes to one of them")
    if args.block is not None and not 16 <= args.block <= 48000:
        raise ConfigError(f"--block is 16 to 48000 frames, not {args.block}")
    names = (args.backend or DEFAULT).split(",")
    if args.model is not None and len(names) > 1:
        raise ConfigError("--model goes with one backend")
    denoisers = [
        Denoiser(name.strip(), model=model_of(args), preset=args.preset, atten_lim_db=args.atten_lim, mix=args.mix)
        for name in names
    ]
    rate = 48000 if args.rate is None else args.rate
    stream = open_stream(denoisers, rate, args.channels)
    wiring = Wiring(args.input, args.output, args.virtual_mic, args.block or rate // 100)
    recorder = None
    if args.record is not None:
        noisy, clean = args.record
        recorder = Recorder(noisy, clean, rate, args.channels, stream.latency)
    session = Session(stream, recorder)
    rig = Rig(session, wiring, _tell)
    desk = Desk(session, [each.backend for each in denoisers])
    with signals.patience(CLOSE_S), contextlib.ExitStack() as stack:
        steered = sys.stdin is not None and sys.stdin.isatty()
        keys = stack.enter_context(keyboard()) if steered else None
        if steered:
            say(desk.HELP)
        painted = sys.stdout is not None and sys.stdout.isatty()
        try:
            run_live(rig, desk, keys=keys, show=_paint if painted else _nothing, say=_tell, seconds=args.seconds)
        finally:
            try:
                if recorder is not None:
                    recorder.close(stream.flush().reshape(-1, args.channels), keep=session.blocks > 0)
            finally:
                if painted:  # which fails where the terminal is gone
                    show("")
            if session.blocks:
                say(summary(session, rig))
    return 0


def _nothing(line: str) -> None:
    pass


def _paint(line: str) -> None:
    """Put the status where the last one was."""
    width = shutil.get_terminal_size().columns - 1
    sys.stdout.write(f"\r{visible(line)[:width]:<{width}}")
    sys.stdout.flush()


def _tell(what: str) -> None:
    if sys.stdout is not None and sys.stdout.isatty():
        _paint("")  # the message takes the place of the status
        sys.stdout.write("\r")
        sys.stdout.flush()
    say(f"{PROGRAM}: {what}")
