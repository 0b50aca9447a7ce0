"""The command line: arguments -> Denoiser -> exit code. All that is decided here is which file goes where."""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import io
import os
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from denoise_wrapper import __version__
from denoise_wrapper.cli.compare import add_compare, add_evaluate
from denoise_wrapper.cli.info import add_info
from denoise_wrapper.cli.pipes import RAW_OPTIONS, check_pipe, filter_pipe
from denoise_wrapper.cli.progress import FileProgress, format_profile, speed_line
from denoise_wrapper.cli.training import add_convert, add_data, add_model_wheel, add_train
from denoise_wrapper.cli.written import add_written, print_plans, written
from denoise_wrapper.errors import ConfigError, DenoiseError, ModelError
from denoise_wrapper.machine import check_jobs

if TYPE_CHECKING:
    from collections.abc import Iterable

    from denoise_wrapper.denoiser import Denoiser
    from denoise_wrapper.files.batch import FileResult, Pair

PROGRAM = "denoise-wrapper"
EXIT_CODES = """\
exit codes: 0 all done; 2 wrong usage or bad input, said in one line for each file, and the other files were done;
1 anything else that stopped it; 130 interrupted. Whatever happens, no file is left half-written."""


def main(argv: list[str] | None = None) -> int:
    """Run one command; returns its exit code (wrong usage raises SystemExit(2), as argparse does)."""
    try:
        try:
            args = make_parser().parse_args(_pair_models(sys.argv[1:] if argv is None else argv))
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
    except SystemError as error:  # an import that ran out of memory, where Python forgets to say so
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
        if argv[0] == "filter" and argv[at] == "--model" and all(a.endswith(".onnx") for a in argv[at + 1 : at + 3]):
            return [*argv[: at + 2], "--model", *argv[at + 2 :]]
    return argv


def _silence() -> None:
    """Let what standard output still holds go nowhere, so that the flush at exit does not fail again."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def run() -> NoReturn:
    """The installed command: main, and neither a `kill` nor a closed terminal leaves a half-written file."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # names need not be text that can be encoded
    for name in ("SIGTERM", "SIGHUP"):  # of which Windows has one, and nohup ignores one
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) == signal.SIG_DFL:
            signal.signal(number, lambda number, frame: sys.exit(128 + number))
    sys.exit(main())


def complain(message: object) -> None:
    """One line on stderr, whatever the message."""
    line = " ".join(str(message).split()).encode("utf-8", "backslashreplace").decode()
    _say(f"{PROGRAM}: {line}")


def _say(line: str) -> None:
    if sys.stderr is not None:  # print would take None for stdout, where the samples go
        print(line, file=sys.stderr)


class Parser(argparse.ArgumentParser):
    """Says what is wrong with the arguments in one line too."""

    def error(self, message: str) -> NoReturn:
        complain(f"{message}; see '{self.prog} --help'")
        sys.exit(2)


def make_parser() -> argparse.ArgumentParser:
    parser = Parser(prog=PROGRAM, description="Takes the noise out of speech.", epilog=EXIT_CODES)
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    verbs = parser.add_subparsers(metavar="VERB", required=True)
    _add_filter(verbs)
    _add_model(verbs)
    add_train(verbs, EXIT_CODES)
    add_convert(verbs, EXIT_CODES)
    add_data(verbs, EXIT_CODES)
    add_evaluate(verbs, EXIT_CODES)
    add_compare(verbs, EXIT_CODES)
    add_info(verbs, EXIT_CODES)
    return parser


