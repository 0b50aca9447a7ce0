"""A day of audio through one stream, as fast as it goes: memory, time, drift, and the mode of floats.

    python tests/long/soak.py [--backend NAME ...] [--hours 24] [--rate HZ]

Speech with noise, noise, silence, samples too small for normal floats, and clicks follow each other, the same every
hour. What is told of each backend: memory after the first hour and after the last; the time that a minute of each kind
takes beside one of speech; by how much an hour's power differs from the second hour's; whether the stream, reset,
answers like a fresh one, bit for bit; and whether denormal numbers live outside as they did before. Exits with 1 if one
of these is not as it should be.
"""

from __future__ import annotations

import argparse
import ctypes
import platform
import struct
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from denoise_wrapper import Stream
from denoise_wrapper.backends import load_backend

Float32 = NDArray[np.float32]

KINDS = {"speech": 30, "noise": 9, "silence": 8, "denormals": 7, "clicks": 6}  # minutes of an hour
MOST_GROWTH = 4 << 20  # bytes between the end of the first hour and the last


def make_minute(kind: str, rate: int, seed: int, seconds: int = 60) -> Float32:
    """float32 (seconds * rate,)."""
    rng, count = np.random.default_rng(seed), seconds * rate
    t = np.arange(count) / rate
    if kind == "silence":
        return np.zeros(count, np.float32)
    if kind == "clicks":
        clicks = np.zeros(count, np.float32)
        clicks[rng.integers(0, count, 3 * seconds)] = rng.choice([1.0, -1.0, 0.1], 3 * seconds)
        return clicks
    noise = 0.02 * rng.standard_normal(count)
    if kind == "noise":
        return noise.astype(np.float32)
    phase = 2 * np.pi * np.cumsum(120 + 40 * np.sin(2 * np.pi * 0.7 * t + seed)) / rate
    voiced = 0.25 * (np.sin(2 * np.pi * 2.3 * t) > -0.3)
    speech = voiced * sum(np.cos(k * phase) / k for k in range(1, 9)) + noise
    if kind == "denormals":  # speech that dies away for good within each ten seconds, and noise of 1e-40
        faint = 1e-40 * rng.standard_normal(count)
        return (speech * np.exp(-30 * (t % 10)) + faint).astype(np.float32)
    return speech.astype(np.float32)


def resident_bytes() -> int | None:
    """Memory that this process holds, None where the system does not tell."""
    try:
        text = Path("/proc/self/status").read_text()
    except OSError:
        return None
    return int(text.split("VmRSS:")[1].split()[0]) * 1024


def float_mode() -> int:
    """Read this thread's floating-point mode as far as possible: denormals, and all of x86's register."""
    half = np.array([2e-38], np.float32) * np.float32(0.25)
    mode = int(half[0] != 0)
    if platform.machine() in ("x86_64", "AMD64") and sys.platform == "linux":
        try:
            environment = ctypes.create_string_buffer(64)
            ctypes.CDLL("libm.so.6").fegetenv(environment)
            mode |= (struct.unpack_from("<I", environment, 28)[0] & 0xFFC0) << 1  # MXCSR without what has happened
        except (OSError, AttributeError):  # another C library
            pass
    return mode


@dataclass
class Soaked:
    """Results of a soak."""

    hours: int = 0
    memory: list[int | None] = field(default_factory=list)  # bytes after each hour
    power: list[float] = field(default_factory=list)  # of each hour's output
    seconds: dict[str, list[float]] = field(default_factory=lambda: {kind: [] for kind in KINDS})  # a minute's time
    all_finite: bool = True
    mode_kept: bool = True
    reset_is_fresh: bool = False

    @property
    def growth(self) -> int:
        """Bytes."""
        first, last = self.memory[0], self.memory[-1]
        return 0 if first is None or last is None else last - first

    @property
    def wander_db(self) -> float:
        """Largest distance of an hour's power from the second one's: the first begins from silence."""
        return max((abs(10 * np.log10(power / self.power[1])) for power in self.power[1:]), default=0.0)

    @property
    def relative_time(self) -> dict[str, float]:
        """The time that a minute of each kind takes, the median, speech having 1."""
        middle = {kind: float(np.median(times)) for kind, times in self.seconds.items()}
        return {kind: times / middle["speech"] for kind, times in middle.items()}


