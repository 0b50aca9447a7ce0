"""The verbs `data ...` of the command line: arguments -> denoise_wrapper.training.data and .mix -> exit code."""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import Any

from denoise_wrapper.cli.screen import show
from denoise_wrapper.cli.training import loading
from denoise_wrapper.errors import ConfigError


def add_data(verbs: Any) -> None:
    verb = verbs.add_parser(
        "data",
        help="look at audio for training, and balance it",
        description="Looks at audio for training, and brings it into shape.",
        examples=(
            ("data check speech/ noise/", "what of it training cannot use, and why"),
            ("data prepare corpus/ -o tables/", "tables that name all that it can use"),
        ),
    )
    jobs = verb.add_subparsers(metavar="JOB", title="jobs", required=True)
    job = jobs.add_parser(
        "check",
        help="list what of a folder is unusable or doubtful, and why",
        description="Reads all audio of folders of speech, of noise (noise*), of rooms (rir*, room*), and of pairs "
        "(clean/, noisy/), and their segments.csv. Unusable is what training refuses or learns nothing from: it makes "
        "the exit code 2.",
        examples=(
            ("data check speech/ noise/", "all that is unusable or doubtful"),
            ("data check speech/ --strict", "and fail for what is doubtful"),
        ),
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
        examples=(
            ("data prepare dns/ -o tables/", "of a corpus laid out as the DNS Challenge is"),
            ("data prepare --speech voices/ --noise street/ -o tables/", "of other folders"),
        ),
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
        "mix",
        help="write mixtures of speech and noise, to listen to, to train other programs with, or to score",
        description="Writes DIR/clean, DIR/noise and DIR/noisy in the layout of the DNS Challenge: clean_fileid_N.wav, "
        "noise_fileid_N.wav and VOICE_snrS_tlL_fileid_N.wav, 16-bit, noisy being the sum of the others. Training mixes "
        "by itself and needs none of them; 'evaluate --set DIR' scores them.",
        examples=(
            ("data mix --speech voices/ --noise street/ -o mixed/", "100 clips of 10 s, 0 to 20 dB"),
            ("data mix --speech all.wav --noise all.raw -o mixed/ --hours 2 --snr -5 15", "of two long files"),
        ),
    )
    for name in ("speech", "noise"):
        job.add_argument(f"--{name}", nargs="+", type=Path, required=True, metavar="FOLDER", help="or tables, or files")
    job.add_argument("--rooms", nargs="+", type=Path, default=[], metavar="FOLDER", help="of impulse responses")
    job.add_argument("-o", "--output", type=Path, required=True, metavar="DIR")
    much = job.add_mutually_exclusive_group()
    much.add_argument("--clips", type=int, default=100, metavar="N", help="(default: %(default)s)")
    much.add_argument("--hours", type=float, metavar="H", help="in place of --clips")
    job.add_argument("--seconds", type=float, default=10.0, metavar="S", help="of a clip (default: %(default)s)")
    job.add_argument("--rate", type=int, default=48000, metavar="HZ", help="(default: %(default)s)")
    span = ("LOW", "HIGH")
    job.add_argument("--snr", type=float, nargs=2, default=(0.0, 20.0), metavar=span, help="dB (default: 0 20)")
    job.add_argument(
        "--level", type=float, nargs=2, default=(-35.0, -15.0), metavar=span, help="dBFS (default: -35 -15)"
    )
    job.add_argument("--room-share", type=float, default=0.0, metavar="0..1", help="of the clips (default: 0)")
    job.add_argument("--seed", type=int, default=1, metavar="N", help="(default: %(default)s)")
    job.set_defaults(run=run_data_mix)
    job = jobs.add_parser(
        "join",
        help="convert recordings to mono at 48 kHz, in long files",
        description="Writes all recordings of a folder or table as 16-bit mono: DIR with a FLAC file for each voice "
        "and a segments.csv; or NAME.wav, NAME.flac, NAME.raw and NAME.pcm (no header): all in one file, which [data] "
        "takes too.",
        examples=(
            ("data join speech/ -o joined/", "a FLAC file for each voice"),
            ("data join speech/ -o all.wav", "all in one file"),
        ),
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
        examples=(
            ("data features mine.toml -o features.h5", "as the settings of a training say"),
            ("data features features.h5 -o features.f32", "in the other form"),
        ),
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
        examples=(
            ("data balance speech/ --by language --equal -o equal.csv", "as many hours of each language"),
            ("data balance speech/ --by voice --hours 0.5 -o half.csv", "half an hour of each voice"),
        ),
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
        "cleaned",
        help="take speech as a denoiser has cleaned it, where that is near to what it was",
        description="Writes DIR, a folder for [data] speech, from the recordings of FOLDER and from CLEANED, the same "
        "files as 'filter FOLDER -o CLEANED' has cleaned them. A recording is taken from CLEANED if it stayed near the "
        "original, and was not clean before.",
        examples=(
            ("data cleaned speech/ cleaned/ -o targets/", "the recordings that a denoiser made better"),
            ("data cleaned speech/ cleaned/ -o targets/ --drop", "and without those that it spoilt"),
        ),
    )
    job.add_argument("folder", type=Path, metavar="FOLDER", help="or a table (.csv) that names audio")
    job.add_argument("cleaned", type=Path, metavar="CLEANED", help="with a file of the same name for each, cleaned")
    job.add_argument("-o", "--output", type=Path, required=True, metavar="DIR")
    job.add_argument(
        "--near",
        type=float,
        default=12.0,
        metavar="DB",
        help="least SI-SDR of what was cleaned to the original (default: %(default)g)",
    )
    job.add_argument(
        "--clear",
        type=float,
        default=60.0,
        metavar="DB",
        help="loud frames above quiet ones of a recording that is clean as it is (default: %(default)g)",
    )
    job.add_argument("--drop", action="store_true", help="leave out recordings that did not stay near")
    job.add_argument("--by", metavar="NAME", help="the denoiser, as cards of what is trained on DIR are to name it")
    job.set_defaults(run=run_data_cleaned)
    job = jobs.add_parser(
        "blind",
        help="make the blind set, of what no training hears",
        description="Writes clean/, noisy/ and manifest.json, as 'evaluate' reads them: 120 clips of the voices, "
        "noises and rooms that all training leaves out, always the same ones; prints the SHA-256 of their samples.",
        examples=(("data blind --speech s/ --noise n/ --rooms r/ -o blind/", "make the set"),),
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
        examples=(("data telephone blind/ -o phone/", "the same clips as a telephone carries them"),),
    )
    job.add_argument("set", type=Path, metavar="SET", help="with clean/ and noisy/, as 'evaluate' reads it")
    job.add_argument("-o", "--output", type=Path, required=True, metavar="DIR")
    job.add_argument("--overwrite", action="store_true", help="replace a set that is there")
    job.set_defaults(run=run_data_telephone)


