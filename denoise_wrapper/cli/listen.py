"""`denoise-wrapper listen`: a file as it came and cleaned, in turn, at the same instant."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from denoise_wrapper.backends.purposes import DEFAULT
from denoise_wrapper.cli.parser import LINK_HELP, PRESET_HELP, add_model, model_of
from denoise_wrapper.cli.screen import show
from denoise_wrapper.errors import ConfigError

if TYPE_CHECKING:
    from denoise_wrapper.live.deck import Deck

NAMES = ("noisy", "clean")


def add_listen(verbs: Any) -> None:
    verb = verbs.add_parser(
        "listen",
        help="play a file, noisy and clean in turn",
        description="Plays a file on the default sound device, cleaned. Space goes over to the noisy one and back at "
        "the same instant, without a click; b and f go back and forward by 2 s, q ends. Needs "
        "pip install 'denoise-wrapper[live]'.",
        examples=(("listen talk.flac", "the default backend"), ("listen talk.flac -b dtln-16k", "another one")),
    )
    verb.add_argument("input", metavar="FILE")
    verb.add_argument("-b", "--backend", metavar="NAME", help=f"see 'models' (default: {DEFAULT})")
    add_model(verb)
    verb.add_argument("--preset", metavar="NAME", help=PRESET_HELP)
    verb.add_argument("--atten-lim", type=float, metavar="DB", help="turn noise down by so much at most; 0 passes all")
    verb.add_argument("--mix", type=float, metavar="0..1", help="share of the cleaned signal (default: 1)")
    verb.add_argument("--link-channels", action="store_true", help=LINK_HELP)
    verb.set_defaults(run=run_listen)


def run_listen(args: argparse.Namespace) -> int:
    from denoise_wrapper.denoiser import Denoiser
    from denoise_wrapper.files.transform import read_floats
    from denoise_wrapper.live.deck import Deck
    from denoise_wrapper.live.player import keyboard, play

    if not sys.stdin.isatty():
        raise ConfigError("listen is steered by keys, and standard input is no terminal")
    denoiser = Denoiser(
        args.backend or DEFAULT,
        model=model_of(args),
        preset=args.preset,
        atten_lim_db=args.atten_lim,
        mix=args.mix,
        channels="linked" if args.link_channels else "separate",
    )
    noisy, rate = read_floats(args.input)
    deck = Deck([noisy, denoiser.filter(noisy, rate)], rate)
    deck.switch()
    show("space: noisy or clean   b f: 2 s back, forward   q: end")
    with keyboard() as keys:
        play(deck, keys, show_place)
    show("")
    return 0


def show_place(deck: Deck) -> None:
    """Show which version plays, and where it is."""
    now, end = (frames / deck.rate for frames in (deck.position, len(deck.versions[0])))
    place, length = (f"{seconds // 60:.0f}:{seconds % 60:04.1f}" for seconds in (now, end))
    sys.stdout.write(f"\r{NAMES[deck.wanted]:<6}{place:>8} of {length} ")
    sys.stdout.flush()
