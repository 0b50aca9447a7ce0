"""The fuzzers of the C engine under clang's libFuzzer, briefly: damaged models, pairs, and programs of calls."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

from making import make


def test_the_fuzzers_run_under_libfuzzer(needs: Callable[[str], str], tmp_path: Path) -> None:
    """From the seeds that they write; CONTRIBUTING.md says how to search for longer."""
    needs("clang")
    make(needs, "libfuzzer", tmp_path, f"CC={needs('gcc')}")
    for fuzzer in ("fuzz_models", "fuzz_pairs", "fuzz_frames"):
        seeds, findings = tmp_path / "libfuzzer" / "seeds" / fuzzer, tmp_path / "libfuzzer" / "found"
        assert any(seeds.iterdir())
        findings.mkdir(exist_ok=True)
        options = ["-seed=1", "-max_total_time=8", "-max_len=20000", f"-artifact_prefix={findings}/"]
        command = [str(tmp_path / "libfuzzer" / fuzzer), *options, str(findings), str(seeds)]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        assert done.returncode == 0, done.stdout[-4000:]
