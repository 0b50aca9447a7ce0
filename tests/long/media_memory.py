"""Memory and time of a film of two hours: python tests/long/media_memory.py FOLDER [MINUTES ...] [--suffix .mkv].

Makes a film of a minute and of each of MINUTES (default: 120) in FOLDER with the program ffmpeg, cleans them, and
prints the most memory that each took, the time, and what the last one took more than that of a minute; the same for
ffmpeg with the same network (`-c:v copy -af arnndn`), and for one that only copies; --alone leaves these out. Fails if
the film of two hours takes more than 20 MB more than that of a minute, a longer one as many times that as it is longer.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

LIMIT_MB, LONG = 20, 120  # by which a film of so many minutes may take more than one of a minute


def make_film(folder: Path, minutes: int, suffix: str) -> Path:
    """A film of so many minutes, all of them alike."""
    short, film = folder / f"1{suffix}", folder / f"{minutes}{suffix}"
    picture, noise = "testsrc=s=64x48:r=5:d=60", "anoisesrc=r=48000:d=60:a=0.1:seed=1"
    words = ["ffmpeg", "-v", "error", "-y"]
    if minutes == 1:
        inputs = ["-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", noise]
        subprocess.run([*words, *inputs, "-c:v", "mpeg4", "-c:a", "aac", "-b:a", "64k", short], check=True)
    else:
        subprocess.run([*words, "-stream_loop", str(minutes - 1), "-i", short, "-c", "copy", film], check=True)
    return film


def measure(words: list[str | Path]) -> tuple[float, float, float]:
    """Run a command. Returns (most memory in MB, seconds by the clock, seconds of processor)."""
    begin = time.perf_counter()
    process = subprocess.Popen(words)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{words[0]} failed")
    return usage.ru_maxrss / 1024, time.perf_counter() - begin, usage.ru_utime + usage.ru_stime


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("minutes", type=int, nargs="*", default=[LONG])
    parser.add_argument("--suffix", default=".mp4")
    parser.add_argument("--alone", action="store_true", help="without ffmpeg beside it")
    args = parser.parse_args()
    model, made = args.folder / "classic.rnnn", args.folder / f"made{args.suffix}"
    ours: list[str | Path] = [sys.executable, "-m", "denoise_wrapper"]
    subprocess.run([*ours, "convert", "rnnoise-classic", "-o", model, "--overwrite"], check=True)
    most: dict[tuple[str, int], float] = {}
    lengths = [1, *args.minutes]
    for minutes in lengths:
        film = make_film(args.folder, minutes, args.suffix)
        peer: list[str | Path] = ["ffmpeg", "-v", "error", "-y", "-i", film]
        runs: dict[str, list[str | Path]] = {
            "ours": [*ours, "filter", "-q", "--overwrite", "-b", "rnnoise-classic", film, "-o", made],
            "ffmpeg": [*peer, "-c:v", "copy", "-af", f"arnndn=m={model}", made],
            "ffmpeg, copying": [*peer, "-c", "copy", made],
        }
        for name, words in runs.items():
            if args.alone and name != "ours":
                continue
            memory, clock, processor = measure(words)
            most[name, minutes] = memory
            print(f"{name}, {film.name}: {memory:.1f} MB, {clock:.1f} s, {processor:.1f} s of processor", flush=True)
    longest = lengths[-1]
    for name in dict.fromkeys(name for name, _ in most):
        print(f"{name}: {most[name, longest] - most[name, 1]:.1f} MB more for {longest} minutes than for one")
    limit = LIMIT_MB * max(1.0, (longest - 1) / (LONG - 1))
    return int(most["ours", longest] - most["ours", 1] > limit)


if __name__ == "__main__":
    sys.exit(main())
