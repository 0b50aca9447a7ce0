"""The verbs of the command line that are about training: arguments -> denoise_wrapper.training -> exit code."""

from __future__ import annotations

import argparse
import importlib
from pathlib import Path
from typing import Any

from denoise_wrapper.errors import ConfigError, needs_package

FAMILIES = {
    "rnnoise": ("the network of the rnnoise backend", "denoise_wrapper.training.rnnoise.pipeline"),
    "dtln": ("those of dtln-16k and dtln-32k", "denoise_wrapper.training.dtln.train"),
    "enhancer": ("a full-band network of bands that grow with frequency", "denoise_wrapper.training.enhancer.train"),
}


def add_train(verbs: Any, epilog: str) -> None:
    kinds = verbs.add_parser("train", help="train a model of your own").add_subparsers(metavar="KIND", required=True)
    for name, (text, module) in FAMILIES.items():
        kind = kinds.add_parser(name, help=text, epilog=epilog)
        kind.add_argument("-C", "--config", type=Path, required=True, metavar="TOML", help="all settings of the run")
        kind.add_argument("-R", "--resume", action="store_true", help="go on from the run's last checkpoint")
        kind.add_argument(
            "-P",
            "--pretrained",
            type=Path,
            metavar="PATH",
            help="weights to start from: a model file of rnnoise; a checkpoint; for a DTLN also what convert reads",
        )
        kind.add_argument("--profile", action="store_true", help="print what a step consists of, and keep nothing")
        kind.add_argument("--export", type=Path, metavar="DIR", help="train no more: write model and card so far there")
        kind.set_defaults(run=run_train, module=module)


def add_convert(verbs: Any, epilog: str) -> None:
    kinds = verbs.add_parser("convert", help="turn weights of others, or a checkpoint, into what a backend runs")
    families = kinds.add_subparsers(metavar="KIND", required=True)
    kind = families.add_parser(
        "enhancer",
        help="to a file of the engine's",
        description="Writes NAME.dnnw, norms folded in, which the engine has loaded.",
        epilog=epilog,
    )
    kind.add_argument("source", type=Path, metavar="SOURCE", help="the folder of a training run, or a checkpoint")
    kind.add_argument("-o", "--output", type=Path, required=True, metavar="DIR", help="the folder to write to")
    kind.add_argument("--name", required=True, help="what the model is called, and its file")
    kind.add_argument("--licence", metavar="TEXT", help="of the weights, to be kept in the file (default: the run's)")
    kind.add_argument("--origin", metavar="TEXT", help="where they come from (default: the runs and their hours)")
    kind.add_argument("--overwrite", action="store_true", help="replace a file that exists")
    kind.set_defaults(run=run_convert_enhancer)
    kind = families.add_parser(
        "dtln",
        help="to a pair of ONNX files; for rnnoise see 'model convert'",
        description="Writes NAME_1.onnx and NAME_2.onnx, for any number of channels and hops a run, checked against "
        "torch. Reads the folder of a training run, of which it takes the best checkpoint; a checkpoint; torch's state "
        "dict (.pth); Keras' weights (.h5); and both models of a pair, ours or one for single hops.",
        epilog=epilog,
    )
    kind.add_argument("sources", nargs="+", type=Path, metavar="SOURCE", help="one file or folder, or two .onnx")
    kind.add_argument("-o", "--output", type=Path, required=True, metavar="DIR", help="the folder to write to")
    kind.add_argument("--name", required=True, help="what the pair is called, and its files begin with")
    kind.add_argument(
        "--precision",
        choices=("float32", "float16", "int8"),
        default="float32",
        help="float16: half the size, same speed; int8: the LSTMs in 8 bits, faster, slightly other output",
    )
    kind.add_argument("--rate", type=int, metavar="HZ", help="where the source does not tell it")
    kind.add_argument("--licence", metavar="TEXT", help="of the weights, to be kept in the files")
    kind.add_argument("--origin", metavar="TEXT", help="where they come from (default: the sources and their sha256)")
    kind.add_argument("--overwrite", action="store_true", help="replace files that exist")
    kind.set_defaults(run=run_convert)


