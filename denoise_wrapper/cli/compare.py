"""The verbs of the command line that measure: arguments -> denoise_wrapper.compare -> tables and files."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from denoise_wrapper.atomic import atomic_path
from denoise_wrapper.errors import ConfigError
from denoise_wrapper.machine import cores

if TYPE_CHECKING:
    from denoise_wrapper.compare.evaluate import Evaluation
    from denoise_wrapper.denoiser import Denoiser

UNPROCESSED = ("noisy", "none")  # in place of a backend: measure the clips as they came
STRENGTH = ("model", "atten_lim", "mix")
COLUMNS = """\
columns: PESQ (wide-band, 1 to 4.6), STOI and ESTOI (0 to 1), SISDR (dB), SIG, BAK and OVRL (DNSMOS P.835, 1 to 5):
higher is better; LFLSD and HFLSD (log-spectral distance up to 8 kHz and, of full-band clips, from 8 to 20 kHz, dB):
lower is better. The delay is taken away before.

--behaviour measures what these means do not show, beside a bar for what matters: the clean clips, denoised, against
themselves (PESQ >= 4); beginnings of speech, the first 30 ms after 200 ms of pause (mean change >= -3 dB, 90 % within
3 dB); the probability of speech against where the clean clips hold it (area under the ROC curve >= 0.95); and signals
made by formula: silence (no sample over -90 dB), steady noise (its level's deviation <= 3 dB), music (what comes and
goes of it at 0.5 to 8 Hz <= -20 dB), a click (silent after 200 ms, and the level in low noise back by then).

Needs pip install 'denoise-wrapper[metrics]'. """
CANDIDATES = """\
a candidate is WHAT[,KEY=VALUE]..., WHAT being the name of a backend (see 'model list'), the file of an RNNoise model,
a librnnoise that somebody else has built (.so, .dylib, .dll), the pair of a DTLN as FIRST.onnx+SECOND.onnx or the
folder they are in, or a folder of clips that another program has cleaned, called as the noisy ones are; and the keys
name (as it is shown), backend (which is to load the model), atten-lim (dB) and mix (0 to 1), as those of 'filter'. The
clips as they came are always in the report.

Beside REPORT.html are written REPORT.csv and REPORT.json, with each clip's values, means, intervals and costs, and
REPORT_plots/ with each plot as PNG. What cannot be measured, and a candidate that fails, is in the report with the
reason, and the exit code is 2 then.

