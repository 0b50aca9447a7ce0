"""`denoise-wrapper batch`: a whole corpus, on the cores of this machine or of a cluster, with a manifest of results."""

from __future__ import annotations

import argparse
import time
from types import TracebackType
from typing import TYPE_CHECKING, Any

from denoise_wrapper.cli.cleaning import add_how, make_denoiser
from denoise_wrapper.cli.parser import complain
from denoise_wrapper.cli.screen import say, show
from denoise_wrapper.cli.written import add_written, written
from denoise_wrapper.errors import ConfigError
from denoise_wrapper.machine import check_jobs, cores
from denoise_wrapper.progress import make_bars
from denoise_wrapper.signals import patience
from denoise_wrapper.wording import count, duration

if TYPE_CHECKING:
    from denoise_wrapper.cluster.plan import Tasks
    from denoise_wrapper.cluster.run import Counts, Engine
    from denoise_wrapper.cluster.work import Outcome

GRACE_S = 10.0  # for files in flight, when a signal asks to end
MANY = 20  # failures that are told one by one; the manifest has all


def add_batch(verbs: Any) -> None:
    verb = verbs.add_parser(
        "batch",
        help="clean a corpus, on this machine or on a cluster, and go on where it stopped",
        description="Cleans many files into another folder or prefix, the tree kept, and writes what became of each "
        "into a manifest, by which --resume goes on. Inputs are folders, globs, manifests (.jsonl as of NeMo and "
        "Lhotse, .csv, .tsv, Kaldi's wav.scp), shards (.tar, .parquet, .arrow), here or at s3://, gs:// or az://.",
        examples=(
            ("batch corpus/ -o cleaned/", "on all cores of this machine"),
            ("batch corpus/ -o cleaned/ --resume", "go on where it stopped, or do what is new"),
            ("batch s3://raw/calls -o s3://clean/calls --ray auto", "on the cluster that this machine belongs to"),
            ("batch train.jsonl --root /data -o cleaned/ --ray local", "files of a manifest, by Ray on this machine"),
        ),
    )
    verb.add_argument("inputs", nargs="+", metavar="INPUT", help="folder, glob, manifest, shard, file or address")
    verb.add_argument("-o", "--output", required=True, metavar="OUTPUT", help="folder or address; not in the input")
    verb.add_argument("--root", metavar="DIR", help="folder that names in manifests are below (default: their own)")
    verb.add_argument("--column", metavar="NAME", help="column of manifests with the files (default: a usual one)")
    verb.add_argument("--audio-column", metavar="NAME", help="column of Parquet and Arrow with the audio")
    verb.add_argument(
        "--bad-members",
        default="stop",
        choices=("stop", "drop", "keep"),
        help="of shards: fail the shard, leave the member out, or take it over as it is (default: %(default)s)",
    )
    verb.add_argument("-q", "--quiet", action="store_true", help="say nothing but what went wrong")
    again = verb.add_argument_group("what was done before")
    again.add_argument("--resume", action="store_true", help="skip what is done and whole; the rest is done")
    again.add_argument("--verify", action="store_true", help="with --resume: compare digests, not sizes and times")
    again.add_argument("--retry-failed", action="store_true", help="with --resume: try what was set aside again")
    again.add_argument("--overwrite", action="store_true", help="replace results, and begin the manifest anew")
    again.add_argument(
        "--attempts", type=int, default=5, metavar="N", help="of a file, before it is set aside (default: %(default)s)"
    )
    again.add_argument("--manifest", metavar="FILE", help="of results (default: OUTPUT/.denoise-batch.jsonl)")
    where = verb.add_argument_group("where it is done")
    where.add_argument(
        "--jobs",
        type=int,
        metavar="N",
        help="files at a time here, or workers of --ray (default: all cores)",
    )
    where.add_argument(
        "--ray", metavar="auto|ADDRESS|local", help="on a cluster; needs pip install 'denoise-wrapper[ray]'"
    )
    where.add_argument("--cpus-per-worker", type=int, metavar="N", help="with --ray: cores of a process (default: 1)")
    where.add_argument("--metrics-port", type=int, metavar="PORT", help="serve counters for Prometheus there")
    where.add_argument(
        "--metrics-host", default="127.0.0.1", metavar="HOST", help="address for that (default: %(default)s)"
    )
    add_how(verb)
    add_written(verb)
    verb.set_defaults(run=run_batch)