def add_data(verbs: Any, epilog: str) -> None:
    jobs = verbs.add_parser("data", help="look at audio for training, and balance it").add_subparsers(
        metavar="JOB", required=True
    )
    job = jobs.add_parser(
        "check",
        help="list what of a folder is unusable or doubtful, and why",
        description="Reads all audio of folders of speech, of noise (noise*), of rooms (rir*, room*), and of pairs "
        "(clean/, noisy/), and their segments.csv. Unusable is what training refuses or learns nothing from: it makes "
        "the exit code 2.",
        epilog=epilog,
    )
    job.add_argument("folders", nargs="+", type=Path, metavar="FOLDER", help="or a table (.csv) that names audio")
    job.add_argument("--rate", type=int, metavar="HZ", help="say which files have less, or a narrower band")
    job.add_argument("--kind", choices=("speech", "noise", "rooms"), help="what the folders hold, whatever their names")
    job.add_argument("--strict", action="store_true", help="the exit code is 2 if anything is doubtful, too")
    job.add_argument("--csv", type=Path, metavar="FILE", help="write the findings there too")
    job.add_argument("--json", type=Path, metavar="FILE", help="likewise")
    job.add_argument("--overwrite", action="store_true", help="replace files that exist")
    job.set_defaults(run=run_data_check)
    job = jobs.add_parser(
        "prepare",
        help="make tables of speech and noise from folders as they are",
        description="Writes DIR/speech.csv and DIR/noise.csv, which name all recordings that training can use, with "
        "their voices as far as names of files and folders tell them; they stand for folders in [data], in 'data "
        "balance' and in 'data join'. The audio stays where it is. FOLDER is laid out as the DNS Challenge has it: "
        "clean/, and noise/, or else noisy/, of which the noise is taken.",
        epilog=epilog,
    )
    job.add_argument("folders", nargs="*", type=Path, metavar="FOLDER", help="with clean/, and noise/ or noisy/")
    job.add_argument("--speech", nargs="+", type=Path, default=[], metavar="FOLDER", help="folders of clean speech")
    job.add_argument("--noise", nargs="+", type=Path, default=[], metavar="FOLDER", help="folders of noise")
    job.add_argument(
        "--by",
        choices=("voice", "language"),
        default="voice",
        help="what the topmost folders of speech stand for (default: %(default)s)",
    )
    job.add_argument("-o", "--output", type=Path, required=True, metavar="DIR")
    job.add_argument("--overwrite", action="store_true", help="replace the tables if they exist")
    job.set_defaults(run=run_data_prepare)
    job = jobs.add_parser(
        "join",
        help="convert recordings to mono at 48 kHz, in long files",
        description="Writes all recordings of a folder or table as 16-bit mono: DIR with a FLAC file for each voice "
        "and a segments.csv; or NAME.wav, NAME.flac, NAME.raw (without a header): all in one file.",
        epilog=epilog,
    )
    job.add_argument("folder", type=Path, metavar="FOLDER", help="or a table (.csv) that names audio")
    job.add_argument("-o", "--output", type=Path, required=True, metavar="DIR|NAME.SUFFIX")
    job.add_argument("--rate", type=int, default=48000, metavar="HZ", help="(default: %(default)s)")
    job.add_argument("--overwrite", action="store_true", help="replace NAME.SUFFIX if it exists")
    job.set_defaults(run=run_data_join)
    job = jobs.add_parser(
        "features",
        help="write a feature file, or one in another form",
        description="Mixes as the settings of a training say and writes features and targets, by the engine's own "
        "front end: rows of float32, 87 of the classic network, 98 of v0.2's. NAME.h5 (HDF5, dataset data) or NAME.f32 "
        "(nothing but the numbers). Or reads a feature file of either form and writes the other.",
        epilog=epilog,
    )
    job.add_argument("source", type=Path, metavar="CONFIG.toml|FILE", help="settings of a training, or a feature file")
    job.add_argument("-o", "--output", type=Path, required=True, metavar="NAME.h5|NAME.f32")
    job.add_argument("--rows", type=int, metavar="N", help="of 10 ms (default: as many as [features] hours make)")
    job.add_argument(
        "--family", choices=("classic", "v0.2"), help="of a feature file, where its length does not tell it"
    )
    job.add_argument("--overwrite", action="store_true", help="replace the file if it exists")
    job.set_defaults(run=run_data_features)
    job = jobs.add_parser(
        "balance",
        help="choose as many hours of each language or voice",
        description="Writes a table of recordings, OUT.csv, to be named in [data] speech in place of the folder. "
        "The language is what the column language of the folder's segments.csv says, else the topmost folder.",
        epilog=epilog,
    )
    job.add_argument("folder", type=Path, metavar="FOLDER", help="or a table (.csv) that names audio")
    job.add_argument("--by", choices=("language", "voice", "folder"), required=True)
    hours = job.add_mutually_exclusive_group(required=True)
    hours.add_argument("--hours", type=float, metavar="H", help="of each, or all that there is of it")
    hours.add_argument("--equal", action="store_true", help="as many as the smallest has")
    job.add_argument("-o", "--output", type=Path, required=True, metavar="OUT.csv|DIR")
    job.add_argument("--copy", action="store_true", help="make the folder DIR instead, of hard links or copies")
    job.add_argument("--seed", type=int, default=1, metavar="N", help="of the choice (default: %(default)s)")
    job.add_argument("--overwrite", action="store_true", help="replace OUT.csv if it exists")
    job.set_defaults(run=run_data_balance)
    job = jobs.add_parser(
        "blind",
        help="make the blind set, of what no training hears",
        description="Writes clean/, noisy/ and manifest.json, as 'evaluate' reads them: 120 clips of the voices, "
        "noises and rooms that all training leaves out, always the same ones; prints the SHA-256 of their samples.",
        epilog=epilog,
    )
    for name in ("speech", "noise", "rooms"):
        job.add_argument(f"--{name}", type=Path, required=True, metavar="FOLDER", help="the one the list is of")
    job.add_argument("-o", "--output", type=Path, required=True, metavar="DIR")
    job.add_argument("--overwrite", action="store_true", help="replace a set that is there")
    job.set_defaults(run=run_data_blind)
    job = jobs.add_parser(
        "telephone",
        help="make a set of clips sound as telephones carry it",
        description="Writes a set at 8 kHz: 200 to 3400 Hz, G.711 by both laws in two thirds of the clips, and lost "
        "packets in half of them.",
        epilog=epilog,
    )
    job.add_argument("set", type=Path, metavar="SET", help="with clean/ and noisy/, as 'evaluate' reads it")
    job.add_argument("-o", "--output", type=Path, required=True, metavar="DIR")
    job.add_argument("--overwrite", action="store_true", help="replace a set that is there")
    job.set_defaults(run=run_data_telephone)


