"""The command line: arguments -> Denoiser -> exit code. All that is decided here is which file goes where."""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import shlex
import sys
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from denoise_wrapper import __version__, signals
from denoise_wrapper.cli.batch import add_batch
from denoise_wrapper.cli.cleaning import add_how, make_denoiser
from denoise_wrapper.cli.compare import add_compare, add_evaluate
from denoise_wrapper.cli.completion import add_completion
from denoise_wrapper.cli.config import add_config, fill, hoist, read_config
from denoise_wrapper.cli.convert import add_convert
from denoise_wrapper.cli.data import add_data
from denoise_wrapper.cli.finish import add_finish, check_finish, finish
from denoise_wrapper.cli.help import add_help, print_help
from denoise_wrapper.cli.info import add_info
from denoise_wrapper.cli.inputs import add_naming, check_backend, check_inputs, check_pipe_options, named, part_existing
from denoise_wrapper.cli.listen import add_listen
from denoise_wrapper.cli.live import add_live
from denoise_wrapper.cli.models import add_models
from denoise_wrapper.cli.parser import PROGRAM, Parser, complain, show_warning
from denoise_wrapper.cli.pipes import RAW_OPTIONS, check_pipe, filter_pipe
from denoise_wrapper.cli.progress import FileProgress, format_profile, speed_line
from denoise_wrapper.cli.results import result_json, result_line
from denoise_wrapper.cli.screen import say, show
from denoise_wrapper.cli.segments import add_segments
from denoise_wrapper.cli.serve import add_serve
from denoise_wrapper.cli.spelling import modern
from denoise_wrapper.cli.training import add_train
from denoise_wrapper.cli.written import add_written, print_plans, written
from denoise_wrapper.errors import ConfigError, DenoiseError
from denoise_wrapper.machine import check_jobs
from denoise_wrapper.wording import count

if TYPE_CHECKING:
    from collections.abc import Iterable

    from denoise_wrapper.atomic import Overwrite
    from denoise_wrapper.denoiser import Denoiser
    from denoise_wrapper.files.batch import FileResult, Plan

CLEANING = ("filter", "batch", "listen", "live")  # verbs whose --model may be two files of a DTLN
EXIT_CODES = """\
exit codes: 0 all done; 2 wrong usage or bad input, said in one line for each file, and the other files were done;
1 anything else that stopped it; 130 interrupted. Whatever happens, no file is left half-written."""


def main(argv: list[str] | None = None) -> int:
    """Run one command; returns its exit code (wrong usage raises SystemExit(2), as argparse does)."""
    try:
        try:
            words, hint = modern(sys.argv[1:] if argv is None else argv)
            args = make_parser().parse_args(hoist(_pair_models(words)))
            if hasattr(args, "backend"):
                fill(args, read_config(args))
            if hint is not None:
                say(f"{PROGRAM}: {hint}")
            code: int = args.run(args)
            return code
        finally:
            if sys.stdout is not None:  # as it is where it was closed
                sys.stdout.flush()  # here, where a full disk can still be told
    except DenoiseError as error:
        complain(error)
        return 2
    except MemoryError:
        complain("out of memory")
        return 1
    except (SystemError, SyntaxError) as error:  # of an import whose memory ran out, where Python forgets to say so
        complain(f"Python failed, as it does when memory runs out: {error}")
        return 1
    except ModuleNotFoundError:
        raise
    except (
        ImportError
    ) as error:  # a library that is there, and cannot be loaded: damaged, or too large for what is left
        complain(f"a part of this program cannot be loaded: {error}")
        return 1
    except BrokenPipeError:  # who reads our output has had enough
        _silence()
        return 1
    except OSError as error:
        complain(f"{error.filename or 'standard input or output'}: {error.strerror or error}")
        _silence()
        return 1
    except KeyboardInterrupt:
        complain("interrupted")
        return 130


def _pair_models(argv: list[str]) -> list[str]:
    """`filter --model A.onnx B.onnx FILE`: two models, of which argparse would take FILE for a third."""
    for at in range(len(argv) - 2):
        if argv[0] in CLEANING and argv[at] == "--model" and all(a.endswith(".onnx") for a in argv[at + 1 : at + 3]):
            return [*argv[: at + 2], "--model", *argv[at + 2 :]]
    return argv