def run_batch(args: argparse.Namespace) -> int:
    from denoise_wrapper.cluster.plan import make_tasks
    from denoise_wrapper.cluster.run import Counts, run_tasks, summary
    from denoise_wrapper.cluster.store import normal
    from denoise_wrapper.cluster.work import How
    from denoise_wrapper.files.formats import Wishes

    _check(args)
    begin = time.perf_counter()
    how = How(make_denoiser(args), Wishes(**written(args)), args.bad_members, args.audio_column)
    made = make_tasks(args.inputs, args.output, root=args.root, column=args.column)
    for _, error in made.failed:
        complain(error)
    if made.left_out and not args.quiet:
        say(f"left out: {count(len(made.left_out), 'result')} of earlier runs, such as {made.left_out[0]}")
    if args.dry_run:
        return _preview(made)
    if not made.tasks:
        return 2
    counts = Counts()
    with patience(GRACE_S), _Progress(counts, args.quiet) as progress, _metrics(args, counts):
        engine = _engine(args, progress)
        told = run_tasks(
            made,
            normal(args.output),
            how,
            engine,
            resume=args.resume,
            overwrite=args.overwrite,
            verify=args.verify,
            retry=args.retry_failed,
            attempts=args.attempts,
            manifest=args.manifest,
            told=progress.ended,
            counts=counts,
        )
    took = time.monotonic() - counts.began
    if not args.quiet:
        say(f"{summary(told, took)}; {duration(max(0.0, time.perf_counter() - begin - took))} to start")
    return 2 if told.failed or made.failed else 0


def _check(args: argparse.Namespace) -> None:
    """Raise ConfigError for options that do not go together."""
    check_jobs(args.jobs)
    for name in ("verify", "retry_failed"):
        if getattr(args, name) and not args.resume:
            raise ConfigError(f"--{name.replace('_', '-')}: only with --resume, as it is about what was done before")
    if args.resume and args.overwrite:
        raise ConfigError("--resume --overwrite: results are gone on with or replaced; leave out one of them")
    if args.cpus_per_worker is not None and args.ray is None:
        raise ConfigError("--cpus-per-worker: only with --ray; on this machine --jobs N does N files at a time")
    for name in ("attempts", "cpus_per_worker"):
        value = getattr(args, name)
        if value is not None and value < 1:
            raise ConfigError(f"--{name.replace('_', '-')} is 1 or more, not {value}")
    if args.metrics_port is not None and not 0 < args.metrics_port < 65536:
        raise ConfigError(f"--metrics-port is a port, 1 to 65535, not {args.metrics_port}")


def _preview(made: Tasks) -> int:
    for task in made.tasks:
        show(f"{task.source} -> {task.target}")
    return 2 if made.failed else 0


def _engine(args: argparse.Namespace, progress: _Progress) -> Engine:
    from denoise_wrapper.cluster.run import local_engine

    if args.ray is None:
        progress.counts.workers = args.jobs or cores()
        return local_engine(args.jobs, progress.report)
    from denoise_wrapper.cluster.ray_engine import ray_engine, start

    def started() -> Engine:
        ray = start(args.ray, args.jobs)
        return ray_engine(ray, args.cpus_per_worker or 1, workers=args.jobs, check=progress.report)

    if args.resume:  # there may be nothing left to do, and Ray takes ten seconds to start
        return lambda tasks, how, ledger: started()(tasks, how, ledger)
    return started()


def _metrics(args: argparse.Namespace, counts: Counts) -> Any:
    from denoise_wrapper.cluster.metrics import served

    return served(counts, args.metrics_port, args.metrics_host)


class _Progress:
    """A bar over all audio on stderr if that is a terminal, and a line for each failure."""

    def __init__(self, counts: Counts, quiet: bool) -> None:
        from rich.progress import TextColumn

        self.counts, self._failures = counts, 0
        self._bars = make_bars(quiet, TextColumn("{task.fields[told]}", markup=False))
        self._task = self._bars.add_task("cleaning", total=None, told="")

    def __enter__(self) -> _Progress:
        self._bars.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.__exit__(kind, error, trace)
        if self._failures > MANY:
            complain(f"and {count(self._failures - MANY, 'more failure')}, which the manifest has with their reasons")

    def ended(self, outcome: Outcome, last: bool) -> None:
        """Tell of a try. last: whether there will be no other one."""
        if outcome.error is not None and last:
            self._failures += 1
            if self._failures <= MANY:
                complain(outcome.error)
        self.report()

    def report(self) -> None:
        """Show how far all is."""
        counts = self.counts
        hours = (counts.seconds + counts.seconds_open) / 3600
        told = f"{counts.done + counts.failed}/{counts.total} files, {hours:.1f} h, {counts.speed:.0f} x"
        told += f", {counts.failed} failed" if counts.failed else ""
        completed = counts.weight_done + counts.weight_open
        self._bars.update(self._task, completed=completed, total=counts.weight or None, told=told)