def add_model_wheel(jobs: Any, epilog: str) -> None:
    job = jobs.add_parser(
        "wheel",
        help="build this package with a model of your own compiled in",
        description="Builds a wheel whose 'rnnoise' is the model, and whose version tells so. It needs the source tree "
        "of denoise_wrapper and a C compiler.",
        epilog=epilog,
    )
    job.add_argument("model", type=Path, metavar="FILE", help="any form that 'model convert' reads")
    job.add_argument("-o", "--output", type=Path, required=True, metavar="DIR", help="the folder to put the wheel in")
    job.add_argument("--source", type=Path, metavar="TREE", help="(default: the tree that this package runs from)")
    job.add_argument("--name", help="what the model is called (default: its metadata's name, or its file's)")
    job.add_argument("--overwrite", action="store_true", help="replace a wheel of the same name")
    job.set_defaults(run=run_model_wheel)


def run_model_wheel(args: argparse.Namespace) -> int:
    from denoise_wrapper.training.run.wheel import build_wheel

    print(build_wheel(args.model, args.output, args.source, args.name, args.overwrite))
    return 0


def missing_extra(error: ModuleNotFoundError) -> ConfigError:
    """An error about a package that only training needs and is absent; raises it again if it is one of ours."""
    if (error.name or "").startswith("denoise_wrapper"):
        raise error
    return ConfigError(needs_package("training needs", error, "training"))


def exit_code(outcome: int) -> int:
    """Exit code for a training's outcome: 0 done, or interrupted."""
    return 130 if outcome else 0


def run_train(args: argparse.Namespace) -> int:
    if args.export is not None and (args.resume or args.pretrained or args.profile):
        raise ConfigError("--export trains no more; leave away -R, --pretrained and --profile")
    try:
        family = importlib.import_module(args.module)
        config = family.load(args.config, args.pretrained)
        if args.export is not None:
            family.export(config, args.export)
            return 0
        return exit_code(family.main(config, args.resume, args.profile, args.config.read_text(encoding="utf-8")))
    except ModuleNotFoundError as error:
        raise missing_extra(error) from error


def run_convert(args: argparse.Namespace) -> int:
    try:
        from denoise_wrapper.training.dtln.convert import convert

        options = {"sample_rate": args.rate, "licence": args.licence, "origin": args.origin}
        changes = {key: str(value) for key, value in options.items() if value is not None}
        for path in convert(args.sources, args.output, args.name, changes, args.precision, args.overwrite):
            print(path)
        return 0
    except ModuleNotFoundError as error:
        raise missing_extra(error) from error


