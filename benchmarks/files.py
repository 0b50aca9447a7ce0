"""Whole clips and files: speed as a multiple of real time, and the gain of all cores."""

from __future__ import annotations

import functools
import itertools
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import soundfile

from benchmarks import networks
from benchmarks.options import Options
from benchmarks.results import Cell, Table
from benchmarks.signals import as_int16, clip
from benchmarks.timing import all_cores, processor_s, run_on, take_turns, wall_s
from denoise_wrapper import Denoiser
from denoise_wrapper.files.batch import FileResult

RATE, OTHER_RATES = 48000, (44100, 16000)
BATCH = 8  # files that are cleaned at once
STORED = ("wav", "flac")


def files(options: Options) -> Iterator[Table]:
    with tempfile.TemporaryDirectory() as folder:
        yield whole_clips(options, Path(folder))
        yield parts_of_a_file(options, Path(folder))
        yield many_files(options, Path(folder))


def whole_clips(options: Options, folder: Path) -> Table:
    """Processor time of filter and filter_file."""
    seconds = options.effort.seconds
    audio = clip(seconds, RATE)
    stored = {suffix: folder / f"clip.{suffix}" for suffix in STORED}
    for path in stored.values():
        soundfile.write(path, as_int16(audio), RATE, subtype="PCM_16")
    actions: dict[str, Callable[[], float]] = {}
    ways: dict[str, list[str]] = {}
    for backend in networks.our_backends():
        denoiser = Denoiser(backend)
        own_rate = denoiser.backend.sample_rate
        at_once = functools.partial(_alone, denoiser, seconds)
        kinds: dict[str, Callable[[], object]] = {
            f"the backend alone, {own_rate} Hz": at_once,
            f"filter, float32, {RATE} Hz": functools.partial(denoiser.filter, audio, RATE),
            f"filter, int16, {RATE} Hz": functools.partial(denoiser.filter, as_int16(audio), RATE),
        }
        for rate in sorted({own_rate, *OTHER_RATES} - {RATE}, reverse=True):
            kinds[f"filter, float32, {rate} Hz"] = functools.partial(denoiser.filter, clip(seconds, rate), rate)
        for suffix, path in stored.items():
            done = folder / f"cleaned.{suffix}"
            kinds[f"filter_file, {suffix}, {RATE} Hz"] = functools.partial(
                denoiser.filter_file, path, done, overwrite=True
            )
        ways[backend] = list(kinds)
        actions |= {f"{backend} {kind}": functools.partial(processor_s, action) for kind, action in kinds.items()}
    times = take_turns(actions, options.effort.rounds)
    rows: list[list[Cell]] = []
    facts = {}
    for backend, kinds_of in ways.items():
        alone = times[f"{backend} {kinds_of[0]}"].best
        for kind in kinds_of:
            clock = times[f"{backend} {kind}"]
            rows.append([backend, kind, seconds / clock.best, seconds / clock.median, clock.best / alone])
            facts[f"{backend} {kind}"] = seconds / clock.best
    return Table(
        "files",
        f"A clip of {seconds} s, times faster than real time on one core",
        ["backend", "what", "best", "median", "x the backend's own time"],
        rows,
        "Seconds of audio for each second of the processor, all of reading, converting, resampling and writing in it.",
        facts,
    )


def _alone(denoiser: Denoiser, seconds: int) -> None:
    """The clip, a second at a time, through a state."""
    backend = denoiser.backend
    state, hop = backend.new_state(1), backend.hop
    audio = clip(seconds, backend.sample_rate)
    for start in range(0, len(audio), backend.sample_rate):
        block = audio[start : start + backend.sample_rate]
        state.process(block[: len(block) // hop * hop].reshape(1, -1))


def many_files(options: Options, folder: Path) -> Table:
    """filter_files with one job and with one a core, by the wall clock, and what a file's time goes into."""
    seconds, cores = options.effort.seconds, max(1, len(options.cores) or os.cpu_count() or 1)
    sources = [folder / f"{number}.wav" for number in range(BATCH)]
    for path in sources:
        soundfile.write(path, as_int16(clip(seconds, RATE)), RATE, subtype="PCM_16")
    batches = {
        (backend, jobs): _Batch(functools.partial(_clean_all, Denoiser(backend), sources, folder / "cleaned", jobs))
        for backend in networks.our_backends()
        for jobs in (1, cores)
    }
    pinned = all_cores()
    run_on(set(options.cores))
    try:
        take_turns({f"{backend} {jobs}": batch for (backend, jobs), batch in batches.items()}, options.effort.rounds)
    finally:
        run_on(pinned)
    rows: list[list[Cell]] = []
    facts = {}
    for backend in networks.our_backends():
        (one, one_used), (many, many_used) = min(batches[backend, 1].spent), min(batches[backend, cores].spent)
        rows.append([backend, BATCH * seconds / one, one_used, BATCH * seconds / many, many_used, one / many])
        facts[f"cores {backend}"] = one / many
    return Table(
        "files",
        f"{BATCH} files of {seconds} s at once, times faster than real time by the wall clock",
        ["backend", "1 job", "cores got", f"{cores} jobs", "cores got", "gain"],
        rows,
        f"filter_files, WAV to WAV, {RATE} Hz, on {cores} cores; the best of the rounds. Cores got: processor time "
        f"over wall clock. Where 1 job gets less than 1 or {cores} less than {cores}, something else was "
        "running, or the disk was waited for, and the gain is another than it would be.",
        facts,
    )


class _Batch:
    """Runs something and keeps, of each run, the seconds by the wall clock and how many cores it got."""

    def __init__(self, action: Callable[[], object]) -> None:
        self.action, self.spent = action, list[tuple[float, float]]()

    def __call__(self) -> float:
        start = time.process_time()
        wall = wall_s(self.action)
        self.spent.append((wall, (time.process_time() - start) / wall))
        return wall


def _clean_all(denoiser: Denoiser, sources: list[Path], folder: Path, jobs: int) -> list[FileResult]:
    results = denoiser.filter_files(sources, folder, jobs=jobs, overwrite=True)
    for result in results:
        if result.error is not None:
            raise result.error
    return results


def parts_of_a_file(options: Options, folder: Path) -> Table:
    """Time of each stage of one file, as filter_files reports it; the quickest of the rounds."""
    rows: list[list[Cell]] = []
    names: list[str] = []
    for suffix, rate in itertools.product(STORED, (RATE, OTHER_RATES[0])):
        source = folder / f"{rate}.{suffix}"
        soundfile.write(source, as_int16(clip(options.effort.seconds, rate)), rate, subtype="PCM_16")
        for backend in (networks.DEFAULT, "dtln-16k"):
            denoiser = Denoiser(backend)
            rounds = [_clean_all(denoiser, [source], folder / "cleaned", 1)[0] for _ in range(options.effort.rounds)]
            quickest = min(rounds, key=lambda result: result.took)
            names = list(quickest.stages)
            rows.append([backend, f"{suffix}, {rate} Hz", *(1e3 * quickest.stages[name] or None for name in names)])
    return Table(
        "files",
        f"What a file of {options.effort.seconds} s takes, milliseconds by the wall clock",
        ["backend", "file", *names],
        rows,
    )
