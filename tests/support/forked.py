"""Programs that begin with this package imported: processes of a server that forks, which take a tenth of a start.

They are what a fresh Python is to signals and files: one thread, no handlers but Python's, no files of the test's.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

PRELOADED = ["denoise_wrapper.cli.main", "forked"]


def start(code: str, names: dict[str, Any]) -> tuple[BaseProcess, Connection]:
    """Run code in a process of its own, in which `ready()` sends a message; returns the process and where that comes.

    names: what the code knows beside it.
    """
    context: Any = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=run, args=(code, names, there))
    process.start()
    there.close()
    return process, here


def run(code: str, names: dict[str, Any], ready: Connection) -> None:
    sys.stderr = open(os.devnull, "w")  # noqa: SIM115, which lasts as long as the process
    exec(code, {**names, "ready": lambda: ready.send("ready")})
