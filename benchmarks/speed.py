"""Speed and memory, side by side in one run: the engine in C, Python's share of it, live calls, long files.

    python benchmarks/speed.py [--seconds 60] [--rounds 7] [--hour]

Prints one table. Times are the best of the rounds on one core, the least disturbed; compare ratios, and only within one
run. The engine is timed twice: as the wheel has it, and compiled here at -O2 with the scalar kernels (needs a C
compiler). --hour also sends an hour through filter_file, and compares its peak memory with that of a minute (on
Linux).
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from denoise_wrapper import Denoiser, backend_names
from denoise_wrapper.backends import load_backend

NATIVE = Path(__file__).resolve().parent.parent / "native"
ENGINE = Path(__file__).with_name("engine.c")
RATE = 48000

Float32 = NDArray[np.float32]


def noise_with_pauses(seconds: int) -> Float32:
    """Noise that swells and fades each second, (seconds * RATE,)."""
    noise = np.random.default_rng(0).standard_normal(seconds * RATE).astype(np.float32)
    swell = np.linspace(0, 0.2, RATE, dtype=np.float32)
    return noise * np.tile(swell, seconds)


def best(rounds: int, action: Callable[[], object]) -> float:
    """Seconds of the fastest of the rounds, after one that does not count."""
    action()
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        action()
        times.append(time.perf_counter() - start)
    return min(times)


def engine_at_o2(isa: str) -> float | None:
    """Microseconds a frame of the engine compiled at -O2; None without a compiler or that instruction set."""
    compiler = shutil.which(os.environ.get("CC", "cc"))
    if compiler is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "engine"
        sources = [str(ENGINE), *map(str, sorted(NATIVE.glob("*.c")))]
        subprocess.run([compiler, "-std=c11", "-O2", f"-I{NATIVE}", *sources, "-o", program, "-lm"], check=True)
        done = subprocess.run([program, isa, "6000", "7"], capture_output=True, text=True)
    return float(done.stdout) if done.returncode == 0 else None


def row(what: str, value: str, note: str = "") -> None:
    print(f"{what:<58} {value:>12}  {note}", flush=True)


def live_calls(audio: Float32, chunk: int) -> tuple[float, float]:
    """Median and 99th percentile of stream.process, in microseconds."""
    stream = Denoiser("rnnoise").stream(RATE)
    times = []
    for start in range(0, len(audio) - chunk, chunk):
        piece = audio[start : start + chunk]
        began = time.perf_counter()
        stream.process(piece)
        times.append(time.perf_counter() - began)
    return 1e6 * float(np.percentile(times, 50)), 1e6 * float(np.percentile(times, 99))


def bench_engine_and_python(seconds: int, rounds: int) -> None:
    audio = noise_with_pauses(seconds)
    frames = len(audio) // 480
    for isa in ("scalar", "avx2"):
        at_o2 = engine_at_o2(isa)
        row(f"C, {isa} kernels, -O2", "none" if at_o2 is None else f"{at_o2:.1f} us", "a frame of 10 ms")
    backend = load_backend("rnnoise")
    block = audio.reshape(1, -1)
    in_c = best(rounds, lambda: backend.new_state(1).process(block))
    row(f"C, as installed ({getattr(backend, 'isa', '?')})", f"{1e6 * in_c / frames:.1f} us", "a frame of 10 ms")
    denoiser = Denoiser(backend)
    for name, kind in (("float32", audio), ("int16", (audio * 32767).astype(np.int16))):
        whole = best(rounds, lambda kind=kind: denoiser.filter(kind))  # type: ignore[misc]
        row(f"filter, {seconds} s of {name} at 48 kHz", f"{seconds / whole:.0f} x", f"{whole / in_c:.3f} of the C time")
    for rate in (16000, 44100):
        whole = best(rounds, lambda rate=rate: denoiser.filter(audio[: seconds * rate], rate))  # type: ignore[misc]
        row(
            f"filter, {seconds} s of float32 at {rate} Hz",
            f"{seconds / whole:.0f} x",
            f"{whole / in_c:.3f} of the C time",
        )
    for chunk in (480, 960):
        median, late = live_calls(audio, chunk)
        row(f"stream.process of {chunk} samples, median", f"{median:.1f} us", f"99 %: {late:.1f} us")


PEAK = """
import re, sys
from pathlib import Path
import soundfile
from denoise_wrapper import Denoiser

def peak():  # of this program alone: what getrusage tells is inherited from the program that started it
    return int(re.search(r"VmHWM:\\s*(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024

denoiser = Denoiser("rnnoise")
before = peak()
denoiser.filter_file(sys.argv[1], sys.argv[2], overwrite=True)
print(peak() - before)
"""


def peak_memory(minutes: int, folder: Path) -> float:
    """MB that filter_file adds to the peak of a process that has imported everything."""
    source = folder / "long.wav"
    block = (noise_with_pauses(60) * 32767).astype(np.int16)
    with soundfile.SoundFile(source, "w", RATE, 1, "PCM_16") as file:
        for _ in range(minutes):
            file.write(block)
    command = [sys.executable, "-c", PEAK, str(source), str(folder / "cleaned.wav")]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def bench_long_file() -> None:
    with tempfile.TemporaryDirectory() as folder:
        for minutes in (1, 60):
            start = time.perf_counter()
            megabytes = peak_memory(minutes, Path(folder))
            row(
                f"filter_file, {minutes} min, peak memory over import",
                f"{megabytes:.1f} MB",
                f"{time.perf_counter() - start:.0f} s",
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=int, default=60, help="length of the clip (default 60)")
    parser.add_argument("--rounds", type=int, default=7, help="rounds of which the best counts (default 7)")
    parser.add_argument("--hour", action="store_true", help="also a file of one hour")
    args = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    print(
        f"{platform.machine()}, Python {platform.python_version()}, numpy {np.__version__}, backends {backend_names()}"
    )
    bench_engine_and_python(args.seconds, args.rounds)
    if args.hour:
        bench_long_file()


if __name__ == "__main__":
    main()