def _silence() -> None:
    """Let what standard output still holds go nowhere, so that the flush at exit does not fail again."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def run() -> NoReturn:
    """The installed command: main, which no signal keeps from ending soon, with no file half-written."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # names need not be text that can be encoded
    warnings.showwarning = show_warning
    signals.end_on_signals()
    code = 1
    try:
        code = main()
    except (MemoryError, SystemError):  # where there was too little left even to tell of it
        with contextlib.suppress(MemoryError, SystemError):
            complain("out of memory")
    finally:
        signals.end_if_asked(code)  # whatever an import makes of the exception that a signal raised in it
    sys.exit(code)


def make_parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog=PROGRAM,
        description="Takes the noise out of speech.",
        epilog=EXIT_CODES,
        examples=(
            ("filter talk.flac", "write talk_denoised.flac beside it"),
            ("filter interviews/ -o cleaned/", "clean a folder into another"),
            ("compare talk.flac", "hear and see what each backend does to it"),
            ("help filter", "all options of a verb"),
        ),
    )
    parser.add_argument("-V", "--version", action="version", version=f"{PROGRAM} {__version__}")
    add_config(parser)
    verbs = parser.add_subparsers(metavar="VERB", title="verbs")
    parser.set_defaults(run=lambda args: print_help(parser, ()))
    _add_filter(verbs)
    add_batch(verbs)
    add_compare(verbs)
    add_evaluate(verbs)
    add_listen(verbs)
    add_live(verbs)
    add_segments(verbs)
    add_serve(verbs)
    add_models(verbs)
    add_convert(verbs)
    add_train(verbs)
    add_data(verbs)
    add_info(verbs)
    add_completion(verbs)
    add_help(verbs, parser)
    return parser


def _add_filter(verbs: Any) -> None:
    verb = verbs.add_parser(
        "filter",
        help="clean files, folders, or what comes through a pipe",
        description="Cleans audio files; rate, channels, length and format stay. Without -o, NAME_denoised.SUFFIX is "
        "written beside each. '-' cleans standard input to standard output: an audio file by its content, or raw PCM "
        "as --rate, --channels and --dtype describe it.",
        examples=(
            ("filter talk.flac", "write talk_denoised.flac beside it"),
            ("filter talk.flac -o clean.wav -b dtln-16k", "choose the target and the backend"),
            ("filter interviews/ -o cleaned/", "clean a folder into another"),
        ),
    )
    verb.add_argument(
        "inputs",
        nargs="+",
        metavar="FILE|DIR|-",
        help="a folder stands for all audio files below it, but results of earlier runs",
    )
    verb.add_argument("-o", "--output", metavar="OUT|DIR", help="the file to write, or the folder for several")
    verb.add_argument("--overwrite", action="store_true", help="replace files that exist")
    verb.add_argument("--force", action="store_true", help="replace files that exist, read-only ones too")
    add_naming(verb)
    verb.add_argument("-f", "--format", metavar="SUFFIX", help="format of standard output (default: that of the input)")
    verb.add_argument("--preserve-times", action="store_true", help="give each file the times of its source")
    verb.add_argument("--json", action="store_true", help="print a line of JSON for each file")
    verb.add_argument("-q", "--quiet", action="store_true", help="say nothing but what went wrong")
    verb.add_argument("--jobs", type=int, metavar="N", help="files at a time, each in a thread (default: one per core)")
    verb.add_argument("--profile", action="store_true", help="tell in the end what took how long")
    add_how(verb)
    add_written(verb)
    add_finish(verb)
    raw = verb.add_argument_group("what raw PCM holds (for '-')")
    raw.add_argument("--rate", type=int, metavar="HZ")
    raw.add_argument("--channels", type=int, metavar="N")
    raw.add_argument("--dtype", metavar="TYPE", help="int16, int32, float32 or float64")
    verb.set_defaults(run=run_filter)


def run_filter(args: argparse.Namespace) -> int:
    check_pipe_options(args)
    (check_pipe if "-" in args.inputs else _check_files)(args)
    if args.dry_run:
        return _preview_files(args)
    denoiser = make_denoiser(args)
    if "-" not in args.inputs:
        return _filter_files(args, denoiser)
    line, notes = filter_pipe(args, denoiser)
    if not args.quiet:
        say(line)
    _note(args, "standard output", notes)
    return 0


