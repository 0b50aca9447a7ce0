"""Memory and time of a long film: python tests/long/media_memory.py FOLDER [MINUTES].

Makes an MP4 with video of a minute and one of MINUTES (default: 120) in FOLDER with the program ffmpeg, cleans both,
and prints the most memory that each took; then the same by `ffmpeg -c:v copy -af arnndn` with the same network.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

LIMIT_MB = 20  # by which the long one may take more than the short one


def make_films(folder: Path, minutes: int) -> list[Path]:
    """A film of a minute, and one of it over and over."""
    short, long = folder / "short.mp4", folder / "long.mp4"
    picture, noise = "testsrc=s=64x48:r=5:d=60", "anoisesrc=r=48000:d=60:a=0.1:seed=1"
    words = ["ffmpeg", "-v", "error", "-y"]
    inputs = ["-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", noise]
    subprocess.run([*words, *inputs, "-c:v", "mpeg4", "-c:a", "aac", "-b:a", "64k", short], check=True)
    subprocess.run([*words, "-stream_loop", str(minutes - 1), "-i", short, "-c", "copy", long], check=True)
    return [short, long]


def measure(words: list[str | Path]) -> tuple[float, float, float]:
    """Run a command. Returns (most memory in MB, seconds by the clock, seconds of processor)."""
    begin = time.perf_counter()
    process = subprocess.Popen(words)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{words[0]} failed")
    return usage.ru_maxrss / 1024, time.perf_counter() - begin, usage.ru_utime + usage.ru_stime


def main(folder: Path, minutes: int) -> None:
    model = folder / "classic.rnnn"
    ours: list[str | Path] = [sys.executable, "-m", "denoise_wrapper"]
    subprocess.run([*ours, "convert", "rnnoise-classic", "-o", model, "--overwrite"], check=True)
    most = {}
    for film in make_films(folder, minutes):
        filtered = [*ours, "filter", "-q", "--overwrite", "-b", "rnnoise-classic", film]
        peer: list[str | Path] = ["ffmpeg", "-v", "error", "-y", "-i", film, "-c:v", "copy", "-af", f"arnndn=m={model}"]
        for name, words in (("ours", filtered), ("ffmpeg", [*peer, folder / "peer.mp4"])):
            memory, clock, processor = measure(words)
            most[name, film.stem] = memory
            print(f"{name}, {film.name}: {memory:.1f} MB, {clock:.1f} s, {processor:.1f} s of processor", flush=True)
    for name in ("ours", "ffmpeg"):
        print(f"{name}: {most[name, 'long'] - most[name, 'short']:.1f} MB more for {minutes} minutes than for one")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 120)
