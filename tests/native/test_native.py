"""The C engine without Python: its own tests, plain, under the sanitizers and for ARM; every compiler's warnings."""

from __future__ import annotations

import platform
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from denoise_wrapper.models.classic import from_c_source
from denoise_wrapper.models.shipped import MODELS

only_on_x86 = pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="takes this machine's compiler")

NATIVE = Path(__file__).resolve().parents[2] / "native"


def make(target: str, out: Path, *variables: str) -> None:
    command = ["make", "-C", str(NATIVE), target, f"OUT={out}", *variables]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    assert done.returncode == 0, done.stdout[-4000:]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of compiled files, shared by the tests."""
    return tmp_path_factory.mktemp("native")


@pytest.mark.parametrize("target", ["test", "asan"])
def test_the_engine_passes_its_own_tests(needs: Callable[[str], str], built: Path, target: str) -> None:
    needs("make")
    make(target, built, f"CC={needs('gcc')}")


@pytest.mark.fault
def test_many_threads_share_a_model_without_a_race(needs: Callable[[str], str], built: Path) -> None:
    """Under ThreadSanitizer; without it they are among the tests above."""
    needs("make")
    make("tsan", built, f"CC={needs('gcc')}")


@pytest.mark.parametrize(
    ("target", "compiler", "emulator"),
    [
        pytest.param("x86", "cc", "qemu-x86_64", marks=only_on_x86),
        ("aarch64", "aarch64-linux-gnu-gcc", "qemu-aarch64"),
        ("armhf", "arm-linux-gnueabihf-gcc", "qemu-arm"),
    ],
)
def test_other_processors_give_what_plain_c_gives(
    needs: Callable[[str], str], tmp_path: Path, target: str, compiler: str, emulator: str
) -> None:
    """ARM, and older x86, in qemu-user: kernels against formulas, frames against plain C."""
    for program in ("make", compiler, emulator):
        needs(program)
    make(target, tmp_path)


def test_mutated_models_and_whatever_calls_are_refused_or_run(needs: Callable[[str], str], built: Path) -> None:
    """Under the sanitizers; `make -C native fuzz N=1000000` is the same at length."""
    needs("make")
    make("fuzz", built, f"CC={needs('gcc')}", "N=20000")


def test_the_fuzzers_run_under_libfuzzer(needs: Callable[[str], str], built: Path) -> None:
    """Briefly, from the seeds that they write; CONTRIBUTING.md says how to search for longer."""
    needs("make")
    needs("clang")
    make("libfuzzer", built, f"CC={needs('gcc')}")
    for fuzzer in ("fuzz_models", "fuzz_pairs", "fuzz_frames"):
        seeds, findings = built / "libfuzzer" / "seeds" / fuzzer, built / "libfuzzer" / "found"
        findings.mkdir(exist_ok=True)
        options = ["-seed=1", "-max_total_time=8", "-max_len=20000", f"-artifact_prefix={findings}/"]
        command = [str(built / "libfuzzer" / fuzzer), *options, str(findings), str(seeds)]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        assert done.returncode == 0, done.stdout[-4000:]


@pytest.mark.parametrize("optimise", ["-O0", "-O3"])
@pytest.mark.parametrize("compiler", ["gcc", "clang", "x86_64-w64-mingw32-gcc"])
def test_every_file_compiles_without_a_warning(
    needs: Callable[[str], str], tmp_path: Path, compiler: str, optimise: str
) -> None:
    needs("make")
    make("warnings", tmp_path, f"CC={needs(compiler)}", f"CFLAGS={optimise}")


def test_the_model_compiled_in_is_the_shipped_one_byte_for_byte(needs: Callable[[str], str], tmp_path: Path) -> None:
    needs("make")
    make("rnn_data", tmp_path, f"CC_FOR_BUILD={needs('gcc')}")
    assert from_c_source((tmp_path / "rnn_data.c").read_bytes()) == (MODELS / "rnnoise.dnnw").read_bytes()


def test_any_model_can_be_compiled_in(needs: Callable[[str], str], tmp_path: Path) -> None:
    """Named by its file, or by a file of C that one has."""
    needs("make")
    classic = MODELS / "rnnoise-classic.dnnw"
    make("rnn_data", tmp_path, f"CC_FOR_BUILD={needs('gcc')}", f"MODEL={classic}")
    assert from_c_source((tmp_path / "rnn_data.c").read_bytes()) == classic.read_bytes()
    own = shutil.move(tmp_path / "rnn_data.c", tmp_path / "own.c")
    make(str(tmp_path / "rnn_data.o"), tmp_path, "CC_FOR_BUILD=false", f"RNN_DATA={own}", f"CC={needs('gcc')}")
    assert classic.read_bytes() in (tmp_path / "rnn_data.o").read_bytes()


@pytest.mark.parametrize(("content", "words"), [(None, "model: No such file"), (b"", "the file is empty")])
def test_a_model_that_is_not_there_stops_the_build(
    needs: Callable[[str], str], tmp_path: Path, content: bytes | None, words: str
) -> None:
    needs("make")
    make(str(tmp_path / "embed"), tmp_path, f"CC_FOR_BUILD={needs('gcc')}")
    if content is not None:
        (tmp_path / "model").write_bytes(content)
    done = subprocess.run(["./embed", "model", "rnn_data.c"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert words in done.stderr
    assert not (tmp_path / "rnn_data.c").exists()