def _preview_files(args: argparse.Namespace) -> int:
    """Say what would be written."""
    made = _plan([Path(name) for name in args.inputs], args.output, args.name_suffix)
    for result in made.failed:
        complain(result.error)
    return print_plans(args, made.pairs, complain) or 2 * bool(made.failed)


def _filter_files(args: argparse.Namespace, denoiser: Denoiser) -> int:
    """Each file for itself: one that fails does not keep the others from being done."""
    made = _plan([Path(name) for name in args.inputs], args.output, args.name_suffix)
    failed = made.failed
    pairs, there = part_existing(made.pairs) if args.skip_existing else (made.pairs, 0)
    for result in failed:
        complain(result.error)
        if args.json:
            show(result_json(result))
    if made.left_out and not args.quiet:
        say(f"left out: {count(len(made.left_out), 'result')} of earlier runs, such as {made.left_out[0]}")
    if args.verbose:
        print_plans(args, pairs, lambda error: None, say)  # what cannot be is said when it is its turn
    begin = time.perf_counter()
    with FileProgress(len(pairs), args.quiet or args.json, pairs[0][0].name if pairs else "") as progress:

        def done(result: FileResult) -> None:
            if args.json:
                show(result_json(result), flush=True)
            if result.error is not None:
                progress.ended()
                complain(result.error)
            else:
                progress.ended(result_line(result))
                _note(args, result.target, result.notes)

        overwrite: Overwrite = "force" if args.force else args.overwrite
        results = denoiser._filter_pairs(
            pairs,
            args.jobs,
            overwrite=overwrite,
            preserve_times=args.preserve_times,
            done=done,
            progress=progress.report,
            **written(args),
        )
    took, cleaned = time.perf_counter() - begin, [result for result in results if result.error is None]
    if len(pairs) > 1 and any(isinstance(result.error, FileExistsError) for result in results) and not args.quiet:
        say(f"{PROGRAM}: --skip-existing leaves out the files whose results are there already")
    if there and not args.quiet:
        say(f"{count(there, 'file')} skipped: the results are there already")
    if len(cleaned) > 1 and not args.quiet and not args.json:
        seconds, kept = (sum(getattr(result, name) for result in cleaned) for name in ("seconds", "kept"))
        say(speed_line(f"{len(cleaned)} files", seconds, took, kept))
    if args.profile:
        show(format_profile(cleaned))
    unfinished = finish(args, cleaned)
    return 2 if failed or unfinished or len(cleaned) < len(results) else 0


def _note(args: argparse.Namespace, target: object, notes: Iterable[str]) -> None:
    """Say what a file does not keep."""
    for note in notes:
        if not args.quiet:
            complain(f"{target}: {note}")


def _plan(inputs: list[Path], output: str | None, suffix: str | None) -> Plan:
    """Decide which files are read, and where the results go: for one file -o may name the file to write."""
    from denoise_wrapper.files.batch import Plan, is_folder, plan

    folder = None if output is None else Path(output)
    single = len(inputs) == 1 and not is_folder(inputs[0])
    if single and output is not None and folder is not None and not is_folder(folder) and not output.endswith(os.sep):
        return Plan([(inputs[0], folder)], [], [])
    made = plan(inputs, folder)
    return Plan(named(made.pairs, suffix), made.failed, made.left_out)


def _check_files(args: argparse.Namespace) -> None:
    if args.output == "-":
        into = f"{PROGRAM} filter - < {shlex.quote(args.inputs[0])}"
        raise ConfigError(f"-o: standard output goes with standard input: {into} ('./-' is a file of that name)")
    check_inputs(args)
    check_backend(args)
    check_finish(args)
    check_jobs(args.jobs)
    options = [f"--{name}" for name in RAW_OPTIONS if getattr(args, name) is not None]
    if options:
        raise ConfigError(f"{' '.join(options)}: only for '-', raw PCM; files say themselves what they hold")
    if args.format is not None:
        raise ConfigError("--format: only for '-'; the format of a file is said by the suffix of -o")
