"""Memory: of files short and long, and of each stream."""

from __future__ import annotations

import io
import pickle
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from benchmarks.options import Options
from benchmarks.programs import in_fresh_python
from benchmarks.results import Cell, Table
from benchmarks.signals import as_int16, clip
from denoise_wrapper import DenoiseError, Denoiser, backend_names

RATE = 48000
FILE_BACKENDS = ("rnnoise", "dtln-16k")
STREAMS = 200

# What getrusage tells of the peak is inherited from the program that started this one, so it is asked of /proc.
PRELUDE = """
import json, re, sys
from pathlib import Path
import numpy, soundfile
from denoise_wrapper import DenoiseError, Denoiser

def memory_kb(name):
    return int(re.search(name + r":\\s*(\\d+)", Path("/proc/self/status").read_text())[1])

denoiser = Denoiser(sys.argv[1])
"""
PEAK = f"""{PRELUDE}
before = memory_kb("VmHWM")
denoiser.filter_file(sys.argv[2], sys.argv[3], overwrite=True)
print(json.dumps([before / 1024, memory_kb("VmHWM") / 1024]))
"""
OPEN = f"""{PRELUDE}
count = int(sys.argv[2])
def opened(count):
    streams = [denoiser.stream() for _ in range(count)]
    for stream in streams:
        stream.process(numpy.zeros(4 * denoiser.backend.hop, numpy.float32))
    return streams
warm = opened(8)
before = memory_kb("VmRSS")
streams = opened(count)
print(json.dumps((memory_kb("VmRSS") - before) / count))
"""


def memory(options: Options) -> Iterator[Table]:
    has_proc = Path("/proc/self/status").is_file()
    if has_proc:
        yield of_files(options)
    yield of_streams(options, has_proc)


def of_files(options: Options) -> Table:
    """Peaks of filter_file."""
    minute = as_int16(clip(60 if options.effort.seconds >= 60 else options.effort.seconds, RATE))
    rows: list[list[Cell]] = []
    facts = {}
    with tempfile.TemporaryDirectory() as folder:
        source, cleaned = Path(folder) / "long.wav", Path(folder) / "cleaned.wav"
        for minutes in options.effort.minutes:
            with soundfile.SoundFile(source, "w", RATE, 1, "PCM_16") as file:
                for _ in range(minutes):
                    file.write(minute)
            for backend in FILE_BACKENDS:
                before, peak = in_fresh_python(PEAK, backend, str(source), str(cleaned))
                rows.append([backend, f"{minutes} min", before, peak, peak - before])
                facts[f"memory {backend} {minutes}"] = peak - before
    return Table(
        "memory",
        "Peak memory of filter_file, MiB",
        ["backend", "file", "with the backend loaded", "peak", "more"],
        rows,
        "WAV to WAV, 48 kHz, mono, each in a fresh process.",
        facts,
    )


def of_streams(options: Options, has_proc: bool) -> Table:
    """Memory of a stream of a shared backend."""
    rows: list[list[Cell]] = []
    for name in backend_names():
        backend = Denoiser(name).backend
        state = backend.new_state(1)
        state.process(np.zeros((1, backend.hop), np.float32))
        count = min(STREAMS, 4 * options.effort.calls)
        sizes = in_fresh_python(OPEN, name, str(count)) if has_proc else None
        try:
            saved: float | None = _bytes_without(state, backend) / 1024
        except DenoiseError:  # its library does not let go of it
            saved = None
        rows.append([name, saved, sizes])
    return Table(
        "memory",
        "Memory of a stream, KiB",
        ["backend", "saved state", "resident"],
        rows,
        "The state of one channel as it is pickled, without the backend, which all streams share; and what a process "
        "grows by for each mono stream at the backend's rate that has been used.",
    )


def _bytes_without(state: object, backend: object) -> int:
    class Pickler(pickle.Pickler):
        def persistent_id(self, item: Any) -> str | None:
            return "backend" if item is backend else None

    file = io.BytesIO()
    Pickler(file).dump(state)
    return file.tell()