def soak(stream: Stream, fresh: Stream, hours: int, minute_s: int = 60, tell: Any = None) -> Soaked:
    """So many hours through stream, each of 60 minutes of minute_s seconds; fresh: one like it, never used.

    tell: called with what was found, after each hour.
    """
    rate, result, mode = stream.sample_rate, Soaked(), float_mode()
    pool = {kind: [make_minute(kind, rate, seed, minute_s) for seed in range(2)] for kind in KINDS}
    order = np.random.default_rng(0).permutation([kind for kind, count in KINDS.items() for _ in range(count)])
    sizes = [rate, rate // 100, rate // 3 + 1]  # of chunks, another each minute
    for _ in range(hours):
        power = 0.0
        for minute, kind in enumerate(order):
            audio, size = pool[kind][minute % 2], sizes[minute % len(sizes)]
            begin = time.process_time()
            made = [stream.process(audio[start : start + size]) for start in range(0, len(audio), size)]
            result.seconds[kind].append(time.process_time() - begin)
            for block in made:
                energy = float(np.vdot(block, block))
                result.all_finite &= bool(np.isfinite(energy))
                power += energy if kind in ("speech", "noise") else 0.0
            result.mode_kept &= float_mode() == mode
        result.hours += 1
        result.power.append(power)
        result.memory.append(resident_bytes())
        if tell is not None:
            tell(result)
    stream.reset()
    check = make_minute("speech", rate, 5, 10)
    result.reset_is_fresh = bool(np.array_equal(stream.process(check), fresh.process(check)))
    return result


def faults(result: Soaked, most_wander_db: float = 1.0) -> list[str]:
    """List in words what is not as it should be. most_wander_db: of an hour's power."""
    wrong = [] if result.growth <= MOST_GROWTH else [f"memory has grown by {result.growth} bytes"]
    if result.wander_db > most_wander_db:
        wrong.append(f"an hour's power is {result.wander_db:.4f} dB from another's")
    if not result.all_finite:
        wrong.append("not all samples are finite")
    if not result.mode_kept:
        wrong.append("the mode of floats has changed")
    if not result.reset_is_fresh:
        wrong.append("a stream that was reset is not like a fresh one")
    return wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--backend", nargs="+", default=["rnnoise", "rnnoise-classic", "dtln-16k"])
    parser.add_argument("--hours", type=int, default=24)
    parser.add_argument("--rate", type=int, help="Hz; without it, each backend's own")
    args = parser.parse_args()
    failed = 0
    for name in args.backend:
        backend, begin = load_backend(name), time.process_time()

        def tell(result: Soaked, name: str = name, begin: float = begin) -> None:
            resident = result.memory[-1]
            memory = "?" if resident is None else f"{resident / 2**20:.1f} MB"
            took = time.process_time() - begin
            print(f"{name}: hour {result.hours}: {memory}, {took:.0f} s of processor so far", flush=True)

        result = soak(Stream(backend, args.rate), Stream(backend, args.rate), args.hours, tell=tell)
        wrong = faults(result)
        took = time.process_time() - begin
        relative = ", ".join(f"{kind} {share:.2f}" for kind, share in result.relative_time.items())
        print(f"{name}: {3600 * result.hours / took:.0f} times real time; memory grew by {result.growth / 1024:.0f} KB")
        print(f"{name}: an hour's power within {result.wander_db:.6f} dB; time a minute, speech 1: {relative}")
        print(f"{name}: {'; '.join(wrong) or 'all as it should be'}", flush=True)
        failed += bool(wrong)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
