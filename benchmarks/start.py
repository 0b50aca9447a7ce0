"""Time until there is a denoiser, in processes that have nothing loaded yet."""

from __future__ import annotations

import functools
from collections.abc import Iterator

from benchmarks.options import Options
from benchmarks.programs import in_fresh_python
from benchmarks.results import Cell, Table
from benchmarks.timing import Times, take_turns
from denoise_wrapper import backend_names

IMPORT = """
import json, time
start = time.process_time()
import numpy
after_numpy = time.process_time()
import denoise_wrapper
print(json.dumps([1e3 * (after_numpy - start), 1e3 * (time.process_time() - after_numpy)]))
"""
LOAD = """
import json, sys, time
from denoise_wrapper.backends import load_backend
start = time.process_time()
load_backend(sys.argv[1])
print(json.dumps(1e3 * (time.process_time() - start)))
"""


def start(options: Options) -> Iterator[Table]:
    imports: list[list[float]] = []

    def import_ms() -> float:
        imports.append(in_fresh_python(IMPORT))
        return imports[-1][1]

    actions = {"import denoise_wrapper, over numpy's": import_ms}
    for name in backend_names():
        actions[f"load_backend({name!r})"] = functools.partial(in_fresh_python, LOAD, name)
    times = take_turns(actions, options.effort.starts)
    numpy_ms = sorted(clock[0] for clock in imports)
    times = {"import numpy": Times(numpy_ms[0], numpy_ms[len(numpy_ms) // 2])} | times
    rows: list[list[Cell]] = [[what, clock.best, clock.median] for what, clock in times.items()]
    yield Table(
        "start",
        "Starting, milliseconds of the processor",
        ["what", "best", "median"],
        rows,
        "Each in a fresh process, files being in the system's cache.",
        {what: clock.best for what, clock in times.items()},
    )