def run_data_check(args: argparse.Namespace) -> int:
    with loading():
        from denoise_wrapper.training.data import check
    if args.rate is not None and args.rate <= 0:
        raise ConfigError(f"--rate is in Hz and above 0, not {args.rate}")
    report = check.check_folders(args.folders, args.rate, args.kind)
    for line in check.report_lines(report):
        show(line)
    for path in (args.csv, args.json):
        if path is not None:
            check.save_report(report, path, "json" if path is args.json else "csv", args.overwrite)
    bad = report.count(check.UNUSABLE) + (report.count(check.DOUBTFUL) if args.strict else 0)
    return 2 if bad else 0


def run_data_prepare(args: argparse.Namespace) -> int:
    with loading():
        from denoise_wrapper.training.data import prepare
    tables = prepare.prepare(args.output, args.folders, args.speech, args.noise, args.by, args.overwrite)
    for table in tables:
        for line in prepare.prepared_lines(table):
            show(line)
    if line := prepare.exchanged_line(*tables):
        show(line)
    return 0


def run_data_mix(args: argparse.Namespace) -> int:
    with loading():
        from denoise_wrapper.training.mix import mixtures
    snr_db, level_db = (tuple(sorted(span)) for span in (args.snr, args.level))
    settings = mixtures.MixtureSettings(args.seconds, args.rate, snr_db, level_db, args.room_share, args.seed)
    clips = args.clips if args.hours is None else round(args.hours * 3600.0 / args.seconds)
    hours = mixtures.write_mixtures(args.speech, args.noise, args.rooms, args.output, clips, settings)
    show(f"{args.output}: {clips} clips in clean, noise and noisy, {hours:.3f} h")
    return 0


def run_data_join(args: argparse.Namespace) -> int:
    with loading():
        from denoise_wrapper.training.data import join, packs
    joined = join.join(packs.open_pack(args.folder), args.output, args.rate, args.overwrite)
    show(f"{args.output}: {joined.recordings} recordings, {joined.seconds / 3600.0:.3f} h, files: {joined.files}")
    return 0


def run_data_features(args: argparse.Namespace) -> int:
    with loading():
        from denoise_wrapper.training.config import load_config
        from denoise_wrapper.training.rnnoise import extract, pipeline, recipe
    if args.source.suffix.lower() == ".toml":
        if args.family is not None:
            raise ConfigError("--family is for feature files; settings say it by [network] family")
        steps = load_config(args.source, recipe.read_recipe)
        config = steps.training
        extract.count_rows(config, args.rows)  # before any step is taken
        pipeline.make_data(steps)
        family: str = config.network.family
        rows = extract.extract_features(config, args.output, args.rows, args.overwrite)
    elif args.rows is not None:
        raise ConfigError("--rows is for features that are made; a feature file is converted whole")
    else:
        rows, family = extract.convert_features(args.source, args.output, args.family, args.overwrite)
    show(f"{args.output}: {rows} rows of the {family} network, {rows / 360000.0:.3f} h")
    return 0


def run_data_balance(args: argparse.Namespace) -> int:
    with loading():
        from denoise_wrapper.training.data import balance, packs
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
        show(line)
    return 0


def run_data_cleaned(args: argparse.Namespace) -> int:
    with loading():
        from denoise_wrapper.training.data import cleaned, packs
    for name, value in (("near", args.near), ("clear", args.clear)):
        if not math.isfinite(value):
            raise ConfigError(f"--{name} is in dB, not {value}")
    pack = packs.open_pack(args.folder)
    by = args.by or cleaned.SOME_DENOISER
    choice = cleaned.take_cleaned(pack, args.cleaned, args.output, args.near, args.clear, args.drop, by)
    for line in cleaned.choice_lines(choice):
        show(line)
    return 0


def run_data_blind(args: argparse.Namespace) -> int:
    with loading():
        from denoise_wrapper.training.mix.blind import make_blind_set
    show(f"{args.output}: {make_blind_set(args.speech, args.noise, args.rooms, args.output, args.overwrite)}")
    return 0


def run_data_telephone(args: argparse.Namespace) -> int:
    with loading():
        from denoise_wrapper.training.mix.telephone import make_telephone_set
    show(f"{args.output}: {make_telephone_set(args.set, args.output, args.overwrite)} clips")
    return 0
