"""Programs that sections run: C compiled on the spot, and fresh Python processes."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from denoise_wrapper.models.classic import c_source
from denoise_wrapper.models.shipped import MODELS

ROOT = Path(__file__).resolve().parent.parent
NATIVE = ROOT / "native"
AS_IN_THE_WHEEL, PLAINLY, QUICKLY = ("-O3",), ("-O2",), ("-O0",)  # how C is compiled


def compiler() -> str | None:
    """The C compiler that CC names, or cc; None where there is none that takes gcc's options."""
    return shutil.which(os.environ.get("CC", "cc"))


def compiler_version() -> str:
    compiler_path = compiler()
    if compiler_path is None:
        return "no C compiler"
    said = subprocess.run([compiler_path, "--version"], capture_output=True, text=True, check=False).stdout.splitlines()
    return said[0] if said else compiler_path


@contextlib.contextmanager
def compiled(name: str, flags: Sequence[str], *, alone: bool = False) -> Iterator[Path | None]:
    """The program made of benchmarks/NAME.c and the engine, or of that file alone, as long as it is needed; None
    without a compiler.
    """
    compiler_path = compiler()
    if compiler_path is None:
        yield None
        return
    with tempfile.TemporaryDirectory() as folder:
        program, data = Path(folder) / name, Path(folder) / "rnn_data.c"
        sources = [ROOT / "benchmarks" / f"{name}.c"]
        if not alone:
            data.write_bytes(c_source((MODELS / "rnnoise.dnnw").read_bytes(), {}))
            sources += sorted(path for part in (".", "kernels", "models") for path in (NATIVE / part).glob("*.c"))
            sources.append(data)
        subprocess.run([compiler_path, "-std=c11", *flags, f"-I{NATIVE}", *sources, "-o", program, "-lm"], check=True)
        yield program


def output_of(command: Sequence[str | Path]) -> str | None:
    """Output of a program; None where it ended with an error, which it has printed."""
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    return done.stdout if done.returncode == 0 else None


def in_fresh_python(code: str, *arguments: str) -> Any:
    """Run a Python program in a process of its own that imports from where this one does; decode the JSON it prints."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], check=True, stdout=subprocess.PIPE, text=True, env=environment
    )
    return json.loads(done.stdout)
