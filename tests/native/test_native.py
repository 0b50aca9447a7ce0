"""The C engine without Python: its own tests, plain, under the sanitizers and for ARM; every compiler's warnings."""

from __future__ import annotations

import platform
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

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
    for fuzzer in ("fuzz_models", "fuzz_frames"):
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
