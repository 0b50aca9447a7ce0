"""Speed of the engine, the library and programs like it, side by side in one run.

    python -m benchmarks                        all sections; some ten minutes, if nothing else runs
    python -m benchmarks --only engine,live     some of them
    python -m benchmarks --write docs           puts the tables into docs/speed.md, and the plot beside it
    python -m benchmarks --quick                only shows that everything runs; its figures mean nothing

Run it in the root of a working copy whose engine is built. Candidates take turns on one core, and what counts is
processor time, unless a table says otherwise: compare within one run, and ratios only.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks import (
    aims,
    document,
    dtln,
    engine,
    files,
    live,
    memory,
    mixing,
    networks,
    peers,
    published,
    start,
    streams,
)
from benchmarks.options import FULL, QUICK, Options
from benchmarks.plot import draw
from benchmarks.results import Table
from benchmarks.timing import all_cores, run_on

SECTIONS: dict[str, Callable[[Options], Iterator[Table]]] = {
    "engine": engine.by_instruction_set,
    "guided": engine.behind_their_guides,
    "stages": engine.stages,
    "live": live.live,
    "dtln": dtln.dtln,
    "files": files.files,
    "streams": streams.streams,
    "start": start.start,
    "memory": memory.memory,
    "mixing": mixing.mixing,
    "peers": peers.peers,
}
SHARED = Path(os.environ.get("DENOISE_WRAPPER_SHARED", Path(__file__).resolve().parents[2] / "shared"))


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", type=_sections, default=list(SECTIONS), metavar="NAME,...", help=", ".join(SECTIONS))
    parser.add_argument("--quick", action="store_true", help="as little work as shows that it runs")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the tables there")
    parser.add_argument("--plot", type=Path, metavar="FILE.png", help="draw the section peers (needs matplotlib)")
    parser.add_argument("--write", type=Path, metavar="DIR", help="put tables and plot into DIR/speed.md")
    group = parser.add_argument_group("networks of your own")
    group.add_argument(
        "--model", action="append", default=[], metavar="PATH", help="an RNNoise model, for engine, live"
    )
    group.add_argument(
        "--size", action="append", default=[], type=networks.read_size, metavar="CONVxUNITS[:float]",
        help="a v0.2 network of random weights, to price it before it is trained; int8 where such networks are",
    )  # fmt: skip
    group.add_argument("--dtln", default="dtln-16k", metavar="NAME", help="the DTLN backend that --pair is for")
    group.add_argument("--pair", nargs=2, metavar="FILE", help="a pair of models, for dtln, beside the shipped ones")
    group.add_argument(
        "--published", type=Path, default=SHARED / "reference" / "dtln", metavar="DIR",
        help="where model_1.onnx and model_2.onnx of the published DTLN are",
    )  # fmt: skip
    return parser


def _sections(text: str) -> list[str]:
    names = text.split(",")
    unknown = [name for name in names if name not in SECTIONS]
    if unknown:
        raise argparse.ArgumentTypeError(f"there is no section {', '.join(unknown)}; there are {', '.join(SECTIONS)}")
    return names


def read_options(args: argparse.Namespace) -> Options:
    has_pair = all((args.published / name).is_file() for name in published.FILES)
    return Options(
        effort=QUICK if args.quick else FULL,
        models={path: path for path in args.model} | dict(args.size),
        dtln=args.dtln,
        pair=args.pair,
        published=args.published if has_pair else None,
        cores=frozenset(all_cores()),
    )


def measure(names: list[str], options: Options) -> list[Table]:
    """The tables of these sections, printed as they come."""
    tables = []
    for name in names:
        began = time.perf_counter()
        for table in SECTIONS[name](options):
            tables.append(table)
            print(f"\n{table.as_text()}", flush=True)
        print(f"[{name}: {time.perf_counter() - began:.0f} s]", flush=True)
    return tables


def main() -> None:
    args = make_parser().parse_args()
    page = args.write / "speed.md" if args.write else None
    if page is not None:
        document.split(page)  # whether it can be written is known before the work
    options = read_options(args)
    run_on({max(options.cores)} if options.cores else set())
    about = document.conditions(len(options.cores) or os.cpu_count() or 1)
    for name, value in about:
        print(f"{name}: {value}")
    tables = measure(args.only, options)
    summary = None if args.quick else aims.judged(tables)
    if summary is not None:
        tables.insert(0, summary)
        print(f"\n{summary.as_text()}")
    if args.json:
        whole = {"about": dict(about), "tables": [table.as_data() for table in tables]}
        args.json.write_text(json.dumps(whole, indent=1), encoding="utf-8")
    picture = args.plot or (args.write / document.PICTURE if args.write else None)
    drawn = picture is not None and draw(tables, picture)
    if args.markdown:
        args.markdown.write_text(document.markdown(about, tables, False) + "\n", encoding="utf-8")
    if page is not None:
        document.rewrite(page, document.markdown(about, tables, drawn))


if __name__ == "__main__":
    main()