def run_convert_enhancer(args: argparse.Namespace) -> int:
    try:
        from denoise_wrapper.training.enhancer.publish import convert

        options = {"licence": args.licence, "origin": args.origin}
        changes = {key: value for key, value in options.items() if value is not None}
        print(convert(args.source, args.output, args.name, changes, args.overwrite))
        return 0
    except ModuleNotFoundError as error:
        raise missing_extra(error) from error


def run_data_check(args: argparse.Namespace) -> int:
    try:
        from denoise_wrapper.training.data import check
    except ModuleNotFoundError as error:
        raise missing_extra(error) from error
    if args.rate is not None and args.rate <= 0:
        raise ConfigError(f"--rate is in Hz and above 0, not {args.rate}")
    report = check.check_folders(args.folders, args.rate, args.kind)
    for line in check.report_lines(report):
        print(line)
    for path in (args.csv, args.json):
        if path is not None:
            check.save_report(report, path, "json" if path is args.json else "csv", args.overwrite)
    bad = report.count(check.UNUSABLE) + (report.count(check.DOUBTFUL) if args.strict else 0)
    return 2 if bad else 0


def run_data_prepare(args: argparse.Namespace) -> int:
    try:
        from denoise_wrapper.training.data import prepare
    except ModuleNotFoundError as error:
        raise missing_extra(error) from error
    for table in prepare.prepare(args.output, args.folders, args.speech, args.noise, args.by, args.overwrite):
        for line in prepare.prepared_lines(table):
            print(line)
    return 0


def run_data_join(args: argparse.Namespace) -> int:
    try:
        from denoise_wrapper.training.data import join, packs
    except ModuleNotFoundError as error:
        raise missing_extra(error) from error
    joined = join.join(packs.open_pack(args.folder), args.output, args.rate, args.overwrite)
    print(f"{args.output}: {joined.recordings} recordings, {joined.seconds / 3600.0:.3f} h, files: {joined.files}")
    return 0


def run_data_features(args: argparse.Namespace) -> int:
    try:
        from denoise_wrapper.training.config import load_config
        from denoise_wrapper.training.rnnoise import extract, recipe
    except ModuleNotFoundError as error:
        raise missing_extra(error) from error
    if args.source.suffix.lower() == ".toml":
        if args.family is not None:
            raise ConfigError("--family is for feature files; settings say it by [network] family")
        config = load_config(args.source, recipe.read_recipe).training
        family: str = config.network.family
        rows = extract.extract_features(config, args.output, args.rows, args.overwrite)
    elif args.rows is not None:
        raise ConfigError("--rows is for features that are made; a feature file is converted whole")
    else:
        rows, family = extract.convert_features(args.source, args.output, args.family, args.overwrite)
    print(f"{args.output}: {rows} rows of the {family} network, {rows / 360000.0:.3f} h")
    return 0


def run_data_balance(args: argparse.Namespace) -> int:
    try:
        from denoise_wrapper.training.data import balance, packs
    except ModuleNotFoundError as error:
        raise missing_extra(error) from error
    if args.hours is not None and not 0.0 < args.hours < float("inf"):
        raise ConfigError(f"--hours is above 0, not {args.hours}")
    if args.seed < 0:
        raise ConfigError(f"--seed is 0 or more, not {args.seed}")
    pack = packs.open_pack(args.folder)
    shares = balance.balance(pack, args.by, args.hours, args.seed)
    if args.copy:
        balance.write_folder(pack, shares, args.by, args.output)
    else:
        balance.write_table(pack, shares, args.by, args.output, args.overwrite)
    for line in balance.balance_lines(shares, args.by):
        print(line)
    return 0


def run_data_blind(args: argparse.Namespace) -> int:
    try:
        from denoise_wrapper.training.mix.blind import make_blind_set
    except ModuleNotFoundError as error:
        raise missing_extra(error) from error
    print(f"{args.output}: {make_blind_set(args.speech, args.noise, args.rooms, args.output, args.overwrite)}")
    return 0


def run_data_telephone(args: argparse.Namespace) -> int:
    try:
        from denoise_wrapper.training.mix.telephone import make_telephone_set
    except ModuleNotFoundError as error:
        raise missing_extra(error) from error
    print(f"{args.output}: {make_telephone_set(args.set, args.output, args.overwrite)} clips")
    return 0
