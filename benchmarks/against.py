"""Times of this working copy beside those of another one, such as an older commit, in turns on one core.

    git worktree add --detach ../before COMMIT && (cd ../before && python build.py)
    python -m benchmarks.against ../before [--calls 200]

A process of each does the same call in turn. Milliseconds of the processor, the best and the median of all turns, and
how much more those of this one are: compare within one run.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import soundfile

from benchmarks.programs import ROOT
from benchmarks.signals import as_int16, clip
from benchmarks.timing import Times, all_cores, run_on, take_turns

SECONDS, RATE = 5, 48000
BACKEND = "rnnoise-classic"  # the quickest, of which the rest is the largest share
IMPORT = """
import json, time
import numpy
start = time.process_time()
import denoise_wrapper
print(json.dumps(1e3 * (time.process_time() - start)))
"""
CALLS = """
import json, sys, time
from pathlib import Path
import soundfile
import denoise_wrapper

folder, denoiser = Path(sys.argv[1]), denoise_wrapper.Denoiser(sys.argv[2])
samples, rate = soundfile.read(folder / "clip.wav", dtype="float32")
stream, chunk = denoiser.stream(rate), samples[: rate // 100]
actions = {
    f"filter_file, {kind}": lambda source=folder / f"clip.{kind}", target=folder / f"{sys.argv[3]}.{kind}":
        denoiser.filter_file(source, target, overwrite=True)
    for kind in ("wav", "flac")
}
actions["filter"] = lambda: denoiser.filter(samples, rate)
actions["10 denoisers"] = lambda: [denoise_wrapper.Denoiser(sys.argv[2]) for _ in range(10)]
actions["process, 100 of 10 ms"] = lambda: [stream.process(chunk) for _ in range(100)]
for line in iter(sys.stdin.readline, ""):
    start = time.process_time()
    actions[line.strip()]()
    print(json.dumps(1e3 * (time.process_time() - start)), flush=True)
"""
NAMES = ("10 denoisers", "filter_file, wav", "filter_file, flac", "filter", "process, 100 of 10 ms")


def started(tree: Path, program: str, *arguments: str) -> subprocess.Popen[str]:
    """A Python program that imports from a tree, and keeps what it has compiled of it."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment["PYTHONPATH"] = str(tree)
    return subprocess.Popen(
        [sys.executable, "-c", program, *arguments],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=tree, env=environment,
    )  # fmt: skip


def imported_ms(tree: Path) -> float:
    """Milliseconds of an import over numpy's, in a fresh process."""
    return float(json.loads(started(tree, IMPORT).communicate()[0]))


def called_ms(process: subprocess.Popen[str], name: str) -> float:
    """Milliseconds of a call in a process that goes on."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(f"{name}\n")
    process.stdin.flush()
    return float(json.loads(process.stdout.readline()))


def compare(other: Path, imports: int, calls: int) -> dict[str, tuple[Times, Times]]:
    """Milliseconds of the other tree and of this one, by what was done."""
    trees, pinned = {"other": other, "this": ROOT}, all_cores()
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        stack.callback(run_on, pinned)
        run_on(set(sorted(pinned)[:1]))
        soundfile.write(Path(name) / "clip.wav", as_int16(clip(SECONDS, RATE)), RATE, "PCM_16")
        soundfile.write(Path(name) / "clip.flac", as_int16(clip(SECONDS, RATE)), RATE, "PCM_16")
        actions = {tree: functools.partial(imported_ms, path) for tree, path in trees.items()}
        found = {"import, over numpy's": take_turns(actions, imports)}
        running = {tree: stack.enter_context(started(path, CALLS, name, BACKEND, tree)) for tree, path in trees.items()}
        for what in NAMES:
            turns = {tree: functools.partial(called_ms, process, what) for tree, process in running.items()}
            found[what] = take_turns(turns, calls)
        for process in running.values():
            process.communicate()
    return {what: (times["other"], times["this"]) for what, times in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.against", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("other", type=Path, metavar="TREE", help="a working copy whose engine is built")
    parser.add_argument("--imports", type=int, default=15, help="fresh processes of each (default: %(default)s)")
    parser.add_argument("--calls", type=int, default=200, help="of each kind in turns (default: %(default)s)")
    args = parser.parse_args()
    print(f"{f'{SECONDS} s, {BACKEND}, ms of the processor':<44}{'other':>16}{'this':>16}")
    for what, (before, now) in compare(args.other.resolve(), args.imports, args.calls).items():
        times = "".join(f"{each.best:8.3f}{each.median:8.3f}" for each in (before, now))
        change = "".join(
            f"{100 * (b / a - 1):+7.1f} %" for a, b in ((before.best, now.best), (before.median, now.median))
        )
        print(f"{what:<44}{times}{change}", flush=True)


if __name__ == "__main__":
    main()
