"""The fuzzers of the C engine, briefly: damaged models, pairs, and programs of calls."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from making import make


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of compiled files, shared by the tests."""
    return tmp_path_factory.mktemp("fuzzers")


def test_mutated_models_and_whatever_calls_are_refused_or_run(needs: Callable[[str], str], built: Path) -> None:
    """Under the sanitizers; `make -C native fuzz N=1000000` is the same at length."""
    make(needs, "fuzz", built, f"CC={needs('gcc')}", "N=20000")


def test_the_fuzzers_run_under_libfuzzer(needs: Callable[[str], str], built: Path) -> None:
    """Briefly, from the seeds that they write; CONTRIBUTING.md says how to search for longer."""
    needs("clang")
    make(needs, "libfuzzer", built, f"CC={needs('gcc')}")
    for fuzzer in ("fuzz_models", "fuzz_pairs", "fuzz_frames"):
        seeds, findings = built / "libfuzzer" / "seeds" / fuzzer, built / "libfuzzer" / "found"
        findings.mkdir(exist_ok=True)
        options = ["-seed=1", "-max_total_time=8", "-max_len=20000", f"-artifact_prefix={findings}/"]
        command = [str(built / "libfuzzer" / fuzzer), *options, str(findings), str(seeds)]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        assert done.returncode == 0, done.stdout[-4000:]
