"""Times of this working copy beside those of another one, such as an older commit, in turns on one core.

    git worktree add --detach ../before COMMIT && (cd ../before && python build.py)
    python -m benchmarks.against ../before [--rounds 7]

Each round starts a fresh process of each, so the figures have the import in them too. Milliseconds of the processor,
the least of all rounds: compare within one run.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import soundfile

from benchmarks.programs import ROOT
from benchmarks.signals import as_int16, clip
from benchmarks.timing import all_cores, run_on

SECONDS, RATE = 5, 48000
BACKEND = "rnnoise-classic"  # the quickest, of which the rest is the largest share
PROGRAM = """
import json, sys, time
from pathlib import Path
start = time.process_time()
import numpy
after_numpy = time.process_time()
import denoise_wrapper
times = {"import, over numpy's": 1e3 * (time.process_time() - after_numpy)}
import soundfile

def least(what, calls, action):
    action()
    spent = []
    for _ in range(calls):
        start = time.process_time()
        action()
        spent.append(time.process_time() - start)
    times[what] = 1e3 * min(spent)

folder, calls = Path(sys.argv[1]), int(sys.argv[3])
denoiser = denoise_wrapper.Denoiser(sys.argv[2])
for kind in ("wav", "flac"):
    source, target = folder / f"clip.{kind}", folder / f"cleaned.{kind}"
    least(f"filter_file, {kind}", calls, lambda: denoiser.filter_file(source, target, overwrite=True))
samples, rate = soundfile.read(folder / "clip.wav", dtype="float32")
least("filter", calls, lambda: denoiser.filter(samples, rate))
stream, chunk = denoiser.stream(rate), samples[:rate // 100]
least("process of 10 ms", 20 * calls, lambda: stream.process(chunk))
print(json.dumps(times))
"""


def times_of(tree: Path, folder: Path, calls: int) -> dict[str, float]:
    """Milliseconds in a fresh process that imports from a tree, by what was done."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(folder), BACKEND, str(calls)],
        check=True, stdout=subprocess.PIPE, text=True, cwd=tree, env={**environment, "PYTHONPATH": str(tree)},
    )  # fmt: skip
    times: dict[str, float] = json.loads(done.stdout)
    return times


def compare(other: Path, rounds: int, calls: int) -> dict[str, tuple[float, float]]:
    """Least milliseconds of the other tree and of this one, by what was done; a first round does not count."""
    trees, found = (other, ROOT), [dict[str, float]() for _ in range(2)]
    pinned = all_cores()
    with tempfile.TemporaryDirectory() as name:
        soundfile.write(Path(name) / "clip.wav", as_int16(clip(SECONDS, RATE)), RATE, "PCM_16")
        soundfile.write(Path(name) / "clip.flac", as_int16(clip(SECONDS, RATE)), RATE, "PCM_16")
        try:
            run_on(set(sorted(pinned)[:1]))
            for number in range(rounds + 1):
                for tree, best in zip(trees, found, strict=True):
                    for what, spent in times_of(tree, Path(name), calls).items():
                        best[what] = min(best.get(what, spent), spent) if number else float("inf")
        finally:
            run_on(pinned)
    return {what: (found[0][what], found[1][what]) for what in found[1] if what in found[0]}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.against", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("other", type=Path, metavar="TREE", help="a working copy whose engine is built")
    parser.add_argument("--rounds", type=int, default=7, help="fresh processes of each (default: %(default)s)")
    parser.add_argument("--calls", type=int, default=30, help="of each kind in a process (default: %(default)s)")
    args = parser.parse_args()
    print(f"{f'{SECONDS} s, {BACKEND}, ms of the processor':<44}{'other':>8}{'this':>8}")
    for what, (before, now) in compare(args.other.resolve(), args.rounds, args.calls).items():
        print(f"{what:<44}{before:8.3f}{now:8.3f}{100 * (now / before - 1):+7.1f} %")


if __name__ == "__main__":
    main()
