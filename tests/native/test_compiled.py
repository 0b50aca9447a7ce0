"""The C engine as every compiler makes it: its own tests, no warnings, and the model that is compiled in."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from making import make

from denoise_wrapper.models.classic import from_c_source
from denoise_wrapper.models.shipped import MODELS


def test_the_engine_passes_its_own_tests(needs: Callable[[str], str], tmp_path: Path) -> None:
    make(needs, "test", tmp_path, f"CC={needs('gcc')}")


@pytest.mark.parametrize("optimise", ["-O0", "-O3"])
@pytest.mark.parametrize("compiler", ["gcc", "clang", "x86_64-w64-mingw32-gcc"])
def test_every_file_compiles_without_a_warning(
    needs: Callable[[str], str], tmp_path: Path, compiler: str, optimise: str
) -> None:
    make(needs, "warnings", tmp_path, f"CC={needs(compiler)}", f"CFLAGS={optimise}")


def test_the_model_compiled_in_is_the_shipped_one_byte_for_byte(needs: Callable[[str], str], tmp_path: Path) -> None:
    make(needs, "rnn_data", tmp_path, f"CC_FOR_BUILD={needs('gcc')}")
    assert from_c_source((tmp_path / "rnn_data.c").read_bytes()) == (MODELS / "rnnoise.dnnw").read_bytes()


def test_any_model_can_be_compiled_in(needs: Callable[[str], str], tmp_path: Path) -> None:
    """Named by its file, or by a file of C that one has."""
    classic = MODELS / "rnnoise-classic.dnnw"
    make(needs, "rnn_data", tmp_path, f"CC_FOR_BUILD={needs('gcc')}", f"MODEL={classic}")
    assert from_c_source((tmp_path / "rnn_data.c").read_bytes()) == classic.read_bytes()
    own = shutil.move(tmp_path / "rnn_data.c", tmp_path / "own.c")
    make(needs, str(tmp_path / "rnn_data.o"), tmp_path, "CC_FOR_BUILD=false", f"RNN_DATA={own}", f"CC={needs('gcc')}")
    assert classic.read_bytes() in (tmp_path / "rnn_data.o").read_bytes()


@pytest.mark.parametrize(("content", "words"), [(None, "model: No such file"), (b"", "the file is empty")])
def test_a_model_that_is_not_there_stops_the_build(
    needs: Callable[[str], str], tmp_path: Path, content: bytes | None, words: str
) -> None:
    make(needs, str(tmp_path / "embed"), tmp_path, f"CC_FOR_BUILD={needs('gcc')}")
    if content is not None:
        (tmp_path / "model").write_bytes(content)
    done = subprocess.run(["./embed", "model", "rnn_data.c"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert words in done.stderr
    assert not (tmp_path / "rnn_data.c").exists()
