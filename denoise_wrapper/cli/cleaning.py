"""Options that say how is cleaned, of `filter` and `batch`, and the denoiser that they mean."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from denoise_wrapper.backends.purposes import DEFAULT
from denoise_wrapper.cli.parser import LINK_HELP, PRESET_HELP, add_model, model_of
from denoise_wrapper.errors import ConfigError

if TYPE_CHECKING:
    from denoise_wrapper.denoiser import Denoiser


def add_how(verb: Any) -> None:
    """Add the options to the parser of a verb."""
    how = verb.add_argument_group("how to clean")
    how.add_argument("-b", "--backend", metavar="NAME", help=f"see 'models' (default: {DEFAULT})")
    add_model(how)
    how.add_argument("--preset", metavar="NAME", help=PRESET_HELP)
    how.add_argument("--atten-lim", type=float, metavar="DB", help="turn noise down by so much at most; 0 passes all")
    how.add_argument("--mix", type=float, metavar="0..1", help="share of the cleaned signal (default: 1)")
    how.add_argument("--vad-threshold", type=float, metavar="0..1", help="gate what is less probably speech than this")
    how.add_argument("--vad-gate", metavar="mute|drop", help="silence it (as without this), or take it out")
    how.add_argument("--vad-hold", type=float, metavar="S", help="gate stays open so long after speech (default: 0.2)")
    how.add_argument("--link-channels", action="store_true", help=LINK_HELP)
    how.add_argument("--non-finite", metavar="raise|zero", help="what to do about NaN and inf (default: raise)")


def make_denoiser(args: argparse.Namespace) -> Denoiser:
    """Make the denoiser that the options mean. Raises ConfigError or ModelError."""
    from denoise_wrapper.denoiser import Denoiser

    options = [f"--vad-{name}" for name in ("gate", "hold") if getattr(args, f"vad_{name}") is not None]
    if options and args.vad_threshold is None:
        raise ConfigError(f"{' '.join(options)}: without --vad-threshold there is no gate; give that too, 0 to 1")
    return Denoiser(
        args.backend or DEFAULT,
        model=model_of(args),
        preset=args.preset,
        atten_lim_db=args.atten_lim,
        mix=args.mix,
        vad_threshold=args.vad_threshold,
        vad_gate="mute" if args.vad_gate is None else args.vad_gate,
        vad_hold=0.2 if args.vad_hold is None else args.vad_hold,
        non_finite=args.non_finite or "raise",
        channels="linked" if args.link_channels else "separate",
    )