def _add_filter(verbs: Any) -> None:
    verb = verbs.add_parser(
        "filter",
        help="clean files, folders, or what comes through a pipe",
        description="Cleans audio files; rate, channels, length and format stay. Without -o, NAME_denoised.SUFFIX is "
        "written beside each. '-' cleans standard input to standard output: an audio file by its content, or raw PCM "
        "as --rate, --channels and --dtype describe it.",
        epilog=EXIT_CODES,
    )
    verb.add_argument("inputs", nargs="+", metavar="FILE|DIR|-", help="a folder stands for all audio files below it")
    verb.add_argument("-o", "--output", metavar="OUT|DIR", help="the file to write, or the folder for several")
    verb.add_argument("--overwrite", action="store_true", help="replace files that exist")
    verb.add_argument("-f", "--format", metavar="SUFFIX", help="format of standard output (default: that of the input)")
    verb.add_argument("--preserve-times", action="store_true", help="give each file the times of its source")
    verb.add_argument("-q", "--quiet", action="store_true", help="say nothing but what went wrong")
    verb.add_argument("--jobs", type=int, metavar="N", help="files at a time, each in a thread (default: one a core)")
    verb.add_argument("--profile", action="store_true", help="tell in the end what took how long")
    how = verb.add_argument_group("how to clean")
    how.add_argument(
        "-b", "--backend", default="rnnoise", metavar="NAME", help="see 'model list' (default: %(default)s)"
    )
    how.add_argument(
        "--model",
        action="append",
        metavar="FILE [FILE.onnx]",
        help="a model of your own for the backend: one file, or the two of a DTLN, or their folder",
    )
    how.add_argument("--atten-lim", type=float, metavar="DB", help="turn noise down by so much at most; 0 passes all")
    how.add_argument("--mix", type=float, default=1.0, metavar="0..1", help="share of the cleaned signal (default: 1)")
    how.add_argument("--vad-threshold", type=float, metavar="0..1", help="gate what is less probably speech than this")
    how.add_argument("--vad-gate", default="mute", metavar="mute|drop", help="silence it, or take it out")
    how.add_argument("--vad-hold", type=float, default=0.2, metavar="S", help="gate opens so long after speech")
    how.add_argument("--non-finite", default="raise", metavar="raise|zero", help="what to do about NaN and inf")
    add_written(verb)
    raw = verb.add_argument_group("what raw PCM holds (for '-')")
    raw.add_argument("--rate", type=int, metavar="HZ")
    raw.add_argument("--channels", type=int, metavar="N")
    raw.add_argument("--dtype", metavar="TYPE", help="int16, int32, float32 or float64")
    verb.set_defaults(run=run_filter)


def _add_model(verbs: Any) -> None:
    jobs = verbs.add_parser("model", help="list, inspect and convert models").add_subparsers(
        metavar="JOB", required=True
    )
    job = jobs.add_parser("list", help="the backends, and the models that they come with")
    job.set_defaults(run=run_model_list)
    job = jobs.add_parser("info", help="what a model file is")
    job.add_argument(
        "model", nargs="?", default="rnnoise", metavar="FILE|NAME", help="(default: %(default)s, built in)"
    )
    job.set_defaults(run=run_model_info)
    job = jobs.add_parser(
        "convert",
        help="write a model in another form",
        description="Writes a model as the suffix of OUT says: .rnnn (text, for ffmpeg too), .rnn (nnnoiseless), "
        ".dnnw (ours, with the model's name and licence) or .c (rnn_data.c, to be compiled in). A v0.2 network is "
        "written as .bin, .dnnw (both the same) or .c.",
        epilog=EXIT_CODES,
    )
    job.add_argument("model", metavar="FILE|NAME", help=".rnnn, .rnn, .dnnw, .bin, .c, Keras .hdf5, or a backend")
    job.add_argument("output", metavar="OUT")
    job.add_argument("--overwrite", action="store_true", help="replace OUT if it exists")
    job.set_defaults(run=run_model_convert)
    add_model_wheel(jobs, EXIT_CODES)


def run_filter(args: argparse.Namespace) -> int:
    from denoise_wrapper.denoiser import Denoiser

    (check_pipe if "-" in args.inputs else _check_files)(args)
    if args.dry_run:
        return _preview_files(args)
    denoiser = Denoiser(
        args.backend,
        model=args.model[0] if args.model and len(args.model) == 1 else args.model,
        atten_lim_db=args.atten_lim,
        mix=args.mix,
        vad_threshold=args.vad_threshold,
        vad_gate=args.vad_gate,
        vad_hold=args.vad_hold,
        non_finite=args.non_finite,
    )
    if "-" not in args.inputs:
        return _filter_files(args, denoiser)
    line, notes = filter_pipe(args, denoiser)
    if not args.quiet:
        _say(line)
    _note(args, "standard output", notes)
    return 0


def _preview_files(args: argparse.Namespace) -> int:
    """Say what would be written."""
    pairs, failed = _pairs([Path(name) for name in args.inputs], args.output)
    for result in failed:
        complain(result.error)
    return print_plans(args, pairs, complain) or 2 * bool(failed)