Needs pip install 'denoise-wrapper[compare]'. """
SLOTS = "abcdefg"  # options for a candidate each


def add_evaluate(verbs: Any, epilog: str) -> None:
    verb = verbs.add_parser(
        "evaluate",
        help="measure a backend on a set of clips with clean references",
        description="Cleans the noisy clips of a set, measures them against the clean ones, and prints the means.",
        epilog=COLUMNS + epilog,
    )
    verb.add_argument(
        "--set", required=True, metavar="DIR", help="folder with clean/ and noisy/, and perhaps a manifest.json"
    )
    verb.add_argument(
        "--only",
        metavar="FIELD=VALUE",
        help="a part of the set, by what its manifest says of the clips, as snr_db=0 or kind=child; 'unseen' of the "
        "blind set: voices that no weights shipped so far were trained on",
    )
    verb.add_argument("--backend", metavar="NAME", help="see 'model list' (default: rnnoise); 'noisy' for no cleaning")
    verb.add_argument("--denoised", metavar="DIR", help="measure the clips in it, which another program has cleaned")
    verb.add_argument(
        "--against",
        nargs="+",
        metavar="FILE|NAME",
        help="measure this too, and put both side by side: a model, the name of a backend, 'standard' for the model "
        "that is compiled in, or 'noisy'",
    )
    verb.add_argument(
        "--behaviour",
        action="store_true",
        help="measure clean speech, word beginnings, voice detection and pumping instead of the means of noisy clips",
    )
    how = verb.add_argument_group("how to clean")
    how.add_argument("--model", nargs="+", metavar="FILE", help="a model of your own for the backend")
    how.add_argument("--atten-lim", type=float, metavar="DB", help="turn noise down by so much at most; 0 passes all")
    how.add_argument("--mix", type=float, metavar="0..1", help="share of the cleaned signal (default: 1)")
    results = verb.add_argument_group("results")
    results.add_argument("--clips", action="store_true", help="print each clip too")
    results.add_argument("--out", metavar="DIR", help="keep the cleaned clips in it")
    results.add_argument("--csv", metavar="FILE", help="write each clip and the means as CSV")
    results.add_argument("--json", metavar="FILE", help="write it all as JSON, with the model's sha256")
    results.add_argument("--overwrite", action="store_true", help="replace files that exist")
    results.add_argument("-q", "--quiet", action="store_true", help="show no progress")
    results.add_argument("--jobs", type=int, default=cores(), metavar="N", help="processes (default: one a core)")
    verb.set_defaults(run=run_evaluate)


def add_compare(verbs: Any, epilog: str) -> None:
    verb = verbs.add_parser(
        "compare",
        help="hear and see which backend, model or strength is better: a report to listen to",
        description="Cleans clips by several candidates, measures what comes out, and writes a page that opens in a "
        "browser from disk: who wins what, spectrograms, a player that switches at the same instant, a blind test.",
        epilog=CANDIDATES + epilog,
    )
    verb.add_argument(
        "inputs",
        nargs="+",
        metavar="INPUT",
        help="audio files, folders of them, or sets: noisy/ and clean/ in a folder",
    )
    verb.add_argument(
        *(f"-{letter}" for letter in SLOTS),
        "--candidate",
        action="append",
        dest="candidates",
        metavar="WHAT",
        help="a candidate, see below; in the order in which they are given (default: all backends)",
    )
    verb.add_argument("-o", "--output", default="compare.html", metavar="REPORT", help="(default: %(default)s)")
    verb.add_argument(
        "--clean", metavar="FILE|DIR", help="the reference of a file, or a folder of them of the same names"
    )
    how = verb.add_argument_group("how to compare")
    how.add_argument(
        "--mode",
        default="file",
        choices=("file", "stream"),
        help="clean clips as a whole, or by buffers of 20 ms as they come live (default: %(default)s)",
    )
    how.add_argument(
        "--match-levels", action="store_true", help="make each result as loud as the reference before it is measured"
    )
    how.add_argument("--jobs", type=int, default=cores(), metavar="N", help="processes (default: one a core)")
    results = verb.add_argument_group("results")
    results.add_argument("--title", metavar="TEXT", help="of the report")
    results.add_argument(
        "--audio", default="opus", choices=("opus", "flac"), help="how the page holds its clips (default: %(default)s)"
    )
    results.add_argument(
        "--seconds", type=float, default=60.0, metavar="S", help="of a longer clip the page plays so many (default: 60)"
    )
    results.add_argument("--keep", metavar="DIR", help="keep the cleaned clips, as DIR/CANDIDATE/CLIP.wav")
    results.add_argument("--overwrite", action="store_true", help="replace files that exist")
    results.add_argument("-q", "--quiet", action="store_true", help="show no progress")
    verb.set_defaults(run=run_compare)


def run_compare(args: argparse.Namespace) -> int:
    from denoise_wrapper.compare import compare
    from denoise_wrapper.compare.comparison_tables import format_table
    from denoise_wrapper.compare.report import check_report, write_report
    from denoise_wrapper.progress import stages

    check_report(args.output, overwrite=args.overwrite, audio=args.audio, seconds=args.seconds)
    with stages(args.quiet) as report:
        comparison = compare(
            args.inputs,
            args.candidates,
            clean=args.clean,
            mode=args.mode,
            match_levels=args.match_levels,
            keep=args.keep,
            overwrite=args.overwrite,
            jobs=args.jobs,
            progress=report,
        )
        page, *_ = write_report(
            comparison,
            args.output,
            overwrite=args.overwrite,
            title=args.title,
            audio=args.audio,
            seconds=args.seconds,
            jobs=args.jobs,
            progress=report,
        )
    print(format_table(comparison))
    print(f"{page}: open it in a browser")
    return 2 if any(comparison.problems()) else 0


def run_evaluate(args: argparse.Namespace) -> int:
    denoiser = _denoiser(args)
    if args.behaviour:
        return _run_behaviour(args, denoiser)
    from denoise_wrapper.compare.against import format_comparison, label
    from denoise_wrapper.compare.evaluate import evaluate
    from denoise_wrapper.compare.tables import format_table, to_dict, write_csv
    from denoise_wrapper.progress import stages

    with contextlib.ExitStack() as stack:
        table, plain = (
            path and stack.enter_context(atomic_path(path, args.overwrite)) for path in (args.csv, args.json)
        )
        with stages(args.quiet) as report:
            result = evaluate(
                args.set,
                denoiser,
                denoised=args.denoised,
                only=args.only,
                out=args.out,
                overwrite=args.overwrite,
                jobs=args.jobs,
                progress=report,
            )
            others = _others(args, report)
        if others and args.model:
            result = dataclasses.replace(result, name=label(args.model))
        if table:
            with table.open("w", newline="", encoding="utf-8") as file:
                write_csv(result, file, *others)
        if plain:
            content = {**to_dict(result), "model": args.model}
            for other in others:
                content["against"] = {**to_dict(other), "model": args.against}
            plain.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    for shown in (result, *others):
        print(format_table(shown, args.clips))
    for other in others:
        print(format_comparison(result, other))
    return 2 if any(clip.error for shown in (result, *others) for clip in shown.clips) else 0


def _others(args: argparse.Namespace, report: Callable[[str, int, int], None]) -> list[Evaluation]:
    """What --against names, measured, if it names anything."""
    from denoise_wrapper.compare.against import label, measure_other

    if args.against is None:
        return []
    name = label(args.against)
    return [
        measure_other(
            args.set, args.against, args.jobs, lambda what, *at: report(f"{what} ({name})", *at), only=args.only
        )
    ]


def _run_behaviour(args: argparse.Namespace, denoiser: Denoiser | None) -> int:
    given = {"--denoised": args.denoised, "--out": args.out, "--against": args.against, "--only": args.only}
    wrong = [name for name, value in given.items() if value is not None]
    if denoiser is None or wrong:
        named = " ".join(wrong) or f"--backend {args.backend}"
        raise ConfigError(
            f"{named}: --behaviour is of one backend as it runs, on a whole set, and keeps no clips; "
            "leave one of them away"
        )
    from denoise_wrapper.compare.behaviour import behaviour
    from denoise_wrapper.compare.tables import behaviour_to_dict, format_behaviour, write_behaviour_csv
    from denoise_wrapper.progress import stages

    with contextlib.ExitStack() as stack:
        table, plain = (
            path and stack.enter_context(atomic_path(path, args.overwrite)) for path in (args.csv, args.json)
        )
        with stages(args.quiet) as report:
            result = behaviour(args.set, denoiser, jobs=args.jobs, progress=report)
        if table:
            with table.open("w", newline="", encoding="utf-8") as file:
                write_behaviour_csv(result, file)
        if plain:
            content = {**behaviour_to_dict(result), "model": args.model}
            plain.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    print(format_behaviour(result, args.clips))
    return 2 if any(clip.error for clip in result.clips) else 0


def _denoiser(args: argparse.Namespace) -> Denoiser | None:
    """What is to clean the clips, if anything is."""
    given = [f"--{name.replace('_', '-')}" for name in STRENGTH if getattr(args, name) is not None]
    if args.denoised is not None or args.backend in UNPROCESSED:
        reason = "--denoised" if args.denoised is not None else f"--backend {args.backend}"
        given += ["--backend"] if args.denoised is not None and args.backend is not None else []
        given += ["--out"] if args.out is not None else []
        if given:
            raise ConfigError(f"{' '.join(given)}: with {reason} nothing is cleaned; leave one of them away")
        return None
    from denoise_wrapper.denoiser import Denoiser

    model = args.model[0] if args.model and len(args.model) == 1 else args.model and tuple(args.model)
    mix = 1.0 if args.mix is None else args.mix
    return Denoiser(args.backend or "rnnoise", model=model, atten_lim_db=args.atten_lim, mix=mix)
