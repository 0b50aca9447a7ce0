"""Costs of a candidate: time and memory, measured in a process of its own that does nothing else.

That process also shows whether a foreign library crashes, before it could take the comparison with it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from denoise_wrapper.compare.candidates import Candidate
from denoise_wrapper.compare.comparison import Cost
from denoise_wrapper.denoiser import Denoiser
from denoise_wrapper.errors import DenoiseError

BUFFER_S = 0.020  # of a live buffer
WARM_UP = 50  # buffers
BUFFERS = 1000  # that are timed
FILES = 3  # times that the audio is cleaned as a whole
_PROGRAM = """
import pickle, sys
sys.path[:] = pickle.load(sys.stdin.buffer)
from denoise_wrapper.compare.cost import main
main()
"""

Float32 = NDArray[np.float32]


def measure_cost(candidate: Candidate, audio: Float32, rate: int) -> Cost:
    """The cost of a candidate, in a fresh process; an error that says so if that crashes.

    audio: float32 (frames,), some seconds of what it is for, at rate Hz.
    """
    try:
        job = pickle.dumps(sys.path) + pickle.dumps((pickle.dumps(candidate), audio, rate))
    except Exception as error:  # a Backend of the caller's own may raise anything
        return Cost(error=f"it cannot be given to a process of its own: {type(error).__name__}: {error}")
    done = subprocess.run([sys.executable, "-c", _PROGRAM], input=job, capture_output=True, check=False)
    if done.returncode == 0:
        return Cost(**json.loads(done.stdout))
    if done.returncode < 0:
        return Cost(error=f"it crashes: {signal.Signals(-done.returncode).name}", crashed=True)
    said = done.stderr.decode(errors="replace").strip().splitlines()
    words = said[-1] if said else "it said nothing"
    return Cost(error=f"it ends the process that runs it, with {done.returncode}: {words}", crashed=True)


def main() -> None:
    """Run in that process: a job from standard input, a Cost as JSON to standard output."""
    answer = os.dup(1)
    os.dup2(2, 1)  # a library may print what it likes
    data, audio, rate = pickle.load(sys.stdin.buffer)
    cost = _measure(data, audio, rate)
    with os.fdopen(answer, "w") as file:
        json.dump(dataclasses.asdict(cost), file)


def _measure(data: bytes, audio: Float32, rate: int) -> Cost:
    """Measure the candidate in data, which is pickled apart, as that may be what loads it."""
    before = _memory_mb("VmRSS")
    try:
        begin = time.perf_counter()
        candidate: Candidate = pickle.loads(data)
        denoiser = candidate.open()
        load_s = time.perf_counter() - begin
        file_s = [_timed(denoiser, audio, rate) for _ in range(FILES)]
        buffers_s = _buffers(denoiser, audio, rate)
    except DenoiseError as error:
        return Cost(error=str(error))
    except Exception as error:
        return Cost(error=f"{type(error).__name__}: {error}")
    return Cost(
        latency_ms=1000.0 * denoiser.latency(rate) / rate,
        load_ms=1000.0 * load_s,
        file_factor=float(np.median(file_s)) * rate / len(audio),
        buffer_factor=float(np.median(buffers_s)) / BUFFER_S,
        buffer_p99_factor=float(np.percentile(buffers_s, 99)) / BUFFER_S,
        memory_mb=_memory_mb("VmHWM") - before,
    )


def _timed(denoiser: Denoiser, audio: Float32, rate: int) -> float:
    begin = time.perf_counter()
    denoiser.filter(audio, rate)
    return time.perf_counter() - begin


def _buffers(denoiser: Denoiser, audio: Float32, rate: int) -> NDArray[np.float64]:
    """Seconds that a live stream takes for each buffer of 20 ms, after some to warm up."""
    size = round(BUFFER_S * rate)
    buffers = np.resize(audio, max(1, len(audio) // size) * size).reshape(-1, size)
    took = np.empty(WARM_UP + BUFFERS)
    stream = denoiser.stream(rate)
    for number in range(len(took)):
        begin = time.perf_counter()
        stream.process(buffers[number % len(buffers)])
        took[number] = time.perf_counter() - begin
    return took[WARM_UP:]


def _memory_mb(name: str) -> float:
    """Memory of this process, now (VmRSS) or at most so far (VmHWM), MB; NaN where the system does not tell it so."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
        return int(status.split(f"{name}:")[1].split()[0]) * 1024 / 1e6
    return float("nan")