def _filter_files(args: argparse.Namespace, denoiser: Denoiser) -> int:
    """Each file for itself: one that fails does not keep the others from being done."""
    pairs, failed = _pairs([Path(name) for name in args.inputs], args.output)
    for result in failed:
        complain(result.error)
    begin = time.perf_counter()
    with FileProgress(len(pairs), args.quiet, pairs[0][0].name if pairs else "") as progress:

        def done(result: FileResult) -> None:
            if result.error is not None:
                progress.ended()
                complain(result.error)
            else:
                progress.ended(speed_line(f"{result.source} -> {result.target}", result.seconds, result.took))
                _note(args, result.target, result.notes)

        results = denoiser.filter_pairs(
            pairs,
            args.jobs,
            overwrite=args.overwrite,
            preserve_times=args.preserve_times,
            done=done,
            progress=progress.report,
            **written(args),
        )
    took, cleaned = time.perf_counter() - begin, [result for result in results if result.error is None]
    if len(cleaned) > 1 and not args.quiet:
        _say(speed_line(f"{len(cleaned)} files", sum(result.seconds for result in cleaned), took))
    if args.profile:
        print(format_profile(cleaned))
    return 2 if failed or len(cleaned) < len(results) else 0


def _note(args: argparse.Namespace, target: object, notes: Iterable[str]) -> None:
    """Say what a file does not keep."""
    for note in notes:
        if not args.quiet:
            complain(f"{target}: {note}")


def _pairs(inputs: list[Path], output: str | None) -> tuple[list[Pair], list[FileResult]]:
    """[(file to read, file to write or None for the one beside it)], and the inputs that cannot be looked into."""
    from denoise_wrapper.files.batch import is_folder, plan

    folder = None if output is None else Path(output)
    single = len(inputs) == 1 and not is_folder(inputs[0])
    if single and output is not None and folder is not None and not is_folder(folder) and not output.endswith(os.sep):
        return [(inputs[0], folder)], []
    return plan(inputs, folder)


def _check_files(args: argparse.Namespace) -> None:
    if args.output == "-":
        raise ConfigError("-o: '-' is for pipes of raw PCM; name a file or a folder ('./-' if that is its name)")
    check_jobs(args.jobs)
    options = [f"--{name}" for name in RAW_OPTIONS if getattr(args, name) is not None]
    if options:
        raise ConfigError(f"{' '.join(options)}: only for '-', raw PCM; files say themselves what they hold")
    if args.format is not None:
        raise ConfigError("--format: only for '-'; the format of a file is said by the suffix of -o")


def run_model_list(args: argparse.Namespace) -> int:
    from denoise_wrapper.backends import backend_names, load_backend

    for name in backend_names():
        try:
            _print_backend(load_backend(name))
        except ModelError as error:
            print(f"{name}: cannot be used here: {error}")
    return 0


def _print_backend(backend: Any) -> None:
    hop, delay = (f"{1000 * samples / backend.sample_rate:g} ms" for samples in (backend.hop, backend.delay))
    voice = ", tells speech" if backend.has_vad else ""
    print(f"{backend.name}: {backend.sample_rate} Hz, {hop} a hop, {delay} late{voice}")
    for key, value in backend.metadata.items():
        print(f"    {key}: {value}")


def _is_backend(name: str) -> bool:
    from denoise_wrapper.backends import backend_names

    return name in backend_names() and not Path(name).exists()


def _read_model(name: str) -> Any:
    """The model of a file, or that of one of the RNNoise backends."""
    from denoise_wrapper.backends import load_backend
    from denoise_wrapper.backends.convert import RNNoiseBackend, model_of, read_any_model

    if _is_backend(name):
        backend = load_backend(name)
        if not isinstance(backend, RNNoiseBackend):
            raise ModelError(f"the model of {name} is a pair of ONNX files, which have no other form")
        return model_of(backend)
    if Path(name).suffix.lower() == ".onnx":
        raise ModelError(f"{name} is one of the two models of a DTLN, which have no other form; see 'filter --model'")
    return read_any_model(name)


def run_model_info(args: argparse.Namespace) -> int:
    from denoise_wrapper.backends import load_backend
    from denoise_wrapper.backends.convert import RNNoiseBackend, fingerprint

    backend: Any = load_backend(args.model) if _is_backend(args.model) else None
    if backend is not None and not isinstance(backend, RNNoiseBackend):
        _print_backend(backend)
        for stage, data in enumerate(backend.data, 1):
            print(f"    sha256 of file {stage}: {hashlib.sha256(data).hexdigest()}")
        return 0
    model = _read_model(args.model)
    print(f"{args.model}: {model.family} RNNoise network, {sum(layer.size for layer in model.layers)} weights")
    for key, value in model.metadata.items():
        print(f"    {key}: {value}")
    print(f"    sha256 of the weights: {fingerprint(model)}")
    for layer in model.layers:
        print(f"    {layer.name}: {layer.description}")
    return 0


def run_model_convert(args: argparse.Namespace) -> int:
    from denoise_wrapper.backends.convert import write_model

    write_model(_read_model(args.model), args.output, args.overwrite)
    return 0
