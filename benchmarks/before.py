"""Reading and writing files beside an older working copy, by their length: python -m benchmarks.before TREE.

TREE: another working copy of this repository, as `git worktree add TREE COMMIT` makes it, its engine built. Two
processes, one of each tree, take turns over each file: they read it, and they read and write it with nothing done to
the samples, or with what a denoiser does to their type (to float32 and back). Two lengths tell what a file takes, and
what a minute of it takes. Milliseconds of the processor, the least of the rounds.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import soundfile

ROOT = Path(__file__).resolve().parents[1]
RATE, CHANNELS = 48000, 2
SHORT_S, LONG_S = 10, 70
KINDS = {"WAV 16": "PCM_16", "WAV 24": "PCM_24", "FLAC 16": "PCM_16", "FLAC 24": "PCM_24"}
WAYS = ("read", "copy", "floats")
WORKER = """
import contextlib, json, sys, time
from pathlib import Path
from denoise_wrapper.audio import from_float, to_float
from denoise_wrapper.files.transform import open_source, transform_file
from denoise_wrapper.files.watch import Watch

def copy(blocks, rate, channels):
    yield from blocks

def floats(blocks, rate, channels):
    for block in blocks:
        yield from_float(to_float(block), block.dtype)

for line in sys.stdin:
    way, source, target, block_s = json.loads(line)
    begin = time.process_time()
    if way == "read":
        with contextlib.ExitStack() as stack:
            opened = open_source(Path(source), stack)
            for block in opened.blocks(block_s * opened.rate):
                pass
    else:
        process = copy if way == "copy" else floats
        transform_file(Path(source), Path(target), process, overwrite=True, block_s=block_s, watch=Watch())
    print(1e3 * (time.process_time() - begin), flush=True)
"""


class Worker:
    """A process of one tree that does what it is asked and says how long that took."""

    def __init__(self, tree: Path, target: Path, block_s: int) -> None:
        self._target, self._block_s = target, block_s
        self._process = subprocess.Popen(
            [sys.executable, "-c", WORKER],
            cwd=tree,
            env={**os.environ, "PYTHONPATH": str(tree)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def took(self, way: str, source: Path) -> float:
        """Milliseconds of the processor."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        asked = [way, str(source), str(self._target / source.name), self._block_s]
        print(json.dumps(asked), file=self._process.stdin, flush=True)
        return float(self._process.stdout.readline())

    def close(self) -> None:
        self._process.communicate()


def make(folder: Path, kind: str, seconds: int) -> Path:
    form, subtype = kind.split()[0], KINDS[kind]
    path = folder / f"{subtype}_{seconds}.{form.lower()}"
    noise = 0.1 * np.random.default_rng(1).standard_normal((seconds * RATE, CHANNELS))
    soundfile.write(path, noise, RATE, subtype=subtype)
    return path


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tree", type=Path, metavar="TREE")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--block", type=int, default=1, metavar="SECONDS", help="read at a time; a denoiser takes 1")
    parser.add_argument("--only", nargs="*", choices=KINDS, default=list(KINDS))
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        workers = []
        for number, tree in enumerate((args.tree.resolve(), ROOT)):
            (folder / str(number)).mkdir()
            workers.append(Worker(tree, folder / str(number), args.block))
        print("file, way: ms a file before and now; ms a minute before and now")
        for kind in args.only:
            paths = [make(folder, kind, seconds) for seconds in (SHORT_S, LONG_S)]
            for way in WAYS:
                least = np.full((2, 2), np.inf)
                for _ in range(args.rounds):
                    for one, worker in enumerate(workers):
                        for two, path in enumerate(paths):
                            least[one, two] = min(least[one, two], worker.took(way, path))
                minutes = (least[:, 1] - least[:, 0]) / (LONG_S - SHORT_S) * 60
                fixed = least[:, 0] - minutes * SHORT_S / 60
                print(
                    f"{kind}, {way}: {fixed[0]:.1f} {fixed[1]:.1f}; {minutes[0]:.1f} {minutes[1]:.1f} "
                    f"({100 * (minutes[1] / minutes[0] - 1):+.0f} %)",
                    flush=True,
                )
        for worker in workers:
            worker.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
