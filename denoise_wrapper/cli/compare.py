"""The verbs of the command line that measure: arguments -> denoise_wrapper.compare -> tables and files."""

from __future__ import annotations

import argparse
import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, TypeVar

from denoise_wrapper.atomic import atomic_path
from denoise_wrapper.cli.parser import PRESET_HELP
from denoise_wrapper.cli.screen import show
from denoise_wrapper.errors import ConfigError
from denoise_wrapper.machine import cores
from denoise_wrapper.presets import strength
from denoise_wrapper.wording import listed

if TYPE_CHECKING:
    from denoise_wrapper.compare import Candidate, Comparison

Measured = TypeVar("Measured")
Report = Callable[[str, int, int], None]

UNPROCESSED = ("noisy", "none")  # in place of a backend: measure the clips as they came
STRENGTH = ("model", "preset", "atten_lim", "mix")
COLUMNS = """\
columns: PESQ (wide-band, 1 to 4.6), STOI and ESTOI (0 to 1), SISDR (dB), SIG, BAK and OVRL (DNSMOS P.835, 1 to 5):
higher is better; LFLSD and HFLSD (log-spectral distance up to 8 kHz and, of full-band clips, from 8 to 20 kHz, dB):
lower is better; SPEECH (dB): by how much the speech is louder than in the clean clips, best at 0. The delay is taken
away before. Files have PAUSES (dBFS where nobody speaks) and RMS (dBFS of all) too.

--behaviour measures what these means do not show, beside a bar for what matters: the clean clips, denoised, against
themselves (PESQ >= 4); beginnings of speech, the first 30 ms after 200 ms of pause (mean change >= -3 dB, 90 % within
3 dB); the probability of speech against where the clean clips hold it (area under the ROC curve >= 0.95); and signals
made by formula: silence (no sample over -90 dB), steady noise (its level's deviation <= 3 dB), music (what comes and
goes of it at 0.5 to 8 Hz <= -20 dB), a click (silent after 200 ms, and the level in low noise back by then).

Needs pip install 'denoise-wrapper[metrics]'. """
CANDIDATES = """\
a candidate is WHAT[,KEY=VALUE]..., WHAT being the name of a backend (see 'models'), the file of an RNNoise model,
a librnnoise that somebody else has built (.so, .dylib, .dll), the pair of a DTLN as FIRST.onnx+SECOND.onnx or the
folder they are in, or a folder of clips that another program has cleaned, called as the noisy ones are; and the keys
name (as it is shown), backend (which is to load the model), preset, atten-lim (dB) and mix (0 to 1), as those of
'filter'. The
clips as they came are always in the report.

Beside REPORT.html are written REPORT.csv and REPORT.json, with each clip's values, means, intervals and costs, and
REPORT_plots/ with each plot as PNG. What cannot be measured, and a candidate that fails, is in the report with the
reason, and the exit code is 2 then.

Needs pip install 'denoise-wrapper[compare]'. """
SLOTS = "abcdefg"  # options for a candidate each


