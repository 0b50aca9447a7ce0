"""The C engine without Python: its own tests, plain and under the sanitizers, and every compiler's warnings."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

NATIVE = Path(__file__).resolve().parents[1] / "native"


def make(target: str, out: Path, *variables: str) -> None:
    command = ["make", "-C", str(NATIVE), target, f"OUT={out}", *variables]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    assert done.returncode == 0, done.stdout[-4000:]


@pytest.mark.parametrize("target", ["test", "asan"])
def test_the_engine_passes_its_own_tests(needs: Callable[[str], str], tmp_path: Path, target: str) -> None:
    needs("make")
    make(target, tmp_path, f"CC={needs('gcc')}")


@pytest.mark.parametrize("optimise", ["-O0", "-O3"])
@pytest.mark.parametrize("compiler", ["gcc", "clang", "x86_64-w64-mingw32-gcc"])
def test_every_file_compiles_without_a_warning(
    needs: Callable[[str], str], tmp_path: Path, compiler: str, optimise: str
) -> None:
    needs("make")
    make("warnings", tmp_path, f"CC={needs(compiler)}", f"CFLAGS={optimise}")
