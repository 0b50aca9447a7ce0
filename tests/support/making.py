"""make in the folder of the C engine, which knows nothing of Python."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

NATIVE = Path(__file__).resolve().parents[2] / "native"


def make(needs: Callable[[str], str], target: str, out: Path, *variables: str) -> None:
    """Make a target. needs: the fixture. out: folder of the compiled files. variables: as in "CC=gcc"."""
    command = [needs("make"), "-C", str(NATIVE), target, f"OUT={out}", *variables]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    assert done.returncode == 0, done.stdout[-4000:]