def add_evaluate(verbs: Any) -> None:
    verb = verbs.add_parser(
        "evaluate",
        help="measure a backend on a set of clips with clean references",
        description="Cleans the noisy clips of a set, measures them against the clean ones, and prints the means.",
        examples=(
            ("evaluate --set clips/", "of clips/noisy and clips/clean, the default backend"),
            ("evaluate --set clips/ -b dtln-16k --csv means.csv", "another one, also as a table"),
            ("evaluate --set clips/ --model mine.dnnw --against standard", "side by side"),
        ),
        epilog=COLUMNS,
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
    verb.add_argument(
        "-b", "--backend", metavar="NAME", help="see 'models' (default: rnnoise); 'noisy' for no cleaning"
    )
    verb.add_argument("--denoised", metavar="DIR", help="measure the clips in it, which another program has cleaned")
    verb.add_argument(
        "--against",
        nargs="+",
        metavar="FILE|NAME",
        help="measure this too, and put both side by side: a model, the name of a backend, 'standard' for the model "
        "that is compiled in, 'noisy', or all that 'compare' takes",
    )
    verb.add_argument(
        "--behaviour",
        action="store_true",
        help="measure clean speech, word beginnings, voice detection and pumping instead of the means of noisy clips",
    )
    verb.add_argument(
        "--words",
        nargs="?",
        const="",
        metavar="MODEL",
        help="count the words that a recogniser gets wrong instead: a folder of a faster-whisper model; without one "
        "the tiny English Whisper that 'denoise-wrapper[asr]' brings",
    )
    how = verb.add_argument_group("how to clean")
    how.add_argument("--model", nargs="+", metavar="FILE", help="a model of your own for the backend")
    how.add_argument("--preset", metavar="NAME", help=PRESET_HELP)
    how.add_argument("--atten-lim", type=float, metavar="DB", help="turn noise down by so much at most; 0 passes all")
    how.add_argument("--mix", type=float, metavar="0..1", help="share of the cleaned signal (default: 1)")
    results = verb.add_argument_group("results")
    results.add_argument("--clips", action="store_true", help="print each clip too")
    results.add_argument("-o", "--output", metavar="DIR", help="keep the cleaned clips in it")
    results.add_argument("--csv", metavar="FILE", help="write each clip and the means as CSV")
    results.add_argument("--json", metavar="FILE", help="write it all as JSON, with the model's sha256")
    results.add_argument("--overwrite", action="store_true", help="replace files that exist")
    results.add_argument("-q", "--quiet", action="store_true", help="show no progress")
    results.add_argument("--jobs", type=int, default=cores(), metavar="N", help="processes (default: one per core)")
    verb.set_defaults(run=run_evaluate)


def add_compare(verbs: Any) -> None:
    verb = verbs.add_parser(
        "compare",
        help="hear and see which backend, model or strength is better: a report to listen to",
        description="Cleans clips by several candidates, measures what comes out, and writes a page that opens in a "
        "browser from disk: who wins what, spectrograms, a player that switches at the same instant, a blind test.",
        examples=(
            ("compare talk.flac", "all backends on one file, in compare.html"),
            ("compare recordings/ -a rnnoise -b dtln-32k -o two.html", "two of them"),
            ("compare talk.flac -a rnnoise -b rnnoise,atten-lim=12,name=mild", "two strengths"),
        ),
        epilog=CANDIDATES,
    )
    verb.add_argument(
        "inputs",
        nargs="+",
        metavar="INPUT",
        help="audio files, folders of them (without what 'filter' made), or sets: noisy/ and clean/ in a folder",
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
    how.add_argument("--jobs", type=int, default=cores(), metavar="N", help="processes (default: one per core)")
    results = verb.add_argument_group("results")
    results.add_argument("--title", metavar="TEXT", help="of the report")
    results.add_argument(
        "--audio", default="opus", choices=("opus", "flac"), help="how the page holds its clips (default: %(default)s)"
    )
    results.add_argument(
        "--seconds", type=float, default=60.0, metavar="S", help="of a longer clip the page plays so many (default: 60)"
    )
    results.add_argument("--open", action="store_true", help="open the report in the browser")
    results.add_argument("--keep", metavar="DIR", help="keep the cleaned clips, as DIR/CANDIDATE/CLIP.wav")
    results.add_argument("--overwrite", action="store_true", help="replace files that exist")
    results.add_argument("-q", "--quiet", action="store_true", help="show no progress")
    verb.set_defaults(run=run_compare)


def run_compare(args: argparse.Namespace) -> int:
    from denoise_wrapper.compare import compare
    from denoise_wrapper.compare.report import check_report, write_report
    from denoise_wrapper.compare.tables import format_comparison
    from denoise_wrapper.progress import stages

    check_report(args.output, overwrite=args.overwrite, audio=args.audio, seconds=args.seconds)
    with stages(args.quiet, lines=True) as report:
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
        page, *others = write_report(
            comparison,
            args.output,
            overwrite=args.overwrite,
            title=args.title,
            audio=args.audio,
            seconds=args.seconds,
            jobs=args.jobs,
            progress=report,
        )
    show(format_comparison(comparison))
    opened = args.open and open_page(page)
    beside = dict.fromkeys(str(path if path.parent == page.parent else path.parent) for path in others)
    show(f"{page}: {'opened' if opened else 'open it'} in a browser; tables and pictures are in {listed(beside)}")
    return 2 if any(comparison.problems()) else 0


def open_page(page: Path) -> bool:
    """Open a page in the user's browser. False if there is none."""
    import webbrowser

    return webbrowser.open(page.absolute().as_uri())


def run_evaluate(args: argparse.Namespace) -> int:
    candidate = _candidate(args)
    if args.behaviour:
        return _run_behaviour(args, candidate)
    if args.words is not None:
        return _run_words(args, candidate)
    from denoise_wrapper.compare import evaluate
    from denoise_wrapper.compare.export import set_to_dict, write_clips
    from denoise_wrapper.compare.tables import format_set

    both: list[str | Candidate] = [candidate, *(["+".join(args.against)] if args.against else [])]

    def measure(report: Report) -> Comparison:
        return evaluate(
            args.set,
            both,
            only=args.only,
            keep=args.output,
            overwrite=args.overwrite,
            jobs=args.jobs,
            progress=report,
        )

    def plain(comparison: Comparison) -> dict[str, Any]:
        content = {**set_to_dict(comparison), "model": args.model}
        if args.against:
            content["against"]["model"] = args.against
        return content

    comparison = _measured(args, measure, write_clips, plain)
    show(format_set(comparison, args.clips))
    return 2 if any(track.error for result in comparison.results for track in result.tracks) else 0


def _measured(
    args: argparse.Namespace,
    measure: Callable[[Report], Measured],
    write_table: Callable[[Measured, TextIO], None],
    to_plain: Callable[[Measured], dict[str, Any]],
) -> Measured:
    """Measure with a bar, write the answer where --csv and --json say, and return it."""
    from denoise_wrapper.progress import stages

    with contextlib.ExitStack() as stack:
        table, plain = (
            path and stack.enter_context(atomic_path(path, args.overwrite)) for path in (args.csv, args.json)
        )
        with stages(args.quiet, lines=True) as report:
            result = measure(report)
        if table:
            with table.open("w", newline="", encoding="utf-8") as file:
                write_table(result, file)
        if plain:
            plain.write_text(json.dumps(to_plain(result), indent=1, allow_nan=False) + "\n", encoding="utf-8")
    return result


def _run_behaviour(args: argparse.Namespace, candidate: Candidate) -> int:
    options = {"--denoised": args.denoised, "-o": args.output, "--against": args.against}
    wrong = [name for name, value in options.items() if value is not None]
    if wrong or not candidate.cleaned:
        named = " ".join(wrong) or f"--backend {args.backend}"
        raise ConfigError(
            f"{named}: --behaviour is of one backend as it runs, and keeps no clips; leave one of them out"
        )
    from denoise_wrapper.compare.behaviour import behaviour
    from denoise_wrapper.compare.export import behaviour_to_dict, write_behaviour
    from denoise_wrapper.compare.tables import format_behaviour

    denoiser = candidate.open()
    result = _measured(
        args,
        lambda report: behaviour(args.set, denoiser, only=args.only, jobs=args.jobs, progress=report),
        write_behaviour,
        lambda result: {**behaviour_to_dict(result), "model": args.model},
    )
    show(format_behaviour(result, args.clips))
    return 2 if any(clip.error for clip in result.clips) else 0


def _run_words(args: argparse.Namespace, candidate: Candidate) -> int:
    options = {"--denoised": args.denoised, "-o": args.output, "--against": args.against, "--csv": args.csv}
    wrong = [name for name, value in options.items() if value is not None]
    if wrong:
        raise ConfigError(f"{' '.join(wrong)}: --words prints what a recogniser gets wrong; leave one of them out")
    from denoise_wrapper.compare.candidates import strength_words
    from denoise_wrapper.compare.spoken import format_words, open_recogniser, word_errors
    from denoise_wrapper.progress import stages

    name = ", ".join([candidate.name, *strength_words(candidate.settings)])
    ways = {"noisy": None, **({name: candidate.open()} if candidate.cleaned else {})}
    recogniser = open_recogniser(args.words or None)
    with stages(args.quiet, lines=True) as report:
        results = word_errors(args.set, ways, recogniser, only=args.only, progress=report)
    if args.json:
        content = {each.name: {"percent": each.percent, "interval": each.interval()} for each in results}
        with atomic_path(args.json, args.overwrite) as part:
            part.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    show(format_words(results, args.set))
    return 0


def _candidate(args: argparse.Namespace) -> Candidate:
    """The candidate that the options name."""
    from denoise_wrapper.compare import Candidate, Settings
    from denoise_wrapper.compare.candidates import model_name
    from denoise_wrapper.compare.comparison import NOISY

    if args.denoised is not None or args.backend in UNPROCESSED:
        _check_nothing_cleans(args)
        folder = None if args.denoised is None else Path(args.denoised)
        return Candidate(NOISY if folder is None else str(folder), folder=folder)
    model = args.model[0] if args.model and len(args.model) == 1 else args.model and tuple(args.model)
    backend = args.backend or "rnnoise"
    name = model_name([Path(path) for path in args.model]) if args.model else backend
    settings = Settings(*strength(args.preset, args.atten_lim, args.mix))
    return Candidate(name, backend, model, settings=settings)


def _check_nothing_cleans(args: argparse.Namespace) -> None:
    """Refuse what goes with a denoiser alone."""
    options = [f"--{name.replace('_', '-')}" for name in STRENGTH if getattr(args, name) is not None]
    options += ["--backend"] if args.denoised is not None and args.backend is not None else []
    options += ["-o"] if args.output is not None else []
    if options:
        reason = "--denoised" if args.denoised is not None else f"--backend {args.backend}"
        raise ConfigError(f"{' '.join(options)}: with {reason} nothing is cleaned; leave one of them out")
